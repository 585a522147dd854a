//! `cargo xtask histories`: the executor through many random histories of faults, and proof that they
//! would notice: each guard taken away in turn, in a copy of the sources, until a history fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::sys::resource::{Resource, setrlimit};
use xtask::binaries::cargo;
use xtask::command::{command, read, run};
use xtask::{target_directory, workspace};

/// The test that drives them, and what it is called.
const TEST: &str = "faults";
const NAME: &str = "no_history";
/// Bytes that a test without a guard may map; its build takes a third of it.
const MEMORY: u64 = 8 << 30;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many
    #[arg(long, default_value_t = 10_000)]
    count: u32,
    /// Which: the same seed makes the same histories
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Take each guard away in turn, and expect a history to fail
    #[arg(long)]
    mutations: bool,
    /// With --mutations: only those whose name holds this text
    #[arg(long, value_name = "TEXT", requires = "mutations")]
    only: Option<String>,
}

/// A guard, and how it is taken away.
struct Mutation {
    /// What the guard sees to.
    guard: &'static str,
    /// What the judge is to find, as `judge.rs` calls it; another wrong may come first.
    wrong: &'static str,
    file: &'static str,
    /// Stands in the file once.
    from: &'static str,
    to: &'static str,
}

const MUTATIONS: &[Mutation] = &[
    Mutation {
        guard: "room is looked at right before a move",
        wrong: "OverCapacity",
        file: "executor/src/preflight.rs",
        from: "view.judge_room(&placement, others, &mut changes);",
        to: "let _ = others;",
    },
    Mutation {
        guard: "the intent is on the disk before a migration is asked for",
        wrong: "NoIntent",
        file: "executor/src/carry.rs",
        from: "self.write(step.run, intent)?;",
        to: "let of = self.runs.get_mut(&step.run); of.into_iter().for_each(|r| r.progress.apply(&intent));",
    },
    Mutation {
        guard: "a move waits for those that make its room",
        wrong: "TooEarly",
        file: "executor/src/decide.rs",
        from: "            && course.is_ready(at, needs).is_some()\n",
        to: "",
    },
    Mutation {
        guard: "so many migrations at once and no more",
        wrong: "OverLimits",
        file: "executor/src/decide/busy.rs",
        from: "            && slots.all < limits.parallel.max(1)\n",
        to: "",
    },
    Mutation {
        guard: "so many guests in split state at a host and no more",
        wrong: "OverSplit",
        file: "executor/src/decide.rs",
        from: "            && self.busy.may_split(course, at)\n",
        to: "",
    },
    Mutation {
        guard: "a canary first, then batches that grow",
        wrong: "OverBatch",
        file: "executor/src/decide.rs",
        from: "canary.max(well.saturating_mul(2)).saturating_sub(underway)",
        to: "canary.max(well.saturating_mul(2)).saturating_add(underway)",
    },
    Mutation {
        guard: "a person is asked after so many failures",
        wrong: "Unasked",
        file: "executor/src/decide.rs",
        from: "            if course.progress.stopped.is_some() {\n                continue;\n            }\n",
        to: "",
    },
    Mutation {
        guard: "what a move left at its source is removed",
        wrong: "LeftBehind",
        file: "executor/src/attempt.rs",
        from: "Ok(Standing::Left(state)) => match self.remove_rest() {\n                    Ok(()) => continue,",
        to: "Ok(Standing::Left(state)) => match Ok::<(), Error>(()) {\n                    Ok(()) => return Ended::Moved(None),",
    },
    Mutation {
        guard: "another controller's lease is heeded",
        wrong: "TwoHolders",
        file: "executor/src/claim.rs",
        from: "&& lease.until > now",
        to: "&& lease.until > now && false",
    },
    Mutation {
        guard: "nothing is started after an abort",
        wrong: "AfterTheEnd",
        file: "executor/src/decide.rs",
        from: "let reason = if course.progress.aborted {",
        to: "let reason = if false {",
    },
    Mutation {
        guard: "no resume where it kills libvirtd",
        wrong: "DaemonKilledByUs",
        file: "executor/hypervisor/src/recovery.rs",
        from: "way: Err(\"resuming crashes the libvirtd of the target (measured, 2 of 2)\"),",
        to: "way: Ok(Method::Libvirt),",
    },
    Mutation {
        guard: "a lost guest is named",
        wrong: "NotNamed",
        file: "executor/src/carry.rs",
        from: "Ended::Lost(cause) => Event::Lost { id, cause },",
        to: "Ended::Lost(error) => Event::Failed { id, error },",
    },
    Mutation {
        guard: "what the hosts say goes before what the journal says",
        wrong: "Untrue",
        file: "executor/src/attempt.rs",
        from: "Ok(Standing::AtSource) if again => return Ended::Interrupted,",
        to: "Ok(Standing::AtSource) if again => return Ended::Moved(None),",
    },
    Mutation {
        guard: "a move that ended while no executor ran is found so",
        wrong: "OtherEnd",
        file: "executor/src/attempt.rs",
        from: "self.tidy(&located);\n                    return Ended::Moved(None);",
        to: "return Ended::Interrupted;",
    },
    // Nothing of ours can do these two: there the world itself is made wrong, to prove the judge.
    Mutation {
        guard: "execution ends at the source when it begins at the target (QEMU's)",
        wrong: "RunsTwice",
        file: "models/sim/src/world.rs",
        from: "            g.copies.insert(request.from, CopyState::Outgoing);\n",
        to: "            g.copies.insert(request.from, CopyState::Running);\n",
    },
    Mutation {
        guard: "what has switched is not aborted (libvirt's, and ours)",
        wrong: "LostWithoutCause",
        file: "models/sim/src/world.rs",
        from: "m.request.guest == *guest && m.request.from == *from && m.switched.is_none()",
        to: "m.request.guest == *guest && m.request.from == *from",
    },
];

