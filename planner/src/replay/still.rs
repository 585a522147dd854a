//! Policies that never migrate: guests stay where they start.

use vmpack_sim::fleet::{Fleet, Power};

use super::{Orders, Policy};

/// The first host in order that has room for what a guest is promised.
pub struct FirstFit;

impl FirstFit {
    /// Each guest in order on the first host whose cores, CPU and memory hold what it is promised.
    #[must_use]
    pub fn start(fleet: &Fleet) -> Vec<(usize, usize)> {
        let mut cpu: Vec<f64> = fleet.hosts().iter().map(|h| h.capacity()).collect();
        let mut memory: Vec<u64> = fleet.hosts().iter().map(|h| h.memory.0).collect();
        let mut placed = Vec::new();
        for (g, guest) in fleet.guests().iter().enumerate() {
            let fits = |h: &usize| {
                let host = &fleet.hosts()[*h];
                fleet.power(*h) == Power::On
                    && f64::from(guest.vcpus) * host.core >= guest.promised
                    && cpu[*h] >= guest.promised
                    && memory[*h] >= guest.memory.0
            };
            if let Some(h) = (0..cpu.len()).find(fits) {
                cpu[h] -= guest.promised;
                memory[h] -= guest.memory.0;
                placed.push((g, h));
            }
        }
        placed
    }
}

/// Guests that run nowhere and have not left, each on the first host whose guests with it would be
/// promised no more than there is, one that is awake before one that would have to be woken; where there
/// is none, on the one that is promised the least.
pub(super) fn restarts(fleet: &Fleet) -> Vec<(usize, usize)> {
    let promised = |g: &usize| fleet.guests()[*g].promised;
    let mut free: Vec<(usize, f64, u64)> = (0..fleet.hosts().len())
        .filter(|h| fleet.is_alive(*h))
        .map(|h| {
            let here = fleet.guests_on(h).iter().chain(fleet.arriving(h));
            let taken: f64 = here.map(promised).sum();
            (
                h,
                fleet.hosts()[h].capacity() - taken,
                fleet.free_memory(h).0,
            )
        })
        .collect();
    free.sort_by_key(|f| fleet.power(f.0) != Power::On);
    let mut placed = Vec::new();
    for g in 0..fleet.guests().len() {
        if fleet.at(g).is_some() || fleet.has_left(g) {
            continue;
        }
        let memory = fleet.guests()[g].memory.0;
        let fits = |f: &&mut (usize, f64, u64)| f.2 >= memory;
        let first = free
            .iter()
            .position(|f| f.2 >= memory && f.1 >= promised(&g));
        let slot = match first {
            Some(i) => free.get_mut(i),
            None => free
                .iter_mut()
                .filter(fits)
                .max_by(|a, b| a.1.total_cmp(&b.1)),
        };
        if let Some(slot) = slot {
            slot.1 -= promised(&g);
            slot.2 -= memory;
            placed.push((g, slot.0));
        }
    }
    placed
}

/// First fit by what guests are promised, and no migration: CloudSim's `dvfs`, where power follows
/// load, and its `npa`, where all hosts draw their full power.
pub struct Still {
    /// Whether all hosts draw their full power all the time.
    pub full_power: bool,
}

impl Policy for Still {
    fn begin(&mut self, fleet: &Fleet) -> Vec<(usize, usize)> {
        FirstFit::start(fleet)
    }
    fn look(&mut self, _fleet: &Fleet) -> Orders {
        Orders::default()
    }
    fn full_power(&self) -> bool {
        self.full_power
    }
}
