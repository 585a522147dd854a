//! Judges a history by what the world did and what stands in the journals, and never by what an
//! executor says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vmpack_domain::plan::{Move, Plan};
use vmpack_domain::units::{MiB, Micros};
use vmpack_domain::{GuestName, HostName, Mode};
use vmpack_hypervisor::sim::{CopyState, Event, Happening, MigrationId, Traffic, Trouble, World};
use vmpack_hypervisor::{Lease, Method, MigrationRequest};

use crate::acts::{Care, guest as numbered};

/// What must never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wrong {
    /// A guest runs on two hosts.
    RunsTwice,
    /// A guest is lost, and what died did not hold memory that nobody else had.
    LostWithoutCause,
    /// A post-copy broke, and no link, host or QEMU was at fault.
    TornByUs,
    /// A libvirtd died, and no fault killed it.
    DaemonKilledByUs,
    /// A host holds more than its memory by a migration of ours.
    OverCapacity,
    /// A guest was migrated although another controller's lease stood there to be seen.
    TwoHolders,
    /// A migration was asked for that is not in the journal.
    NoIntent,
    /// More migrations at once than the limits allow.
    OverLimits,
    /// More guests in split state at a host than the policy allows.
    OverSplit,
    /// More than a canary, and batches that grow with what went well, allow.
    OverBatch,
    /// A move began while a person was to be asked first.
    Unasked,
    /// A move went well by the journal, and a rest of its guest stands at its source.
    LeftBehind,
    /// A move began before one that it must wait for had happened.
    TooEarly,
    /// A move began after the run was to be ended.
    AfterTheEnd,
    /// What the journal says at the end is not so.
    Untrue,
    /// A guest was lost in a migration of ours, and the journal does not say so.
    NotNamed,
    /// A run that only executors' deaths disturbed did not come to the plan's target.
    OtherEnd,
    /// It goes on for ever.
    Endless,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One controller: what it carries out, where its journal is, and how it may go about it.
#[derive(Debug, Clone)]
pub(crate) struct Controller {
    pub(crate) name: String,
    /// The plan, and those of relief that may be asked for.
    pub(crate) plans: Vec<Plan>,
    pub(crate) journal: PathBuf,
    pub(crate) parallel: usize,
    pub(crate) per_host: usize,
    /// Most guests in split state at once at each host; 0 for no such limit.
    pub(crate) split: u32,
    pub(crate) care: Care,
}

/// The judge, and the history so far.
#[derive(Debug)]
pub(crate) struct Judge {
    controllers: Vec<Controller>,
    capacity: BTreeMap<HostName, MiB>,
    /// Faults that are to come, whenever that is.
    faults: Vec<Trouble>,
    /// What each host held of each guest when the world was last looked at.
    copies: BTreeMap<GuestName, Vec<(HostName, CopyState)>>,
    /// Whose each migration is; those of others are not here.
    ours: BTreeMap<MigrationId, usize>,
    /// Those of them that relief asked for.
    reliefs: BTreeSet<MigrationId>,
    /// When they began.
    began: BTreeMap<MigrationId, Micros>,
    /// Guests that were whole at a host at some time.
    arrived: BTreeSet<(GuestName, HostName)>,
    /// Guests with a migration of ours, and whose it was, when the world was last looked at.
    underway: BTreeMap<GuestName, usize>,
    /// Guests that were lost in one.
    lost: BTreeSet<(GuestName, usize)>,
    /// Guests that were lost.
    gone: BTreeSet<GuestName>,
    /// Leases of others that a controller was shown, and has not seen end.
    shown: BTreeMap<(usize, GuestName), Lease>,
    /// What was found wrong, the first first.
    pub(crate) wrongs: Vec<(Wrong, String)>,
    /// All that happened, a line each.
    pub(crate) log: Vec<String>,
}

impl Judge {
    pub(crate) fn new(
        controllers: Vec<Controller>,
        world: &World,
        capacity: BTreeMap<HostName, MiB>,
        faults: Vec<Trouble>,
    ) -> Self {
        let guests: BTreeSet<GuestName> = controllers
            .iter()
            .flat_map(|c| c.plans[0].target.keys().cloned())
            .collect();
        let copies = guests.into_iter().map(|g| (g.clone(), world.copies(&g)));
        let mut judge = Self {
            copies: copies.collect(),
            controllers,
            capacity,
            faults,
            ours: BTreeMap::new(),
            reliefs: BTreeSet::new(),
            began: BTreeMap::new(),
            arrived: BTreeSet::new(),
            underway: BTreeMap::new(),
            lost: BTreeSet::new(),
            gone: BTreeSet::new(),
            shown: BTreeMap::new(),
            wrongs: Vec::new(),
            log: Vec::new(),
        };
        judge.look(world);
        judge
    }

