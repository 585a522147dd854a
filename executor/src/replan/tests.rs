use vmpack_domain::Load;
use vmpack_domain::journal::{Priority, RunId};

use super::*;
use crate::fixture::{a_move, cluster, plan};
use crate::journal::Entry;

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
        reverses: false,
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
    let (hosts, mut plan) = halves();
    plan.policy.migrations.stop_after = 0;
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
    let mut back = run(1, &hosts, &plan, vec![failed("m1"), FINISHED]);
    if let Event::Accepted { reverses, .. } = &mut back.entries[0].event {
        *reverses = true;
    }
    assert!(matches!(next(&[back], 1), Next::Ends(why) if why.contains("takes back")));
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
    let found = basis(&[first(&hosts)], &hosts.clone().into(), at(60)).unwrap();
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
    let found = basis(&chain, &hosts.clone().into(), at(60)).unwrap();
    assert_eq!(added(&found, &plan.policy), ["web stays"]);
    hosts.hosts[0].state = HostState::Drain;
    let found = basis(&chain, &hosts.clone().into(), at(60)).unwrap();
    assert_eq!(added(&found, &plan.policy), ["web not h2+h3"]);
    hosts.hosts[0].state = HostState::On;

    // Somebody else took it to where it was not sent, and one whose move was not even begun; or it is gone.
    hosts.guests[0].host = Some(name("h3"));
    hosts.guests[1].host = Some(name("h3"));
    let found = basis(&[first(&hosts)], &hosts.clone().into(), at(60)).unwrap();
    assert_eq!(added(&found, &plan.policy), ["db stays", "web stays"]);
    hosts.hosts[2].state = HostState::Drain;
    let found = basis(&[first(&hosts)], &hosts.clone().into(), at(60)).unwrap();
    assert_eq!(added(&found, &plan.policy), ["web not h2"]);
    hosts.hosts[2].state = HostState::On;
    hosts.guests[1].host = Some(name("h1"));
    hosts.guests[0].host = None;
    let found = basis(&[first(&hosts)], &hosts.clone().into(), at(60)).unwrap();
    assert_eq!(added(&found, &plan.policy), [] as [&str; 0]);
}

#[test]
fn what_was_given_up_without_having_failed_is_not_cut_off() {
    let (hosts, plan) = halves();
    let of = |first: Event, reason: &str| {
        let skipped = Event::Skipped {
            id: id("m1"),
            reason: reason.to_owned(),
        };
        let events = vec![intended(&plan.moves[0]), first, skipped, FINISHED];
        basis(
            &[run(1, &hosts, &plan, events)],
            &hosts.clone().into(),
            at(60),
        )
        .unwrap()
    };
    let interrupted = Event::Interrupted { id: id("m1") };
    let found = of(interrupted.clone(), "`split-budget` is spent");
    assert_eq!(added(&found, &plan.policy), [] as [&str; 0]);
    assert!(
        found.why[0].contains("from h1 to h2, was not begun: `split-budget`"),
        "{:?}",
        found.why
    );
    let again = |reason: &str| of(intended(&plan.moves[0]), reason);
    assert_eq!(added(&again("changed"), &plan.policy), ["web not h2"]);
    // What the planner sees by itself.
    let room = "host h2 has no room for guest web: 1 GiB short";
    assert_eq!(added(&again(room), &plan.policy), [] as [&str; 0]);
    let more = format!("{room}; guest web has a passed-through device");
    assert_eq!(added(&again(&more), &plan.policy), ["web not h2"]);
}

/// What is planned from after a run of that plan whose move m1 failed, on hosts that are as they were.
fn after_its_first_move_failed(hosts: &Cluster, plan: &Plan) -> Basis {
    let events = vec![intended(&plan.moves[0]), failed("m1"), FINISHED];
    let run = run(1, hosts, plan, events);
    basis(&[run], &hosts.clone().into(), at(60)).unwrap()
}

#[test]
fn a_guest_whose_name_is_a_pattern_is_held_and_names_no_other() {
    let hosts = cluster(&["h1", "h2"], &[("w*", "h1"), ("web", "h1")]);
    let plan = plan(&hosts, vec![a_move("m1", "w*", "h1", "h2")]);
    let found = after_its_first_move_failed(&hosts, &plan);
    assert_eq!(added(&found, &plan.policy), [] as [&str; 0]);
    let movable: Vec<bool> = found.cluster.guests.iter().map(|g| g.movable).collect();
    assert_eq!(movable, [false, true]);
}

