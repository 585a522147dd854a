//! The daemon beside a libvirt that hangs, dies and comes back.

use std::sync::atomic::AtomicU8;
use std::sync::mpsc;

use vmpack_hypervisor::Error;
use vmpack_hypervisor::libvirt::Observed;

use super::tests::{block_on, client, get, settings, start_with, wait_for};
use super::wire::Health;
use super::*;
use crate::tests::{Pretender, observed};

fn health(daemon: &tests::Daemon) -> Health {
    let either = [hyper::StatusCode::SERVICE_UNAVAILABLE];
    block_on(client().get(&daemon.url(), "/healthz", &either)).unwrap()
}

/// What the guest ran, by the metrics.
fn run(daemon: &tests::Daemon) -> Option<f64> {
    let metrics = get(daemon.address, "/metrics");
    let name = "vmpack_guest_cpu_run_seconds_total{guest=\"known\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name))?;
    line.parse().ok()
}

#[test]
fn a_libvirt_that_dies_is_named_and_known_guests_are_measured_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let guest = observed("known", 1);
    let _qemu = Pretender::start(&guest, "while :; do sleep 0.01; done");
    const WELL: u8 = 0;
    const DEAD: u8 = 1;
    let state = Arc::new(AtomicU8::new(DEAD));
    let libvirt = state.clone();
    let list = move || -> Result<Vec<Observed>, Error> {
        match libvirt.load(Ordering::Relaxed) {
            WELL => Ok(vec![guest.clone()]),
            _ => Err(Error::Refused {
                host: "this host".to_owned(),
                cause: "no socket".to_owned(),
            }),
        }
    };
    let daemon = start_with(settings(folder.path()), move |shared, sink| {
        feed::measure(&shared, list, sink);
    });
    let at_start = wait_for(|| Some(health(&daemon)).filter(|h| h.windows_age_ms.is_some()));
    assert!(
        at_start.faults[0].starts_with("libvirt has listed no guests in ")
            && at_start.faults[0].ends_with("no socket"),
        "{at_start:?}"
    );
    state.store(WELL, Ordering::Relaxed);
    wait_for(|| Some(health(&daemon)).filter(|h| h.ok && h.measured == 1));

    state.store(DEAD, Ordering::Relaxed);
    let stale = wait_for(|| Some(health(&daemon)).filter(|h| !h.ok));
    assert!(
        stale.faults[0].starts_with("libvirt has not listed the guests for ")
            && stale.faults[0].ends_with("no socket"),
        "{stale:?}"
    );
    assert!(stale.guests_age_ms > Some(5000), "{stale:?}");
    assert_eq!(stale.measured, 1);
    let before = run(&daemon).unwrap();
    wait_for(|| (run(&daemon)? > before).then_some(()));

    state.store(WELL, Ordering::Relaxed);
    let back = wait_for(|| Some(health(&daemon)).filter(|h| h.ok));
    assert_eq!((back.measured, back.faults.len()), (1, 0));
}

#[test]
fn a_libvirt_that_hangs_from_the_start_does_not_keep_the_daemon_from_ending() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let (file, bounds) = (settings.history.clone(), settings.bounds);
    let (hold, held) = mpsc::channel::<()>();
    let list = move || -> Result<Vec<Observed>, Error> {
        // Until the end of the test.
        let _ = held.recv();
        Ok(Vec::new())
    };
    let daemon = start_with(settings, move |shared, sink| {
        feed::measure(&shared, list, sink);
    });
    let said = wait_for(|| Some(health(&daemon)).filter(|h| h.windows_age_ms.is_some()));
    assert!(said.faults[0].ends_with("it does not answer"), "{said:?}");
    let metrics = get(daemon.address, "/metrics");
    assert!(!metrics.contains("\nvmpack_host_guests_not_measured 0"));
    drop(daemon);
    // It was closed: another may write it.
    assert!(crate::history::History::open(&file, bounds).is_ok());
    drop(hold);
}

#[test]
fn a_guest_that_left_counts_no_more() {
    let mut live = Live::default();
    let ticks = |names: &[&str], end_us| crate::tick::Tick {
        end_us,
        host_mcores: 2000,
        guests: names
            .iter()
            .map(|name| crate::tick::samples::guest_tick(name, &[300]))
            .collect(),
    };
    let first = ticks(&["a", "b"], 1_000_000);
    live.tick(first.clone());
    assert_eq!((live.measured(), live.wanted()), (2, 600));
    let here = [first.guests[0].uuid].into();
    live.measured_are(&here);
    live.tick(ticks(&["a"], 1_100_000));
    live.measured_are(&here);
    assert_eq!((live.measured(), live.wanted()), (1, 300));
    assert_eq!(live.first(9).len(), 1);
    // It comes back, and its sums go on.
    live.tick(ticks(&["a", "b"], 1_200_000));
    assert_eq!(live.measured(), 2);
    let sums: Vec<u64> = live.first(9).iter().map(|guest| guest.run_ns).collect();
    let one = first.guests[0].run_ns;
    assert_eq!(sums, [3 * one, 2 * one]);
}
