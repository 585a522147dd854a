//! `pin`: the guests stay where they are; `movable: false` is the same said of one guest. Folded:
//! `A[g]` := `A[g]` ∩ `{current[g]}`. A guest that waits for a host is free to take any.

use super::Choice;

/// Leaves each of the guests only the host where it runs. `current[g]` is that host, `why` what
/// demands it.
pub(crate) fn fold(choice: &mut Choice, why: &str, guests: &[usize], current: &[Option<usize>]) {
    for g in guests {
        if let Some(here) = current[*g] {
            choice.keep(*g, why, |h| h == here);
        }
    }
}
