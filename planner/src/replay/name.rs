//! Policies by name, as the command line takes them.

use vmpack_domain::units::Micros;

use super::{Detect, Heuristic, Place, Planned, Policy, Select, Settings, Still, Vmpack};
use crate::whatif::Scene;

/// Every name with its usual parameter, for help and errors.
pub const NAMES: &str = "none, dvfs, thr-mmt-0.8, iqr-mmt-1.5, mad-mmt-2.5, lr-mmt-1.2, lr-mc-1.2, \
                         ff-mmt-0.8, vmpack, plan-1h";

/// How often `plan` packs, where it is not said.
const EVERY: Micros = Micros::secs(3600);

/// Why there is no such policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPolicy {
    /// A name that is none.
    #[error("read the policy `{0}`, expected one of {NAMES}")]
    Unknown(String),
    /// It plans by hosts, guests and rules, which a bare trace does not have.
    #[error(
        "read the policy `{0}`, which needs a cluster to plan: expected `--cluster` in place of `--trace`"
    )]
    NeedsCluster(String),
}

/// The policy of that name. The parameter at its end may be left out, and may be another. What is replayed
/// is given where it is an operator's cluster.
///
/// # Errors
/// When there is none.
pub fn policy(name: &str, scene: Option<&Scene>) -> Result<Box<dyn Policy>, NoPolicy> {
    let unknown = || NoPolicy::Unknown(name.to_owned());
    match name {
        "none" | "npa" => return Ok(Box::new(Still { full_power: true })),
        "dvfs" => return Ok(Box::new(Still { full_power: false })),
        _ => {}
    }
    if let Some(rest) = name.strip_prefix("plan") {
        let every = match rest.strip_prefix('-') {
            None if rest.is_empty() => EVERY,
            None => return Err(unknown()),
            Some(text) => text
                .parse()
                .ok()
                .filter(|t| *t > Micros::ZERO)
                .ok_or_else(unknown)?,
        };
        let scene = scene.ok_or_else(|| NoPolicy::NeedsCluster(name.to_owned()))?;
        return Ok(Box::new(Planned::new(scene.clone(), every)));
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
