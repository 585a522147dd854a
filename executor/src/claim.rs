//! Whether a guest may be moved by this controller: it must be no other controller's at the moment,
//! and no other manager's, unless the policy says so. Pure.

use std::fmt;

use vmpack_domain::GuestName;
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::policy::Foreign;
use vmpack_hypervisor::{Claims, Lease};

/// Why a guest is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Another controller is at it.
    Leased {
        /// Who.
        guest: GuestName,
        /// By whom, since when, until when.
        lease: Lease,
    },
    /// Another manager runs it, and would undo the move or lose track of the guest.
    Managed {
        /// Who.
        guest: GuestName,
        /// By which.
        manager: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leased { guest, lease } => write!(
                f,
                "guest {guest} is being moved by another controller, {} since {:.0}, whose lease ends {:.0}",
                lease.holder, lease.since.0, lease.until.0
            ),
            Self::Managed { guest, manager } => write!(
                f,
                "guest {guest} belongs to {manager}, which must move it; `migrations: {{ foreign: allow }}` in the policy moves it all the same"
            ),
        }
    }
}

/// Why the guest is left alone, if it is; `own` is how this controller signs its leases. A lease that
/// has ended by the wall clock binds nobody, nor does one of a run of this same journal.
#[must_use]
pub fn refusal(
    guest: &GuestName,
    claims: &Claims,
    foreign: Foreign,
    own: &str,
    now: Timestamp,
) -> Option<Refusal> {
    if let Some(lease) = &claims.lease
        && lease.holder != own
        && lease.until > now
    {
        return Some(Refusal::Leased {
            guest: guest.clone(),
            lease: lease.clone(),
        });
    }
    let manager = claims.manager.as_ref();
    manager
        .filter(|_| foreign == Foreign::Refuse)
        .map(|manager| Refusal::Managed {
            guest: guest.clone(),
            manager: manager.clone(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse().unwrap())
    }

    fn claims(holder: &str, manager: Option<&str>) -> Claims {
        Claims {
            lease: Some(Lease {
                holder: holder.to_owned(),
                since: at("2026-01-05T10:00:00Z"),
                until: at("2026-01-05T11:00:00Z"),
            }),
            manager: manager.map(str::to_owned),
        }
    }

    fn check(claims: &Claims, foreign: Foreign, now: &str, expected: Option<&str>) {
        let guest = "web".parse().unwrap();
        let found = refusal(&guest, claims, foreign, "us", at(now)).map(|r| r.to_string());
        match (found, expected) {
            (None, None) => {}
            (Some(found), Some(text)) => assert!(found.contains(text), "{found}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_living_lease_of_another_and_a_manager_stand_in_the_way() {
        use Foreign::{Allow, Refuse};
        let (early, late) = ("2026-01-05T10:30:00Z", "2026-01-05T11:00:00Z");
        let said = "by another controller, them since 2026-01-05T10:00:00Z, whose lease ends";
        check(&claims("them", None), Refuse, early, Some(said));
        check(&claims("them", None), Allow, early, Some(said));
        check(&claims("them", None), Refuse, late, None);
        check(&claims("us", None), Refuse, early, None);
        let nova = claims("us", Some("OpenStack"));
        check(&nova, Refuse, early, Some("belongs to OpenStack"));
        check(&nova, Allow, early, None);
        check(&Claims::default(), Refuse, early, None);
    }
}
