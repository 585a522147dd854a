//! Decisions that are told and not carried out.

use super::*;

#[test]
fn what_is_put_off_is_told_once_while_it_stays_and_again_when_it_comes_again() {
    let mut own = Loop::new(4, 5);
    own.observes = true;
    // Two minutes of surge, one of calm, and the surge again.
    let demand = |guest: &str, now: Micros| match guest {
        "g0" | "g1" | "g2" if now >= Micros::secs(10) && now.0 % 180_000_000 < 130_000_000 => 4000,
        _ => 1000,
    };
    // Its first moments may show less of it.
    own.run(Micros::secs(13), &demand);
    let first = own.decided;
    assert!((1..=2).contains(&first), "{first}");
    own.run(Micros::secs(130), &demand);
    assert_eq!(own.decided, first);
    own.run(Micros::secs(185), &demand);
    assert!(own.decided > first);
}
