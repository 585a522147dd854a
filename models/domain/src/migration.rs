//! What a live migration costs, predicted from the guest and the link.
//!
//! Post-copy: execution switches after a fixed time, then the memory follows once over the link.
//! Pre-copy: passes of shrinking length; with λ = dirty rate ÷ bandwidth, pass i sends
//! memory × λ^(i−1), each at most the writable working set after the first; it ends when what is
//! left fits the downtime limit, and does not converge when λ ≥ 1 and the working set is larger
//! than that (Clark et al., NSDI 2005; Akoush et al., MASCOTS 2010).

use crate::cluster::{Guest, PostCopy};
use crate::load::{GuestLoad, Tier};
use crate::plan::{Expected, Mode};
use crate::policy::{Calibration, Migrations, ModePolicy};
use crate::units::{MiB, MiBPerSec, Micros};

/// Time from the decision to execution at the target by post-copy: what libvirt and QEMU take to
/// set a migration up, as measured on an idle guest (0.6 s).
pub const SETUP: Micros = Micros::millis(600);
/// The downtime that QEMU aims at by default in pre-copy (0.3 s).
pub const DOWNTIME_LIMIT: Micros = Micros::millis(300);
/// How long a guest stands still at the switch of post-copy by QEMU's own account (3 to 9 ms were
/// measured); what it then waits for pages is not counted.
const POST_COPY_DOWNTIME: Micros = Micros::millis(10);
/// Passes after which pre-copy is given up for not converging.
const PASSES: u32 = 30;

/// A prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prediction {
    /// Until execution is at the target.
    pub switch: Micros,
    /// Until the source is free.
    pub total: Micros,
    /// Bytes over the link.
    pub transfer: MiB,
    /// Whether it ends by itself.
    pub converges: bool,
    /// How long the guest stands still at the switch.
    pub downtime: Micros,
    /// In split state: execution at the target, memory still at the source. A host that dies in this
    /// time takes the guest with it. By hybrid of a guest of which the dirty rate is not known, at most
    /// this.
    pub split: Micros,
}

impl From<Prediction> for Expected {
    fn from(predicted: Prediction) -> Self {
        Self {
            switch: predicted.switch,
            downtime: predicted.downtime,
            split: predicted.split,
            transfer: predicted.transfer,
        }
    }
}

/// Pre-copy of a guest that dirties little takes at most this much longer than sending its memory once
/// (in percent).
const LITTLE: u64 = 30;

/// The kind of migration for a guest over a link of that bandwidth, and its prediction. `urgent` is a
/// guest whose host is overloaded: its execution goes at once.
///
/// In turn, the first that applies:
/// 1. a guest that must not be in split state moves by pre-copy;
/// 2. the policy's own kind, where it names one;
/// 3. an urgent one by post-copy;
/// 4. one whose dirty rate was not measured, or only as a lower bound, by hybrid: one pass cannot fail;
/// 5. by pre-copy where that ends by itself in little more time than memory sent once;
/// 6. by post-copy where pre-copy would not end;
/// 7. else by hybrid.
///
/// Of the kinds that 3, 4, 6 and 7 choose, one that would leave the guest in split state for longer
/// than the policy allows gives way to hybrid, and that to pre-copy if it ends by itself.
#[must_use]
pub fn choose(
    policy: &Migrations,
    guest: &Guest,
    load: Option<&GuestLoad>,
    link: MiBPerSec,
    urgent: bool,
) -> (Mode, Prediction) {
    let of = |mode| (mode, predict_for(policy, mode, guest.memory, load, link));
    if guest.post_copy == PostCopy::Never {
        return of(Mode::PreCopy);
    }
    match policy.mode {
        ModePolicy::PreCopy => return of(Mode::PreCopy),
        ModePolicy::Hybrid => return of(Mode::Hybrid),
        ModePolicy::PostCopy => return of(Mode::PostCopy),
        ModePolicy::Measured => {}
    }
    let pre_copy = of(Mode::PreCopy);
    let known = dirty_is_known(load);
    let once = of(Mode::PostCopy).1.total;
    let quick = pre_copy.1.total.0 <= once.0.saturating_add(once.0 / 100 * LITTLE);
    let first = if urgent {
        Mode::PostCopy
    } else if !known {
        Mode::Hybrid
    } else if pre_copy.1.converges && quick {
        return pre_copy;
    } else if !pre_copy.1.converges {
        Mode::PostCopy
    } else {
        Mode::Hybrid
    };
    let within = |(_, p): &(Mode, Prediction)| p.split <= policy.split_state;
    let first = of(first);
    if within(&first) {
        return first;
    }
    let hybrid = of(Mode::Hybrid);
    if within(&hybrid) {
        return hybrid;
    }
    if known && pre_copy.1.converges {
        return pre_copy;
    }
    // What is not known may well be less by hybrid, and is never more.
    if hybrid.1.split < first.1.split || !known {
        hybrid
    } else {
        first
    }
}

