//! Which guests are to leave an overloaded host: the least harm that takes enough off it.
//!
//! A knapsack turned round (min Σ harm, Σ demand ≥ overload) with at most so many guests and so much
//! memory, searched depth first, with the fractional bound (Martello, Toth, Knapsack Problems, 1990):
//! what is still missing costs at least as much as by the least harm per demand that is left.

/// A guest that may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) guest: usize,
    /// What its leaving takes off the host, above 0.
    pub(super) demand: i64,
    pub(super) harm: i64,
    /// MiB that leave in split state.
    pub(super) sends: i64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cure {
    /// Who leaves; `None` where nothing was found.
    pub(super) guests: Option<Vec<usize>>,
    pub(super) harm: i64,
    /// Whether the search was whole: nothing is less harmful, or there is nothing.
    pub(super) proven: bool,
}

/// Nodes of the search.
const STEPS: u32 = 50_000;

/// The least harmful guests that want at least `overload` together, at most `slots` of them with at
/// most `pipe` MiB; of those that harm alike, and are as many, some that want `ample` together.
pub(super) fn cheapest(
    items: &[Item],
    (overload, ample): (i64, i64),
    slots: i64,
    pipe: i64,
) -> Cure {
    let enough = least(items.to_vec(), overload, slots, pipe);
    let count = enough.guests.as_ref().map(Vec::len);
    if count.is_none() || ample <= overload {
        return enough;
    }
    let more = least(items.to_vec(), ample, slots, pipe);
    let alike = more.guests.as_ref().map(Vec::len) == count && more.harm == enough.harm;
    Cure {
        guests: if alike { more.guests } else { enough.guests },
        ..enough
    }
}

fn least(mut items: Vec<Item>, overload: i64, slots: i64, pipe: i64) -> Cure {
    items.retain(|i| i.demand > 0 && i.sends <= pipe);
    // Least harm per demand first; of those the larger, since fewer moves are better.
    items.sort_by(|a, b| {
        let left = i128::from(a.harm) * i128::from(b.demand);
        let right = i128::from(b.harm) * i128::from(a.demand);
        left.cmp(&right)
            .then(b.demand.cmp(&a.demand))
            .then(a.guest.cmp(&b.guest))
    });
    let slots = usize::try_from(slots.max(0)).unwrap_or(0).min(items.len());
    let mut search = Search {
        most: most(&items, slots),
        items: &items,
        best: None,
        chosen: Vec::new(),
        steps: STEPS,
    };
    search.descend(0, overload, slots, pipe, 0);
    let proven = search.steps > 0;
    let (harm, guests) = match search.best {
        Some((harm, mut chosen)) => {
            smaller(&items, &mut chosen, overload, pipe);
            (
                harm,
                Some(chosen.into_iter().map(|i| items[i].guest).collect()),
            )
        }
        None => (0, None),
    };
    Cure {
        guests,
        harm,
        proven,
    }
}

/// Of guests that harm alike those that want least are taken: they need least room elsewhere.
fn smaller(items: &[Item], chosen: &mut [usize], overload: i64, pipe: i64) {
    for at in 0..chosen.len() {
        let was = items[chosen[at]];
        let demand = chosen.iter().map(|i| items[*i].demand).sum::<i64>() - was.demand;
        let sends = chosen.iter().map(|i| items[*i].sends).sum::<i64>() - was.sends;
        let better = |i: &usize| {
            let item = items[*i];
            item.harm == was.harm
                && item.demand < was.demand
                && demand + item.demand >= overload
                && sends + item.sends <= pipe
                && !chosen.contains(i)
        };
        let least = (0..items.len())
            .filter(better)
            .min_by_key(|i| items[*i].demand);
        if let Some(i) = least {
            chosen[at] = i;
        }
    }
}

/// For each item and number: the most that so many of the items from it on want together.
fn most(items: &[Item], slots: usize) -> Vec<Vec<i64>> {
    let mut sums = vec![vec![0; slots + 1]; items.len() + 1];
    let mut largest: Vec<i64> = Vec::new();
    for i in (0..items.len()).rev() {
        let at = largest.partition_point(|d| *d >= items[i].demand);
        largest.insert(at, items[i].demand);
        largest.truncate(slots);
        for (n, sum) in sums[i].iter_mut().enumerate() {
            *sum = largest.iter().take(n).sum();
        }
    }
    sums
}

struct Search<'a> {
    items: &'a [Item],
    most: Vec<Vec<i64>>,
    best: Option<(i64, Vec<usize>)>,
    chosen: Vec<usize>,
    steps: u32,
}

impl Search<'_> {
    fn descend(&mut self, i: usize, missing: i64, slots: usize, pipe: i64, harm: i64) {
        if missing <= 0 {
            let key = (harm, self.chosen.len());
            if self.best.as_ref().is_none_or(|(h, c)| key < (*h, c.len())) {
                self.best = Some((harm, self.chosen.clone()));
            }
            return;
        }
        if self.steps == 0 || self.most[i][slots] < missing {
            return;
        }
        self.steps -= 1;
        let item = self.items[i];
        // The rest costs at least this item's harm per demand.
        let rest = i128::from(missing) * i128::from(item.harm);
        let rest = (rest + i128::from(item.demand) - 1) / i128::from(item.demand);
        let least = i128::from(harm) + rest;
        if self
            .best
            .as_ref()
            .is_some_and(|(best, _)| least >= i128::from(*best))
        {
            return;
        }
        if item.sends <= pipe {
            self.chosen.push(i);
            let left = pipe - item.sends;
            self.descend(
                i + 1,
                missing - item.demand,
                slots - 1,
                left,
                harm + item.harm,
            );
            self.chosen.pop();
        }
        self.descend(i + 1, missing, slots, pipe, harm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn brute(items: &[Item], overload: i64, slots: i64, pipe: i64) -> Option<i64> {
        let sets = 0..1u32 << items.len();
        let harm = |set: &u32| {
            let of = || {
                (0..items.len())
                    .filter(|i| set >> i & 1 == 1)
                    .map(|i| items[i])
            };
            let ok = of().map(|i| i.demand).sum::<i64>() >= overload
                && of().count() as i64 <= slots
                && of().map(|i| i.sends).sum::<i64>() <= pipe;
            ok.then(|| of().map(|i| i.harm).sum())
        };
        sets.filter_map(|set| harm(&set)).min()
    }

    proptest! {
        #[test]
        fn it_is_the_least_harm_of_all_sets(
            items in proptest::collection::vec((1i64..20, 1i64..30, 0i64..9), 0..10),
            overload in 1i64..40, slots in 0i64..5, pipe in 0i64..30,
        ) {
            let items: Vec<Item> = items.into_iter().enumerate().map(|(guest, (demand, harm, sends))| Item {
                guest, demand, harm, sends,
            }).collect();
            let expected = brute(&items, overload, slots, pipe);
            let found = cheapest(&items, (overload, overload), slots, pipe);
            prop_assert!(found.proven);
            prop_assert_eq!(found.guests.as_ref().map(|_| found.harm), expected);
            if let Some(guests) = found.guests {
                prop_assert_eq!(guests.iter().map(|g| items[*g].harm).sum::<i64>(), found.harm);
            }
        }
    }
}
