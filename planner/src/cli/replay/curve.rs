//! `vmpack replay --curve`: every policy with several settings, energy against SLATAH.

use std::fmt::Write;
use std::path::Path;

use vmpack_domain::exit::Exit;
use vmpack_domain::units::Micros;
use vmpack_planner::page::{COLOURS, escaped, step, stroke, ticks, width};
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
const HIGH: f64 = 410.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 32.0;
/// Below the curves: the axis, and a line for what is not drawn.
const BOTTOM: f64 = 50.0;
const NOTE: f64 = 16.0;
/// From one name to the next below it.
const GAP: f64 = 14.0;

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
    let far = points().map(|o| o.slatah * 100.0).fold(1.0, f64::max);
    let (x_step, y_step) = (step(far), step(most));
    let (x_end, y_end) = (
        (far / x_step).ceil() * x_step,
        (most / y_step).ceil() * y_step,
    );
    let names = families.iter().map(|f| width(&f.0)).fold(100.0, f64::max);
    let (bottom, end) = (TOP + HIGH, WIDTH - 20.0 - names.min(260.0));
    let x = |o: &Outcome| LEFT + o.slatah * 100.0 / x_end * (end - LEFT);
    let y = |o: &Outcome| bottom - o.kwh / y_end * HIGH;
    let notes = notes(families, shown);
    let height = bottom + BOTTOM + NOTE * notes.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\" \
         aria-label=\"energy against SLATAH\">\n\
         <style>text{{fill:#222}}.axis{{stroke:#888}}.grid{{stroke:#8884}}\
         svg{{background:#fff}}.name{{paint-order:stroke;stroke:#fff;stroke-width:4px}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ddd}}svg{{background:#16181d}}\
         .name{{stroke:#16181d}}}}</style>\n"
    );
    axes(&mut svg, (x_end, x_step), (y_end, y_step), end);
    let mut ends = Vec::new();
    for (i, (family, done)) in families.iter().enumerate() {
        let seen: Vec<&(String, Outcome, f64)> = done.iter().filter(|p| shown(&p.1)).collect();
        let path: Vec<String> = seen
            .iter()
            .map(|p| format!("{:.1},{:.1}", x(&p.1), y(&p.1)))
            .collect();
        let line = path.join(" ");
        // From setting to setting, in their order.
        let _ = writeln!(
            svg,
            "<polyline points=\"{line}\" fill=\"none\" stroke-width=\"2\" {}/>",
            stroke(i)
        );
        for (name, o, _) in &seen {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{}\"><title>{}: {:.2} \
                 kWh, SLATAH {:.2} %, {} migrations</title></circle>",
                x(o),
                y(o),
                COLOURS[i % COLOURS.len()],
                escaped(name),
                o.kwh,
                o.slatah * 100.0,
                o.migrations
            );
        }
        if let Some((_, o, _)) = seen.last() {
            ends.push((i, family.as_str(), x(o), y(o)));
        }
    }
    let drawn = points().filter(|o| shown(o));
    let drawn: Vec<(f64, f64)> = drawn.map(|o| (x(o), y(o))).collect();
    let wanted: Vec<(f64, f64, f64)> = ends.iter().map(|e| (e.2, e.3, width(e.1))).collect();
    for ((i, family, x, y), at) in ends.into_iter().zip(beside(&wanted, &drawn, bottom)) {
        let _ = writeln!(
            svg,
            "<line class=\"leader\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" {}/>\
             <text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x + 12.0,
            stroke(i),
            x + 14.0,
            at + 4.0,
            escaped(family)
        );
    }
    for (i, note) in notes.iter().enumerate() {
        let y = bottom + BOTTOM + NOTE * i as f64;
        let _ = writeln!(svg, "<text x=\"6\" y=\"{y:.1}\">{}</text>", escaped(note));
    }
    svg + "</svg>\n"
}

/// What is not drawn, in lines that fit.
fn notes(families: &[Family], shown: impl Fn(&Outcome) -> bool) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let all = families.iter().flat_map(|f| &f.1);
    for (name, outcome, _) in all.filter(|p| !shown(&p.1)) {
        let one = format!("{name} {:.0} kWh", outcome.kwh);
        match notes.last_mut() {
            Some(last) if width(last) + width(&one) < WIDTH - 30.0 => {
                last.push_str(", ");
                last.push_str(&one);
            }
            Some(last) => {
                last.push(',');
                notes.push(one);
            }
            None => notes.push(format!("not drawn: {one}")),
        }
    }
    notes
}

