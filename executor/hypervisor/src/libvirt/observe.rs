//! A host's running guests, read-only, for the probe.

use std::collections::BTreeSet;

use uuid::Uuid;
use virt_sys as sys;
use vmpack_domain::GuestName;
use vmpack_domain::units::MiB;

use super::connection::Connection;
use super::door::{Figure, Statistics, statistics};
use super::refused;
use crate::Error;

/// What a host's daemon tells of a running guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Its name.
    pub name: GuestName,
    /// Its identity.
    pub uuid: Uuid,
    /// Its vCPUs.
    pub vcpus: u32,
    /// Its configured memory.
    pub memory: MiB,
    /// Memory resident on the host.
    pub resident: Option<MiB>,
    /// CPU time of the whole guest since its start, in nanoseconds.
    pub cpu_time_ns: Option<u64>,
    /// Each vCPU that is online.
    pub vcpu_times: Vec<VcpuTime>,
}

/// One vCPU's times since its start, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VcpuTime {
    /// Its number.
    pub number: u32,
    /// Run time.
    pub time_ns: Option<u64>,
    /// Run delay: time it was ready and waited.
    pub delay_ns: Option<u64>,
}

/// Reads a host's running guests again and again over one read-only connection, which is made when
/// it is first needed and anew after an error.
#[derive(Debug)]
pub struct Observer {
    uri: String,
    connection: Option<Connection>,
    /// Guests of which it was said that they cannot be told of.
    untold: BTreeSet<Uuid>,
}

impl Observer {
    /// Of the host with that URI. Nothing is asked yet.
    #[must_use]
    pub fn new(uri: &str) -> Self {
        Self {
            uri: uri.to_owned(),
            connection: None,
            untold: BTreeSet::new(),
        }
    }

    /// The running guests, in order of their names. One whose name is none of ours, or whose vCPUs or
    /// memory libvirt does not tell, is left out, with a warning the first time.
    ///
    /// # Errors
    /// When the daemon cannot be reached or refuses.
    pub fn guests(&mut self) -> Result<Vec<Observed>, Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open_read_only(&self.uri, &self.uri)?,
        };
        let groups = sys::VIR_DOMAIN_STATS_CPU_TOTAL
            | sys::VIR_DOMAIN_STATS_BALLOON
            | sys::VIR_DOMAIN_STATS_VCPU;
        let all = statistics(&connection, groups).map_err(|e| refused(&self.uri, &e))?;
        // One that failed is closed.
        self.connection = Some(connection);
        let mut observed = Vec::with_capacity(all.len());
        for one in &all {
            match guest(one) {
                Ok(guest) => observed.push(guest),
                Err(why) if self.untold.insert(one.uuid) => {
                    tracing::warn!("guest {:?} ({}) is left out: {why}", one.name, one.uuid);
                }
                Err(_) => {}
            }
        }
        observed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(observed)
    }
}

/// Reads a host's running guests once; see [`Observer::guests`].
///
/// # Errors
/// When the daemon cannot be reached or refuses.
pub fn observe(uri: &str) -> Result<Vec<Observed>, Error> {
    Observer::new(uri).guests()
}

fn guest(one: &Statistics) -> Result<Observed, String> {
    let count = |name: &str| one.figures.get(name).and_then(Figure::count);
    let number = |name: &str| count(name).and_then(|n| u32::try_from(n).ok());
    // libvirt speaks of KiB.
    let memory = |name: &str| count(name).map(|kib| MiB(kib.div_ceil(1024)));
    // Numbers of vCPUs that are offline are left out by libvirt, so none can be counted up to.
    let mut vcpu_times: Vec<VcpuTime> = one
        .figures
        .keys()
        .filter_map(|key| {
            key.strip_prefix("vcpu.")?
                .strip_suffix(".state")?
                .parse()
                .ok()
        })
        .map(|number: u32| VcpuTime {
            number,
            time_ns: count(&format!("vcpu.{number}.time")),
            delay_ns: count(&format!("vcpu.{number}.delay")),
        })
        .collect();
    vcpu_times.sort_by_key(|v| v.number);
    let untold = |what: &str| format!("libvirt does not tell its {what}");
    Ok(Observed {
        name: one.name.parse().map_err(|e| format!("{e}"))?,
        uuid: one.uuid,
        vcpus: number("vcpu.current").ok_or_else(|| untold("vCPUs"))?,
        memory: memory("balloon.maximum").ok_or_else(|| untold("memory"))?,
        resident: memory("balloon.rss"),
        cpu_time_ns: count("cpu.time"),
        vcpu_times,
    })
}
