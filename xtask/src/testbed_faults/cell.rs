//! One cell of the matrix: a fresh guest, one move, one fault, and what came of it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;
use xtask::binaries::Binaries;
use xtask::testbed::{Beat, Heartbeats, Load, Testbed, judge};

use super::{Fault, GUEST, Phase, SOURCE, TARGET};

/// The link that the plan states, in MiB/s: so slow that each phase lasts some seconds.
const BANDWIDTH: u32 = 8;
/// How long a phase may take to come.
const PHASE: Duration = Duration::from_secs(60);
/// How long an executor may take to its end, a dead link included.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long a guest is waited for whose link is up again: TCP may wait for long before it tries.
const HEALS: Duration = Duration::from_secs(90);
/// A guest whose heart was silent for so long stands still.
const SILENT: Duration = Duration::from_millis(1500);

/// Memory that is rewritten all the while, so that a page that went wrong is noticed.
const LOAD: Load = Load {
    cpu_percent: 0,
    dirty_mib_per_s: 2,
    working_set_mib: 16,
};

/// What all cells share.
pub(super) struct Bench<'a> {
    pub(super) binaries: &'a Binaries,
    pub(super) testbed: &'a Testbed,
    pub(super) cluster: &'a Path,
    pub(super) files: &'a Path,
}

/// What became of the guest, by its heart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Guest {
    AtSource,
    AtTarget,
    /// It beats nowhere.
    Lost,
    /// It beats at both ends.
    Twice,
}

/// What came of one move.
#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    #[serde(serialize_with = "as_text")]
    pub(super) phase: Phase,
    #[serde(serialize_with = "as_text")]
    pub(super) fault: Fault,
    /// Where the guest is in the end.
    pub(super) guest: Guest,
    /// Whether it was booted anew, or ran twice.
    pub(super) restarted: bool,
    /// Pages that did not hold what the guest last wrote.
    pub(super) bad_pages: u64,
    /// Its longest silence, in seconds; nothing where it never beat again.
    pub(super) gap: Option<f64>,
    /// The last word of the executor on the move: `moved`, `failed`, `skipped`, `stuck`, ...
    pub(super) told: String,
    /// What else it says, for a move that was not made.
    pub(super) detail: Option<String>,
    /// Whether a second executor carried the run on.
    pub(super) resumed: bool,
    /// What libvirt says of the guest at both ends.
    pub(super) states: [Option<String>; 2],
}

fn as_text<T: std::fmt::Display, S: serde::Serializer>(it: &T, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(it)
}

impl Cell {
    /// What must not be.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut all = Vec::new();
        let alive = matches!(self.guest, Guest::AtSource | Guest::AtTarget);
        if self.guest == Guest::Twice || self.restarted {
            all.push("the guest was restarted or ran twice".to_owned());
        }
        if self.bad_pages > 0 {
            all.push(format!("{} damaged pages", self.bad_pages));
        }
        if !alive && !self.fault.kills(self.phase) {
            all.push("the guest is lost, and its memory was whole".to_owned());
        }
        let wrong = match self.told.as_str() {
            "moved" => {
                alive && self.guest != Guest::AtTarget || !alive && self.phase != Phase::Done
            }
            "failed" | "skipped" => self.guest == Guest::AtTarget,
            "refused" => alive && self.guest != Guest::AtSource,
            "lost" => alive,
            "stuck" => false,
            _ => true,
        };
        if wrong {
            all.push(format!("the executor says `{}`", self.told));
        }
        let cell = self.line();
        all.into_iter()
            .map(|what| format!("{cell}: {what}"))
            .collect()
    }

    pub(super) fn line(&self) -> String {
        let gap = self.gap.map_or("-".to_owned(), |gap| format!("{gap:.2} s"));
        let states = self.states.each_ref().map(|s| s.as_deref().unwrap_or("-"));
        format!(
            "{}/{}: guest {:?}, gap {gap}, told {}{}; {SOURCE}: {}, {TARGET}: {}",
            self.phase,
            self.fault,
            self.guest,
            self.told,
            if self.resumed { " (resumed)" } else { "" },
            states[0],
            states[1]
        )
    }
}

