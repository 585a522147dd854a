//! Hosts that are alike can change places without any guest noticing. A packed placement says
//! which guests share a host; which of the alike hosts that is, is free: the one where most of
//! their memory is already.

use std::collections::BTreeMap;

use crate::instance::Instance;

/// Hosts that no rule and no guest tells apart, as lists of host indices.
pub(super) fn classes(inst: &Instance) -> Vec<Vec<usize>> {
    let mut known: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (h, host) in inst.problem.hosts.iter().enumerate() {
        let sets: Vec<bool> = inst.sets.iter().map(|s| s.contains(h)).collect();
        let places: Vec<usize> = inst
            .groups
            .iter()
            .filter(|g| g.labelled())
            .map(|g| g.place[h])
            .collect();
        let look = (
            host.room.clone(),
            host.cost,
            host.always,
            host.open,
            sets,
            places,
        );
        known.entry(look).or_default().push(h);
    }
    known.into_values().collect()
}

/// The placement with alike hosts renamed so that much memory stays where it is: greedily, then by
/// exchanges of two while that gains.
pub(super) fn relabel(inst: &Instance, at: &[usize]) -> Vec<usize> {
    let hosts = inst.problem.hosts.len();
    // Memory of each host's new guests, by where it is now.
    let mut kept: Vec<BTreeMap<usize, i64>> = vec![BTreeMap::new(); hosts];
    for (bundle, host) in inst.bundles.iter().zip(at) {
        for (home, memory) in &bundle.homes {
            *kept[*host].entry(*home).or_default() += memory;
        }
    }
    let mut name: Vec<usize> = (0..hosts).collect();
    for class in classes(inst) {
        let member = |h: &usize| class.binary_search(h).is_ok();
        let mut pairs: Vec<(i64, usize, usize)> = class
            .iter()
            .flat_map(|from| {
                kept[*from]
                    .iter()
                    .map(move |(to, memory)| (*memory, *from, *to))
            })
            .filter(|(_, _, to)| member(to))
            .collect();
        pairs.sort_unstable_by(|a, b| b.0.cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let mut named: BTreeMap<usize, usize> = BTreeMap::new();
        let mut free: BTreeMap<usize, ()> = class.iter().map(|h| (*h, ())).collect();
        for (_, from, to) in pairs {
            if !named.contains_key(&from) && free.remove(&to).is_some() {
                named.insert(from, to);
            }
        }
        for from in &class {
            if !named.contains_key(from)
                && let Some((to, ())) = free.pop_first()
            {
                named.insert(*from, to);
            }
        }
        for (from, to) in named {
            name[from] = to;
        }
        exchange(&class, &mut name, &kept);
    }
    at.iter().map(|h| name[*h]).collect()
}

/// Exchanges the names of two hosts of the class while that gains; it only can where one of them gets
/// a name of which it has memory.
fn exchange(class: &[usize], name: &mut [usize], kept: &[BTreeMap<usize, i64>]) {
    let gain = |from: usize, to: usize| kept[from].get(&to).copied().unwrap_or(0);
    let mut named: BTreeMap<usize, usize> = class.iter().map(|h| (name[*h], *h)).collect();
    loop {
        let mut better = false;
        for a in class {
            for to in kept[*a].keys() {
                let Some(b) = named.get(to).copied() else {
                    continue;
                };
                let now = gain(*a, name[*a]) + gain(b, *to);
                if gain(*a, *to) + gain(b, name[*a]) > now {
                    name.swap(*a, b);
                    named.insert(name[*a], *a);
                    named.insert(name[b], b);
                    better = true;
                }
            }
        }
        if !better {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use vmpack_ilp::problem::Problem;

    use super::relabel;
    use crate::instance::Instance;
    use crate::tests::read;

    #[test]
    fn only_hosts_that_are_alike_change_places() {
        let cluster = "hosts:
  - { name: h1, cpu: 8cores, memory: 8GiB, network: 1GiB/s, state: on }
  - { name: h2, cpu: 8cores, memory: 8GiB, network: 1GiB/s, state: on }
  - { name: h3, cpu: 8cores, memory: 9GiB, network: 1GiB/s, state: on }
guests:
  - { name: a, vcpus: 1, memory: 1GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 2GiB, host: h1 }
  - { name: c, vcpus: 1, memory: 4GiB, host: h2 }
  - { name: d, vcpus: 1, memory: 4GiB, host: h3 }
";
        let (cluster, load, policy) = read(cluster, "", "");
        let problem = Problem::build(&cluster, &load, &policy).unwrap();
        let inst = Instance::build(&problem).unwrap();
        // b goes with c; the larger share of their memory is on h2 already. h3 is not like h2.
        for (packed, relabelled) in [
            ([1, 0, 0, 2], [0, 1, 1, 2]),
            ([0, 1, 1, 2], [0, 1, 1, 2]),
            ([2, 2, 1, 0], [2, 2, 1, 0]),
        ] {
            assert_eq!(relabel(&inst, &packed), relabelled);
        }
    }
}
