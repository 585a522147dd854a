use super::*;
use crate::fixture::{a_move, cluster, plan, sighting};

/// The preconditions that fail, of the plan that moves web from h1 to h2, after the cluster was
/// changed.
fn check(change: impl FnOnce(&mut Cluster), expected: &[Precondition]) {
    let before = cluster(&["h1", "h2"], &[("web", "h1"), ("db", "h2")]);
    let plan = plan(&before, vec![a_move("m1", "web", "h1", "h2")]);
    let mut now = before;
    change(&mut now);
    let found = preflight(&plan, &now, &nobody());
    let kinds: Vec<Precondition> = found.iter().map(|c| c.of).collect();
    assert_eq!(kinds, expected, "{found:?}");
    // What holds for the plan holds for its only move, and the other way round.
    let seen = [sighting("h1", GuestState::Running)];
    let mv = &plan.moves[0];
    assert_eq!(recheck(&plan, mv, &now, &seen, Others::default()), found);
}

fn underway(underway: &[Move]) -> Others<'_> {
    Others {
        underway,
        waiting: &[],
    }
}

fn nobody() -> Sightings {
    Sightings::new()
}

fn web(cluster: &mut Cluster) -> &mut Guest {
    &mut cluster.guests[0]
}

#[test]
fn every_changed_precondition_is_named() {
    check(|_| {}, &[]);
    check(
        |c| web(c).host = Some("h2".parse().unwrap()),
        &[Precondition::Place],
    );
    check(|c| web(c).host = None, &[Precondition::Place]);
    check(|c| web(c).memory = MiB(4096), &[Precondition::Size]);
    check(|c| web(c).vcpus = 3, &[Precondition::Size]);
    check(|c| web(c).movable = false, &[Precondition::Consent]);
    check(
        |c| web(c).post_copy = PostCopy::Never,
        &[Precondition::Consent],
    );
    check(
        |c| {
            c.guests.remove(0);
        },
        &[Precondition::Guest],
    );
    check(|c| c.hosts[1].state = HostState::Out, &[Precondition::Host]);
    check(
        |c| c.hosts[1].state = HostState::Asleep,
        &[Precondition::Host],
    );
    check(
        |c| c.hosts[1].state = HostState::Drain,
        &[Precondition::Host],
    );
    check(|c| c.hosts[0].state = HostState::Drain, &[]);
    check(
        |c| {
            c.hosts.remove(1);
        },
        &[Precondition::Host],
    );
    check(
        |c| {
            web(c).requires = [("cpu".to_owned(), vec!["icelake".to_owned()])].into();
        },
        &[Precondition::Host],
    );
}

#[test]
fn another_guest_of_the_same_name_is_not_moved() {
    let mut before = cluster(&["h1", "h2"], &[("web", "h1")]);
    let mut mv = a_move("m1", "web", "h1", "h2");
    mv.uuid = Some("6c1f0000-0000-4000-8000-000000000001".parse().unwrap());
    before.guests[0].uuid = Some("6c1f0000-0000-4000-8000-000000000002".parse().unwrap());
    let plan = plan(&before, vec![mv]);
    let found = preflight(&plan, &before, &nobody());
    assert_eq!(found.len(), 1);
    assert!(found[0].to_string().contains("another one"), "{}", found[0]);
}

#[test]
fn room_is_judged_with_overhead_headroom_and_what_arrived_meanwhile() {
    // 16 GiB less 5 % are 15564 MiB: db 2048 + 200, web 2048 + 200, so 11068 are left.
    let fill = |memory: u64| {
        move |c: &mut Cluster| {
            let mut new = crate::fixture::guest("new", "h2");
            (new.memory, new.vcpus) = (MiB(memory - 200), 1);
            c.guests.push(new);
        }
    };
    check(fill(11_068), &[]);
    check(fill(11_069), &[Precondition::Room]);
    // 8 cores may promise 32 vCPUs: 4 are taken. Of CPU 7.2 cores are usable; a guest that the
    // plan did not expect counts with all its vCPUs, web with 0.5.
    let vcpus = |n: u32| {
        move |c: &mut Cluster| {
            let mut new = crate::fixture::guest("new", "h2");
            (new.memory, new.vcpus) = (MiB(100), n);
            c.guests.push(new);
        }
    };
    check(vcpus(6), &[]);
    check(vcpus(7), &[Precondition::Room]);
    check(|c| c.guests[1].vcpus = 30, &[]);
    check(|c| c.guests[1].vcpus = 31, &[Precondition::Room]);
    check(|c| c.guests[1].reserved = MilliCores(6700), &[]);
    check(
        |c| c.guests[1].reserved = MilliCores(6701),
        &[Precondition::Room],
    );
}