#[test]
fn where_no_plan_keeps_the_cuts_their_guests_are_held_where_they_are() {
    let (mut hosts, plan) = halves();
    let events = vec![intended(&plan.moves[0]), failed("m1"), FINISHED];
    let first = run(1, &hosts, &plan, events);
    let of = |hosts: &Cluster| {
        basis(std::slice::from_ref(&first), &hosts.clone().into(), at(60)).unwrap()
    };
    let still = held(&of(&hosts)).unwrap();
    let movable: Vec<bool> = still.cluster.guests.iter().map(|g| g.movable).collect();
    assert_eq!(movable, [false, true, true]);
    assert!(still.why.last().unwrap().contains("stays where it is: web"));
    assert_eq!(held(&still), None);
    hosts.hosts[0].state = HostState::Drain;
    assert_eq!(held(&of(&hosts)), None);
}

#[test]
fn what_rules_let_neither_stay_nor_go_elsewhere_is_tried_again_and_holds_up_nothing() {
    let (hosts, mut plan) = halves();
    assert_eq!(lifted(&after_its_first_move_failed(&hosts, &plan)), None);
    plan.policy.rules.push(Rule {
        name: "fenced".to_owned(),
        kind: RuleKind::Fence {
            guests: vec!["web".to_owned()],
            hosts: vec!["h2".to_owned()],
        },
    });
    let found = after_its_first_move_failed(&hosts, &plan);
    let web = |basis: &Basis| basis.cluster.guest(&name("web")).unwrap().movable;
    let planner = |basis: &Basis| match (added(basis, &plan.policy).as_slice(), web(basis)) {
        ([], true) => Ok(plan.clone()),
        _ => Err("infeasible".to_owned()),
    };
    let made_anew = made(found.clone(), &planner, &|| false).unwrap();
    let why = made_anew.reasons.join("; ");
    assert!(why.ends_with("the same is tried again for web"), "{why}");
    // Nothing more is begun once it is to stop.
    assert!(made(found.clone(), &planner, &|| true).is_err());
    let never = |_: &Basis| Err("never".to_owned());
    assert_eq!(made(found, &never, &|| false), Err("never".to_owned()));
}

#[test]
fn a_target_whose_name_is_a_pattern_is_not_cut_off_as_one() {
    let hosts = cluster(&["h1", "h*"], &[("web", "h1")]);
    let plan = plan(&hosts, vec![a_move("m1", "web", "h1", "h*")]);
    let found = after_its_first_move_failed(&hosts, &plan);
    assert_eq!(added(&found, &plan.policy), [] as [&str; 0]);
    assert!(!found.cluster.guests[0].movable);
}

#[test]
fn moves_that_failed_add_up_over_the_chain_until_a_person_has_looked() {
    let (hosts, mut plan) = halves();
    plan.policy.migrations.stop_after = 2;
    let one = |number, mut events: Vec<Event>| {
        events.push(FINISHED);
        run(number, &hosts, &plan, events)
    };
    let first = one(1, vec![failed("m1")]);
    assert_eq!(next(std::slice::from_ref(&first), 9), Next::Plan);
    let found = basis(std::slice::from_ref(&first), &hosts.clone().into(), at(60)).unwrap();
    assert_eq!(found.policy.migrations.stop_after, 1);
    let Next::Ends(why) = next(&[first.clone(), one(2, vec![failed("m2")])], 9) else {
        panic!("two have failed");
    };
    assert!(
        why.contains("2 moves") && why.contains("a person must look"),
        "{why}"
    );
    let continued = Event::Continued {
        by: "me".to_owned(),
        failures: 1,
    };
    let looked = one(2, vec![failed("m2"), continued]);
    assert_eq!(next(&[first.clone(), looked.clone()], 9), Next::Plan);
    let after = one(3, vec![failed("m1")]);
    assert_eq!(next(&[first.clone(), looked.clone(), after], 9), Next::Plan);
    let more = one(3, vec![failed("m1"), failed("m2")]);
    assert!(matches!(next(&[first, looked, more], 9), Next::Ends(_)));
}

