//! Load files: what a guest's figures must not say of each other.

use std::collections::BTreeMap;

use super::doc::Kind;
use super::locate::Step;
use super::text::Place;
use super::{InputError, Source, parse};
use crate::load::{CpuLoad, GuestLoad, Load, Statistic, Windows};
use crate::units::MilliCores;

/// Reads and merges load files.
///
/// # Errors
/// The first fault found, such as percentiles that fall.
pub fn read_load(sources: &[Source]) -> Result<Load, InputError> {
    let mut merged = Load::default();
    let mut owner: BTreeMap<crate::GuestName, &str> = BTreeMap::new();
    for source in sources {
        let part: Load = parse(source, Kind::Load)?;
        for (name, load) in part.guests {
            let at = Place {
                source,
                steps: vec![Step::Key("guests"), Step::Name(name.as_str().to_owned())],
            };
            check_guest_load(&name, &load, &at)?;
            if let Some(first) = owner.insert(name.clone(), &source.name) {
                return Err(at.fault(format!("read the load of guest `{name}` a second time (first in {first}), expected it once")));
            }
            merged.guests.insert(name, load);
        }
    }
    Ok(merged)
}

/// With a joint demand, all series have the same windows.
pub(super) fn check_joint(load: &Load, sources: &[Source]) -> Result<(), InputError> {
    let mut first = None;
    for (name, guest) in &load.guests {
        let Some(windows) = guest.cpu.as_ref().and_then(|c| c.windows.as_ref()) else {
            continue;
        };
        let (other, expected) = *first.get_or_insert((name, windows));
        if !windows.is_joint_with(expected) {
            let steps = vec![
                Step::Key("guests"),
                Step::Name(name.as_str().to_owned()),
                Step::Key("cpu"),
                Step::Key("windows"),
            ];
            let says = |w: &crate::load::Windows| {
                format!("{} of {} from {}", w.values.len(), w.step, w.start.0)
            };
            let fault = format!(
                "read windows of guest `{name}` that are not those of guest `{other}` ({}, not {}), expected the same as `demand.joint` is set",
                says(windows),
                says(expected)
            );
            for source in sources {
                let part: Load = parse(source, Kind::Load)?;
                if part.guests.contains_key(name) {
                    return Err(Place { source, steps }.fault(fault));
                }
            }
        }
    }
    Ok(())
}

fn check_guest_load(
    name: &crate::GuestName,
    load: &GuestLoad,
    at: &Place,
) -> Result<(), InputError> {
    let Some(cpu) = &load.cpu else { return Ok(()) };
    let at = at.key("cpu");
    let mut below: Option<(Statistic, MilliCores)> = None;
    for statistic in Statistic::ALL {
        let Some(value) = cpu.stated(statistic) else {
            continue;
        };
        if statistic == Statistic::Mean {
            if let Some(max) = cpu.max.filter(|m| *m < value) {
                return Err(at.key("mean").fault(format!(
                    "read a mean of {value} above the max of {max} for guest `{name}`"
                )));
            }
            continue;
        }
        if let Some((lower, least)) = below.filter(|(_, least)| value < *least) {
            return Err(at.key(statistic.name()).fault(format!(
                "read {value} as {} below {least} as {} for guest `{name}`, expected percentiles that do not fall",
                statistic.name(),
                lower.name()
            )));
        }
        below = Some((statistic, value));
    }
    if let Some(windows) = &cpu.windows {
        if windows.values.is_empty() {
            return Err(at.key("windows").fault(format!(
                "read no values in the windows of guest `{name}`, expected at least one"
            )));
        }
        if windows.step.0 == 0 {
            return Err(at.key("windows").fault(format!(
                "read a step of zero in the windows of guest `{name}`, expected more"
            )));
        }
        if let Some((max, largest)) = cpu.max.zip(covered_max(cpu, windows))
            && max < largest
        {
            return Err(at.key("max").fault(format!(
                "read a max of {max} below a window of {largest} for guest `{name}`, expected at least that"
            )));
        }
    }
    Ok(())
}

/// The largest of the windows, where the stated statistics must know of it: they are over windows
/// that are no longer than these and over all the time of these, as far as they say.
fn covered_max(cpu: &CpuLoad, windows: &Windows) -> Option<MilliCores> {
    let covers = cpu.window.is_none_or(|w| w <= windows.step)
        && cpu.span.is_none_or(|span| {
            let length = windows.step.0.saturating_mul(windows.values.len() as u64);
            span.0 >= length
        });
    covers.then(|| windows.statistic(Statistic::Max)).flatten()
}
