use std::path::PathBuf;

use proptest::prelude::*;
use vmpack_domain::Load;
use vmpack_domain::check;
use vmpack_domain::journal::Priority;
use vmpack_domain::plan::Outcome;
use vmpack_hypervisor::Hypervisor;
use vmpack_hypervisor::sim::{self, Fault, Trouble, When};
use vmpack_hypervisor::simulated::Simulated;
use vmpack_planner::search::Search;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::round::{Anew, Carried, carry_through};
use super::*;
use crate::attempt::Scene;
use crate::carry::Heard;
use crate::decide::Limits;
use crate::fixture::{a_move, cluster, plan};
use crate::holder::{Terms, channel};
use crate::journal::{Entry, Journal};
use vmpack_domain::journal::RunId;

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn id(text: &str) -> MoveId {
    MoveId(text.to_owned())
}

fn world(hosts: &Cluster) -> World {
    World::Simulated {
        cluster: hosts.clone(),
        load: Load::default(),
        seed: 1,
        speed_up: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp(jiff::Timestamp::from_second(seconds).unwrap())
}

/// A run of that plan with those events, one a second from its id on.
fn run(number: i64, hosts: &Cluster, plan: &Plan, events: Vec<Event>) -> Run {
    let accepted = Event::Accepted {
        plan: Box::new(plan.clone()),
        file: None,
        priority: Priority::Consolidation,
        follows: (number > 1).then(|| RunId(number - 1)),
    };
    let events = std::iter::once(accepted).chain(events);
    Run {
        id: RunId(number),
        world: world(hosts),
        entries: events
            .zip(number..)
            .map(|(event, seq)| Entry {
                seq,
                run: RunId(number),
                time: at(seq),
                event,
            })
            .collect(),
    }
}

fn intended(mv: &Move) -> Event {
    Event::Intended {
        id: mv.id.clone(),
        guest: mv.guest.clone(),
        from: mv.from.clone(),
        to: mv.to.clone(),
        mode: mv.mode,
        attempt: 1,
    }
}

fn moved(move_id: &str) -> Event {
    Event::Moved {
        id: id(move_id),
        total: None,
        switch: None,
        downtime: None,
        transferred: None,
    }
}

fn failed(move_id: &str) -> Event {
    Event::Failed {
        id: id(move_id),
        error: "refused".to_owned(),
    }
}

fn skipped(move_id: &str) -> Event {
    Event::Skipped {
        id: id(move_id),
        reason: "changed".to_owned(),
    }
}

const FINISHED: Event = Event::Finished { complete: false };

/// Web leaves h1 for h2 and then db, which did not happen.
fn halves() -> (Cluster, Plan) {
    let hosts = cluster(
        &["h1", "h2", "h3"],
        &[("web", "h1"), ("db", "h1"), ("x", "h3")],
    );
    let mut second = a_move("m2", "db", "h1", "h2");
    second.after = vec![id("m1")];
    let third = a_move("m3", "x", "h3", "h2");
    let plan = plan(&hosts, vec![a_move("m1", "web", "h1", "h2"), second, third]);
    (hosts, plan)
}

#[test]
fn only_a_run_that_ended_by_itself_and_left_no_riddle_is_planned_anew() {
    let (hosts, plan) = halves();
    let after = |events: Vec<Event>, most| next(&[run(1, &hosts, &plan, events)], most);
    let aborted = Event::Aborted {
        by: "me".to_owned(),
    };
    let stuck = Event::Stuck {
        id: id("m1"),
        state: "?".to_owned(),
    };
    let lost = Event::Lost {
        id: id("m1"),
        cause: "?".to_owned(),
    };
    let stopped = Event::Stopped {
        reason: "too much".to_owned(),
    };
    let complete = Event::Finished { complete: true };
    assert_eq!(after(vec![failed("m1"), FINISHED], 1), Next::Plan);
    assert_eq!(after(vec![complete], 1), Next::Reached);
    for (events, said) in [
        (vec![failed("m1")], "not at its end"),
        (vec![failed("m1"), stopped], "was stopped: too much"),
        (vec![aborted, FINISHED], "aborted"),
        (vec![stuck, FINISHED], "guest web of move m1 is stuck"),
        (vec![lost, FINISHED], "guest web of move m1 is lost"),
    ] {
        let Next::Ends(why) = after(events, 1) else {
            panic!("{said}");
        };
        assert!(why.contains(said), "{why}");
    }
    assert!(matches!(after(vec![FINISHED], 0), Next::Ends(why) if why.contains("0 times")));
    let ended = |number| run(number, &hosts, &plan, vec![failed("m1"), FINISHED]);
    assert_eq!(next(&[ended(1), ended(2)], 2), Next::Plan);
    let Next::Ends(why) = next(&[ended(1), ended(2), ended(3)], 2) else {
        panic!("bounded");
    };
    assert!(why.contains("2 times"), "{why}");
}

/// The kinds of rules that a basis adds, as text.
fn added(basis: &Basis, before: &Policy) -> Vec<String> {
    let rules = &basis.policy.rules[before.rules.len()..];
    let word = |r: &Rule| match &r.kind {
        RuleKind::Ban { guests, hosts } => format!("{} not {}", guests[0], hosts.join("+")),
        RuleKind::Pin { guests } => format!("{} stays", guests[0]),
        other => format!("{other:?}"),
    };
    rules.iter().map(word).collect()
}

#[test]
fn what_failed_is_cut_off_and_what_only_depended_on_it_is_not() {
    let (mut hosts, plan) = halves();
    let first = |hosts: &Cluster| {
        let events = vec![
            intended(&plan.moves[0]),
            failed("m1"),
            skipped("m2"),
            FINISHED,
        ];
        run(1, hosts, &plan, events)
    };
    let found = basis(&[first(&hosts)], &hosts, at(60)).unwrap();
    assert_eq!(added(&found, &plan.policy), ["web not h2"]);
    assert!(found.why[0].contains("guest web from h1 to h2, failed: refused"));
    assert!(found.why[1].ends_with("either: 1 move"), "{:?}", found.why);

    // It failed at a second host, too.
    let again = crate::fixture::plan(&hosts, vec![a_move("m1", "web", "h1", "h3")]);
    let second = run(
        2,
        &hosts,
        &again,
        vec![intended(&again.moves[0]), failed("m1"), FINISHED],
    );
    let chain = [first(&hosts), second];
    let found = basis(&chain, &hosts, at(60)).unwrap();
    assert_eq!(added(&found, &plan.policy), ["web stays"]);
    hosts.hosts[0].state = HostState::Drain;
    let found = basis(&chain, &hosts, at(60)).unwrap();
    assert_eq!(added(&found, &plan.policy), ["web not h2+h3"]);
    hosts.hosts[0].state = HostState::On;

    // Somebody else took it to where it was not sent; or it is gone.
    hosts.guests[0].host = Some(name("h3"));
    let found = basis(&[first(&hosts)], &hosts, at(60)).unwrap();
    assert_eq!(added(&found, &plan.policy), ["web stays"]);
    hosts.guests[0].host = None;
    let found = basis(&[first(&hosts)], &hosts, at(60)).unwrap();
    assert_eq!(added(&found, &plan.policy), [] as [&str; 0]);
}

#[test]
fn the_chain_as_a_whole_is_what_the_policy_limits() {
    let (mut hosts, mut plan) = halves();
    hosts.guests[1].moved_ago = Some(Micros::secs(100));
    plan.policy.limits.moves = Some(2);
    let most = |guests: &[&str], moves| Rule {
        name: guests.concat(),
        kind: RuleKind::MaxMoves {
            guests: guests.iter().map(ToString::to_string).collect(),
            moves,
        },
    };
    plan.policy.rules = vec![most(&[], 5), most(&["x"], 1), most(&["web"], 1)];
    // Web was only parked, and x came to where it belongs at 6 s.
    plan.target.insert(name("web"), name("h3"));
    let events = vec![
        moved("m1"),
        intended(&plan.moves[1]),
        failed("m2"),
        moved("m3"),
    ];
    let events = events.into_iter().chain([FINISHED]).collect();
    let first = run(1, &hosts, &plan, events);
    let found = basis(std::slice::from_ref(&first), &hosts, at(60));
    assert!(found.unwrap_err().contains("limits.moves"));
    plan.policy.limits.moves = Some(3);
    let first = run(
        1,
        &hosts,
        &plan,
        first.entries[1..].iter().map(|e| e.event.clone()).collect(),
    );
    let mut now = hosts.clone();
    now.guests[0].host = Some(name("h2"));
    now.guests[1].moved_ago = None;
    now.guests[2].host = Some(name("h2"));
    now.hosts[2].state = HostState::Asleep;
    let found = basis(&[first], &now, at(60)).unwrap();
    assert_eq!(found.policy.limits.moves, Some(1));
    let left: Vec<u32> = found
        .policy
        .rules
        .iter()
        .filter_map(|r| match r.kind {
            RuleKind::MaxMoves { moves, .. } => Some(moves),
            _ => None,
        })
        .collect();
    assert_eq!(left, [3, 0, 0]);
    let ago: Vec<Option<u64>> = found
        .cluster
        .guests
        .iter()
        .map(|g| Some(g.moved_ago?.0 / 1_000_000))
        .collect();
    // The run began at 1 s, m3 moved at 5 s.
    assert_eq!(ago, [None, Some(159), Some(55)]);
    assert_eq!(found.cluster.hosts[2].state, HostState::Out);
}

const LIMITS: Limits = Limits {
    parallel: 2,
    per_host: 2,
    tries: 1,
    back_off: Micros(1000),
    recoveries: 3,
    patience: Micros(1000),
    canary: 0,
    stop_after: 0,
    verify: false,
};

fn planned(hosts: &Cluster, policy: &Policy) -> Result<Plan, String> {
    let mut search = Search {
        elapsed: &|| Micros::ZERO,
        stop: &|| false,
        report: &mut |_| {},
    };
    match vmpack_planner::plan(hosts, &Load::default(), policy, &mut search) {
        Outcome::Optimal(plan) | Outcome::Feasible(plan) => Ok(plan),
        other => Err(format!("{other:?}")),
    }
}

/// The plans that were made anew, each with what it was made from.
type Made = Arc<Mutex<Vec<(Cluster, Plan)>>>;

struct Played {
    carried: Carried,
    made: Vec<(Cluster, Plan)>,
    not_anew: Vec<String>,
    now: Cluster,
    _folder: tempfile::TempDir,
    journal: PathBuf,
}

/// Plans and carries out in a world with those faults, planning anew so often.
fn played(hosts: &Cluster, policy: &Policy, faults: Vec<Fault>, most: u32) -> Option<Played> {
    let plan = planned(hosts, policy)
        .ok()
        .filter(|p| !p.moves.is_empty())?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("journal.db");
    let mut journal = Journal::open(&file).unwrap();
    let begun = journal.accept(&plan, None, Priority::Consolidation, &world(hosts));
    begun.unwrap();
    let options = sim::Options {
        faults,
        ..sim::Options::default()
    };
    let hypervisor = Arc::new(Simulated::new(hosts.clone(), Load::default(), options));
    // What strikes at the beginning strikes before the first migration.
    hypervisor.wait(Micros(1));
    let scene = Scene {
        hypervisor: hypervisor.clone(),
        controller: "test".to_owned(),
        wall: || Timestamp(jiff::Timestamp::UNIX_EPOCH),
        keeps_hours: true,
    };
    let made = Made::default();
    let keep = Arc::clone(&made);
    let anew = Anew {
        most,
        planner: Arc::new(move |hosts: &Cluster, policy: &Policy| {
            let plan = planned(hosts, policy)?;
            keep.lock().unwrap().push((hosts.clone(), plan.clone()));
            Ok(plan)
        }),
        stopped: Arc::new(AtomicBool::new(false)),
    };
    let terms = Terms {
        world: world(hosts),
        limits: &|_| LIMITS,
        stays: false,
        inhibit: folder.path().join("inhibit"),
    };
    let (_handle, mut asks) = channel();
    let mut not_anew = Vec::new();
    let hear = &mut |heard: Heard<'_>| {
        if let Heard::NotAnew { why, .. } = heard {
            not_anew.push(why);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let runs = journal.unfinished().unwrap();
    let desk = (&mut journal, &mut asks);
    let carried = carry_through(&scene, &runs, &terms, desk, hear, Some(&anew));
    let carried = runtime.block_on(carried).unwrap();
    let made = made.lock().unwrap().clone();
    Some(Played {
        carried,
        made,
        not_anew,
        now: hypervisor.snapshot().unwrap(),
        _folder: folder,
        journal: file,
    })
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.limits.nodes = Some(200);
    policy.limits.prefer_nodes();
    policy
}

fn refuses(host: &str) -> Fault {
    Fault {
        when: When::At(Micros::ZERO),
        what: Trouble::Refuses(name(host)),
    }
}

#[test]
fn a_guest_that_its_target_refuses_goes_elsewhere_by_a_new_plan() {
    // Three guests fit a host; the fullest one takes what the two others hold, in any plan of one host less.
    let guests = [("a", "h1"), ("b", "h2"), ("c", "h3"), ("d", "h3")];
    let hosts = cluster(&["h1", "h2", "h3"], &guests);
    let without = played(&hosts, &policy(), vec![], 2).unwrap();
    assert_eq!(without.now.hosts_in_use().len(), 2);
    assert!(without.carried.followed.is_empty() && without.not_anew.is_empty());

    let first = planned(&hosts, &policy()).unwrap();
    let target = &first.moves[0].to;
    let found = played(&hosts, &policy(), vec![refuses(target.as_str())], 2).unwrap();
    assert_eq!(found.now.hosts_in_use().len(), 2, "{:?}", found.not_anew);
    let (before, after) = found.carried.followed.iter().next().unwrap();
    assert_eq!(found.carried.runs[before].finished, Some(false));
    assert_eq!(found.carried.runs[after].finished, Some(true));
    assert_eq!(
        found
            .carried
            .more_hosts(*after, Some(&found.now.hosts_in_use())),
        None
    );
    let journal = Journal::open(&found.journal).unwrap();
    let chain = journal.chain(*after).unwrap();
    assert_eq!(
        chain.iter().map(|r| r.id).collect::<Vec<_>>(),
        [*before, *after]
    );
    let said = chain[1].progress().plan.unwrap().reasons.concat();
    assert!(
        said.contains("refuses") && said.contains("does not go to"),
        "{said}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_chain_ends_tries_nothing_twice_and_keeps_what_it_was_let(
        places in proptest::collection::vec(0usize..5, 4..9),
        refusals in proptest::collection::vec(0usize..5, 1..8),
        most in 0u32..4,
        moves in proptest::option::of(1u32..8),
    ) {
        let names = ["h1", "h2", "h3", "h4", "h5"];
        let guests: Vec<(String, &str)> =
            places.iter().enumerate().map(|(i, at)| (format!("g{i}"), names[*at])).collect();
        let guests: Vec<(&str, &str)> = guests.iter().map(|(g, h)| (g.as_str(), *h)).collect();
        let hosts = cluster(&names, &guests);
        let mut policy = policy();
        policy.limits.moves = moves;
        let faults = refusals.iter().map(|h| refuses(names[*h])).collect();
        let Some(found) = played(&hosts, &policy, faults, most) else {
            return Ok(());
        };
        let followed = found.carried.followed.len();
        prop_assert!(followed <= usize::try_from(most).unwrap());
        // Whatever was made anew is right by the judge, under its own policy.
        for (hosts, plan) in &found.made {
            let refused = check::plan(hosts, &Load::default(), &plan.policy, plan);
            prop_assert!(refused.is_empty(), "{refused:?}");
        }
        let last = *found.carried.runs.keys().next_back().unwrap();
        let journal = Journal::open(&found.journal).unwrap();
        let chain = journal.chain(last).unwrap();
        prop_assert_eq!(chain.len(), followed + 1);
        let mut tried: BTreeSet<(GuestName, HostName)> = BTreeSet::new();
        let mut done = 0;
        for run in &chain {
            let plan = run.progress().plan.unwrap();
            for mv in &plan.moves {
                let again = tried.contains(&(mv.guest.clone(), mv.to.clone()));
                prop_assert!(!again, "{} to {} again", mv.guest, mv.to);
            }
            tried.extend(failures(run).into_iter().map(|f| (f.mv.guest, f.mv.to)));
            done += happened(run).len();
            prop_assert_eq!(run.progress().finished.is_some(), true);
        }
        prop_assert!(moves.is_none_or(|most| done <= usize::try_from(most).unwrap()));
        // It ends where all was done, or says why not.
        let whole = chain.last().unwrap().progress().finished == Some(true);
        prop_assert_eq!(whole, found.not_anew.is_empty(), "{:?}", found.not_anew);
        prop_assert_eq!(found.not_anew.len(), usize::from(!whole));
        // Where nobody was lost on the way, all guests still run.
        prop_assert_eq!(found.now.guests.len(), hosts.guests.len());
    }
}
