//! Which tier each metric has on this host, and why not the better one. Found out by trying: the
//! kernel's version says little of what a distribution or a lockdown allows.

use std::path::Path;

use vmpack_domain::units::{Micros, MilliCores, Ratio};

use crate::ebpf::{Ebpf, Hook, dirty_hooks};
use crate::quota;

/// What a metric is measured by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// What is measured.
    pub metric: &'static str,
    /// By what.
    pub tier: &'static str,
    /// Why it is not the better tier; empty where there is none.
    pub why: String,
}

const NOT_MEASURED: &str = "not measured";

/// Tries what this host offers. `writable` says whether libvirt lets us ask for measurements.
#[must_use]
pub fn metrics(proc: &Path, writable: Result<(), String>) -> Vec<Metric> {
    let source = Ebpf::start(Micros::millis(100), Ratio::ONE, MilliCores(1000), 1);
    let by_ebpf = source.as_ref().map(drop).map_err(ToString::to_string);
    let overload = match &source {
        Ok(source) => source.no_overload().map_or(Ok(()), Err),
        Err(why) => Err(why.to_string()),
    };
    drop(source);
    let readable = std::fs::read_to_string(proc.join("self/schedstat")).is_ok();
    let kvm = match std::fs::metadata("/dev/kvm") {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("/dev/kvm: {error}")),
    };
    let hooks = dirty_hooks().map_err(|why| why.to_string());
    vec![
        run_time(&by_ebpf, readable),
        else_nothing("single waits (histogram)", "ebpf", by_ebpf.clone()),
        else_nothing("overload of the host, as it begins", "ebpf", overload),
        throttling(proc),
        dirty_pages(hooks, kvm, writable),
    ]
}

fn run_time(by_ebpf: &Result<(), String>, readable: bool) -> Metric {
    let (tier, why) = match (by_ebpf, readable) {
        (Ok(()), _) => ("ebpf", String::new()),
        (Err(why), true) => ("schedstat", why.clone()),
        (Err(why), false) => ("libvirt", format!("{why}; no schedstat in /proc")),
    };
    Metric {
        metric: "run time, run delay, demand",
        tier,
        why,
    }
}

fn else_nothing(metric: &'static str, tier: &'static str, works: Result<(), String>) -> Metric {
    let (tier, why) = match works {
        Ok(()) => (tier, String::new()),
        Err(why) => (NOT_MEASURED, why),
    };
    Metric { metric, tier, why }
}

fn throttling(proc: &Path) -> Metric {
    let works = if quota::has_controller(proc) {
        Ok(())
    } else {
        Err("no cgroup has the CPU controller; it counts as run delay".to_owned())
    };
    else_nothing("throttling by a guest's own quota", "cgroup", works)
}

fn dirty_pages(
    hooks: Result<Vec<Hook>, String>,
    kvm: Result<(), String>,
    writable: Result<(), String>,
) -> Metric {
    let metric = "dirty pages, in sampling windows";
    if let Err(why) = writable {
        let why = format!("QEMU is not asked for a dirty log: {why}");
        return else_nothing(metric, NOT_MEASURED, Err(why));
    }
    let (tier, why) = match (kvm, hooks) {
        (Err(why), _) => ("page-sampling", format!("{why}; a lower bound")),
        (Ok(()), Err(why)) => ("dirty-log", why),
        (Ok(()), Ok(hooks)) => {
            let missing: Vec<String> = hooks
                .iter()
                .filter_map(|hook| {
                    let why = hook.missing.as_ref()?;
                    Some(format!("not by {} ({}): {why}", hook.name, hook.sees))
                })
                .collect();
            ("ebpf", missing.join("; "))
        }
    };
    Metric { metric, tier, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_tier_that_works_is_named_with_what_the_better_lacks() {
        let no = || Err("no right".to_owned());
        let tier = |metric: Metric| (metric.tier, metric.why);
        assert_eq!(tier(run_time(&Ok(()), false)), ("ebpf", String::new()));
        assert_eq!(tier(run_time(&no(), true)).0, "schedstat");
        assert_eq!(tier(run_time(&no(), false)).0, "libvirt");
        let hook = |missing| Hook {
            name: "h",
            sees: "s",
            missing,
        };
        let dirty = |hooks, kvm, writable| tier(dirty_pages(hooks, kvm, writable));
        assert_eq!(
            dirty(Ok(vec![hook(None)]), Ok(()), Ok(())),
            ("ebpf", String::new())
        );
        assert_eq!(dirty(Err("no".into()), Ok(()), Ok(())).0, "dirty-log");
        assert_eq!(dirty(Ok(vec![]), no(), Ok(())).0, "page-sampling");
        let (tier, why) = dirty(Ok(vec![]), Ok(()), no());
        assert_eq!(tier, NOT_MEASURED);
        assert!(why.contains("no right"), "{why}");
    }
}
