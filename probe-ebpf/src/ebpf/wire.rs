//! The layout that is shared with the kernel programs: `bpf/wire.h`, which says what each field
//! means. A door: the maps' memory is read and written here while the kernel writes it too.
#![expect(
    unsafe_code,
    reason = "memory shared with the kernel's programs, each access with its SAFETY comment"
)]

use std::io;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

pub(crate) const SLOT_SHIFT: u32 = 24;
pub(crate) const SLOT_NS: u64 = 1 << SLOT_SHIFT;
pub(crate) const SLOTS: usize = 64;
/// Slots after whose end a slot is read.
pub(crate) const LAG: u64 = 3;

/// What a thread does (`enum doing`); any other number is taken for [`OFF`].
pub(crate) const OFF: u32 = 0;
pub(crate) const RUN: u32 = 1;
pub(crate) const WAIT: u32 = 2;
pub(crate) const GONE: u32 = 3;

/// Kinds of events.
pub(crate) const NAMED: u32 = 1;
pub(crate) const OVERLOAD: u32 = 2;
pub(crate) const CALM: u32 = 3;

/// `struct slot`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) epoch: u32,
    pub(crate) run: u32,
    pub(crate) wait: u32,
}

/// `struct vcpu`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vcpu {
    pub(crate) sequence: u32,
    pub(crate) thread: u32,
    pub(crate) doing: u32,
    pub(crate) capped: u32,
    pub(crate) since: u64,
    pub(crate) waited: u64,
    pub(crate) run: u64,
    pub(crate) wait: u64,
    pub(crate) lost: u64,
    pub(crate) task: u64,
    pub(crate) delays: [u64; 32],
    pub(crate) slots: [Slot; SLOTS],
}

impl Vcpu {
    pub(crate) const FREE: Self = Self {
        sequence: 0,
        thread: 0,
        doing: OFF,
        capped: 0,
        since: 0,
        waited: 0,
        run: 0,
        wait: 0,
        lost: 0,
        task: 0,
        delays: [0; 32],
        slots: [Slot {
            epoch: 0,
            run: 0,
            wait: 0,
        }; SLOTS],
    };
}

/// `struct control`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Control {
    pub(crate) limit: u64,
    pub(crate) slots: u32,
    pub(crate) used: u32,
}

/// `struct state`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    pub(crate) lost_events: u64,
    pub(crate) overloaded: u32,
    pub(crate) against: u32,
    pub(crate) epoch: u64,
    pub(crate) busy: u64,
    pub(crate) demand: u64,
}

/// `struct event`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) kind: u32,
    pub(crate) thread: u32,
    pub(crate) at: u64,
    pub(crate) since: u64,
    pub(crate) demand: u64,
}

/// `struct found`
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) thread: u32,
    pub(crate) doing: u32,
    pub(crate) thread_here: u32,
    pub(crate) process_here: u32,
    pub(crate) process: u32,
    pub(crate) unused: u32,
    pub(crate) run: u64,
    pub(crate) wait: u64,
}

/// `struct dirty`
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dirty {
    pub(crate) ring: u64,
    pub(crate) mapped: u64,
    pub(crate) marked: u64,
}

/// A type of which every pattern of bits is a value, without padding.
///
/// # Safety
/// It must be so.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: integers in C's layout, in an order that leaves no padding (tested below by their sizes).
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for [u16; 4] {}
// SAFETY: as above.
unsafe impl Plain for Vcpu {}
// SAFETY: as above.
unsafe impl Plain for Control {}
// SAFETY: as above.
unsafe impl Plain for State {}
// SAFETY: as above.
unsafe impl Plain for Event {}
// SAFETY: as above.
unsafe impl Plain for Found {}
// SAFETY: as above.
unsafe impl Plain for Dirty {}
// SAFETY: as above; it is what aya asks of a map's value.
unsafe impl aya::Pod for Dirty {}

/// The values that lie one after the other in these bytes; what is left over is no value.
pub(crate) fn values<T: Plain>(bytes: &[u8]) -> impl Iterator<Item = T> {
    bytes.chunks_exact(size_of::<T>()).map(|chunk| {
        // SAFETY: the chunk is as long as the type, of which every pattern of bits is a value; it
        // need not be aligned.
        unsafe { chunk.as_ptr().cast::<T>().read_unaligned() }
    })
}

