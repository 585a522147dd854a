//! `--report FILE` of `apply`, `resume` and `status`: what came of runs, as a page that holds all in itself.
//! It is made from their journal alone, and needs no script.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use vmpack_domain::exit::Exit;
use vmpack_domain::journal::{Event, MoveState, Progress};
use vmpack_domain::plan::{Mode, Move, MoveId, Plan};
use vmpack_domain::units::{MiB, count};
use vmpack_planner::page::{document, escaped, step, ticks};

use super::failure::Failure;
use super::summary::{MoveLine, lines, seconds, word};
use crate::journal::{Entry, Run};
use crate::world::{World, writable, write_atomically};

/// The most moves that are drawn; the table has all.
const DRAWN: usize = 200;
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 190.0;
const TOP: f64 = 24.0;
/// Of a move in the drawing.
const HIGH: f64 = 26.0;

/// Writes the page of these runs.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn write(file: &Path, runs: &[Run]) -> Result<(), Failure> {
    write_atomically(file, &page(runs)).map_err(|e| unwritable(file, &e))
}

/// Makes sure that it can be written, before guests are moved.
///
/// # Errors
/// When it cannot.
pub(super) fn ready(file: &Path) -> Result<(), Failure> {
    writable(file).map_err(|e| unwritable(file, &e))
}

fn unwritable(file: &Path, error: &std::io::Error) -> Failure {
    let what = format!("cannot write {}: {error}", file.display());
    Failure::new(Exit::Environment, what)
}

fn page(runs: &[Run]) -> String {
    let mut sections = String::new();
    let mut titles = Vec::new();
    for run in runs {
        let progress = run.progress();
        let Some(plan) = &progress.plan else {
            continue;
        };
        let moves = lines(plan, &progress);
        let moved = |l: &&MoveLine| matches!(l.state, MoveState::Moved { .. });
        let done = moves.iter().filter(moved).count();
        titles.push(format!(
            "run {}: {done} of {} carried out",
            run.id,
            count(moves.len(), "move")
        ));
        if runs.len() > 1 {
            let _ = writeln!(sections, "<h2>Run {}</h2>", run.id);
        }
        outcome(&mut sections, run, plan, &progress, &moves);
        schedule(&mut sections, run, plan, &moves);
        table_of(&mut sections, run, plan, &moves);
        journal(&mut sections, run, plan);
    }
    let title = match titles.as_slice() {
        [] => "no run".to_owned(),
        all => all.join("; "),
    };
    let made = format!("made by vmpack {}", env!("CARGO_PKG_VERSION"));
    document(&title, &made, &sections)
}

fn outcome(page: &mut String, run: &Run, plan: &Plan, progress: &Progress, moves: &[MoveLine]) {
    let mut rows: Vec<(&str, String)> = Vec::new();
    let ended = match (progress.finished, progress.aborted) {
        (Some(true), _) => "complete".to_owned(),
        (Some(false), true) => "aborted".to_owned(),
        (Some(false), false) => "partly done".to_owned(),
        (None, _) => match &progress.stopped {
            Some(why) => format!("stopped: {why}"),
            None => "not at its end".to_owned(),
        },
    };
    rows.push(("run", ended));
    let time = |e: Option<&Entry>| e.map_or_else(String::new, |e| format!("{:.0}", e.time.0));
    rows.push(("began", time(run.entries.first())));
    rows.push(("last event", time(run.entries.last())));
    let (before, after) = (plan.hosts.before.len(), plan.hosts.after.len());
    rows.push(("hosts in use, as planned", format!("{before} → {after}")));
    let mut states: BTreeMap<String, usize> = BTreeMap::new();
    for line in moves {
        *states.entry(word(&line.state)).or_default() += 1;
    }
    let states: Vec<String> = states.iter().map(|(w, n)| format!("{n} {w}")).collect();
    rows.push(("moves", states.join(", ")));
    let memory: MiB = plan.moves.iter().map(|m| m.memory).sum();
    rows.push(("memory of the guests that move", memory.to_string()));
    let longest =
        |of: fn(&MoveLine) -> Option<f64>| moves.iter().filter_map(of).max_by(f64::total_cmp);
    if let Some(longest) = longest(|l| l.switch_seconds) {
        let what = "longest from decision to execution at the target";
        rows.push((what, format!("{longest:.2} s")));
    }
    let downtimes = run.entries.iter().filter_map(|e| match &e.event {
        Event::Moved { downtime, .. } => *downtime,
        _ => None,
    });
    if let Some(longest) = downtimes.max() {
        let what = "longest standstill that the hypervisor states";
        rows.push((what, format!("{:.3} s", seconds(longest))));
    }
    let split: f64 = moves.iter().filter_map(in_split).sum();
    if split > 0.0 {
        rows.push(("in split state, over all guests", format!("{split:.1} s")));
    }
    let _ = write!(
        page,
        "<section id=\"outcome-{}\"><h2>What came of it</h2>\n<table><tbody>\n",
        run.id
    );
    for (name, value) in rows {
        let value = escaped(&value);
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>"
        );
    }
    *page += "</tbody></table></section>\n";
}

