//! The answers as a person reads them in the terminal.

use vmpack_domain::units::{MiB, Micros};
use vmpack_planner::whatif::{Answer, Broken, Free};
use vmpack_planner::{HostRow, Status, Summary};

use super::{Swept, difference};
use crate::cli::report::ways_out;
use crate::cli::screen::{Look, Screen, memory, time};
use crate::cli::table::table;

/// The most broken laws, and hosts, that are listed.
const LISTED: usize = 12;
/// Characters of the longest bar.
const BAR: usize = 30;

/// Today against then: what is compared, today, what if, and the difference.
pub(super) fn compared(today: &Answer, then: &Answer) -> Vec<[String; 4]> {
    let change = difference(today, then);
    let count = |n: Option<i64>| match n {
        Some(0) => "same".to_owned(),
        Some(n) => format!("{n:+}"),
        None => String::new(),
    };
    let signed = |n: Option<f64>, text: &dyn Fn(f64) -> String| match n {
        Some(n) if n.abs() < 0.05 => "same".to_owned(),
        Some(n) => format!("{}{}", if n < 0.0 { '-' } else { '+' }, text(n.abs())),
        None => String::new(),
    };
    #[expect(clippy::cast_precision_loss, reason = "memory for the eye")]
    let mib = change.move_mib.map(|n| n as f64);
    // Of shares, in percentage points, as they are shown.
    let points = |of: &dyn Fn(&Answer) -> Option<&Free>| {
        let whole = |a| of(a).map(|f| (f.share * 100.0 + 1e-9).floor());
        match whole(today).zip(whole(then)) {
            Some((a, b)) if (a - b).abs() < 0.5 => "same".to_owned(),
            Some((a, b)) => format!("{:+.0} points", b - a),
            None => String::new(),
        }
    };
    let row = |name: &str, of: &dyn Fn(&Answer) -> Option<String>, change: String| {
        let cell = |a| of(a).unwrap_or_else(|| "-".into());
        [name.to_owned(), cell(today), cell(then), change]
    };
    vec![
        row(
            "answer",
            &|a| Some(a.summary.status.name().into()),
            String::new(),
        ),
        row(
            "hosts in use now",
            &|a| Some(a.summary.hosts_before.to_string()),
            count(change.hosts_before),
        ),
        row(
            "hosts planned",
            &|a| Some(a.summary.hosts_after?.to_string()),
            count(change.hosts_after),
        ),
        row(
            "hosts at least",
            &|a| Some(a.summary.hosts_bound?.to_string()),
            count(change.hosts_bound),
        ),
        row(
            "least free CPU",
            &|a| free(a.least_cpu.as_ref()),
            points(&|a| a.least_cpu.as_ref()),
        ),
        row(
            "least free memory",
            &|a| free(a.least_memory.as_ref()),
            points(&|a| a.least_memory.as_ref()),
        ),
        row("moves", &moves, count(change.moves)),
        row(
            "guests to start",
            &planned_count(|s| s.starts.len()),
            count(change.starts),
        ),
        row(
            "hosts to wake",
            &planned_count(|s| s.wake.len()),
            count(change.wake),
        ),
        row(
            "memory moved",
            &|a| a.summary.move_mib.map(|m| memory(MiB(m))),
            signed(mib, &|n| memory(MiB(whole(n)))),
        ),
        row(
            "time",
            &|a| a.summary.move_seconds.map(seconds),
            signed(change.move_seconds, &seconds),
        ),
        row(
            "in split state",
            &|a| a.split_seconds.map(seconds),
            signed(change.split_seconds, &seconds),
        ),
    ]
}

/// Today against then.
pub(super) fn one(today: &Answer, then: &Answer, stops: &[Broken], screen: Screen) -> String {
    let rows = compared(today, then);
    let mut text = table(["", "today", "what if", "difference"], rows, 1..4);
    text += &headrooms(today, then);
    for (when, answer) in [("today", today), ("what if", then)] {
        let summary = &answer.summary;
        if matches!(summary.status, Status::Infeasible | Status::NoAnswer) {
            let line = format!("{when}: {}", summary.status.name());
            text += &format!("{}\n", screen.paint(Look::Bad, &line));
            for reason in &summary.reasons {
                text += &format!("  {reason}\n");
            }
            text += &ways_out(summary, screen);
        }
    }
    text + &broken(stops, screen)
}

