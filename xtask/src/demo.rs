//! `cargo xtask demo`: the main job on an example, without any rights: plan, then carry out on the
//! simulated hypervisor.

use std::fs::{self, File};

use anyhow::{Context, Result};
use xtask::binaries::Binaries;
use xtask::command::{read, run};
use xtask::target_directory;

pub(crate) fn demo() -> Result<()> {
    let binaries = Binaries::build()?;
    let directory = target_directory().join("demo");
    if directory.exists() {
        fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    // Relative paths keep the lines that are shown short enough to be read and typed.
    let inside = |name: &str| {
        let mut command = binaries.command(name);
        command.current_dir(&directory);
        command
    };

    say("vmpack example cluster --hosts 40 --guests 400 --seed 1 -o .");
    run(inside("vmpack").args("example cluster --hosts 40 --guests 400 --seed 1 -o .".split(' ')))?;
    let plan = "plan --cluster cluster.yaml --load load.yaml --policy policy.yaml";
    say(&format!("vmpack {plan} -o plan.yaml"));
    run(inside("vmpack")
        .args(plan.split(' '))
        .args(["-o", "plan.yaml"]))?;
    say(&format!("vmpack {plan} --json > plan.json"));
    let json = File::create(directory.join("plan.json")).context("cannot write plan.json")?;
    run(inside("vmpack")
        .args(plan.split(' '))
        .arg("--json")
        .stdout(json))?;
    let apply = "apply plan.yaml --cluster cluster.yaml --simulated --load load.yaml --yes --journal journal.db";
    say(&format!("vmpack-executor {apply}"));
    let log = directory.join("apply.log");
    let talk = File::create(&log).context("cannot write apply.log")?;
    let told = read(
        inside("vmpack-executor")
            .args(apply.split(' '))
            .stderr(talk),
    )?;
    let lines: Vec<&str> = told.lines().collect();
    // Before these stands a line for each move, which the plan has shown already.
    println!("{}", lines[lines.len().saturating_sub(2)..].join("\n"));

    println!("\nplan:          {}", directory.join("plan.yaml").display());
    println!("plan as JSON:  {}", directory.join("plan.json").display());
    println!("every move:    {}", log.display());
    println!("journal:       {}", directory.join("journal.db").display());
    Ok(())
}

fn say(line: &str) {
    println!("\n$ {line}");
}
