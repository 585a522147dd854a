//! Where a move stands that nobody watched to its end: its executor died, or the hypervisor could
//! not say how it ended. What the hypervisor sees now is the truth.

use vmpack_domain::HostName;
use vmpack_domain::plan::Move;
use vmpack_hypervisor::{GuestState, Sighting};

/// Where the move stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The guest runs at the target and nowhere else.
    Moved,
    /// The guest is at the source, as if nothing had been asked.
    AtSource,
    /// The guest runs whole at the target, and what it left at the source stands there still; the text
    /// says what to do where it is not removed.
    Left(String),
    /// The migration still runs; look again.
    Underway,
    /// The guest was changed by somebody else meanwhile; the move makes no sense any more.
    Changed(String),
    /// Post-copy broke: both halves are there, and it can be resumed.
    Broken(String),
    /// A person must look; the text says at what.
    Stuck(String),
    /// The guest is gone; the text says what died and what to do.
    Lost(String),
}

/// Judges the sightings of the move's guest. Another guest of its name is not counted, where
/// the uuids tell them apart.
#[must_use]
pub fn settle(mv: &Move, seen: &[Sighting]) -> Standing {
    let seen = &own(mv, seen);
    let is = |s: &Sighting, state: GuestState| s.state == state;
    let at = |host: &HostName| {
        let there = seen.iter().find(|s| s.host == *host);
        there.map(|s| s.state).filter(|s| s.is_there())
    };
    let (source, target) = (at(&mv.from), at(&mv.to));
    let alone = seen.iter().filter(|s| s.state.is_there()).count() == 1;
    let rest = matches!(source, Some(GuestState::Paused | GuestState::Migrating));
    let both = seen.iter().filter(|s| s.state.is_there()).count() == 2;
    if both && rest && target == Some(GuestState::Running) {
        return Standing::Left(twice(mv, seen));
    }
    if seen.iter().any(|s| is(s, GuestState::PostCopyFailed)) {
        return match (source, target) {
            (Some(_), Some(_)) => Standing::Broken(split(mv, seen)),
            (Some(_), None) if alone => Standing::Lost(gone(mv, ("target", &mv.to), &mv.from)),
            (None, Some(_)) if alone => Standing::Lost(gone(mv, ("source", &mv.from), &mv.to)),
            _ => Standing::Stuck(split(mv, seen)),
        };
    }
    if seen.iter().any(|s| is(s, GuestState::Migrating)) {
        // Without its source nothing comes any more; for a moment that is how a migration ends, too.
        return match target {
            Some(_) if alone => Standing::Lost(gone(mv, ("source", &mv.from), &mv.to)),
            _ => Standing::Underway,
        };
    }
    let alive: Vec<&Sighting> = seen.iter().filter(|s| s.state.is_there()).collect();
    match alive.as_slice() {
        [one] if one.host == mv.to && is(one, GuestState::Running) => Standing::Moved,
        [one] if one.host == mv.from => Standing::AtSource,
        [one] if one.host == mv.to => Standing::Stuck(format!(
            "guest {} is paused on {} and gone from {}: look at its console and resume it there if it is whole",
            mv.guest, mv.to, mv.from
        )),
        [one] => Standing::Changed(format!("guest {} is on {} now", mv.guest, one.host)),
        [] if seen.is_empty() => Standing::Lost(format!(
            "guest {} is on no host any more: it ran on {} when it was last seen, and its QEMU died there or it was shut down; start it on one host only",
            mv.guest, mv.from
        )),
        [] => match seen.iter().find(|s| is(s, GuestState::Crashed)) {
            Some(died) => Standing::Lost(format!(
                "guest {} is lost: its QEMU on {} died; start it anew, on one host only",
                mv.guest, died.host
            )),
            None => Standing::Changed(format!("guest {} is switched off", mv.guest)),
        },
        [..] => Standing::Stuck(twice(mv, seen)),
    }
}

/// What a person must know of a guest that two hosts hold.
fn twice(mv: &Move, seen: &[Sighting]) -> String {
    format!(
        "guest {} is in two places ({}): never let both run; the one at the target is the guest if it runs, a paused one at the source is what a migration left behind and is to be destroyed",
        mv.guest,
        places(seen)
    )
}

/// What a person must know of a guest of which one half died.
fn gone(mv: &Move, (role, died): (&str, &HostName), left: &HostName) -> String {
    format!(
        "guest {} is lost: its memory lay on two hosts, and the QEMU of its {role} on {died} died; destroy the half on {left} and start the guest anew, on one host only",
        mv.guest
    )
}

/// The sightings that can be the move's guest: a different uuid is a different guest.
fn own(mv: &Move, seen: &[Sighting]) -> Vec<Sighting> {
    let may_be = |s: &&Sighting| {
        mv.uuid
            .zip(s.uuid)
            .is_none_or(|(planned, is)| planned == is)
    };
    seen.iter().filter(may_be).cloned().collect()
}

