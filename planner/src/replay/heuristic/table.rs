//! Who would be where, while a heuristic tries placements.

use vmpack_sim::fleet::Fleet;

use super::Detect;
use super::detect::PAST;

/// A scratch copy of the fleet. A guest may stand on several hosts in it: where it is, and where it is
/// to go.
pub(super) struct Table<'f> {
    fleet: &'f Fleet,
    detect: Detect,
    rows: Vec<Row>,
    /// Each guest's past, the newest first, in units of CPU.
    pasts: Vec<[f64; PAST]>,
}

struct Row {
    guests: Vec<usize>,
    /// CPU not yet asked for.
    free: f64,
    /// What its guests want.
    wanted: f64,
    /// What they wanted at each look, the newest first.
    past: [f64; PAST],
    /// What the host draws at the load seen at this look.
    watts: f64,
}

impl<'f> Table<'f> {
    pub(super) fn new(fleet: &'f Fleet, detect: Detect) -> Self {
        let mut pasts = vec![[0.0; PAST]; fleet.guests().len()];
        if detect.looks_back() {
            for (g, row) in pasts.iter_mut().enumerate() {
                let promised = fleet.guests()[g].promised;
                for (slot, v) in row.iter_mut().zip(fleet.past(g).iter().rev()) {
                    *slot = v * promised;
                }
            }
        }
        let rows = (0..fleet.hosts().len())
            .map(|h| {
                let spec = &fleet.hosts()[h];
                Row {
                    guests: fleet.guests_on(h).to_vec(),
                    free: spec.capacity(),
                    wanted: 0.0,
                    past: [0.0; PAST],
                    watts: spec.power.watts(fleet.reading(h).used / spec.capacity()),
                }
            })
            .collect();
        let mut table = Self {
            fleet,
            detect,
            rows,
            pasts,
        };
        for h in 0..table.rows.len() {
            table.sum(h);
        }
        table
    }

    /// Those on a host, in the order in which they came.
    pub(super) fn guests(&self, host: usize) -> &[usize] {
        &self.rows[host].guests
    }

    pub(super) fn is_overloaded(&self, host: usize) -> bool {
        let row = &self.rows[host];
        self.judge(host, row.wanted, &row.past)
    }

    fn judge(&self, host: usize, wanted: f64, past: &[f64; PAST]) -> bool {
        let all = self.fleet.hosts()[host].capacity();
        let past = past.map(|v| v / all);
        self.detect.overloaded(wanted / all, &past)
    }

    /// Whether a host's cores, free CPU and (where it counts) memory hold a guest.
    pub(super) fn fits(&self, host: usize, guest: usize) -> bool {
        let want = self.fleet.want(guest);
        let spec = &self.fleet.hosts()[host];
        let room = || {
            let of = |g: &usize| self.fleet.guests()[*g].memory.0;
            let taken: u64 = self.rows[host].guests.iter().map(of).sum();
            taken + of(&guest) <= spec.memory.0
        };
        f64::from(self.fleet.guests()[guest].vcpus) * spec.core >= want
            && self.rows[host].free >= want
            && self.fleet.is_alive(host)
            && (!self.fleet.physics().memory_counts || room())
    }

    /// Whether a host would not be overloaded with a guest more; one without load takes any.
    pub(super) fn takes(&self, host: usize, guest: usize) -> bool {
        let row = &self.rows[host];
        if row.wanted == 0.0 {
            return true;
        }
        let mut past = row.past;
        for (sum, v) in past.iter_mut().zip(&self.pasts[guest]) {
            *sum += v;
        }
        !self.judge(host, row.wanted + self.fleet.want(guest), &past)
    }

    /// By how much a host's draw, with what was placed there meanwhile, would rise over that of the load
    /// seen at this look.
    pub(super) fn more_power(&self, host: usize, guest: usize) -> f64 {
        let spec = &self.fleet.hosts()[host];
        let used = self.rows[host].wanted.min(spec.capacity()) + self.fleet.want(guest);
        spec.power.watts(used / spec.capacity()) - self.rows[host].watts
    }

    pub(super) fn add(&mut self, host: usize, guest: usize) {
        self.rows[host].guests.push(guest);
        self.count(host, guest);
    }

    pub(super) fn remove(&mut self, host: usize, guest: usize) {
        let guests = &mut self.rows[host].guests;
        if let Some(i) = guests.iter().position(|g| *g == guest) {
            guests.remove(i);
        }
        self.sum(host);
    }

    fn sum(&mut self, host: usize) {
        let row = &mut self.rows[host];
        row.free = self.fleet.hosts()[host].capacity();
        row.wanted = 0.0;
        row.past = [0.0; PAST];
        for i in 0..self.rows[host].guests.len() {
            self.count(host, self.rows[host].guests[i]);
        }
    }

    fn count(&mut self, host: usize, guest: usize) {
        let spec = &self.fleet.hosts()[host];
        let want = self.fleet.want(guest);
        let capped = want.min(f64::from(self.fleet.guests()[guest].vcpus) * spec.core);
        let row = &mut self.rows[host];
        row.wanted += want;
        // Once too much is asked for, nothing is free.
        row.free = if row.free >= capped {
            row.free - capped
        } else {
            0.0
        };
        for (sum, v) in row.past.iter_mut().zip(&self.pasts[guest]) {
            *sum += v;
        }
    }
}
