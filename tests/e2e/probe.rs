//! The probe as a user with few rights runs it.

use std::process::Command;

use crate::bin;
use crate::daemon::skip;

/// The tier of a metric and why it is no better, as `doctor` says with only these capabilities;
/// `None` where capabilities cannot be dropped.
fn doctor(capabilities: &str, metric: &str) -> Option<(String, String)> {
    let output = Command::new("setpriv")
        .arg(format!("--bounding-set=-all{capabilities}"))
        .arg("--inh-caps=-all")
        .arg(bin("vmpack-probe"))
        .args(["doctor", "--json", "--uri", "test:///default"])
        .output();
    let Some(output) = output.ok().filter(|output| output.status.success()) else {
        skip("probe", "no setpriv, or no right to drop capabilities");
        return None;
    };
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("doctor prints JSON");
    let text = |part: &str| report["metrics"][metric][part].as_str().map(str::to_owned);
    Some((text("tier")?, text("why")?))
}

const RUN: &str = "run time, run delay, demand";

#[test]
fn two_capabilities_are_enough_for_the_best_tier() {
    let Some((tier, why)) = doctor(",+bpf,+perfmon", RUN) else {
        return;
    };
    if tier != "ebpf" {
        // With all rights it may be no better: then this kernel has no more.
        let (best, _) = doctor(",+all", RUN).expect("it was asked before");
        assert_eq!(best, tier, "{why}");
        skip("probe", &format!("no eBPF here: {why}"));
    }
}

#[test]
fn without_any_capability_it_still_measures_and_says_what_is_missing() {
    let Some((tier, why)) = doctor("", RUN) else {
        return;
    };
    assert_eq!(tier, "schedstat");
    assert!(why.contains("CAP_BPF"), "{why}");
    let (tier, why) = doctor("", "overload of the host, as it begins").expect("a metric");
    assert_eq!(tier, "not measured");
    assert!(!why.is_empty());
}