#[test]
fn room_that_an_earlier_move_frees_counts() {
    let mut before = cluster(&["h1", "h2", "h3"], &[("web", "h1"), ("db", "h2")]);
    before.hosts[1].memory = MiB(3000);
    let away = a_move("m1", "db", "h2", "h3");
    let mut into = a_move("m2", "web", "h1", "h2");
    into.after = vec![away.id.clone()];
    assert_eq!(
        preflight(
            &plan(&before, vec![away.clone(), into.clone()]),
            &before,
            &nobody()
        ),
        []
    );
    into.after.clear();
    let found = preflight(&plan(&before, vec![into, away]), &before, &nobody());
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].of, Precondition::Room);
}

#[test]
fn a_guest_that_is_on_its_way_to_the_target_takes_room_there() {
    let mut now = cluster(&["h1", "h2"], &[("web", "h1"), ("db", "h1")]);
    now.hosts[1].memory = MiB(4000);
    let (first, second) = (
        a_move("m1", "web", "h1", "h2"),
        a_move("m2", "db", "h1", "h2"),
    );
    let plan = plan(&now, vec![first.clone(), second.clone()]);
    let seen = [sighting("h1", GuestState::Running)];
    assert_eq!(recheck(&plan, &second, &now, &seen, Others::default()), []);
    let found = recheck(&plan, &second, &now, &seen, underway(&[first]));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].of, Precondition::Room);
}

#[test]
fn a_guest_that_another_plan_sends_to_the_target_counts_with_what_that_says() {
    let mut now = cluster(&["h1", "h2"], &[("web", "h1"), ("db", "h1")]);
    now.guests[1].vcpus = 7;
    let other = a_move("m1", "db", "h1", "h2");
    let own = plan(&now, vec![a_move("m2", "web", "h1", "h2")]);
    let seen = [sighting("h1", GuestState::Running)];
    let found =
        |now: &Cluster, moves: &[Move]| recheck(&own, &own.moves[0], now, &seen, underway(moves));
    assert_eq!(found(&now, std::slice::from_ref(&other)), []);
    // It has switched: nothing else has changed.
    now.guests[1].host = Some("h2".parse().unwrap());
    assert_eq!(found(&now, &[other]), []);
    // Of one that came by nobody's plan nothing is known.
    assert_eq!(found(&now, &[])[0].of, Precondition::Room);
}

#[test]
fn a_guest_that_another_plan_did_not_move_away_after_all_counts_with_what_that_says() {
    // Relief expects db where the other plan sends it, and goes where it is.
    let mut now = cluster(&["h1", "h2", "h3"], &[("web", "h1"), ("db", "h2")]);
    now.guests[1].vcpus = 8;
    let other = a_move("m1", "db", "h2", "h3");
    let mut own = plan(&now, vec![a_move("r1", "web", "h1", "h2")]);
    own.target
        .insert("db".parse().unwrap(), "h3".parse().unwrap());
    let seen = [sighting("h1", GuestState::Running)];
    let found = |others: Others<'_>| recheck(&own, &own.moves[0], &now, &seen, others);
    assert_eq!(found(underway(std::slice::from_ref(&other))), []);
    // It was called off, and is to be begun anew.
    let waiting = |moves: &[Move]| {
        let others = Others {
            underway: &[],
            waiting: moves,
        };
        recheck(&own, &own.moves[0], &now, &seen, others)
    };
    assert_eq!(waiting(std::slice::from_ref(&other)), []);
    // 7.2 cores are usable: with web's 0.5 there is room for 6.7.
    let mut wants = other;
    wants.demand = MilliCores(6701);
    assert_eq!(waiting(&[wants])[0].of, Precondition::Room);
    assert_eq!(found(Others::default())[0].of, Precondition::Room);
}

