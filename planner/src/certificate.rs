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
    let by_cost = weighed(certified);
    let known = CertifiedBound {
        cost: by_cost.cost.max(rules.cost),
        hosts: by_cost.hosts.max(rules.hosts),
    };
    let counted = bound.counted.as_ref();
    let counted = counted.filter(|c| weighed(c).hosts > known.hosts);
    let number = counted.map_or(known.hosts, |c| weighed(c).hosts);
    let branched = bound
        .branched
        .as_ref()
        .map(|b| (b, bound_of(b.cost, b.hosts)));
    let branched = branched.filter(|(_, by)| by.cost > known.cost || by.hosts > number);
    let by_cases = branched.map(|(_, by)| by);
    let proven = CertifiedBound {
        cost: by_cases.map_or(known.cost, |by| known.cost.max(by.cost)),
        hosts: by_cases.map_or(number, |by| number.max(by.hosts)),
    };
    let counted = counted.filter(|c| by_cases.is_none_or(|by| weighed(c).hosts > by.hosts));
    let beyond = whole.cost > proven.cost || whole.hosts > proven.hosts;
    // Weights that prove no more than the rules or the cases do would only be one more thing to be proven.
    let more = |other: CertifiedBound| by_cost.cost > other.cost || by_cost.hosts > other.hosts;
    let needed = more(rules) && by_cases.is_none_or(more);
    Some(Certificate {
        base: base(cluster, load, policy),
        bound: proven,
        origin: match branched {
            Some((b, by)) if by.cost > known.cost => b.origin.clone(),
            _ if rules.cost > by_cost.cost && !beyond => bound.origin.clone(),
            _ => certified.origin.clone(),
        },
        parts: if needed { parts(certified) } else { Vec::new() },
        number: counted.map(|c| NumberProof {
            origin: c.origin.clone(),
            parts: parts(c),
        }),
        tree: branched.map(|(b, _)| tree(problem, b)),
        uncertified: beyond.then(|| Uncertified {
            bound: whole,
            origin: bound.origin.clone(),
        }),
    })
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
