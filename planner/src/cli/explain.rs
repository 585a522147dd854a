//! `vmpack explain`.

use serde::Serialize;
use vmpack_domain::exit::Exit;
use vmpack_domain::plan::{Outcome, Plan};
use vmpack_domain::rule::{Names, RuleKind};
use vmpack_domain::units::MiB;
use vmpack_domain::{Guest, GuestName, HostName, HostState, Rule};
use vmpack_planner::Status;
use vmpack_planner::whatif::{Answer, Edit, Scene, apply};
use vmpack_planner::why::{Standing, Target, held_on, naming, standing};

use super::arguments::ExplainArguments;
use super::failure::Failure;
use super::html::Fates;
use super::plan::plan_of;
use super::screen::{Look, Screen, count};
use super::session::Session;
use super::table::table;
use super::whatif::{limited, planned};
use super::{inputs, parallel};

/// The most rules whose cost is sought, and the most lines of a list.
const RULES: usize = 20;
const LISTED: usize = 10;
/// What is no rule and has a cost all the same.
const POLICY: [&str; 2] = ["limits.moves", "movable: false"];

#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Guest {
        #[serde(flatten)]
        standing: Option<Standing>,
        /// Where no placement can exist.
        reasons: Vec<String>,
        /// What a plan does with it, and why.
        plan: Fate,
        rules_cost: Vec<Cost>,
    },
    Host {
        host: HostName,
        guests: Vec<GuestName>,
        /// Guests that may not leave it, with why.
        held: Vec<(GuestName, String)>,
        plan: Fate,
        /// The plan that empties it; absent where it is out.
        emptied: Option<Box<Answer>>,
        rules_cost: Vec<Cost>,
    },
}

/// What a plan makes of it.
#[derive(Serialize)]
struct Fate {
    status: Status,
    hosts: Option<usize>,
    says: String,
}

/// What a rule costs: what the plan with it takes less what the plan without it takes.
#[derive(Serialize)]
struct Cost {
    /// The rule, or `movable: false`.
    rule: String,
    status: Status,
    hosts_without: Option<usize>,
    /// Hosts that are saved without it; absent where one of the two has no plan.
    saved: Option<i64>,
    /// Both plans are proven the fewest, so that the number is exact.
    exact: bool,
    /// Moves that are saved without it, or where it is below zero, that more are made.
    moves_saved: Option<i64>,
    /// Likewise of the memory that is moved, in MiB.
    move_mib_saved: Option<i64>,
    /// Likewise of the time that the moves take, in seconds.
    seconds_saved: Option<f64>,
}

/// Tells of a guest, or of a host of that name.
pub(crate) fn run(arguments: &ExplainArguments, session: &mut Session) -> Result<Exit, Failure> {
    let inputs = inputs::read(&arguments.inputs, &arguments.limits, session)?;
    let scene = Scene {
        cluster: inputs.cluster,
        load: inputs.load,
        policy: limited(inputs.policy, &arguments.limits),
    };
    session.heed_interrupts();
    let name = arguments.name.as_str();
    let guest = scene
        .cluster
        .guests
        .iter()
        .find(|g| g.name.as_str() == name);
    let host = scene.cluster.hosts.iter().find(|h| h.name.as_str() == name);
    let (told, outcome) = match (guest, host) {
        (Some(guest), Some(_)) => writeln!(
            session.err,
            "{name} is a guest and a host; this is about the guest"
        )
        .map(|()| of_guest(&scene, guest, session))?,
        (Some(guest), None) => of_guest(&scene, guest, session),
        (None, Some(host)) => of_host(&scene, &host.name, session)?,
        (None, None) => {
            return Err(Failure::input(format!(
                "there is neither a guest nor a host `{name}`"
            )));
        }
    };
    if session.stopped() {
        writeln!(session.err, "stopped; these are the best so far")?;
    }
    if arguments.json {
        session.print_json(&told)?;
    } else {
        let text = text(&told, session.screen);
        session.out.write_all(text.as_bytes())?;
    }
    Ok(super::plan::exit(&outcome, false))
}

/// One more plan: with something other.
struct Other {
    what: String,
    scene: Scene,
}

