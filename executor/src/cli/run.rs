//! `run`: the whole loop as a service.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use tokio::sync::mpsc::UnboundedSender;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{Source, read_load, write_cluster};
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::plan::Plan;
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, Host, Policy};
use vmpack_planner::power::{Order, Terms};

use super::failure::Failure;
use super::files::Place;
use super::planning::plan;
use super::watch::{Watch, listen_and_act};
use crate::journal::Journal;
use crate::power::Driver;
use crate::replan::again::{rested, since};
use crate::replan::{Basis, made};
use crate::watch::{Done, Periodic};

pub(crate) const EXAMPLES: &str = "\
Examples:
  vmpack-executor run --cluster cluster.yaml --policy policy.yaml
  vmpack-executor run --cluster cluster.yaml --policy policy.yaml --mode auto --every 1h
  vmpack-executor run --cluster cluster.yaml --mode auto --power command \\
    --wake-command 'ipmitool -H {host}-bmc power on' --sleep-command 'ssh {host} systemctl suspend'

What `watch` does, and beside it: a plan every --every, from the load that the probes have kept
(`vmpack-probe fetch`), carried out in mode auto while no host is overloaded; hosts that it leaves
empty sleep after --break-even, and wake before they are needed. Commands are split at spaces and
run without a shell. Every decision stands in the audit log with its reasons.";

/// How hosts are switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Power {
    /// Not at all
    #[default]
    None,
    /// By the commands that are given
    Command,
    /// Suspended through libvirt, woken by a magic packet to the host's label `mac`
    Libvirt,
    /// Only said
    Simulated,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    beside: Beside,
}

/// What is done by the clock.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Beside {
    /// How often a plan is made
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = some_time)]
    every: Micros,
    /// Of how long the load is that plans are made from
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = some_time)]
    last: Micros,
    /// How hosts are put to sleep and woken
    #[arg(long, value_enum, default_value_t)]
    power: Power,
    /// What wakes a host
    #[arg(long, value_name = "COMMAND", required_if_eq("power", "command"))]
    wake_command: Option<String>,
    /// What puts it to sleep
    #[arg(long, value_name = "COMMAND", required_if_eq("power", "command"))]
    sleep_command: Option<String>,
    /// Where magic packets are sent
    #[arg(long, value_name = "ADDRESS", default_value = "255.255.255.255:9")]
    broadcast: SocketAddr,
    /// How long a host must be able to sleep for that to pay
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = some_time)]
    break_even: Micros,
    /// From asking a host to wake to its taking guests
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = some_time)]
    wake_latency: Micros,
}

/// A time that is not nothing.
fn some_time(text: &str) -> Result<Micros, String> {
    let time: Micros = text.parse().map_err(|e| format!("{e}"))?;
    if !(Micros::secs(1)..=Micros::secs(366 * 86_400)).contains(&time) {
        return Err(format!("read `{text}`, expected 1s to 366d"));
    }
    Ok(time)
}

pub(crate) fn run(arguments: &Run, place: &Place, json: bool) -> Result<Exit, Failure> {
    arguments.beside.ready()?;
    listen_and_act(&arguments.watch, Some(&arguments.beside), place, json)
}

impl Beside {
    /// Makes sure, before a host sleeps, that what is to wake it can be run.
    fn ready(&self) -> Result<(), Failure> {
        let commands = [
            ("--wake-command", &self.wake_command),
            ("--sleep-command", &self.sleep_command),
        ];
        for (flag, command) in commands {
            let Some(command) = command else { continue };
            if self.power != Power::Command {
                let error = format!("{flag} is for `--power command`");
                return Err(Failure::new(Exit::Usage, error));
            }
            let program = command.split_whitespace().next().unwrap_or_default();
            if !can_run(program) {
                let error = format!(
                    "read `{program}` in {flag}, expected a program that is there and may be run"
                );
                return Err(Failure::new(Exit::BadInput, error));
            }
        }
        Ok(())
    }

    pub(super) fn periodic(&self, policy: &Policy) -> Periodic {
        Periodic {
            every: self.every,
            power: (self.power != Power::None)
                .then(|| Terms::of(policy, self.break_even, self.wake_latency)),
        }
    }

