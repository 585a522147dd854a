//! `vmpack whatif --losses`: whether the loss of any so many hosts is survived.

use std::time::Instant;

use serde::Serialize;
use vmpack_domain::exit::Exit;
use vmpack_domain::{HostName, HostState};
use vmpack_planner::losses::{Loss, Verdict, lose, sets};
use vmpack_planner::search::Search;
use vmpack_planner::whatif::Scene;

use crate::cli::failure::Failure;
use crate::cli::inputs::micros;
use crate::cli::parallel;
use crate::cli::screen::{Look, count};
use crate::cli::session::Session;
use crate::cli::table::table;

/// The most losses that are listed; all of them are in the JSON.
const LISTED: usize = 20;

#[derive(Serialize)]
struct Told<'a> {
    /// So many hosts are lost together.
    losses: usize,
    /// In so many ways.
    sets: usize,
    /// Nobody else moving.
    restart: Reading<'a>,
    /// Others moving where it helps.
    moving: Reading<'a>,
    /// Those that are not survived by a restart alone.
    failing: Vec<&'a Loss>,
    seconds: f64,
}

#[derive(Serialize)]
struct Reading<'a> {
    survived: usize,
    failing: Vec<&'a [HostName]>,
    open: Vec<&'a [HostName]>,
}

fn reading(losses: &[Loss], of: impl Fn(&Loss) -> &Verdict) -> Reading<'_> {
    let named = |keep: &dyn Fn(&Verdict) -> bool| {
        let kept = losses.iter().filter(|l| keep(of(l)));
        kept.map(|l| l.hosts.as_slice()).collect::<Vec<_>>()
    };
    Reading {
        survived: named(&|v| *v == Verdict::Survived).len(),
        failing: named(&|v| matches!(v, Verdict::Failed { .. })),
        open: named(&|v| *v == Verdict::Open),
    }
}

/// Asks each loss, as many at once as there are cores.
pub(super) fn run(
    scene: &Scene,
    k: usize,
    json: bool,
    session: &mut Session,
) -> Result<Exit, Failure> {
    let there = scene.cluster.hosts.iter();
    let there = there.filter(|h| h.state != HostState::Out).count();
    if there < k {
        return Err(Failure::input(format!(
            "read `--losses {k}` with {} that could be lost, expected no more than there are",
            count(there, "host")
        )));
    }
    session.heed_interrupts();
    let stop = session.stop();
    let began = Instant::now();
    let sets = sets(&scene.cluster, k);
    let losses = parallel::each(&sets, |hosts| {
        let own = Instant::now();
        let search = &mut Search {
            elapsed: &|| micros(own),
            stop: &|| stop.is_set(),
            report: &mut |_| {},
        };
        lose(scene, hosts, search)
    });
    let seconds = began.elapsed().as_secs_f64();
    let told = Told {
        losses: k,
        sets: sets.len(),
        restart: reading(&losses, |l| &l.restart),
        moving: reading(&losses, |l| &l.moving),
        failing: losses
            .iter()
            .filter(|l| l.restart != Verdict::Survived)
            .collect(),
        seconds,
    };
    if session.stopped() {
        writeln!(session.err, "stopped; what is open was not looked at")?;
    }
    if json {
        session.print_json(&told)?;
    } else {
        let text = text(&told, session);
        session.out.write_all(text.as_bytes())?;
    }
    Ok(if !told.moving.failing.is_empty() {
        Exit::CheckFailed
    } else if told.moving.open.is_empty() {
        Exit::Done
    } else {
        Exit::NoAnswer
    })
}

fn text(told: &Told, session: &Session) -> String {
    let screen = session.screen;
    let line = |what: &str, reading: &Reading| {
        let open = match reading.open.len() {
            0 => String::new(),
            n => format!(", {n} open"),
        };
        let line = format!(
            "{what}: {} of {} survived, {} not{open}",
            reading.survived,
            told.sets,
            reading.failing.len()
        );
        let bad = reading.survived < told.sets;
        screen.paint(if bad { Look::Bad } else { Look::Good }, &line) + "\n"
    };
    let what = match told.losses {
        1 => "loss of any one host".to_owned(),
        k => format!("loss of any {}", count(k, "host")),
    };
    let mut text = format!(
        "{what}, {}, in {:.1} s\n",
        count(told.sets, "way"),
        told.seconds
    );
    text += &line("  restarted on the rest, nobody else moving", &told.restart);
    text += &line("  with others moving", &told.moving);
    if told.failing.is_empty() {
        return text;
    }
    // Those that nothing helps first.
    let mut failing = told.failing.clone();
    failing.sort_by_key(|l| l.moving == Verdict::Survived);
    let word = |v: &Verdict| match v {
        Verdict::Survived => "survived",
        Verdict::Failed { .. } => "not",
        Verdict::Open => "open",
    };
    let rows = failing.iter().take(LISTED).map(|loss| {
        let why = match (&loss.moving, &loss.restart) {
            (Verdict::Failed { why }, _) | (_, Verdict::Failed { why }) => why.clone(),
            _ => String::new(),
        };
        let names: Vec<&str> = loss.hosts.iter().map(HostName::as_str).collect();
        [
            names.join(", "),
            word(&loss.restart).to_owned(),
            word(&loss.moving).to_owned(),
            why,
        ]
    });
    text += &format!(
        "\n{}",
        table(["lost", "restart", "moving", "why"], rows, 0..0)
    );
    if failing.len() > LISTED {
        text += &format!(" {} {} more\n", screen.ellipsis(), failing.len() - LISTED);
    }
    text
}