/// Without each of these rules, without each that binds all guests together, and without the policy's limit
/// on moves.
fn without(scene: &Scene, rules: &[String]) -> Vec<Other> {
    let all = scene.policy.rules.iter().filter(|r| binds_all(r));
    let each = all.map(|r| r.name.clone()).chain(rules.iter().cloned());
    let other = |rule: String| {
        let scene = apply(scene, &[Edit::DropRule(rule.clone())]).ok()?;
        Some(Other { what: rule, scene })
    };
    let mut others: Vec<Other> = each.take(RULES).filter_map(other).collect();
    if scene.policy.limits.moves.is_some() {
        let mut free = scene.clone();
        free.policy.limits.moves = None;
        others.push(Other {
            what: POLICY[0].into(),
            scene: free,
        });
    }
    others
}

/// Whether it names no guest, and so binds whoever is there.
fn binds_all(rule: &Rule) -> bool {
    match &rule.kind {
        RuleKind::Spare { .. } => true,
        RuleKind::MaxMoves { guests, .. } => guests.is_empty(),
        _ => false,
    }
}

/// With guests movable that are said not to be.
fn freed(scene: &Scene, is_freed: impl Fn(&Guest) -> bool) -> Option<Other> {
    let mut free = scene.clone();
    let mut any = false;
    for guest in free.cluster.guests.iter_mut().filter(|g| is_freed(g)) {
        any |= !guest.movable;
        guest.movable = true;
    }
    any.then(|| Other {
        what: POLICY[1].into(),
        scene: free,
    })
}

/// The plans of the scene as it is and of the others, as many at once as there are cores.
fn plans(
    scene: &Scene,
    others: &[Other],
    session: &Session,
) -> (Vec<(Answer, Outcome<Plan>)>, Vec<Cost>) {
    let stop = session.stop();
    let mut scenes = vec![scene];
    scenes.extend(others.iter().map(|o| &o.scene));
    let answers = parallel::each(&scenes, |scene| planned(scene, &stop));
    let base = &answers[0].0.summary;
    let costs = others
        .iter()
        .zip(&answers[1..])
        .map(|(other, (answer, _))| {
            let summary = &answer.summary;
            let signed = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
            let both = base.hosts_after.zip(summary.hosts_after);
            let moves = both.map(|_| signed(base.moves.len()) - signed(summary.moves.len()));
            let mib = base.move_mib.zip(summary.move_mib);
            let less = |(with, without): (u64, u64)| with.cast_signed() - without.cast_signed();
            let seconds = base.move_seconds.zip(summary.move_seconds);
            Cost {
                rule: other.what.clone(),
                status: summary.status,
                hosts_without: summary.hosts_after,
                saved: both.map(|(with, without)| signed(with) - signed(without)),
                exact: base.status == Status::Optimal && summary.status == Status::Optimal,
                moves_saved: moves,
                move_mib_saved: mib.map(less),
                seconds_saved: seconds.map(|(with, without)| with - without),
            }
        });
    let costs = costs.collect();
    (answers, costs)
}

fn of_guest(scene: &Scene, guest: &Guest, session: &Session) -> (Told, Outcome<Plan>) {
    let (known, reasons) = match standing(scene, &guest.name) {
        Ok(known) => (known, Vec::new()),
        Err(reasons) => (None, reasons),
    };
    let names = Names::of(&scene.cluster);
    let rules = naming(scene, &names, &guest.name);
    let rules: Vec<String> = rules.iter().map(|r| r.name.clone()).collect();
    let mut others = without(scene, &rules);
    others.extend(freed(scene, |g| g.name == guest.name));
    let (mut answers, rules_cost) = plans(scene, &others, session);
    let (answer, outcome) = answers.swap_remove(0);
    let plan = plan_of(&outcome);
    let says = match plan {
        None => answer.summary.reasons.join("; "),
        Some(plan) => {
            let moved = plan.moves.iter().rev().find(|m| m.guest == guest.name);
            let why = Fates::of(scene, Some(plan)).why(guest);
            match (moved, plan.target.get(&guest.name)) {
                (Some(moved), _) => format!("moves to {}: {why}", moved.to),
                (None, Some(at)) if guest.host.as_ref() != Some(at) => {
                    format!("is started on {at}")
                }
                _ if why.is_empty() => "stays".to_owned(),
                _ => why,
            }
        }
    };
    let told = Told::Guest {
        standing: known,
        reasons,
        plan: Fate {
            status: answer.summary.status,
            hosts: answer.summary.hosts_after,
            says,
        },
        rules_cost,
    };
    (told, outcome)
}

