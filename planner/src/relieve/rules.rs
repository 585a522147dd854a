//! The policy's rules as relief meets them: a guest moves by itself, now, and whatever else moves is
//! at both ends until it has arrived. Names that match nobody bind nobody: guests come and go.

use std::collections::BTreeSet;

use vmpack_domain::HostName;
use vmpack_domain::relief::Situation;
use vmpack_domain::rule::{Names, Over, RuleKind};
use vmpack_domain::units::Micros;

use super::scene::{GuestNow, HostNow};

#[derive(Clone)]
pub(super) struct Rules {
    /// Guests that stay, and by which rule.
    pub(super) pinned: Vec<(BTreeSet<usize>, String)>,
    /// Guests and hosts: only on these, or (`false`) on none of these.
    fences: Vec<(BTreeSet<usize>, BTreeSet<usize>, bool)>,
    pub(super) groups: Vec<Group>,
    pub(super) caps: Vec<Cap>,
}

/// Guests that are to be apart or together.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) members: BTreeSet<usize>,
    pub(super) apart: bool,
    /// The place of each host.
    pub(super) place: Vec<usize>,
    /// How many members are in each place, at both ends while they move.
    count: Vec<i64>,
    /// The place of each member, where it has one.
    home: std::collections::BTreeMap<usize, usize>,
}

/// At most so many moves more of these guests.
#[derive(Clone)]
pub(super) struct Cap {
    pub(super) what: String,
    pub(super) guests: BTreeSet<usize>,
    pub(super) left: i64,
}

impl Rules {
    pub(super) fn new(s: &Situation, hosts: &[HostNow], guests: &[GuestNow]) -> Self {
        let mut rules = Self {
            pinned: Vec::new(),
            fences: Vec::new(),
            groups: Vec::new(),
            caps: Vec::new(),
        };
        if s.policy.rules.is_empty() && s.policy.relief.budgets.is_empty() {
            return rules;
        }
        let names = Names::of(s.cluster);
        let guest_at: std::collections::BTreeMap<_, usize> =
            guests.iter().map(|g| &g.guest.name).zip(0..).collect();
        let host_at: std::collections::BTreeMap<_, usize> =
            hosts.iter().map(|h| &h.host.name).zip(0..).collect();
        let named = |patterns: &[String]| -> BTreeSet<usize> {
            let each = patterns
                .iter()
                .filter_map(|p| names.guests(std::slice::from_ref(p)).ok());
            each.flatten()
                .filter_map(|g| guest_at.get(g).copied())
                .collect()
        };
        let selected = |selectors: &[String]| -> BTreeSet<usize> {
            let each = selectors
                .iter()
                .filter_map(|p| names.hosts(std::slice::from_ref(p)).ok());
            each.flatten()
                .filter_map(|h| host_at.get(h).copied())
                .collect()
        };
        for rule in &s.policy.rules {
            let members = named(rule.kind.guests());
            match &rule.kind {
                RuleKind::Pin { .. } => rules.pinned.push((members, rule.name.clone())),
                RuleKind::Fence { hosts, .. } => {
                    rules.fences.push((members, selected(hosts), true))
                }
                RuleKind::Ban { hosts, .. } => rules.fences.push((members, selected(hosts), false)),
                RuleKind::Spread { over, .. } | RuleKind::Gather { over, .. } => {
                    let apart = matches!(rule.kind, RuleKind::Spread { .. });
                    let place = places(hosts, over);
                    rules
                        .groups
                        .push(Group::new(members, apart, place, s, &host_at, guests));
                }
                RuleKind::MaxMoves { moves, .. } => {
                    let all = rule.kind.guests().is_empty();
                    let members = if all {
                        (0..guests.len()).collect()
                    } else {
                        members
                    };
                    let under_way = members.iter().filter(|g| guests[**g].under_way).count();
                    rules.caps.push(Cap {
                        what: format!("rule {}", rule.name),
                        guests: members,
                        left: i64::from(*moves) - under_way as i64,
                    });
                }
                // Moves among hosts in use leave their room together as it is.
                RuleKind::Spare { .. } => {}
            }
        }
        for budget in &s.policy.relief.budgets {
            let members = named(&budget.guests);
            let within = |at: Micros| at + budget.per > s.now;
            let used = s.recent.iter().filter(|past| {
                past.relief
                    && within(past.at)
                    && guest_at
                        .get(&past.guest)
                        .is_some_and(|g| members.contains(g))
            });
            let used = used.count() as i64;
            rules.caps.push(Cap {
                what: format!("the budget of {}", budget.guests.join(", ")),
                guests: members,
                left: i64::from(budget.moves) - used,
            });
        }
        rules
    }

