//! `vmpack-probe fetch` (`vmpack load fetch`): one load file from the histories of many hosts.
//!
//! ```text
//! cluster.yaml ─> where each probe is ─> ask (many at once): health, then history ─> join by UUID
//!                                                             ─> load.yaml, and who did not answer
//! ```

pub(crate) mod command;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, GuestName, HostName, Load, Statistic};

use crate::client::{Address, Client, ClientError, plain};
use crate::export::left_out;
use crate::history::GuestHistory;
use crate::interval::STEP;
use crate::load::{join, load};
use crate::serve::wire::{API, Greeting, Health, LoadAnswer};
use crate::tick::unix_us;

/// Rows of ten seconds are committed when they are over; until then they are not asked for.
const UNWRITTEN: u64 = 2 * STEP;

/// In microseconds.
const MINUTE: u64 = 60_000_000;

/// What is fetched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Unix seconds by this machine's clock, a multiple of ten.
    pub(crate) since: u64,
    /// Exclusive.
    pub(crate) until: u64,
    /// In seconds, a multiple of ten.
    pub(crate) step: u64,
    pub(crate) statistic: Statistic,
}

impl Span {
    /// The last while before `now`, in Unix seconds, as far as it is on disks.
    pub(crate) fn last(now: u64, length: u64, step: u64, statistic: Statistic) -> Self {
        let until = now.saturating_sub(UNWRITTEN);
        let until = until - until % STEP;
        Self {
            since: until.saturating_sub(length.next_multiple_of(step)),
            until,
            step,
            statistic,
        }
    }
}

/// How one host's probe did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reached {
    /// Where it was asked.
    pub(crate) address: String,
    /// How far its clock is ahead of ours, in milliseconds.
    pub(crate) clock_offset_ms: Option<i64>,
    /// How old its newest window is, in milliseconds.
    pub(crate) age_ms: Option<u64>,
    /// Guests in its history.
    pub(crate) guests: usize,
    /// What it says is wrong with it, though it answers.
    pub(crate) warnings: Vec<String>,
    /// Why it said nothing that could be used.
    pub(crate) fault: Option<String>,
    /// Whether that is that its measurements are too old.
    #[serde(skip)]
    pub(crate) stale: bool,
}

/// What was fetched.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fetched {
    pub(crate) load: Load,
    pub(crate) hosts: BTreeMap<HostName, Reached>,
    /// Guests of the cluster that run and of which no probe said anything.
    pub(crate) not_measured: BTreeSet<GuestName>,
    /// Guests that were seen on more than one host, and on which.
    pub(crate) moved: BTreeMap<GuestName, Vec<HostName>>,
    /// Guests that were measured and are not in the cluster.
    pub(crate) strangers: usize,
    /// What the reader should know of a guest.
    pub(crate) notes: Vec<String>,
}

/// Asks each probe, so many at once. A probe whose newest window is older than `fresh` is not used.
pub(crate) async fn fetch(
    cluster: &Cluster,
    probes: BTreeMap<HostName, Address>,
    client: &Client,
    span: Span,
    fresh: Micros,
    parallel: usize,
) -> Fetched {
    let room = Arc::new(Semaphore::new(parallel));
    let mut asked = JoinSet::new();
    let mut who = BTreeMap::new();
    for (host, address) in probes {
        let (room, client, its) = (room.clone(), client.clone(), address.clone());
        let task = asked.spawn(async move {
            let _place = room.acquire_owned().await;
            ask(&client, &its, span, fresh).await
        });
        who.insert(task.id(), (host, address));
    }
    let mut hosts = BTreeMap::new();
    let mut seen = Vec::new();
    while let Some(joined) = asked.join_next_with_id().await {
        let (id, told) = match joined {
            Ok((id, told)) => (id, Some(told)),
            Err(bug) => (bug.id(), None),
        };
        let Some((host, address)) = who.remove(&id) else {
            continue;
        };
        let (reached, guests) = told.unwrap_or_else(|| {
            let mut reached = Reached::of(&address);
            reached.fault = Some("asking it was ended by a bug".to_owned());
            (reached, Vec::new())
        });
        seen.extend(guests.into_iter().map(|guest| (host.clone(), guest)));
        hosts.insert(host, reached);
    }
    // In whichever order they answered.
    seen.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut fetched = gather(cluster, seen, span, unix_us() / 1_000_000);
    fetched.hosts = hosts;
    fetched
}

