//! The weights behind a bound as a certificate that the judge can prove again.

use std::collections::BTreeMap;

use vmpack_domain::certificate::{
    Certificate, CertificatePart, CertifiedBound, GroupWeight, GuestWeight, HostMost, base,
};
use vmpack_domain::units::Ratio;
use vmpack_domain::{Cluster, GuestName, Load, Policy};
use vmpack_ilp::bound::Bound;
use vmpack_ilp::pattern::Weights;
use vmpack_ilp::problem::Problem;

use crate::assemble::unsigned;

/// The certificate of the best bound that weights prove; its claim may be below the bound itself.
/// `None` where none does, and where windows are exempt, of which the judge's proof knows nothing.
pub(crate) fn certificate(
    (cluster, load, policy): (&Cluster, &Load, &Policy),
    problem: &Problem,
    bound: &Bound,
) -> Option<Certificate> {
    if problem.exempt > 0 {
        return None;
    }
    let certified = bound.certified.as_ref()?;
    Some(Certificate {
        base: base(cluster, load, policy),
        bound: CertifiedBound {
            cost: Ratio(unsigned(certified.cost)),
            hosts: u32::try_from(certified.hosts).unwrap_or(u32::MAX),
        },
        origin: certified.origin.clone(),
        parts: certified.parts.iter().map(|w| part(problem, w)).collect(),
    })
}

fn part(problem: &Problem, weights: &Weights) -> CertificatePart {
    let names = |guests: &[usize]| -> Vec<GuestName> {
        guests
            .iter()
            .map(|g| problem.guests[*g].name.clone())
            .collect()
    };
    let mut single: BTreeMap<u64, Vec<GuestName>> = BTreeMap::new();
    let mut groups = Vec::new();
    for (guests, weight) in weights.guests.iter().filter(|(_, weight)| *weight > 0) {
        if guests.len() == 1 {
            single
                .entry(unsigned(*weight))
                .or_default()
                .extend(names(guests));
        } else {
            groups.push(GroupWeight {
                weight: unsigned(*weight),
                gathered: names(guests),
            });
        }
    }
    let mut most: BTreeMap<u64, Vec<_>> = BTreeMap::new();
    for (hosts, weight) in &weights.hosts {
        let names = hosts.iter().map(|h| problem.hosts[*h].name.clone());
        most.entry(unsigned(*weight)).or_default().extend(names);
    }
    CertificatePart {
        weights: single
            .into_iter()
            .map(|(weight, guests)| GuestWeight { weight, guests })
            .collect(),
        groups,
        most: most
            .into_iter()
            .map(|(most, hosts)| HostMost { most, hosts })
            .collect(),
    }
}
