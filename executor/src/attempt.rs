//! What the threads of moves do: one try of a move, finding out where one stands that nobody watched,
//! and resuming one in split state. Each blocks to its end; none writes to the journal.
//!
//! No guest is ever started here, so none can run twice by what this does: execution begins at the
//! target only by QEMU's own switch, which ends it at the source. A half that was left over goes only
//! where the hosts say that the guest is whole at the target; otherwise it is named and left to a person.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vmpack_domain::journal::Health;
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::plan::{Mode, Move, Plan};
use vmpack_domain::policy::{Migrations, StreamPolicy};
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, GuestName, HostName};
use vmpack_hypervisor::{
    Error, GuestState, Hypervisor, Lease, Located, MigrationEvent, MigrationFailure,
    MigrationReport, MigrationRequest, Stream, recovery, survey,
};

use crate::claim::refusal;
use crate::decide::Limits;
use crate::preflight::{Others, recheck};
use crate::settle::{Standing, settle};
use crate::shares;

/// How often a guest is looked for whose migration nobody watches.
const LOOK: Micros = Micros::millis(500);
/// By how much a lease outlasts the longest time that a migration is given.
const MARGIN: Micros = Micros::secs(600);

/// What a holder acts on, and who it is.
#[derive(Clone)]
pub struct Scene {
    /// The hosts.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// How this controller signs its leases: its machine and its journal.
    pub controller: String,
    /// The time by the wall clock.
    pub wall: fn() -> Timestamp,
    /// Whether plans' hours and freezes hold here; a simulated world has no such time.
    pub keeps_hours: bool,
}

/// How a thread of a move ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The guest is at the target; the figures, where they were seen.
    Moved(Option<MigrationReport>),
    /// It failed and left the guest at the source.
    Failed(String),
    /// The guest is at the source; whether the move failed is not known, its executor died.
    Interrupted,
    /// It was not tried, or makes no sense any more.
    Changed(String),
    /// The guest is in split state.
    Broken(String),
    /// It is, and whether the last try to resume it was made is not known, its executor died.
    Unanswered(String),
    /// A person must look.
    Stuck(String),
    /// The guest is gone.
    Lost(String),
}

/// A move, and what it is made by.
#[derive(Clone)]
pub(crate) struct Attempt {
    pub(crate) scene: Scene,
    pub(crate) plan: Arc<Plan>,
    pub(crate) mv: Move,
    pub(crate) limits: Limits,
    /// When it was decided.
    pub(crate) decided: Instant,
}

/// What the hosts were asked, and how long each answer took.
#[derive(Default)]
struct Asking(RefCell<Vec<(&'static str, Duration)>>);

impl Asking {
    fn of<T>(&self, what: &'static str, ask: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let answer = ask();
        self.0.borrow_mut().push((what, began.elapsed()));
        answer
    }

    fn all(&self) -> Duration {
        self.0.borrow().iter().map(|(_, took)| *took).sum()
    }
}

impl std::fmt::Display for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = self.0.borrow();
        let each = each
            .iter()
            .map(|(what, took)| format!("{what} {:.3}s", took.as_secs_f64()));
        f.write_str(&each.collect::<Vec<_>>().join(", "))
    }
}

impl Attempt {
    /// One try, from its preconditions to its end.
    pub(crate) fn migrate(
        &self,
        others: Others<'_>,
        off: &AtomicBool,
        mut told: impl FnMut(MigrationEvent),
    ) -> Ended {
        let asking = Asking::default();
        if let Err(ended) = self.may_begin(others, &asking) {
            return ended;
        }
        let called_off = || {
            let off = off.load(Ordering::Relaxed);
            off.then(|| Ended::Failed("called off before it began".to_owned()))
        };
        if let Some(ended) = called_off() {
            return ended;
        }
        if let Err(ended) = asking.of("lease", || self.claim()) {
            return ended;
        }
        // While the hosts were asked, too.
        if let Some(ended) = called_off() {
            self.let_go(&ended);
            return ended;
        }
        let asked = asking.all();
        tracing::info!(
            "move {}: its preconditions hold; the executor's own part was {:.6}s, that of the hosts asked {:.6}s ({asking})",
            self.mv.id,
            self.decided.elapsed().saturating_sub(asked).as_secs_f64(),
            asked.as_secs_f64()
        );
        let ended = match self.scene.hypervisor.migrate(&self.request(), &mut told) {
            Ok(report) => Ended::Moved(Some(report)),
            Err(MigrationFailure::StaysAtSource(error)) => Ended::Failed(error),
            Err(MigrationFailure::Impossible(error)) => Ended::Changed(error),
            Err(MigrationFailure::Split(error)) => self.halves(&error),
            Err(MigrationFailure::Unknown(error)) => match self.look(false, Some(&error)) {
                Ended::Interrupted => Ended::Failed(error),
                other => other,
            },
        };
        self.let_go(&ended);
        ended
    }

