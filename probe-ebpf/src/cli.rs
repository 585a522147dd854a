//! The command line of `vmpack-probe`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use comfy_table::Table;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::time::TimeSpec;
use serde_json::json;
use std::os::fd::AsFd;
use vmpack_domain::Tier;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::write_load;
use vmpack_domain::units::{Micros, Ratio, count};
use vmpack_hypervisor::libvirt::{DirtyRates, Observer, ask_vcpus, observe};

use crate::doctor::{Ask, examine};
use crate::guests::listed_once;
use crate::measure;
use crate::pki;
use crate::record::{Progress, Recording, Settings, record};
use crate::sample::{now, schedstat_grain, tickless_cpus};
use crate::schedstat::STEPS;
use crate::serve;
use crate::tick::tier_name;
use crate::tiers::metrics;
use crate::tls::TlsError;
use crate::top;
use crate::{bench, export, fetch};

const EXAMPLES: &str = "\
Examples:
  vmpack-probe doctor                                how well can this host be measured?
  vmpack-probe record --seconds 60 -o load.yaml      one minute of every running guest
  vmpack plan --cluster cluster.yaml --load load.yaml

Exit codes: 0 done, 1 a bug, 2 wrong usage, 3 bad input (a cluster file or a certificate that cannot be
read or used, or is there already), 7 some probes did not answer (fetch), 9 environment (libvirt, /proc, the network or the
history cannot be used, or no file can be written). Run it on the host itself, inside the host's PID namespace. It needs no root: reading
/proc and libvirt's read-only socket is enough.";

/// Records the CPU demand and the memory of every guest on this host
#[derive(Debug, Parser)]
#[command(name = "vmpack-probe", version, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    /// Say more on standard error (RUST_LOG is honoured too)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Record the load of the running guests into load.yaml
    #[command(after_help = "\
Examples:
  vmpack-probe record --seconds 60 -o load.yaml
  vmpack-probe record --seconds 10 --window 1s --json
  vmpack-probe record --seconds 60 --speed 1.2 > load.yaml    this host's cores are 1.2 times as fast

A demand is run time, plus the waiting for a CPU that was not worked off by the end of its window;
it is never more than the vCPUs. Ctrl-C ends the recording early and writes what there is.")]
    Record(RecordArguments),
    /// Say how each guest would be measured, and why
    Doctor(DoctorArguments),
    /// Measure all the time: keep a history and answer over HTTP
    #[command(after_help = "\
Examples:
  vmpack-probe serve                                        on loopback, for this host only
  vmpack-probe serve --listen 10.0.0.1:9742 --tls-cert h1.pem --tls-key h1.key --tls-ca ca.pem
  curl -s http://127.0.0.1:9742/metrics

Paths: /metrics, /healthz, /v1/load?since=&until=&step=&statistic=, /v1/stream. Ctrl-C ends it.")]
    Serve(serve::command::Arguments),
    /// Show the guests' load as it is now
    #[command(after_help = "\
Examples:
  vmpack-probe top
  vmpack-probe top --url https://10.0.0.1:9742 --tls-cert me.pem --tls-key me.key --tls-ca ca.pem
  vmpack-probe top --once

Shown are the last ten seconds, in cores: RUN what the vCPUs ran and DELAY what they waited, WANT the
mean demand of the windows, P99 and MAX the largest of them. DIRTY/S counts pages of 4 KiB; `>` marks
a lower bound. Where no daemon answers on this host, top measures by itself. Ctrl-C ends it.")]
    Top(top::Arguments),
    /// Write load.yaml from the history that `serve` keeps
    #[command(after_help = "\
Examples:
  vmpack-probe export --last 24h -o load.yaml
  vmpack-probe export --last 7d --step 1h --statistic p99

Percentiles are over all the short windows of the time. The windows in the file are the steps, and
are joint with those of other hosts that were exported or fetched for the same time.")]
    Export(export::Arguments),
    /// Gather load.yaml from the probes of a cluster (`vmpack load fetch`)
    #[command(after_help = "\
Examples:
  vmpack load fetch --cluster cluster.yaml -o load.yaml
  vmpack load fetch --cluster cluster.yaml --last 7d --tls-cert me.pem --tls-key me.key --tls-ca ca.pem -o load.yaml

A guest that was on several hosts is joined by its UUID. Exit codes: 0 every probe answered; 7 some
did not (they are named, and the load has the others); 9 none did.")]
    Fetch(fetch::command::Arguments),
    /// Make certificates for probes that are reached over the network
    #[command(after_help = "\
