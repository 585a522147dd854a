//! What libvirt's states mean, and what they say of a guest whose migration failed.

use virt::domain::Domain;
use virt_sys as sys;

use crate::{GuestState, MigrationFailure};

/// A domain's state as the trait names it.
pub(super) fn state_of(domain: &Domain) -> Result<GuestState, virt::error::Error> {
    let (state, reason) = domain.get_state()?;
    Ok(named(state, reason))
}

/// libvirt's state and reason as the trait names them.
pub(super) fn named(state: u32, reason: i32) -> GuestState {
    let reason = u32::try_from(reason).unwrap_or(0);
    match state {
        sys::VIR_DOMAIN_RUNNING | sys::VIR_DOMAIN_BLOCKED | sys::VIR_DOMAIN_SHUTDOWN => {
            match reason {
                sys::VIR_DOMAIN_RUNNING_POSTCOPY if state == sys::VIR_DOMAIN_RUNNING => {
                    GuestState::Migrating
                }
                sys::VIR_DOMAIN_RUNNING_POSTCOPY_FAILED if state == sys::VIR_DOMAIN_RUNNING => {
                    GuestState::PostCopyFailed
                }
                _ => GuestState::Running,
            }
        }
        sys::VIR_DOMAIN_PAUSED => match reason {
            sys::VIR_DOMAIN_PAUSED_MIGRATION
            | sys::VIR_DOMAIN_PAUSED_STARTING_UP
            | sys::VIR_DOMAIN_PAUSED_POSTCOPY => GuestState::Migrating,
            sys::VIR_DOMAIN_PAUSED_POSTCOPY_FAILED => GuestState::PostCopyFailed,
            _ => GuestState::Paused,
        },
        sys::VIR_DOMAIN_PMSUSPENDED => GuestState::Paused,
        sys::VIR_DOMAIN_CRASHED => GuestState::Crashed,
        sys::VIR_DOMAIN_SHUTOFF if reason == sys::VIR_DOMAIN_SHUTOFF_CRASHED => GuestState::Crashed,
        _ => GuestState::Off,
    }
}

/// What one end says of a guest when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// It is there.
    Seen(GuestState),
    /// It is not.
    Absent,
    /// The host does not answer.
    Silent,
}

/// What became of a guest, by what both ends say after libvirt reported a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is at the target all the same: only the report was lost.
    Arrived,
    /// It is not.
    Failed(MigrationFailure),
}

/// Judges both ends. `switched` says whether the target was heard to run, `why` is libvirt's message.
pub(super) fn judge(source: Sight, target: Sight, switched: bool, why: &str) -> Verdict {
    use GuestState::{Crashed, Migrating, Off, Paused, PostCopyFailed, Running};
    use Sight::{Absent, Seen, Silent};
    let stays = || Verdict::Failed(MigrationFailure::StaysAtSource(why.to_owned()));
    let split = || Verdict::Failed(MigrationFailure::Split(why.to_owned()));
    match (source, target) {
        (Seen(Running), Seen(Running)) => Verdict::Failed(MigrationFailure::Unknown(format!(
            "{why}; it seems to run at both ends"
        ))),
        (Seen(PostCopyFailed), _) | (_, Seen(PostCopyFailed)) => split(),
        // Before the switch the same states mean a last pass at the source and a waiting target.
        (Seen(Migrating) | Silent, Seen(Migrating)) if switched => split(),
        // Paused at the source and whole at the target: which of them is the guest is not said here.
        (Seen(Running), _) | (Seen(Paused), Seen(Migrating | Off | Crashed) | Absent | Silent) => {
            stays()
        }
        (Seen(Off | Crashed) | Absent, Seen(Running)) => Verdict::Arrived,
        (source, target) => Verdict::Failed(MigrationFailure::Unknown(format!(
            "{why}; the source says {}, the target says {}",
            words(source),
            words(target)
        ))),
    }
}

