//! Says how each guest would be measured now, and why.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;
use vmpack_domain::units::{Micros, MilliCores, Ratio, count};
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

/// Asks a guest's QEMU for its vCPU threads; gives its answer to `query-cpus-fast`.
pub type Ask<'a> = &'a dyn Fn(Uuid) -> Result<String, String>;

/// Looks for each guest's vCPU threads below a mount of procfs, and reads them once. With `ask`, QEMU
/// is asked whether they are its vCPUs.
#[must_use]
pub fn examine(
    proc: &Path,
    guests: &[Observed],
    ask: Option<Ask<'_>>,
) -> BTreeMap<GuestName, Finding> {
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
                    let found = readable(proc, process, &threads)?;
                    Ok(match ask {
                        None => found,
                        Some(ask) => {
                            let said = confirmed(proc, process, &threads, ask(seen.uuid));
                            format!("{found}; {said}")
                        }
                    })
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
    let threads_of = count(threads.len(), "vCPU thread");
    // QEMU 7.2 crashes on being asked for the dirty log of a guest without KVM.
    let kvm = threads
        .iter()
        .all(|thread| threads::is_kvms(proc, process, *thread));
    let dirty = if kvm {
        ""
    } else {
        "; without KVM: dirty pages by page sampling"
    };
    Ok(format!("{threads_of} of process {process}{dirty}"))
}

/// What QEMU's answer says of the threads that were found by their names.
fn confirmed(proc: &Path, process: i32, threads: &[i32], answer: Result<String, String>) -> String {
    let told = answer.and_then(|answer| told_threads(&answer));
    let own: Vec<Option<i32>> = threads
        .iter()
        .map(|thread| innermost(proc, process, *thread))
        .collect();
    match told {
        Ok(told) if told.iter().copied().map(Some).eq(own.iter().copied()) => {
            "QEMU says the same".to_owned()
        }
        Ok(told) => format!("QEMU names threads {told:?} of its PID namespace instead"),
        Err(why) => format!("QEMU was not asked: {why}"),
    }
}

/// The threads in an answer to `query-cpus-fast`, in order of the vCPUs; of vCPUs that share a thread
/// it stands once.
fn told_threads(answer: &str) -> Result<Vec<i32>, String> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "return")]
        vcpus: Vec<Vcpu>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct Vcpu {
        cpu_index: u32,
        thread_id: i32,
    }
    let answer: Answer = serde_json::from_str(answer).map_err(|e| format!("its answer: {e}"))?;
    let mut vcpus = answer.vcpus;
    vcpus.sort_unstable_by_key(|vcpu| vcpu.cpu_index);
    let mut threads: Vec<i32> = vcpus.iter().map(|vcpu| vcpu.thread_id).collect();
    threads.dedup();
    Ok(threads)
}

/// A thread's number in the PID namespace that its process is in (`NSpid`).
fn innermost(proc: &Path, process: i32, thread: i32) -> Option<i32> {
    let status = proc.join(format!("{process}/task/{thread}/status"));
    let status = std::fs::read_to_string(status).ok()?;
    let numbers = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_ascii_whitespace().next_back()?.parse().ok()
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
    fn qemus_answer_is_compared_with_the_names() {
        let answer = |threads: &[i32]| {
            let vcpus = threads.iter().enumerate().map(|(index, thread)| {
                format!(r#"{{"cpu-index": {index}, "thread-id": {thread}, "qom-path": "/m"}}"#)
            });
            // QEMU keeps no order.
            let vcpus: Vec<String> = vcpus.rev().collect();
            Ok(format!(
                r#"{{"return": [{}], "id": "libvirt-9"}}"#,
                vcpus.join(",")
            ))
        };
        let proc = tempfile::tempdir().unwrap();
        for (thread, inside) in [(71, 8), (72, 9)] {
            let task = proc.path().join(format!("70/task/{thread}"));
            std::fs::create_dir_all(&task).unwrap();
            let status = format!("Name:\tCPU\nNSpid:\t{thread}\t{inside}\n");
            std::fs::write(task.join("status"), status).unwrap();
        }
        let said = |told| confirmed(proc.path(), 70, &[71, 72], told);
        assert_eq!(said(answer(&[8, 9])), "QEMU says the same");
        assert!(said(answer(&[9, 8])).contains("[9, 8] of its PID namespace instead"));
        assert!(said(Err("no right".to_owned())).ends_with("not asked: no right"));
        assert!(said(Ok("{}".to_owned())).contains("its answer: missing field"));
        // One thread for all vCPUs of TCG.
        assert_eq!(told_threads(&answer(&[5, 5]).unwrap()), Ok(vec![5]));
    }

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