/// As [`predict_by`], with what the policy leaves free of the stream for faults: what comes by itself
/// after the switch is slower by it.
#[must_use]
pub fn predict_for(
    policy: &Migrations,
    mode: Mode,
    memory: MiB,
    load: Option<&GuestLoad>,
    link: MiBPerSec,
) -> Prediction {
    let mut predicted = predict_by(&policy.calibration, mode, memory, load, link);
    let slow = u128::from(policy.after_switch(link).0.max(1));
    let slower = |time: Micros| {
        let longer = u128::from(time.0) * u128::from(link.0) / slow;
        Micros(u64::try_from(longer).unwrap_or(u64::MAX)).max(time)
    };
    if mode != Mode::PreCopy {
        let after = predicted.total.saturating_sub(predicted.switch);
        predicted.total = predicted.switch + slower(after);
    }
    predicted.split = slower(predicted.split);
    predicted
}

/// Whether it was measured how fast the guest dirties its memory, and not only as a lower bound.
fn dirty_is_known(load: Option<&GuestLoad>) -> bool {
    load.is_some_and(|l| l.dirty.is_some() && l.dirty_tier != Some(Tier::PageSampling))
}

/// How long `amount` takes at `rate`; a link of no bandwidth takes a day.
fn time(amount: u64, rate: MiBPerSec) -> Micros {
    if rate.0 == 0 {
        Micros::secs(86_400)
    } else {
        Micros((amount.saturating_mul(1_000_000)).div_ceil(rate.0))
    }
}

/// As [`predict`], with the set-up and the share of the bandwidth that were measured.
#[must_use]
pub fn predict_by(
    measured: &Calibration,
    mode: Mode,
    memory: MiB,
    load: Option<&GuestLoad>,
    link: MiBPerSec,
) -> Prediction {
    let rate = u128::from(link.0) * u128::from(measured.rate.0) / 1000;
    let rate = u64::try_from(rate).unwrap_or(u64::MAX).max(link.0.min(1));
    let predicted = predict(mode, memory, load, MiBPerSec(rate));
    let set_up = |time: Micros| time.saturating_sub(SETUP) + measured.setup;
    Prediction {
        switch: set_up(predicted.switch),
        total: set_up(predicted.total),
        ..predicted
    }
}