    /// Where the move stands, whose executor died. A migration that was only just asked for cannot be
    /// seen yet, so the guest counts as left at the source only when it is still seen there a back-off
    /// later. `switched`: execution was seen at the target.
    pub(crate) fn find_out(&self, switched: bool) -> Ended {
        tracing::info!(
            "looking for guest {}, whose migration {} nobody watches",
            self.mv.guest,
            self.mv.id
        );
        let ended = match self.look(switched, None) {
            Ended::Broken(state) => Ended::Unanswered(state),
            other => other,
        };
        self.let_go(&ended);
        ended
    }

    /// Asks the broken post-copy to be resumed, where the versions at both ends allow it.
    pub(crate) fn recover(&self, mut told: impl FnMut(MigrationEvent)) -> Ended {
        let ended = self.resume(&mut told);
        self.let_go(&ended);
        ended
    }

    fn resume(&self, told: &mut dyn FnMut(MigrationEvent)) -> Ended {
        let located = self.locate();
        // Nothing is resumed that is whole again, gone, or not seen in both its halves.
        match self.standing(&located) {
            Ok(Standing::Broken(_)) => {}
            Ok(Standing::Underway) => {
                return Ended::Broken(format!(
                    "guest {} is in split state and its hosts say that the migration goes on: it may end by itself once the link is back; destroy neither side",
                    self.mv.guest
                ));
            }
            Ok(_) => return self.look(true, None),
            Err(unseen) => return Ended::Broken(unseen),
        }
        let hypervisor = &self.scene.hypervisor;
        let software = |host| hypervisor.software(host);
        let way = match (software(&self.mv.from), software(&self.mv.to)) {
            (Ok(source), Ok(target)) => recovery::method(source, target),
            (Err(e), _) | (_, Err(e)) => return Ended::Broken(format!("{}: {e}", self.split())),
        };
        let method = match way {
            Ok(method) => method,
            Err(why) => {
                return Ended::Stuck(format!("{}; it is not resumed: {why}", self.split()));
            }
        };
        tracing::warn!(
            "move {}: the post-copy of guest {} is asked to be resumed ({method:?})",
            self.mv.id,
            self.mv.guest
        );
        match hypervisor.recover(&self.request(), method, told) {
            // A libvirtd that was begun anew at the source since the switch knows of no migration, and lets
            // its half stand when the resumed one has ended.
            Ok(report) => match self.look(true, None) {
                Ended::Moved(_) => Ended::Moved(Some(report)),
                other => other,
            },
            Err(failure) => self.halves(&failure.to_string()),
        }
    }

    /// How the guest and its host are after the move; nothing is known of one that is not there any more.
    pub(crate) fn check(&self) -> Health {
        // First: whether the guest answers may take its time.
        let reserved = self.hold_reserved();
        let found = self.scene.hypervisor.health(&self.mv.guest, &self.mv.to);
        let found = found.unwrap_or_else(|e| {
            tracing::debug!("move {}: not looked at: {e}", self.mv.id);
            vmpack_hypervisor::Health::default()
        });
        let policy = &self.plan.policy;
        let spare = policy.relief.cpu.unwrap_or(policy.headroom.cpu);
        Health {
            answers: found.answers,
            busy: found.busy,
            overloaded: found.busy.is_some_and(|b| b.0 + spare.0 > 1000),
            reserved,
        }
    }

    /// Sees to it that the guests on the target have what they have reserved, by CPU shares, and says
    /// whether they do; nothing where none has any.
    fn hold_reserved(&self) -> Option<bool> {
        let host = &self.mv.to;
        let held = shares::hold(&*self.scene.hypervisor, host);
        if let Err(why) = &held {
            tracing::warn!(
                "CPU that guests on {host} have reserved is not held by CPU shares: {why}"
            );
        }
        held.unwrap_or(Some(false))
    }

    /// Aborts the migration, if it has not switched.
    pub(crate) fn abort(&self) {
        let (guest, from) = (&self.mv.guest, &self.mv.from);
        if let Err(e) = self.scene.hypervisor.abort(guest, from) {
            tracing::debug!("move {} was not aborted: {e}", self.mv.id);
        }
    }

