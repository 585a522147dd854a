//! The executor is killed with SIGKILL in the middle of a run, and the next one ends the run where
//! an undisturbed one would have ended.

use std::collections::BTreeMap;

use vmpack_domain::file::{Source, read_cluster};
use vmpack_domain::{GuestName, HostName};

use crate::executor::{Desk, told};

/// Accepted, then three times intended, switched, moved and checked, then finished.
const EVENTS: i64 = 14;
/// The last move switches at its very end, and the run ends with it: a signal may come too late.
const AT_ONCE: i64 = 10;

/// Where each guest is, in the world as the executors left it.
fn placement(desk: &Desk) -> BTreeMap<GuestName, HostName> {
    let name = "state/journal.db.world.yaml";
    let text = std::fs::read_to_string(desk.path(name)).unwrap();
    let source = Source {
        name: name.to_owned(),
        text,
    };
    read_cluster(&[source]).unwrap().placement()
}

#[test]
fn a_killed_executor_is_resumed_to_the_same_end() {
    let undisturbed = Desk::new();
    let (code, ..) = told(&undisturbed.run(&["apply", "plan.yaml", "--simulated", "--yes"]));
    assert_eq!(code, 0);
    let end = &placement(&undisturbed);
    // Most of each run is waiting, so all go side by side.
    std::thread::scope(|scope| {
        for events in 1..EVENTS {
            scope.spawn(move || killed_after(events, end));
        }
    });
}

fn killed_after(events: i64, end: &BTreeMap<GuestName, HostName>) {
    let desk = Desk::new();
    let mut child = desk.begin(3);
    desk.wait_for(events);
    child.kill().unwrap();
    child.wait().unwrap();
    // The next event may have been written before the signal came.
    let run = desk.status()["run"].clone();
    let late = events > AT_ONCE && run == "complete";
    assert!(run == "interrupted" || late, "{run} after {events} events");
    let (code, out, err) = told(&desk.run(&["resume"]));
    assert_eq!(code, 0, "killed after {events} events\n{out}{err}");
    assert_eq!(placement(&desk), *end, "killed after {events} events");
    assert_eq!(desk.status()["run"], "complete");
}

#[test]
fn a_killed_executor_can_be_aborted_by_the_next() {
    let desk = Desk::new();
    let mut child = desk.begin(3);
    desk.wait_for(2);
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, out, err) = told(&desk.run(&["abort"]));
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(desk.status()["run"], "aborted");
    let (code, out, err) = told(&desk.run(&["resume"]));
    assert_eq!(code, 7, "{out}{err}");
}