/// A map's entries, shared with the kernel.
#[derive(Debug)]
pub(crate) struct Area<T> {
    start: NonNull<T>,
    entries: usize,
    bytes: NonZeroUsize,
    values: PhantomData<T>,
}

// SAFETY: the memory belongs to the map and may be used from any thread; writing takes `&mut`.
unsafe impl<T: Plain> Send for Area<T> {}

impl<T: Plain> Area<T> {
    /// The entries of an array map that was made with `BPF_F_MMAPABLE`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn map(fd: impl AsFd, entries: u32) -> io::Result<Self> {
        let entries = usize::try_from(entries).map_err(io::Error::other)?;
        // The kernel rounds each value up to 8 bytes and the whole to pages.
        let bytes = (entries * Self::stride()).next_multiple_of(4096);
        let bytes = NonZeroUsize::new(bytes).ok_or(io::ErrorKind::InvalidInput)?;
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; nothing else is touched.
        let start = unsafe { mmap(None, bytes, rights, MapFlags::MAP_SHARED, fd, 0) }?;
        Ok(Self {
            start: start.cast(),
            entries,
            bytes,
            values: PhantomData,
        })
    }

    fn stride() -> usize {
        size_of::<T>().next_multiple_of(8)
    }

    /// Where an entry lies; `None` beyond the last.
    fn at(&self, entry: u32) -> Option<NonNull<T>> {
        let entry = usize::try_from(entry).ok().filter(|e| *e < self.entries)?;
        // SAFETY: the entry lies within the mapping, whose length counts all of them.
        Some(unsafe { self.start.byte_add(entry * Self::stride()) })
    }

    /// An entry now. The kernel may be writing it.
    pub(crate) fn read(&self, entry: u32) -> Option<T> {
        // SAFETY: the place is mapped, aligned (to 8 bytes, the most that a value needs), and every
        // pattern of bits is a value; volatile, as the kernel writes there.
        self.at(entry)
            .map(|at| unsafe { at.as_ptr().read_volatile() })
    }

    /// Writes an entry.
    pub(crate) fn write(&mut self, entry: u32, value: T) {
        if let Some(at) = self.at(entry) {
            // SAFETY: as in `read`.
            unsafe { at.as_ptr().write_volatile(value) };
        }
    }
}

impl Area<[u16; 4]> {
    /// The number of a thread's entry, plus one; 0: it has none. `None` beyond the last thread.
    pub(crate) fn of(&self, thread: u32) -> Option<u16> {
        self.read(thread / 4)?.get(thread as usize % 4).copied()
    }

    /// Sets it, if the thread is not beyond the last.
    pub(crate) fn set(&mut self, thread: u32, number: u16) {
        let four = self.read(thread / 4);
        if let Some(mut four) = four {
            if let Some(own) = four.get_mut(thread as usize % 4) {
                *own = number;
            }
            self.write(thread / 4, four);
        }
    }
}

impl Area<Vcpu> {
    /// An entry as it was between two of the kernel's writes. (A reader that is always disturbed
    /// takes what it gets: at most one switch is then half seen.)
    pub(crate) fn read_whole(&self, entry: u32) -> Option<Vcpu> {
        self.between_writes(entry, || self.read(entry))
    }

    /// As [`read_whole`](Self::read_whole), into `vcpu`, of the slots these only; the others, and the
    /// delays, stay. Most of an entry is slots, and the kernel has them in another CPU's cache. `None`
    /// beyond the last entry.
    pub(crate) fn read_slots(&self, entry: u32, slots: Range<u64>, vcpu: &mut Vcpu) -> Option<()> {
        let at = self.at(entry)?.as_ptr();
        self.between_writes(entry, || {
            macro_rules! take {
                ($($field:ident),+) => {
                    // SAFETY: as in `read`, of a part.
                    $(vcpu.$field = unsafe { (&raw const (*at).$field).read_volatile() };)+
                };
            }
            take!(
                sequence, thread, doing, capped, since, waited, run, wait, lost
            );
            for number in slots.clone() {
                let index = usize::try_from(number % SLOTS as u64).ok()?;
                // SAFETY: as in `read`, of a part; the index is below the number of slots.
                *vcpu.slots.get_mut(index)? = unsafe {
                    (&raw const (*at).slots)
                        .cast::<Slot>()
                        .add(index)
                        .read_volatile()
                };
            }
            Some(())
        })
    }

