//! Seats against the rules, and matchings against all others.

use proptest::prelude::*;
use smallvec::smallvec;

use super::*;
use crate::pattern::stay::Stay;
use crate::problem::{CLUSTER_RESOURCES, GroupRule, GuestItem, HostSlot};

/// The most copies of `from..` that find a seat, by trying all.
fn most(may: &[Vec<bool>], from: usize, taken: &mut Vec<bool>) -> usize {
    let Some(of) = may.get(from) else { return 0 };
    let mut best = most(may, from + 1, taken);
    for s in 0..taken.len() {
        if of[s] && !taken[s] {
            taken[s] = true;
            best = best.max(1 + most(may, from + 1, taken));
            taken[s] = false;
        }
    }
    best
}

/// Guests of one need on hosts of two places, groups that are to be apart or in one place.
fn world(at: &[Option<usize>], groups: &[(usize, bool, bool)]) -> Problem {
    let open = |h: usize| HostSlot {
        name: format!("h{h}").parse().unwrap(),
        cost: 1000,
        room: smallvec![8, 8, 8],
        unraised: None,
        always: false,
        asleep: false,
        open: true,
    };
    let guest = |(g, current): (usize, &Option<usize>)| GuestItem {
        name: format!("g{g}").parse().unwrap(),
        need: smallvec![1, 1, 1],
        memory: 1,
        price: 1,
        current: *current,
        allowed: (0..4).collect(),
    };
    let rule = |(n, (members, together, labelled)): (usize, &(usize, bool, bool))| {
        let guests: Vec<usize> = (0..at.len()).filter(|g| members >> g & 1 == 1).collect();
        let place: Arc<[usize]> = if *labelled {
            [0, 0, 1, 1].into()
        } else {
            [0, 1, 2, 3].into()
        };
        GroupRule {
            name: format!("r{n}"),
            kind: match together {
                true => GroupKind::Gather { guests, place },
                false => GroupKind::Spread { guests, place },
            },
        }
    };
    Problem {
        resources: CLUSTER_RESOURCES.map(String::from).to_vec(),
        hosts: (0..4).map(open).collect(),
        guests: at.iter().enumerate().map(guest).collect(),
        rules: groups.iter().enumerate().map(rule).collect(),
        exempt: 0,
        warnings: Vec::new(),
    }
}

#[test]
fn guests_of_a_rule_for_which_no_seat_was_kept_are_in_one_place_too() {
    // All five belong together, by three rules in turn; the first two are given all seats.
    let groups = [(5, true, true), (14, true, true), (29, true, true)];
    let p = world(&[None; 5], &groups);
    let packing = Packing::of(&p).together();
    let stay = Stay::new(&p, &packing).unwrap();
    let contents: Vec<(usize, Content)> = [(0, 3), (2, 2)]
        .into_iter()
        .map(|(host, copies)| (host, vec![(0, copies)]))
        .collect();
    let found = seat(
        &Rules::of(&p),
        &packing,
        &contents,
        &stay.home,
        &mut Held::new(),
    );
    for (members, ..) in groups {
        let seated = (0..5).filter(|g| members >> g & 1 == 1);
        let places = seated.filter_map(|g| found.place[g]).map(|h| h / 2);
        assert!(
            places.collect::<BTreeSet<_>>().len() <= 1,
            "{:?}",
            found.place
        );
    }
}

proptest! {
    /// Whoever has a seat has one of those there are, and breaks no rule; where somebody has none, nobody
    /// else may have what is left.
    #[test]
    fn seats_are_of_those_there_are_and_break_no_rule(
        at in prop::collection::vec(prop::option::of(0usize..4), 2..9),
        groups in prop::collection::vec((0usize..1 << 8, any::<bool>(), any::<bool>()), 0..4),
        seats in prop::collection::vec(0usize..4, 9),
    ) {
        let p = world(&at, &groups);
        let packing = Packing::of(&p).together();
        let Some(stay) = Stay::new(&p, &packing) else { return Ok(()) };
        // Rules that contradict each other are found before.
        let apart = |copy: &Vec<usize>| p.rules.iter().all(|r| match &r.kind {
            GroupKind::Spread { guests, .. } => {
                copy.iter().filter(|g| guests.contains(g)).count() <= 1
            }
            _ => true,
        });
        prop_assume!(packing.items.iter().flat_map(|i| &i.members).all(apart));
        let copies: Vec<usize> = packing.items.iter().map(crate::pattern::Item::count).collect();
        let mut contents: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
        let mut left = seats.iter();
        for (i, copies) in copies.iter().enumerate() {
            for host in left.by_ref().take(*copies) {
                *contents.entry(*host).or_default().entry(i).or_default() += 1;
            }
        }
        let contents: Vec<(usize, Content)> = contents
            .into_iter()
            .map(|(host, content)| (host, content.into_iter().collect()))
            .collect();
        let rules = Rules::of(&p);
        let found = seat(&rules, &packing, &contents, &stay.home, &mut Held::new());
        for (i, item) in packing.items.iter().enumerate() {
            let mut used: BTreeMap<usize, usize> = BTreeMap::new();
            for copy in &item.members {
                prop_assert!(copy.iter().all(|g| found.place[*g] == found.place[copy[0]]));
                if let Some(host) = found.place[copy[0]] {
                    *used.entry(host).or_default() += 1;
                }
            }
            for (host, used) in used {
                let there = contents.iter().filter(|(h, _)| *h == host);
                let there: usize = there
                    .flat_map(|(_, content)| content)
                    .filter(|(item, _)| *item == i)
                    .map(|(_, copies)| *copies)
                    .sum();
                prop_assert!(used <= there);
            }
        }
        for rule in &p.rules {
            let (GroupKind::Spread { guests, place } | GroupKind::Gather { guests, place }) = &rule.kind
            else { continue };
            let places: Vec<usize> =
                guests.iter().filter_map(|g| found.place[*g]).map(|h| place[h]).collect();
            let distinct: BTreeSet<usize> = places.iter().copied().collect();
            match rule.kind {
                GroupKind::Gather { .. } => prop_assert!(distinct.len() <= 1, "{:?}", found.place),
                _ => prop_assert_eq!(distinct.len(), places.len(), "{:?}", &found.place),
            }
        }
        let seated = found.place.iter().filter(|at| at.is_some()).count();
        let none: usize = found.without.iter().map(|(copy, _)| copy.len()).sum();
        prop_assert_eq!(seated + none, at.len());
    }

    #[test]
    fn no_matching_is_larger(
        may in prop::collection::vec(prop::collection::vec(any::<bool>(), 5), 0..7),
    ) {
        let of = matching(may.len(), 5, &|c, s| may[c][s]);
        let mut copies: Vec<usize> = of.iter().copied().flatten().collect();
        for (s, c) in of.iter().enumerate() {
            prop_assert!(c.is_none_or(|c| may[c][s]));
        }
        copies.sort_unstable();
        copies.dedup();
        prop_assert_eq!(copies.len(), of.iter().flatten().count());
        prop_assert_eq!(copies.len(), most(&may, 0, &mut vec![false; 5]));
    }
}
