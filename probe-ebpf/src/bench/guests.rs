//! `vmpack-probe bench guests`: from the moment at which a guest starts, gets one more vCPU or ends,
//! how long is it until the probe follows it so?
//!
//! The guests are those of `bench daemon`. What stands in for libvirt tells of a change later than the
//! kernel, as libvirt does: it learns of a new vCPU from QEMU's answer.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use vmpack_hypervisor::libvirt::Observed;

use super::daemon::{Children, VCPUS, guest_command, observed};
use super::tell;
use crate::measure::{Measurement, Settings};
use crate::serve::feed::wait;

/// How much later than the kernel libvirt tells of a change.
const LATE: Duration = Duration::from_millis(100);
/// Until a change must be seen at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// The target for each, in milliseconds.
const TARGET: f64 = 1000.0;

/// What libvirt tells now.
type Told = Arc<Mutex<Vec<Observed>>>;

/// Measures so often; tells the rows.
pub(super) fn guests(times: u64, json: bool) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let told = Told::default();
    let list = told.clone();
    let mut probe = Measurement::begin(Settings::default(), move || {
        Ok(list.lock().unwrap_or_else(PoisonError::into_inner).clone())
    });
    let mut longest = [0.0_f64; 3];
    for guest in 0..times {
        let mut children = Children::default();
        let vcpus = usize::try_from(VCPUS)?;
        let mut stages = [0.0; 3];
        let start = Instant::now();
        let _out = children.start(&mut guest_command(&program, guest))?;
        tell_late(&told, Some(observed(guest, VCPUS)?));
        stages[0] = until(&mut probe, start, (1, vcpus))?;

        let child = children.0.first_mut().context("a guest")?;
        let start = Instant::now();
        writeln!(child.stdin.as_mut().context("its input")?)?;
        tell_late(&told, Some(observed(guest, VCPUS + 1)?));
        stages[1] = until(&mut probe, start, (1, vcpus + 1))?;

        let start = Instant::now();
        drop(children);
        tell_late(&told, None);
        stages[2] = until(&mut probe, start, (0, 0))?;
        for (longest, took) in longest.iter_mut().zip(stages) {
            *longest = longest.max(took);
        }
        // At another place between two lists.
        settle(&mut probe, Duration::from_millis(guest * 137 % 1000));
    }
    let tier = crate::tick::tier_name(probe.tier());
    let whats = [
        "a guest that starts is followed",
        "a vCPU that is plugged is followed",
        "a guest that ends is followed no more",
    ];
    for (what, took) in whats.into_iter().zip(longest) {
        let what = format!("{what}, by {tier}, longest of {times}");
        let target = format!("<= {TARGET}");
        tell(json, &what, took, "ms", &target, took <= TARGET)?;
    }
    Ok(())
}

/// Has libvirt tell of that guest, later.
fn tell_late(told: &Told, guest: Option<Observed>) {
    let told = told.clone();
    std::thread::spawn(move || {
        std::thread::sleep(LATE);
        *told.lock().unwrap_or_else(PoisonError::into_inner) = guest.into_iter().collect();
    });
}

/// Measures until so many guests and vCPUs are; gives the milliseconds since then.
fn until(probe: &mut Measurement, start: Instant, expected: (usize, usize)) -> anyhow::Result<f64> {
    while probe.measured() != expected {
        if start.elapsed() > PATIENCE {
            bail!(
                "{:?} guests and vCPUs are followed, expected {expected:?}: {:?}",
                probe.measured(),
                probe.guests()
            );
        }
        wait(probe);
        probe.step();
    }
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Measures for a while.
fn settle(probe: &mut Measurement, time: Duration) {
    // What is told late has been told, and more.
    let end = Instant::now() + LATE + time;
    while Instant::now() < end {
        wait(probe);
        probe.step();
    }
}
