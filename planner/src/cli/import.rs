//! `vmpack import`.

use std::path::Path;

use serde::Serialize;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{write_cluster, write_load, write_policy};
use vmpack_planner::import::planetlab::{self, Setup};
use vmpack_planner::import::{ImportError, Imported, LeftOut, btrplace};

use super::arguments::ImportKind;
use super::failure::Failure;
use super::replay::trace::planetlab_in;
use super::screen::count;
use super::session::Session;
use super::{output, sources};

/// What was imported as JSON.
#[derive(Serialize)]
struct Told<'a> {
    hosts: usize,
    guests: usize,
    waiting: usize,
    rules: usize,
    left_out: &'a [LeftOut],
}

/// Reads another program's file and writes ours.
pub(crate) fn run(what: &ImportKind, session: &mut Session) -> Result<Exit, Failure> {
    match what {
        ImportKind::Btrplace {
            source,
            without_rules,
            output,
            json,
        } => {
            let source = sources::read_one(source, &mut session.stdin)?;
            let imported = btrplace::read(&source.text, *without_rules)
                .map_err(|error| wrong(&source.name, &error))?;
            write(&imported, output, *json, session)
        }
        ImportKind::Planetlab {
            source,
            order,
            hosts,
            day,
            output,
            json,
        } => {
            let traces = planetlab_in(source, order.as_deref(), session)?;
            let setup = Setup {
                hosts: *hosts as usize,
                ..Setup::default()
            };
            let imported = planetlab::import(&traces, &setup, day)
                .map_err(|error| wrong(&source.display().to_string(), &error))?;
            write(&imported, output, *json, session)
        }
    }
}

fn wrong(name: &str, error: &ImportError) -> Failure {
    let colon = if error.place.is_some() { ":" } else { ": " };
    Failure::input(format!("{name}{colon}{error}"))
}

fn write(
    imported: &Imported,
    folder: &Path,
    json: bool,
    session: &mut Session,
) -> Result<Exit, Failure> {
    let Imported {
        cluster,
        load,
        policy,
        left_out,
    } = imported;
    output::make_folder(folder)?;
    for (name, text) in [
        ("cluster.yaml", write_cluster(cluster)),
        ("load.yaml", write_load(load)),
        ("policy.yaml", write_policy(policy)),
    ] {
        output::write_whole(&folder.join(name), &text)?;
    }
    let waiting = cluster.guests.iter().filter(|g| g.host.is_none()).count();
    if json {
        session.print_json(&Told {
            hosts: cluster.hosts.len(),
            guests: cluster.guests.len(),
            waiting,
            rules: policy.rules.len(),
            left_out,
        })?;
    } else {
        writeln!(
            session.out,
            "wrote cluster.yaml, load.yaml and policy.yaml to {}: {}, {} ({waiting} waiting), {}",
            folder.display(),
            count(cluster.hosts.len(), "host"),
            count(cluster.guests.len(), "guest"),
            count(policy.rules.len(), "rule"),
        )?;
        for left in left_out {
            let LeftOut { what, count, why } = left;
            writeln!(session.out, "not imported: {count} × {what}: {why}")?;
        }
    }
    Ok(Exit::Done)
}
