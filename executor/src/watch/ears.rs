//! Hears the probes: one task for each, which connects again for as long as it takes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_domain::{GuestName, HostName};
use vmpack_planner::watch::{Heard, SILENCE, Window};
use vmpack_probe_client::client::{Address, Client};
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
    for (host, address) in probes {
        let (client, told) = (client.clone(), told.clone());
        tasks.spawn(async move { follow(host, &address, &client, &told).await });
    }
    tasks
}

async fn follow(
    host: HostName,
    address: &Address,
    client: &Client,
    told: &mpsc::UnboundedSender<Told>,
) {
    let mut wait = AGAIN.0;
    loop {
        let (why, heard) = hear_out(&host, address, client, told).await;
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
    told: &mpsc::UnboundedSender<Told>,
) -> (String, bool) {
    let mut events = match client.stream(address).await {
        Ok(events) => events,
        Err(e) => return (e.to_string(), false),
    };
    let mut any = false;
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
            Event::Hello(_) => continue,
            Event::Windows(tick) => Heard::Windows {
                host: host.clone(),
                guests: tick
                    .guests
                    .into_iter()
                    .map(|g| {
                        let windows = windows(&g.demand_mcores, g.run_ns, Micros(g.length_us));
                        (g.guest, windows)
                    })
                    .collect::<Vec<(GuestName, _)>>(),
            },
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
