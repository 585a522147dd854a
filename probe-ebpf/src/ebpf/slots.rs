//! Slots of the kernel into steps, and steps into windows. Pure.

use std::ops::Range;

use vmpack_domain::units::Ratio;

use super::wire::{Found, RUN, SLOT_NS, SLOTS, Vcpu, WAIT};
use crate::demand::{Step, guest_demand, wanted};
use crate::source::{Waits, Window};

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
    /// The first slot in all of which it is followed.
    pub(super) from: u64,
    /// The kernel's sum of its waits when it was first followed.
    waited: u64,
    pub(super) reader: Reader,
}

impl Thread {
    pub(super) fn new(entry: u32, here: i32, found: &Found, at: u64) -> Self {
        Self {
            entry,
            here,
            global: found.thread,
            from: at / SLOT_NS + 1,
            waited: found.wait,
            reader: Reader::default(),
        }
    }

    /// Its waits since it is followed.
    pub(super) fn waits(&self, vcpu: &Vcpu) -> Waits {
        Waits {
            counts: vcpu.delays,
            sum: vcpu.wait.saturating_sub(self.waited),
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

    /// The window of so many slots that ends before the slot `end`, if a thread has all of it; of one that
    /// came within it, as a vCPU that is plugged in, it has what was seen.
    pub(super) fn close<'a>(
        readers: impl Iterator<Item = &'a mut Self>,
        end: u64,
        slots: u64,
        speed: Ratio,
    ) -> Option<Window> {
        let (mut parts, mut run, mut delay, mut whole) = (Vec::new(), 0, 0, false);
        for reader in readers {
            let inside = usize::try_from(end.saturating_sub(reader.first)).unwrap_or(usize::MAX);
            let inside = inside.min(reader.steps.len());
            let steps = &reader.steps[..inside];
            whole |= steps.len() as u64 == slots;
            run += steps.iter().map(|s| s.run).sum::<u64>();
            delay += steps.iter().map(|s| s.delay).sum::<u64>();
            parts.push((wanted(steps, &[], GRAIN), slots * SLOT_NS));
            reader.steps.drain(..inside);
            reader.first = end;
        }
        whole.then(|| Window {
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
        // What lies in the slot, of a time from one moment to another.
        let part = |from: u64, to: u64| end.min(to).saturating_sub(start.max(from));
        let (more_run, more_wait) = match vcpu.doing {
            RUN => {
                let queued = vcpu.since.saturating_sub(vcpu.waited);
                (part(vcpu.since, at), part(queued, vcpu.since))
            }
            WAIT => (0, part(vcpu.since, at)),
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
        RUN => (vcpu.run + open, vcpu.wait + vcpu.waited),
        WAIT => (vcpu.run, vcpu.wait + open),
        _ => (vcpu.run, vcpu.wait),
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::OFF;
    use super::*;

    const MS: u64 = 1_000_000;

    fn step(run: u64, delay: u64) -> Step {
        Step {
            length: SLOT_NS,
            run,
            delay,
        }
    }

    #[test]
    fn what_is_in_progress_is_added_to_the_slots() {
        let mut vcpu = Vcpu::FREE;
        // Slot 100: ran 2 ms; an old value where slot 101 will be.
        vcpu.slots[100 % SLOTS].epoch = 100;
        vcpu.slots[100 % SLOTS].run = 2_000_000;
        vcpu.slots[101 % SLOTS].epoch = 37;
        vcpu.slots[101 % SLOTS].run = 9_000_000;
        let since = 101 * SLOT_NS + 4 * MS;
        let at = 103 * SLOT_NS + 5 * MS;
        let read = |vcpu: &Vcpu| steps(vcpu, 100..103, at).collect::<Vec<_>>();
        let (rest, none) = (SLOT_NS - 4 * MS, step(0, 0));
        for (doing, waited, expected) in [
            (OFF, 0, [step(2 * MS, 0), none, none]),
            (RUN, 0, [step(2 * MS, 0), step(rest, 0), step(SLOT_NS, 0)]),
            // It waited 3 ms before it ran, or 5 ms, of which 1 ms in the slot before.
            (
                RUN,
                3 * MS,
                [step(2 * MS, 0), step(rest, 3 * MS), step(SLOT_NS, 0)],
            ),
            (
                RUN,
                5 * MS,
                [step(2 * MS, MS), step(rest, 4 * MS), step(SLOT_NS, 0)],
            ),
            (WAIT, 0, [step(2 * MS, 0), step(0, rest), step(0, SLOT_NS)]),
        ] {
            (vcpu.doing, vcpu.since, vcpu.waited) = (doing, since, waited);
            assert_eq!(read(&vcpu), expected, "{doing} {waited}");
        }
        (vcpu.doing, vcpu.waited) = (RUN, 5 * MS);
        (vcpu.run, vcpu.wait) = (70, 30);
        assert_eq!(until(&vcpu, since + MS), (70 + MS, 30 + 5 * MS));
    }

    #[test]
    fn a_window_counts_when_a_vcpu_has_all_its_slots() {
        let speed = Ratio::ONE;
        let mut readers = [Reader::default(), Reader::default()];
        let half = || std::iter::repeat_n(step(SLOT_NS / 2, 0), 3);
        readers[0].take(half(), 3);
        // Followed from the middle of the window on.
        readers[1].take(half().take(2), 4);
        let close =
            |readers: &mut [Reader; 2], end| Reader::close(readers.iter_mut(), end, 3, speed);
        let window = close(&mut readers, 6).unwrap();
        assert_eq!((window.run, window.demand.0), (5 * SLOT_NS / 2, 834));
        for reader in &mut readers {
            reader.take(half(), 6);
        }
        let window = close(&mut readers, 9).unwrap();
        assert_eq!((window.start, window.length), (6 * SLOT_NS, 3 * SLOT_NS));
        assert_eq!((window.run, window.demand.0), (3 * SLOT_NS, 1000));
        // After a gap a window is not whole.
        for reader in &mut readers {
            reader.take(half().take(2), 10);
        }
        assert_eq!(close(&mut readers, 12), None);
    }
}
