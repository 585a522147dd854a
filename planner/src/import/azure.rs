//! Azure's trace for packing (Azure Trace for Packing 2020, AzurePublicDataset): requests for virtual
//! machines with their types, in a SQLite file of two tables.
//!
//! ```text
//! vm      vmId, tenantId, vmTypeId, priority, starttime, endtime     times in days; no end: still there
//! vmType  id, vmTypeId, machineId, core, memory, hdd, ssd, nic       shares of that machine
//! ```
//!
//! Those that are there at one time become guests that wait, on hosts of one kind of machine, whose size
//! is told. A guest's CPU is its share of the machine, always; its vCPUs are the whole cores of that.
//! Guests of a type that this machine does not offer are left out, and so are disks and network.

use std::collections::BTreeMap;

use vmpack_domain::units::{MiB, MilliCores, Ratio};
use vmpack_domain::{Cluster, GuestName, Load};

use super::{
    ImportError, Imported, LeftOut, Sized, as_it_is, constant, guest, thousandths_up, whole_cores,
};

/// A row of `vm`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Request {
    /// `vmId`.
    pub id: i64,
    /// `vmTypeId`.
    pub kind: i64,
    /// In days; before the trace's beginning where negative.
    pub start: f64,
    /// In days; `None` where it is still there.
    pub end: Option<f64>,
}

/// A row of `vmType`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offer {
    /// `vmTypeId`.
    pub kind: i64,
    /// `machineId`.
    pub machine: i64,
    /// Share of the machine's CPU.
    pub core: f64,
    /// Share of its memory.
    pub memory: f64,
}

/// Which of it, and on what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Setup {
    /// The time, in days.
    pub at: f64,
    /// The machine; the one that offers the most types where it is not said.
    pub machine: Option<i64>,
    /// Its size, and how many there are.
    pub hosts: Sized,
}

/// The guests at that time.
///
/// # Errors
/// When no type is offered, or not on that machine, or a share is none.
pub fn import(
    requests: &[Request],
    offers: &[Offer],
    setup: &Setup,
) -> Result<Imported, ImportError> {
    let mut machines: BTreeMap<i64, BTreeMap<i64, &Offer>> = BTreeMap::new();
    for offer in offers {
        let is_share = |v: f64| (0.0..=1.0).contains(&v);
        if !is_share(offer.core) || !is_share(offer.memory) {
            return Err(ImportError::new(format!(
                "read {} of the cores and {} of the memory of machine {} for type {}, expected shares from 0 to 1",
                offer.core, offer.memory, offer.machine, offer.kind
            )));
        }
        let of = machines.entry(offer.machine).or_default();
        of.insert(offer.kind, offer);
    }
    let most = || {
        let by_types = machines.iter().max_by_key(|(id, of)| (of.len(), -**id));
        by_types.map(|(id, _)| *id)
    };
    let offered = setup.machine.or_else(most).and_then(|id| machines.get(&id));
    let Some(offered) = offered else {
        let known: Vec<String> = machines.keys().take(8).map(i64::to_string).collect();
        return Err(ImportError::new(format!(
            "there is no machine {}; machines are {}",
            setup.machine.map_or("at all".into(), |m| m.to_string()),
            if known.is_empty() {
                "none".into()
            } else {
                known.join(", ")
            }
        )));
    };
    let mut guests = Vec::new();
    let mut load = Load::default();
    let mut elsewhere = 0;
    for request in requests {
        let there = request.start <= setup.at && request.end.is_none_or(|end| end > setup.at);
        if !there {
            continue;
        }
        let Some(offer) = offered.get(&request.kind) else {
            elsewhere += 1;
            continue;
        };
        let name: GuestName = format!("vm-{}", request.id)
            .parse()
            .map_err(|e| ImportError::new(format!("{e}")))?;
        let part = |whole: u64, share: f64| whole as f64 / 1000.0 * share;
        let cpu = MilliCores(thousandths_up(part(setup.hosts.cpu.0, offer.core)));
        let memory = MiB(thousandths_up(part(setup.hosts.memory.0, offer.memory)));
        load.guests.insert(name.clone(), constant(cpu));
        guests.push(guest(name, whole_cores(cpu), memory, None));
    }
    let hosts = setup.hosts.hosts();
    // As many vCPUs a core as all guests on one host are: no limit.
    let vcpus: u64 = guests.iter().map(|g| u64::from(g.vcpus)).sum();
    let most = vcpus.max(1) * 1_000_000 / setup.hosts.cpu.0.max(1) + 1000;
    let left_out = LeftOut {
        what: "request".into(),
        count: elsewhere,
        why: "its type is not offered on that machine".into(),
    };
    Ok(Imported {
        cluster: Cluster { hosts, guests },
        load,
        policy: as_it_is(Ratio(most)),
        left_out: [left_out].into_iter().filter(|l| l.count > 0).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETUP: Setup = Setup {
        at: 1.0,
        machine: None,
        hosts: Sized {
            count: 3,
            cpu: MilliCores(64_000),
            memory: MiB(1 << 19),
        },
    };

    fn request(id: i64, kind: i64, start: f64, end: Option<f64>) -> Request {
        Request {
            id,
            kind,
            start,
            end,
        }
    }

    fn offer(kind: i64, machine: i64, core: f64, memory: f64) -> Offer {
        Offer {
            kind,
            machine,
            core,
            memory,
        }
    }

    #[test]
    fn who_is_there_at_that_time_takes_its_share_of_the_machine() {
        let offers = [
            offer(1, 7, 0.125, 0.25),
            offer(2, 7, 0.01, 0.001),
            offer(1, 9, 1.0, 1.0),
        ];
        let requests = [
            request(10, 1, -3.5, None),
            request(11, 2, 0.5, Some(1.5)),
            request(12, 1, 0.5, Some(1.0)),
            request(13, 1, 1.01, None),
            request(14, 5, 0.0, None),
        ];
        let imported = import(&requests, &offers, &SETUP).unwrap();
        let guests: Vec<_> = imported
            .cluster
            .guests
            .iter()
            .map(|g| (g.name.as_str(), g.vcpus, g.memory.0))
            .collect();
        // 0.001 of 512 GiB is 524.288 MiB.
        assert_eq!(guests, [("vm-10", 8, 131_072), ("vm-11", 1, 525)]);
        let cpu = imported.load.guests["vm-11"].cpu.as_ref().unwrap();
        assert_eq!(cpu.max, Some(MilliCores(640)));
        assert_eq!(imported.left_out[0].count, 1);
        assert_eq!(imported.cluster.hosts.len(), 3);
        let other = Setup {
            machine: Some(9),
            ..SETUP
        };
        let imported = import(&requests, &offers, &other).unwrap();
        assert_eq!(imported.cluster.guests[0].vcpus, 64);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let wrong = |offers: &[Offer], machine| {
            let setup = Setup { machine, ..SETUP };
            import(&[], offers, &setup).unwrap_err().to_string()
        };
        assert_eq!(
            wrong(&[], None),
            "there is no machine at all; machines are none"
        );
        let one = [offer(1, 7, 0.5, 0.5)];
        assert_eq!(
            wrong(&one, Some(3)),
            "there is no machine 3; machines are 7"
        );
        let bad = [offer(1, 7, 1.5, 0.5)];
        assert!(wrong(&bad, None).starts_with("read 1.5 of the cores"));
    }
}
