//! Vector packing instances (VPSolver's `.vbp`, BPPLIB) as a cluster: alike hosts, items that wait.
//!
//! The first resource is CPU, a unit being a milli-core; the second, where there is one, memory, a unit
//! being a MiB. Instances of more resources are packed as they are by `vmpack bench pack`.

use vmpack_domain::units::{MiB, MilliCores, Ratio};
use vmpack_domain::{Cluster, Load};

use super::{ImportError, Imported, Sized, as_it_is, constant, guest, whole_cores};
use crate::packing::{Format, read as read_packing, read_current};

/// Of a host's memory, and of an item's, where an instance has one resource.
const MEMORY: MiB = MiB(1 << 30);
const NO_MEMORY: MiB = MiB(1);

/// What is wrong, and in which of the two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// In the one that tells where items run, not in the instance.
    pub current: bool,
    /// What.
    pub error: ImportError,
}

fn instance(error: ImportError) -> Wrong {
    Wrong {
        current: false,
        error,
    }
}

/// Reads an instance on so many hosts, on as many as it has items where that is not said; `current` tells
/// the host of each item, by a number from 0 on a line each.
///
/// # Errors
/// With the line, when it is no such instance, has more than two resources, or is on more hosts than
/// there are.
pub fn read(
    text: &str,
    format: Format,
    current: Option<&str>,
    hosts: Option<u32>,
) -> Result<Imported, Wrong> {
    let wrong = |e: crate::packing::FormatError| ImportError::at(e.line, e.what);
    let packing = read_packing(text, format).map_err(|e| instance(wrong(e)))?;
    if packing.room.len() > 2 {
        let what = format!(
            "read {} resources, expected one or two: CPU and memory; `vmpack bench pack` takes any number",
            packing.room.len()
        );
        return Err(instance(ImportError::at(1, what)));
    }
    let amount = |v: i64| u64::try_from(v).unwrap_or(0);
    let at = match current {
        Some(text) => Some(read_current(text, packing.items.len()).map_err(|e| Wrong {
            current: true,
            error: wrong(e),
        })?),
        None => None,
    };
    let used = at.iter().flatten().max().map_or(0, |h| h + 1);
    let count = match hosts {
        Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
        None => packing.items.len().max(used).max(1),
    };
    if used > count {
        let what = format!(
            "items run on {used} hosts and {count} are asked for, expected as many or more"
        );
        return Err(instance(ImportError::new(what)));
    }
    let memory = packing.room.get(1).map_or(MEMORY, |m| MiB(amount(*m)));
    let sized = Sized {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        cpu: MilliCores(amount(packing.room[0])),
        memory,
    };
    let hosts = sized.hosts();
    let mut guests = Vec::with_capacity(packing.items.len());
    let mut load = Load::default();
    let width = packing.items.len().to_string().len();
    let mut vcpus = 0;
    for (i, item) in packing.items.iter().enumerate() {
        let cpu = MilliCores(amount(item[0]));
        let memory = item.get(1).map_or(NO_MEMORY, |m| MiB(amount(*m)));
        let on = at.as_ref().map(|at| hosts[at[i]].name.clone());
        let name = format!("i{:0width$}", i + 1);
        let name: vmpack_domain::GuestName = name
            .parse()
            .map_err(|_| instance(ImportError::new("an item has no name")))?;
        let item = guest(name.clone(), whole_cores(cpu), memory, on);
        vcpus += u64::from(item.vcpus);
        load.guests.insert(name, constant(cpu));
        guests.push(item);
    }
    // As many vCPUs a core as all of them on the smallest of hosts are: no limit.
    let most = vcpus.max(1) * 1_000_000 / sized.cpu.0.max(1) + 1000;
    Ok(Imported {
        cluster: Cluster { hosts, guests },
        load,
        policy: as_it_is(Ratio(most)),
        left_out: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::load::Statistic;
    use vmpack_domain::plan::Outcome;
    use vmpack_domain::units::Micros;

    #[test]
    fn an_instance_is_planned_as_it_is_packed() {
        // Two fit a host, and no three.
        let text = "2\n100 50\n2\n50 20 3\n40 25 2\n";
        let imported = read(text, Format::Vbp, None, None).unwrap();
        assert_eq!(imported.cluster.hosts.len(), 5);
        assert_eq!(imported.cluster.hosts[0].memory, MiB(50));
        assert_eq!(imported.cluster.guests[4].memory, MiB(25));
        assert_eq!(
            imported.load.guests["i1"]
                .cpu
                .as_ref()
                .unwrap()
                .stated(Statistic::Max),
            Some(MilliCores(50))
        );
        let mut policy = imported.policy.clone();
        policy.limits.nodes = Some(100);
        let search = &mut crate::search::Search {
            elapsed: &|| Micros::ZERO,
            stop: &|| false,
            report: &mut |_| {},
        };
        let outcome = crate::plan(&imported.cluster, &imported.load, &policy, search);
        let Outcome::Optimal(plan) = outcome else {
            panic!("proven: {outcome:?}");
        };
        assert_eq!(plan.hosts.after.len(), 3);
    }

    #[test]
    fn where_items_run_and_what_is_wrong() {
        let text = "1\n10\n2\n5 1\n6 1\n";
        let imported = read(text, Format::Vbp, Some("1\n0\n"), Some(4)).unwrap();
        let on: Vec<_> = imported
            .cluster
            .guests
            .iter()
            .map(|g| g.host.clone())
            .collect();
        assert_eq!(
            on,
            [Some("h2".parse().unwrap()), Some("h1".parse().unwrap())]
        );
        let error = read(text, Format::Vbp, Some("1\n0\n"), Some(1)).unwrap_err();
        assert!(
            error
                .error
                .to_string()
                .contains("items run on 2 hosts and 1")
        );
        let error = read("3\n1 1 1\n0\n", Format::Vbp, None, None).unwrap_err();
        assert!(error.error.to_string().starts_with("1:1: read 3 resources"));
        let error = read("1\n10\n1\nx 1\n", Format::Vbp, None, None).unwrap_err();
        assert!(
            error.error.to_string().starts_with("4:1: read `x`"),
            "{error:?}"
        );
    }
}
