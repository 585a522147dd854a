//! The rows of `cargo xtask bench whatif`: how long an answer takes on an example of 100 hosts and 1,000
//! guests.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result};
use xtask::command::{command, read, run};
use xtask::target_directory;

use crate::bench::Shown;

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
            let answer = read(&mut ask)?;
            took.push(began.elapsed().as_secs_f64());
            told = serde_json::from_str(&answer).context("an answer of vmpack whatif")?;
        }
        took.sort_by(f64::total_cmp);
        let seconds = took.get(TIMES / 2).copied().context("a run")?;
        row(
            format!("what if, 100 hosts and 1,000 guests: {what}"),
            seconds,
            "s",
            Some(*most),
        )
        .print(json)?;
        for reading in ["restart", "moving"] {
            let open = told.pointer(&format!("/{reading}/open"));
            if let Some(open) = open.and_then(serde_json::Value::as_array) {
                #[expect(clippy::cast_precision_loss, reason = "at most 100")]
                let open = open.len() as f64;
                row(
                    format!("{what}, {reading}: not decided"),
                    open,
                    "",
                    Some(0.0),
                )
                .print(json)?;
            }
        }
    }
    Ok(())
}

fn row(what: String, value: f64, unit: &'static str, most: Option<f64>) -> Shown {
    Shown {
        what,
        value: (value * 100.0).round() / 100.0,
        unit,
        target: most.map_or("-".into(), |most| format!("<= {most}")),
        ok: most.is_none_or(|most| value <= most),
    }
}
