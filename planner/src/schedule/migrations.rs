//! From an order to migrations as a plan holds them, with predicted times.

use vmpack_domain::migration::predict;
use vmpack_domain::plan::{Mode, Move, MoveId};
use vmpack_domain::units::{MiB, Micros, MilliCores};
use vmpack_domain::{Cluster, Load, PostCopy};
use vmpack_ilp::problem::{GroupKind, Problem};

use super::Hop;

/// The migrations of an order; `reason` says why each is proposed. Edges stand where the room or the
/// rules of one hang on another, so that what does not hang on a failed one can still be made. The
/// times are predicted for one after another, as the executor goes about it unless told otherwise.
pub(crate) fn migrations(
    cluster: &Cluster,
    load: &Load,
    problem: &Problem,
    hops: &[Hop],
    reason: impl Fn(&Hop) -> String,
) -> Vec<Move> {
    let mut start = Micros::ZERO;
    let waits = waits(problem, hops);
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
            id: id(i),
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
            after: waits[i].iter().map(|j| id(*j)).collect(),
            reason: reason(hop),
        });
        start += duration;
    }
    moves
}

fn id(index: usize) -> MoveId {
    MoveId(format!("m{}", index + 1))
}

/// For each migration the earlier ones that it must wait for, ascending: those that come to or leave
/// its target, for its room was reckoned after them; those of the same guest; and those of guests that
/// a spread or gather rule binds it to. What another of them waits for already is left out.
fn waits(problem: &Problem, hops: &[Hop]) -> Vec<Vec<usize>> {
    let mut rules_of: Vec<Vec<usize>> = vec![Vec::new(); problem.guests.len()];
    for (r, rule) in problem.rules.iter().enumerate() {
        if let GroupKind::Spread { guests, .. } | GroupKind::Gather { guests, .. } = &rule.kind {
            guests.iter().for_each(|g| rules_of[*g].push(r));
        }
    }
    let bound = |a: usize, b: usize| rules_of[a].iter().any(|r| rules_of[b].contains(r));
    // Per migration, whether each earlier one has ended before it starts.
    let mut ended: Vec<Vec<bool>> = Vec::with_capacity(hops.len());
    let mut waits = Vec::with_capacity(hops.len());
    for (i, hop) in hops.iter().enumerate() {
        let mut before = vec![false; i];
        let mut direct = Vec::new();
        // The latest first: it has waited for most of the others.
        for (j, earlier) in hops[..i].iter().enumerate().rev() {
            let needed = [earlier.from, earlier.to].contains(&hop.to)
                || earlier.guest == hop.guest
                || bound(earlier.guest, hop.guest);
            if needed && !before[j] {
                before[j] = true;
                for (mine, theirs) in before.iter_mut().zip(&ended[j]) {
                    *mine |= theirs;
                }
                direct.push(j);
            }
        }
        direct.reverse();
        ended.push(before);
        waits.push(direct);
    }
    waits
}
