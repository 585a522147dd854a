//! `vmpack replay --scenario surge`.

use std::time::Instant;

use serde::Serialize;
use vmpack_domain::exit::Exit;
use vmpack_domain::plan::Mode;
use vmpack_domain::units::Micros;
use vmpack_planner::replay::surge::{Outcome, Settings, Way, surges};

use crate::cli::arguments::ReplayArguments;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::table::table;

const WAYS: [(&str, Way); 4] = [
    ("not packed", Way::NotPacked),
    ("packed, no relief", Way::Packed),
    ("packed, pre-copy", Way::Relieved(Mode::PreCopy)),
    ("packed, post-copy", Way::Relieved(Mode::PostCopy)),
];

#[derive(Serialize)]
struct Line {
    way: &'static str,
    #[serde(flatten)]
    outcome: Outcome,
    /// Wall time of it.
    seconds: f64,
}

/// A day of surges, each way by itself.
pub(super) fn run(arguments: &ReplayArguments, session: &mut Session) -> Result<Exit, Failure> {
    let settings = Settings {
        hosts: arguments.hosts.unwrap_or(200),
        guests: arguments.guests,
        surges: arguments.surges,
        span: Micros::secs(24 * 3600),
        seed: arguments.seed,
    };
    let mut lines = Vec::new();
    for (name, way) in WAYS {
        let began = Instant::now();
        let outcome = surges(&settings, way).map_err(|e| Failure::new(Exit::Infeasible, e))?;
        let line = Line {
            way: name,
            outcome,
            seconds: began.elapsed().as_secs_f64(),
        };
        if arguments.json {
            let text = serde_json::to_string(&line)
                .map_err(|e| Failure::new(Exit::Bug, format!("a result has no JSON: {e}")))?;
            writeln!(session.out, "{text}")?;
        }
        lines.push(line);
    }
    if !arguments.json {
        session.out.write_all(shown(&lines).as_bytes())?;
    }
    Ok(Exit::Done)
}

fn shown(lines: &[Line]) -> String {
    let rows = lines.iter().map(|line| {
        let o = &line.outcome;
        let over = o.host_seconds as f64 / o.host_seconds_bound.max(1) as f64 - 1.0;
        [
            line.way.to_owned(),
            o.violation_seconds.to_string(),
            o.unserved_core_seconds.to_string(),
            format!("{:.0}", o.host_seconds as f64 / 3600.0),
            format!("{:.1}", 100.0 * over),
            o.migrations.to_string(),
            o.oscillations.to_string(),
            o.woken.to_string(),
            format!("{:.1}", line.seconds),
        ]
    });
    let header = [
        "way",
        "violation s",
        "unserved core s",
        "host hours",
        "over bound %",
        "migrations",
        "oscillations",
        "woken",
        "seconds",
    ];
    table(header, rows, 1..9)
}