/// Seconds in which a guest that was moved had its memory on two hosts.
fn in_split(line: &MoveLine) -> Option<f64> {
    let copies_after = line.mode != Mode::PreCopy;
    let split = line.total_seconds? - line.switch_seconds?;
    copies_after.then_some(split.max(0.0))
}

/// What is drawn of a move: when it began and ended, and from when on it was in split state, in seconds.
struct Bar {
    start: f64,
    end: f64,
    split: Option<f64>,
    /// How it is drawn.
    colour: &'static str,
}

/// As planned.
fn planned(mv: &Move) -> Bar {
    let start = seconds(mv.start);
    let end = start + seconds(mv.duration);
    let split = mv.expected.map(|e| seconds(e.split)).filter(|s| *s > 0.0);
    Bar {
        start,
        end,
        split: split.map(|split| (end - split).max(start)),
        colour: "line",
    }
}

/// As it was, its last try; `None` of one that was not begun. Where simulated time does not go by with
/// the clock, its start is the planned one.
fn measured(run: &Run, mv: &Move, line: &MoveLine) -> Option<Bar> {
    let began = run.entries.first()?.time.0;
    let since = |e: &Entry| {
        (e.time.0 - began)
            .total(jiff::Unit::Second)
            .unwrap_or_default()
    };
    let of = |id: &MoveId| *id == mv.id;
    let (mut start, mut switched, mut ended) = (None, None, None);
    for entry in &run.entries {
        match &entry.event {
            Event::Intended { id, .. } if of(id) => {
                (start, switched, ended) = (Some(since(entry)), None, None);
            }
            Event::Switched { id, .. } if of(id) => switched = Some(since(entry)),
            Event::Moved { id, .. }
            | Event::Failed { id, .. }
            | Event::Interrupted { id }
            | Event::Stuck { id, .. }
            | Event::Lost { id, .. }
                if of(id) =>
            {
                ended = Some(since(entry));
            }
            _ => {}
        }
    }
    let mut start = start?;
    let clock = matches!(run.world, World::Libvirt { .. });
    if !clock {
        start = seconds(mv.start);
        (switched, ended) = (None, None);
    }
    // Where both are known, the executor's own stopwatch is the better.
    let switched = line.switch_seconds.map(|s| start + s).or(switched);
    let ended = line.total_seconds.map(|s| start + s).or(ended);
    // A plan that was then sought took its own time.
    let mut of_run = run.entries.iter().rev();
    let last = of_run.find(|e| !matches!(e.event, Event::NotReplanned { .. }));
    let last = last.map_or(start, since);
    let end = ended.unwrap_or(if clock { last } else { start });
    Some(Bar {
        start,
        end: end.max(start),
        split: switched.filter(|at| mv.mode != Mode::PreCopy && *at < end),
        colour: match line.state {
            MoveState::Moved { .. } => "a",
            MoveState::Running { .. } => "b",
            _ => "bad",
        },
    })
}

