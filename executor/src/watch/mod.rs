//! Watches the hosts and relieves sudden overloads. The way of the data:
//!
//! ```text
//! probes' streams ─> ears (a task each) ─> planner::watch (pure: phases) ─> planner::relieve (pure)
//!                                                                                  │ a decision
//!   audit log <── every decision with its reasons, before it is carried out <──────┤
//!   holder <── order: a plan of moves that go before all others <──────────────────┘ (mode auto)
//!      └─> switched, ended ─> planner::watch
//! ```
//!
//! The answer at hand is carried out at once. What takes longer is thought out on another thread, while
//! the streams are listened to: whether anything is better, and what to do in the surges that may come.
//!
//! It keeps nothing that it could not hear again: killed at any moment, the next one hears the probes,
//! and takes what the journal says is under way from the holder, which carries it to its end.

pub mod audit;
mod cycle;
mod described;
pub mod ears;
pub mod hands;
pub mod held;
mod lines;
pub mod order;
mod silence;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use vmpack_domain::relief::{Relief, Worth};
use vmpack_domain::units::{Micros, count};
use vmpack_domain::{Cluster, GuestName, HostName, Load, Policy};
use vmpack_planner::relieve::{Contingency, Limits, STALE, relieve};
use vmpack_planner::watch::{Decision, Heard, Phase, Picture, Watch};

use audit::{Audit, Entry};
use cycle::Cycle;
use ears::Told;
use silence::Silences;

pub use lines::{Done, Lines, Mode, Periodic, Terms, Trouble};

/// How often time is let pass where nothing is heard.
const TICK: Duration = Duration::from_millis(100);

/// Watches until `stop` is over.
///
/// # Errors
/// When the audit log cannot be written: nothing is done that is not in it.
pub async fn watch(
    (cluster, load, policy): (Cluster, Load, Policy),
    terms: &Terms,
    audit: Audit,
    mut lines: Lines<'_>,
    stop: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut shell = Shell {
        watch: Watch::new(cluster, load.clone(), policy.clone()),
        load,
        policy,
        terms,
        audit,
        began: Instant::now(),
        silences: Silences::default(),
        falling: BTreeSet::new(),
        imagined: BTreeMap::new(),
        stays: BTreeSet::new(),
        held: BTreeMap::new(),
        onsets: BTreeMap::new(),
        overloaded: BTreeMap::new(),
        ahead: None,
        thoughts: JoinSet::new(),
        oscillations: 0,
        gone: None,
        cycle: terms.cycle.map(Cycle::new),
    };
    let (hosts, guests) = {
        let cluster = shell.watch.cluster();
        (cluster.hosts.len(), cluster.guests.len())
    };
    let mode = terms.mode.name();
    shell.write(
        &mut lines,
        &Entry::Began {
            mode,
            hosts,
            guests,
        },
    )?;
    tokio::pin!(stop);
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let why = loop {
        tokio::select! {
            biased;
            () = &mut stop => break "it was asked to end".to_owned(),
            Some(done) = lines.done.recv() => shell.done(&mut lines, done)?,
            Some(told) = lines.ears.recv() => shell.told(&mut lines, told)?,
            Some(Ok(thought)) = shell.thoughts.join_next() => shell.thought(&mut lines, thought)?,
            _ = tick.tick() => {}
        }
        // What came meanwhile belongs to the same picture: a decision takes longer than to hear of it, and
        // hosts that are not listened to would seem silent.
        while let Ok(done) = lines.done.try_recv() {
            shell.done(&mut lines, done)?;
        }
        while let Ok(told) = lines.ears.try_recv() {
            shell.told(&mut lines, told)?;
        }
        if let Some(why) = shell.gone.take() {
            break why;
        }
        shell.go_on(&mut lines)?;
    };
    shell.write(&mut lines, &Entry::EndedWatch { why: &why })
}

/// What was thought out beside the streams.
enum Thought {
    /// What to do in the surges that may come.
    Ahead(Contingency),
    /// The best that could be found for overloads that were answered already.
    Best {
        answered: Worth,
        best: Box<Relief>,
        took: Duration,
    },
}

struct Shell<'a> {
    watch: Watch,
    load: Load,
    policy: Policy,
    terms: &'a Terms,
    audit: Audit,
    began: Instant,
    /// What was told of hosts that are not heard.
    silences: Silences,
    /// Hosts that were sent to sleep from here and are heard until they do.
    falling: BTreeSet<HostName>,
    /// Where hosts are only said to be woken or sent to sleep: which would be awake by now, and which not.
    imagined: BTreeMap<HostName, bool>,
    /// Hosts whose overload the last decision does not end, and whose guests are to be held.
    stays: BTreeSet<HostName>,
    /// Those whose guests are, and since when each is calm, if it is.
    held: BTreeMap<HostName, Option<Micros>>,
    /// When the overload began for which each guest moves, or moved and failed: it may be tried again.
    onsets: BTreeMap<GuestName, Micros>,
    /// Hosts that are overloaded or being relieved, since when.
    overloaded: BTreeMap<HostName, Micros>,
    /// When it was last looked ahead.
    ahead: Option<Micros>,
    /// What is being thought out beside.
    thoughts: JoinSet<Thought>,
    oscillations: usize,
    /// Why nobody carries anything out any more.
    gone: Option<String>,
    cycle: Option<Cycle>,
}

