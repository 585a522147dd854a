//! The weights behind a bound as a certificate that the judge can prove again.

use std::collections::BTreeMap;

use vmpack_domain::certificate::{
    Certificate, CertificatePart, CertifiedBound, GroupWeight, GuestWeight, HostMost, NumberProof,
    Uncertified, base,
};
use vmpack_domain::check::certificate::by_rules;
use vmpack_domain::units::Sum;
use vmpack_domain::{Cluster, GuestName, Load, Policy};
use vmpack_ilp::bound::{Bound, Certified};
use vmpack_ilp::pattern::Weights;
use vmpack_ilp::problem::Problem;

use crate::assemble::unsigned;

/// The certificate of the best bounds that weights or rules prove, with what is claimed beyond them. `None`
/// where there is no such bound, and where windows are exempt, of which the judge's proof knows nothing.
pub(crate) fn certificate(
    (cluster, load, policy): (&Cluster, &Load, &Policy),
    problem: &Problem,
    bound: &Bound,
) -> Option<Certificate> {
    if problem.exempt > 0 {
        return None;
    }
    let certified = bound.certified.as_ref()?;
    let parts = |c: &Certified| c.parts.iter().map(|w| part(problem, w)).collect();
    let weighed = |c: &Certified| bound_of(c.cost, c.hosts);
    let whole = bound_of(bound.cost, bound.hosts);
    // Only as far as it is claimed: the judge may find more in the rules than is sought here.
    let rules = by_rules(cluster, load, policy).map_or(whole, |rules| CertifiedBound {
        cost: rules.cost.min(whole.cost),
        hosts: rules.hosts.min(whole.hosts),
    });
    let by_cost = weighed(certified);
    let known = by_cost.hosts.max(rules.hosts);
    let counted = bound.counted.as_ref();
    let counted = counted.filter(|c| weighed(c).hosts > known);
    let proven = CertifiedBound {
        cost: by_cost.cost.max(rules.cost),
        hosts: counted.map_or(known, |c| weighed(c).hosts),
    };
    let beyond = whole.cost > proven.cost || whole.hosts > proven.hosts;
    // Weights that prove no more than the rules do would only be one more thing to be proven.
    let needed = by_cost.cost > rules.cost || by_cost.hosts > rules.hosts;
    Some(Certificate {
        base: base(cluster, load, policy),
        bound: proven,
        origin: if rules.cost > by_cost.cost && !beyond {
            bound.origin.clone()
        } else {
            certified.origin.clone()
        },
        parts: if needed { parts(certified) } else { Vec::new() },
        number: counted.map(|c| NumberProof {
            origin: c.origin.clone(),
            parts: parts(c),
        }),
        uncertified: beyond.then(|| Uncertified {
            bound: whole,
            origin: bound.origin.clone(),
        }),
    })
}

fn bound_of(cost: i64, hosts: usize) -> CertifiedBound {
    CertifiedBound {
        cost: Sum(unsigned(cost)),
        hosts: u32::try_from(hosts).unwrap_or(u32::MAX),
    }
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