    fn wrong(&mut self, what: Wrong, why: String) {
        self.log.push(format!("WRONG {what}: {why}"));
        self.wrongs.push((what, why));
    }

    pub(crate) fn note(&mut self, at: Micros, what: impl fmt::Display) {
        self.log.push(format!("{:>9.3} s  {what}", seconds(at)));
    }

    /// Something happened in the world.
    pub(crate) fn event(&mut self, event: &Event) {
        let Event {
            at,
            guest,
            migration,
            what,
        } = event;
        if *what == Happening::Lost
            && let Some(whose) = self.underway.get(guest)
        {
            self.lost.insert((guest.clone(), *whose));
        }
        if !matches!(what, Happening::Progress { .. }) {
            let whose = migration.map_or(String::new(), |id| match self.ours.get(&id) {
                Some(n) => format!(" ({})", self.controllers[*n].name),
                None => " (somebody else)".to_owned(),
            });
            self.note(*at, format_args!("{guest}: {what:?}{whose}"));
        }
    }

    /// Looks at the whole world.
    pub(crate) fn look(&mut self, world: &World) {
        let guests: Vec<GuestName> = self.copies.keys().cloned().collect();
        for guest in guests {
            let before = self.copies.get(&guest).cloned().unwrap_or_default();
            let now = world.copies(&guest);
            let count = |state| now.iter().filter(|c| c.1 == state).count();
            if count(CopyState::Running) > 1 {
                self.wrong(Wrong::RunsTwice, format!("{guest}: {now:?}"));
            }
            if count(CopyState::Failed) > 0
                && !before.iter().any(|c| c.1 == CopyState::Failed)
                && !self.expects(|t| {
                    matches!(
                        t,
                        Trouble::LinkDown(_) | Trouble::Dies(_) | Trouble::QemuDies(..)
                    )
                })
            {
                self.wrong(
                    Wrong::TornByUs,
                    format!("{guest} is in split state: {now:?}"),
                );
            }
            let nowhere = !now
                .iter()
                .any(|c| matches!(c.1, CopyState::Running | CopyState::Failed));
            if nowhere && !before.is_empty() && !world.lost(&guest) && !world.off(&guest) {
                self.wrong(
                    Wrong::LostWithoutCause,
                    format!("{guest} runs nowhere: {now:?}"),
                );
            }
            if world.lost(&guest) && self.gone.insert(guest.clone()) {
                self.judge_loss(world, &guest, &before);
            }
            if let [(host, CopyState::Running)] = now.as_slice() {
                self.arrived.insert((guest.clone(), host.clone()));
            }
            self.copies.insert(guest, now);
        }
        let whose = |t: Traffic| Some((t.request.guest, *self.ours.get(&t.id)?));
        self.underway = world.traffic().into_iter().filter_map(whose).collect();
        let hosts: Vec<HostName> = self.capacity.keys().cloned().collect();
        for host in hosts {
            if world.alive(&host)
                && !world.reachable(&host)
                && !self.expects(|t| *t == Trouble::DaemonDies(host.clone()))
            {
                self.wrong(Wrong::DaemonKilledByUs, format!("libvirtd of {host}"));
            }
        }
    }

    fn expects(&self, is: impl Fn(&Trouble) -> bool) -> bool {
        self.faults.iter().any(is)
    }

    /// A guest is lost only where its sole complete copy was, or in split state either half.
    fn judge_loss(&mut self, world: &World, guest: &GuestName, before: &[(HostName, CopyState)]) {
        let died = match world.cause(guest) {
            Some(Trouble::Dies(h) | Trouble::QemuDies(_, h)) => h.clone(),
            other => {
                self.wrong(Wrong::LostWithoutCause, format!("{guest}, by {other:?}"));
                return;
            }
        };
        let held = before.iter().find(|c| c.0 == died).map(|c| c.1);
        let needed = match held {
            Some(CopyState::Running | CopyState::Outgoing | CopyState::Failed) => true,
            // It may have switched in the same moment.
            Some(CopyState::Incoming) => world.home(guest) == Some(&died),
            Some(CopyState::Stale) | None => false,
        };
        if !needed {
            let why = format!("{guest} by the death of {died}, which held {held:?} of {before:?}");
            self.wrong(Wrong::LostWithoutCause, why);
        }
    }

