//! Chains of runs that are carried out in the simulated world.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use vmpack_domain::check;
use vmpack_domain::plan::Outcome;
use vmpack_hypervisor::Hypervisor;
use vmpack_hypervisor::sim::{self, Fault, Trouble, When};
use vmpack_hypervisor::simulated::Simulated;
use vmpack_planner::search::Search;

use super::*;
use crate::attempt::Scene;
use crate::carry::Heard;
use crate::decide::Limits;
use crate::holder::{Handle, Order, Terms, channel};
use crate::journal::Journal;
use crate::replan::round::{Anew, Carried, carry_through};
use crate::sight::look;

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

/// What is done while a plan is made, by the one that speaks to the holder.
type Meanwhile = Box<dyn Fn(&Handle) + Send + Sync>;

/// Plans and carries out in a world with those faults, planning anew so often.
fn played(hosts: &Cluster, policy: &Policy, faults: Vec<Fault>, most: u32) -> Option<Played> {
    played_while(hosts, policy, faults, most, None)
}

fn played_while(
    hosts: &Cluster,
    policy: &Policy,
    faults: Vec<Fault>,
    most: u32,
    meanwhile: Option<Meanwhile>,
) -> Option<Played> {
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
    let (handle, mut asks) = channel();
    let anew = Anew {
        most,
        planner: Arc::new(move |hosts: &Cluster, policy: &Policy| {
            meanwhile.iter().for_each(|act| act(&handle));
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
    let mut not_anew = Vec::new();
    let hear = &mut |heard: Heard<'_>| {
        if let Heard::Entry(Entry {
            event: Event::NotReplanned { reason },
            ..
        }) = heard
        {
            not_anew.push(reason.clone());
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
        now: look(&*hypervisor, hosts).unwrap().cluster,
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

/// Where a host that no plan needs dies before the first migration: what is left is planned around it.
#[test]
fn a_plan_is_made_anew_around_a_host_that_died() {
    let guests = [
        ("a", "h1"),
        ("b", "h2"),
        ("c", "h3"),
        ("d", "h3"),
        ("e", "h4"),
    ];
    let hosts = cluster(&["h1", "h2", "h3", "h4", "h5"], &guests);
    let first = planned(&hosts, &policy()).unwrap();
    let to = first.moves[0].to.clone();
    let dies = Fault {
        when: When::At(Micros::ZERO),
        what: Trouble::Dies(to.clone()),
    };
    let found = played(&hosts, &policy(), vec![dies], 2).unwrap();
    assert!(!found.made.is_empty(), "{:?}", found.not_anew);
    for (hosts, plan) in &found.made {
        let refused = check::plan(hosts, &Load::default(), &plan.policy, plan);
        assert!(refused.is_empty(), "{refused:?}");
        assert!(plan.moves.iter().all(|m| m.to != to && m.from != to));
    }
    let (_, after) = found.carried.followed.iter().next().unwrap();
    let chain = Journal::open(&found.journal)
        .unwrap()
        .chain(*after)
        .unwrap();
    let said = chain[1].progress().plan.unwrap().reasons.concat();
    assert!(said.contains("does not answer"), "{said}");
    assert_eq!(found.carried.runs[after].finished, Some(true));
    // What died is no more in use by us: only what it held is still there.
    assert!(found.now.hosts_in_use().len() < hosts.hosts_in_use().len());
}

#[test]
fn who_follows_hears_of_every_run_of_a_chain() {
    let guests = [("a", "h1"), ("b", "h2"), ("c", "h3"), ("d", "h3")];
    let hosts = cluster(&["h1", "h2", "h3"], &guests);
    let first = planned(&hosts, &policy()).unwrap();
    let target = first.moves[0].to.clone();
    let heard = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&heard);
    // Begins to follow while the new plan is made.
    let meanwhile: Meanwhile = Box::new(move |handle: &Handle| {
        *keep.lock().unwrap() = Some(handle.follow());
        // That is taken in by now.
        handle.status().blocking_recv().unwrap();
    });
    let faults = vec![refuses(target.as_str()), refuses(target.as_str())];
    let found = played_while(&hosts, &policy(), faults, 2, Some(meanwhile)).unwrap();
    let (_, after) = found.carried.followed.iter().next().unwrap();
    let mut entries = heard.lock().unwrap().take().unwrap();
    let mut told = Vec::new();
    while let Ok(entry) = entries.try_recv() {
        told.push(entry);
    }
    let journal = Journal::open(&found.journal).unwrap();
    let chain = journal.chain(*after).unwrap();
    assert_eq!(
        told, chain[1].entries,
        "all of the run that came after, once"
    );
}

#[test]
fn who_aborts_while_a_plan_is_made_is_answered_and_it_is_not_carried_out() {
    let guests = [("a", "h1"), ("b", "h2"), ("c", "h3"), ("d", "h3")];
    let hosts = cluster(&["h1", "h2", "h3"], &guests);
    let first = planned(&hosts, &policy()).unwrap();
    let target = first.moves[0].to.clone();
    let order = Order {
        plan: first.clone(),
        file: None,
        priority: Priority::Consolidation,
        world: None,
        reverses: false,
    };
    let meanwhile: Meanwhile = Box::new(move |handle: &Handle| {
        // The answers come while this holds the planning up.
        let other = handle.abort(Some(RunId(999)), "nobody".to_owned());
        assert_eq!(other.blocking_recv(), Ok(vec![]));
        assert_eq!(handle.status().blocking_recv(), Ok(vec![]));
        let refused = handle.order(order.clone()).blocking_recv().unwrap();
        let why = refused.unwrap_err().error;
        assert!(why.contains("is being planned anew"), "{why}");
        let aborted = handle.abort(None, "me".to_owned()).blocking_recv();
        assert_eq!(aborted, Ok(vec![RunId(1)]));
    });
    let faults = vec![refuses(target.as_str())];
    let found = played_while(&hosts, &policy(), faults, 2, Some(meanwhile)).unwrap();
    assert_eq!(found.made.len(), 1);
    assert!(found.carried.followed.is_empty());
    assert_eq!(found.not_anew, ["asked to abort by me"]);
    assert_eq!(found.now.placement(), hosts.placement());
    let journal = Journal::open(&found.journal).unwrap();
    let chain = journal.chain(RunId(1)).unwrap();
    assert!(matches!(next(&chain, 9), Next::Ends(why) if why.contains("aborted")));
}

#[test]
fn whoever_carries_the_last_of_a_chain_on_knows_what_the_first_plan_said() {
    let hosts = cluster(&["h1", "h2", "h3"], &[("a", "h1"), ("b", "h2")]);
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&folder.path().join("journal.db")).unwrap();
    let first = plan(&hosts, vec![a_move("m1", "a", "h1", "h2")]);
    let second = plan(&hosts, vec![]);
    let world = world(&hosts);
    let accepted = journal.accept(&first, None, Priority::Consolidation, &world);
    let before = accepted.unwrap().run;
    let run = journal.accept_after(before, &second, &world).unwrap().run;
    let hypervisor = Simulated::new(hosts.clone(), Load::default(), sim::Options::default());
    let scene = Scene {
        hypervisor: Arc::new(hypervisor),
        controller: "test".to_owned(),
        wall: || Timestamp(jiff::Timestamp::UNIX_EPOCH),
        keeps_hours: true,
    };
    let terms = Terms {
        world,
        limits: &|_| LIMITS,
        stays: false,
        inhibit: folder.path().join("inhibit"),
    };
    let mut runs = journal.unfinished().unwrap();
    runs.retain(|r| r.id == run);
    let (_handle, mut asks) = channel();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let desk = (&mut journal, &mut asks);
    let deaf = &mut |_: Heard<'_>| {};
    let carried = carry_through(&scene, &runs, &terms, desk, deaf, None);
    let carried = runtime.block_on(carried).unwrap();
    assert_eq!(carried.runs[&run].finished, Some(true));
    let said = carried.more_hosts(run, Some(&hosts.hosts_in_use()));
    assert_eq!(said.unwrap(), "2 hosts are in use, the first plan said 1");
    assert_eq!(carried.more_hosts(run, Some(&[name("h2")])), None);
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
        prop_assert!(done <= first_plan(&chain).unwrap().moves.len());
        // It ends where all was done, or says why not.
        let whole = chain.last().unwrap().progress().finished == Some(true);
        prop_assert_eq!(whole, found.not_anew.is_empty(), "{:?}", found.not_anew);
        prop_assert_eq!(found.not_anew.len(), usize::from(!whole));
        // Where nobody was lost on the way, all guests still run.
        prop_assert_eq!(found.now.guests.len(), hosts.guests.len());
    }
}