fn of_host(
    scene: &Scene,
    host: &HostName,
    session: &Session,
) -> Result<(Told, Outcome<Plan>), Failure> {
    let here: Vec<&Guest> = scene
        .cluster
        .guests
        .iter()
        .filter(|g| g.host.as_ref() == Some(host))
        .collect();
    let names = Names::of(&scene.cluster);
    let mut rules: Vec<String> = Vec::new();
    for guest in &here {
        for rule in naming(scene, &names, &guest.name) {
            if !rules.contains(&rule.name) {
                rules.push(rule.name.clone());
            }
        }
    }
    let mut others = without(scene, &rules);
    others.extend(freed(scene, |g| g.host.as_ref() == Some(host)));
    // One that is out is empty already: its guests wait.
    let is_out = scene.cluster.host(host).map(|h| h.state) == Some(HostState::Out);
    if !is_out {
        let drained = apply(scene, &[Edit::Drain(vec![host.to_string()])]);
        others.push(Other {
            what: String::new(),
            scene: drained.map_err(|(_, e)| Failure::input(e.to_string()))?,
        });
    }
    let (mut answers, mut rules_cost) = plans(scene, &others, session);
    let emptied = (!is_out).then(|| {
        rules_cost.pop();
        answers.pop().map(|a| a.0)
    });
    let emptied = emptied.flatten();
    let (answer, outcome) = answers.swap_remove(0);
    let says = match plan_of(&outcome) {
        None => answer.summary.reasons.join("; "),
        Some(plan) => {
            let leave = plan.moves.iter().filter(|m| m.from == *host).count();
            let come = plan.moves.iter().filter(|m| m.to == *host).count();
            let moves = match (leave, come) {
                (0, 0) => "nobody leaves or comes".to_owned(),
                _ => format!("{leave} of its guests leave, {come} come"),
            };
            let used = plan.hosts.after.contains(host);
            match (used, here.is_empty()) {
                _ if is_out => "stays out: its guests are started elsewhere".to_owned(),
                (true, _) if plan.hosts.wake.contains(host) => format!("is woken: {moves}"),
                (true, _) => format!("stays in use: {moves}"),
                (false, false) => format!("is emptied: {moves}"),
                (false, true) => "stays empty".to_owned(),
            }
        }
    };
    let told = Told::Host {
        host: host.clone(),
        guests: here.iter().map(|g| g.name.clone()).collect(),
        held: held_on(scene, host),
        plan: Fate {
            status: answer.summary.status,
            hosts: answer.summary.hosts_after,
            says,
        },
        emptied: emptied.map(Box::new),
        rules_cost,
    };
    Ok((told, outcome))
}

fn text(told: &Told, screen: Screen) -> String {
    match told {
        Told::Guest {
            standing,
            reasons,
            plan,
            rules_cost,
        } => {
            let mut text = String::new();
            if let Some(standing) = standing {
                text += &guest_line(standing);
            }
            // Where there is no plan, its line gives the reasons.
            for reason in reasons.iter().filter(|_| plan.hosts.is_some()) {
                text += &screen.paint(Look::Bad, reason);
                text.push('\n');
            }
            text += &planned_line(plan);
            if let Some(standing) = standing {
                text += &places(standing, screen);
            }
            text + &costs(rules_cost, plan)
        }
        Told::Host {
            host,
            guests,
            held,
            plan,
            emptied,
            rules_cost,
        } => {
            let mut text = match guests.as_slice() {
                [] => format!("{host} carries nobody\n"),
                guests => format!(
                    "{host} carries {}: {}\n",
                    count(guests.len(), "guest"),
                    few(guests.iter().map(GuestName::as_str), screen)
                ),
            };
            text += &planned_line(plan);
            for (guest, why) in held.iter().take(LISTED) {
                text += &format!("{guest} does not leave it: {why}\n");
            }
            let summary = emptied.as_ref().map(|answer| &answer.summary);
            text += &summary.map_or_else(String::new, |summary| {
                match (summary.hosts_after, summary.ways_out.first()) {
                    (Some(hosts), _) => format!(
                        "to empty it: {} in all, {} in use then{}\n",
                        count(summary.moves.len(), "move"),
                        count(hosts, "host"),
                        match plan.hosts {
                            Some(now) if hosts > now => format!(", {} more", hosts - now),
                            _ => String::new(),
                        }
                    ),
                    (None, way) => format!(
                        "it cannot be emptied: {}{}\n",
                        summary.reasons.join("; "),
                        way.map_or(String::new(), |w| format!("; least change: {}", w.text))
                    ),
                }
            });
            text + &costs(rules_cost, plan)
        }
    }
}

