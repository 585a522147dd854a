//! Which rules are in each other's way: a deletion filter (Chinneck, "Feasibility and Infeasibility
//! in Optimization", 2008, chapter 6). A rule without which there is still no placement is dropped;
//! of those that remain, each is needed for the conflict.

use vmpack_domain::{Cluster, Load, Policy};

use crate::effort::Effort;
use crate::instance::Instance;
use crate::pack::{Answer, any};
use crate::search::Search;

/// The most rules that are tried one by one.
const RULES: usize = 60;

/// Why a problem that is proven to have no placement has none.
pub(crate) fn conflict(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    search: &Search,
) -> Vec<String> {
    let mut left = policy.clone();
    let mut certain = true;
    // Without the limit on moves first: the user would rather move more than drop a rule.
    let most = left.limits.moves.take();
    match without(cluster, load, &left, search) {
        Some(false) => {}
        found => {
            certain &= found.is_some();
            left.limits.moves = most;
        }
    }
    let mut tried = 0;
    while tried < left.rules.len().min(RULES) {
        let rule = left.rules.remove(tried);
        match without(cluster, load, &left, search) {
            Some(false) => {}
            found => {
                certain &= found.is_some();
                left.rules.insert(tried, rule);
                tried += 1;
            }
        }
    }
    let untried = left.rules.split_off(tried);
    let mut named: Vec<String> = left
        .rules
        .iter()
        .map(|r| format!("rule {}", r.name))
        .collect();
    named.extend(left.limits.moves.map(|m| format!("`limits.moves` of {m}")));
    if named.is_empty() && untried.is_empty() {
        return vec![without_rules((cluster, load, &left), search)];
    }
    let mut text = match named.as_slice() {
        [one] => format!("{one} cannot hold"),
        many => format!("{} cannot all hold", many.join(" and ")),
    };
    if untried.is_empty() {
        text += ", whatever the other rules";
    }
    let mut told = vec![text];
    if !certain {
        told.push("some of these may be innocent: a limit ended the search for the cause".into());
    }
    if !untried.is_empty() {
        told.push(format!(
            "{} more rules were not left out one by one, and may have a part in it",
            untried.len()
        ));
    }
    told
}

/// Why there is no placement even without rules: guests that may not move, if they alone are the cause.
fn without_rules((cluster, load, policy): (&Cluster, &Load, &Policy), search: &Search) -> String {
    let mut free = cluster.clone();
    free.guests.iter_mut().for_each(|g| g.movable = true);
    if without(&free, load, policy, search) != Some(true) {
        return "the guests do not fit the hosts, whatever the rules: no assignment keeps every host \
                within its room"
            .to_owned();
    }
    // Those that may move without making room are not the cause.
    let mut bound: Vec<usize> = (0..cluster.guests.len())
        .filter(|g| !cluster.guests[*g].movable)
        .collect();
    let mut tried = 0;
    while tried < bound.len().min(RULES) {
        let guest = bound.remove(tried);
        bound.iter().for_each(|g| free.guests[*g].movable = false);
        free.guests[guest].movable = true;
        if without(&free, load, policy, search) != Some(false) {
            free.guests[guest].movable = false;
            bound.insert(tried, guest);
            tried += 1;
        }
    }
    format!(
        "{} may not move (`movable: false`), and where they run they leave no room for all guests, whatever \
         the rules",
        super::few(bound.iter().map(|g| cluster.guests[*g].name.as_str()))
    )
}

/// Whether there is a placement under that policy.
fn without(cluster: &Cluster, load: &Load, policy: &Policy, search: &Search) -> Option<bool> {
    let Ok(problem) = super::contradiction(cluster, load, policy) else {
        return Some(false);
    };
    let inst = Instance::build(&problem).ok()?;
    match any(&inst, policy, &Effort::share(search, policy, 300)) {
        Answer::Found(_) => Some(true),
        Answer::Impossible => Some(false),
        Answer::Nothing(_) => None,
    }
}
