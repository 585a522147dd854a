//! Which hosts sleep and which are woken. Pure: the clock is an argument, the switching is another's.
//!
//! ```text
//!             empty for `break_even`,                      heard
//!            and spare room without it                 ┌───────────── waking
//!   awake ────────────────────────────> asleep         v                │ not heard for
//!     ^                                    │         awake              │ twice `latency`
//!     │ a guest comes, room runs short     │ needed                     v
//!     └── (it never slept)                 └──────> waking           failed ──> tried again after
//!                                                                               `RETRY`
//! ```
//!
//! An empty host sleeps once it has been empty for the break-even time, the time in which it uses awake
//! what falling asleep and waking cost. Whatever comes, that uses at most twice what one would who knew the
//! future, and no rule that does not know it does better (the ski-rental problem: Karlin, Manasse, Rudolph,
//! Sleator, Algorithmica 3, 1988).
//!
//! A host takes `latency` to wake, so it is woken before it is needed: as soon as the room that is left on
//! the hosts awake, and on those that are waking, falls below the spare that is to be kept. One that
//! failed to wake counts for nothing, and another is woken in its place.
//!
//! A host that is not heard and was not sent to sleep, as all are at first, is taken to be there for as long
//! as a wake takes; then as one that sleeps, since another before us may have sent it: to be woken is no
//! harm to a host that is awake.

use std::collections::BTreeMap;

use vmpack_domain::rule::RuleKind;
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_domain::{HostName, Policy};

/// After which a host that failed to wake is tried again.
pub const RETRY: Micros = Micros::secs(600);

/// What a host's sleep costs and takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// For how long a host must be able to sleep for that to pay.
    pub break_even: Micros,
    /// From the asking to a host that takes guests.
    pub latency: Micros,
    /// So many of the largest hosts' worth of CPU is kept free awake.
    pub spare: u32,
}

impl Terms {
    /// With the spare of the policy's rules; one host's worth where it has none, since a surge does not
    /// wait for a host to wake.
    #[must_use]
    pub fn of(policy: &Policy, break_even: Micros, latency: Micros) -> Self {
        let rules = policy.rules.iter().filter_map(|r| match r.kind {
            RuleKind::Spare { hosts } => Some(hosts),
            _ => None,
        });
        Self {
            break_even,
            latency,
            spare: rules.max().unwrap_or(1),
        }
    }

    /// The policy by which plans are made: where hosts are weighed against migrations, one less must pay
    /// for its going to sleep and waking too, `host-hour` × (break-even time + latency).
    #[must_use]
    pub fn weighed(&self, mut policy: Policy) -> Policy {
        if let Some(objective) = &mut policy.objective {
            let time = u128::from(self.break_even.0) + u128::from(self.latency.0);
            let price = u128::from(objective.host_hour.0) * time;
            let hour = u128::from(Micros::secs(3600).0);
            let price = u64::try_from(price.div_ceil(hour)).unwrap_or(u64::MAX);
            objective.min_gain.0 = objective.min_gain.0.max(price);
        }
        policy
    }
}

/// What is seen of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub host: HostName,
    /// Whether it is there and answers.
    pub awake: bool,
    /// Whether it is known that it was put to sleep.
    pub sleeps: bool,
    /// Whether it carries a guest, or one is on its way to or from it.
    pub carries: bool,
    /// Whether it must stay awake: never-sleep, draining, or out.
    pub stays: bool,
    /// What guests may use of it.
    pub room: MilliCores,
}

/// What is to be done to a host, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// It is to wake.
    Wake(HostName, String),
    /// It is to sleep.
    Sleep(HostName, String),
    /// Told once: it did not wake, or did not fall asleep.
    Failed(HostName, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Awake {
        empty: Option<Micros>,
    },
    /// It was asked to sleep and is still heard.
    Falling(Micros),
    /// It is not heard, and it is not known that it sleeps.
    Lost(Micros),
    Asleep,
    Waking(Micros),
    Failed(Micros),
}

