use vmpack_ilp::problem::Problem;

use super::{Order, order};
use crate::tests::read;

/// Hosts of 8 GiB, guests by name, memory in GiB, host and target; the order as `guest>host`, with
/// `*` where a guest parks, or the guests that are stuck.
fn check(hosts: usize, guests: &[(&str, u32, usize, usize)], rules: &str, expected: &str) {
    let mut text = "hosts:\n".to_owned();
    for h in 1..=hosts {
        text += &format!(
            "  - {{ name: h{h}, cpu: 8cores, memory: 8GiB, network: 1GiB/s, state: on }}\n"
        );
    }
    text += "guests:\n";
    for (name, memory, from, _) in guests {
        text += &format!("  - {{ name: {name}, vcpus: 1, memory: {memory}GiB, host: h{from} }}\n");
    }
    let policy =
        format!("headroom: {{ cpu: 0%, memory: 0% }}\noverhead: {{ memory: 0MiB }}\n{rules}");
    let (cluster, load, policy) = read(&text, "", &policy);
    let problem = Problem::build(&cluster, &load, &policy).expect("a problem");
    let target: Vec<usize> = guests.iter().map(|g| g.3 - 1).collect();
    let name = |g: usize| problem.guests[g].name.as_str();
    let found = match order(&problem, &target, 1) {
        Order::Whole(hops) => {
            let hop = |h: &super::Hop| {
                format!(
                    "{}>h{}{}",
                    name(h.guest),
                    h.to + 1,
                    if h.parks { "*" } else { "" }
                )
            };
            hops.iter().map(hop).collect::<Vec<_>>().join(" ")
        }
        Order::Stuck { waiting, .. } => {
            let names: Vec<&str> = waiting.iter().map(|g| name(*g)).collect();
            format!("stuck {}", names.join(" "))
        }
    };
    assert_eq!(found, expected);
}

#[test]
fn a_target_is_emptied_before_it_is_filled() {
    check(3, &[("a", 6, 1, 2), ("b", 6, 2, 3)], "", "b>h3 a>h2");
}

#[test]
fn the_smallest_guest_of_a_cycle_is_parked() {
    check(3, &[("a", 6, 1, 2), ("b", 5, 2, 1)], "", "b>h3* a>h2 b>h1");
}

#[test]
fn a_cycle_with_room_on_the_way_needs_no_parking() {
    check(2, &[("a", 4, 1, 2), ("b", 4, 2, 1)], "", "a>h2 b>h1");
}

#[test]
fn without_room_anywhere_guests_are_stuck() {
    check(2, &[("a", 6, 1, 2), ("b", 6, 2, 1)], "", "stuck a b");
}

#[test]
fn parking_keeps_out_of_where_a_guest_may_not_be_and_within_the_limit_on_moves() {
    let swap = [("a", 6, 1, 2), ("b", 6, 2, 1)];
    check(
        3,
        &swap,
        "rules: [{ kind: ban, guests: [a, b], hosts: [h3] }]\n",
        "stuck a b",
    );
    check(3, &swap, "limits: { moves: 2 }\n", "stuck a b");
    check(3, &swap, "limits: { moves: 3 }\n", "a>h3* b>h1 a>h2");
}

#[test]
fn guests_that_are_kept_apart_do_not_meet_on_the_way_when_there_is_another_order() {
    let rules = "rules: [{ kind: spread, guests: [a, b] }]\n";
    check(3, &[("a", 2, 1, 2), ("b", 2, 2, 3)], rules, "b>h3 a>h2");
    // A plain swap must let them meet or cost a third move.
    check(2, &[("a", 2, 1, 2), ("b", 2, 2, 1)], rules, "a>h2 b>h1");
}
