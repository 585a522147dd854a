//! The rows of `cargo xtask bench whatif`: how long an answer takes on an example of 100 hosts and 1,000
//! guests.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use xtask::command::{command, run, shown};
use xtask::target_directory;

use crate::row::row;

const NAME: &str = "what if, 100 hosts and 1,000 guests";

/// How often each is asked; the median is told.
const TIMES: usize = 3;

/// What is asked, with the seconds that it may take.
const ASKED: &[(&str, &[&str], f64)] = &[
    ("a host is drained", &["--drain", "h001"], 2.0),
    ("a host fails", &["--fail", "h001"], 2.0),
    ("the load grows by a fifth", &["--scale-load", "1.2"], 2.0),
    (
        "two hosts are added",
        &["--add-hosts", "2,32cores,256GiB"],
        2.0,
    ),
    ("N+1, every host by itself", &["--losses", "1"], 10.0),
];

/// Prints the rows.
pub(crate) fn rows(vmpack: &Path, json: bool) -> Result<()> {
    let folder = target_directory().join("bench-data/whatif");
    let mut example = command([vmpack]);
    example.args(["example", "cluster", "--hosts", "100", "--guests", "1000"]);
    example.args(["--seed", "1", "--output"]).arg(&folder);
    run(example.stdout(Stdio::null()).stderr(Stdio::null()))?;
    for (what, edits, most) in ASKED {
        let mut took = Vec::with_capacity(TIMES);
        let mut told = serde_json::Value::Null;
        for _ in 0..TIMES {
            let mut ask = command([vmpack]);
            ask.args(["whatif", "--json"]).args(*edits);
            for kind in ["cluster", "load", "policy"] {
                ask.arg(format!("--{kind}"));
                ask.arg(folder.join(format!("{kind}.yaml")));
            }
            let began = Instant::now();
            let answer = ask.output().context("cannot start vmpack")?;
            took.push(began.elapsed().as_secs_f64());
            // That a loss is not survived, or not known to be, is an answer too.
            ensure!(
                matches!(answer.status.code(), Some(0 | 5 | 8)),
                "{} failed: {}",
                shown(&ask),
                String::from_utf8_lossy(&answer.stderr)
            );
            told = serde_json::from_slice(&answer.stdout).context("an answer of vmpack whatif")?;
        }
        took.sort_by(f64::total_cmp);
        let seconds = took.get(TIMES / 2).copied().context("a run")?;
        row(NAME, what, seconds, "s", Some(*most), true, json)?;
        if !edits.contains(&"--losses") {
            continue;
        }
        for reading in ["restart", "moving"] {
            let open = told.pointer(&format!("/{reading}/open"));
            let open = open.and_then(serde_json::Value::as_array);
            let open = open.with_context(|| format!("read {told}, expected {reading}/open"))?;
            #[expect(clippy::cast_precision_loss, reason = "at most 100")]
            let open = open.len() as f64;
            let what = format!("{what}, {reading}: not decided");
            row(NAME, &what, open, "", Some(0.0), true, json)?;
        }
    }
    Ok(())
}
