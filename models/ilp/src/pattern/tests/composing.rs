//! The contents of a host where some of it may stay: the best of each, and all that are near it.

use proptest::prelude::*;

use super::super::compose::Composer;
use super::super::near::{All, Left};
use super::super::price::{Content, Pricer, Search};
use super::{Packing, contents, fits, packing, packings};
use crate::pattern::Item;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn hosts_are_composed_of_who_stays_and_who_comes(
        p in packings(),
        weights in prop::collection::vec(1i64..40, 4),
        prices in prop::collection::vec(prop_oneof![Just(0i64), 1i64..30], 8),
        slack in prop_oneof![Just(0i64), 1i64..9],
    ) {
        check_composing(&p, &weights, &prices, slack)?;
    }
}

/// Contents of a host with who may stay at a price, against all contents.
fn check_composing(
    p: &Packing,
    weights: &[i64],
    prices: &[i64],
    slack: i64,
) -> Result<(), TestCaseError> {
    let counts: Vec<usize> = p.items.iter().map(Item::count).collect();
    // The first copy of each item may stay, and the second of some.
    let priced = prices.iter().enumerate();
    let priced = priced.filter(|(at, price)| **price > 0 && at % 4 < counts.len());
    let homes: Vec<(usize, i64)> = priced.map(|(at, price)| (at % 4, *price)).collect();
    let there = |i: usize| homes.iter().filter(|h| h.0 == i).count();
    let homes: Vec<(usize, i64)> = homes
        .iter()
        .copied()
        .filter(|h| there(h.0) <= counts[h.0])
        .collect();
    let worth = |content: &[usize]| -> i64 {
        let each = content.iter().enumerate().map(|(i, copies)| {
            let mut prices: Vec<i64> = homes.iter().filter(|h| h.0 == i).map(|h| h.1).collect();
            prices.sort_unstable_by(|a, b| b.cmp(a));
            let weight = weights[i] * i64::try_from(*copies).unwrap();
            weight + prices.iter().take(*copies).sum::<i64>()
        });
        each.sum()
    };
    for k in 0..p.hosts.len() {
        let pricer = Pricer::new(p, k);
        let search = Search::new(&pricer, weights, &counts);
        let mut place = vec![None; counts.len()];
        (0..search.n()).for_each(|at| place[search.item(at)] = Some(at));
        let composer = Composer::new(search, place, slack);
        let found = composer.fill(&homes, weights);
        let best = contents(p, k).iter().map(|c| worth(c)).max().unwrap_or(0);
        prop_assert!(
            best <= found.most && found.most <= best + slack,
            "{found:?}, not {best}"
        );
        for content in found.more.iter().chain([&found.content]) {
            let mut copies = vec![0; counts.len()];
            content.iter().for_each(|(i, c)| copies[*i] = *c);
            prop_assert!(fits(p, k, &copies), "{content:?}");
            prop_assert!(worth(&copies) <= best);
        }
        let mut copies = vec![0; counts.len()];
        found.content.iter().for_each(|(i, c)| copies[*i] = *c);
        prop_assert!(worth(&copies) + slack >= best);

        // Whatever is near the best is part of a content that is found with all of them.
        let least = best - 3 * slack;
        let mut left = Left {
            steps: u64::MAX,
            contents: usize::MAX,
            stop: &|| false,
        };
        let all = |homes: &[(usize, i64)]| All::new(&composer, homes, weights, least);
        let mut near = all(&homes[..]).find(false, &mut left).unwrap();
        near.append(&mut all(&[]).find(true, &mut left).unwrap());
        for content in contents(p, k).iter().filter(|c| worth(c) >= least) {
            let within = |near: &Content| {
                let of = |i: usize| near.iter().find(|n| n.0 == i).map_or(0, |n| n.1);
                content
                    .iter()
                    .enumerate()
                    .all(|(i, copies)| *copies <= of(i))
            };
            prop_assert!(near.iter().any(within), "{content:?} in {near:?}");
        }
    }
    Ok(())
}

/// Whoever has many guests that may all stay is not asked which of them do in every way.
#[test]
fn many_who_may_stay_are_searched_in_bounded_steps() {
    let items: Vec<(Vec<i64>, usize, u8, u8)> = (0..48)
        .map(|i| (vec![20 + i, 30 + i % 7], 1, 7, 0))
        .collect();
    let p = packing((items, vec![(vec![1_000, 1_000], 1000, 2, false)]));
    let homes: Vec<(usize, i64)> = (0..48)
        .map(|i| (i, 100 + i64::try_from(i).unwrap()))
        .collect();
    let weights: Vec<i64> = (0..48).map(|i| 50 + i % 11).collect();
    let pricer = Pricer::new(&p, 0);
    let counts = vec![1; 48];
    let search = Search::new(&pricer, &weights, &counts);
    let mut place = vec![None; counts.len()];
    (0..search.n()).for_each(|at| place[search.item(at)] = Some(at));
    let found = Composer::new(search, place, 0).fill(&homes, &weights);
    // Some content that fits, and no content is worth more than is said.
    let content: i64 = found
        .content
        .iter()
        .map(|(i, _)| weights[*i] + homes[*i].1)
        .sum();
    assert!(
        content > 0 && content <= found.most,
        "{content} of {}",
        found.most
    );
}
