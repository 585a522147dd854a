//! `vmpack import`.

mod sqlite;

use std::path::{Path, PathBuf};

use serde::Serialize;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{write_cluster, write_load, write_policy};
use vmpack_planner::import::planetlab::{self, Setup};
use vmpack_planner::import::table::{self, Table};
use vmpack_planner::import::{
    ImportError, Imported, LeftOut, Sized, azure, bitbrains, btrplace, ganeti, vbp,
};
use vmpack_planner::packing::Format;

use super::arguments::{ImportKind, ImportOutput, NewHosts};
use super::failure::Failure;
use super::replay::trace::planetlab_in;
use super::screen::count;
use super::session::Session;
use super::{output, sources};

/// The files that are written.
const NAMES: [&str; 3] = ["cluster.yaml", "load.yaml", "policy.yaml"];

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
    let (read, to) = asked(what);
    spare(&read, to)?;
    let (imported, to) = match what {
        ImportKind::Btrplace {
            source,
            without_rules,
            to,
        } => {
            let source = sources::read_one(source, &mut session.stdin)?;
            let imported = btrplace::read(&source.text, *without_rules);
            (imported.map_err(|e| wrong(&source.name, &e))?, to)
        }
        ImportKind::Planetlab {
            source,
            order,
            hosts,
            day,
            to,
        } => {
            let traces = planetlab_in(source, order.as_deref(), session)?;
            let setup = Setup {
                hosts: *hosts as usize,
                ..Setup::default()
            };
            let imported = planetlab::import(&traces, &setup, day);
            let name = source.display().to_string();
            (imported.map_err(|e| wrong(&name, &e))?, to)
        }
        ImportKind::Ganeti {
            source,
            anywhere,
            to,
        } => {
            let source = sources::read_one(source, &mut session.stdin)?;
            let imported = ganeti::read(&source.text, *anywhere);
            (imported.map_err(|e| wrong(&source.name, &e))?, to)
        }
        ImportKind::Bitbrains { sources, hosts, to } => {
            let mut machines = Vec::new();
            for file in machines_in(sources)? {
                let source = sources::read_one(&file, &mut session.stdin)?;
                let name = file.file_stem().and_then(|n| n.to_str());
                let machine = bitbrains::machine(name.unwrap_or_default(), &source.text);
                machines.push(machine.map_err(|e| wrong(&source.name, &e))?);
            }
            let imported = bitbrains::import(&machines, sized(*hosts));
            let name = sources[0].display().to_string();
            (imported.map_err(|e| wrong(&name, &e))?, to)
        }
        ImportKind::Azure {
            source,
            at,
            machine,
            hosts,
            to,
        } => {
            if !at.is_finite() {
                return Err(Failure::usage(format!(
                    "read `--at {at}`, expected a number of days"
                )));
            }
            let (requests, offers) = sqlite::azure(source)?;
            let setup = azure::Setup {
                at: *at,
                machine: *machine,
                hosts: sized(*hosts),
            };
            let imported = azure::import(&requests, &offers, &setup);
            let name = source.display().to_string();
            (imported.map_err(|e| wrong(&name, &e))?, to)
        }
        ImportKind::Vbp {
            source,
            format,
            current,
            hosts,
            to,
        } => {
            let format = format.or_else(|| Format::of(source)).ok_or_else(|| {
                Failure::usage(format!(
                    "{} does not end in `.vbp`, `.txt` or `.bpp`, expected `--format vbp` or `bpplib`",
                    source.display()
                ))
            })?;
            let source = sources::read_one(source, &mut session.stdin)?;
            let current = current.as_ref();
            let current = current.map(|path| sources::read_one(path, &mut session.stdin));
            let current = current.transpose()?;
            let at = current.as_ref().map(|s| s.text.as_str());
            let imported = vbp::read(&source.text, format, at, *hosts);
            let named = |e: &vbp::Wrong| match &current {
                Some(current) if e.current => current.name.clone(),
                _ => source.name.clone(),
            };
            (imported.map_err(|e| wrong(&named(&e), &e.error))?, to)
        }
        ImportKind::Csv {
            hosts,
            guests,
            load,
            to,
        } => {
            let hosts = sources::read_one(hosts, &mut session.stdin)?;
            let guests = sources::read_one(guests, &mut session.stdin)?;
            let load = load.as_ref();
            let load = load.map(|path| sources::read_one(path, &mut session.stdin));
            let load = load.transpose()?;
            let text = load.as_ref().map(|s| s.text.as_str());
            let imported = table::read(&hosts.text, &guests.text, text);
            let imported = imported.map_err(|(of, error)| {
                let source = match (of, &load) {
                    (Table::Hosts, _) => &hosts,
                    (Table::Load, Some(load)) => load,
                    (Table::Guests | Table::Load, _) => &guests,
                };
                wrong(&source.name, &error)
            });
            (imported?, to)
        }
    };
    write(&imported, to, session)
}