#[test]
fn a_guest_that_does_not_run_is_left_alone() {
    let now = cluster(&["h1", "h2"], &[("web", "h1")]);
    let mv = a_move("m1", "web", "h1", "h2");
    let plan = plan(&now, vec![mv.clone()]);
    for (at, state, says) in [
        ("h1", GuestState::Paused, "is paused on h1"),
        ("h1", GuestState::Off, "is switched off on h1"),
        ("h1", GuestState::Migrating, "by somebody else"),
        ("h2", GuestState::PostCopyFailed, "split state"),
        ("h2", GuestState::Running, "runs on h2"),
    ] {
        let found = recheck(&plan, &mv, &now, &[sighting(at, state)], Others::default());
        assert_eq!(found.len(), 1);
        assert!(found[0].detail.contains(says), "{}", found[0]);
    }
    let paused = [(mv.guest.clone(), vec![sighting("h1", GuestState::Paused)])].into();
    let found = preflight(&plan, &now, &paused);
    assert_eq!(found.len(), 1);
    assert!(found[0].detail.contains("is paused on h1"), "{}", found[0]);
    let left_over = [
        sighting("h1", GuestState::Running),
        sighting("h2", GuestState::Off),
    ];
    assert_eq!(recheck(&plan, &mv, &now, &left_over, Others::default()), []);
}

#[test]
fn a_plan_is_carried_out_when_every_guest_is_where_it_puts_it() {
    let mut now = cluster(&["h1", "h2"], &[("web", "h1"), ("db", "h2")]);
    assert!(!carried_out(&plan(&now, Vec::new()), &now));
    let plan = plan(&now, vec![a_move("m1", "web", "h1", "h2")]);
    assert!(!carried_out(&plan, &now));
    web(&mut now).host = Some("h2".parse().unwrap());
    assert!(carried_out(&plan, &now));
    now.guests[1].host = Some("h1".parse().unwrap());
    assert!(!carried_out(&plan, &now));
    // Of hosts that were not asked nothing is known; a guest that the plan moves has to be seen.
    let other = now.guests.pop();
    assert!(carried_out(&plan, &now));
    now.guests = other.into_iter().collect();
    assert!(!carried_out(&plan, &now));
}

#[test]
fn edges_must_point_backwards() {
    let now = cluster(&["h1", "h2"], &[("web", "h1"), ("db", "h1")]);
    let mut first = a_move("m1", "web", "h1", "h2");
    first.after = vec![MoveId("m2".to_owned())];
    let second = a_move("m2", "db", "h1", "h2");
    let error = well_formed(&plan(&now, vec![first, second.clone()])).unwrap_err();
    assert!(error.contains("`after: m2` in move m1"), "{error}");
    let error = well_formed(&plan(&now, vec![second.clone(), second])).unwrap_err();
    assert!(error.contains("m2 twice"), "{error}");
}

#[test]
fn a_plan_that_contradicts_itself_is_refused_before_anything_moves() {
    let now = cluster(&["h1", "h2", "h3"], &[("a", "h1")]);
    let good = vec![a_move("m1", "a", "h1", "h2"), a_move("m2", "a", "h2", "h3")];
    assert_eq!(well_formed(&plan(&now, good.clone())), Ok(()));
    let refused = |change: &dyn Fn(&mut Plan), says: &str| {
        let mut plan = plan(&now, good.clone());
        change(&mut plan);
        let error = well_formed(&plan).unwrap_err();
        assert!(error.contains(says), "{error}");
    };
    refused(&|p| p.moves[0].to = "h1".parse().unwrap(), "to itself");
    refused(&|p| p.moves[1].from = "h1".parse().unwrap(), "expected h2");
    refused(&|p| drop(p.moves.pop()), "not its target");
}
