//! The hosts that a covering demand needs.

use super::Least;

/// Hosts that are alike: so many, what each costs, what each gives, whether they are in use anyway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) count: usize,
    pub(crate) cost: i64,
    pub(crate) weight: i128,
    pub(crate) forced: bool,
}

/// A bound on number and cost of hosts whose weights, all at least 0, sum to at least `demand`, the
/// forced ones among them. `None` when all hosts together fall short.
///
/// Number: the heaviest hosts first, until the demand is met; fewer cannot meet it. Cost: the larger
/// of the fractional optimum (cheapest per weight first, the last host in part, rounded up; Dantzig
/// 1957) and so many of the cheapest hosts.
pub(crate) fn cover(kinds: &[Kind], demand: i128) -> Option<Least> {
    let mut rest = demand;
    let mut least = Least::default();
    let mut free: Vec<Kind> = Vec::with_capacity(kinds.len());
    for kind in kinds {
        if kind.forced {
            rest -= kind.weight * count(kind.count);
            least.hosts += kind.count;
            least.cost += times(kind.cost, kind.count);
        } else {
            free.push(*kind);
        }
    }
    if rest <= 0 {
        return Some(least);
    }
    let forced = least;

    free.sort_by_key(|k| std::cmp::Reverse(k.weight));
    let mut missing = rest;
    let mut needed = 0;
    for kind in free.iter().filter(|k| k.weight > 0) {
        let all = kind.weight * count(kind.count);
        if all >= missing {
            needed += usize::try_from(ceil(missing, kind.weight)).unwrap_or(kind.count);
            missing = 0;
            break;
        }
        needed += kind.count;
        missing -= all;
    }
    if missing > 0 {
        return None;
    }

    free.sort_by_key(|k| k.cost);
    let mut cheapest = 0;
    let mut left = needed;
    for kind in &free {
        let taken = left.min(kind.count);
        cheapest += times(kind.cost, taken);
        left -= taken;
    }

    free.retain(|k| k.weight > 0);
    free.sort_by(|a, b| (i128::from(a.cost) * b.weight).cmp(&(i128::from(b.cost) * a.weight)));
    let mut fractional = 0;
    let mut missing = rest;
    for kind in &free {
        let all = kind.weight * count(kind.count);
        if all >= missing {
            let part = ceil(i128::from(kind.cost) * missing, kind.weight);
            fractional += i64::try_from(part).unwrap_or(0);
            break;
        }
        fractional += times(kind.cost, kind.count);
        missing -= all;
    }
    Some(Least {
        cost: forced.cost + cheapest.max(fractional),
        hosts: forced.hosts + needed,
    })
}

fn count(n: usize) -> i128 {
    i128::try_from(n).unwrap_or(i128::MAX)
}

fn times(cost: i64, n: usize) -> i64 {
    cost.saturating_mul(i64::try_from(n).unwrap_or(i64::MAX))
}

/// ⌈a ÷ b⌉ for a ≥ 0, b > 0.
fn ceil(a: i128, b: i128) -> i128 {
    (a + b - 1) / b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(count: usize, cost: i64, weight: i128, forced: bool) -> Kind {
        Kind {
            count,
            cost,
            weight,
            forced,
        }
    }

    #[test]
    fn the_number_takes_the_heaviest_and_the_cost_the_cheapest() {
        let kinds = [kind(2, 1000, 10, false), kind(3, 300, 4, false)];
        let least = cover(&kinds, 15).unwrap();
        assert_eq!(least.hosts, 2);
        // 3 × 300 for 12, and 3/10 of 1000; the true optimum is 1000 + 2 × 300.
        assert_eq!(least.cost, 1200);
        assert_eq!(cover(&kinds, 33), None);
        assert_eq!(cover(&kinds, 32).unwrap().hosts, 5);
    }

    #[test]
    fn forced_hosts_are_paid_and_give_their_weight() {
        let kinds = [kind(1, 500, 10, true), kind(5, 1000, 10, false)];
        let least = cover(&kinds, 25).unwrap();
        assert_eq!((least.hosts, least.cost), (3, 2500));
        assert_eq!(cover(&kinds, 3).unwrap().hosts, 1);
    }
}