/// What is free of each host that either plan uses; of many hosts nothing.
fn headrooms(today: &Answer, then: &Answer) -> String {
    let planned = |a: &Answer| a.summary.hosts_after.is_some();
    let hosts = &then.summary.hosts;
    if !planned(then) || hosts.len() > LISTED {
        return String::new();
    }
    let before = |h: &HostRow| {
        let found = today.summary.hosts.iter().find(|t| t.name == h.name);
        found.filter(|_| planned(today))
    };
    let rows = hosts.iter().map(|h| {
        let cells = |row: Option<&HostRow>| match row {
            None => ["-".to_owned(), "-".to_owned()],
            Some(row) if !row.after.in_use => ["empty".to_owned(), "empty".to_owned()],
            #[expect(clippy::cast_precision_loss, reason = "a share for the eye")]
            Some(row) => [
                percent(1.0 - row.after.cpu / row.cpu_room),
                percent(1.0 - row.after.mib as f64 / row.mib_room as f64),
            ],
        };
        let ([a, b], [c, d]) = (cells(before(h)), cells(Some(h)));
        [h.name.to_string(), a, c, b, d]
    });
    let header = ["free of", "CPU today", "what if", "memory today", "what if"];
    format!("\n{}", table(header, rows, 1..5))
}

fn broken(stops: &[Broken], screen: Screen) -> String {
    let mut text = String::new();
    if !stops.is_empty() {
        let line = "stops holding where guests run now:";
        text += &format!("\n{}\n", screen.paint(Look::Bad, line));
    }
    for broken in stops.iter().take(LISTED) {
        text += &format!("  {}: {}\n", broken.law, broken.detail);
    }
    if stops.len() > LISTED {
        text += &format!("  {} {} more\n", screen.ellipsis(), stops.len() - LISTED);
    }
    text
}

/// A row for each value, with the hosts as a bar.
pub(super) fn range(swept: &Swept, screen: Screen) -> String {
    let most = swept
        .points
        .iter()
        .filter_map(|p| p.told.summary.hosts_after);
    let most = most.max().unwrap_or(0).max(1);
    let full = if screen.unicode { "█" } else { "#" };
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let rows = swept.points.iter().map(|point| {
        let summary = &point.told.summary;
        let bar = summary.hosts_after.map_or_else(
            || summary.status.name().to_owned(),
            |n| full.repeat((n * BAR).div_ceil(most)),
        );
        [
            point.value.to_owned(),
            dash(summary.hosts_after.map(|n| n.to_string())),
            dash(summary.hosts_bound.map(|n| n.to_string())),
            dash(moves(point.told)),
            dash(summary.move_mib.map(|m| memory(MiB(m)))),
            dash(summary.move_seconds.map(seconds)),
            dash(point.told.split_seconds.map(seconds)),
            point.stops_holding.len().to_string(),
            bar,
        ]
    });
    let header = [
        swept.range,
        "hosts",
        "at least",
        "moves",
        "moved",
        "time",
        "split",
        "broken",
        "",
    ];
    let today = &swept.today.summary;
    let planned = match today.hosts_after {
        Some(n) => format!("{n} planned"),
        None => today.status.name().to_owned(),
    };
    format!(
        "today {} hosts in use, {planned}\n\n{}",
        today.hosts_before,
        table(header, rows, 1..8)
    )
}

/// A number of a plan; nothing where there is none.
fn planned_count(of: impl Fn(&Summary) -> usize) -> impl Fn(&Answer) -> Option<String> {
    move |answer| {
        let summary = &answer.summary;
        summary.hosts_after.map(|_| of(summary).to_string())
    }
}

fn moves(answer: &Answer) -> Option<String> {
    let summary = &answer.summary;
    summary.hosts_after.map(|_| summary.moves.len().to_string())
}

fn free(free: Option<&Free>) -> Option<String> {
    let free = free?;
    Some(format!("{} on {}", percent(free.share), free.host))
}

/// A share in whole percents, downwards: what is free is not overstated.
fn percent(share: f64) -> String {
    format!("{:.0}%", (share * 100.0 + 1e-9).floor())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an amount that is not below 0, for the eye"
)]
fn whole(value: f64) -> u64 {
    value.max(0.0).round() as u64
}

fn seconds(value: f64) -> String {
    time(Micros(whole(value * 1e6)))
}