/// How high names stand beside points and are so wide, none over another or over a point: as near as can be to
/// where each is wanted, those before it first.
fn beside(wanted: &[(f64, f64, f64)], points: &[(f64, f64)], bottom: f64) -> Vec<f64> {
    let mut placed: Vec<(f64, f64, f64)> = Vec::new();
    for (x, y, wide) in wanted {
        let free = |at: f64| {
            let over =
                |p: &(f64, f64, f64)| (p.1 - at).abs() < GAP && p.0 < x + wide && *x < p.0 + p.2;
            // Of a point, its whole circle.
            let hides =
                |p: &(f64, f64)| (p.1 - at).abs() < 11.0 && p.0 > x + 8.0 && p.0 < x + 19.0 + wide;
            let inside = (TOP..=bottom).contains(&at);
            inside && !placed.iter().any(over) && !points.iter().any(hides)
        };
        let steps = (0..=placed.len() * 2 + 400).map(|k| {
            let away = k.div_ceil(2) as f64 * 2.0;
            if k % 2 == 0 { y + away } else { y - away }
        });
        let at = steps.into_iter().find(|at| free(*at)).unwrap_or(*y);
        placed.push((*x, at, *wide));
    }
    placed.into_iter().map(|p| p.1).collect()
}

fn axes(svg: &mut String, (x_end, x_step): (f64, f64), (y_end, y_step): (f64, f64), end: f64) {
    let bottom = TOP + HIGH;
    for (k, up) in ticks(y_end, y_step) {
        let y = bottom - up * HIGH;
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
         <text x=\"{:.1}\" y=\"14\" text-anchor=\"end\">kWh</text>",
        f64::midpoint(LEFT, end),
        bottom + 32.0,
        LEFT - 6.0
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

    #[test]
    fn names_beside_one_another_do_not_hide_one_another() {
        // Nine that end at one point, one that is far away and stays, and one at each edge.
        let mut wanted = vec![(100.0, 200.0, 60.0); 9];
        wanted.push((400.0, 200.0, 60.0));
        wanted.push((100.0, TOP, 60.0));
        wanted.push((100.0, 300.0, 60.0));
        let places = beside(&wanted, &[], 300.0);
        assert!((places[0] - 200.0).abs() < 1e-9 && (places[9] - 200.0).abs() < 1e-9);
        for (i, a) in places.iter().enumerate() {
            assert!((TOP..=300.0).contains(a), "{places:?}");
            for (j, b) in places.iter().enumerate().filter(|b| b.0 < i) {
                let apart = (a - b).abs() >= GAP || (i == 9) != (j == 9);
                assert!(apart, "{places:?}");
            }
        }
    }

    #[test]
    fn names_hide_no_point() {
        let points = [(100.0, 200.0), (140.0, 203.0), (90.0, 180.0)];
        let places = beside(&[(100.0, 200.0, 60.0)], &points, 300.0);
        assert!((places[0] - 203.0).abs() >= 11.0 && (places[0] - 200.0).abs() < 20.0);
    }

    #[test]
    fn what_is_not_drawn_stands_below_the_axis_in_lines_that_fit() {
        let mut fleet = Vec::new();
        let outcome = |kwh: f64, migrations: u64| Outcome {
            kwh,
            migrations,
            ..nothing()
        };
        fleet.push((
            "lr".to_owned(),
            vec![("lr-1".to_owned(), outcome(10.0, 5), 0.0)],
        ));
        for i in 0..12 {
            let name = format!("vmpack-of-a-long-name-{i}");
            fleet.push((name.clone(), vec![(name, outcome(90.0, 0), 0.0)]));
        }
        let notes = notes(&fleet, |o| o.kwh <= 10.0);
        assert!(notes.len() > 1 && notes[0].starts_with("not drawn: vmpack"));
        assert!(notes.iter().all(|n| width(n) < WIDTH), "{notes:?}");
        let svg = drawn(&fleet);
        let y = |text: &str| -> f64 {
            let before = svg.split(text).next().unwrap();
            let y = before.rsplit("y=\"").next().unwrap();
            y.split('"').next().unwrap().parse().unwrap()
        };
        assert!(y("not drawn") - y("SLATAH, %") >= 12.0, "{svg}");
        assert!(y(">10<") - y(">kWh<") >= 12.0, "{svg}");
    }

    fn nothing() -> Outcome {
        let fleet = vmpack_planner::import::planetlab::fleet(&[], &Default::default());
        let mut policy = vmpack_planner::replay::Still { full_power: false };
        let mut watch = vmpack_planner::replay::Unwatched;
        vmpack_planner::replay::replay(fleet, &mut policy, Micros::secs(300), &mut watch)
    }
}