/// The hosts' states.
#[derive(Debug)]
pub struct Power {
    terms: Terms,
    states: BTreeMap<HostName, State>,
}

impl Power {
    /// Of no host yet.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            states: BTreeMap::new(),
        }
    }

    /// What is to be done now. `wanted` is what all guests may want; `needed` are hosts that relief or a
    /// plan needs woken, whatever room there is.
    pub fn look(
        &mut self,
        hosts: &[Seen],
        wanted: MilliCores,
        needed: &[HostName],
        now: Micros,
    ) -> Vec<Order> {
        let mut orders = Vec::new();
        self.states
            .retain(|h, _| hosts.iter().any(|s| s.host == *h));
        for seen in hosts {
            let first = match (seen.awake, seen.sleeps) {
                (true, _) => State::Awake { empty: None },
                (false, true) => State::Asleep,
                (false, false) => State::Lost(now),
            };
            let state = self.states.entry(seen.host.clone()).or_insert(first);
            *state = match *state {
                State::Falling(since)
                    if seen.awake && !seen.carries && since + self.terms.latency > now =>
                {
                    State::Falling(since)
                }
                State::Falling(since) if seen.awake => {
                    let why = match seen.carries {
                        true => "a guest came before it slept".to_owned(),
                        false => format!("it answers still after {}", now.saturating_sub(since)),
                    };
                    orders.push(Order::Failed(seen.host.clone(), why));
                    let empty = (!seen.carries).then_some(now);
                    State::Awake { empty }
                }
                _ if seen.awake => {
                    let since = match *state {
                        State::Awake { empty } => empty,
                        _ => None,
                    };
                    let empty = (!seen.carries).then(|| since.unwrap_or(now));
                    State::Awake { empty }
                }
                State::Falling(_) => State::Asleep,
                State::Awake { .. } if !seen.sleeps => State::Lost(now),
                // One before us may have sent it to sleep.
                State::Awake { .. } => State::Asleep,
                State::Lost(since) if since + self.terms.latency <= now => State::Asleep,
                State::Waking(since) if since + self.terms.latency + self.terms.latency <= now => {
                    let took = now.saturating_sub(since);
                    let why = format!("it was to wake and is not heard after {took}");
                    orders.push(Order::Failed(seen.host.clone(), why));
                    State::Failed(now)
                }
                State::Failed(since) if since + RETRY <= now => State::Asleep,
                state => state,
            };
        }
        let (free, largest) = self.free(hosts, wanted);
        let mut free = free;
        let spare = i128::from(largest.0) * i128::from(self.terms.spare);
        let asleep = |states: &BTreeMap<HostName, State>, s: &&Seen| {
            states.get(&s.host) == Some(&State::Asleep) && !s.stays
        };
        let mut wake: Vec<(&Seen, String)> = Vec::new();
        for host in needed {
            let found = hosts.iter().find(|s| s.host == *host);
            if let Some(seen) = found.filter(|s| asleep(&self.states, s)) {
                free += i128::from(seen.room.0);
                wake.push((seen, "guests have no room without it".into()));
            }
        }
        // The largest first, so that few are woken.
        let mut rest: Vec<&Seen> = hosts.iter().filter(|s| asleep(&self.states, s)).collect();
        rest.retain(|s| wake.iter().all(|(w, _)| w.host != s.host));
        rest.sort_by(|a, b| b.room.cmp(&a.room).then(a.host.cmp(&b.host)));
        for seen in rest {
            if free >= spare {
                break;
            }
            free += i128::from(seen.room.0);
            let spare = MilliCores(u64::try_from(spare).unwrap_or(u64::MAX));
            wake.push((seen, format!("less than {spare} would be free awake")));
        }
        for (seen, why) in wake {
            self.states.insert(seen.host.clone(), State::Waking(now));
            orders.push(Order::Wake(seen.host.clone(), why));
        }
        // The smallest first: it is missed least.
        let mut idle: Vec<&Seen> = hosts.iter().filter(|s| self.idles(s, now)).collect();
        idle.sort_by(|a, b| a.room.cmp(&b.room).then(a.host.cmp(&b.host)));
        for seen in idle {
            if free - i128::from(seen.room.0) < spare || needed.contains(&seen.host) {
                continue;
            }
            free -= i128::from(seen.room.0);
            self.states.insert(seen.host.clone(), State::Falling(now));
            let why = format!("it was empty for {}", self.terms.break_even);
            orders.push(Order::Sleep(seen.host.clone(), why));
        }
        orders
    }

    /// Whether the host was sent to sleep and is not known to sleep yet.
    #[must_use]
    pub fn is_falling(&self, host: &HostName) -> bool {
        matches!(self.states.get(host), Some(State::Falling(_)))
    }

    /// An order was not carried out: the host is as it was before.
    pub fn undo(&mut self, order: &Order, now: Micros) {
        match order {
            Order::Wake(host, _) => self.states.insert(host.clone(), State::Failed(now)),
            Order::Sleep(host, _) => {
                let empty = Some(now);
                self.states.insert(host.clone(), State::Awake { empty })
            }
            Order::Failed(..) => None,
        };
    }

    /// What is free on hosts awake, waking, and silent for a moment, and the largest room of any.
    fn free(&self, hosts: &[Seen], wanted: MilliCores) -> (i128, MilliCores) {
        let counts = |s: &&Seen| {
            matches!(
                self.states.get(&s.host),
                Some(State::Awake { .. } | State::Waking(_) | State::Lost(_))
            )
        };
        let room: i128 = hosts
            .iter()
            .filter(counts)
            .map(|s| i128::from(s.room.0))
            .sum();
        let largest = hosts.iter().map(|s| s.room).max().unwrap_or_default();
        (room - i128::from(wanted.0), largest)
    }

    fn idles(&self, seen: &Seen, now: Micros) -> bool {
        let empty = match self.states.get(&seen.host) {
            Some(State::Awake { empty: Some(since) }) => *since,
            _ => return false,
        };
        !seen.stays && empty + self.terms.break_even <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(h: usize) -> HostName {
        format!("h{h}").parse().expect("a plain name")
    }

    /// Hosts of 10 cores: awake and carrying, awake and empty, asleep, or lost.
    fn hosts(of: &str) -> Vec<Seen> {
        let host = |(h, c): (usize, char)| Seen {
            host: name(h),
            awake: !matches!(c, 's' | 'l'),
            sleeps: c == 's',
            carries: c == 'c' || c == 'n',
            stays: c == 'n' || c == 'N',
            room: MilliCores(10_000),
        };
        of.chars().enumerate().map(host).collect()
    }

    fn terms() -> Terms {
        Terms {
            break_even: Micros::secs(100),
            latency: Micros::secs(30),
            spare: 1,
        }
    }

    fn said(orders: &[Order]) -> Vec<String> {
        let one = |o: &Order| match o {
            Order::Wake(h, _) => format!("wake {h}"),
            Order::Sleep(h, _) => format!("sleep {h}"),
            Order::Failed(h, _) => format!("failed {h}"),
        };
        orders.iter().map(one).collect()
    }

    #[test]
    fn an_empty_host_sleeps_after_the_break_even_time_if_room_is_left() {
        let mut power = Power::new(terms());
        let mut look = |of: &str, cores: u64, at: u64| {
            said(&power.look(&hosts(of), MilliCores(cores * 1000), &[], Micros::secs(at)))
        };
        let nothing: [&str; 0] = [];
        assert_eq!(look("ceeN", 5, 0), nothing);
        assert_eq!(look("ceeN", 5, 99), nothing);
        // 35 of 40 are free, 10 must be; one that never sleeps stays.
        assert_eq!(look("ceeN", 5, 100), ["sleep h1", "sleep h2"]);
        let mut power = Power::new(terms());
        let mut look = |of: &str, cores: u64, at: u64| {
            said(&power.look(&hosts(of), MilliCores(cores * 1000), &[], Micros::secs(at)))
        };
        assert_eq!(look("ce", 9, 0), nothing);
        assert_eq!(
            look("ce", 9, 200),
            nothing,
            "without it less than a host's worth is free"
        );
        assert_eq!(look("cec", 9, 210), ["sleep h1"]);
        assert_eq!(look("cce", 9, 220), ["failed h1"], "a guest came first");
    }

    #[test]
    fn a_host_is_woken_before_it_is_needed_and_another_where_it_fails() {
        let mut power = Power::new(terms());
        let mut look = |of: &str, cores: u64, at: u64| {
            said(&power.look(&hosts(of), MilliCores(cores * 1000), &[], Micros::secs(at)))
        };
        let nothing: [&str; 0] = [];
        assert_eq!(look("ccss", 9, 0), nothing);
        assert_eq!(look("ccss", 11, 10), ["wake h2"]);
        assert_eq!(look("ccss", 11, 30), nothing, "it is on its way");
        assert_eq!(look("ccss", 11, 70), ["failed h2", "wake h3"]);
        assert_eq!(look("ccse", 11, 90), nothing);
        assert_eq!(
            look("ccse", 11, 300),
            nothing,
            "what is needed does not sleep"
        );
        assert_eq!(look("ccse", 25, 400), nothing, "the one that failed rests");
        assert_eq!(look("ccse", 25, 700), ["wake h2"]);
    }

    #[test]
    fn a_host_that_is_not_heard_is_woken_only_once_it_may_be_asleep() {
        let mut power = Power::new(terms());
        let mut look = |of: &str, at: u64| {
            said(&power.look(&hosts(of), MilliCores(9000), &[], Micros::secs(at)))
        };
        let nothing: [&str; 0] = [];
        assert_eq!(look("lls", 0), nothing, "nothing has been heard yet");
        assert_eq!(look("cls", 1), nothing);
        assert_eq!(
            look("cls", 30),
            ["wake h1"],
            "a host's worth is no longer free"
        );
        assert_eq!(look("ces", 31), nothing, "it was awake all the time");
    }

    #[test]
    fn what_relief_needs_is_woken_whatever_is_free() {
        let mut power = Power::new(terms());
        let orders = power.look(&hosts("cecs"), MilliCores(1000), &[name(3)], Micros::ZERO);
        assert_eq!(said(&orders), ["wake h3"]);
        power.undo(&orders[0], Micros::ZERO);
        let again = power.look(
            &hosts("cecs"),
            MilliCores(1000),
            &[name(3)],
            Micros::secs(1),
        );
        assert!(
            again.is_empty(),
            "what could not be asked is not asked again at once"
        );
    }

    #[test]
    fn a_host_that_does_not_fall_asleep_is_told_of_and_awake() {
        let mut power = Power::new(terms());
        let mut look = |of: &str, at: u64| {
            said(&power.look(&hosts(of), MilliCores(5000), &[], Micros::secs(at)))
        };
        let nothing: [&str; 0] = [];
        assert_eq!(look("cec", 0), nothing);
        assert_eq!(look("cec", 100), ["sleep h1"]);
        assert_eq!(look("cec", 120), nothing, "it may still be on its way");
        assert_eq!(look("cec", 130), ["failed h1"]);
        assert_eq!(look("cec", 229), nothing);
        assert_eq!(
            look("cec", 230),
            ["sleep h1"],
            "it is empty as long once more"
        );
        assert_eq!(look("ccc", 231), ["failed h1"], "a guest came first");
    }

    #[test]
    fn a_host_less_must_pay_for_its_sleep() {
        let mut policy = Policy {
            objective: Some(vmpack_domain::objective::Objective::default()),
            ..Policy::default()
        };
        let hour = Terms {
            break_even: Micros::secs(3000),
            latency: Micros::secs(600),
            spare: 1,
        };
        let gain = |p: &Policy| p.objective.map(|o| o.min_gain.0);
        assert_eq!(gain(&hour.weighed(policy.clone())), Some(1000));
        policy.objective = None;
        assert_eq!(hour.weighed(policy.clone()), policy);
    }
}
