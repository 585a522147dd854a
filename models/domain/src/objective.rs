//! What hosts are weighed against migrations with. All prices are in one unit of the operator's
//! choice, such as cents or watt-hours.
//!
//! A plan costs
//! `host-hour` × hours of the horizon × Σ cost of the hosts in use afterwards
//! + Σ over guests that change their host of `move` + `move-gib` × GiB + `move-second` × seconds,
//!
//! the seconds being those that the migration model predicts for the guest over its part of the link
//! of the host that it leaves ([`crate::migration`]).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, Guest};
use crate::load::Load;
use crate::migration::choose;
use crate::policy::Policy;
use crate::units::{Micros, Price, Sum};

/// The trade of hosts against migrations. With it a plan does not use the fewest hosts but those
/// that cost least together with the migrations that lead there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Objective {
    /// Of a host of cost 1 that is in use for an hour; 1 by default.
    pub host_hour: Price,
    /// Of each guest that changes its host; 0 by default.
    #[serde(rename = "move", skip_serializing_if = "is_zero")]
    pub each_move: Price,
    /// Of each GiB of memory of guests that change their host; 0 by default.
    #[serde(skip_serializing_if = "is_zero")]
    pub move_gib: Price,
    /// Of each second that migrations are predicted to take; 0 by default.
    #[serde(skip_serializing_if = "is_zero")]
    pub move_second: Price,
    /// The payback time: what the hosts save within it must pay for the migrations; 24 h by default.
    pub horizon: Micros,
    /// While nothing is wrong with where guests run, they stay unless the plan costs at least this
    /// much less than staying; 0 by default.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_gain: Price,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(price: &Price) -> bool {
    *price == Price::ZERO
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            host_hour: Price(1000),
            each_move: Price::ZERO,
            move_gib: Price::ZERO,
            move_second: Price::ZERO,
            horizon: Micros::secs(24 * 3600),
            min_gain: Price::ZERO,
        }
    }
}

/// Prices are added up in millionths. That of the hosts is no larger, and that of all migrations, so that both
/// together are a [`Sum`].
const MOST: u128 = 500_000_000_000_000_000;

fn capped(value: u128) -> u64 {
    u64::try_from(value.min(MOST)).unwrap_or(u64::MAX)
}

impl Objective {
    /// Whether migrations have a price at all.
    #[must_use]
    pub fn prices_moves(&self) -> bool {
        [self.each_move, self.move_gib, self.move_second]
            .iter()
            .any(|p| *p > Price::ZERO)
    }
    /// Of hosts of that cost in use over the horizon, in millionths, rounded down.
    #[must_use]
    pub fn hosts(&self, cost: Sum) -> u64 {
        let hour = u128::from(Micros::secs(3600).0);
        // Thousandths of a host times thousandths of a price.
        let millionths = u128::from(cost.0) * u128::from(self.host_hour.0);
        capped(millionths.saturating_mul(u128::from(self.horizon.0)) / hour)
    }
    /// Of moving the guest away from where it runs, in millionths, rounded up. It is at most
    /// 5 × 10^11, so that the sum over a million guests fits.
    #[must_use]
    pub fn migration(&self, guest: &Guest, cluster: &Cluster, policy: &Policy, load: &Load) -> u64 {
        let from = guest.host.as_ref().and_then(|h| cluster.host(h));
        let link = from.map(|h| policy.migrations.part_of(h.network));
        let link = link.unwrap_or_default();
        let of = load.guests.get(&guest.name);
        let (_, predicted) = choose(&policy.migrations, guest, of, link, false);
        let takes = predicted.total;
        let each = u128::from(self.each_move.0) * 1000;
        let memory = u128::from(self.move_gib.0) * 1000 * u128::from(guest.memory.0);
        let work = u128::from(self.move_second.0) * u128::from(takes.0);
        let sum = each + memory.div_ceil(1024) + work.div_ceil(1000);
        capped(sum.min(MOST / 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{MiB, Permille};

    #[test]
    fn prices_are_those_of_the_formula() {
        let objective = Objective {
            host_hour: Price(2_500),
            each_move: Price(100),
            move_gib: Price(10),
            move_second: Price(1),
            horizon: Micros::secs(2 * 3600),
            min_gain: Price::ZERO,
        };
        // 2.5 an hour × 2 h × 3 hosts.
        assert_eq!(objective.hosts(Sum(3000)), 15_000_000);
        let text = "apiVersion: vmpack/v1\nkind: Cluster\nhosts:\n  - { name: h, cpu: 4cores, \
                    memory: 8GiB, network: 512MiB/s, state: on }\nguests:\n  - { name: g, vcpus: 1, \
                    memory: 2GiB, host: h }\n";
        let source = crate::file::Source {
            name: "c".into(),
            text: text.into(),
        };
        let cluster = crate::file::read_cluster(&[source]).unwrap();
        let mut policy = Policy::default();
        policy.migrations.bandwidth = Permille(1000);
        let mut guest = cluster.guests[0].clone();
        // 0.1 + 2 GiB × 0.01 + (0.6 s + 4 s) × 0.001
        let of = |guest: &Guest| objective.migration(guest, &cluster, &policy, &Load::default());
        assert_eq!(of(&guest), 124_600);
        guest.memory = MiB(1 << 43);
        assert_eq!(of(&guest), 500_000_000_000);
    }
}
