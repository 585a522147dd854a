//! Says how each guest would be measured now, and why.

use std::collections::BTreeMap;
use std::path::Path;

use vmpack_domain::units::{Micros, MilliCores, Ratio};
use vmpack_domain::{GuestName, Tier};
use vmpack_hypervisor::libvirt::Observed;

use crate::ebpf::{Ebpf, VCPUS};
use crate::sample;
use crate::schedstat::Schedstat;
use crate::source::Source;
use crate::threads;

/// How a guest would be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// By what; `None`: not at all.
    pub tier: Option<Tier>,
    /// Why so.
    pub why: String,
}

/// Looks for each guest's vCPU threads below a mount of procfs, and reads them once.
#[must_use]
pub fn examine(proc: &Path, guests: &[Observed]) -> BTreeMap<GuestName, Finding> {
    let (window, speed) = (Micros::millis(100), Ratio::ONE);
    let mut source: Box<dyn Source> = match Ebpf::start(window, speed, MilliCores(1000), VCPUS) {
        Ok(source) => Box::new(source),
        Err(_) => Box::new(Schedstat::new(proc.to_path_buf(), window, speed)),
    };
    let processes = threads::processes(proc, source.as_mut());
    guests
        .iter()
        .map(|seen| {
            let threads = threads::find(proc, &processes, seen.name.as_str(), seen.uuid)
                .map_err(|unseen| unseen.to_string())
                .and_then(|(process, threads)| {
                    let followed = source.follow(&seen.name, seen.uuid, process, &threads);
                    followed.map_err(|error| error.to_string())?;
                    readable(proc, process, &threads)
                });
            (seen.name.clone(), judge(seen, source.tier(), threads))
        })
        .collect()
}

/// Reads each thread once; says what was read.
fn readable(proc: &Path, process: i32, threads: &[i32]) -> Result<String, String> {
    for thread in threads {
        sample::Schedstat::open(proc, process, *thread)
            .and_then(|file| file.read())
            .map_err(|error| format!("cannot read thread {thread}: {error}"))?;
    }
    Ok(format!(
        "{} vCPU threads of process {process}",
        threads.len()
    ))
}

fn judge(seen: &Observed, best: Tier, threads: Result<String, String>) -> Finding {
    let times = !seen.vcpu_times.is_empty() && seen.vcpu_times.iter().all(|v| v.time_ns.is_some());
    let delays = seen.vcpu_times.iter().all(|v| v.delay_ns.is_some());
    let (tier, why) = match threads {
        Ok(what) => (Some(best), what),
        Err(why) if times && delays => (Some(Tier::Libvirt), why),
        Err(why) if times => (
            Some(Tier::Libvirt),
            format!("{why}; libvirt tells no run delay"),
        ),
        Err(why) => (None, format!("{why}; libvirt tells no times of its vCPUs")),
    };
    Finding { tier, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_hypervisor::libvirt::VcpuTime;

    use crate::tests::observed;

    #[test]
    fn the_best_tier_that_works_is_named_with_the_reason() {
        let time = |time_ns, delay_ns| VcpuTime {
            number: 0,
            time_ns,
            delay_ns,
        };
        let guest = |times: &[VcpuTime]| Observed {
            vcpu_times: times.to_vec(),
            ..observed("g1", 1)
        };
        let gone = || Err("no process".to_owned());
        let tier = |finding: Finding| finding.tier;
        assert_eq!(
            tier(judge(&guest(&[]), Tier::Schedstat, Ok("1".into()))),
            Some(Tier::Schedstat)
        );
        assert_eq!(
            tier(judge(
                &guest(&[time(Some(1), Some(1))]),
                Tier::Schedstat,
                gone()
            )),
            Some(Tier::Libvirt)
        );
        let without_delay = judge(&guest(&[time(Some(1), None)]), Tier::Schedstat, gone());
        assert_eq!(without_delay.why, "no process; libvirt tells no run delay");
        assert_eq!(
            tier(judge(
                &guest(&[time(None, Some(1))]),
                Tier::Schedstat,
                gone()
            )),
            None
        );
        assert_eq!(tier(judge(&guest(&[]), Tier::Schedstat, gone())), None);
    }
}