fn guest_line(of: &Standing) -> String {
    let at = match &of.host {
        Some(host) => format!("runs on {host}"),
        None => "waits to be placed".to_owned(),
    };
    format!(
        "{} {at}: {}, demand {} ({}), {} with overhead\n",
        of.guest,
        count(of.vcpus as usize, "vCPU"),
        of.cpu,
        of.basis,
        of.memory
    )
}

fn planned_line(plan: &Fate) -> String {
    let proven = match plan.status {
        Status::Optimal => "proven the fewest",
        _ => "not proven the fewest",
    };
    match plan.hosts {
        Some(hosts) => format!(
            "in the plan ({}, {proven}) it {}\n",
            count(hosts, "host"),
            plan.says.strip_prefix("it ").unwrap_or(&plan.says)
        ),
        None => format!("there is no plan: {}\n", plan.says),
    }
}

/// Where it could be now, and what the nearest others lack.
fn places(of: &Standing, screen: Screen) -> String {
    let mut text = String::new();
    for held in &of.held {
        text += &format!("it does not leave its host: {held}\n");
    }
    let (free, others): (Vec<&Target>, Vec<&Target>) = of.targets.iter().partition(|t| t.is_free());
    text += &match free.as_slice() {
        [] => "nowhere else is room for it now with nobody moving\n".to_owned(),
        free => format!(
            "room for it now with nobody moving, on {}: {}\n",
            count(free.len(), "host"),
            few(free.iter().map(|t| t.host.as_str()), screen)
        ),
    };
    let rows = others.iter().take(LISTED).map(|target| {
        let rules = target.barred.iter().chain(&target.against);
        let helps = match target.makes_room.as_slice() {
            [] => String::new(),
            guests => few(guests.iter().map(GuestName::as_str), screen),
        };
        [
            target.host.to_string(),
            rules.cloned().collect::<Vec<_>>().join(", "),
            target.lacks.join(", "),
            helps,
        ]
    });
    if !others.is_empty() {
        let header = ["not on", "against it", "lacks", "room once one leaves of"];
        text += &format!("\n{}", table(header, rows, 0..0));
        if others.len() > LISTED {
            text += &format!(" {} {} more\n", screen.ellipsis(), others.len() - LISTED);
        }
    }
    text
}

fn costs(costs: &[Cost], plan: &Fate) -> String {
    if costs.is_empty() {
        return String::new();
    }
    let rows = costs.iter().map(|cost| {
        let saved = match (cost.saved, cost.exact) {
            (Some(0), true) => "none".to_owned(),
            (Some(n), true) => n.to_string(),
            (Some(n), false) => format!("{n}, not proven"),
            (None, _) if plan.hosts.is_none() && cost.hosts_without.is_some() => {
                "a plan".to_owned()
            }
            (None, _) => "open".to_owned(),
        };
        let without = cost.hosts_without.map(|n| n.to_string());
        let moves = cost.moves_saved.map_or(String::new(), |n| n.to_string());
        let memory = cost.move_mib_saved.map_or(String::new(), |mib| {
            let sign = if mib < 0 { "-" } else { "" };
            format!("{sign}{}", MiB(mib.unsigned_abs()))
        });
        let seconds = cost.seconds_saved.map_or(String::new(), |s| {
            // Without a minus before nothing.
            format!("{:.0} s", s.round() + 0.0)
        });
        [
            cost.rule.clone(),
            without.unwrap_or_else(|| cost.status.name().to_owned()),
            saved,
            moves,
            memory,
            seconds,
        ]
    });
    let header = [
        "without",
        "hosts",
        "saved",
        "moves saved",
        "memory saved",
        "time saved",
    ];
    let mut text = format!("\n{}", table(header, rows, 1..6));
    let rules = costs.iter().filter(|c| !POLICY.contains(&c.rule.as_str()));
    if rules.count() == RULES {
        text += &format!("the costs of {RULES} rules are told at most\n");
    }
    text
}

/// The first of them.
fn few<'a>(names: impl Iterator<Item = &'a str> + Clone, screen: Screen) -> String {
    let all = names.clone().count();
    let list: Vec<&str> = names.take(5).collect();
    if all > list.len() {
        let more = all - list.len();
        format!("{} {} {more} more", list.join(", "), screen.ellipsis())
    } else {
        list.join(", ")
    }
}
