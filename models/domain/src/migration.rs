//! What a live migration costs, predicted from the guest and the link.
//!
//! Post-copy: execution switches after a fixed time, then the memory follows once over the link.
//! Pre-copy: passes of shrinking length; with λ = dirty rate ÷ bandwidth, pass i sends
//! memory × λ^(i−1), each at most the writable working set after the first; it ends when what is
//! left fits the downtime limit, and does not converge when λ ≥ 1 and the working set is larger
//! than that (Clark et al., NSDI 2005; Akoush et al., MASCOTS 2010).

use crate::load::GuestLoad;
use crate::plan::Mode;
use crate::units::{MiB, MiBPerSec, Micros};

/// Time from the decision to execution at the target by post-copy: what libvirt and QEMU take to
/// set a migration up, as measured on an idle guest (0.6 s).
pub const SETUP: Micros = Micros::millis(600);
/// The downtime that QEMU aims at by default in pre-copy (0.3 s).
pub const DOWNTIME_LIMIT: Micros = Micros::millis(300);
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
}

/// How long `amount` takes at `rate`; a link of no bandwidth takes a day.
fn time(amount: u64, rate: MiBPerSec) -> Micros {
    if rate.0 == 0 {
        Micros::secs(86_400)
    } else {
        Micros((amount.saturating_mul(1_000_000)).div_ceil(rate.0))
    }
}

/// What moving a guest of that memory and load over a link of that bandwidth costs. A guest whose
/// dirty rate was not measured counts as not dirtying in pre-copy's favour: the prediction is then
/// a lower bound.
#[must_use]
pub fn predict(mode: Mode, memory: MiB, load: Option<&GuestLoad>, link: MiBPerSec) -> Prediction {
    let once = time(memory.0, link);
    if mode == Mode::PostCopy {
        return Prediction {
            switch: SETUP,
            total: SETUP + once,
            transfer: memory,
            converges: true,
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

    #[test]
    fn pre_copy_of_a_guest_that_dirties_faster_than_the_link_does_not_converge() {
        let link = MiBPerSec(100);
        assert!(predict(Mode::PreCopy, MiB(1000), Some(&dirty(100)), link).converges);
        assert!(!predict(Mode::PreCopy, MiB(1000), Some(&dirty(100_000)), link).converges);
    }
}