Examples:
  vmpack-probe pki ca                                     once, on one machine
  vmpack-probe pki server h1 --address 10.0.0.1           for each host: h1.pem, h1.key and ca.pem go there
  vmpack-probe pki client prometheus                      for each reader
  vmpack-probe pki server h1 --address 10.0.0.1 --renew   before it expires; then restart the probe

ca.key lets its owner make certificates for anyone: it stays where it was made.")]
    Pki(pki::Arguments),
    /// Measure the history on this machine's disk
    Bench(bench::Arguments),
    /// Print a shell's completions
    #[command(hide = true)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Docs {
        /// The folder, made where it is missing
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
struct RecordArguments {
    /// For how many seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    /// The length of a window
    #[arg(long, value_name = "TIME", default_value = "100ms")]
    window: Micros,
    /// The libvirt of this host
    #[arg(long, default_value = "qemu:///system")]
    uri: String,
    /// The speed of this host's cores, 1 being what demand is counted in
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    speed: Ratio,
    /// Sample the guests' dirty rates too: each gets a window of a second, in which its pages are
    /// logged, at most twice a minute. It takes the right to act on libvirt
    #[arg(long)]
    dirty: bool,
    /// The file to write; standard output if absent
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON: the load, what was not measured and why, windows missed
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DoctorArguments {
    /// The libvirt of this host
    #[arg(long, default_value = "qemu:///system")]
    uri: String,
    /// Ask each guest's QEMU too (query-cpus-fast) whether the threads found are its vCPUs. It takes the
    /// right to act on libvirt, which marks the guests as tainted (custom-monitor)
    #[arg(long)]
    ask_qemu: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command line; how it ended is the exit code.
#[must_use]
pub fn run() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // When nobody listens there is nobody to tell.
            let _ = error.print();
            return exit;
        }
    };
    start_tracing(arguments.verbose);
    let ended = match arguments.command {
        Command::Record(arguments) => check_window(
            arguments.window,
            Micros::secs(arguments.seconds),
            arguments.speed,
        )
        .map_err(|error| (Exit::Usage, error))
        .and_then(|()| environment(record_guests(&arguments))),
        Command::Doctor(arguments) => environment(doctor(&arguments)),
        Command::Export(arguments) => export::run(&arguments),
        Command::Fetch(arguments) => fetch::command::run(&arguments),
        Command::Pki(arguments) => environment(pki::pki(&arguments)),
        Command::Serve(arguments) => serve::command::serve(arguments),
        Command::Top(arguments) => environment(top::run(&arguments)),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "vmpack-probe", &mut script);
            let written = io::stdout().write_all(&script);
            environment(written.map_err(anyhow::Error::from))
        }
        Command::Docs { folder } => environment(write_docs(&folder)),
    };
    ended.unwrap_or_else(|(exit, error)| {
        let _ = writeln!(io::stderr(), "error: {error:#}");
        exit
    })
}

/// How a command ended: well enough, or with an error.
pub(crate) type Ended = Result<Exit, (Exit, anyhow::Error)>;

/// A command that can only fail by its environment, or by a certificate or its name.
pub(crate) fn environment(result: anyhow::Result<()>) -> Ended {
    match result {
        Ok(()) => Ok(Exit::Done),
        Err(error) if error.is::<TlsError>() || error.is::<pki::Unfit>() => {
            Err((Exit::BadInput, error))
        }
        Err(error) => Err((Exit::Environment, error)),
    }
}

/// The command line, for completions and manual pages.
fn command() -> clap::Command {
    Arguments::command()
}

fn start_tracing(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .without_time()
        .init();
}

/// What the parser cannot refuse: windows too short to be measured or longer than what they are
/// part of, and a host without speed.
pub(crate) fn check_window(window: Micros, most: Micros, speed: Ratio) -> anyhow::Result<()> {
    let least = Micros(STEPS * schedstat_grain() / 1000).max(Micros::millis(20));
    anyhow::ensure!(
        (least..=most).contains(&window),
        "read `--window {window}`, expected {least} to {most}: a window has {STEPS} steps of at \
         least a scheduler tick, and there is at least one window",
    );
    anyhow::ensure!(speed.0 > 0, "read `--speed 0`, expected more than 0");
    Ok(())
}

