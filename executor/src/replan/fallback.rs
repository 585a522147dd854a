//! Where there is no plan that keeps what failed from being tried again.

use std::collections::BTreeSet;

use vmpack_domain::plan::Plan;
use vmpack_domain::rule::guests_named;
use vmpack_domain::{GuestName, Load, check};

use super::{Basis, hold_still};

/// The plan that is made from that; where none keeps its cuts, the one of [`held`], and where what failed may not stay
/// either, the one of [`lifted`], unless it is `stopped`.
///
/// # Errors
/// Why there is none.
pub fn made(
    basis: Basis,
    planner: &dyn Fn(&Basis) -> Result<Plan, String>,
    stopped: &dyn Fn() -> bool,
) -> Result<Plan, String> {
    let planned = |basis: Basis| {
        let mut plan = planner(&basis)?;
        plan.reasons.splice(0..0, basis.why);
        Ok(plan)
    };
    // A cut may be what there is no plan with.
    let others = [held(&basis), lifted(&basis)];
    let first = planned(basis);
    others
        .into_iter()
        .flatten()
        .fold(first, |plan, other| match plan {
            Err(why) if !stopped() => planned(other).map_err(|_: String| why),
            plan => plan,
        })
}

/// The same, for where no plan keeps the cuts: the guests that they are of stay where they are. Nothing
/// where that changes nothing.
#[must_use]
pub fn held(basis: &Basis) -> Option<Basis> {
    let mut held = basis.clone();
    hold_still(&mut held.cluster, |guest| basis.cut.contains_key(guest));
    if held.cluster == basis.cluster {
        return None;
    }
    held.why.push(format!(
        "no plan was found with that, so what failed stays where it is: {}",
        names(basis.cut.keys())
    ));
    Some(held)
}

/// The same without the cuts of guests that are named by a rule which is broken as they are, and may let them neither
/// stay nor go elsewhere: the same is tried again for them, and the rest is planned. Nothing where there are none.
#[must_use]
pub fn lifted(basis: &Basis) -> Option<Basis> {
    let (cluster, policy) = (&basis.cluster, &basis.policy);
    let broken = check::placement(cluster, &Load::default(), policy, &cluster.placement());
    let broken: BTreeSet<&str> = { broken.iter() }
        .filter_map(|found| found.law.strip_prefix("rule "))
        .collect();
    let rules = { policy.rules.iter() }.filter(|rule| broken.contains(rule.name.as_str()));
    let torn: BTreeSet<GuestName> = rules
        .flat_map(|rule| guests_named(rule.kind.guests(), cluster).unwrap_or_default())
        .cloned()
        .collect();
    let cuts = basis.cut.iter().filter(|cut| torn.contains(cut.0));
    let ruled = cuts.filter_map(|(guest, rule)| Some((guest, rule.as_ref()?)));
    let (guests, rules): (Vec<_>, BTreeSet<_>) = ruled.unzip();
    if guests.is_empty() {
        return None;
    }
    let mut lifted = basis.clone();
    lifted
        .policy
        .rules
        .retain(|rule| !rules.contains(&rule.name));
    lifted.cut.retain(|guest, _| !guests.contains(&guest));
    lifted.why.push(format!(
        "no plan was found with that, nor where they are, which breaks rules, so the same is tried again for {}",
        names(guests.iter().copied())
    ));
    Some(lifted)
}

fn names<'a>(guests: impl IntoIterator<Item = &'a GuestName>) -> String {
    let names: Vec<&str> = guests.into_iter().map(GuestName::as_str).collect();
    names.join(", ")
}
