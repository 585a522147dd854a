//! Telling answers apart.

use vmpack_domain::relief::Relief;
use vmpack_domain::{GuestName, HostName};

/// Whether two answers say the same.
pub(super) fn same(old: &Relief, new: &Relief) -> bool {
    let moves = |r: &Relief| -> Vec<(GuestName, HostName)> {
        r.moves
            .iter()
            .map(|m| (m.guest.clone(), m.to.clone()))
            .collect()
    };
    let left = |r: &Relief| -> Vec<HostName> { r.left.iter().map(|l| l.host.clone()).collect() };
    (&old.wake, &old.hold) == (&new.wake, &new.hold)
        && left(old) == left(new)
        && moves(old) == moves(new)
}