/// What a person must know of a guest in split state.
#[must_use]
pub fn split(mv: &Move, seen: &[Sighting]) -> String {
    let seen = &own(mv, seen);
    format!(
        "guest {} is in split state ({}): its memory lies on both hosts, so destroy neither side; mend the link between {} and {} and resume the post-copy migration (virsh migrate --live --p2p --postcopy --postcopy-resume, for a persistent guest also --persistent --undefinesource, or else its definition stays at the source, shut off); only if one side's QEMU is dead is the guest lost: destroy the other side and start it anew",
        mv.guest,
        places(seen),
        mv.from,
        mv.to
    )
}

fn places(seen: &[Sighting]) -> String {
    let each: Vec<String> = seen
        .iter()
        .map(|s| {
            let how = match s.state {
                GuestState::Running => "running",
                GuestState::Paused => "paused",
                GuestState::Migrating => "migrating",
                GuestState::PostCopyFailed => "post-copy failed",
                GuestState::Off => "off",
                GuestState::Crashed => "crashed",
            };
            format!("{how} on {}", s.host)
        })
        .collect();
    if each.is_empty() {
        "seen nowhere".to_owned()
    } else {
        each.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{a_move, sighting};

    fn check(seen: &[(&str, GuestState)], expected: &str) {
        let seen: Vec<Sighting> = seen.iter().map(|(h, s)| sighting(h, *s)).collect();
        let found = settle(&a_move("m1", "web", "h1", "h2"), &seen);
        let text = format!("{found:?}");
        assert!(text.starts_with(expected), "{text}, expected {expected}");
    }

    #[test]
    fn what_the_hypervisor_sees_decides() {
        use GuestState::{Crashed, Migrating, Off, Paused, PostCopyFailed, Running};
        check(&[("h2", Running)], "Moved");
        check(&[("h1", Off), ("h2", Running)], "Moved");
        check(&[("h1", Running)], "AtSource");
        check(&[("h1", Running), ("h2", Off)], "AtSource");
        check(&[("h1", Paused)], "AtSource");
        check(&[("h1", Running), ("h2", Migrating)], "Underway");
        check(&[("h1", Migrating), ("h2", Running)], "Left");
        check(&[("h1", Paused), ("h2", Running)], "Left");
        check(&[("h1", Crashed), ("h2", Running)], "Moved");
        check(&[("h1", PostCopyFailed), ("h2", PostCopyFailed)], "Broken");
        check(&[("h1", PostCopyFailed), ("h2", Migrating)], "Broken");
        check(&[("h1", PostCopyFailed), ("h2", Running)], "Broken");
        check(&[("h1", PostCopyFailed), ("h2", Off)], "Lost");
        check(&[("h1", PostCopyFailed)], "Lost");
        check(&[("h2", PostCopyFailed)], "Lost");
        check(&[("h1", Off), ("h2", Migrating)], "Lost");
        check(&[("h3", PostCopyFailed)], "Stuck");
        check(&[("h1", Paused), ("h2", Running), ("h3", Paused)], "Stuck");
        check(&[("h1", Running), ("h2", Running)], "Stuck");
        check(&[("h2", Paused)], "Stuck");
        check(&[], "Lost");
        check(&[("h3", Running)], "Changed");
        check(&[("h1", Off)], "Changed");
        check(&[("h1", Crashed)], "Lost");
        check(&[("h1", Crashed), ("h2", Off)], "Lost");
        check(&[("h1", Crashed), ("h2", Migrating)], "Lost");
        check(&[("h1", PostCopyFailed), ("h2", Crashed)], "Lost");
    }

    const PLANNED: &str = "11111111-1111-4111-8111-111111111111";
    const OTHER: &str = "22222222-2222-4222-8222-222222222222";

    #[test]
    fn another_guest_of_the_same_name_does_not_count() {
        let mut mv = a_move("m1", "web", "h1", "h2");
        let mut at_target = sighting("h2", GuestState::Running);
        at_target.uuid = OTHER.parse().ok();
        assert_eq!(settle(&mv, &[at_target.clone()]), Standing::Moved);
        mv.uuid = PLANNED.parse().ok();
        let lost = settle(&mv, &[at_target.clone()]);
        assert!(matches!(lost, Standing::Lost(_)), "{lost:?}");
        let mut at_source = sighting("h1", GuestState::Running);
        at_source.uuid = mv.uuid;
        let seen = [at_source, at_target.clone()];
        assert_eq!(settle(&mv, &seen), Standing::AtSource);
        at_target.uuid = mv.uuid;
        assert_eq!(settle(&mv, &[at_target]), Standing::Moved);
    }
}
