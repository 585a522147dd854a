//! N+k: whether guests find a place when hosts are lost, in two readings.
//!
//! - *Restart*: the guests of the lost hosts start on the rest while every other guest stays where it is.
//!   Guests that wait, or whose host drains, are placed along.
//! - *Moving*: the others may move, as far as `pin` and `movable` allow. It holds where *restart* does.
//!
//! In both, every host keeps within its room and every rule holds, as [`vmpack_domain::check::placement`]
//! judges, but for what an emergency is there to use up or does not ask: `spare`, `max-moves`,
//! `limits.moves` and the cooldown. Hosts that sleep may be woken. A guest that was pinned to a lost host
//! may start anywhere else. Where windows may be overloaded, or a search ends at its limit, an answer can
//! be open; else it is proven: by a placement, by counting, by a bound on the hosts, or by HiGHS.

use schemars::JsonSchema;
use serde::Serialize;
use vmpack_domain::rule::RuleKind;
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, GuestName, HostName, HostState, Load, Policy};
use vmpack_ilp::bound;
use vmpack_ilp::problem::Problem;

use crate::effort::Effort;
use crate::explain;
use crate::instance::Instance;
use crate::pack::{Answer, any, pack};
use crate::search::Search;
use crate::whatif::Scene;

/// Search effort of each reading of each loss, in nodes.
const NODES: u64 = 3000;
/// Ends a search that would run away.
const LONGEST: Micros = Micros::secs(10);

/// What comes of a loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Loss {
    /// The hosts that are lost together.
    pub hosts: Vec<HostName>,
    /// Whether their guests can start on the rest, nobody else moving.
    pub restart: Verdict,
    /// Whether they can when others move.
    pub moving: Verdict,
}

/// Whether a loss is survived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It is: there is a placement.
    Survived,
    /// It is not, proven.
    Failed {
        /// Why.
        why: String,
    },
    /// Neither was found within the limits.
    Open,
}

/// Every set of so many hosts that can be lost together; hosts that are out are lost already.
#[must_use]
pub fn sets(cluster: &Cluster, k: usize) -> Vec<Vec<HostName>> {
    let there = cluster.hosts.iter().filter(|h| h.state != HostState::Out);
    let names: Vec<&HostName> = there.map(|h| &h.name).collect();
    let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..k {
        sets = sets
            .into_iter()
            .flat_map(|set| {
                let from = set.last().map_or(0, |h| h + 1);
                (from..names.len()).map(move |h| {
                    let mut set = set.clone();
                    set.push(h);
                    set
                })
            })
            .collect();
    }
    let named = |set: Vec<usize>| set.into_iter().map(|h| names[h].clone()).collect();
    sets.into_iter().map(named).collect()
}

/// What comes of losing these hosts together.
#[must_use]
pub fn lose(scene: &Scene, hosts: &[HostName], search: &mut Search) -> Loss {
    let policy = emergency(&scene.policy);
    let mut cluster = scene.cluster.clone();
    for host in cluster.hosts.iter_mut().filter(|h| hosts.contains(&h.name)) {
        host.state = HostState::Out;
    }
    let moving = cluster.clone();
    for guest in &mut cluster.guests {
        let host = guest.host.as_ref();
        let stays = host.and_then(|name| moving.host(name));
        if stays.is_some_and(|h| h.state.takes_guests()) {
            guest.movable = false;
        }
    }
    let restart = verdict(&cluster, &scene.load, &policy, search);
    let moving = match restart {
        Verdict::Survived => Verdict::Survived,
        Verdict::Failed { .. } | Verdict::Open => verdict(&moving, &scene.load, &policy, search),
    };
    Loss {
        hosts: hosts.to_vec(),
        restart,
        moving,
    }
}

/// The policy as it holds after a loss.
#[must_use]
pub fn emergency(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    let asked =
        |kind: &RuleKind| !matches!(kind, RuleKind::Spare { .. } | RuleKind::MaxMoves { .. });
    policy.rules.retain(|rule| asked(&rule.kind));
    policy.objective = None;
    policy.limits.moves = None;
    policy.limits.cooldown = None;
    policy.limits.nodes = Some(NODES);
    policy.limits.time = LONGEST;
    policy
}

/// Whether all guests have a place.
pub(crate) fn verdict(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    search: &mut Search,
) -> Verdict {
    let failed = |why: Vec<String>| Verdict::Failed {
        why: why.join("; "),
    };
    let problem = match explain::contradiction(cluster, load, policy) {
        Ok(problem) => problem,
        Err(why) => return failed(why),
    };
    // Whatever the hosts cost: only whether there is a placement counts.
    let mut free = problem.clone();
    free.hosts
        .iter_mut()
        .filter(|h| h.open)
        .for_each(|h| h.always = true);
    let Ok(inst) = Instance::build(&free) else {
        return Verdict::Open;
    };
    match any(&inst, policy, &Effort::share(search, policy, 500)) {
        Answer::Found(_) => return Verdict::Survived,
        Answer::Impossible => return failed(vec![tight(&problem)]),
        Answer::Nothing(_) => {}
    }
    let mut bound = bound::hosts(&problem.plain());
    let open = problem.hosts.iter().filter(|h| h.open).count();
    if bound.hosts > open {
        return failed(vec![format!(
            "at least {} hosts are needed ({}), {open} are left",
            bound.hosts, bound.origin
        )]);
    }
    let Ok(inst) = Instance::build(&problem) else {
        return Verdict::Open;
    };
    let mut effort = Effort::share(search, policy, 900);
    match pack(&inst, &mut bound, policy, &mut effort, search.report) {
        Answer::Found(_) => Verdict::Survived,
        Answer::Impossible => failed(vec![tight(&problem)]),
        Answer::Nothing(_) => Verdict::Open,
    }
}

/// Why there is no placement, where counting does not tell: the guests with fewest hosts to choose from.
fn tight(problem: &Problem) -> String {
    let placed = |g: &vmpack_ilp::problem::GuestItem| g.current.is_none();
    let lost: Vec<&GuestName> = problem
        .guests
        .iter()
        .filter(|g| placed(g))
        .map(|g| &g.name)
        .collect();
    match lost.as_slice() {
        [] => "no assignment keeps every host within its room and every rule".into(),
        [one] => format!("{one} has no place together with all others"),
        [first, ..] => format!(
            "{} guests, {first} among them, have no places together with all others",
            lost.len()
        ),
    }
}