    /// Whether all that the move rests on still holds.
    fn may_begin(&self, others: Others<'_>, asking: &Asking) -> Result<(), Ended> {
        let failed = |e: Error| Ended::Failed(e.to_string());
        let mv = &self.mv;
        let now = asking.of("both hosts", || self.survey()).map_err(failed)?;
        let seen = asking.of("where it is", || self.locate()).seen;
        let changes = recheck(&self.plan, mv, &now, &seen, others);
        if !changes.is_empty() {
            let all: Vec<String> = changes.into_iter().map(|c| c.detail).collect();
            return Err(Ended::Changed(all.join("; ")));
        }
        let ends = (&mv.from, &mv.to);
        let obstacles = || self.scene.hypervisor.obstacles(&mv.guest, ends, mv.mode);
        let obstacles = asking.of("obstacles", obstacles).map_err(failed)?;
        if obstacles.is_empty() {
            return Ok(());
        }
        Err(Ended::Changed(obstacles.join("; ")))
    }

    /// Both ends as they are now. A guest of which both hold a part counts at the target, but for the
    /// one that is to be moved.
    fn survey(&self) -> Result<Cluster, Error> {
        let Move {
            guest, from, to, ..
        } = &self.mv;
        let expected = |name: &GuestName| (name == guest).then_some(from);
        survey(&*self.scene.hypervisor, &[from, to], expected).all()
    }

    /// Writes the lease into the guest's metadata, unless it is another's.
    fn claim(&self) -> Result<(), Ended> {
        let (hypervisor, mv) = (&self.scene.hypervisor, &self.mv);
        let failed = |e: Error| Ended::Failed(e.to_string());
        let now = (self.scene.wall)();
        let foreign = self.plan.policy.migrations.foreign;
        let may = |claims| refusal(&mv.guest, &claims, foreign, &self.scene.controller, now);
        let claims = hypervisor.claims(&mv.guest, &mv.from).map_err(failed)?;
        if let Some(refusal) = may(claims) {
            return Err(Ended::Changed(refusal.to_string()));
        }
        let longest = give_up(mv) + mv.duration + MARGIN;
        let lease = Lease {
            holder: self.scene.controller.clone(),
            since: now,
            until: Timestamp(
                now.0
                    .checked_add(longest.to_std())
                    .unwrap_or(jiff::Timestamp::MAX),
            ),
        };
        let written = hypervisor.set_lease(&mv.guest, &mv.from, Some(&lease));
        written.map_err(failed)?;
        // Two that wrote at the same moment both see whose stands there.
        let claims = hypervisor.claims(&mv.guest, &mv.from).map_err(failed)?;
        match may(claims) {
            Some(refusal) => Err(Ended::Changed(refusal.to_string())),
            None => Ok(()),
        }
    }

    /// Strikes the lease out where the guest is now; where it is in split state it stays.
    fn let_go(&self, ended: &Ended) {
        let host = match ended {
            Ended::Moved(_) => &self.mv.to,
            Ended::Failed(_) | Ended::Interrupted | Ended::Changed(_) => &self.mv.from,
            Ended::Broken(_) | Ended::Unanswered(_) | Ended::Stuck(_) | Ended::Lost(_) => return,
        };
        let hypervisor = &self.scene.hypervisor;
        let own = |lease: Lease| lease.holder == self.scene.controller;
        let struck =
            hypervisor
                .claims(&self.mv.guest, host)
                .and_then(|claims| match claims.lease {
                    Some(lease) if own(lease.clone()) => {
                        hypervisor.set_lease(&self.mv.guest, host, None)
                    }
                    _ => Ok(()),
                });
        if let Err(e) = struck {
            // It ends by itself.
            tracing::debug!("the lease of guest {} stands on: {e}", self.mv.guest);
        }
    }

    fn request(&self) -> MigrationRequest {
        let mv = &self.mv;
        MigrationRequest {
            guest: mv.guest.clone(),
            from: mv.from.clone(),
            to: mv.to.clone(),
            mode: mv.mode,
            stream: stream(&self.plan.policy.migrations, mv),
            give_up: give_up(mv),
        }
    }

    fn locate(&self) -> Located {
        let expected = [&self.mv.from, &self.mv.to];
        self.scene.hypervisor.locate(&self.mv.guest, &expected)
    }

    /// What the hosts say of the guest.
    fn standing(&self, located: &Located) -> Result<Standing, String> {
        match located.silent.first() {
            None => Ok(settle(&self.mv, &located.seen)),
            Some(host) => Err(format!(
                "where guest {} is cannot be seen (host {host} does not answer): look for it on {} and {}, and destroy neither side",
                self.mv.guest, self.mv.from, self.mv.to
            )),
        }
    }

    fn split(&self) -> String {
        crate::settle::split(&self.mv, &self.locate().seen)
    }

