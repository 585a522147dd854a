//! `doctor`: whether a host is set up for safe migrations, and what to set.

use std::path::{Path, PathBuf};

use vmpack_domain::HostName;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::read_cluster;
use vmpack_hypervisor::Hypervisor;
use vmpack_hypervisor::libvirt::Libvirt;

use super::failure::Failure;
use super::files::read;
use super::say::{answer, note, out};
use crate::doctor::{Facts, Finding, Grade, examine};

pub(crate) const EXAMPLES: &str = "\
Examples:
  vmpack-executor doctor
  vmpack-executor doctor h3 --cluster cluster.yaml

Without a host, this one is looked at: its kernel's settings, libvirt's settings and certificates.
With one, its libvirt is asked for its versions; the settings can only be read there. Exit code 8
when something will make migrations fail.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A host of the cluster file, asked through libvirt; this host without it
    #[arg(requires = "cluster")]
    host: Option<HostName>,
    /// The cluster file that says how the host is reached
    #[arg(long, value_name = "FILE", requires = "host")]
    cluster: Option<PathBuf>,
    /// This host's libvirt
    #[arg(long, value_name = "URI", default_value = "qemu:///system")]
    uri: String,
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<Exit, Failure> {
    let facts = match (&arguments.host, &arguments.cluster) {
        (Some(host), Some(cluster)) => {
            let cluster = read_cluster(&[read(cluster)?])?;
            let libvirt = Libvirt::from_cluster(&cluster)?;
            Facts {
                software: Some(libvirt.software(host)?),
                ..Facts::default()
            }
        }
        _ => here(&arguments.uri),
    };
    let findings = examine(&facts);
    if json {
        for finding in &findings {
            let line = serde_json::to_string(finding)
                .map_err(|e| Failure::new(Exit::Bug, e.to_string()))?;
            out(line);
        }
    } else {
        answer(findings.iter().map(told).collect::<String>())?;
        if arguments.host.is_some() {
            note("its kernel's and libvirt's settings: run `vmpack-executor doctor` there");
        }
    }
    let trouble = findings.iter().any(|f| f.grade == Grade::Trouble);
    Ok(if trouble {
        Exit::CheckFailed
    } else {
        Exit::Done
    })
}

fn here(uri: &str) -> Facts {
    let mut facts = Facts::of_this_host(Path::new("/"));
    let asked = Libvirt::from_uris(&[(uri.to_owned(), None)]).and_then(|libvirt| {
        let hosts = libvirt.snapshot()?.hosts;
        hosts
            .first()
            .map(|host| libvirt.software(&host.name))
            .transpose()
    });
    match asked {
        Ok(software) => facts.software = software,
        Err(e) => note(format_args!("its libvirt was not asked: {e}")),
    }
    facts
}

fn told(finding: &Finding) -> String {
    let grade = match finding.grade {
        Grade::Good => "good",
        Grade::Advice => "advice",
        Grade::Trouble => "TROUBLE",
    };
    let mend = finding
        .mend
        .iter()
        .map(|mend| format!("{:23}do: {mend}\n", ""));
    format!(
        "{:14} {grade:7} {}\n{}",
        finding.what,
        finding.found,
        mend.collect::<String>()
    )
}
