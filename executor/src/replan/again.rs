//! Backing off between plans that are made by the clock: a guest is not sent again at once to a host to which its
//! move failed. Pure.

use std::collections::BTreeMap;

use vmpack_domain::journal::Priority;
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, GuestName, HostName, Policy};

use super::{Basis, Failed, cut_off, failures, happened};
use crate::journal::Run;

/// The longest time for which a guest is kept from a host, unless plans are made less often.
const LONGEST: Micros = Micros::secs(24 * 3600);
/// For how long runs count: so many times that.
const REMEMBERED: u64 = 7;

/// Since when runs are looked at.
#[must_use]
pub fn since(wall: Timestamp, every: Micros) -> Timestamp {
    let span = longest(every).0.saturating_mul(REMEMBERED);
    let span = i64::try_from(span).unwrap_or(i64::MAX);
    let at = wall.0.as_microsecond().saturating_sub(span);
    Timestamp(jiff::Timestamp::from_microsecond(at).unwrap_or(jiff::Timestamp::MIN))
}

fn longest(every: Micros) -> Micros {
    LONGEST.max(every)
}

/// A move that failed, how often in a row, and when last.
struct Again {
    failed: Failed,
    times: u32,
    last: Timestamp,
}

/// What a plan is made from, every so often, after those runs, oldest first: twice that long after its move
/// failed a guest may be sent to the same host again, twice as long as that after the second time, and so on.
#[must_use]
pub fn rested(
    runs: &[Run],
    (now, policy): (&Cluster, &Policy),
    wall: Timestamp,
    every: Micros,
) -> Basis {
    let mut again: BTreeMap<(GuestName, HostName), Again> = BTreeMap::new();
    let plans = |r: &&Run| r.priority() == Priority::Consolidation;
    for run in runs.iter().filter(plans) {
        for (mv, _) in happened(run) {
            again.remove(&(mv.guest, mv.to));
        }
        let Some(last) = run.entries.last().map(|e| e.time) else {
            continue;
        };
        for failed in failures(run) {
            let key = (failed.mv.guest.clone(), failed.mv.to.clone());
            let before = again.get(&key).map_or(0, |a| a.times);
            let times = before.saturating_add(1);
            again.insert(
                key,
                Again {
                    failed,
                    times,
                    last,
                },
            );
        }
    }
    let rests = |a: &Again| {
        let rest = every.0.saturating_mul(1 << a.times.min(20));
        let rest = Micros(rest).min(longest(every));
        let passed = wall.0.as_microsecond() - a.last.0.as_microsecond();
        // Where the clock was ahead then, nobody knows how long ago it was.
        u64::try_from(passed).is_ok_and(|passed| passed < rest.0)
    };
    let failed: Vec<Failed> = { again.into_values() }
        .filter(rests)
        .map(|a| a.failed)
        .collect();
    let guests = failed.iter().map(|f| &f.mv.guest);
    let at = guests.filter_map(|g| Some((g.clone(), now.guest(g)?.host.clone()?)));
    let mut basis = Basis {
        cluster: now.clone(),
        policy: policy.clone(),
        why: Vec::new(),
        cut: Default::default(),
    };
    cut_off(&mut basis, "for now", &failed, &at.collect());
    basis
}