fn record_guests(arguments: &RecordArguments) -> anyhow::Result<()> {
    let settings = Settings {
        length: Micros::secs(arguments.seconds),
        measuring: measure::Settings {
            window: arguments.window,
            speed: arguments.speed,
            dirty: arguments.dirty.then(|| arguments.uri.clone()),
            ..measure::Settings::default()
        },
    };
    if let Some(file) = &arguments.output {
        // Before the recording, not after it.
        writable_place(file).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let interrupt = Interrupt::new()?;
    let mut libvirt = Observer::new(&arguments.uri);
    let progress = io::stderr().is_terminal();
    let mut told = |now: Progress| {
        if progress {
            let _ = write!(io::stderr(), "\r\u{1b}[K{}", progress_line(&settings, &now));
        }
    };
    let ended = record(
        &settings,
        move || libvirt.guests(),
        &mut |at| interrupt.wait(at),
        &mut told,
    );
    if progress {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
    let recording = ended?;
    refuse_nothing(&recording)?;
    let text = write_load(&recording.load);
    if let Some(file) = &arguments.output {
        write_whole(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let mut out = io::stdout();
    match (arguments.json, &arguments.output) {
        (true, _) => writeln!(out, "{:#}", as_json(&recording))?,
        (false, None) => write!(out, "{text}")?,
        (false, Some(file)) => writeln!(out, "{}\nwrote {}", table(&recording), file.display())?,
    }
    talk(&recording);
    Ok(())
}

/// Guests that run and of which none could be measured are an error, not an empty load.
fn refuse_nothing(recording: &Recording) -> anyhow::Result<()> {
    if let (true, Some((guest, why))) = (
        recording.load.guests.is_empty(),
        recording.not_measured.first_key_value(),
    ) {
        let others = recording.not_measured.len() - 1;
        anyhow::bail!("no guest was measured: {guest}: {why} (and {others} more)");
    }
    Ok(())
}

fn progress_line(settings: &Settings, now: &Progress) -> String {
    let seconds = |time: Micros| time.0 / 1_000_000;
    let missed = match now.missed {
        0 => String::new(),
        n => format!(", {n} windows missed"),
    };
    format!(
        "recording: {} of {} s, {}, {}{missed}",
        seconds(now.elapsed),
        seconds(settings.length),
        count(now.guests, "guest"),
        count(now.vcpus, "vCPU")
    )
}

/// Warnings and the recording's own figures, on standard error.
fn talk(recording: &Recording) {
    let mut err = io::stderr();
    for (guest, why) in &recording.not_measured {
        let _ = writeln!(err, "warning: {guest} was not measured: {why}");
    }
    for guest in &recording.left {
        let _ = writeln!(err, "note: {guest} left this host and is not in its load");
    }
    if recording.load.guests.is_empty() {
        let _ = writeln!(err, "warning: no guest runs here");
    }
    let _ = writeln!(
        err,
        "{} windows, {} missed; the probe used {}",
        recording.windows, recording.missed, recording.cost
    );
}

fn table(recording: &Recording) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header([
        "GUEST",
        "MEAN",
        "P95",
        "MAX",
        "RUN DELAY",
        "DIRTY",
        "MEMORY",
        "TIER",
    ]);
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for (name, guest) in &recording.load.guests {
        let cpu = guest.cpu.clone().unwrap_or_default();
        let cores =
            [cpu.mean, cpu.p95, cpu.max, cpu.run_delay].map(|c| text(c.map(|c| c.to_string())));
        let [mean, p95, max, delay] = cores;
        let dirty = text(guest.dirty.map(|d| match guest.dirty_tier {
            // A lower bound.
            Some(Tier::PageSampling) => format!(">= {d}"),
            _ => d.to_string(),
        }));
        let memory = text(guest.memory.map(|m| m.to_string()));
        let tier = text(guest.tier.map(|t| tier_name(t).to_owned()));
        table.add_row([name.to_string(), mean, p95, max, delay, dirty, memory, tier]);
    }
    table
}

fn as_json(recording: &Recording) -> serde_json::Value {
    json!({
        "load": recording.load,
        "not_measured": recording.not_measured,
        "left": recording.left,
        "windows": recording.windows,
        "windows_missed": recording.missed,
        "notes": recording.notes,
        "probe_cpu": recording.cost,
    })
}

fn doctor(arguments: &DoctorArguments) -> anyhow::Result<()> {
    let uid = nix::unistd::Uid::effective();
    let proc = Path::new("/proc");
    let writable = DirtyRates::open(&arguments.uri);
    let metrics = metrics(proc, writable.map(drop).map_err(|error| error.to_string()));
    let uri = arguments.uri.clone();
    let guests = listed_once(move || observe(&uri));
    let ask = |guest| ask_vcpus(&arguments.uri, guest).map_err(|error| error.to_string());
    let ask: Option<Ask<'_>> = arguments.ask_qemu.then_some(&ask);
    let findings = guests.as_ref().map(|guests| examine(proc, guests, ask));
    let tick = Micros(schedstat_grain() / 1000);
    let tickless = tickless_cpus();
    let mut out = io::stdout();
    if arguments.json {
        let metrics: serde_json::Map<_, _> = metrics
            .iter()
            .map(|m| (m.metric.to_owned(), json!({ "tier": m.tier, "why": m.why })))
            .collect();
        let guests: serde_json::Map<_, _> = findings
            .iter()
            .flatten()
            .map(|(name, f)| (name.to_string(), json!({ "tier": f.tier, "why": f.why })))
            .collect();
        let report = json!({
            "uid": uid.as_raw(), "uri": arguments.uri, "metrics": metrics, "guests": guests,
            "run_time_lags_by": tick, "tickless_cpus": tickless,
        });
        writeln!(out, "{report:#}")?;
        guests_listed(findings)?;
        return Ok(());
    }
    writeln!(out, "user: uid {uid}")?;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["METRIC", "TIER", "WHY NOT BETTER"]);
    for metric in metrics {
        table.add_row([metric.metric, metric.tier, &metric.why]);
    }
    writeln!(out, "{table}")?;
    writeln!(out, "run time in schedstat lags by at most {tick}")?;
    if let Some(cpus) = tickless {
        writeln!(
            out,
            "warning: CPUs {cpus} run without a tick; where schedstat is read, use windows of 1s or more"
        )?;
    }
    let findings = guests_listed(findings)?;
    writeln!(
        out,
        "libvirt: {} answers, {} running",
        arguments.uri,
        count(findings.len(), "guest")
    )?;
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["GUEST", "TIER", "WHY"]);
    for (name, finding) in &findings {
        let tier = finding.tier.map_or("not measured", tier_name);
        table.add_row([name.as_str(), tier, finding.why.as_str()]);
    }
    if !findings.is_empty() {
        writeln!(out, "{table}")?;
    }
    Ok(())
}

/// What the guests are measured by; the error where they could not be listed.
fn guests_listed<T>(findings: Result<T, &vmpack_hypervisor::Error>) -> anyhow::Result<T> {
    findings.map_err(|error| error.clone().into())
}

fn write_docs(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make folder {}", folder.display()))?;
    clap_mangen::generate_to(command(), folder)
        .with_context(|| format!("cannot write into {}", folder.display()))
}

/// The folder of a file that is to be written.
fn writable_place(file: &Path) -> io::Result<&Path> {
    if file.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let parent = file.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new("."));
    std::fs::metadata(folder)?;
    Ok(folder)
}