fn schedule(page: &mut String, run: &Run, plan: &Plan, moves: &[MoveLine]) {
    let drawn: Vec<(&Move, Bar, Option<Bar>)> = plan
        .moves
        .iter()
        .zip(moves)
        .take(DRAWN)
        .map(|(mv, line)| (mv, planned(mv), measured(run, mv, line)))
        .collect();
    if drawn.is_empty() {
        return;
    }
    let ends = drawn.iter().flat_map(|(_, plan, is)| {
        let is = is.as_ref().map_or(0.0, |bar| bar.end);
        [plan.end, is]
    });
    let last = ends.fold(0.1, f64::max);
    let unit = step(last);
    let end = (last / unit).ceil() * unit;
    let x = |at: f64| LEFT + at / end * (WIDTH - LEFT - 10.0);
    #[expect(clippy::cast_precision_loss, reason = "at most DRAWN")]
    let height = TOP + HIGH * drawn.len() as f64 + 4.0;
    let _ = write!(
        page,
        "<section id=\"schedule-{}\" class=\"long\"><h2>Schedule</h2>\n\
              <p class=\"key\"><span style=\"background:var(--line)\"></span>planned\
              <span style=\"background:var(--a)\"></span>as it was\
              <span style=\"background:var(--b)\"></span>under way\
              <span style=\"background:var(--split)\"></span>in split state\
              <span style=\"background:var(--bad)\"></span>did not end well</p>\n",
        run.id
    );
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"moves over time\">"
    );
    for (at, share) in ticks(end, unit) {
        let x = x(at);
        // The last one would end outside.
        let anchor = if share < 1.0 { "middle" } else { "end" };
        let _ = writeln!(
            page,
            "<line x1=\"{x:.1}\" y1=\"16\" x2=\"{x:.1}\" y2=\"{height}\" stroke=\"var(--line)\"/>\
             <text class=\"faint\" x=\"{x:.1}\" y=\"12\" text-anchor=\"{anchor}\">{at} s</text>"
        );
    }
    let mut y = TOP;
    for (mv, plan, is) in &drawn {
        let name: String = mv.guest.as_str().chars().take(26).collect();
        let _ = writeln!(
            page,
            "<g data-move=\"{}\"><text x=\"0\" y=\"{:.0}\">{}</text>",
            escaped(&mv.id.0),
            y + 15.0,
            escaped(&name)
        );
        let told = format!("{}: {} → {}, {}", mv.guest, mv.from, mv.to, mv.mode);
        let mut bar = |from: f64, to: f64, y: f64, high: f64, colour: &str, class: &str| {
            let wide = (x(to) - x(from)).max(1.0);
            let _ = writeln!(
                page,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.0}\" width=\"{wide:.1}\" height=\"{high}\" \
                 fill=\"var(--{colour})\"><title>{}</title></rect>",
                x(from),
                escaped(&told)
            );
        };
        bar(plan.start, plan.end, y, 6.0, plan.colour, "planned");
        if let Some(is) = is {
            bar(is.start, is.end, y + 7.0, 12.0, is.colour, "measured");
            if let Some(split) = is.split {
                bar(split, is.end, y + 7.0, 12.0, "split", "split");
            }
        }
        *page += "</g>\n";
        y += HIGH;
    }
    *page += "</svg>\n";
    if plan.moves.len() > DRAWN {
        let _ = writeln!(
            page,
            "<p class=\"faint\">The first {DRAWN} of {}.</p>",
            plan.moves.len()
        );
    }
    if !matches!(run.world, World::Libvirt { .. }) {
        *page +=
            "<p class=\"faint\">Simulated: each move is drawn from its planned start on.</p>\n";
    }
    *page += "</section>\n";
}

fn table_of(page: &mut String, run: &Run, plan: &Plan, moves: &[MoveLine]) {
    const HEAD: [&str; 8] = [
        "move", "guest", "from", "to", "mode", "memory", "switch", "total",
    ];
    let _ = write!(
        page,
        "<section id=\"moves-{}\" class=\"long\"><h2>Moves: what came of each, and why it was planned</h2>\n\
              <div class=\"scroll\"><table>\n<thead><tr>",
        run.id
    );
    for name in HEAD.into_iter().chain(["state", "why"]) {
        let _ = write!(page, "<th scope=\"col\">{name}</th>");
    }
    *page += "</tr></thead>\n<tbody>\n";
    let time = |s: Option<f64>| s.map_or_else(|| "-".to_owned(), |s| format!("{s:.2} s"));
    for (mv, line) in plan.moves.iter().zip(moves) {
        let mut state = word(&line.state);
        if let Some(why) = line.why() {
            let _ = write!(state, ": {why}");
        }
        *page += "<tr>";
        for cell in [
            &line.id.0,
            line.guest.as_str(),
            line.from.as_str(),
            line.to.as_str(),
            &line.mode.to_string(),
            &MiB(line.mib).to_string(),
            &time(line.switch_seconds),
            &time(line.total_seconds),
            &state,
            &mv.reason,
        ] {
            let _ = write!(page, "<td>{}</td>", escaped(cell));
        }
        *page += "</tr>\n";
    }
    *page += "</tbody></table></div></section>\n";
}

