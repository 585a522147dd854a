//! `vmpack replay --cluster`: an operator's own cluster under the load that was recorded of it.

use vmpack_domain::HostName;
use vmpack_domain::units::Micros;
use vmpack_planner::replay::own::{OwnError, Setup, own};
use vmpack_planner::whatif::Scene;

use super::{Played, deaths};
use crate::cli::arguments::{InputArguments, LimitArguments, ReplayArguments};
use crate::cli::failure::Failure;
use crate::cli::inputs;
use crate::cli::screen::count;
use crate::cli::session::Session;

/// What hosts draw and how long they take to wake, where it is not said.
const WATTS: (f64, f64) = (100.0, 300.0);
const WAKE: Micros = Micros::secs(60);

/// Reads the cluster; what is done differently than it says is told.
pub(super) fn read(
    files: &InputArguments,
    arguments: &ReplayArguments,
    session: &mut Session,
) -> Result<Played, Failure> {
    let written = [&arguments.events, &arguments.curve, &arguments.report];
    let written: Vec<_> = written.into_iter().flatten().map(|p| p.as_path()).collect();
    inputs::spare(files, &written)?;
    let read = inputs::read(files, &LimitArguments::default(), session)?;
    let scene = Scene {
        cluster: read.cluster,
        load: read.load,
        policy: read.policy,
    };
    let setup = Setup {
        watts: arguments.own.watts.map_or(WATTS, |w| (w.idle, w.full)),
        wake: arguments.wake_time.unwrap_or(WAKE),
        failing: arguments.failing,
        seed: arguments.seed,
        deaths: deaths(arguments, |name| name.parse::<HostName>().ok())?,
    };
    let own = own(&scene, &setup).map_err(|e| match e {
        OwnError::NoSuchHost(_) => Failure::usage(e.to_string()),
        _ => Failure::input(e.to_string()),
    })?;
    if let Some(first) = own.left_out.first() {
        let many = count(own.left_out.len(), "host");
        writeln!(
            session.err,
            "left out: {many} that take no guests, such as {first}; guests that are there start elsewhere"
        )?;
    }
    if own.constant > 0 {
        let many = count(own.constant, "guest");
        writeln!(
            session.err,
            "{many} without windows over time: the mean all the time, or all vCPUs where nothing was measured"
        )?;
    }
    let made = format!(
        "guests start where they are; a host draws {} W idle and {} W at full load",
        setup.watts.0, setup.watts.1
    );
    Ok(Played {
        fleet: own.fleet,
        until: own.until,
        scene: Some(own.scene),
        made,
    })
}
