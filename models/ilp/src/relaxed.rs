//! A problem whose hosts may each be above their room in k of T windows, as one with plain resources
//! that allows more: what bounds it bounds the other.
//!
//! Let W be any set of m > k windows, S the guests of a host with room R, and E ⊆ W a set of k windows
//! that holds all those of W in which the host is above its room (there are at most k). In every other
//! window of W the guests want at most R together, so Σ_{g∈S} Σ_{w∈W∖E} `d[g,w]` ≤ (m−k)·R. Whatever
//! E is, Σ_{w∈W∖E} `d[g,w]` is at least the sum `low[g]` of the guest's m−k lowest demands in W. Hence
//!
//! - (lowest) Σ_{g∈S} `low[g]` ≤ (m−k)·R for every W.
//!
//! With all T windows this is the mean of each guest's lowest T−k windows against the room; with m =
//! k+1 each guest counts with its lowest demand in W. No host needs to know which windows it exempts.

use std::borrow::Cow;

use smallvec::smallvec;

use crate::problem::{Amounts, CLUSTER_RESOURCES, GroupKind, Problem, is_cpu};

impl Problem {
    /// The problem by what is known of each host without knowing which windows are exempt there; itself
    /// where none are.
    #[must_use]
    pub fn plain(&self) -> Cow<'_, Self> {
        match self.exempt {
            0 => Cow::Borrowed(self),
            _ => Cow::Owned(self.relaxed(&self.nested_windows())),
        }
    }

    /// The problem that knows (lowest) for each of those sets of windows, given by their resources, in
    /// place of the windows. Spare room is asked for in memory and vCPUs only.
    #[must_use]
    pub fn relaxed(&self, sets: &[Vec<usize>]) -> Self {
        let sets: Vec<&Vec<usize>> = sets.iter().filter(|s| s.len() > self.exempt).collect();
        let mut relaxed = self.clone();
        relaxed.exempt = 0;
        // The first set takes the place of the first resource.
        let plain = |cpu: Vec<i64>, of: &Amounts| -> Amounts {
            let mut cpu = cpu.into_iter();
            let mut amounts: Amounts = smallvec![cpu.next().unwrap_or(0), of[1], of[2]];
            amounts.extend(cpu);
            amounts
        };
        let times = |set: &Vec<usize>| i64::try_from(set.len() - self.exempt).unwrap_or(i64::MAX);
        for (host, of) in relaxed.hosts.iter_mut().zip(&self.hosts) {
            // Windows have the same room, or more where a host may keep what it carries.
            let widest = |s: &Vec<usize>| s.iter().map(|w| of.room[*w]).max().unwrap_or(0);
            let room = sets.iter().map(|s| widest(s).saturating_mul(times(s)));
            let cpu: Vec<i64> = room.collect();
            let unraised = of.unraised.as_ref();
            host.unraised = unraised.map(|room| plain(cpu.clone(), room));
            host.room = plain(cpu, &of.room);
        }
        for (guest, of) in relaxed.guests.iter_mut().zip(&self.guests) {
            let low = sets.iter().map(|s| self.lowest(&of.need, s));
            guest.need = plain(low.collect(), &of.need);
        }
        for rule in &mut relaxed.rules {
            if let GroupKind::Spare { amount } = &mut rule.kind {
                *amount = plain(vec![0; sets.len()], amount);
            }
        }
        let mut names = sets.iter().map(|s| {
            format!(
                "cpu in the lowest {} of {} windows",
                s.len() - self.exempt,
                s.len()
            )
        });
        relaxed.resources = CLUSTER_RESOURCES.map(str::to_owned).to_vec();
        if let Some(first) = names.next() {
            relaxed.resources[0] = first;
        }
        relaxed.resources.extend(names);
        relaxed
    }

    /// Sets of windows to begin with: the heaviest k+1 together, twice as many, and so on to all.
    #[must_use]
    pub fn nested_windows(&self) -> Vec<Vec<usize>> {
        let mut total = self.nothing();
        for guest in &self.guests {
            total.iter_mut().zip(&guest.need).for_each(|(t, n)| *t += n);
        }
        let windows = self.heaviest_windows(&total);
        let mut sets = Vec::new();
        let mut many = self.exempt + 1;
        while many < windows.len() {
            sets.push(windows[..many].to_vec());
            many *= 2;
        }
        sets.push(windows);
        sets
    }

    /// The set of windows by which (lowest) speaks most against these guests on that host, if it does:
    /// one of those of the heaviest m windows of their load, for every m.
    #[must_use]
    pub fn violated_windows(&self, guests: &[usize], host: usize) -> Option<Vec<usize>> {
        let mut load = self.nothing();
        for g in guests {
            let need = &self.guests[*g].need;
            load.iter_mut().zip(need).for_each(|(l, n)| *l += n);
        }
        let windows = self.heaviest_windows(&load);
        let room = self.hosts[host].room[0];
        let mut best = None;
        for many in self.exempt + 1..=windows.len() {
            let set = &windows[..many];
            let low: i64 = guests
                .iter()
                .map(|g| self.lowest(&self.guests[*g].need, set))
                .sum();
            let times = i64::try_from(many - self.exempt).unwrap_or(i64::MAX);
            // Above the room by this per window, rounded up.
            let above = crate::model::ceil_div(low - room.saturating_mul(times), times);
            if above > 0 && best.as_ref().is_none_or(|(most, _)| above > *most) {
                best = Some((above, set.to_vec()));
            }
        }
        best.map(|(_, set)| set)
    }

    fn heaviest_windows(&self, load: &Amounts) -> Vec<usize> {
        let mut windows: Vec<usize> = (0..load.len()).filter(|r| is_cpu(*r)).collect();
        windows.sort_by_key(|r| (std::cmp::Reverse(load[*r]), *r));
        windows
    }

    /// The sum of all but the k highest needs in a set of windows.
    fn lowest(&self, need: &Amounts, set: &[usize]) -> i64 {
        let mut needs: Vec<i64> = set.iter().map(|r| need[*r]).collect();
        needs.sort_unstable();
        needs
            .iter()
            .take(set.len().saturating_sub(self.exempt))
            .sum()
    }
}