/// What happened, in its order.
fn journal(page: &mut String, run: &Run, plan: &Plan) {
    let _ = write!(
        page,
        "<section id=\"journal-{}\" class=\"long\"><h2>Journal</h2>\n<div class=\"scroll\"><table>\n<tbody>\n",
        run.id
    );
    for entry in &run.entries {
        let said = match &entry.event {
            // It stands above.
            Event::Accepted { file, follows, .. } => {
                let follows = follows.map(|before| format!(" for what run {before} left"));
                let file = file.as_deref().map(|f| format!(" of {f}"));
                let file = file.or(follows).unwrap_or_default();
                format!(
                    "accepted: the plan{file}, {}",
                    count(plan.moves.len(), "move")
                )
            }
            event => told(event),
        };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{:.3}</td><td>{}</td></tr>",
            entry.seq,
            entry.time.0,
            escaped(&said)
        );
    }
    *page += "</tbody></table></div></section>\n";
}

/// An event's name and what it says, as the journal has them.
fn told(event: &Event) -> String {
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::to_value(event) else {
        return String::new();
    };
    let name = fields.remove("event");
    let name = name.as_ref().and_then(|n| n.as_str()).unwrap_or_default();
    let mut said = name.to_owned();
    for (field, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        let _ = write!(said, " {field}: {value};");
    }
    said.trim_end_matches(';').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{a_move, cluster, plan};
    use crate::journal::Journal;
    use vmpack_domain::journal::Priority;
    use vmpack_domain::units::Micros;

    #[test]
    fn what_failed_and_what_never_began_is_drawn_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("journal.db")).unwrap();
        let names = ["m1", "m2", "m3"];
        let cluster = cluster(&["h0", "h1"], &names.map(|name| (name, "h0")));
        let moves = names.map(|name| a_move(name, name, "h0", "h1"));
        let plan = plan(&cluster, moves.to_vec());
        let world = World::Libvirt { cluster };
        let run = journal
            .accept(&plan, Some("<plan>"), Priority::Consolidation, &world)
            .unwrap()
            .run;
        let id = |index: usize| plan.moves[index].id.clone();
        let intended = |index: usize| Event::Intended {
            id: id(index),
            guest: plan.moves[index].guest.clone(),
            from: plan.moves[index].from.clone(),
            to: plan.moves[index].to.clone(),
            mode: plan.moves[index].mode,
            attempt: 1,
        };
        for event in [
            intended(0),
            Event::Moved {
                id: id(0),
                total: Some(Micros::millis(2500)),
                switch: Some(Micros::millis(500)),
                downtime: Some(Micros::millis(40)),
                transferred: None,
            },
            intended(1),
            Event::Failed {
                id: id(1),
                error: "<b>no</b>".to_owned(),
            },
        ] {
            journal.append(run, event).unwrap();
        }
        let page = page(&journal.all().unwrap());
        let count = |part: &str| page.matches(part).count();
        assert_eq!(count("class=\"planned\""), 3, "{page}");
        assert_eq!(count("class=\"measured\""), 2);
        assert_eq!(count("var(--bad)\"><title>"), 1, "the second");
        assert_eq!(
            count("&lt;b&gt;no&lt;/b&gt;"),
            2,
            "its state, and the journal"
        );
        assert!(page.contains("accepted: the plan of &lt;plan&gt;, 3 moves"));
        assert!(page.contains("1 failed, 1 moved, 1 waiting"));
        assert!(page.contains("0.040 s") && page.contains("0.50 s"));
        for text in ["<b>", "<plan>", "<script"] {
            assert!(!page.contains(text), "{text}");
        }
    }
}
