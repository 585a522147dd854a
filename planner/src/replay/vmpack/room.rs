//! Who is where and how much room is left, while a policy decides.

use vmpack_sim::fleet::Fleet;

use super::forecast::{Forecast, forecasts};

/// A scratch copy of the fleet with forecasts.
pub(super) struct Rooms<'f> {
    pub(super) fleet: &'f Fleet,
    /// How many standard deviations above the mean a host's guests must fit.
    deviations: f64,
    /// What each guest is forecast to want.
    forecast: Vec<Forecast>,
    rows: Vec<Row>,
}

struct Row {
    guests: Vec<usize>,
    /// What its guests want now.
    now: f64,
    /// What they are forecast to want.
    later: Forecast,
    memory: u64,
}

/// Watts at full load for a unit of CPU.
pub(super) fn price(fleet: &Fleet, host: usize) -> f64 {
    let spec = &fleet.hosts()[host];
    spec.power.full() / spec.capacity()
}

impl<'f> Rooms<'f> {
    pub(super) fn new(fleet: &'f Fleet, deviations: f64) -> Self {
        let mut rooms = Self {
            fleet,
            deviations,
            forecast: forecasts(fleet),
            rows: Vec::new(),
        };
        for h in 0..fleet.hosts().len() {
            rooms.rows.push(Row {
                guests: Vec::new(),
                now: 0.0,
                later: Forecast::default(),
                memory: 0,
            });
            for g in fleet.guests_on(h).iter().chain(fleet.arriving(h)) {
                rooms.give(h, *g);
                rooms.rows[h].memory += fleet.guests()[*g].memory.0;
            }
        }
        rooms
    }

    /// How many guests run.
    pub(super) fn guests(&self) -> usize {
        self.rows.iter().map(|r| r.guests.len()).sum()
    }

    pub(super) fn on(&self, host: usize) -> &[usize] {
        &self.rows[host].guests
    }

    pub(super) fn in_use(&self) -> Vec<usize> {
        (0..self.rows.len())
            .filter(|h| !self.rows[*h].guests.is_empty())
            .collect()
    }

    pub(super) fn now(&self, host: usize) -> f64 {
        self.rows[host].now
    }

    /// What a guest is forecast to want, on average.
    pub(super) fn mean(&self, guest: usize) -> f64 {
        self.forecast[guest].mean
    }

    /// What a host's guests are forecast to want at most.
    pub(super) fn later(&self, host: usize) -> f64 {
        self.most(&self.rows[host].later)
    }

    fn most(&self, forecast: &Forecast) -> f64 {
        forecast.mean + self.deviations * forecast.variance.max(0.0).sqrt()
    }

    pub(super) fn capacity(&self, host: usize) -> f64 {
        self.fleet.hosts()[host].capacity()
    }

    /// The share of the hosts in use whose guests want more than they have.
    pub(super) fn overloaded(&self) -> f64 {
        let used = self.in_use();
        let hot = used.iter().filter(|h| self.now(**h) > self.capacity(**h));
        hot.count() as f64 / used.len().max(1) as f64
    }

    /// The share of a host that is left of its scarcest resource: of CPU by the forecast, and of memory
    /// where it counts.
    pub(super) fn left(&self, host: usize) -> f64 {
        let cpu = self.free(host) / self.capacity(host);
        if !self.fleet.physics().memory_counts {
            return cpu;
        }
        let memory = self.fleet.hosts()[host].memory.0 as f64;
        cpu.min(1.0 - self.rows[host].memory as f64 / memory)
    }

    /// The largest share of a host that a guest takes.
    pub(super) fn size(&self, host: usize, guest: usize) -> f64 {
        let cpu = self.mean(guest) / self.capacity(host);
        if !self.fleet.physics().memory_counts {
            return cpu;
        }
        let memory = self.fleet.guests()[guest].memory.0 as f64;
        cpu.max(memory / self.fleet.hosts()[host].memory.0 as f64)
    }

    /// CPU that is not needed by the forecast, and not now.
    pub(super) fn free(&self, host: usize) -> f64 {
        self.capacity(host) - self.later(host).max(self.rows[host].now)
    }

    /// Whether a guest may go to a host.
    pub(super) fn fits(&self, host: usize, guest: usize) -> bool {
        let (fleet, row) = (self.fleet, &self.rows[host]);
        let spec = &fleet.hosts()[host];
        let guest_spec = &fleet.guests()[guest];
        let forecast = self.forecast[guest];
        let want = fleet.want(guest);
        let later = Forecast {
            mean: row.later.mean + forecast.mean,
            variance: row.later.variance + forecast.variance,
        };
        fleet.is_alive(host)
            && f64::from(guest_spec.vcpus) * spec.core >= want
            && row.now + want <= spec.capacity()
            && self.most(&later) <= spec.capacity()
            && (!fleet.physics().memory_counts || row.memory + guest_spec.memory.0 <= spec.memory.0)
    }

    /// Moves a guest. Its memory stays taken where it was, until the migration ends.
    pub(super) fn shift(&mut self, guest: usize, from: usize, to: usize) {
        self.take(from, guest);
        self.give(to, guest);
        self.rows[to].memory += self.fleet.guests()[guest].memory.0;
    }

    /// Takes that back.
    pub(super) fn unshift(&mut self, guest: usize, from: usize, to: usize) {
        self.take(to, guest);
        self.rows[to].memory -= self.fleet.guests()[guest].memory.0;
        self.give(from, guest);
    }

    fn give(&mut self, host: usize, guest: usize) {
        let row = &mut self.rows[host];
        row.guests.push(guest);
        row.now += self.fleet.want(guest);
        row.later.mean += self.forecast[guest].mean;
        row.later.variance += self.forecast[guest].variance;
    }

    fn take(&mut self, host: usize, guest: usize) {
        let row = &mut self.rows[host];
        row.guests.retain(|g| *g != guest);
        row.now -= self.fleet.want(guest);
        row.later.mean -= self.forecast[guest].mean;
        row.later.variance -= self.forecast[guest].variance;
    }
}