    /// After the stream broke in split state: what is left of the guest, and by what it broke.
    fn halves(&self, why: &str) -> Ended {
        match self.standing(&self.locate()) {
            Ok(Standing::Broken(state)) => Ended::Broken(format!("{state}: {why}")),
            Ok(Standing::Underway) | Err(_) => Ended::Broken(format!("{}: {why}", self.split())),
            Ok(_) => self.look(true, Some(why)),
        }
    }

    /// Looks at the guest until it is clear where the move stands. That it is at the source, or gone,
    /// must be seen twice. A migration that nobody else watches is called off where it has not switched
    /// and should have: one that is to switch at once, and one that has had its time.
    fn look(&self, switched: bool, why: Option<&str>) -> Ended {
        let hypervisor = &self.scene.hypervisor;
        let because = |text: String| match why {
            Some(why) => format!("{text} ({why})"),
            None => text,
        };
        let began = hypervisor.now();
        let mut before: Option<Standing> = None;
        loop {
            let located = self.locate();
            let standing = self.standing(&located);
            let again = standing.as_ref().ok() == before.as_ref();
            before = None;
            let spent = hypervisor.now().saturating_sub(began);
            let (limit, unclear) = match standing {
                Ok(Standing::Moved) => {
                    self.tidy(&located);
                    return Ended::Moved(None);
                }
                Ok(Standing::AtSource) if again => return Ended::Interrupted,
                Ok(Standing::Lost(cause)) if again => return Ended::Lost(because(cause)),
                Ok(standing @ (Standing::AtSource | Standing::Lost(_))) => {
                    before = Some(standing);
                    hypervisor.wait(self.limits.back_off);
                    continue;
                }
                Ok(Standing::Changed(reason)) => return Ended::Changed(because(reason)),
                Ok(Standing::Broken(state)) => return Ended::Broken(because(state)),
                Ok(Standing::Stuck(state)) => return Ended::Stuck(because(state)),
                Ok(Standing::Left(state)) => match self.remove_rest() {
                    Ok(()) => continue,
                    // A moment later its own libvirt may have let it go.
                    Err(e) => (self.limits.patience, format!("{state}; {e}")),
                },
                Ok(Standing::Underway) => {
                    let late = self.mv.mode == Mode::PostCopy || spent >= give_up(&self.mv);
                    if late && self.has_not_switched(&located) {
                        self.abort();
                    }
                    let state = format!(
                        "guest {} is still being migrated from {} to {}, and does not come to an end",
                        self.mv.guest, self.mv.from, self.mv.to
                    );
                    (give_up(&self.mv) + self.limits.patience, state)
                }
                Err(unseen) => (self.limits.patience, unseen),
            };
            if spent >= limit {
                let unclear = because(unclear);
                return if switched {
                    Ended::Broken(unclear)
                } else {
                    Ended::Stuck(unclear)
                };
            }
            hypervisor.wait(LOOK.min(limit));
        }
    }

    /// Whether the migration between this move's ends is seen with execution at the source.
    fn has_not_switched(&self, located: &Located) -> bool {
        let is = |host: &HostName, state| {
            let mut seen = located.seen.iter();
            seen.any(|s| s.host == *host && s.state == state)
        };
        is(&self.mv.from, GuestState::Running) && is(&self.mv.to, GuestState::Migrating)
    }

    /// After the move: a definition that is left at the source goes, so that nobody starts the guest
    /// there. Where it cannot go it does no harm.
    fn tidy(&self, located: &Located) {
        let left = located.seen.iter().any(|s| s.host == self.mv.from);
        if left && let Err(e) = self.remove_rest() {
            tracing::warn!(
                "move {}: guest {} is still defined on {}: {e}",
                self.mv.id,
                self.mv.guest,
                self.mv.from
            );
        }
    }

    fn remove_rest(&self) -> Result<(), Error> {
        let ends = (&self.mv.from, &self.mv.to);
        self.scene.hypervisor.tidy(&self.mv.guest, ends)
    }
}

/// How the memory goes over: as the plan and its policy say.
fn stream(policy: &Migrations, mv: &Move) -> Stream {
    let bandwidth = Some(mv.bandwidth).filter(|b| b.0 > 0);
    Stream {
        bandwidth,
        bandwidth_postcopy: bandwidth.map(|b| policy.after_switch(b)),
        tls: policy.stream == StreamPolicy::Tls,
        ..Stream::default()
    }
}

/// A migration is given up after twice its predicted length and half a minute: a prediction may be
/// off, a guest that dirties faster than the link may never end.
fn give_up(mv: &Move) -> Micros {
    Micros(mv.duration.0.saturating_mul(2)) + Micros::secs(30)
}