impl Bench<'_> {
    /// Boots the guest anew, moves it, strikes in that phase, mends what can be mended, and looks.
    pub(super) fn try_one(&self, phase: Phase, fault: Fault) -> Result<Cell> {
        self.testbed.renew(GUEST)?;
        self.testbed.steer(GUEST, LOAD)?;
        let plan = self.plan(phase)?;
        let journal = self.files.join(format!("{phase}-{fault}.db"));
        let heartbeats = self.testbed.heartbeats(GUEST)?;
        std::thread::sleep(Duration::from_millis(300));

        if phase == Phase::BeforeStart {
            self.strike(fault, None)?;
        }
        let log = journal.with_extension("log");
        let mut apply = self.executor(&journal, &["-v", "apply", "--yes"]);
        apply.arg(&plan).arg("--cluster").arg(self.cluster);
        let mut first = Executor::start(&mut apply, &log)?;
        if phase != Phase::BeforeStart {
            self.come(phase, &first)?;
            self.strike(fault, Some(&mut first))?;
        }
        std::thread::sleep(fault.lasts());
        self.testbed.mend()?;
        first.end()?;
        let mut status = self.status(&journal)?;
        // Nothing was written where the plan was refused before it began.
        let resumed = status["run"] == "interrupted";
        if resumed {
            Executor::start(&mut self.executor(&journal, &["-v", "resume"]), &log)?.end()?;
            status = self.status(&journal)?;
        }
        let guest = self.where_is(&heartbeats, fault.kills(phase));
        let beats = heartbeats.beats();
        let life = judge(&beats);
        let told = &status["moves"][0];
        let detail = ["error", "reason", "detail"].map(|key| told[key].as_str());
        Ok(Cell {
            phase,
            fault,
            guest,
            restarted: life.restarted,
            bad_pages: life.bad_pages,
            gap: (guest != Guest::Lost).then_some(life.longest_gap.as_secs_f64()),
            told: told["state"].as_str().unwrap_or("refused").to_owned(),
            detail: detail.into_iter().flatten().next().map(str::to_owned),
            resumed,
            states: [
                self.testbed.state(GUEST, SOURCE)?,
                self.testbed.state(GUEST, TARGET)?,
            ],
        })
    }

    fn executor(&self, journal: &Path, arguments: &[&str]) -> Command {
        let mut executor = self.binaries.command("vmpack-executor");
        executor.arg("--json").arg("--journal").arg(journal);
        executor.args(arguments);
        executor
    }

    fn status(&self, journal: &Path) -> Result<Value> {
        let output = self.executor(journal, &["status"]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).with_context(|| format!("the executor's status: {text}"))
    }

    /// A plan of the one move, over a link that is slow enough to strike in the middle.
    fn plan(&self, phase: Phase) -> Result<PathBuf> {
        let mode = match phase {
            Phase::PreCopy => "pre-copy",
            _ => "post-copy",
        };
        let memory = self.testbed.guest(GUEST)?.memory_mib;
        let text = format!(
            "apiVersion: vmpack/v1
kind: Plan
base: {{ cluster: 'sha256:0', load: 'sha256:0' }}
policy: {{}}
status: optimal
claim: {{ objective: 1, bound: 1, origin: test, hosts-bound: 1 }}
move-claim: {{ objective: {memory}MiB, bound: {memory}MiB, origin: test }}
time-claim: {{ objective: 20s, bound: 0s, origin: test }}
hosts: {{ before: [{SOURCE}], after: [{TARGET}] }}
target: {{ {GUEST}: {TARGET} }}
moves:
  - {{ id: m1, guest: {GUEST}, from: {SOURCE}, to: {TARGET}, mode: {mode}, memory: {memory}MiB,
      vcpus: 1, demand: 0.1cores, bandwidth: {BANDWIDTH}MiB/s, start: 0s, duration: 20s, reason: a test }}
"
        );
        let file = self.files.join(format!("plan-{mode}.yaml"));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// Waits for the phase.
    fn come(&self, phase: Phase, executor: &Executor) -> Result<()> {
        match phase {
            Phase::BeforeStart => {}
            Phase::PreCopy => {
                executor.says("intended")?;
                let deadline = Instant::now() + PHASE;
                while !self.testbed.has_qemu(GUEST, TARGET)? {
                    if Instant::now() > deadline {
                        bail!("no migration came to {TARGET}");
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                std::thread::sleep(Duration::from_millis(1500));
            }
            Phase::Switch => executor.says("switched")?,
            Phase::SplitState => {
                executor.says("switched")?;
                std::thread::sleep(Duration::from_secs(1));
            }
            Phase::Done => executor.says("moved")?,
        }
        Ok(())
    }

    fn strike(&self, fault: Fault, executor: Option<&mut Executor>) -> Result<()> {
        match (fault, executor) {
            (Fault::LinkBlip | Fault::LinkDown, _) => self.testbed.link(TARGET, false),
            (Fault::TargetLibvirtd, _) => self.testbed.kill_libvirtd(TARGET),
            (Fault::SourceLibvirtd, _) => self.testbed.kill_libvirtd(SOURCE),
            (Fault::TargetQemu, _) => self.kill_qemu(TARGET),
            (Fault::SourceQemu, _) => self.kill_qemu(SOURCE),
            (Fault::Executor, Some(executor)) => executor.kill(),
            (Fault::Executor, None) => Ok(()),
        }
    }

    fn kill_qemu(&self, host: &str) -> Result<()> {
        if !self.testbed.kill_qemu(GUEST, host)? {
            bail!("{GUEST} has no QEMU on {host}");
        }
        Ok(())
    }

    /// Waits for the guest's heart, for as long as it can still come back.
    fn where_is(&self, heartbeats: &Heartbeats, dead: bool) -> Guest {
        let began = Instant::now();
        let patience = if dead { 2 * SILENT } else { HEALS };
        loop {
            // Its life so far is of no interest: who beats from now on?
            std::thread::sleep(SILENT);
            let beats = heartbeats.beats();
            let lately = |host: &str| {
                let fresh = |beat: &&Beat| beat.host == host && beat.at.elapsed() < SILENT;
                beats.iter().rev().take(500).any(|beat| fresh(&beat))
            };
            match (lately(SOURCE), lately(TARGET)) {
                (true, true) => return Guest::Twice,
                (true, false) => return Guest::AtSource,
                (false, true) => return Guest::AtTarget,
                (false, false) if began.elapsed() > patience => return Guest::Lost,
                (false, false) => {}
            }
        }
    }
}

/// An executor at work, and what it writes.
struct Executor {
    child: Child,
    lines: Receiver<String>,
}

impl Executor {
    /// What it says is added to that file.
    fn start(command: &mut Command, log: &Path) -> Result<Executor> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot start the executor")?;
        let out = child.stdout.take().context("it has a standard output")?;
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // Nobody listens any more once the cell is over.
                let _ = tell.send(line);
            }
        });
        Ok(Executor { child, lines })
    }

    /// Waits until it tells of such an event.
    fn says(&self, event: &str) -> Result<()> {
        let deadline = Instant::now() + PHASE;
        let mut all = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let told: Value = serde_json::from_str(&line).unwrap_or_default();
                    if told["event"] == event {
                        return Ok(());
                    }
                    all += &line;
                    all.push('\n');
                }
                Err(RecvTimeoutError::Timeout) => bail!("it never said `{event}`, but:\n{all}"),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("it ended and never said `{event}`, but:\n{all}")
                }
            }
        }
    }

    fn kill(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill the executor")
    }

    /// Waits for its end.
    fn end(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
                self.child.wait()?;
                bail!(
                    "the executor comes to no end within {} s",
                    PATIENCE.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // An error on the way leaves it at work; it must not act on the next cell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