/// What moving a guest of that memory and load over a link of that bandwidth costs. A guest whose
/// dirty rate was not measured counts as not dirtying in pre-copy's favour: the prediction is then
/// a lower bound. But what it may have dirtied until it switches by hybrid, its working set or else all of
/// its memory, counts as split state, so that the policy's limits on that bind it.
#[must_use]
pub fn predict(mode: Mode, memory: MiB, load: Option<&GuestLoad>, link: MiBPerSec) -> Prediction {
    let once = time(memory.0, link);
    if mode == Mode::PostCopy {
        return Prediction {
            switch: SETUP,
            total: SETUP + once,
            transfer: memory,
            converges: true,
            split: once,
            downtime: POST_COPY_DOWNTIME,
        };
    }
    // Pages of 4 KiB per second to MiB per second, upwards.
    let dirty = load.and_then(|l| l.dirty).map_or(0, |d| d.0.div_ceil(256));
    let working_set = load
        .and_then(|l| l.working_set)
        .unwrap_or(memory)
        .min(memory);
    let limit = link.0.saturating_mul(DOWNTIME_LIMIT.0) / 1_000_000;
    let (mut sent, mut left, mut passes) = (0u64, memory.0, 0u32);
    let mut elapsed = SETUP;
    while left > limit && passes < PASSES {
        let pass = time(left, link);
        elapsed += pass;
        sent = sent.saturating_add(left);
        passes += 1;
        left = (dirty.saturating_mul(pass.0) / 1_000_000).min(working_set.0);
        if mode == Mode::Hybrid {
            break;
        }
    }
    let converges = mode == Mode::Hybrid || left <= limit;
    let rest = time(left, link);
    let switch = if mode == Mode::Hybrid {
        elapsed
    } else {
        elapsed + rest
    };
    Prediction {
        switch,
        total: elapsed + rest,
        transfer: MiB(sent.saturating_add(left)),
        converges,
        downtime: if mode == Mode::Hybrid {
            POST_COPY_DOWNTIME
        } else {
            rest
        },
        split: match mode {
            Mode::Hybrid if !dirty_is_known(load) => time(working_set.0, link),
            Mode::Hybrid => rest,
            _ => Micros::ZERO,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::PagesPerSec;

    fn dirty(pages: u64) -> GuestLoad {
        GuestLoad {
            dirty: Some(PagesPerSec(pages)),
            ..GuestLoad::default()
        }
    }

    #[test]
    fn post_copy_switches_in_the_same_time_whatever_the_guest_dirties() {
        let link = MiBPerSec(100);
        let idle = predict(Mode::PostCopy, MiB(1000), None, link);
        let busy = predict(Mode::PostCopy, MiB(1000), Some(&dirty(1_000_000)), link);
        assert_eq!(idle, busy);
        assert_eq!(idle.total, SETUP + Micros::secs(10));
    }

    /// The kind chosen for 10 GiB over 1 GiB/s, of a guest that dirties so many MiB/s.
    fn chosen(policy: &str, dirty_mib: Option<u64>, tier: Option<Tier>, urgent: bool) -> Mode {
        let policy: Migrations = serde_yaml::from_str(policy).expect("a policy");
        let guest = Guest {
            name: "g".parse().expect("a plain name"),
            uuid: None,
            vcpus: 1,
            memory: MiB(10 * 1024),
            host: None,
            reserved: crate::units::MilliCores::ZERO,
            movable: true,
            moved_ago: None,
            post_copy: PostCopy::Allowed,
            requires: std::collections::BTreeMap::new(),
        };
        let load = GuestLoad {
            dirty: dirty_mib.map(|mib| PagesPerSec(mib * 256)),
            dirty_tier: tier,
            ..GuestLoad::default()
        };
        let link = MiBPerSec(1024);
        let (mode, predicted) = choose(&policy, &guest, Some(&load), link, urgent);
        assert_eq!(predicted, predict(mode, guest.memory, Some(&load), link));
        let never = Guest {
            post_copy: PostCopy::Never,
            ..guest
        };
        let (kept, _) = choose(&policy, &never, Some(&load), link, urgent);
        assert_eq!(kept, Mode::PreCopy);
        mode
    }

    #[test]
    fn the_kind_of_migration_follows_from_what_was_measured() {
        let auto = |dirty, urgent| chosen("{}", dirty, None, urgent);
        assert_eq!(auto(Some(100), false), Mode::PreCopy);
        assert_eq!(auto(Some(100), true), Mode::PostCopy);
        assert_eq!(auto(Some(500), false), Mode::Hybrid);
        assert_eq!(auto(Some(2000), false), Mode::PostCopy);
        assert_eq!(auto(None, false), Mode::Hybrid);
        // Page sampling reads low.
        let low = chosen("{}", Some(100), Some(Tier::PageSampling), false);
        assert_eq!(low, Mode::Hybrid);
        assert_eq!(
            chosen("mode: post-copy", Some(0), None, false),
            Mode::PostCopy
        );
        assert_eq!(
            chosen("mode: pre-copy", Some(2000), None, true),
            Mode::PreCopy
        );
        // Ten seconds of post-copy are too long; hybrid's five are as well, in the second case.
        let short = |dirty| chosen("split-state: 6s", Some(dirty), None, true);
        assert_eq!(short(500), Mode::Hybrid);
        assert_eq!(short(2000), Mode::PostCopy);
        assert_eq!(
            chosen("split-state: 1s", Some(500), None, true),
            Mode::PreCopy
        );
    }

    #[test]
    fn a_guest_of_which_nothing_was_measured_may_be_in_split_state_for_all_its_memory() {
        let link = MiBPerSec(100);
        let of = |load: Option<&GuestLoad>| predict(Mode::Hybrid, MiB(1000), load, link);
        assert_eq!(of(None).split, Micros::secs(10));
        assert_eq!(of(None).total, SETUP + Micros::secs(10));
        let mut load = GuestLoad {
            working_set: Some(MiB(200)),
            ..GuestLoad::default()
        };
        assert_eq!(of(Some(&load)).split, Micros::secs(2));
        load.dirty = Some(PagesPerSec(256));
        assert_eq!(of(Some(&load)).split, Micros::millis(100));
        load.dirty_tier = Some(Tier::PageSampling);
        assert_eq!(of(Some(&load)).split, Micros::secs(2));
        // Too long by the policy, and still the kind whose one pass cannot fail.
        assert_eq!(chosen("split-state: 1s", None, None, false), Mode::Hybrid);
        assert_eq!(chosen("split-state: 1s", None, None, true), Mode::Hybrid);
        let policy: Migrations = serde_yaml::from_str("{ fault-share: 75% }").unwrap();
        let slow = predict_for(&policy, Mode::Hybrid, MiB(1000), None, link);
        assert_eq!(slow.split, Micros::secs(40));
        assert_eq!(slow.total, of(None).total);
    }

    #[test]
    fn bandwidth_that_is_left_free_for_faults_makes_the_split_state_longer() {
        let policy: Migrations =
            serde_yaml::from_str("{ mode: post-copy, fault-share: 75% }").unwrap();
        assert_eq!(policy.after_switch(MiBPerSec(100)), MiBPerSec(25));
        assert_eq!(policy.after_switch(MiBPerSec(1)), MiBPerSec(1));
        let text = "{ name: g, vcpus: 1, memory: 1000MiB, host: h1 }";
        let guest: Guest = serde_yaml::from_str(text).unwrap();
        let (_, predicted) = choose(&policy, &guest, None, MiBPerSec(100), false);
        assert_eq!(predicted.split, Micros::secs(40));
        assert_eq!(predicted.total, SETUP + Micros::secs(40));
    }

    #[test]
    fn pre_copy_of_a_guest_that_dirties_faster_than_the_link_does_not_converge() {
        let link = MiBPerSec(100);
        assert!(predict(Mode::PreCopy, MiB(1000), Some(&dirty(100)), link).converges);
        assert!(!predict(Mode::PreCopy, MiB(1000), Some(&dirty(100_000)), link).converges);
    }
}
