//! `snapshot`: what libvirt says of hosts and guests, as a cluster file.

use std::path::PathBuf;

use vmpack_domain::exit::Exit;
use vmpack_domain::file::write_cluster;
use vmpack_domain::units::{MiBPerSec, count};
use vmpack_hypervisor::Hypervisor;
use vmpack_hypervisor::libvirt::{DEFAULT_NETWORK, Libvirt};

use super::failure::Failure;
use super::say::{answer, note, out};
use crate::world::write_atomically;

pub(crate) const EXAMPLES: &str = "\
Examples:
  vmpack-executor snapshot --uri qemu:///system
  vmpack-executor snapshot --uri qemu+tls://h1/system=10.0.0.1 --uri qemu+tls://h2/system=10.0.0.2 -o cluster.yaml
  vmpack-executor snapshot --uri qemu+ssh://h1/system=qemu+tcp://10.0.0.1/system --network 1250MiB/s

What follows the = is how the libvirtd of another host reaches this one for a migration: an address,
which stands for qemu+tls://ADDRESS/system, or a whole URI such as qemu+tcp://ADDRESS/system. Without
it, that is qemu+tls://NAME/system with the name that the host gives itself.

libvirt does not know the speed of the link that migrations use: say it with --network, or write
each host's into the file.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A host's libvirt URI, and the address (by TLS) or whole libvirt URI by which other hosts reach
    /// it
    #[arg(long = "uri", value_name = "URI[=MIGRATE-ADDRESS-OR-URI]", required = true, value_parser = parse_endpoint)]
    uris: Vec<(String, Option<String>)>,
    /// Where the cluster file is written; standard output without it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The bandwidth of each host's link, such as 1250MiB/s
    #[arg(long, value_name = "RATE", value_parser = super::bandwidth)]
    network: Option<MiBPerSec>,
}

fn parse_endpoint(text: &str) -> Result<(String, Option<String>), std::convert::Infallible> {
    Ok(super::endpoint(text))
}

/// Says what libvirt does not know and a plan will rest on.
fn assumed(network: bool) {
    if network {
        note(format_args!(
            "assumed: a link of {DEFAULT_NETWORK} for each host; --network says otherwise"
        ));
    }
    note(
        "assumed: every host reaches every guest's disks; rules and `movable: false` say otherwise",
    );
    note("left out: guests that are shut off");
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<Exit, Failure> {
    let mut cluster = Libvirt::from_uris(&arguments.uris)?.snapshot()?;
    if let Some(network) = arguments.network {
        for host in &mut cluster.hosts {
            host.network = network;
        }
    }
    assumed(arguments.network.is_none());
    let text = write_cluster(&cluster);
    match &arguments.output {
        Some(path) => {
            write_atomically(path, &text).map_err(|e| {
                Failure::new(
                    Exit::Environment,
                    format!("cannot write {}: {e}", path.display()),
                )
            })?;
            note(format_args!(
                "{} and {} are in {}",
                count(cluster.hosts.len(), "host"),
                count(cluster.guests.len(), "guest"),
                path.display()
            ));
            if json {
                out(
                    serde_json::json!({ "hosts": cluster.hosts.len(), "guests": cluster.guests.len(), "output": path }),
                );
            }
        }
        None if json => {
            let cluster = serde_json::to_string(&cluster)
                .map_err(|e| Failure::new(Exit::Bug, e.to_string()))?;
            answer(format_args!("{cluster}\n"))?;
        }
        None => answer(text)?,
    }
    Ok(Exit::Done)
}
