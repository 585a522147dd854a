//! `vmpack example cluster`: a made-up cluster to try things on.

pub(crate) mod day;
pub(crate) mod fleet;

use std::path::Path;

use vmpack_domain::exit::Exit;
use vmpack_domain::file::{write_cluster, write_load, write_policy};

use self::fleet::{Fleet, Size};
use super::failure::Failure;
use super::screen::count;
use super::{Session, output};

/// Writes the three files into a folder and says how to go on.
pub(crate) fn cluster(size: Size, folder: &Path, session: &mut Session) -> Result<Exit, Failure> {
    let Fleet {
        cluster,
        load,
        policy,
    } = fleet::fleet(size).map_err(|e| Failure::usage(e.to_string()))?;
    output::make_folder(folder)?;
    for (name, text) in [
        ("cluster.yaml", write_cluster(&cluster)),
        ("load.yaml", write_load(&load)),
        ("policy.yaml", write_policy(&policy)),
    ] {
        output::write_whole(&folder.join(name), &text)?;
    }
    let at = folder.display();
    writeln!(
        session.out,
        "wrote cluster.yaml, load.yaml and policy.yaml to {at}: {}, {}, {}",
        count(cluster.hosts.len(), "host"),
        count(cluster.guests.len(), "guest"),
        count(policy.rules.len(), "rule"),
    )?;
    writeln!(
        session.err,
        "next: vmpack plan --cluster {at}/cluster.yaml --load {at}/load.yaml --policy {at}/policy.yaml -o {at}/plan.yaml"
    )?;
    Ok(Exit::Done)
}