#[test]
fn a_chain_has_one_budget_of_split_state_and_as_many_moves_as_were_confirmed() {
    let (hosts, mut plan) = halves();
    let budgets = [("host", 9), ("link", 3), ("all", 20), ("rack", 5)];
    let budgets = budgets.map(|(name, most)| (name.to_owned(), Micros::secs(most)));
    plan.policy.migrations.split_budget = budgets.into();
    plan.policy.limits.level = Some(3);
    let moved = |total| Event::Moved {
        id: id("m1"),
        total: Some(Micros::secs(total)),
        switch: Some(Micros::secs(1)),
        downtime: None,
        transferred: None,
    };
    let one = |number, total| run(number, &hosts, &plan, vec![moved(total), FINISHED]);
    let chain = [one(1, 5), one(2, 3)];
    let found = basis(&chain, &hosts.clone().into(), at(60)).unwrap();
    let left: Vec<(&str, u64)> = { found.policy.migrations.split_budget.iter() }
        .map(|(name, most)| (name.as_str(), most.0 / 1_000_000))
        .collect();
    assert_eq!(left, [("all", 14), ("host", 3), ("link", 0), ("rack", 5)]);
    assert_eq!(found.policy.limits.level, Some(1));
    // Of three.
    assert_eq!(found.policy.limits.moves, Some(1));
    let [first, second] = chain;
    let why = basis(&[first, second, one(3, 2)], &hosts.clone().into(), at(60)).unwrap_err();
    assert!(
        why.contains("as many guests have moved as the first plan"),
        "{why}"
    );
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
    let found = basis(std::slice::from_ref(&first), &hosts.clone().into(), at(60));
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
    let found = basis(&[first], &now.clone().into(), at(60)).unwrap();
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

mod played;

#[test]
fn a_plan_goes_round_a_host_that_does_not_answer_and_its_guests_stay() {
    let (mut hosts, plan) = halves();
    let first = run(
        1,
        &hosts,
        &plan,
        vec![
            intended(&plan.moves[0]),
            failed("m1"),
            skipped("m2"),
            moved("m3"),
            FINISHED,
        ],
    );
    let chain = [first];
    // X came to h2, which died.
    let last = known(&chain);
    assert_eq!(last.placement()["x"], name("h2"));
    hosts = last;
    hosts.hosts[1].state = HostState::Drain;
    let sight = Sight {
        cluster: hosts.clone(),
        silent: BTreeSet::from([name("h2")]),
    };
    let found = basis(&chain, &sight, at(60)).unwrap();
    // One for what failed, and one for whoever is elsewhere.
    let kinds: Vec<&RuleKind> = found.policy.rules.iter().map(|r| &r.kind).collect();
    let ban = |guests: &[&str]| RuleKind::Ban {
        guests: guests.iter().map(ToString::to_string).collect(),
        hosts: vec!["h2".to_owned()],
    };
    assert_eq!(kinds, [&ban(&["web"]), &ban(&["web", "db"])]);
    let movable = found.cluster.guests.iter().map(|g| g.movable);
    assert_eq!(movable.collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(found.cluster.hosts[1].state, HostState::On);
    assert!(found.why.concat().contains("host h2 does not answer"));
}

#[test]
fn a_guest_whose_move_failed_is_sent_there_again_ever_later() {
    let (hosts, plan) = halves();
    let fails = |number: i64| {
        let events = vec![intended(&plan.moves[0]), failed("m1"), FINISHED];
        let mut run = run(number, &hosts, &plan, events);
        run.entries.iter_mut().for_each(|e| e.time = at(number));
        run
    };
    let hour = 3600;
    // What is cut at that second, after those failures, where a plan is made each hour.
    let cut = |runs: &[Run], second: i64| {
        let policy = (&hosts, &plan.policy);
        let every = Micros::secs(3600);
        added(
            &again::rested(runs, policy, at(second), every),
            &plan.policy,
        )
    };
    let once = [fails(1)];
    assert_eq!(cut(&once, hour), ["web not h2"]);
    assert_eq!(cut(&once, 2 * hour + 1), [] as [&str; 0]);
    let twice = [fails(1), fails(2 * hour)];
    assert_eq!(cut(&twice, 5 * hour), ["web not h2"]);
    assert_eq!(cut(&twice, 6 * hour), [] as [&str; 0]);
    // It moved there between the two.
    let events = vec![moved("m1"), FINISHED];
    let well = run(2, &hosts, &plan, events);
    let between = [fails(1), well, fails(2 * hour)];
    assert_eq!(cut(&between, 4 * hour), [] as [&str; 0]);
    // The clock was ahead when it failed.
    assert_eq!(cut(&[fails(100 * hour)], 5 * hour), [] as [&str; 0]);
    // However often, it is tried again after a day.
    let often: Vec<Run> = (1..40).map(fails).collect();
    assert_eq!(cut(&often, 24 * hour), ["web not h2"]);
    assert_eq!(cut(&often, 25 * hour), [] as [&str; 0]);
    let since = again::since(at(30 * 24 * hour), Micros::secs(60));
    assert_eq!(since, at(23 * 24 * hour));
}
