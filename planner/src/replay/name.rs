//! Policies by name, as the command line takes them.

use super::{Detect, Heuristic, Place, Policy, Select, Settings, Still, Vmpack};

/// Every name with its usual parameter, for help and errors.
pub const NAMES: &str = "none, dvfs, thr-mmt-0.8, iqr-mmt-1.5, mad-mmt-2.5, lr-mmt-1.2, lr-mc-1.2, \
                         ff-mmt-0.8, vmpack";

/// A name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the policy `{0}`, expected one of {NAMES}")]
pub struct UnknownPolicy(pub String);

/// The policy of that name. The parameter at its end may be left out, and may be another.
///
/// # Errors
/// When there is none.
pub fn policy(name: &str) -> Result<Box<dyn Policy>, UnknownPolicy> {
    let unknown = || UnknownPolicy(name.to_owned());
    match name {
        "none" | "npa" => return Ok(Box::new(Still { full_power: true })),
        "dvfs" => return Ok(Box::new(Still { full_power: false })),
        _ => {}
    }
    let mut parts = name.split('-');
    let (detect, mut rest) = (parts.next().unwrap_or_default(), parts);
    if detect == "vmpack" {
        let settings = Settings::parse(name.strip_prefix("vmpack").unwrap_or_default());
        return settings
            .map(|s| -> Box<dyn Policy> { Box::new(Vmpack::new(s)) })
            .ok_or_else(unknown);
    }
    let select = match rest.next() {
        Some("mmt") => Select::MinimumMigrationTime,
        Some("mc") => Select::MaximumCorrelation,
        _ => return Err(unknown()),
    };
    let parameter = |usual: f64, given: Option<&str>| match given {
        None => Ok(usual),
        Some(text) => text
            .parse()
            .ok()
            .filter(|p: &f64| p.is_finite() && *p >= 0.0)
            .ok_or_else(unknown),
    };
    let given = rest.next();
    if rest.next().is_some() {
        return Err(unknown());
    }
    let (detect, place) = match detect {
        "thr" => (Detect::Threshold(parameter(0.8, given)?), Place::LeastPower),
        "ff" => (Detect::Threshold(parameter(0.8, given)?), Place::First),
        "iqr" => (
            Detect::InterquartileRange(parameter(1.5, given)?),
            Place::LeastPower,
        ),
        "mad" => (
            Detect::MedianDeviation(parameter(2.5, given)?),
            Place::LeastPower,
        ),
        "lr" => (
            Detect::Regression(parameter(1.2, given)?),
            Place::LeastPower,
        ),
        _ => return Err(unknown()),
    };
    Ok(Box::new(Heuristic {
        detect,
        select,
        place,
    }))
}
