//! Slots of the kernel into steps, and steps into windows. Pure.

use std::ops::Range;

use vmpack_domain::units::Ratio;

use super::wire::{RUN, SLOT_NS, SLOTS, Vcpu, WAIT};
use crate::demand::{Step, guest_demand, wanted};
use crate::source::Window;

/// Time in a slot that neither counts as run nor as wait and is no idleness: what interrupts and
/// the hypervisor below took. See [`wanted`].
const GRAIN: u64 = 500_000;

/// A thread that is followed.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) entry: u32,
    /// Its number in our PID namespace, and in the first.
    pub(super) here: i32,
    pub(super) global: u32,
    pub(super) reader: Reader,
}

impl Thread {
    pub(super) fn new(entry: u32, here: i32, global: u32) -> Self {
        Self {
            entry,
            here,
            global,
            reader: Reader::default(),
        }
    }
}

/// The steps of a thread's open window.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The first slot that is not in a window yet, and its steps from there.
    first: u64,
    steps: Vec<Step>,
}

impl Reader {
    /// Takes the steps of the slots from `first` on. After a gap the window begins there.
    pub(super) fn take(&mut self, steps: impl Iterator<Item = Step>, first: u64) {
        if self.first + self.steps.len() as u64 != first {
            self.first = first;
            self.steps.clear();
        }
        self.steps.extend(steps);
    }

    /// The window of so many slots that ends before the slot `end`, if all threads have all of it.
    pub(super) fn close<'a>(
        readers: impl Iterator<Item = &'a mut Self>,
        end: u64,
        slots: u64,
        speed: Ratio,
    ) -> Option<Window> {
        let (mut parts, mut run, mut delay, mut whole) = (Vec::new(), 0, 0, true);
        for reader in readers {
            let inside = usize::try_from(end.saturating_sub(reader.first)).unwrap_or(usize::MAX);
            let steps: Vec<Step> = reader
                .steps
                .drain(..inside.min(reader.steps.len()))
                .collect();
            reader.first = end;
            whole &= steps.len() as u64 == slots;
            run += steps.iter().map(|s| s.run).sum::<u64>();
            delay += steps.iter().map(|s| s.delay).sum::<u64>();
            parts.push((wanted(&steps, &[], GRAIN), slots * SLOT_NS));
        }
        (whole && !parts.is_empty()).then(|| Window {
            start: (end - slots) * SLOT_NS,
            length: slots * SLOT_NS,
            run,
            delay,
            throttled: 0,
            demand: guest_demand(&parts, speed),
        })
    }
}

/// What a thread did in each of these slots, which are over, as it is known at that moment.
pub(super) fn steps(vcpu: &Vcpu, slots: Range<u64>, at: u64) -> impl Iterator<Item = Step> {
    slots.map(move |number| {
        let kept = usize::try_from(number % SLOTS as u64)
            .ok()
            .and_then(|index| vcpu.slots.get(index))
            .filter(|slot| u64::from(slot.epoch) == number & u64::from(u32::MAX));
        let (run, wait) = kept.map_or((0, 0), |slot| (u64::from(slot.run), u64::from(slot.wait)));
        let (start, end) = (number * SLOT_NS, (number + 1) * SLOT_NS);
        let open = end.min(at).saturating_sub(vcpu.since.max(start));
        let (more_run, more_wait) = match vcpu.doing {
            RUN => (open, 0),
            WAIT => (0, open),
            _ => (0, 0),
        };
        let run = (run + more_run).min(SLOT_NS);
        Step {
            length: SLOT_NS,
            run,
            delay: (wait + more_wait).min(SLOT_NS - run),
        }
    })
}

/// Run time and run delay until that moment, with what is in progress.
pub(super) fn until(vcpu: &Vcpu, at: u64) -> (u64, u64) {
    let open = at.saturating_sub(vcpu.since);
    match vcpu.doing {
        RUN => (vcpu.run + open, vcpu.wait),
        WAIT => (vcpu.run, vcpu.wait + open),
        _ => (vcpu.run, vcpu.wait),
    }
}
