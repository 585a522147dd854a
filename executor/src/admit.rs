//! Whether a plan may be begun, asked of the hosts: its preconditions, and who lays claim to its guests.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::exit::Exit;
use vmpack_domain::plan::Plan;
use vmpack_domain::{Cluster, GuestName, HostName};

use crate::attempt::Scene;
use crate::claim;
use crate::holder::Refusal;
use crate::preflight::{Change, Precondition, Sightings, carried_out, preflight};
use vmpack_hypervisor::{Error, Hypervisor, survey};

/// What became of a plan before it was begun.
#[derive(Debug)]
pub enum Admission {
    /// It may be begun; the hosts as they are.
    Fits(Cluster),
    /// Every guest is where it puts it already; the hosts as they are.
    CarriedOut(Cluster),
}

/// Which hosts are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// All that were awake when they were described: each has to answer.
    All,
    /// Those between which the plan moves guests. One that sleeps or died elsewhere is no reason to
    /// leave these as they are.
    Ends,
}

/// Asks the hosts. Blocks.
///
/// # Errors
/// Why the plan is refused: a host does not answer, what it rests on does not hold any more, or a guest
/// is another's.
pub fn admit(scene: &Scene, plan: &Plan, ask: Ask) -> Result<Admission, Refusal> {
    let hypervisor = &scene.hypervisor;
    let environment = |e: Error| {
        let hint = "is libvirtd running there, and does it take connections of this kind?";
        Refusal::new(Exit::Environment, e.to_string()).hint(hint)
    };
    let now = match ask {
        Ask::All => hypervisor.snapshot(),
        Ask::Ends => ends(hypervisor.as_ref(), plan),
    };
    let now = now.map_err(environment)?;
    if carried_out(plan, &now) {
        return Ok(Admission::CarriedOut(now));
    }
    let mut seen = Sightings::new();
    for mv in &plan.moves {
        if !seen.contains_key(&mv.guest) {
            let located = hypervisor.locate(&mv.guest, &[&mv.from, &mv.to]);
            seen.insert(mv.guest.clone(), located.seen);
        }
    }
    let mut changes = preflight(plan, &now, &seen);
    let placement = now.placement();
    let mut asked = BTreeSet::new();
    for mv in &plan.moves {
        // A guest that is elsewhere is told of already.
        if placement.get(&mv.guest) != Some(&mv.from) || !asked.insert(&mv.guest) {
            continue;
        }
        let claims = hypervisor.claims(&mv.guest, &mv.from);
        let claims = claims.map_err(environment)?;
        let foreign = plan.policy.migrations.foreign;
        let wall = (scene.wall)();
        match claim::refusal(&mv.guest, &claims, foreign, &scene.controller, wall) {
            None => {}
            Some(refusal @ claim::Refusal::Leased { .. }) => {
                return Err(Refusal::new(Exit::Environment, refusal.to_string())
                    .hint("let that controller end its work, or wait until the lease has ended"));
            }
            Some(refusal @ claim::Refusal::Managed { .. }) => changes.push(Change {
                id: mv.id.clone(),
                of: Precondition::Consent,
                detail: refusal.to_string(),
            }),
        }
    }
    if changes.is_empty() {
        return Ok(Admission::Fits(now));
    }
    let all: Vec<String> = changes.iter().map(|c| format!("\n  {c}")).collect();
    let error = format!("the plan is stale, nothing was done:{}", all.concat());
    let mut refusal =
        Refusal::new(Exit::StalePlan, error).hint("take a new snapshot and plan again");
    refusal.changes = changes;
    Err(refusal)
}

/// The hosts between which the plan moves guests, as they are now.
fn ends(hypervisor: &dyn Hypervisor, plan: &Plan) -> Result<Cluster, Error> {
    let hosts = plan.moves.iter().flat_map(|m| [&m.from, &m.to]);
    let hosts: BTreeSet<&HostName> = hosts.collect();
    let hosts: Vec<&HostName> = hosts.into_iter().collect();
    // The first move of a guest says where it is before any.
    let mut first: BTreeMap<&GuestName, &HostName> = BTreeMap::new();
    for mv in &plan.moves {
        first.entry(&mv.guest).or_insert(&mv.from);
    }
    survey(hypervisor, &hosts, |guest| first.get(guest).copied()).all()
}
