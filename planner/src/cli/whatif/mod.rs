//! `vmpack whatif`.

mod asked;
mod draw;
mod losses;
mod report;
mod words;

use std::path::Path;

use serde::Serialize;
use vmpack_domain::Policy;
use vmpack_domain::exit::Exit;
use vmpack_domain::plan::{Outcome, Plan};
use vmpack_domain::units::Micros;
use vmpack_planner::whatif::{Answer, Broken, Edit, Scene, answer, apply};

use super::arguments::{LimitArguments, WhatifArguments};
use super::failure::Failure;
use super::session::Session;
use super::{html, inputs, output, parallel, plan};
use asked::Asked;

/// The longest search where nobody says otherwise.
const LONGEST: Micros = Micros::millis(1500);

/// Both answers and what lies between them.
#[derive(Serialize)]
struct Told<'a> {
    /// What was asked.
    edits: &'a [Edit],
    today: &'a Answer,
    what_if: &'a Answer,
    difference: Difference,
    /// What holds today where guests run, and would not hold any more.
    stops_holding: &'a [Broken],
}

/// The answers to a range.
#[derive(Serialize)]
struct Swept<'a> {
    /// What was asked for every value alike.
    edits: Vec<&'a Edit>,
    today: &'a Answer,
    /// What is changed from value to value.
    range: &'a str,
    points: Vec<Point<'a>>,
}

/// The answer to one of its values.
#[derive(Serialize)]
struct Point<'a> {
    value: &'a str,
    #[serde(flatten)]
    told: &'a Answer,
    stops_holding: Vec<Broken>,
}

/// What if, less today; absent where one of the two has no plan.
#[derive(Serialize)]
struct Difference {
    hosts_before: Option<i64>,
    hosts_after: Option<i64>,
    hosts_bound: Option<i64>,
    moves: Option<i64>,
    starts: Option<i64>,
    wake: Option<i64>,
    move_mib: Option<i64>,
    move_seconds: Option<f64>,
    split_seconds: Option<f64>,
}

/// Plans today and what is asked, side by side, and tells the difference.
pub(crate) fn run(arguments: &WhatifArguments, session: &mut Session) -> Result<Exit, Failure> {
    let (inputs, texts) = inputs::read_with_sources(&arguments.inputs, &arguments.limits, session)?;
    let today = Scene {
        cluster: inputs.cluster,
        load: inputs.load,
        policy: limited(inputs.policy, &arguments.limits),
    };
    let Asked {
        range,
        points,
        scenario,
    } = asked::asked(&arguments.edits, texts, session)?;
    if let Some(file) = &arguments.curve {
        if range.is_none() {
            return Err(Failure::usage(
                "`--curve` draws a range, and none is given; expected one such as `--scale-load 1.0..2.0/0.1`",
            ));
        }
        spare(arguments, file)?;
        output::ready(file)?;
    }
    if let Some(k) = arguments.edits.losses {
        if range.is_some() {
            return Err(Failure::usage(
                "a range and `--losses` are given, expected one of them",
            ));
        }
        let edits = points.first().map_or(&[][..], |p| &p.1);
        let scene = apply(&today, edits).map_err(|(at, error)| scenario.blame(at, &error))?;
        return losses::run(&scene, usize::from(k), arguments.json, session);
    }
    if let Some(file) = &arguments.report {
        if range.is_some() {
            return Err(Failure::usage(
                "`--report` is about one answer, and a range is given; expected `--curve`",
            ));
        }
        spare(arguments, file)?;
        output::ready(file)?;
    }
    let mut scenes = vec![today];
    for (_, edits) in &points {
        let scene = apply(&scenes[0], edits);
        scenes.push(scene.map_err(|(at, error)| scenario.blame(at, &error))?);
    }
    session.heed_interrupts();
    let stop = session.stop();
    let mut answers = parallel::each(&scenes, |scene| planned(scene, &stop));
    if session.stopped() {
        writeln!(session.err, "stopped; these are the best so far")?;
    }
    let exits: Vec<Exit> = answers.iter().map(|a| plan::exit(&a.1, false)).collect();
    let today = answers.remove(0).0;
    let stops: Vec<Vec<Broken>> = answers
        .iter()
        .map(|(then, _)| stops_holding(&today, then))
        .collect();
    match (&range, arguments.json) {
        (None, json) => {
            let (then, outcome) = &answers[0];
            if let Some(file) = &arguments.report {
                let against = html::Against {
                    today: &today,
                    asked: points[0].1.iter().map(words::words).collect(),
                    compared: report::compared(&today, then),
                    stops_holding: &stops[0],
                };
                let text = html::page("what if", &scenes[1], outcome, &then.summary, Some(against));
                output::write_whole(file, &text)?;
            }
            if json {
                session.print_json(&Told {
                    edits: &points[0].1,
                    today: &today,
                    what_if: then,
                    difference: difference(&today, then),
                    stops_holding: &stops[0],
                })?;
            } else {
                let text = report::one(&today, then, &stops[0], session.screen);
                session.out.write_all(text.as_bytes())?;
            }
        }
        (Some(range), json) => {
            let answers = points.iter().zip(&answers).zip(stops);
            let swept = Swept {
                edits: alike(&points),
                today: &today,
                range,
                points: answers
                    .map(|(((value, _), (told, _)), stops_holding)| Point {
                        value,
                        told,
                        stops_holding,
                    })
                    .collect(),
            };
            if json {
                session.print_json(&swept)?;
            } else {
                let text = report::range(&swept, session.screen);
                session.out.write_all(text.as_bytes())?;
            }
            if let Some(file) = &arguments.curve {
                write_curve(file, &swept)?;
            }
        }
    }
    // A range is answered where any of its values is.
    let worst = exits[1..].iter().copied();
    Ok(match range {
        None => exits[1],
        Some(_) => worst.clone().find(|e| *e == Exit::Done).unwrap_or(exits[1]),
    })
}

