//! Constructive placements: first fit and best fit decreasing over several sizes and weights
//! (Panigrahy et al., "Heuristics for Vector Bin Packing", 2011), and emptying hosts one by one
//! from where the guests are.

use vmpack_ilp::problem::Amounts;

use crate::instance::{Instance, NOWHERE, PAIR, State};

/// How a fit measures guests and picks hosts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe {
    weight: Weight,
    size: Size,
    first: bool,
}

/// What a resource weighs.
#[derive(Debug, Clone, Copy)]
enum Weight {
    /// Its share of the total need: the scarce resource counts.
    Need,
    /// All alike.
    Unit,
}

/// The size of a guest, from its weighted shares of a mean host.
#[derive(Debug, Clone, Copy)]
enum Size {
    Sum,
    Largest,
    Squares,
}

impl Recipe {
    /// Every combination, the one that is most often best first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let sizes = [Size::Sum, Size::Largest, Size::Squares];
        [Weight::Need, Weight::Unit]
            .into_iter()
            .flat_map(move |weight| {
                sizes.into_iter().flat_map(move |size| {
                    [false, true].map(|first| Self {
                        weight,
                        size,
                        first,
                    })
                })
            })
    }
}

/// What each resource weighs: its total need over the mean room, 1 for the scarcest.
pub(crate) fn need_weights(inst: &Instance) -> Vec<f64> {
    let floor = inst.floor.iter().zip(&inst.scale);
    let share: Vec<f64> = floor.map(|(f, s)| *f as f64 * s).collect();
    let most = share.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    share.into_iter().map(|s| s / most).collect()
}

fn weighted(inst: &Instance, weights: &[f64], amounts: &Amounts) -> impl Iterator<Item = f64> {
    let amounts = amounts.iter().zip(weights).zip(&inst.scale);
    amounts.map(|((a, w), s)| *a as f64 * w * s)
}

/// Places every bundle, opening hosts in the given order when none of the open ones will do. What
/// fits nowhere goes where it breaks least, so the result may be infeasible.
pub(crate) fn fit<'i, 'p>(
    inst: &'i Instance<'p>,
    order: &[usize],
    recipe: Recipe,
) -> State<'i, 'p> {
    let weights = match recipe.weight {
        Weight::Need => need_weights(inst),
        Weight::Unit => vec![1.0; inst.scale.len()],
    };
    let size = |b: usize| -> f64 {
        let w = weighted(inst, &weights, &inst.bundles[b].need);
        match recipe.size {
            Size::Sum => w.sum(),
            Size::Largest => w.fold(0.0, f64::max),
            Size::Squares => w.map(|x| x * x).sum(),
        }
    };
    // Guests with few hosts to choose from first, then the large ones.
    let narrow = inst.problem.hosts.len() / 4;
    let mut bundles: Vec<(bool, f64, usize)> = (0..inst.bundles.len())
        .map(|b| {
            (
                inst.sets[inst.bundles[b].set].list.len() > narrow,
                size(b),
                b,
            )
        })
        .collect();
    bundles.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.cmp(&b.2)));
    let mut open: Vec<usize> = Vec::new();
    let mut closed: Vec<usize> = Vec::new();
    for h in order {
        let list = if inst.problem.hosts[*h].always {
            &mut open
        } else {
            &mut closed
        };
        list.push(*h);
    }
    let mut state = State::new(inst, &vec![NOWHERE; inst.bundles.len()]);
    for (_, _, b) in bundles {
        let set = &inst.sets[inst.bundles[b].set];
        let good = |state: &State, h: usize| {
            set.contains(h) && state.pairs_added(b, h) == 0 && state.moves_added(b, h) == 0
        };
        let mut best: Option<(f64, usize)> = None;
        for h in &open {
            let Some(left) = state.left(b, *h).filter(|_| good(&state, *h)) else {
                continue;
            };
            let score: f64 = weighted(inst, &weights, &left).sum();
            if best.is_none_or(|x| score < x.0) {
                best = Some((score, *h));
            }
            if recipe.first {
                break;
            }
        }
        let host = best.map(|x| x.1).or_else(|| {
            let next = closed
                .iter()
                .position(|h| state.left(b, *h).is_some() && good(&state, *h))?;
            let host = closed.remove(next);
            open.push(host);
            Some(host)
        });
        match host {
            Some(h) => state.put(b, h),
            None => put_least(&mut state, b, &set.list),
        }
    }
    state
}

