//! Which rules are in each other's way: a deletion filter (Chinneck, "Feasibility and Infeasibility
//! in Optimization", 2008, chapter 6). A rule without which there is still no placement is dropped;
//! of those that remain, each is needed for the conflict. Where no rule is, hosts that drain and guests
//! that may not move are filtered in the same way.

use vmpack_domain::{Cluster, Load, Policy};

use super::change::Change;
use super::few;
use super::relax::least_set;
use crate::effort::Effort;
use crate::instance::Instance;
use crate::pack::{Answer, any};
use crate::search::Search;

/// The inputs without a placement, and whether every try of them so far had an answer.
struct Filter<'a, 's> {
    input: (&'a Cluster, &'a Load, &'a Policy),
    search: &'a Search<'s>,
    /// Of the time left, for each try, in thousandths.
    share: u64,
    certain: bool,
}

/// Why a problem that is proven to have no placement has none.
pub(crate) fn conflict(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    search: &Search,
) -> Vec<String> {
    let mut filter = Filter::new((cluster, load, policy), search, 300);
    let (soft, hard) = demands(cluster, policy);
    let in_the_way = filter.needed(&soft, &[]);
    let mut told = if in_the_way.is_empty() {
        vec![whatever_the_rules(&mut filter, &hard, &soft)]
    } else {
        let named: Vec<String> = in_the_way.iter().filter_map(demand).collect();
        vec![cannot_hold(&named)]
    };
    if !filter.certain {
        told.push("some of these may be innocent: a limit ended the search for the cause".into());
    }
    told
}

/// What counting told of why there is no placement, and the rules in conflict where that does not name them
/// all: a fence or a ban may be why the guests of another rule have no place.
pub(super) fn counted(
    mut told: Vec<String>,
    (cluster, load, policy): (&Cluster, &Load, &Policy),
    search: &Search,
) -> Vec<String> {
    let mut filter = Filter::new((cluster, load, policy), search, 20);
    let in_the_way = filter.needed(&demands(cluster, policy).0, &[]);
    let named: Vec<String> = in_the_way.iter().filter_map(demand).collect();
    let is_told = |name: &String| told.iter().any(|reason| names(reason, name));
    if filter.certain && named.len() > 1 && !named.iter().all(is_told) {
        told.push(cannot_hold(&named));
    }
    told
}

/// The changes that drop a rule or the limit on moves, and all others. The limit on moves is left out
/// first: the user would rather move more than drop a rule.
fn demands(cluster: &Cluster, policy: &Policy) -> (Vec<Change>, Vec<Change>) {
    let (mut soft, hard): (Vec<Change>, Vec<Change>) = Change::soft(cluster, policy)
        .into_iter()
        .partition(|c| matches!(c, Change::Drop { .. }));
    soft.extend(Change::all_moves(cluster, policy));
    (soft, hard)
}

/// Whether a sentence has that name, and not only one that begins with it.
fn names(reason: &str, name: &str) -> bool {
    let mut ends = reason.match_indices(name).map(|(at, name)| at + name.len());
    ends.any(|end| {
        let next = reason.get(end..).and_then(|rest| rest.chars().next());
        next.is_none_or(|c| c.is_whitespace() || c == ',')
    })
}

fn cannot_hold(named: &[String]) -> String {
    let what = match named {
        [one] => format!("{one} cannot hold"),
        many => format!("{} cannot all hold", many.join(" and ")),
    };
    format!("{what}, whatever the other rules")
}

/// What a change would take out of the way.
fn demand(change: &Change) -> Option<String> {
    match change {
        Change::Drop { rules } => Some(format!("rule {}", rules.join(", "))),
        Change::Rule {
            rule: None, from, ..
        } => Some(format!("`limits.moves` of {from}")),
        _ => None,
    }
}

/// Why there is no placement even without rules: hosts that drain and guests that may not move, if they
/// are the cause.
fn whatever_the_rules(filter: &mut Filter, hard: &[Change], soft: &[Change]) -> String {
    let all = [hard, soft].concat();
    if filter.without(&all) != Some(true) {
        return "the guests do not fit the hosts, whatever the rules: no assignment keeps every host \
                within its room"
            .to_owned();
    }
    let (mut hosts, mut guests) = (Vec::new(), Vec::new());
    for change in filter.needed(hard, soft) {
        match change {
            Change::Keep { host } => hosts.push(host),
            Change::Move { guest } => guests.push(guest),
            _ => {}
        }
    }
    let mut causes = Vec::new();
    if !hosts.is_empty() {
        let verb = if hosts.len() == 1 { "drains" } else { "drain" };
        causes.push(format!("{} {verb}", few(hosts.iter().map(|h| h.as_str()))));
    }
    if !guests.is_empty() {
        let who = few(guests.iter().map(|g| g.as_str()));
        causes.push(format!("{who} may not move (`movable: false`)"));
    }
    format!(
        "{}, and that leaves no room for all guests, whatever the rules",
        causes.join(", ")
    )
}

impl<'a, 's> Filter<'a, 's> {
    fn new(input: (&'a Cluster, &'a Load, &'a Policy), search: &'a Search<'s>, share: u64) -> Self {
        Self {
            input,
            search,
            share,
            certain: true,
        }
    }
    /// Those of the changes without any of which there is a placement, each of the others and of `gone`
    /// made: what they would take out of the way are enough for a conflict.
    fn needed(&mut self, changes: &[Change], gone: &[Change]) -> Vec<Change> {
        let mut left = changes.len();
        let kept = least_set((0..changes.len()).collect(), |kept| {
            let mut made = gone.to_vec();
            let mut kept_next = kept.iter().copied().peekable();
            for (i, change) in changes.iter().enumerate() {
                if kept_next.next_if_eq(&i).is_none() {
                    made.push(change.clone());
                }
            }
            let found = self.without(&made);
            // What is not known of several is asked of each.
            self.certain &= found.is_some() || left - kept.len() > 1;
            if found == Some(false) {
                left = kept.len();
            }
            found == Some(false)
        });
        kept.into_iter().map(|i| changes[i].clone()).collect()
    }

    /// Whether there is a placement after those changes.
    fn without(&self, changes: &[Change]) -> Option<bool> {
        let (cluster, load, policy) = self.input;
        let (mut cluster, mut policy) = (cluster.clone(), policy.clone());
        Change::make_all(changes, &mut cluster, &mut policy);
        let Ok(problem) = super::contradiction(&cluster, load, &policy) else {
            return Some(false);
        };
        let inst = Instance::build(&problem).ok()?;
        match any(
            &inst,
            &policy,
            &Effort::share(self.search, &policy, self.share),
        ) {
            Answer::Found(_) => Some(true),
            Answer::Impossible => Some(false),
            Answer::Nothing(_) => None,
        }
    }
}