    /// Says whether the vCPU's guest has a quota: the one field that only the probe writes.
    pub(crate) fn set_capped(&mut self, entry: u32, capped: bool) {
        if let Some(at) = self.at(entry) {
            // SAFETY: as in `read`, of a part.
            unsafe { (&raw mut (*at.as_ptr()).capped).write_volatile(capped.into()) };
        }
    }

    fn between_writes<R>(&self, entry: u32, mut read: impl FnMut() -> Option<R>) -> Option<R> {
        let mut tries = 100;
        loop {
            let before = self.sequence(entry)?;
            fence(Ordering::Acquire);
            let value = read()?;
            fence(Ordering::Acquire);
            tries -= 1;
            if tries == 0 || (before % 2 == 0 && self.sequence(entry)? == before) {
                return Some(value);
            }
            std::hint::spin_loop();
        }
    }

    fn sequence(&self, entry: u32) -> Option<u32> {
        let at = self.at(entry)?;
        // SAFETY: as in `read`; the sequence is the first field.
        Some(unsafe { at.cast::<u32>().as_ptr().read_volatile() })
    }
}

impl<T> Drop for Area<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, made with that length, and nothing borrows from it. It cannot
        // fail; if it did, the memory would stay mapped.
        let _ = unsafe { munmap(self.start.cast(), self.bytes.get()) };
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    /// A struct: its name, its size, and its fields with their offsets.
    type Struct = (String, usize, Vec<(String, usize)>);

    /// What `bpf/wire.h` defines, read from its text, by C's rules for integers.
    fn header() -> Vec<Struct> {
        let text = include_str!("../../bpf/wire.h");
        let sizes = |kind: &str| match kind {
            "u16" => 2,
            "u32" => 4,
            "u64" => 8,
            "struct slot" => 12,
            other => panic!("{other}"),
        };
        let mut structs = Vec::new();
        for part in text.split("\nstruct ").skip(1) {
            let (name, rest) = part.split_once(" {").unwrap();
            let body = rest.split_once("\n};").unwrap().0;
            let (mut end, mut align, mut fields) = (0, 1, Vec::new());
            for line in body.lines().filter(|line| line.contains(';')) {
                let declared = line.trim().split(';').next().unwrap();
                let (kind, field) = declared.rsplit_once(' ').unwrap();
                let (field, times) = match field.split_once('[') {
                    Some((field, "32]")) => (field, 32),
                    Some((field, "SLOTS]")) => (field, SLOTS),
                    _ => (field, 1),
                };
                let own = if kind == "struct slot" {
                    4
                } else {
                    sizes(kind)
                };
                let start = usize::next_multiple_of(end, own);
                fields.push((field.to_owned(), start));
                end = start + sizes(kind) * times;
                align = align.max(own);
            }
            structs.push((name.to_owned(), end.next_multiple_of(align), fields));
        }
        structs
    }

    #[test]
    fn the_mirror_is_as_the_header() {
        macro_rules! mirrored {
            ($name:literal, $kind:ty, $($field:ident),+) => {
                (
                    $name.to_owned(),
                    size_of::<$kind>(),
                    vec![$((stringify!($field).to_owned(), offset_of!($kind, $field))),+],
                )
            };
        }
        let mirror = vec![
            mirrored!("slot", Slot, epoch, run, wait),
            mirrored!(
                "vcpu", Vcpu, sequence, thread, doing, capped, since, waited, run, wait, lost,
                task, delays, slots
            ),
            mirrored!("control", Control, limit, slots, used),
            mirrored!(
                "state",
                State,
                lost_events,
                overloaded,
                against,
                epoch,
                busy,
                demand
            ),
            mirrored!("event", Event, kind, thread, at, since, demand),
            mirrored!(
                "found",
                Found,
                thread,
                doing,
                thread_here,
                process_here,
                process,
                unused,
                run,
                wait
            ),
            mirrored!("dirty", Dirty, ring, mapped, marked),
        ];
        assert_eq!(header(), mirror);
        let fields: usize = 4 * 4 + 6 * 8 + 32 * 8 + SLOTS * 12;
        assert_eq!(size_of::<Vcpu>(), fields, "no padding");
    }

    #[test]
    fn values_come_one_after_the_other() {
        let bytes = [1, 0, 2, 0, 3];
        assert_eq!(values::<u16>(&bytes).collect::<Vec<_>>(), [1, 2]);
    }
}