/// Puts a bundle on the host of the list where it adds least penalty, the emptiest of several.
pub(crate) fn put_least(state: &mut State, bundle: usize, hosts: &[usize]) {
    let inst = state.inst;
    let set = &inst.sets[inst.bundles[bundle].set];
    let mut best: Option<(f64, usize)> = None;
    for h in hosts.iter().copied().filter(|h| set.contains(*h)) {
        let need = &inst.bundles[bundle].need;
        let load: Amounts = state.load[h].iter().zip(need).map(|(l, n)| l + n).collect();
        let broken = state.pairs_added(bundle, h) + state.moves_added(bundle, h);
        let full: f64 = load
            .iter()
            .zip(&inst.scale)
            .map(|(l, s)| *l as f64 * s)
            .sum();
        let added = state.overload(&load, h) - state.overload(&state.load[h], h)
            + PAIR * broken as f64
            + 1e-3 * full;
        if best.is_none_or(|x| added < x.0) {
            best = Some((added, h));
        }
    }
    if let Some((_, h)) = best {
        state.put(bundle, h);
    }
}

/// What is given up first when hosts are emptied.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Empty {
    /// The least memory to move.
    LeastMemory,
    /// The fewest guests to move.
    FewestGuests,
    /// The least load for its cost.
    LeastLoad,
}

/// Empties hosts one by one, each guest going where it fits best on a host that stays in use,
/// until no host can be emptied whole. Feasible states stay feasible.
pub(crate) fn shrink(state: &mut State, by: Empty) {
    let inst = state.inst;
    let weights = need_weights(inst);
    let mut kept = vec![false; inst.problem.hosts.len()];
    loop {
        let candidate = (0..kept.len())
            .filter(|h| !kept[*h] && !inst.problem.hosts[*h].always && !state.on[*h].is_empty())
            .min_by(|a, b| {
                let key = |h: usize| match by {
                    Empty::LeastMemory => state.on[h]
                        .iter()
                        .map(|b| inst.bundles[*b].price as f64)
                        .sum::<f64>(),
                    Empty::FewestGuests => state.on[h].len() as f64,
                    Empty::LeastLoad => {
                        let load: f64 = weighted(inst, &weights, &state.load[h]).sum();
                        load * 1000.0 / inst.problem.hosts[h].cost.max(1) as f64
                    }
                };
                key(*a).total_cmp(&key(*b)).then(a.cmp(b))
            });
        let Some(host) = candidate else { return };
        kept[host] = true;
        let before: Vec<(usize, usize)> = state.on[host].iter().map(|b| (*b, host)).collect();
        if !empty(state, host, &weights) {
            for (b, h) in before {
                if state.at[b] != h {
                    if state.at[b] != NOWHERE {
                        state.take(b);
                    }
                    state.put(b, h);
                }
            }
        }
    }
}

/// Moves every bundle of a host to other hosts that are in use; `false` when one finds no room.
fn empty(state: &mut State, host: usize, weights: &[f64]) -> bool {
    let inst = state.inst;
    let size = |b: usize| -> f64 { weighted(inst, weights, &inst.bundles[b].need).sum() };
    let mut leaving = state.on[host].clone();
    leaving.sort_by(|a, b| size(*b).total_cmp(&size(*a)).then(a.cmp(b)));
    for b in leaving {
        state.take(b);
        let used = |h: usize| !state.on[h].is_empty() || inst.problem.hosts[h].always;
        let mut best: Option<(f64, usize)> = None;
        for h in inst.sets[inst.bundles[b].set].list.iter().copied() {
            if h == host || !used(h) || state.pairs_added(b, h) + state.moves_added(b, h) > 0 {
                continue;
            }
            if let Some(left) = state.left(b, h) {
                let score: f64 = weighted(inst, weights, &left).sum();
                if best.is_none_or(|x| score < x.0) {
                    best = Some((score, h));
                }
            }
        }
        match best {
            Some((_, h)) => state.put(b, h),
            None => return false,
        }
    }
    true
}