    /// A controller was shown who lays claim to a guest.
    pub(crate) fn shows(&mut self, controller: usize, guest: &GuestName, lease: Option<&Lease>) {
        let key = (controller, guest.clone());
        match lease.filter(|l| l.holder != self.controllers[controller].name) {
            Some(lease) => self.shown.insert(key, lease.clone()),
            None => self.shown.remove(&key),
        };
    }

    /// Whether that guest's agent is silent to that controller.
    pub(crate) fn mute(&self, controller: usize, guest: &GuestName) -> bool {
        self.controllers[controller].care.mute && *guest == numbered(0)
    }

    /// A controller is about to ask for a migration.
    pub(crate) fn asked(
        &mut self,
        world: &World,
        controller: usize,
        request: &MigrationRequest,
        wall: jiff::Timestamp,
    ) {
        let of = self.controllers[controller].clone();
        let what = format!(
            "{} asks for {} from {} to {} ({})",
            of.name, request.guest, request.from, request.to, request.mode
        );
        self.note(world.now(), &what);
        let journal = journal(&of.journal);
        let Some(intent) = last_intent(&journal, request) else {
            self.wrong(Wrong::NoIntent, what);
            return;
        };
        let Row { run, event } = &journal[intent];
        let of_run = |e: &&Row| e.run == *run;
        let since = journal[intent + 1..].iter().filter(of_run);
        if let Some(later) = since.clone().find(|e| e.event["id"] == event["id"]) {
            let why = format!("{what}; since then its journal says {}", later.event);
            self.wrong(Wrong::NoIntent, why);
        }
        let mut before = journal[..intent].iter().filter(of_run);
        if before.any(|e| e.event["event"] == "aborted" || e.event["event"] == "finished") {
            self.wrong(Wrong::AfterTheEnd, what.clone());
        }
        self.judge_care(controller, (*run, intent, &journal), &what);
        let moves = || of.plans.iter().flat_map(|p| &p.moves);
        let mv = moves().find(|m| event["id"] == m.id.0.as_str());
        for id in mv.map_or(&[][..], |m| &m.after) {
            let first = moves().find(|m| m.id == *id);
            if first.is_some_and(|m| !self.arrived.contains(&(m.guest.clone(), m.to.clone()))) {
                self.wrong(Wrong::TooEarly, format!("{what}, before {id} has happened"));
            }
        }
        let lease = self.shown.get(&(controller, request.guest.clone()));
        if let Some(lease) = lease.filter(|l| l.until.0 > wall) {
            let why = format!(
                "{what}, which is leased by {} until {}",
                lease.holder, lease.until.0
            );
            self.wrong(Wrong::TwoHolders, why);
        }
    }

    /// Whether the move whose intent is at that place of the journal may begin by canary and stops.
    fn judge_care(
        &mut self,
        controller: usize,
        (run, intent, journal): (i64, usize, &[Row]),
        what: &str,
    ) {
        let of = &self.controllers[controller];
        let mut first = of.plans[0].moves.iter();
        let consolidates = first.any(|m| journal[intent].event["id"] == m.id.0.as_str());
        let care = of.care;
        let mut rows = journal[..intent].iter().filter(|e| e.run == run);
        let last = rows.rfind(|e| e.event["event"] == "stopped" || e.event["event"] == "continued");
        if last.is_some_and(|e| e.event["event"] == "stopped") {
            self.wrong(Wrong::Unasked, what.to_owned());
        }
        if care.canary == 0 || !consolidates {
            return;
        }
        // By move, the last word before the intent, and whether its guest was said not to answer.
        let mut words: BTreeMap<&str, (&str, bool)> = BTreeMap::new();
        for row in journal[..intent].iter().filter(|e| e.run == run) {
            let (Some(id), Some(word)) = (row.event["id"].as_str(), row.event["event"].as_str())
            else {
                continue;
            };
            words.insert(id, (word, row.event["health"]["answers"] == false));
        }
        let well = words.values().filter(|(word, silent)| match *word {
            "checked" => !silent,
            "moved" => !care.verify,
            _ => false,
        });
        let most = care.canary.max(2 * well.count());
        let goes_on = ["intended", "switched", "broken", "recovering"];
        let underway = words.values().filter(|(word, _)| goes_on.contains(word));
        let underway = underway.count() + 1;
        if underway > most {
            self.wrong(
                Wrong::OverBatch,
                format!("{what}: {underway} at once, at most {most}"),
            );
        }
    }

