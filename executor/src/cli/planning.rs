//! Plans that the executor makes by itself: by the clock, and for what a run left undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use vmpack_domain::plan::{Outcome, Plan};
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, Load, Policy};
use vmpack_planner::search::Search;

use super::say::note;
use crate::replan::round::Anew;

/// How often a run may be planned anew.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Replan {
    /// Where moves failed for good, plan what is left anew from the hosts as they are, and carry that out
    /// without asking again; up to N times. No guest is sent again to a host to which its move failed, unless
    /// rules let it neither stay nor go elsewhere
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=16))]
    pub(super) replan: u32,
}

impl Replan {
    /// How plans are made anew under that load, unless none are; none is begun once `stopped` is set.
    pub(super) fn anew(self, load: &Load, stopped: &Arc<AtomicBool>) -> Option<Anew> {
        let (load, stop) = (load.clone(), Arc::clone(stopped));
        (self.replan > 0).then(|| Anew {
            most: self.replan,
            planner: Arc::new(move |cluster: &Cluster, policy: &Policy| {
                plan(cluster, &load, policy, &|| stop.load(Ordering::Relaxed))
            }),
            stopped: Arc::clone(stopped),
        })
    }

    /// Says that the executor at work does not do it.
    pub(super) fn is_not_handed_over(self) {
        if self.replan > 0 {
            note("--replan does not hold for what the executor at work carries out");
        }
    }
}

/// The plan for that cluster, or why there is none.
pub(super) fn plan(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    stop: &dyn Fn() -> bool,
) -> Result<Plan, String> {
    let began = Instant::now();
    let elapsed = || Micros(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    let mut search = Search {
        elapsed: &elapsed,
        stop,
        report: &mut |_| {},
    };
    match vmpack_planner::plan(cluster, load, policy, &mut search) {
        Outcome::Optimal(plan) | Outcome::Feasible(plan) => Ok(plan),
        Outcome::Infeasible(reasons) => Err(format!("infeasible: {}", reasons.join("; "))),
        Outcome::NoAnswer { limit } => Err(format!("no plan within the limit ({limit})")),
    }
}
