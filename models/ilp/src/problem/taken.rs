//! What guests take, of each resource and in each window of time, and what hosts that are fuller than
//! the headroom allows may keep.

use smallvec::smallvec;
use vmpack_domain::cluster::Guest;
use vmpack_domain::demand::{Demand, Joint};
use vmpack_domain::policy::Policy;
use vmpack_domain::units::MilliCores;

use super::{Amounts, HostSlot, amount};

/// The demand of every guest in one window of time.
pub(super) struct Window {
    pub(super) name: String,
    pub(super) of: Vec<MilliCores>,
}

/// The windows, that of the largest sum first.
pub(super) struct Windows {
    pub(super) first: Window,
    pub(super) more: Vec<Window>,
}

impl Windows {
    /// `None` when there is no window.
    pub(super) fn new(joint: &Joint) -> Option<Self> {
        let sum = |w: usize| -> u64 { joint.of.iter().map(|g| g[w].0).sum() };
        let largest = (0..joint.starts.len()).max_by_key(|w| (sum(*w), std::cmp::Reverse(*w)))?;
        let window = |w: usize| Window {
            name: format!("cpu at {}", joint.starts[w]),
            of: joint.of.iter().map(|g| g[w]).collect(),
        };
        let others = (0..joint.starts.len()).filter(|w| *w != largest);
        Some(Self {
            first: window(largest),
            more: others.map(window).collect(),
        })
    }
    /// What a guest wants of CPU where it wants most, but for the windows exempt, in words.
    pub(super) fn wanted(&self, guest: usize, exempt: usize) -> String {
        let mut windows: Vec<&Window> = std::iter::once(&self.first).chain(&self.more).collect();
        windows.sort_by_key(|w| std::cmp::Reverse(w.of[guest]));
        windows.get(exempt).map_or_else(String::new, |window| {
            let wants = window.of[guest];
            match exempt {
                0 => format!("its {} of {}", wants, window.name),
                k => format!("its {wants} of {} (after the {k} exempt)", window.name),
            }
        })
    }
}

/// What a guest takes.
pub(super) fn need(
    guest: &Guest,
    demand: &Demand,
    policy: &Policy,
    windows: Option<&Windows>,
    index: usize,
) -> Amounts {
    let cpu = windows.map_or(demand.cpu, |w| w.first.of[index]);
    let mut need: Amounts = smallvec![
        amount(cpu.0),
        amount((guest.memory + policy.overhead.memory).0),
        i64::from(guest.vcpus) * 1000,
    ];
    let more = windows.into_iter().flat_map(|w| &w.more);
    need.extend(more.map(|window| amount(window.of[index].0)));
    need
}

/// Hosts that carry more than they would be packed with, and no more than `at_most`, have room for
/// what they carry.
pub(super) fn keep_load(
    hosts: &mut [HostSlot],
    at_most: impl Iterator<Item = Amounts>,
    needs: &[Amounts],
    current: &[Option<usize>],
) {
    let mut load: Vec<Option<Amounts>> = vec![None; hosts.len()];
    for (need, here) in needs.iter().zip(current) {
        if let Some(h) = here {
            let sums = load[*h].get_or_insert_with(|| smallvec![0; need.len()]);
            sums.iter_mut().zip(need).for_each(|(sum, n)| *sum += n);
        }
    }
    for ((host, most), load) in hosts.iter_mut().zip(at_most).zip(load) {
        for (r, load) in load.into_iter().flatten().enumerate() {
            if load <= most[r] && load > host.room[r] {
                host.unraised.get_or_insert_with(|| host.room.clone());
                host.room[r] = load;
            }
        }
    }
}
