//! Hears the probes: one task for each, which connects again for as long as it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use vmpack_domain::HostName;
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_planner::watch::{Heard, SILENCE, Window};
use vmpack_probe_client::client::{Address, Client};
use vmpack_probe_client::tick::{GuestTick, Tick, unix_us};
use vmpack_probe_client::wire::{API, Event};

/// The first wait before a probe is tried again, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What a probe's task tells.
#[derive(Debug)]
pub enum Told {
    /// Something of its host.
    Heard(Heard),
    /// Nothing any more, and why.
    Silent(HostName, String),
}

/// Listens to those probes for as long as what is returned lives.
pub fn listen(
    probes: BTreeMap<HostName, Address>,
    client: &Client,
    told: &mpsc::UnboundedSender<Told>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let hosts: Arc<BTreeSet<String>> = Arc::new(probes.keys().map(ToString::to_string).collect());
    for (host, address) in probes {
        let (client, told, hosts) = (client.clone(), told.clone(), Arc::clone(&hosts));
        tasks.spawn(async move { follow(host, &address, &client, &hosts, &told).await });
    }
    tasks
}

async fn follow(
    host: HostName,
    address: &Address,
    client: &Client,
    hosts: &BTreeSet<String>,
    told: &mpsc::UnboundedSender<Told>,
) {
    let mut wait = AGAIN.0;
    loop {
        let (why, heard) = hear_out(&host, address, client, hosts, told).await;
        if told.send(Told::Silent(host.clone(), why)).is_err() {
            return;
        }
        wait = if heard {
            AGAIN.0
        } else {
            AGAIN.1.min(wait * 2)
        };
        tokio::time::sleep(wait).await;
    }
}

/// One connection, until it says nothing more: why, and whether it said anything.
async fn hear_out(
    host: &HostName,
    address: &Address,
    client: &Client,
    hosts: &BTreeSet<String>,
    told: &mpsc::UnboundedSender<Told>,
) -> (String, bool) {
    let mut events = match client.stream(address).await {
        Ok(events) => events,
        Err(e) => return (e.to_string(), false),
    };
    let mut any = false;
    // By how much the probe's clock is ahead of ours, as far as its first line tells.
    let mut ahead = 0;
    loop {
        // A connection that stands and says nothing is as silent as none.
        let event = match timeout(SILENCE.to_std(), events.next()).await {
            Err(_) => return (format!("nothing was heard for {SILENCE}"), any),
            Ok(Err(e)) => return (e.to_string(), any),
            Ok(Ok(None)) => return ("the stream ended".into(), any),
            Ok(Ok(Some(event))) => event,
        };
        let heard = match event {
            Event::Hello(greeting) if greeting.api != API => {
                let why = format!(
                    "it speaks version {} of the interface, this is {API}",
                    greeting.api
                );
                return (why, any);
            }
            // A host's own name may be another than the cluster's; that of another host is a mistake.
            Event::Hello(greeting)
                if greeting.host != host.as_str() && hosts.contains(&greeting.host) =>
            {
                return (format!("it is the probe of host {}", greeting.host), any);
            }
            Event::Hello(greeting) => {
                ahead = signed(greeting.now_us).saturating_sub(signed(unix_us()));
                continue;
            }
            Event::Other => continue,
            Event::Windows(tick) => {
                if let Some(why) = absurd(&tick) {
                    return (why, any);
                }
                let end = signed(tick.end_us).saturating_sub(ahead);
                let age = signed(unix_us()).saturating_sub(end);
                if age > signed(SILENCE.0) {
                    let age = Micros(age.unsigned_abs());
                    return (format!("what it tells is {age} old"), any);
                }
                let told = |g: GuestTick| {
                    let windows = windows(&g.demand_mcores, g.run_ns, Micros(g.length_us));
                    (g.guest, windows)
                };
                let lengths = tick.guests.iter().map(|g| g.length_us);
                let age = Micros(u64::try_from(age).unwrap_or(0));
                Heard::Windows {
                    old: age + Micros(lengths.max().unwrap_or(0)),
                    host: host.clone(),
                    guests: tick.guests.into_iter().map(told).collect(),
                }
            }
            Event::Overload { began, .. } => Heard::Overload {
                host: host.clone(),
                began,
            },
            Event::Dropped { why, .. } => return (why, any),
        };
        any = true;
        if told.send(Told::Heard(heard)).is_err() {
            return ("nobody listens".into(), any);
        }
    }
}

/// What no host measures, in thousandths of a core and microseconds: a million cores, a day.
const MOST: (u64, u64) = (1_000_000_000, 86_400_000_000);

/// What cannot be in what a probe tells, and would make sums of it run over.
fn absurd(tick: &Tick) -> Option<String> {
    tick.guests.iter().find_map(|g| {
        let most = g.demand_mcores.iter().max().copied().unwrap_or(0);
        let run = g.run_ns / 1000;
        let wrong = most > MOST.0 || g.length_us > MOST.1 || run / MOST.0 > g.length_us;
        let guest = &g.guest;
        wrong.then(|| {
            let length = Micros(g.length_us);
            format!(
                "it tells what cannot be of guest {guest}: {most} mcores, {run} us run in {length}"
            )
        })
    })
}

fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX / 4)
}

/// `run_ns` and `length` are of all windows together. Nanoseconds by microseconds are thousandths of a core.
fn windows(demands: &[u64], run_ns: u64, length: Micros) -> Vec<Window> {
    let run = MilliCores(run_ns / length.0.max(1));
    let length = Micros(length.0 / (demands.len() as u64).max(1));
    let window = |demand: &u64| {
        let demand = MilliCores(*demand);
        Window {
            demand,
            run: run.min(demand),
            length,
        }
    };
    demands.iter().map(window).collect()
}
