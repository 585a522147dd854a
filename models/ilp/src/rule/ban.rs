//! `ban`: the guests do not run on these hosts. Folded: `A[g]` := `A[g]` ∖ B.

use super::Choice;

/// Takes these hosts away from the guests.
pub(crate) fn fold(choice: &mut Choice, name: &str, guests: &[usize], hosts: &[usize]) {
    let banned = choice.among(hosts);
    for g in guests {
        choice.keep(*g, format!("rule {name}"), |h| !banned[h]);
    }
}