    /// The rule by which the guest stays, if there is one.
    pub(super) fn pin(&self, g: usize) -> Option<&str> {
        let pins = self.pinned.iter();
        let mut pins = pins.filter(|(guests, _)| guests.contains(&g));
        pins.next().map(|(_, name)| name.as_str())
    }

    /// What forbids the guest to start now, if anything does.
    pub(super) fn spent(&self, g: usize) -> Option<&Cap> {
        let mut caps = self.caps.iter();
        caps.find(|cap| cap.left <= 0 && cap.guests.contains(&g))
    }

    /// Whether a rule tells its targets apart by what else moves.
    pub(super) fn grouped(&self, g: usize) -> bool {
        self.groups.iter().any(|group| group.members.contains(&g))
    }

    /// Whether they let the guest go there.
    pub(super) fn allow(&self, g: usize, to: usize) -> bool {
        let fenced = self
            .fences
            .iter()
            .all(|(guests, hosts, only)| !guests.contains(&g) || hosts.contains(&to) == *only);
        fenced && self.groups.iter().all(|group| group.allows(g, to))
    }

    pub(super) fn go(&mut self, g: usize, to: usize) {
        self.tell(g, to, 1);
    }
    pub(super) fn back(&mut self, g: usize, to: usize) {
        self.tell(g, to, -1);
    }
    fn tell(&mut self, g: usize, to: usize, by: i64) {
        for group in self
            .groups
            .iter_mut()
            .filter(|group| group.members.contains(&g))
        {
            group.count[group.place[to]] += by;
        }
        for cap in self.caps.iter_mut().filter(|cap| cap.guests.contains(&g)) {
            cap.left -= by;
        }
    }
}

/// The place of each host, by number.
fn places(hosts: &[HostNow], over: &Over) -> Vec<usize> {
    let mut known = std::collections::BTreeMap::new();
    let place = |h: &HostNow| {
        let (name, label) = over.place(h.host);
        (name.to_owned(), label)
    };
    hosts
        .iter()
        .map(|h| {
            let next = known.len();
            *known.entry(place(h)).or_insert(next)
        })
        .collect()
}

impl Group {
    fn new(
        members: BTreeSet<usize>,
        apart: bool,
        place: Vec<usize>,
        s: &Situation,
        host_at: &std::collections::BTreeMap<&HostName, usize>,
        guests: &[GuestNow],
    ) -> Self {
        let mut count = vec![0; place.len()];
        let mut home = std::collections::BTreeMap::new();
        for g in &members {
            if let Some(at) = guests[*g].at {
                count[place[at]] += 1;
                home.insert(*g, place[at]);
            }
        }
        for flight in s.flights {
            let here = |g: &&usize| guests[**g].guest.name == flight.guest;
            if let (Some(_), Some(from)) = (members.iter().find(here), host_at.get(&flight.from)) {
                count[place[*from]] += 1;
            }
        }
        Self {
            members,
            apart,
            place,
            count,
            home,
        }
    }

    fn allows(&self, g: usize, to: usize) -> bool {
        if !self.members.contains(&g) {
            return true;
        }
        let to = self.place[to];
        let own = |place: usize| i64::from(self.home.get(&g) == Some(&place));
        if self.apart {
            return self.count[to] - own(to) <= 0;
        }
        // Together: no other is anywhere else.
        let others = self.count.iter().sum::<i64>() - i64::from(self.home.contains_key(&g));
        others - (self.count[to] - own(to)) <= 0
    }
}
