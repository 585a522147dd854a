//! `vmpack regress --compare`: what changed between two results of `vmpack regress --json`, of
//! `vmpack bench pack --json` or of `vmpack bench moves --json`, and whether it changed for the worse
//! beyond the budgets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vmpack_domain::exit::Exit;
use vmpack_domain::file::Source;
use vmpack_domain::units::Ratio;

use super::super::arguments::RegressArguments;
use super::super::failure::Failure;
use super::super::screen::{Look, count};
use super::super::session::Session;
use super::super::sources;
use super::super::table::table;

/// Below so many seconds times are not told apart.
const FLOOR: f64 = 0.1;

/// Costs are multiples of a thousandth.
const SLACK: f64 = 0.0005;

/// One case or instance, of either kind of result.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Row {
    #[serde(alias = "file")]
    case: String,
    #[serde(default)]
    ok: Option<bool>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    optimal: Option<bool>,
    /// Σ cost of the hosts in use.
    #[serde(default)]
    objective: Option<f64>,
    #[serde(default)]
    hosts: Option<f64>,
    #[serde(default, alias = "fewest_bound")]
    hosts_bound: Option<f64>,
    /// On the cost; of an instance, on the hosts.
    #[serde(default)]
    bound: Option<f64>,
    #[serde(default)]
    moves: Option<f64>,
    #[serde(default, alias = "moved")]
    move_mib: Option<f64>,
    #[serde(default, alias = "moved_bound")]
    move_mib_bound: Option<f64>,
    #[serde(default)]
    seconds: f64,
    /// Of the instance.
    #[serde(default)]
    digest: Option<String>,
}

#[derive(Deserialize)]
struct Results {
    cases: Vec<Row>,
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Change {
    case: String,
    what: &'static str,
    old: String,
    new: String,
    /// Worse than the budgets allow.
    fails: bool,
}

/// How much worse than before something may be, as a factor.
#[derive(Debug, Clone, Copy)]
struct Budgets {
    time: f64,
    /// Of memory moved, and of the bound on it, at equal cost of the hosts.
    moved: f64,
}

#[derive(Serialize)]
struct Comparison<'a> {
    ok: bool,
    compared: usize,
    changes: &'a [Change],
}

impl Row {
    fn status(&self) -> &str {
        match (&self.status, self.optimal) {
            (Some(status), _) => status,
            (None, Some(true)) => "optimal",
            (None, _) => "feasible",
        }
    }

    /// What the hosts in use cost; instances count hosts only.
    fn cost(&self) -> Option<f64> {
        self.objective.or(self.hosts)
    }

    fn gap(&self) -> Option<f64> {
        Some(self.cost()? - self.bound?)
    }
}

/// Compares two files, prints what changed, and fails where it is worse.
pub(super) fn run(
    [old, new]: [&PathBuf; 2],
    arguments: &RegressArguments,
    session: &mut Session,
) -> Result<Exit, Failure> {
    let old = rows(&sources::read_one(old, &mut session.stdin)?)?;
    let new = rows(&sources::read_one(new, &mut session.stdin)?)?;
    let kept = |name: &str| {
        arguments
            .filter
            .as_ref()
            .is_none_or(|f| name.contains(f.as_str()))
    };
    let old: BTreeMap<String, Row> = old.into_iter().filter(|(n, _)| kept(n)).collect();
    let new: BTreeMap<String, Row> = new.into_iter().filter(|(n, _)| kept(n)).collect();
    #[expect(clippy::cast_precision_loss, reason = "a small factor")]
    let factor = |r: Ratio| r.0 as f64 / 1000.0;
    let budgets = Budgets {
        time: factor(arguments.time_budget),
        moved: factor(arguments.move_budget),
    };
    let changes = changes(&old, &new, budgets);
    let failed = changes.iter().filter(|c| c.fails).count();
    let compared = old.keys().filter(|name| new.contains_key(*name)).count();
    if compared == 0 {
        return Err(Failure::input("the two results have no case in common")
            .hint("cases are compared by name; `--filter` may have left none"));
    }
    if arguments.json {
        session.print_json(&Comparison {
            ok: failed == 0,
            compared,
            changes: &changes,
        })?;
    } else {
        if !changes.is_empty() {
            let lines = changes.iter().map(|c| {
                let verdict = if c.fails { "WORSE" } else { "" };
                [
                    verdict.into(),
                    c.case.clone(),
                    c.what.into(),
                    c.old.clone(),
                    c.new.clone(),
                ]
            });
            let text = table(["", "case", "what", "old", "new"], lines, 3..5);
            session.out.write_all(text.as_bytes())?;
        }
        let verdict = match failed {
            0 => session.screen.paint(Look::Good, "nothing is worse"),
            n => session.screen.paint(Look::Bad, &format!("{n} worse")),
        };
        writeln!(
            session.out,
            "{} compared, {}, {verdict}",
            count(compared, "case"),
            count(changes.len(), "change")
        )?;
    }
    Ok(if failed == 0 {
        Exit::Done
    } else {
        Exit::CheckFailed
    })
}