/// Writes the text to the file, whole or not at all. A link is followed; what is no regular file (a
/// device, a pipe) is written into and not replaced.
pub(crate) fn write_whole(file: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if std::fs::metadata(file).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        let mut open = std::fs::OpenOptions::new().write(true).open(file)?;
        return open.write_all(text.as_bytes());
    }
    let followed = std::fs::canonicalize(file);
    let file = followed.as_deref().unwrap_or(file);
    let folder = writable_place(file)?;
    let mut part = tempfile::Builder::new()
        .prefix(".vmpack-")
        .suffix(".part")
        // Less the user's umask, as any file that a program creates.
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    part.write_all(text.as_bytes())?;
    part.as_file().sync_all()?;
    part.persist(file).map_err(|e| e.error)?;
    Ok(())
}

/// SIGINT, SIGTERM and SIGHUP as something that ends a wait.
struct Interrupt(SignalFd);

impl Interrupt {
    /// Blocks the signals in this thread and those that it starts from now on.
    fn new() -> anyhow::Result<Self> {
        let ends = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
        let signals: SigSet = ends.into_iter().collect();
        signals.thread_block()?;
        Ok(Self(SignalFd::new(&signals)?))
    }

    /// Waits until that moment of `CLOCK_MONOTONIC`, in nanoseconds; false once a signal came.
    fn wait(&self, at: u64) -> bool {
        loop {
            let left = std::time::Duration::from_nanos(at.saturating_sub(now()));
            let mut signals = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match ppoll(&mut signals, Some(TimeSpec::from(left)), None) {
                Ok(0) => return true,
                Err(nix::errno::Errno::EINTR) => {}
                // Without its signals the recording must not become endless.
                Ok(_) | Err(_) => return false,
            }
        }
    }
}
