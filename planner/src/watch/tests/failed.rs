//! Moves that were not made after all.

use super::*;
use crate::watch::flown::FAILED;

#[test]
fn a_target_that_failed_is_left_out_for_a_while_and_its_guest_rests_no_longer() {
    let demand = |guest: &str, now: Micros| match guest {
        "g0" | "g1" if now >= Micros::secs(5) => 4000,
        "g0" | "g1" | "g2" | "g3" | "g4" => 1000,
        _ => 200,
    };
    let mut own = Loop::new(3, 5);
    // Every move fails as it is made.
    let fail = |own: &mut Loop| {
        let made = own.made.len();
        while own.made.len() == made {
            own.step(&demand);
            assert!(own.now < Micros::secs(60), "nothing is tried any more");
        }
        let (guest, from, to, at) = own.made.last().cloned().expect("a move");
        own.moving.clear();
        own.at.insert(guest.clone(), from);
        let moved = false;
        own.watch.hear(
            Heard::Ended {
                guest: guest.clone(),
                moved,
            },
            own.now,
        );
        (guest, to, at)
    };
    let tried: Vec<_> = (0..4).map(|_| fail(&mut own)).collect();
    let [first, second, third, _] = &tried[..] else {
        panic!("{tried:?}")
    };
    assert_ne!(first.1, second.1, "another host is tried: {tried:?}");
    assert!(second.2 < first.2 + Micros::secs(2), "soon: {tried:?}");
    assert!(
        third.2 >= first.2 + FAILED,
        "both are left alone: {tried:?}"
    );
    // Nobody waits for a cooldown.
    assert!(own.now < Micros::secs(5 + 20), "{tried:?}");
}

#[test]
fn a_host_that_a_guest_did_not_leave_after_all_does_not_settle() {
    let surge = Micros::secs(5);
    // Another host than that to which it failed.
    let mut own = Loop::new(3, 5);
    while own.made.is_empty() {
        own.step(&|guest, now| match guest {
            "g0" | "g1" if now >= surge => 4000,
            "g0" | "g1" | "g2" | "g3" | "g4" => 1000,
            _ => 200,
        });
    }
    assert_eq!(own.watch.phase(&name("h0")), Phase::Calm);
    let (guest, moved) = (own.made[0].0.clone(), false);
    own.watch.hear(Heard::Ended { guest, moved }, own.now);
    own.moving.clear();
    own.at.insert(own.made[0].0.clone(), name("h0"));
    own.run(own.now + Micros::millis(200), &|guest, _| match guest {
        "g0" | "g1" => 4000,
        "g2" | "g3" | "g4" => 1000,
        _ => 200,
    });
    assert_eq!(own.made.len(), 2, "{:?}", own.made);
}

#[test]
fn a_guest_whose_plan_was_called_off_for_relief_may_be_relieved_at_once() {
    let mut own = Loop::new(2, 5);
    let calm = |guest: &str, _| if guest < "g5" { 1000 } else { 200 };
    own.run(Micros::secs(1), &calm);
    // A plan sends g0 away, which is called off before it has switched.
    let guest: GuestName = name("g0");
    let mv: Move = serde_json::from_value(json!({
        "id": "m1", "guest": "g0", "from": "h0", "to": "h1", "mode": "pre-copy", "memory": "4GiB",
        "vcpus": 4, "demand": "1cores", "bandwidth": "100MiB/s", "start": "0s", "duration": "60s",
        "reason": "test",
    }))
    .expect("a move");
    own.watch.started(&[mv], false, own.now);
    assert_eq!(own.watch.recent().len(), 1);
    let ended = Heard::Ended {
        guest: guest.clone(),
        moved: false,
    };
    own.watch.hear(ended, own.now);
    assert_eq!(own.watch.recent(), []);
    // It alone surges: nobody else takes half of that off.
    let surge = own.now;
    own.run(surge + Micros::secs(2), &|guest, _| match guest {
        "g0" => 4000,
        g if g < "g5" => 1600,
        _ => 200,
    });
    let (first, .., at) = own.made.first().expect("it is relieved");
    assert_eq!(first, &guest, "{:?}", own.made);
    assert!(*at < surge + Micros::secs(1), "{:?}", own.made);
}
