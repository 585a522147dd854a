//! `vmpack replay`.

use std::path::PathBuf;

use clap::Args;
use vmpack_domain::units::{Micros, Permille};

use super::InputArguments;

pub(super) const EXAMPLES: &str = "\
Examples:
  vmpack replay --trace planetlab 20110303.tar.gz --policies lr-mmt,vmpack --json
  vmpack replay --trace planetlab 20110303/ --policies none,dvfs,thr-mmt,iqr-mmt,mad-mmt,lr-mmt,lr-mc
  vmpack replay --trace planetlab 20110303/ --policies lr-mmt-1.1,vmpack-0.5 --count-memory
  vmpack replay --trace planetlab 20110303/ --policies vmpack --events events.jsonl
  vmpack replay --trace planetlab 20110303/ --policies thr-mmt,lr-mmt,vmpack --curve curve.svg
  vmpack replay --trace planetlab 20110303/ --policies thr-mmt,lr-mmt,vmpack --report policies.html
  vmpack replay --cluster cluster.yaml --load load.yaml --policy policy.yaml --policies none,lr-mmt,plan
  vmpack replay --cluster cluster.yaml --load load.yaml --policies plan-30m,plan-6h --kill h001@6h --json
  vmpack replay --scenario surge --hosts 200 --guests 2000

Policies: none (all hosts at full power), dvfs (first fit, no migrations), and the heuristics of
CloudSim's power package: thr-mmt-0.8, iqr-mmt-1.5, mad-mmt-2.5, lr-mmt-1.2 (mc instead of mmt for maximum
correlation), ff-mmt-0.8 (first fit); vmpack-0.1-2.5: the share of hosts that may be found overloaded,
and the migrations that a guest is allowed in a day. Numbers may be left out. With --cluster also plan-1h:
what `vmpack plan` would do every hour, by what was recorded until then, with relief in between; it alone
keeps the policy file's rules.

With --trace the world is that of CloudSim 3.0.3's power examples: two kinds of hosts in turn, four of
guests. With --cluster it is yours: guests start where they are and want what the windows of their load
say; migrations take what they are predicted to take by the policy, and cost a guest a tenth of its CPU
meanwhile. A policy sees the present and the past. Shares (slav, slatah, pdm, unserved) are fractions. The
same call gives the same result, but for the time it took.";

/// Watts of a host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Watts {
    /// Without load.
    pub(crate) idle: f64,
    /// At full load.
    pub(crate) full: f64,
}

impl std::str::FromStr for Watts {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |t: &str| {
            t.trim()
                .parse()
                .ok()
                .filter(|w: &f64| (0.0..1e6).contains(w))
        };
        let two = text.split_once(',');
        let two = two.and_then(|(i, f)| number(i).zip(number(f)));
        let two = two.filter(|(idle, full)| idle <= full);
        let wrong = || {
            format!(
                "read `{text}`, expected the watts of an idle and of a full host, such as `100,300`"
            )
        };
        two.map(|(idle, full)| Self { idle, full })
            .ok_or_else(wrong)
    }
}

/// An operator's own cluster, as other commands take it.
#[derive(Debug, Args)]
pub(crate) struct OwnArguments {
    /// In place of a trace the hosts and guests of this cluster file, or a folder of them, or `-`; repeat
    /// it to merge several
    #[arg(long, value_name = "PATH", requires = "load", conflicts_with_all = ["trace", "order", "hosts", "count_memory", "keep_resting"])]
    pub(crate) cluster: Vec<PathBuf>,
    /// Load with windows over time, such as the probe's history or an import
    #[arg(long, value_name = "PATH", requires = "cluster")]
    pub(crate) load: Vec<PathBuf>,
    /// Policy file, a folder of them, or `-`; repeat it to merge several
    #[arg(long, value_name = "PATH", requires = "cluster")]
    pub(crate) policy: Vec<PathBuf>,
    /// What each of its hosts draws idle and at full load, in a straight line between; asleep nothing
    /// [default: 100,300]
    #[arg(long, value_name = "IDLE,FULL", requires = "cluster")]
    pub(crate) watts: Option<Watts>,
}

impl OwnArguments {
    /// The files, where there are any.
    pub(crate) fn inputs(&self) -> Option<InputArguments> {
        (!self.cluster.is_empty()).then(|| InputArguments {
            cluster: self.cluster.clone(),
            load: self.load.clone(),
            policy: self.policy.clone(),
        })
    }
}

/// What is made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Guests rise from little to all their vCPUs, for some minutes
    Surge,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArguments {
    /// The trace's format (planetlab), and the folder or .tar.gz that holds it; replayed to the end of the
    /// longest of its files
    #[arg(long, value_names = ["FORMAT", "PATH"], num_args = 2, required_unless_present_any = ["scenario", "cluster"])]
    pub(crate) trace: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) own: OwnArguments,
    /// Policies, each replayed by itself [default: lr-mmt,vmpack; with --cluster none,lr-mmt,plan]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) policies: Vec<String>,
    /// The order of the guests, a name a line [default: DAY.order beside the trace DAY, if there is
    /// one; else by name]
    #[arg(long, value_name = "FILE")]
    pub(crate) order: Option<PathBuf>,
    /// How many hosts, of the two kinds in turn [default: 800; of a scenario 200, all alike]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) hosts: Option<u32>,
    /// In place of a trace a scenario of 24 hours: packed guests, and surges in some of them, without packing
    /// and relieved by either kind of migration
    #[arg(long, value_enum, value_name = "NAME", conflicts_with_all = ["trace", "cluster", "policies", "order", "count_memory", "keep_resting", "wake_time", "failing", "kill", "events", "curve", "report"])]
    pub(crate) scenario: Option<Scenario>,
    /// How many guests the scenario has
    #[arg(long, value_name = "N", default_value_t = 2000, requires = "scenario", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) guests: u32,
    /// How many surges it has
    #[arg(long, value_name = "N", default_value_t = 400, requires = "scenario")]
    pub(crate) surges: u32,
    /// Let memory limit every migration, not only where guests start; with --cluster it does
    #[arg(long)]
    pub(crate) count_memory: bool,
    /// Let guests stay that want nothing for a while, which CloudSim takes for finished
    #[arg(long)]
    pub(crate) keep_resting: bool,
    /// Let hosts take so long to wake, such as `60s`, and draw their idle power until they sleep [without
    /// it: hosts without load draw nothing and wake at once, as in CloudSim; with --cluster 60s]
    #[arg(long, value_name = "TIME")]
    pub(crate) wake_time: Option<Micros>,
    /// Let so many migrations fail, such as `1%`
    #[arg(long, value_name = "SHARE", default_value = "0%")]
    pub(crate) failing: Permille,
    /// Which of them fail
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Let this host die at that time, such as `h001@3600s`; its guests start anew elsewhere
    #[arg(long, value_name = "HOST@TIME")]
    pub(crate) kill: Vec<String>,
    /// Write what happens to this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Replay each policy with several settings, print energy against SLATAH, and draw that into this
    /// SVG file
    #[arg(long, value_name = "FILE", conflicts_with = "events")]
    pub(crate) curve: Option<PathBuf>,
    /// Write the policies side by side as a page that holds all in itself, with the picture, into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Print a JSON object a line for each policy
    #[arg(long)]
    pub(crate) json: bool,
}