/// Asks one.
async fn ask(
    client: &Client,
    address: &Address,
    span: Span,
    fresh: Micros,
) -> (Reached, Vec<GuestHistory>) {
    let mut reached = Reached::of(address);
    match try_ask(client, address, span, fresh, &mut reached).await {
        Ok(guests) => {
            reached.guests = guests.len();
            (reached, guests)
        }
        Err(error) => {
            reached.fault = Some(plain(&error.to_string()));
            (reached, Vec::new())
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("it speaks version {0} of the interface, this is {API}: update {older}", older = if *.0 < API { "vmpack-probe there" } else { "vmpack here" })]
    Version(u32),
    #[error("its newest window is {0} old, more than {1}")]
    Stale(Micros, Micros),
    #[error("its newest window is {0} ahead of its own clock")]
    Future(Micros),
    #[error("it has measured nothing: {0}")]
    Nothing(String),
    #[error("it says of {0} what cannot be: {1}")]
    Absurd(GuestName, &'static str),
}

impl Reached {
    /// Nothing is known of it yet.
    fn of(address: &Address) -> Self {
        Self {
            address: address.to_string(),
            clock_offset_ms: None,
            age_ms: None,
            guests: 0,
            warnings: Vec::new(),
            fault: None,
            stale: false,
        }
    }
}

/// The most memory of a guest that is believed, in MiB.
const MEMORY: u64 = 1 << 30;
/// The most that is believed of a guest's demand, in thousandths of a core, and of its pages a second.
const MOST: (u64, u64) = (1_000_000_000, 1 << 40);

/// What of a probe's answer cannot be, if anything: it would spoil the load of all the others.
fn absurd(guest: &GuestHistory, span: Span) -> Option<&'static str> {
    let series = &guest.series;
    let steps = span
        .until
        .saturating_sub(span.since)
        .div_ceil(span.step.max(1));
    let most = series.mcores.iter().flatten().max().copied();
    let demand = most.unwrap_or_default().max(guest.mean_mcores);
    let largest = guest.demands.max().map_or(0, |max| max.0);
    if series.step != span.step || series.mcores.len() as u64 > steps + 1 {
        return Some("steps that it was not asked for");
    }
    // Of a span of its own, so that it may be a little more than was asked for.
    let longest = 2 * span.until.saturating_sub(span.since).max(STEP) * 1_000_000;
    let vcpus = u64::from(guest.vcpus);
    let times = guest.run_us.max(guest.run_delay_us).max(guest.throttled_us);
    if !(1..=65_536).contains(&vcpus) {
        return Some("no vCPU, or more than 65536");
    }
    if guest.span_us > longest || times > longest.saturating_mul(vcpus) {
        return Some("more time than there was");
    }
    if guest.resident_mib.is_some_and(|mib| mib > MEMORY) {
        return Some("more memory than 1 PiB");
    }
    if demand.max(largest) > MOST.0 {
        return Some("a demand of more than a million cores");
    }
    if guest
        .dirty
        .is_some_and(|dirty| dirty.pages_per_second > MOST.1)
    {
        return Some("a dirty rate of more than 4 PiB/s");
    }
    None
}

async fn try_ask(
    client: &Client,
    address: &Address,
    span: Span,
    fresh: Micros,
    reached: &mut Reached,
) -> Result<Vec<GuestHistory>, AskError> {
    let (asked, clock) = (Instant::now(), unix_us());
    // Its version first: another may say everything else in another way.
    let unwell = [StatusCode::SERVICE_UNAVAILABLE];
    let said: serde_json::Value = client.get(address, "/healthz", &unwell).await?;
    let there_and_back = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
    let greeting: Greeting = read(&said)?;
    if greeting.api != API {
        return Err(AskError::Version(greeting.api));
    }
    let health: Health = read(&said)?;
    // It looked at its clock somewhere in between.
    let ahead = signed(greeting.now_us) - signed(clock.saturating_add(there_and_back / 2));
    reached.clock_offset_ms = Some(ahead / 1000);
    let Some(newest) = health.newest_us else {
        return Err(AskError::Nothing(health.faults.join("; ")));
    };
    reached.warnings = health.faults.iter().map(|fault| plain(fault)).collect();
    // Clocks of one machine: what is told was, and windows end a little before they are told of.
    if newest > greeting.now_us.saturating_add(MINUTE) {
        return Err(AskError::Future(Micros(newest - greeting.now_us)));
    }
    let age = Micros(greeting.now_us.saturating_sub(newest));
    reached.age_ms = Some(age.0 / 1000);
    if age > fresh {
        reached.stale = true;
        return Err(AskError::Stale(age, fresh));
    }

    // Asked for by its own clock, to the ten seconds of its rows, so that steps are joint.
    let step = signed(STEP) * 1_000_000;
    let half = ahead.signum() * step / 2;
    let shift = ahead.saturating_add(half) / step * signed(STEP);
    let there =
        |second: u64| u64::try_from(signed(second).saturating_add(shift)).unwrap_or_default();
    let path = format!(
        "/v1/load?since={}&until={}&step={}s&statistic={}",
        there(span.since),
        there(span.until),
        span.step,
        span.statistic.name()
    );
    let answer: LoadAnswer = client.get(address, &path, &[]).await?;
    let left_out = left_out(answer.history.rows_left_out);
    reached.warnings.extend(left_out);
    let here =
        |second: u64| u64::try_from(signed(second).saturating_sub(shift)).unwrap_or_default();
    let mut guests = answer.history.guests;
    for guest in &mut guests {
        if let Some(why) = absurd(guest, span) {
            return Err(AskError::Absurd(guest.guest.clone(), why));
        }
        guest.newest = here(guest.newest);
        if let Some(dirty) = &mut guest.dirty {
            dirty.at = here(dirty.at);
        }
    }
    Ok(guests)
}

fn read<T: serde::de::DeserializeOwned>(said: &serde_json::Value) -> Result<T, ClientError> {
    T::deserialize(said).map_err(|e| ClientError::Answer(e.to_string()))
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Joins what the hosts saw into the load of the cluster's guests. A guest is known by its UUID
/// where the cluster has that, else by its name; of several that have had its name, the one seen
/// last. `seen` is in order of the hosts. Pure.
fn gather(cluster: &Cluster, seen: Vec<(HostName, GuestHistory)>, span: Span, now: u64) -> Fetched {
    let mut fetched = Fetched::default();
    let mut by_uuid: BTreeMap<uuid::Uuid, Vec<(HostName, GuestHistory)>> = BTreeMap::new();
    for (host, guest) in seen {
        by_uuid.entry(guest.uuid).or_default().push((host, guest));
    }
    for guest in &cluster.guests {
        let uuid = guest.uuid.or_else(|| {
            let named = by_uuid.iter().filter_map(|(uuid, parts)| {
                let newest = parts
                    .iter()
                    .map(|(_, part)| part)
                    .max_by_key(|part| part.newest)?;
                (newest.guest == guest.name).then_some((newest.newest, *uuid))
            });
            named.max().map(|(_, uuid)| uuid)
        });
        let parts = uuid.and_then(|uuid| by_uuid.remove(&uuid));
        let (hosts, parts): (Vec<HostName>, Vec<GuestHistory>) =
            parts.unwrap_or_default().into_iter().unzip();
        if hosts.len() > 1 {
            fetched.moved.insert(guest.name.clone(), hosts);
        }
        match join(parts) {
            Some(joined) => {
                let (load, note) = load(&joined, span.since, now);
                fetched.load.guests.insert(guest.name.clone(), load);
                fetched
                    .notes
                    .extend(note.map(|note| format!("{}: {note}", guest.name)));
            }
            None if guest.host.is_some() => {
                fetched.not_measured.insert(guest.name.clone());
            }
            None => {}
        }
    }
    fetched.strangers = by_uuid.len();
    fetched
}
