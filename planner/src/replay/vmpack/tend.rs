//! Relieving hosts and emptying them.

use super::room::{Rooms, price};

/// Hosts whose guests want more than there is give guests up, the worst first: each the one that is
/// moved the quickest of those that suffice. Where no host in use has room, one is opened if the
/// overload is forecast to last.
pub(super) fn relieve(rooms: &mut Rooms<'_>, allowance: f64) -> Vec<(usize, usize)> {
    let mut hot: Vec<usize> = rooms
        .in_use()
        .into_iter()
        .filter(|h| rooms.now(*h) > rooms.capacity(*h))
        .collect();
    let over = |rooms: &Rooms<'_>, h: usize| rooms.later(h) / rooms.capacity(h);
    hot.sort_by(|a, b| over(rooms, *b).total_cmp(&over(rooms, *a)));
    let mut migrations = Vec::new();
    for h in hot {
        while rooms.now(h) > rooms.capacity(h) && (migrations.len() as f64) + 1.0 <= allowance {
            let Some((g, to)) = relief(rooms, h) else {
                break;
            };
            rooms.shift(g, h, to);
            migrations.push((g, to));
        }
    }
    migrations
}

fn relief(rooms: &Rooms<'_>, host: usize) -> Option<(usize, usize)> {
    let fleet = rooms.fleet;
    let excess = rooms.now(host) - rooms.capacity(host);
    let mut guests = rooms.on(host).to_vec();
    guests.retain(|g| !fleet.is_moving(*g) && fleet.at(*g) == Some(host));
    // Those that suffice by falling speed of their migration, then the others by falling demand.
    guests.sort_by(|a, b| {
        let little = |g: usize| fleet.want(g) < excess;
        let memory = |g: usize| (!little(g)).then_some(fleet.guests()[g].memory);
        little(*a)
            .cmp(&little(*b))
            .then(memory(*a).cmp(&memory(*b)))
            .then(fleet.want(*b).total_cmp(&fleet.want(*a)))
    });
    let targets = rooms.in_use();
    let roomiest = |g: usize| {
        let others = targets.iter().filter(|t| **t != host && rooms.fits(**t, g));
        others
            .max_by(|a, b| rooms.free(**a).total_cmp(&rooms.free(**b)))
            .map(|to| (g, *to))
    };
    if let Some(found) = guests.iter().find_map(|g| roomiest(*g)) {
        return Some(found);
    }
    if rooms.later(host) <= rooms.capacity(host) {
        return None;
    }
    let closed: Vec<usize> = (0..fleet.hosts().len())
        .filter(|h| rooms.on(*h).is_empty())
        .collect();
    guests.iter().find_map(|g| {
        closed
            .iter()
            .filter(|h| rooms.fits(**h, *g))
            .min_by(|a, b| price(fleet, **a).total_cmp(&price(fleet, **b)))
            .map(|to| (*g, *to))
    })
}

/// Empties hosts whose guests all fit elsewhere: those that draw the most for what they do first, of
/// these those with the fewest guests. Tries `attempts` hosts for each that succeeds.
pub(super) fn empty(rooms: &mut Rooms<'_>, allowance: f64, attempts: usize) -> Vec<(usize, usize)> {
    let fleet = rooms.fleet;
    let mut migrations = Vec::new();
    let mut kept = vec![false; fleet.hosts().len()];
    let mut failed = 0;
    while failed < attempts {
        let count = |h: &usize| rooms.on(*h).len();
        let next = rooms
            .in_use()
            .into_iter()
            .filter(|h| !kept[*h])
            .min_by(|a, b| {
                let dear = price(fleet, *b).total_cmp(&price(fleet, *a));
                dear.then(count(a).cmp(&count(b)))
            });
        let Some(host) = next else {
            break;
        };
        kept[host] = true;
        let moves = rooms.on(host).len() + migrations.len();
        match (moves as f64 <= allowance)
            .then(|| emptied(rooms, host))
            .flatten()
        {
            Some(moves) => {
                for (_, to) in &moves {
                    kept[*to] = true;
                }
                migrations.extend(moves);
            }
            None => failed += 1,
        }
    }
    migrations
}

fn emptied(rooms: &mut Rooms<'_>, host: usize) -> Option<Vec<(usize, usize)>> {
    let fleet = rooms.fleet;
    let mut guests = rooms.on(host).to_vec();
    if guests
        .iter()
        .any(|g| fleet.is_moving(*g) || fleet.at(*g) != Some(host))
    {
        return None;
    }
    guests.sort_by(|a, b| rooms.size(host, *b).total_cmp(&rooms.size(host, *a)));
    let targets: Vec<usize> = rooms.in_use().into_iter().filter(|h| *h != host).collect();
    let mut moves: Vec<(usize, usize)> = Vec::new();
    for g in guests {
        let to = targets
            .iter()
            .filter(|t| rooms.fits(**t, g))
            .min_by(|a, b| rooms.left(**a).total_cmp(&rooms.left(**b)))
            .copied();
        let Some(to) = to else {
            for (g, to) in moves {
                rooms.unshift(g, host, to);
            }
            return None;
        };
        rooms.shift(g, host, to);
        moves.push((g, to));
    }
    Some(moves)
}
