//! `cargo xtask bench peers`: levelling beside `hbal` (Debian's ganeti-htools), at the same limit of moves.
//!
//! Both know memory and vCPUs only (`--ignore-dynu`; every vCPU counts alike with us). The judge of both
//! results is `hbal`'s own score of the cluster, in the same text format, beside the share of the memory
//! of the fullest host. No host of ours may be emptied for it: each counts as in use.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use xtask::command::command;

use crate::ganeti::{Show, own, timed};

/// The rows for the cluster in that file, of which `ours` has the import.
pub(crate) fn rows(
    (vmpack, hbal): (&Path, &Path),
    (file, ours, hosts): (&Path, &Path, u32),
    seconds: u32,
    show: &Show<'_>,
) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let levelled = levelling(ours, hosts)?;
    let (plan, took) = own(vmpack, &levelled, &["plan", "--json"])?;
    let moves: BTreeMap<&str, &str> = plan["moves"]
        .as_array()
        .context("moves")?
        .iter()
        .filter_map(|m| Some((m["guest"].as_str()?, m["to"].as_str()?)))
        .collect();
    let after = moved(&text, &moves);
    let mine = levelled.join("levelled.data");
    fs::write(&mine, &after)?;
    let score = |file: &Path, limit: u32| {
        let mut ask = command([hbal]);
        ask.arg("-t").arg(file).args(["--ignore-dynu", "-l"]);
        timed(ask.arg(limit.to_string()), seconds)
    };
    show(
        &format!("moves for level hosts, {hosts} allowed, vmpack"),
        number(moves.len()),
        "",
        None,
    )?;
    show("time of that", took, "s", None)?;
    let Some((told, time)) = score(file, hosts)? else {
        return show("hbal has no answer after", f64::from(seconds), "s", None);
    };
    let Some((ours, _)) = score(&mine, 0)? else {
        return show("hbal gives no score after", f64::from(seconds), "s", None);
    };
    let before = after_word(&told, "Initial score: ")?;
    let theirs = after_word(&told, " to ").unwrap_or(before);
    let ours = after_word(&ours, "Initial score: ")?;
    let steps = told.lines().filter(|l| l.contains(" a=")).count();
    show("moves of hbal", number(steps), "", None)?;
    show("hbal's score before", before, "", None)?;
    show("hbal's score after hbal", theirs, "", None)?;
    show("hbal's score after vmpack", ours, "", None)?;
    show("score of hbal's", ours / theirs.max(1e-12), "x", Some(1.0))?;
    show("time of hbal's", took / time.max(1e-9), "x", Some(1.0))
}

/// The import once more: every host in use, and as many moves as there are hosts for level ones.
fn levelling(ours: &Path, hosts: u32) -> Result<PathBuf> {
    let folder = ours.join("level");
    fs::create_dir_all(&folder)?;
    for (name, line, more) in [
        (
            "cluster.yaml",
            "  state: \"on\"\n",
            "  never-sleep: true\n".to_owned(),
        ),
        ("policy.yaml", "limits:\n", format!("  level: {hosts}\n")),
        ("load.yaml", "", String::new()),
    ] {
        let text = fs::read_to_string(ours.join(name))?;
        ensure!(text.contains(line), "{name} of an import without `{line}`");
        let text = if line.is_empty() {
            text
        } else {
            text.replace(line, &format!("{line}{more}"))
        };
        fs::write(folder.join(name), text)?;
    }
    Ok(folder)
}

/// The cluster's text with some instances on other nodes, whose free memory follows.
fn moved(text: &str, moves: &BTreeMap<&str, &str>) -> String {
    let mut taken: BTreeMap<&str, i64> = BTreeMap::new();
    let instances: Vec<(Vec<&str>, &str)> = text
        .lines()
        .filter(|l| l.contains("|running|"))
        .map(|line| {
            let fields: Vec<&str> = line.split('|').collect();
            let to = moves.get(fields[0]).copied().unwrap_or(fields[6]);
            *taken.entry(to).or_default() += fields[1].parse::<i64>().unwrap_or(0);
            (fields, to)
        })
        .collect();
    let mut instances = instances.into_iter();
    let mut out = String::new();
    for line in text.lines() {
        let mut fields: Vec<&str> = line.split('|').collect();
        let free;
        if line.contains("|running|") {
            if let Some((of, to)) = instances.next() {
                fields = of;
                fields[6] = to;
            }
        } else if fields.len() > 10 {
            let of = |i: usize| fields[i].parse::<i64>().unwrap_or(0);
            free = (of(1) - of(2) - taken.get(fields[0]).copied().unwrap_or(0)).to_string();
            fields[3] = &free;
        }
        let _ = writeln!(out, "{}", fields.join("|"));
    }
    out
}

/// The number behind those words.
fn after_word(text: &str, words: &str) -> Result<f64> {
    let rest = text.lines().filter_map(|l| l.split_once(words)).next_back();
    let rest = rest
        .with_context(|| format!("read {text}, expected `{words}`"))?
        .1;
    let number = rest.split_whitespace().next().unwrap_or_default();
    number
        .parse()
        .with_context(|| format!("read `{rest}`, expected a number"))
}

#[expect(clippy::cast_precision_loss, reason = "a number of moves")]
fn number(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_moves_takes_its_memory_along() {
        let text = "default|g-1|preferred||\n\n\
            n0|1000|100|500|9|9|4|M|g-1|1||N|1|4|1.0\n\
            n1|1000|100|900|9|9|4|N|g-1|1||N|1|4|1.0\n\n\
            a|400|1|1|running|Y|n0||ext||1\n\n";
        let moves = BTreeMap::from([("a", "n1")]);
        let after = moved(text, &moves);
        assert!(after.contains("n0|1000|100|900|") && after.contains("n1|1000|100|500|"));
        assert!(after.contains("a|400|1|1|running|Y|n1|"));
        let score = after_word("x 1.5\ny from 3 to 0.25", " to ").unwrap();
        assert!((score - 0.25).abs() < 1e-12);
    }
}