    /// That guest's memory, by any plan that moves it.
    fn memory(&self, guest: &GuestName) -> MiB {
        let plans = self.controllers.iter().flat_map(|c| &c.plans);
        let mut moves = plans.flat_map(|p| &p.moves);
        moves
            .find(|m| m.guest == *guest)
            .map_or(MiB::ZERO, |m| m.memory)
    }

    /// It has begun.
    pub(crate) fn begun(
        &mut self,
        world: &World,
        controller: usize,
        request: &MigrationRequest,
        id: MigrationId,
    ) {
        self.ours.insert(id, controller);
        let of = self.controllers[controller].clone();
        self.began.insert(id, world.now());
        // Two controllers that look in the same moment do not see one another's guests come: a lease is of a guest.
        let unseen = |t: &Traffic| {
            let of_another = self.ours.get(&t.id).is_some_and(|c| *c != controller);
            of_another && t.request.to == request.to && self.began.get(&t.id) == Some(&world.now())
        };
        let unseen = world.traffic().into_iter().filter(unseen);
        let unseen: MiB = unseen.map(|t| self.memory(&t.request.guest)).sum();
        let taken = world.memory_taken(&request.to).saturating_sub(unseen);
        let capacity = self.capacity.get(&request.to).copied().unwrap_or_default();
        if taken > capacity {
            let why = format!(
                "{} on {}, which has {capacity}, by the move of {}",
                taken, request.to, request.guest
            );
            self.wrong(Wrong::OverCapacity, why);
        }
        // Moves of relief count only one another; and a move of a plan that is to switch at once and was
        // begun before relief came is not called off for it.
        let rows = journal(&of.journal);
        let intent = last_intent(&rows, request).map(|at| &rows[at].event["id"]);
        let planned = |m: &Move| intent.is_some_and(|id| *id == m.id.0.as_str());
        let relief = !of.plans[0].moves.iter().any(planned);
        if relief {
            self.reliefs.insert(id);
        }
        let counts = |t: &Traffic| self.ours.get(&t.id) == Some(&controller);
        let mut underway: Vec<Traffic> = world.traffic().into_iter().filter(counts).collect();
        if relief {
            underway.retain(|t| self.reliefs.contains(&t.id));
        } else if request.mode == Mode::PostCopy {
            underway.retain(|t| !self.reliefs.contains(&t.id));
        }
        let leave = underway
            .iter()
            .filter(|t| t.request.from == request.from)
            .count();
        let come = underway
            .iter()
            .filter(|t| t.request.to == request.to)
            .count();
        if underway.len() > of.parallel || leave.max(come) > of.per_host {
            let why = format!(
                "{} at once, {leave} from {}, {come} to {}",
                underway.len(),
                request.from,
                request.to
            );
            self.wrong(Wrong::OverLimits, why);
        }
        let splits = |t: &&Traffic| t.request.mode != vmpack_domain::Mode::PreCopy;
        for host in [&request.from, &request.to] {
            let at = |t: &&Traffic| t.request.from == *host || t.request.to == *host;
            let there = underway.iter().filter(splits).filter(at).count();
            let own = request.mode != vmpack_domain::Mode::PreCopy;
            if own && of.split > 0 && there > of.split as usize {
                self.wrong(Wrong::OverSplit, format!("{there} at {host}"));
            }
        }
        self.look(world);
    }

    /// A controller asks for a broken post-copy to be resumed.
    pub(crate) fn recovers(&mut self, world: &World, request: &MigrationRequest, method: Method) {
        self.note(
            world.now(),
            format_args!("{} is to be resumed ({method:?})", request.guest),
        );
    }

    /// The end: what the journals say must be so. `harmless`: nothing but executors died.
    pub(crate) fn end(&mut self, world: &World, harmless: bool) {
        for (n, controller) in self.controllers.clone().into_iter().enumerate() {
            let journal = journal(&controller.journal);
            for mv in controller.plans.iter().flat_map(|p| &p.moves) {
                self.judge_word(world, (n, &controller), mv, &journal);
            }
            if harmless {
                let finished = journal
                    .iter()
                    .rev()
                    .find(|e| e.event["event"] == "finished");
                if finished.is_none_or(|e| e.event["complete"] != true) {
                    let why = format!("{} is not complete", controller.name);
                    self.wrong(Wrong::OtherEnd, why);
                }
                for (guest, host) in &controller.plans[0].target {
                    let at = world.copies(guest);
                    if at != [(host.clone(), CopyState::Running)] {
                        self.wrong(
                            Wrong::OtherEnd,
                            format!("{guest} is {at:?}, its target {host}"),
                        );
                    }
                }
            }
        }
    }

