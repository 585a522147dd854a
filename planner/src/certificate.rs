//! The weights behind a bound as a certificate that the judge can prove again.

use std::collections::BTreeMap;

use vmpack_domain::certificate::{
    Certificate, CertificatePart, CertifiedBound, Given, GroupWeight, GuestWeight, HostMost,
    NumberProof, TreeLeaf, TreeProof, Uncertified, base,
};
use vmpack_domain::check::certificate::by_rules;
use vmpack_domain::units::Sum;
use vmpack_domain::{Cluster, GuestName, Load, Policy};
use vmpack_ilp::bound::{Bound, Certified};
use vmpack_ilp::pattern::Weights;
use vmpack_ilp::pattern::tree::{Branched, Side};
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
    let nothing = CertifiedBound {
        cost: Sum(0),
        hosts: 0,
    };
    let counted = bound.counted.as_ref();
    let branched = bound.branched.as_ref();
    let all = [
        weighed(certified),
        counted.map_or(nothing, weighed),
        branched.map_or(nothing, |b| bound_of(b.cost, b.hosts)),
    ];
    let together = |needed: [bool; 3]| {
        let of = all.iter().zip(needed).filter(|(_, needed)| *needed);
        of.fold(rules, |most, (by, _)| larger(most, *by))
    };
    let proven = together([true; 3]);
    // What proves no more than the others do would only be one more thing to be proven.
    let mut needed = [true; 3];
    for one in [2, 1, 0] {
        let mut fewer = needed;
        fewer[one] = false;
        if together(fewer) == proven {
            needed = fewer;
        }
    }
    let [by_weights, by_number, by_cases] = needed;
    let branched = branched.filter(|_| by_cases);
    let beyond = whole.cost > proven.cost || whole.hosts > proven.hosts;
    Some(Certificate {
        base: base(cluster, load, policy),
        bound: proven,
        origin: match branched {
            Some(b) if together([true, true, false]).cost < proven.cost => b.origin.clone(),
            _ if rules.cost > all[0].cost && !beyond => bound.origin.clone(),
            _ => certified.origin.clone(),
        },
        parts: if by_weights {
            parts(certified)
        } else {
            Vec::new()
        },
        number: counted.filter(|_| by_number).map(|c| NumberProof {
            origin: c.origin.clone(),
            parts: parts(c),
        }),
        tree: branched.map(|b| tree(problem, b)),
        uncertified: beyond.then(|| Uncertified {
            bound: whole,
            origin: bound.origin.clone(),
        }),
    })
}

/// Both hold.
fn larger(a: CertifiedBound, b: CertifiedBound) -> CertifiedBound {
    CertifiedBound {
        cost: a.cost.max(b.cost),
        hosts: a.hosts.max(b.hosts),
    }
}

fn tree(problem: &Problem, branched: &Branched) -> TreeProof {
    let guest = |g: usize| problem.guests[g].name.clone();
    let hosts = |hosts: &[usize]| {
        let names = hosts.iter().map(|h| problem.hosts[*h].name.clone());
        names.collect()
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let given = |side: &Side| match side {
        Side::Apart(a, b) => Given::Apart {
            guests: [guest(*a), guest(*b)],
        },
        Side::Together(a, b) => Given::Together {
            guests: [guest(*a), guest(*b)],
        },
        Side::AtMost(number, of) => Given::AtMost {
            number: count(*number),
            hosts: hosts(of),
        },
        Side::AtLeast(number, of) => Given::AtLeast {
            number: count(*number),
            hosts: hosts(of),
        },
    };
    let leaves = branched.leaves.iter().map(|(sides, parts)| TreeLeaf {
        given: sides.iter().map(given).collect(),
        parts: parts.iter().map(|w| part(problem, w)).collect(),
    });
    TreeProof {
        origin: branched.origin.clone(),
        leaves: leaves.collect(),
    }
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