/// The files that are read, and where ours are put.
fn asked(what: &ImportKind) -> (Vec<&PathBuf>, &ImportOutput) {
    match what {
        ImportKind::Btrplace { source, to, .. }
        | ImportKind::Ganeti { source, to, .. }
        | ImportKind::Azure { source, to, .. } => (vec![source], to),
        ImportKind::Planetlab {
            source, order, to, ..
        } => (order.iter().chain([source]).collect(), to),
        ImportKind::Bitbrains { sources, to, .. } => (sources.iter().collect(), to),
        ImportKind::Vbp {
            source,
            current,
            to,
            ..
        } => (current.iter().chain([source]).collect(), to),
        ImportKind::Csv {
            hosts,
            guests,
            load,
            to,
        } => (load.iter().chain([hosts, guests]).collect(), to),
    }
}

/// Refuses to write over what is read, or into a folder of it, where it would be read the next time.
fn spare(read: &[&PathBuf], to: &ImportOutput) -> Result<(), Failure> {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let read: Vec<PathBuf> = read.iter().filter_map(|path| real(path)).collect();
    if real(&to.output).is_some_and(|folder| read.contains(&folder)) {
        return Err(Failure::usage(format!(
            "{} is read, expected another folder for what is written",
            to.output.display()
        )));
    }
    for name in NAMES {
        let file = to.output.join(name);
        if real(&file).is_some_and(|file| read.contains(&file)) {
            return Err(Failure::usage(format!(
                "{} is read, expected another folder for what is written",
                file.display()
            )));
        }
    }
    Ok(())
}

fn sized(hosts: NewHosts) -> Sized {
    Sized {
        count: hosts.count,
        cpu: hosts.cpu,
        memory: hosts.memory,
    }
}

/// The files themselves, and of folders those that end in `.csv`, sorted by number where they are numbers.
fn machines_in(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(|e| sources::unreadable(path, &e))? {
            let file = entry.map_err(|e| sources::unreadable(path, &e))?.path();
            if file.is_file() && file.extension().is_some_and(|e| e == "csv") {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            return Err(Failure::input(format!(
                "folder {} holds no file *.csv",
                path.display()
            )));
        }
        let number = |file: &PathBuf| {
            let stem = file.file_stem().and_then(|n| n.to_str());
            stem.and_then(|n| n.parse::<u64>().ok())
        };
        inside.sort_by(|a, b| (number(a), a).cmp(&(number(b), b)));
        files.append(&mut inside);
    }
    Ok(files)
}

fn wrong(name: &str, error: &ImportError) -> Failure {
    let colon = if error.place.is_some() { ":" } else { ": " };
    Failure::input(format!("{name}{colon}{error}"))
}

fn write(imported: &Imported, to: &ImportOutput, session: &mut Session) -> Result<Exit, Failure> {
    let ImportOutput {
        output: folder,
        json,
    } = to;
    let Imported {
        cluster,
        load,
        policy,
        left_out,
    } = imported;
    output::make_folder(folder)?;
    let texts = [
        write_cluster(cluster),
        write_load(load),
        write_policy(policy),
    ];
    let there = NAMES.iter().filter(|name| folder.join(name).exists());
    let there: Vec<&str> = there.copied().collect();
    if !there.is_empty() {
        writeln!(session.err, "replaced: {}", there.join(", "))?;
    }
    for (name, text) in NAMES.into_iter().zip(texts) {
        output::write_whole(&folder.join(name), &text)?;
    }
    let waiting = cluster.guests.iter().filter(|g| g.host.is_none()).count();
    if *json {
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
