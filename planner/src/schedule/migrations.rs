//! From an order to migrations as a plan holds them, with predicted times.

use vmpack_domain::migration::predict;
use vmpack_domain::plan::{Mode, Move, MoveId};
use vmpack_domain::units::{MiB, Micros, MilliCores};
use vmpack_domain::{Cluster, Load, PostCopy};
use vmpack_ilp::problem::Problem;

use super::Hop;

/// The migrations of an order, one after another; `reason` says why each is proposed.
pub(crate) fn migrations(
    cluster: &Cluster,
    load: &Load,
    problem: &Problem,
    hops: &[Hop],
    reason: impl Fn(&Hop) -> String,
) -> Vec<Move> {
    let mut start = Micros::ZERO;
    let mut moves: Vec<Move> = Vec::with_capacity(hops.len());
    for (i, hop) in hops.iter().enumerate() {
        let item = &problem.guests[hop.guest];
        let (from, to) = (&problem.hosts[hop.from].name, &problem.hosts[hop.to].name);
        let Some(guest) = cluster.guests.get(hop.guest) else {
            continue;
        };
        let mode = match guest.post_copy {
            PostCopy::Allowed => Mode::PostCopy,
            PostCopy::Never => Mode::PreCopy,
        };
        let link = |name| cluster.host(name).map(|h| h.network);
        let bandwidth = link(from).min(link(to)).unwrap_or_default();
        let load = load.guests.get(&item.name);
        let duration = predict(mode, guest.memory, load, bandwidth).total;
        moves.push(Move {
            id: MoveId(format!("m{}", i + 1)),
            guest: item.name.clone(),
            uuid: guest.uuid,
            from: from.clone(),
            to: to.clone(),
            mode,
            memory: MiB(guest.memory.0),
            vcpus: guest.vcpus,
            demand: MilliCores(u64::try_from(item.need[0]).unwrap_or(0)),
            bandwidth,
            start,
            duration,
            after: moves.last().map(|m| m.id.clone()).into_iter().collect(),
            reason: reason(hop),
        });
        start += duration;
    }
    moves
}