    /// Makes a plan on a thread of its own.
    pub(super) fn plan(
        &self,
        watch: &Watch,
        cluster: Cluster,
        policy: &Policy,
        place: &Place,
        told: &UnboundedSender<Done>,
    ) {
        let (told, policy) = (told.clone(), policy.clone());
        let (journal, every) = (place.journal.clone(), self.every);
        let fetch = fetch(watch, self.last);
        std::thread::spawn(move || {
            // A bug in planning must not end it for good.
            let plan = catch_unwind(AssertUnwindSafe(|| {
                let basis = rested_basis(&journal, (&cluster, &policy), every)?;
                planned(fetch, basis)
            }));
            let bug = "a bug ended it; it is tried again after the next interval";
            let plan = plan.unwrap_or_else(|_| Err(bug.to_owned()));
            // Nobody hears it where the watch has ended.
            let _ = told.send(Done::Planned(Box::new(plan)));
        });
    }

    /// Switches a host, on a thread of its own.
    pub(super) fn switch(&self, order: Order, host: Host, told: &UnboundedSender<Done>) {
        let words = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            text.split_whitespace().map(str::to_owned).collect()
        };
        let driver = match self.power {
            Power::None | Power::Simulated => Driver::Simulated,
            Power::Libvirt => Driver::Libvirt {
                broadcast: self.broadcast,
            },
            Power::Command => Driver::Command {
                wake: words(&self.wake_command),
                sleep: words(&self.sleep_command),
            },
        };
        let told = told.clone();
        std::thread::spawn(move || {
            let done = match &order {
                Order::Sleep(..) => driver.sleep(&host),
                Order::Wake(..) => driver.wake(&host),
                // Only told.
                Order::Failed(..) => return,
            };
            // As above.
            let _ = told.send(Done::Powered(order, done.err().map(|e| e.to_string())));
        });
    }
}

/// Whether that is a program, by its path or on PATH.
fn can_run(program: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let runs = |file: &Path| {
        std::fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    if program.is_empty() {
        return false;
    }
    if program.contains('/') {
        return runs(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| runs(&folder.join(program)))
}

/// The probe's program beside this one, else on PATH, with the flags that ours was given.
fn fetch(watch: &Watch, last: Micros) -> Command {
    let beside = std::env::current_exe().ok();
    let beside = beside.map(|exe| exe.with_file_name("vmpack-probe"));
    let program = beside.filter(|p| p.is_file());
    let mut command = Command::new(program.unwrap_or_else(|| PathBuf::from("vmpack-probe")));
    command.arg("fetch").arg("--last").arg(last.to_string());
    for (host, address) in &watch.probes {
        command.arg("--probe").arg(format!("{host}={address}"));
    }
    let tls = [
        ("--tls-cert", &watch.tls.cert),
        ("--tls-key", &watch.tls.key),
        ("--tls-ca", &watch.tls.ca),
    ];
    for (flag, file) in tls {
        if let Some(file) = file {
            command.arg(flag).arg(file);
        }
    }
    command
}

/// What the plan is made from: what failed lately is not tried again at once.
fn rested_basis(journal: &Path, now: (&Cluster, &Policy), every: Micros) -> Result<Basis, String> {
    let wall = Timestamp(jiff::Timestamp::now());
    let runs = Journal::existing(journal)
        .and_then(|j| j.map(|j| j.since(since(wall, every))).transpose())
        .map_err(|e| e.to_string())?;
    Ok(rested(&runs.unwrap_or_default(), now, wall, every))
}

/// The plan for the cluster under the load that the probes have kept.
fn planned(mut fetch: Command, basis: Basis) -> Result<Plan, String> {
    let cluster = &basis.cluster;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (input, output) = (
        folder.path().join("cluster.yaml"),
        folder.path().join("load.yaml"),
    );
    std::fs::write(&input, write_cluster(cluster)).map_err(|e| e.to_string())?;
    let ended = fetch
        .arg("--cluster")
        .arg(&input)
        .arg("-o")
        .arg(&output)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cannot run vmpack-probe: {e}"))?;
    // Where some probes are silent their guests count at all their vCPUs.
    let partly = Some(i32::from(Exit::PartlyDone as u8));
    if !ended.status.success() && ended.status.code() != partly {
        let said = String::from_utf8_lossy(&ended.stderr);
        return Err(format!("the load was not fetched: {}", said.trim()));
    }
    let text = std::fs::read_to_string(&output).map_err(|e| e.to_string())?;
    let name = "load.yaml".to_owned();
    let load = read_load(&[Source { name, text }]).map_err(|e| e.to_string())?;
    let planner = |basis: &Basis| plan(&basis.cluster, &load, &basis.policy, &|| false);
    made(basis, &planner, &|| false)
}