/// The rows of a result by name: one document with `cases`, or a line for each instance.
fn rows(source: &Source) -> Result<BTreeMap<String, Row>, Failure> {
    let bad = |line: usize, e: &serde_json::Error| {
        Failure::input(format!(
            "{}:{line}: expected what `vmpack regress --json`, `vmpack bench pack --json` or `vmpack bench moves --json` prints: {e}",
            source.name
        ))
    };
    let list = match serde_json::from_str::<Results>(&source.text) {
        Ok(results) => results.cases,
        // Not one document: then a line each.
        Err(whole) => {
            let lines = source
                .text
                .lines()
                .zip(1..)
                .filter(|(l, _)| !l.trim().is_empty());
            let read: Result<Vec<Row>, (usize, serde_json::Error)> = lines
                .map(|(line, n)| serde_json::from_str(line).map_err(|e| (n, e)))
                .collect();
            match read {
                Ok(list) if !list.is_empty() => list,
                Ok(_) => return Err(bad(1, &whole)),
                // Of a document over several lines its own fault is the one to tell.
                Err((1, e)) if e.is_eof() => return Err(bad(whole.line(), &whole)),
                Err((n, e)) => return Err(bad(n, &e)),
            }
        }
    };
    let mut named = BTreeMap::new();
    for row in list {
        if row.seconds < 0.0 {
            return Err(Failure::input(format!(
                "{}: read {} seconds of case `{}`, expected 0 or more",
                source.name, row.seconds, row.case
            )));
        }
        let name = row.case.clone();
        if named.insert(name.clone(), row).is_some() {
            return Err(Failure::input(format!(
                "{}: read case `{name}` a second time, expected it once",
                source.name
            )));
        }
    }
    Ok(named)
}