fn words(sight: Sight) -> &'static str {
    match sight {
        Sight::Seen(GuestState::Running) => "it runs",
        Sight::Seen(GuestState::Paused) => "it is paused",
        Sight::Seen(GuestState::Migrating) => "it is being migrated",
        Sight::Seen(GuestState::PostCopyFailed) => "post-copy failed",
        Sight::Seen(GuestState::Off) => "it is off",
        Sight::Seen(GuestState::Crashed) => "its QEMU died",
        Sight::Absent => "it is not there",
        Sight::Silent => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use GuestState::{Migrating, Off, Paused, PostCopyFailed, Running};
    use Sight::{Absent, Seen, Silent};

    fn check(source: Sight, target: Sight, switched: bool, expected: &str) {
        let verdict = match judge(source, target, switched, "why") {
            Verdict::Arrived => "arrived",
            Verdict::Failed(
                MigrationFailure::StaysAtSource(_) | MigrationFailure::Impossible(_),
            ) => "stays",
            Verdict::Failed(MigrationFailure::Split(_)) => "split",
            Verdict::Failed(MigrationFailure::Unknown(_)) => "unknown",
        };
        assert_eq!(verdict, expected, "{source:?} {target:?}");
    }

    #[test]
    fn both_ends_say_what_became_of_a_guest() {
        check(Seen(Running), Absent, false, "stays");
        check(Seen(Running), Silent, false, "stays");
        check(Seen(Running), Seen(Migrating), false, "stays");
        check(Seen(Running), Seen(Running), false, "unknown");
        check(Seen(Paused), Absent, false, "stays");
        check(Seen(Paused), Seen(Off), false, "stays");
        check(Seen(Paused), Seen(Migrating), false, "stays");
        check(Seen(Paused), Seen(Running), true, "unknown");
        check(Seen(Paused), Seen(Running), false, "unknown");
        check(Seen(Paused), Seen(Paused), false, "unknown");
        check(Seen(PostCopyFailed), Seen(Off), false, "split");
        check(Seen(PostCopyFailed), Seen(PostCopyFailed), false, "split");
        check(Seen(PostCopyFailed), Silent, false, "split");
        check(Seen(Migrating), Seen(Migrating), true, "split");
        check(Seen(Migrating), Seen(Migrating), false, "unknown");
        check(Silent, Seen(Migrating), true, "split");
        check(Silent, Seen(Migrating), false, "unknown");
        check(Absent, Seen(Running), false, "arrived");
        check(Seen(Off), Seen(Running), false, "arrived");
        check(Silent, Seen(Running), false, "unknown");
        check(Silent, Silent, false, "unknown");
        check(Absent, Absent, false, "unknown");
        check(Seen(Off), Seen(Off), false, "unknown");
    }

    #[test]
    fn post_copy_shows_in_the_reason_of_a_state() {
        let code = |reason: u32| i32::try_from(reason).unwrap();
        let running = |reason| named(sys::VIR_DOMAIN_RUNNING, code(reason));
        let paused = |reason| named(sys::VIR_DOMAIN_PAUSED, code(reason));
        assert_eq!(running(sys::VIR_DOMAIN_RUNNING_BOOTED), Running);
        assert_eq!(running(sys::VIR_DOMAIN_RUNNING_POSTCOPY), Migrating);
        assert_eq!(
            running(sys::VIR_DOMAIN_RUNNING_POSTCOPY_FAILED),
            PostCopyFailed
        );
        assert_eq!(paused(sys::VIR_DOMAIN_PAUSED_POSTCOPY), Migrating);
        assert_eq!(
            paused(sys::VIR_DOMAIN_PAUSED_POSTCOPY_FAILED),
            PostCopyFailed
        );
        assert_eq!(paused(sys::VIR_DOMAIN_PAUSED_USER), GuestState::Paused);
        let off = |reason| named(sys::VIR_DOMAIN_SHUTOFF, code(reason));
        assert_eq!(off(sys::VIR_DOMAIN_SHUTOFF_SHUTDOWN), Off);
        assert_eq!(off(sys::VIR_DOMAIN_SHUTOFF_CRASHED), GuestState::Crashed);
        assert_eq!(named(sys::VIR_DOMAIN_CRASHED, 0), GuestState::Crashed);
    }
}
