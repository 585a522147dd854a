//! `fence`: the guests run only on these hosts. Folded: `A[g]` := `A[g]` ∩ F.

use super::Choice;

/// Leaves the guests only these hosts (ascending or not).
pub(crate) fn fold(choice: &mut Choice, name: &str, guests: &[usize], hosts: &[usize]) {
    let inside = choice.among(hosts);
    for g in guests {
        choice.keep(*g, format!("rule {name}"), |h| inside[h]);
    }
}