/// Refuses to write over anything that is read.
fn spare(arguments: &WhatifArguments, file: &Path) -> Result<(), Failure> {
    let (inputs, edits) = (&arguments.inputs, &arguments.edits);
    let read = [
        &inputs.cluster,
        &inputs.load,
        &inputs.policy,
        &edits.scenario,
        &edits.add_guests,
        &edits.add_rules,
    ];
    inputs::spare_of(read, &[file])
}

/// The edits that are the same at every value.
fn alike(points: &[(String, Vec<Edit>)]) -> Vec<&Edit> {
    let first = points.first().map_or(&[][..], |p| &p.1);
    let same = |(i, edit): &(usize, &Edit)| points.iter().all(|p| p.1.get(*i) == Some(edit));
    let all = first.iter().enumerate().filter(same);
    all.map(|(_, edit)| edit).collect()
}

fn write_curve(file: &Path, swept: &Swept) -> Result<(), Failure> {
    output::write_whole(file, &draw::drawn(swept))
}

/// The policy with a search that is short where nobody says otherwise.
pub(super) fn limited(mut policy: Policy, limits: &LimitArguments) -> Policy {
    if policy.limits.nodes.is_none() && limits.time_limit.is_none() {
        policy.limits.time = policy.limits.time.min(LONGEST);
    }
    policy
}

/// The scene's answer, with the ways out where there is no placement.
pub(super) fn planned(scene: &Scene, stop: &super::session::Stop) -> (Answer, Outcome<Plan>) {
    let (cluster, load, policy) = (&scene.cluster, &scene.load, &scene.policy);
    let began = std::time::Instant::now();
    let stop = || stop.is_set();
    let (outcome, seconds) = inputs::timed_plan(cluster, load, policy, &stop, &mut |_| {});
    let mut told = answer(scene, &outcome, seconds);
    if matches!(outcome, Outcome::Infeasible(_)) {
        told.summary.ways_out = inputs::ways_out((cluster, load, policy), began, &stop);
    }
    (told, outcome)
}

/// What is broken then and not today: laws are compared by host and guest, not by amounts.
fn stops_holding(today: &Answer, then: &Answer) -> Vec<Broken> {
    let subject = |b: &Broken| {
        let words = b.detail.split(' ').take(3);
        (b.law.clone(), words.collect::<Vec<_>>().join(" "))
    };
    let known: std::collections::BTreeSet<_> = today.broken.iter().map(subject).collect();
    let new = then.broken.iter().filter(|b| !known.contains(&subject(b)));
    new.cloned().collect()
}

fn difference(today: &Answer, then: &Answer) -> Difference {
    let (a, b) = (&today.summary, &then.summary);
    let both = |a: Option<i64>, b: Option<i64>| Some(b? - a?);
    let less = |a: Option<f64>, b: Option<f64>| Some(b? - a?);
    let planned = |s: &vmpack_planner::Summary, n: usize| s.hosts_after.map(|_| signed(n as u64));
    Difference {
        hosts_before: Some(signed(b.hosts_before as u64) - signed(a.hosts_before as u64)),
        hosts_after: both(
            a.hosts_after.map(|n| signed(n as u64)),
            b.hosts_after.map(|n| signed(n as u64)),
        ),
        hosts_bound: both(a.hosts_bound.map(i64::from), b.hosts_bound.map(i64::from)),
        moves: both(planned(a, a.moves.len()), planned(b, b.moves.len())),
        starts: both(planned(a, a.starts.len()), planned(b, b.starts.len())),
        wake: both(planned(a, a.wake.len()), planned(b, b.wake.len())),
        move_mib: both(a.move_mib.map(signed), b.move_mib.map(signed)),
        move_seconds: less(a.move_seconds, b.move_seconds),
        split_seconds: less(today.split_seconds, then.split_seconds),
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
