//! The search against all fillings, one by one.

use proptest::prelude::*;

use super::*;

const STEPS: u64 = 1_000_000;

/// The most that fits, by trying all.
fn heaviest(pieces: &[Piece], room: &[u64], from: usize, sets: &mut Vec<usize>) -> u64 {
    let Some(piece) = pieces.get(from) else {
        return 0;
    };
    let mut best = heaviest(pieces, room, from + 1, sets);
    let mut left = room.to_vec();
    let depth = sets.len();
    for copies in 1..=piece.count {
        if left.iter().zip(&piece.need).any(|(l, n)| l < n)
            || piece.apart.iter().any(|s| sets.contains(s))
        {
            break;
        }
        left.iter_mut().zip(&piece.need).for_each(|(l, n)| *l -= n);
        sets.extend(&piece.apart);
        best = best.max(copies * piece.weight + heaviest(pieces, &left, from + 1, sets));
    }
    sets.truncate(depth);
    best
}

fn room(room: Vec<u64>, most: u64) -> Room {
    Room {
        room,
        cost: 1,
        count: 1,
        most,
        always: false,
        takes: None,
    }
}

fn pieces(resources: usize) -> impl Strategy<Value = Vec<Piece>> {
    let sets = prop_oneof![
        3 => Just(Vec::new()),
        1 => prop::collection::vec(0usize..3, 1..3),
    ];
    let piece = (
        prop::collection::vec(0u64..9, resources),
        1u64..4,
        0u64..20,
        sets,
    );
    let piece = piece.prop_map(|(need, count, weight, apart)| Piece {
        need,
        count,
        weight,
        apart,
    });
    prop::collection::vec(piece, 1..7)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_heaviest_filling_is_accepted_and_nothing_less(
        (pieces, size) in (1usize..4).prop_flat_map(|r| (pieces(r), prop::collection::vec(0u64..25, r))),
    ) {
        let best = heaviest(&pieces, &size, 0, &mut Vec::new());
        let check = |most: u64| at_most(&pieces, &room(size.clone(), most), &mut STEPS.clone());
        prop_assert_eq!(check(best), Fill::AtMost);
        prop_assert_eq!(check(best + 3), Fill::AtMost);
        for below in [best.checked_sub(1), best.checked_div(2).filter(|b| *b < best)] {
            let Some(below) = below else { continue };
            let Fill::Heavier { pieces: chosen, weight } = check(below) else {
                return Err(TestCaseError::fail(format!("{below} of {best} is accepted")));
            };
            // What it shows fits, and weighs what it says.
            let sum = |f: &dyn Fn(&Piece) -> u64| -> u64 {
                chosen.iter().map(|(p, n)| f(&pieces[*p]) * n).sum()
            };
            prop_assert_eq!(sum(&|p| p.weight), weight);
            prop_assert!(below < weight && weight <= best);
            for (r, room) in size.iter().enumerate() {
                prop_assert!(sum(&|p| p.need[r]) <= *room);
            }
        }
    }
}
