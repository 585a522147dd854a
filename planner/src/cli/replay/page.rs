//! `vmpack replay --report`: the policies side by side as a page that holds all in itself. It needs no
//! script: a table, and the picture that `--curve` draws.

use std::fmt::Write;

use vmpack_planner::page::{document, escaped};

use super::Played;
use super::curve::{Family, drawn};
use super::over_time::{self, Look, Seen};
use crate::cli::screen::count;

/// What the columns are, by the metrics' names in the field.
const METRICS: &[(&str, &str)] = &[
    (
        "kWh",
        "energy of all hosts, by what they draw at their load",
    ),
    ("migrations", "begun, those that failed included"),
    (
        "SLATAH %",
        "of the time in which hosts carried load, the part in which they gave less than they were asked for",
    ),
    (
        "PDM %",
        "what guests did not get while they were migrated, of all that they wanted",
    ),
    ("SLAV %", "SLATAH × PDM"),
    ("ESV", "energy × SLAV, in kWh × %"),
    (
        "unserved %",
        "what guests did not get at all, of all that they wanted",
    ),
    ("host hours", "for which hosts were awake"),
    (
        "violation h",
        "for which a guest got less than it wanted because its host was too full, over all guests",
    ),
    (
        "relief p95 s",
        "95 of 100 overloads of a host lasted so long at most",
    ),
];

/// The page of these policies, each family a line of the picture.
pub(super) fn page(families: &[Family], looks: &[(String, Vec<Look>)], played: &Played) -> String {
    let hours = played.until.to_std().as_secs_f64() / 3600.0;
    let (fleet, physics) = (&played.fleet, played.fleet.physics());
    let wake = fleet.hosts().iter().map(|h| h.wake).max();
    let made = format!(
        "{}, {}, {hours:.0} hours; {}{}{}; made by vmpack {}",
        count(fleet.hosts().len(), "host"),
        count(fleet.guests().len(), "guest"),
        played.made,
        match wake.filter(|_| !physics.free_sleep) {
            Some(wake) => format!(", hosts wake in {} s", wake.to_std().as_secs_f64()),
            None => ", hosts wake at once".to_owned(),
        },
        match (physics.failing.0, physics.deaths.len()) {
            (0, 0) => String::new(),
            (_, died) => format!(", {} of migrations fail, {died} hosts die", physics.failing),
        },
        env!("CARGO_PKG_VERSION")
    );
    let mut page = String::new();
    page += "<section id=\"policies\"><h2>Policies</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">policy</th>";
    for (name, _) in METRICS {
        let _ = write!(page, "<th scope=\"col\" class=\"n\">{name}</th>");
    }
    page += "</tr></thead>\n<tbody>\n";
    for (name, o, _) in families.iter().flat_map(|f| &f.1) {
        let _ = write!(page, "<tr><td>{}</td>", escaped(name));
        for cell in [
            format!("{:.2}", o.kwh),
            o.migrations.to_string(),
            format!("{:.2}", o.slatah * 100.0),
            format!("{:.3}", o.pdm * 100.0),
            format!("{:.5}", o.slav * 100.0),
            format!("{:.4}", o.esv * 100.0),
            format!("{:.3}", o.unserved * 100.0),
            format!("{:.0}", o.host_hours),
            format!("{:.1}", o.violation_seconds / 3600.0),
            format!("{:.0}", o.relief_p95),
        ] {
            let _ = write!(page, "<td class=\"n\">{cell}</td>");
        }
        page += "</tr>\n";
    }
    page += "</tbody></table></div></section>\n<section id=\"curve\"><h2>Energy against time of overload</h2>\n";
    page += &drawn(families);
    page += "</section>\n<section id=\"load\"><h2>Load over time</h2>\n";
    page += "<p class=\"faint\">Shares of all hosts' CPU. Dashed: what guests want. A line for each policy: what the hosts that it has in use could give.";
    if families.iter().any(|f| f.1.len() > 1) {
        page += " Of several settings of a policy, the middle one is drawn.";
    }
    page += "</p>\n";
    page += &over_time::drawn(&middle(families, looks), physics.interval);
    page += "</section>\n<section id=\"metrics\"><h2>What is counted</h2>\n<table><tbody>\n";
    for (name, what) in METRICS {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{name}</th><td>{what}</td></tr>"
        );
    }
    page += "</tbody></table></section>\n";
    document("replay", &made, &page)
}

/// What was seen of each family: that of its middle setting, in the colour that the family has in the curve.
fn middle<'a>(families: &'a [Family], looks: &'a [(String, Vec<Look>)]) -> Vec<Seen<'a>> {
    let seen = families.iter().enumerate().filter_map(|(i, (_, done))| {
        let name = &done.get(done.len() / 2)?.0;
        let (_, looks) = looks.iter().find(|l| l.0 == *name)?;
        Some((name.as_str(), i, looks.as_slice()))
    });
    seen.collect()
}