pub(crate) fn histories(arguments: &Arguments) -> Result<()> {
    if !arguments.mutations {
        return run(&mut test(&workspace(), arguments.count, arguments.seed));
    }
    let wanted = |m: &&Mutation| {
        let text = arguments.only.as_deref().unwrap_or_default();
        m.guard.contains(text) || m.wrong.contains(text)
    };
    let copy = copy()?;
    // Without a guard the executor may take all memory there is: that ends its process, not the machine's.
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY).context("cannot limit the memory of tests")?;
    println!("| guard taken away | expected | found | after |\n|---|---|---|---|");
    let mut survived = 0;
    for mutation in MUTATIONS.iter().filter(wanted) {
        let began = Instant::now();
        let found = mutation.try_in(&copy, arguments)?;
        survived += u32::from(found.is_none());
        let found = found.unwrap_or_else(|| "**nothing**".to_owned());
        let (guard, wrong, spent) = (mutation.guard, mutation.wrong, began.elapsed());
        println!(
            "| {guard} | {wrong} | {found} | {:.0} s |",
            spent.as_secs_f64()
        );
    }
    if survived > 0 {
        bail!("{survived} guards are missed by no history");
    }
    Ok(())
}

fn test(tree: &Path, count: u32, seed: u32) -> std::process::Command {
    let mut test = cargo();
    test.current_dir(tree)
        .args(["test", "--workspace", "--test", TEST, "--", NAME])
        .env("CARGO_TARGET_DIR", target_directory())
        .env("RUST_BACKTRACE", "0")
        .env("VMPACK_HISTORIES", count.to_string())
        .env("VMPACK_HISTORIES_SEED", seed.to_string());
    test
}

/// The sources as they are, elsewhere: nobody's files are changed by a mutation.
fn copy() -> Result<PathBuf> {
    let (from, to) = (workspace(), target_directory().join("mutated"));
    let mut list = command([
        "git",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    for file in read(list.current_dir(&from))?.lines() {
        let (from, to) = (from.join(file), to.join(file));
        let text = match fs::read(&from) {
            Ok(text) => text,
            // It was removed and is not committed so yet.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", from.display())),
        };
        // A file that is as it was keeps its time, so that it is not compiled again.
        if fs::read(&to).is_ok_and(|old| old == text) {
            continue;
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(to)
}

impl Mutation {
    /// What the judge says of the tree without this guard.
    fn try_in(&self, tree: &Path, arguments: &Arguments) -> Result<Option<String>> {
        let path = tree.join(self.file);
        let whole = fs::read_to_string(&path)?;
        fs::write(&path, self.apply(&whole)?)?;
        let output = test(tree, arguments.count, arguments.seed).output();
        fs::write(&path, whole)?;
        let output = output.context("cannot start cargo")?;
        if output.status.success() {
            return Ok(None);
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let wrong = said.lines().find_map(|l| l.strip_prefix("WRONG "));
        match wrong.and_then(|line| line.split_once(':')) {
            Some((wrong, _)) => Ok(Some(wrong.to_owned())),
            None if said.contains("error: could not compile") => {
                bail!("without `{}` it does not compile:\n{said}", self.guard)
            }
            None => bail!(
                "without `{}` the test ended before the judge found anything:\n{said}",
                self.guard
            ),
        }
    }

    fn apply(&self, text: &str) -> Result<String> {
        if text.matches(self.from).count() != 1 {
            bail!("{}: `{}` does not stand there once", self.file, self.from);
        }
        Ok(text.replacen(self.from, self.to, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_is_where_it_is_said_to_be() {
        for mutation in MUTATIONS {
            let text = fs::read_to_string(workspace().join(mutation.file)).unwrap();
            let mutated = mutation.apply(&text).unwrap();
            assert_ne!(text, mutated, "{}", mutation.guard);
        }
    }
}
