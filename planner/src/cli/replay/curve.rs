//! `vmpack replay --curve`: every policy with several settings, energy against SLATAH.

use std::fmt::Write;
use std::path::Path;

use vmpack_domain::exit::Exit;
use vmpack_domain::units::Micros;
use vmpack_planner::page::{step, ticks};
use vmpack_planner::replay::Outcome;

use super::page::page;
use super::watch::Watching;
use super::{Played, one, print_line, shown};
use crate::cli::arguments::ReplayArguments;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::session::Session;

/// A family's name without numbers, and the numbers that it is replayed with.
const SETTINGS: &[(&str, &[&str])] = &[
    ("thr", &["0.6", "0.7", "0.8", "0.9", "1.0"]),
    ("ff", &["0.6", "0.7", "0.8", "0.9", "1.0"]),
    ("iqr", &["0.5", "1.0", "1.5", "2.0", "2.5"]),
    ("mad", &["1.0", "1.5", "2.0", "2.5", "3.0"]),
    ("lr", &["1.0", "1.1", "1.2", "1.3", "1.4"]),
    ("vmpack", &["0.02", "0.05", "0.1", "0.15", "0.2"]),
    ("plan", &["30m", "1h", "2h", "4h", "8h"]),
];

/// Replays, prints a table, and draws.
pub(super) fn run(
    file: &Path,
    arguments: &ReplayArguments,
    (played, policies): (&Played, &[String]),
    session: &mut Session,
) -> Result<Exit, Failure> {
    let mut watch = Watching::new(session, None, arguments.report.is_some())?;
    let mut families = Vec::new();
    'all: for name in policies {
        let (family, settings) = settings(name);
        let mut done = Vec::new();
        for name in settings {
            let Some((outcome, seconds)) = one(&name, played, &mut watch)? else {
                break 'all;
            };
            if arguments.json {
                print_line(&name, (&outcome, seconds), played.until, session)?;
            }
            done.push((name, outcome, seconds));
        }
        families.push((family, done));
    }
    watch.end()?;
    if session.stopped() {
        writeln!(session.err, "stopped: nothing is drawn")?;
        return Ok(Exit::NoAnswer);
    }
    if !arguments.json {
        let all: Vec<_> = families.iter().flat_map(|f| f.1.iter().cloned()).collect();
        session.out.write_all(shown(&all).as_bytes())?;
    }
    output::write_whole(file, &drawn(&families))?;
    if let Some(report) = &arguments.report {
        output::write_whole(report, &page(&families, watch.looks(), played))?;
    }
    Ok(Exit::Done)
}

/// A policy's family, and its names with each setting.
fn settings(name: &str) -> (String, Vec<String>) {
    let is_word = |w: &&str| w.parse::<f64>().is_err() && w.parse::<Micros>().is_err();
    let words = name.split('-').filter(is_word);
    let family = words.collect::<Vec<_>>().join("-");
    let first = family.split('-').next().unwrap_or_default();
    let known = SETTINGS.iter().find(|s| s.0 == first);
    let names = known.map_or_else(
        || vec![name.to_owned()],
        |(_, numbers)| numbers.iter().map(|n| format!("{family}-{n}")).collect(),
    );
    (family, names)
}

/// A name, and each of its settings with what came of it.
pub(super) type Family = (String, Vec<(String, Outcome, f64)>);

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;
/// Told apart without colour too: each line has its name at its end.
pub(super) const COLOURS: [&str; 8] = [
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#997700",
];

/// Energy (up) against SLATAH (to the right), a line for each family. Policies without overload at
/// several times the energy of the others, such as `none`, are named below and not drawn.
pub(super) fn drawn(families: &[Family]) -> String {
    let points = || families.iter().flat_map(|f| &f.1).map(|p| &p.1);
    let moving = points().filter(|o| o.migrations > 0).map(|o| o.kwh);
    let most = moving.fold(0.0, f64::max);
    let most = if most > 0.0 {
        most
    } else {
        points().map(|o| o.kwh).fold(1.0, f64::max)
    };
    let shown = |o: &Outcome| o.kwh <= most;
    let right = points().map(|o| o.slatah * 100.0).fold(1.0, f64::max);
    let (x_step, y_step) = (step(right), step(most));
    let (x_end, y_end) = (
        (right / x_step).ceil() * x_step,
        (most / y_step).ceil() * y_step,
    );
    let x = |o: &Outcome| LEFT + o.slatah * 100.0 / x_end * (WIDTH - LEFT - RIGHT);
    let y = |o: &Outcome| HEIGHT - BOTTOM - o.kwh / y_end * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\" \
         aria-label=\"energy against SLATAH\">\n\
         <style>text{{fill:#222}}.axis{{stroke:#888}}.grid{{stroke:#8884}}\
         svg{{background:#fff}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ddd}}svg{{background:#16181d}}}}</style>\n"
    );
    axes(&mut svg, (x_end, x_step), (y_end, y_step));
    let mut left_out = Vec::new();
    for (i, (family, done)) in families.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let seen: Vec<&(String, Outcome, f64)> = done.iter().filter(|p| shown(&p.1)).collect();
        for (name, outcome, _) in done.iter().filter(|p| !shown(&p.1)) {
            left_out.push(format!("{name} {:.0} kWh", outcome.kwh));
        }
        let path: Vec<String> = seen
            .iter()
            .map(|p| format!("{:.1},{:.1}", x(&p.1), y(&p.1)))
            .collect();
        let line = path.join(" ");
        // From setting to setting, in their order.
        let _ = writeln!(
            svg,
            "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        for (name, o, _) in &seen {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"><title>{name}: {:.2} \
                 kWh, SLATAH {:.2} %, {} migrations</title></circle>",
                x(o),
                y(o),
                o.kwh,
                o.slatah * 100.0,
                o.migrations
            );
        }
        if let Some((_, o, _)) = seen.last() {
            let (x, y) = (x(o) + 8.0, y(o) + 4.0);
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\">{family}</text>");
        }
    }
    if !left_out.is_empty() {
        let text = left_out.join(", ");
        let y = HEIGHT - 8.0;
        let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"{y}\">not drawn: {text}</text>");
    }
    svg + "</svg>\n"
}

fn axes(svg: &mut String, (x_end, x_step): (f64, f64), (y_end, y_step): (f64, f64)) {
    let (bottom, end) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for (k, up) in ticks(y_end, y_step) {
        let y = bottom - up * (bottom - TOP);
        let class = if k == 0.0 { "axis" } else { "grid" };
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{end}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{k}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for (k, along) in ticks(x_end, x_step) {
        let x = LEFT + along * (end - LEFT);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{k}</text>",
            bottom + 16.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">SLATAH, %</text>\
         <text x=\"6\" y=\"14\">kWh</text>",
        f64::midpoint(LEFT, end),
        bottom + 32.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_replayed_with_its_familys_settings() {
        let (family, names) = settings("lr-mc-1.2");
        assert_eq!(family, "lr-mc");
        assert!(names.contains(&"lr-mc-1.3".to_owned()), "{names:?}");
        assert_eq!(settings("dvfs").1, ["dvfs"]);
        for name in names {
            assert!(
                vmpack_planner::replay::policy(&name, None).is_ok(),
                "{name}"
            );
        }
    }
}