/// Everything that changed, by case.
fn changes(
    old: &BTreeMap<String, Row>,
    new: &BTreeMap<String, Row>,
    budgets: Budgets,
) -> Vec<Change> {
    let mut found = Vec::new();
    for (name, before) in old {
        match new.get(name) {
            Some(after) => found.extend(differences(name, before, after, budgets)),
            None => found.push(change(name, "case", "there", "missing", true)),
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        found.push(change(name, "case", "missing", "there", false));
    }
    found
}

fn change(case: &str, what: &'static str, old: &str, new: &str, fails: bool) -> Change {
    Change {
        case: case.to_owned(),
        what,
        old: old.to_owned(),
        new: new.to_owned(),
        fails,
    }
}

fn differences(name: &str, old: &Row, new: &Row, budgets: Budgets) -> Vec<Change> {
    let mut found = Vec::new();
    if old.status() != new.status() {
        let fails = !better(old.status(), new.status());
        found.push(change(name, "status", old.status(), new.status(), fails));
    }
    if let (Some(was), Some(is)) = (old.ok, new.ok)
        && was != is
    {
        let word = |ok| if ok { "as expected" } else { "not as expected" };
        found.push(change(name, "case", word(was), word(is), was));
    }
    if let (Some(was), Some(is)) = (&old.digest, &new.digest)
        && was != is
    {
        found.push(change(name, "instance", was, is, true));
        return found;
    }
    // Other hosts take other moves.
    let alike = old.cost() == new.cost();
    // What is proven stays so: no answer, old or new, may be below either bound.
    for (bound, cost, whose) in [
        (new.bound, new.cost(), "new bound above the new cost"),
        (new.bound, old.cost(), "new bound above the old cost"),
        (old.bound, new.cost(), "new cost below the old bound"),
        (new.hosts_bound, new.hosts, "new bound above the new hosts"),
        (
            new.move_mib_bound,
            new.move_mib,
            "new bound above what is moved",
        ),
        (
            new.move_mib_bound.filter(|_| alike),
            old.move_mib,
            "new bound above what was moved",
        ),
        (
            old.move_mib_bound.filter(|_| alike),
            new.move_mib,
            "less moved than the old bound",
        ),
    ] {
        if let (Some(bound), Some(cost)) = (bound, cost)
            && bound > cost + SLACK
        {
            let [bound, cost] = [bound, cost].map(|v| v.to_string());
            found.push(change(name, whose, &bound, &cost, true));
        }
    }
    type Value = fn(&Row) -> Option<f64>;
    type Worse<'a> = &'a dyn Fn(f64, f64) -> bool;
    let up: Worse = &|old, new| new > old;
    let down: Worse = &|old, new| new < old;
    let told: Worse = &|_, _| false;
    let more: Worse = &|old, new| alike && new > beyond(budgets.moved * old);
    let less: Worse = &|old, new| alike && beyond(budgets.moved * new) < old;
    let values: [(&'static str, Value, Worse); 8] = [
        ("hosts", |r| r.hosts, up),
        ("cost", |r| r.objective, up),
        ("bound", |r| r.bound, down),
        ("bound on hosts", |r| r.hosts_bound, down),
        ("gap", Row::gap, up),
        ("moves", |r| r.moves, told),
        ("MiB moved", |r| r.move_mib, more),
        ("bound on MiB moved", |r| r.move_mib_bound, less),
    ];
    for (what, value, worse) in values {
        if value(old).is_some() && value(new).is_none() {
            found.push(change(
                name,
                what,
                "there",
                "missing",
                old.status() == new.status(),
            ));
        }
        if let (Some(was), Some(is)) = (value(old), value(new))
            && was != is
        {
            let fails = worse(was, is);
            found.push(change(name, what, &was.to_string(), &is.to_string(), fails));
        }
    }
    if new.seconds > beyond(budgets.time * old.seconds.max(FLOOR)) {
        let [was, is] = [old.seconds, new.seconds].map(|s| format!("{s:.2}"));
        found.push(change(name, "seconds", &was, &is, true));
    }
    found
}

/// A budget's worth, rounded up by no more than a product's rounding: what is just within it passes.
fn beyond(most: f64) -> f64 {
    most * (1.0 + 1e-12)
}

/// Whether an answer took the place of a lesser one: nothing found, found, proven.
fn better(old: &str, new: &str) -> bool {
    let rank = |status: &str| {
        ["bug", "no-answer", "feasible", "optimal"]
            .iter()
            .position(|s| *s == status)
    };
    match (rank(old), rank(new)) {
        (Some(old), Some(new)) => new > old,
        // An infeasible or contradictory input is a proof as well.
        (Some(old), None) => old < 2,
        (None, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, Row>, Failure> {
        rows(&Source {
            name: "f".into(),
            text: text.into(),
        })
    }

    /// What changed between two instances, as `what` and whether it fails.
    fn check(old: &str, new: &str, expected: &[(&str, bool)]) {
        let [old, new] = [old, new].map(|t| read(&format!("{{\"file\":\"a\",{t}}}")).unwrap());
        let budgets = Budgets {
            time: 1.5,
            moved: 1.02,
        };
        let found = changes(&old, &new, budgets);
        let found: Vec<(&str, bool)> = found.iter().map(|c| (c.what, c.fails)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_worse_fails_and_what_is_better_is_told() {
        let same = "\"hosts\":10,\"bound\":9,\"optimal\":false,\"seconds\":1.0";
        check(same, same, &[]);
        let with = |from: &str, to: &str| same.replace(from, to);
        check(
            same,
            &with("hosts\":10", "hosts\":11"),
            &[("hosts", true), ("gap", true)],
        );
        check(
            same,
            &with("bound\":9", "bound\":8"),
            &[("bound", true), ("gap", true)],
        );
        check(
            same,
            &with("9,\"optimal\":false", "10,\"optimal\":true"),
            &[("status", false), ("bound", false), ("gap", false)],
        );
        check(&with("false", "true"), same, &[("status", true)]);
        // Of two claims that contradict each other one is wrong.
        check(
            same,
            &with("bound\":9", "bound\":12"),
            &[
                ("new bound above the new cost", true),
                ("new bound above the old cost", true),
                ("bound", false),
                ("gap", false),
            ],
        );
        check(
            same,
            &with("hosts\":10,\"bound\":9", "hosts\":8,\"bound\":8"),
            &[
                ("new cost below the old bound", true),
                ("hosts", false),
                ("bound", true),
                ("gap", false),
            ],
        );
        let other = |digest: &str| format!("{same},\"digest\":\"{digest}\"");
        check(&other("a"), &other("b"), &[("instance", true)]);
        check(same, &with("1.0", "1.6"), &[("seconds", true)]);
        check(same, &with("1.0", "1.4"), &[]);
        // Short times are not told apart, to the floor times the budget.
        check(&with("1.0", "0.01"), &with("1.0", "0.14"), &[]);
        check(
            &with("1.0", "0.01"),
            &with("1.0", "0.16"),
            &[("seconds", true)],
        );
    }

    #[test]
    fn what_is_no_longer_said_is_worse() {
        let moves = "\"hosts\":10,\"moved\":1000,\"moved_bound\":900";
        let silent = "\"hosts\":10,\"moved\":null";
        check(
            moves,
            silent,
            &[("MiB moved", true), ("bound on MiB moved", true)],
        );
        check(
            moves,
            &moves.replace("900", "1001"),
            &[
                ("new bound above what is moved", true),
                ("new bound above what was moved", true),
                ("bound on MiB moved", false),
            ],
        );
        // What moves less than was proven, at as many hosts, speaks against the proof.
        check(
            moves,
            &moves.replace("1000", "890").replace("900", "880"),
            &[
                ("less moved than the old bound", true),
                ("MiB moved", false),
                ("bound on MiB moved", true),
            ],
        );
    }

    #[test]
    fn moves_are_held_to_their_budget_where_hosts_cost_the_same() {
        let same = "\"hosts\":10,\"moves\":4,\"moved\":1000,\"moved_bound\":900";
        let with = |from: &str, to: &str| same.replace(from, to);
        check(same, &with("1000", "1020"), &[("MiB moved", false)]);
        check(same, &with("1000", "1021"), &[("MiB moved", true)]);
        check(same, &with("1000", "990"), &[("MiB moved", false)]);
        check(same, &with("900", "883"), &[("bound on MiB moved", false)]);
        check(same, &with("900", "882"), &[("bound on MiB moved", true)]);
        check(same, &with(":4", ":40"), &[("moves", false)]);
        let fewer = with("1000", "2000").replace("10,", "9,");
        check(same, &fewer, &[("hosts", false), ("MiB moved", false)]);
        // From none at all, any is more.
        check(
            &with("1000", "0").replace("900", "0"),
            &with("1000", "1").replace("900", "0"),
            &[("MiB moved", true)],
        );
    }

    #[test]
    fn statuses_of_cases_have_an_order() {
        for (old, new, fine) in [
            ("no-answer", "feasible", true),
            ("feasible", "optimal", true),
            ("no-answer", "infeasible", true),
            ("optimal", "infeasible", false),
            ("feasible", "infeasible", false),
            ("infeasible", "optimal", false),
            ("optimal", "bug", false),
        ] {
            assert_eq!(better(old, new), fine, "{old} {new}");
        }
    }

    #[test]
    fn a_text_that_is_no_result_is_refused_with_its_line() {
        let whole = "{\"ok\": true, \"cases\": [{\"case\": \"x\", \"status\": \"optimal\"}]}";
        assert_eq!(read(whole).unwrap()["x"].status(), "optimal");
        let line = "{\"file\":\"a\",\"hosts\":1}";
        assert!(
            read(&format!("{line}\n\n{line}"))
                .unwrap_err()
                .message
                .contains("second time")
        );
        let bad = read(&format!("{line}\nno")).unwrap_err().message;
        assert!(bad.starts_with("f:2: "), "{bad}");
        assert!(read("").is_err() && read("{\n}").is_err());
        assert!(read("{\"file\":\"a\",\"seconds\":-1}").is_err());
    }
}
