//! `vmpack-probe serve`.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use vmpack_domain::Tier;
use vmpack_domain::exit::Exit;
use vmpack_domain::units::{MiB, Micros, MilliCores, Ratio};
use vmpack_hypervisor::Error;
use vmpack_hypervisor::libvirt::{Observed, Observer};

use super::{Settings, feed, run};
use crate::cli::{Ended, check_window, environment};
use crate::ebpf::VCPUS;
use crate::history::Bounds;
use crate::measure;
use crate::sample::online_cores;
use crate::tls::Files;

pub(crate) use vmpack_probe_client::wire::PORT;

/// The flags of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The address to listen on; one that is not loopback needs --tls-cert, --tls-key and --tls-ca
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from(([127, 0, 0, 1], PORT)))]
    listen: SocketAddr,
    /// The history; by default history.db in $STATE_DIRECTORY or /var/lib/vmpack-probe
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// The most that the history may take on the disk
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    history_size: MiB,
    /// What is older is deleted
    #[arg(long, value_name = "TIME", default_value = "14d")]
    history_age: Micros,
    /// The length of a window
    #[arg(long, value_name = "TIME", default_value = "100ms")]
    window: Micros,
    /// The libvirt of this host
    #[arg(long, default_value = "qemu:///system")]
    uri: String,
    /// The speed of this host's cores, 1 being what demand is counted in
    #[arg(long, value_name = "FACTOR", default_value = "1")]
    speed: Ratio,
    /// The cores of this host that guests may use; by default those that are online
    #[arg(long, value_name = "CORES")]
    cores: Option<MilliCores>,
    /// The vCPUs that eBPF can follow at once; guests beyond are counted and named
    #[arg(long, value_name = "N", default_value_t = VCPUS, value_parser = clap::value_parser!(u32).range(1..=65535))]
    vcpus: u32,
    /// Measure by the scheduler's statistics even where eBPF works
    #[arg(long)]
    without_ebpf: bool,
    /// Sample the guests' dirty rates too, which takes a libvirt connection that may act
    #[arg(long)]
    dirty: bool,
    /// Guests that have series of their own in /metrics; the others are counted
    #[arg(long, value_name = "N", default_value_t = 1000)]
    metrics_guests: usize,
    /// The most connections at once; a quarter of them may read the stream
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(4..))]
    connections: u16,
    #[command(flatten)]
    tls: Files,
}

/// Runs the daemon until SIGINT, SIGTERM or SIGHUP.
pub(crate) fn serve(arguments: Arguments) -> Ended {
    let settings = settings(&arguments).map_err(|error| (Exit::Usage, error))?;
    // Files that the user gave, so that it is no fault of the environment.
    let tls = settings.tls.server();
    tls.map_err(|error| (Exit::BadInput, error.into()))?;
    let mut libvirt = Observer::new(&arguments.uri);
    environment(daemon(settings, move || libvirt.guests()))
}

/// Runs the daemon until then, beside the guests of which `list` tells.
pub(crate) fn daemon_of(
    arguments: &Arguments,
    list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
) -> anyhow::Result<()> {
    daemon(settings(arguments)?, list)
}

fn settings(arguments: &Arguments) -> anyhow::Result<Settings> {
    let listen = arguments.listen;
    anyhow::ensure!(
        listen.ip().is_loopback() || arguments.tls.cert.is_some(),
        "read `--listen {listen}`, expected a loopback address such as 127.0.0.1:{PORT}, or \
         --tls-cert, --tls-key and --tls-ca beside it: load tells much about guests (`vmpack-probe \
         pki` makes certificates)"
    );
    check_window(arguments.window, Micros::secs(1), arguments.speed)?;
    anyhow::ensure!(
        arguments.history_age >= Micros::secs(60),
        "read `--history-age {}`, expected at least 1m",
        arguments.history_age
    );
    let least = MiB(Bounds::LEAST >> 20);
    anyhow::ensure!(
        arguments.history_size >= least,
        "read `--history-size {}`, expected at least {least}",
        arguments.history_size
    );
    let cores = arguments.cores.unwrap_or_else(online_cores);
    let host = nix::unistd::gethostname()?;
    Ok(Settings {
        listen,
        tls: arguments.tls.clone(),
        history: arguments.history.clone().unwrap_or_else(default_history),
        bounds: Bounds {
            bytes: arguments.history_size.0.saturating_mul(1 << 20),
            age: arguments.history_age,
        },
        measuring: measure::Settings {
            window: arguments.window,
            speed: arguments.speed,
            best: if arguments.without_ebpf {
                Tier::Schedstat
            } else {
                Tier::Ebpf
            },
            cores: arguments.cores,
            vcpus: arguments.vcpus,
            dirty: arguments.dirty.then(|| arguments.uri.clone()),
            ..measure::Settings::default()
        },
        host: host.to_string_lossy().into_owned(),
        host_mcores: cores.0.saturating_mul(arguments.speed.0) / 1000,
        metrics_guests: arguments.metrics_guests,
        connections: usize::from(arguments.connections),
        streams: usize::from(arguments.connections / 4),
        untaken: Duration::from_secs(30),
        taking: Duration::from_secs(60),
        unread_kib: 64 << 10,
    })
}

/// The history of a daemon that was not told where it is.
pub(crate) fn default_history() -> PathBuf {
    // systemd may name several; the first is ours.
    let state = std::env::var_os("STATE_DIRECTORY");
    let folder = state
        .as_ref()
        .and_then(|folders| std::env::split_paths(folders).next())
        .unwrap_or_else(|| PathBuf::from("/var/lib/vmpack-probe"));
    folder.join("history.db")
}

fn daemon(
    settings: Settings,
    list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
) -> anyhow::Result<()> {
    if let Some(folder) = settings.history.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make folder {}", folder.display()))?;
    }
    let secure = settings.tls.cert.is_some();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        let until = async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
                _ = hang_up.recv() => {}
            }
        };
        run(
            settings,
            move |shared, sink| feed::measure(&shared, list, sink),
            until,
            |address| {
                let scheme = if secure { "https" } else { "http" };
                if io::stderr().is_terminal() {
                    let _ = writeln!(io::stderr(), "Ctrl-C ends");
                }
                let _ = writeln!(io::stdout(), "listening on {scheme}://{address}");
                let _ = io::stdout().flush();
            },
        )
        .await
    })
}