impl Shell<'_> {
    fn now(&self) -> Micros {
        // The clock begins an hour in, so that nothing is before its beginning.
        let run = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Micros::secs(3600) + Micros(run)
    }

    fn write(&mut self, lines: &mut Lines, entry: &Entry) -> std::io::Result<()> {
        let line = self.audit.write(entry)?;
        (lines.told)(&line);
        Ok(())
    }

    fn told(&mut self, lines: &mut Lines, told: Told) -> std::io::Result<()> {
        let now = self.now();
        match told {
            Told::Heard(heard) => {
                let host = match &heard {
                    Heard::Windows { host, .. } | Heard::Overload { host, .. } => {
                        Some(host.clone())
                    }
                    _ => None,
                };
                if let Some(host) = &host {
                    self.hears(lines, host, None)?;
                    if !self.falling.contains(host) {
                        self.awake(lines, host);
                    }
                }
                self.watch.hear(heard, now);
            }
            Told::Silent(host, why) => {
                self.hears(lines, &host, Some(why))?;
                self.watch.hear(Heard::Silent(host), now);
            }
        }
        Ok(())
    }

    fn done(&mut self, lines: &mut Lines, done: Done) -> std::io::Result<()> {
        let now = self.now();
        let since = |onset: &Micros| now.saturating_sub(*onset).0 / 1000;
        match done {
            Done::Refused {
                guests,
                why,
                relief,
            } => {
                let names: Vec<&str> = guests.iter().map(GuestName::as_str).collect();
                self.write(
                    lines,
                    &Entry::Refused {
                        guests: names,
                        why: &why,
                    },
                )?;
                for guest in guests.into_iter().filter(|_| relief) {
                    self.onsets.remove(&guest);
                    self.watch.hear(
                        Heard::Ended {
                            guest,
                            moved: false,
                        },
                        now,
                    );
                }
            }
            Done::Switched(guest) => {
                if let Some(onset_ms) = self.onsets.get(&guest).map(since) {
                    let guest = guest.as_str();
                    self.write(lines, &Entry::Switched { guest, onset_ms })?;
                }
            }
            Done::Ended { guest, moved } => {
                let onset_ms = self.onsets.get(&guest).map(since);
                if moved {
                    self.onsets.remove(&guest);
                }
                let name = guest.as_str();
                self.write(
                    lines,
                    &Entry::Ended {
                        guest: name,
                        moved,
                        onset_ms,
                    },
                )?;
                self.watch.hear(Heard::Ended { guest, moved }, now);
            }
            Done::Trouble { guest, kind, why } => {
                let (name, why) = (guest.as_str(), why.as_str());
                self.write(
                    lines,
                    &Entry::Trouble {
                        guest: name,
                        kind,
                        why,
                    },
                )?;
                if kind == Trouble::Lost {
                    self.onsets.remove(&guest);
                    // It burdens neither host any more, and its source has it least of all.
                    self.watch.hear(Heard::Ended { guest, moved: true }, now);
                }
            }
            Done::Begun { mv, relief } => {
                if !relief {
                    self.onsets.remove(&mv.guest);
                }
                if self.watch.flights().iter().all(|f| f.guest != mv.guest) {
                    self.watch.started(&[*mv], relief, now);
                }
            }
            Done::Planned(plan) => self.planned(lines, *plan)?,
            Done::Powered(order, failed) => self.powered(lines, &order, failed)?,
            Done::Described(cluster) => self.described(lines, *cluster)?,
            Done::NotHeld { host, why } => {
                let (host, why) = (host.as_str(), why.as_str());
                self.write(lines, &Entry::NotHeld { host, why })?;
            }
            Done::Gone(why) => self.gone = Some(why),
        }
        Ok(())
    }

    fn go_on(&mut self, lines: &mut Lines) -> std::io::Result<()> {
        self.watch.pass(self.now());
        // Before the decision, which makes calm of what it suffices for.
        self.overloads();
        let asked = Instant::now();
        let at_once = limits(Micros::ZERO, self.policy.limits.seed);
        if let Some(decision) = self.watch.decide(&at_once, self.now()) {
            if !decision.relief.worth.proven && self.terms.time > Micros::ZERO {
                self.seek_better(self.watch.picture(self.now()), decision.relief.worth);
            }
            self.act(lines, &decision, asked)?;
        }
        self.relieved(lines)?;
        self.hold(lines)?;
        self.told_late(lines)?;
        self.by_the_clock(lines)?;
        for oscillation in self
            .watch
            .oscillations()
            .to_vec()
            .iter()
            .skip(self.oscillations)
        {
            let (guest, host) = (oscillation.guest.as_str(), oscillation.host.as_str());
            self.write(lines, &Entry::Oscillates { guest, host })?;
        }
        self.oscillations = self.watch.oscillations().len();
        let now = self.now();
        let old = self.ahead.is_none_or(|t| t + STALE <= now);
        // Nothing urgent waits for it.
        if old && self.overloaded.is_empty() {
            self.ahead = Some(now);
            let picture = self.watch.picture(now);
            self.thoughts
                .spawn_blocking(move || Thought::Ahead(picture.look_ahead()));
        }
        Ok(())
    }

    fn seek_better(&mut self, picture: Picture, answered: Worth) {
        let (time, seed) = (self.terms.time, self.policy.limits.seed);
        self.thoughts.spawn_blocking(move || {
            let asked = Instant::now();
            let best = relieve(&picture.situation(), &limits(time, seed), &mut |_| {});
            Thought::Best {
                answered,
                best: Box::new(best),
                took: asked.elapsed(),
            }
        });
    }

    fn thought(&mut self, lines: &mut Lines, thought: Thought) -> std::io::Result<()> {
        match thought {
            Thought::Ahead(contingency) => self.watch.prepared(contingency),
            Thought::Best {
                answered,
                best,
                took,
            } => {
                let entry = Entry::Thought {
                    took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                    answered,
                    best: best.worth,
                };
                self.write(lines, &entry)?;
                let asked = Instant::now();
                // What was begun meanwhile stands; where it did not suffice, the rest is done.
                if best.worth.ended > answered.ended
                    && let Some(decision) = self.watch.better(&best, self.now())
                {
                    self.act(lines, &decision, asked)?;
                }
            }
        }
        Ok(())
    }

    fn act(
        &mut self,
        lines: &mut Lines,
        decision: &Decision,
        asked: Instant,
    ) -> std::io::Result<()> {
        let now = self.now();
        let moves = &decision.relief.moves;
        let carried_out = self.terms.mode == Mode::Auto && !moves.is_empty();
        let entry = Entry::Decided {
            onset_ms: now.saturating_sub(decision.onset).0 / 1000,
            took_us: u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX),
            ahead: decision.ahead,
            carried_out,
            relief: &decision.relief,
        };
        self.write(lines, &entry)?;
        if let Some(cycle) = &mut self.cycle {
            cycle.for_relief.clone_from(&decision.relief.wake);
        }
        let plan = order::plan(
            self.watch.cluster(),
            &self.load,
            &self.policy,
            self.watch.flights(),
            &decision.relief,
        );
        if carried_out {
            for mv in moves {
                self.onsets.insert(mv.guest.clone(), decision.onset);
            }
            self.watch.started(moves, true, now);
            (lines.order)(plan);
        } else {
            self.watch.put_off(&decision.relief, now);
            if self.terms.mode == Mode::Recommend && !moves.is_empty() {
                (lines.recommend)(&plan);
            }
        }
        self.is_to_hold(&decision.relief);
        Ok(())
    }

    /// Notes which hosts are overloaded, and forgets those that are unknown.
    fn overloads(&mut self) {
        for host in &self.watch.cluster().hosts {
            match self.watch.phase(&host.name) {
                Phase::Overloaded(since) | Phase::Relieving(since) => {
                    self.overloaded.entry(host.name.clone()).or_insert(since);
                }
                Phase::Unknown => {
                    self.overloaded.remove(&host.name);
                }
                Phase::Calm | Phase::Suspected(_) => {}
            }
        }
    }

    /// Tells of hosts that are overloaded no more: calm, and what relief took from them has left.
    fn relieved(&mut self, lines: &mut Lines) -> std::io::Result<()> {
        let (watch, now) = (&self.watch, self.now());
        let over = |host: &HostName| watch.phase(host) == Phase::Calm && !watch.is_relieving(host);
        let relieved: Vec<_> = self
            .overloaded
            .extract_if(.., |host, _| over(host))
            .collect();
        for (host, since) in relieved {
            let after_ms = now.saturating_sub(since).0 / 1000;
            let host = host.as_str();
            self.write(lines, &Entry::Relieved { host, after_ms })?;
        }
        Ok(())
    }
}

fn limits(time: Micros, seed: u64) -> Limits<'static> {
    Limits {
        time,
        nodes: None,
        seed,
        threads: 1,
        stop: &|| false,
    }
}

/// What the watch knows of itself, for a person.
#[must_use]
pub fn greeting(cluster: &Cluster, mode: Mode) -> String {
    format!(
        "watching {} and {} (mode {})",
        count(cluster.hosts.len(), "host"),
        count(cluster.guests.len(), "guest"),
        mode.name()
    )
}
