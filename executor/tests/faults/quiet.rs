//! When is everybody but us asleep? Virtual time may only pass then: a thread that is about to act
//! must not find that an hour has gone by.
//!
//! The kernel knows. A thread that was woken is running from that moment on, also while it waits for a
//! CPU. So if every other thread sleeps, and none of them has run between two looks, none can run
//! until we wake one. This holds whatever the threads are and whoever made them.

use std::collections::BTreeMap;
use std::fs;

/// Threads that are known to wait for nobody but us.
pub(crate) type Waiting = std::collections::BTreeSet<u32>;

/// This thread's number.
pub(crate) fn number() -> u32 {
    let link = fs::read_link("/proc/thread-self").expect("/proc is mounted");
    let name = link.file_name().and_then(|n| n.to_str());
    name.and_then(|n| n.parse().ok()).expect("a number")
}

/// Every thread there is.
pub(crate) fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let names = entries.flatten().map(|e| e.file_name());
    names.filter_map(|n| n.to_str()?.parse().ok()).collect()
}

/// Whether every thread sleeps but those given, and will go on sleeping until it is woken by us.
pub(crate) fn asleep(but: &Waiting) -> bool {
    let Some(first) = sleepers(but) else {
        return false;
    };
    sleepers(but) == Some(first)
}

/// The threads with how often each has run, if all of them sleep.
fn sleepers(but: &Waiting) -> Option<BTreeMap<u32, String>> {
    let mut found = BTreeMap::new();
    for thread in all() {
        if but.contains(&thread) {
            continue;
        }
        // One that has ended meanwhile will be missing in the second look.
        let at = format!("/proc/self/task/{thread}");
        let stat = fs::read_to_string(format!("{at}/stat")).ok()?;
        // The state stands after the name, which is in parentheses and may hold anything.
        let state = stat.rsplit_once(") ")?.1;
        if !state.starts_with('S') {
            return None;
        }
        found.insert(thread, fs::read_to_string(format!("{at}/schedstat")).ok()?);
    }
    Some(found)
}