    /// The last word of a journal on one move.
    fn judge_word(
        &mut self,
        world: &World,
        (n, controller): (usize, &Controller),
        mv: &Move,
        journal: &[Row],
    ) {
        let last = journal
            .iter()
            .rev()
            .find(|e| e.event["id"] == mv.id.0.as_str());
        let Some(last) = last else { return };
        let word = last.event["event"].as_str().unwrap_or_default();
        let ended = |e: &&Row| e.run == last.run && e.event["event"] == "finished";
        let finished = journal.iter().any(|e| ended(&e));
        let arrived = self.arrived.contains(&(mv.guest.clone(), mv.to.clone()));
        let gone = world.lost(&mv.guest) || world.off(&mv.guest);
        let so = match word {
            "moved" => arrived,
            "lost" => gone,
            "checked" => arrived,
            "failed" | "skipped" | "stuck" => true,
            _ => !finished,
        };
        let why = format!(
            "{}: {word} of {} ({} at {})",
            controller.name, mv.id, mv.guest, mv.to
        );
        if !so {
            self.wrong(
                Wrong::Untrue,
                format!("{why}; arrived: {arrived}, gone: {gone}"),
            );
        }
        // A later move of the guest may have left one there.
        let moves = || controller.plans.iter().flat_map(|p| &p.moves);
        let later = moves().skip_while(|m| m.id != mv.id).skip(1);
        let mut later = later.filter(|m| m.guest == mv.guest);
        let last = !later.any(|m| journal.iter().any(|e| e.event["id"] == m.id.0.as_str()));
        let rest = (mv.from.clone(), CopyState::Stale);
        if last
            && matches!(word, "moved" | "checked")
            && finished
            && world.copies(&mv.guest).contains(&rest)
        {
            self.wrong(Wrong::LeftBehind, format!("{why}: {rest:?}"));
        }
        // Another of its moves may have been the one.
        let named = journal.iter().any(|e| {
            let moves = controller.plans.iter().flat_map(|p| &p.moves);
            let mut same = moves.filter(|m| m.guest == mv.guest);
            matches!(e.event["event"].as_str(), Some("lost" | "stuck"))
                && same.any(|m| e.event["id"] == m.id.0.as_str())
        });
        let lost = self.lost.contains(&(mv.guest.clone(), n));
        if lost && finished && !(named || arrived) {
            self.wrong(Wrong::NotNamed, why);
        }
    }

    /// How the run of a controller ended, if it did.
    pub(crate) fn last_word(&self, controller: usize) -> Option<String> {
        let journal = journal(&self.controllers[controller].journal);
        let mut ends = journal.iter().rev();
        let end = ends.find(|e| e.event["event"] == "finished")?;
        Some(end.event.to_string())
    }

    pub(crate) fn endless(&mut self, why: String) {
        self.wrong(Wrong::Endless, why);
    }
}

/// A row of a journal.
#[derive(Debug)]
struct Row {
    run: i64,
    event: Value,
}

/// The row of the newest intent to do what is asked for.
fn last_intent(journal: &[Row], request: &MigrationRequest) -> Option<usize> {
    journal.iter().rposition(|e| {
        let is = |key: &str, name: &str| e.event[key] == name;
        is("event", "intended")
            && is("guest", request.guest.as_str())
            && is("from", request.from.as_str())
            && is("to", request.to.as_str())
    })
}

/// The events of a journal, oldest first, as they lie on the disk.
fn journal(path: &Path) -> Vec<Row> {
    let read = || -> rusqlite::Result<Vec<(i64, String)>> {
        let connection = rusqlite::Connection::open(path)?;
        let sql = "SELECT coalesce(run, seq), event FROM event ORDER BY seq";
        let mut rows = connection.prepare(sql)?;
        rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    let parse = |(run, text): (i64, String)| {
        let event = serde_json::from_str(&text).ok()?;
        Some(Row { run, event })
    };
    read()
        .unwrap_or_default()
        .into_iter()
        .filter_map(parse)
        .collect()
}

pub(crate) fn seconds(at: Micros) -> f64 {
    std::time::Duration::from_micros(at.0).as_secs_f64()
}
