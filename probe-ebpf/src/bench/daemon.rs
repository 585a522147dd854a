//! `vmpack-probe bench daemon`: what the whole daemon costs, HTTP and history included, beside many
//! guests, with a reader of its stream and somebody who scrapes its metrics.
//!
//! The guests are processes of this program that look like QEMU's: the name and identity in the command
//! line, threads named as vCPUs. Who they are is told to the daemon instead of being asked of
//! libvirt, whose client is the one part that is not measured.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use uuid::Uuid;
use vmpack_domain::units::MiB;
use vmpack_hypervisor::libvirt::Observed;

use super::{tell, whole};
use crate::client::{Address, Client};
use crate::sample::now;
use crate::serve::command::{self, daemon_of};
use crate::serve::wire::Event;

/// vCPUs of each guest, at its start.
pub(super) const VCPUS: u64 = 2;
/// Between scrapes; Prometheus's default is a minute.
const SCRAPE: Duration = Duration::from_secs(15);
/// Until all guests are measured.
const READY: Duration = Duration::from_secs(60);

fn name(guest: u64) -> String {
    format!("guest-{guest}")
}

fn identity(guest: u64) -> Uuid {
    Uuid::from_u128(u128::from(guest) + 1)
}

/// What libvirt would tell of a guest.
pub(super) fn observed(guest: u64, vcpus: u64) -> anyhow::Result<Observed> {
    Ok(Observed {
        name: name(guest).parse()?,
        uuid: identity(guest),
        vcpus: u32::try_from(vcpus)?,
        memory: MiB(2048),
        resident: None,
        cpu_time_ns: None,
        vcpu_times: Vec::new(),
    })
}

/// The command that is a guest.
pub(super) fn guest_command(program: &Path, guest: u64) -> Command {
    let mut command = Command::new(program);
    command.args(["bench", "guest", "-name"]);
    command.arg(format!("guest={},debug-threads=on", name(guest)));
    command.arg("-uuid").arg(identity(guest).to_string());
    command
}

/// The daemon, beside so many guests.
pub(super) fn host(guests: u64, arguments: &command::Arguments) -> anyhow::Result<()> {
    let observed: Vec<Observed> = (0..guests)
        .map(|guest| observed(guest, VCPUS))
        .collect::<anyhow::Result<_>>()?;
    daemon_of(arguments, move || Ok(observed.clone()))
}

/// A guest: its vCPUs work for some 20 µs, again and again, until its standard input ends. Each line
/// of that plugs one more in.
pub(super) fn guest(line: &[String]) -> anyhow::Result<()> {
    ensure!(line.len() == 4, "read {line:?}, expected -name and -uuid");
    let stop = Arc::new(AtomicBool::new(false));
    let start = |vcpu: u64| {
        let stop = stop.clone();
        let thread = std::thread::Builder::new().name(format!("CPU {vcpu}/KVM"));
        let pause = Duration::from_millis(40 + u64::from(std::process::id()) % 40);
        thread.stack_size(64 << 10).spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let until = now() + 20_000;
                while now() < until {}
                std::thread::sleep(pause);
            }
        })
    };
    for vcpu in 0..VCPUS {
        start(vcpu)?;
    }
    for (line, vcpu) in io::stdin().lines().zip(VCPUS..) {
        line?;
        start(vcpu)?;
    }
    stop.store(true, Ordering::Relaxed);
    Ok(())
}

/// Processes that end with this.
#[derive(Default)]
pub(super) struct Children(pub(super) Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended already.
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}

impl Children {
    pub(super) fn start(&mut self, command: &mut Command) -> anyhow::Result<ChildStdout> {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().context("cannot run this program")?;
        let out = child.stdout.take().context("it has no output")?;
        self.0.push(child);
        Ok(out)
    }
}

/// Measures for so many seconds; tells the rows.
pub(super) fn daemon(guests: u64, seconds: u64, json: bool) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let folder = tempfile::tempdir()?;
    let mut children = Children::default();
    for guest in 0..guests {
        children.start(&mut guest_command(&program, guest))?;
    }
    let address = serve(&mut children, &program, folder.path(), guests)?;
    let start = Instant::now();
    while figure(&address, "vmpack_host_guests_measured")? != Some(whole(guests)) {
        ensure!(
            start.elapsed() < READY,
            "not all of {guests} guests are measured after {READY:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }

    let lines = Arc::new(AtomicU64::new(0));
    let (url, counted) = (format!("http://{address}").parse()?, lines.clone());
    std::thread::spawn(move || read_stream(&url, &counted));
    let text = metrics(&address)?;
    let (start, before) = (Instant::now(), value(&text, "process_cpu_seconds_total"));
    let before = before.context("the daemon tells no CPU time")?;
    let first = lines.load(Ordering::Relaxed);
    let (mut resident, mut text) = (0.0, text);
    while start.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(SCRAPE.min(Duration::from_secs(seconds)));
        text = metrics(&address)?;
        let held = value(&text, "process_resident_memory_bytes").unwrap_or_default();
        resident = f64::max(resident, held);
    }
    let took = start.elapsed().as_secs_f64();
    let used = value(&text, "process_cpu_seconds_total").unwrap_or_default() - before;
    let told = whole(lines.load(Ordering::Relaxed) - first) / took;

    let row = |what: &str, value, unit: &str, most: Option<f64>| {
        let what = format!("daemon, {guests} guests of {VCPUS} vCPUs: {what}");
        let target = most.map_or("-".to_owned(), |most| format!("<= {most}"));
        let ok = most.is_none_or(|most| value <= most);
        tell(json, &what, value, unit, &target, ok)
    };
    let share = 100.0 * used / took;
    row("CPU", share, "% of a core", Some(1.0))?;
    let mebibytes = resident / f64::from(1 << 20);
    row("memory", mebibytes, "MiB", Some(64.0))?;
    row("lines of the stream", told, "/s", None)?;
    let held = value(&text, "vmpack_probe_kernel_memory_bytes").unwrap_or_default();
    let kernel = held / f64::from(1 << 20);
    row("memory of its maps in the kernel", kernel, "MiB", None)?;
    let kib = whole(text.len() as u64) / 1024.0;
    row("an answer of /metrics", kib, "KiB", None)?;
    let figure = |name: &str| value(&text, name);
    // The counting itself is in these.
    for (program, what) in [
        ("switch", "a switch, by bpf_stats"),
        (
            "judge",
            "judging whether the host is overloaded, by bpf_stats",
        ),
    ] {
        let of = |name: &str| {
            figure(&format!(
                "vmpack_probe_program_{name}_total{{program=\"{program}\"}}"
            ))
        };
        if let (Some(seconds), Some(runs)) = (of("seconds"), of("runs")) {
            row(what, 1e9 * seconds / runs, "ns", None)?;
        }
    }
    for (what, name) in [
        ("windows missed", "vmpack_probe_windows_missed_total"),
        ("events lost", "vmpack_probe_events_lost_total"),
        ("rows lost", "vmpack_probe_history_rows_lost_total"),
    ] {
        row(what, figure(name).unwrap_or_default(), "", Some(0.0))?;
    }
    Ok(())
}

/// Starts the daemon; gives its address.
fn serve(
    children: &mut Children,
    program: &Path,
    folder: &Path,
    guests: u64,
) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.args(["bench", "host", "--guests", &guests.to_string()]);
    command.args(["--listen", "127.0.0.1:0", "--history"]);
    command.arg(folder.join("history.db"));
    let mut line = String::new();
    BufReader::new(children.start(&mut command)?).read_line(&mut line)?;
    let address = line.trim().rsplit_once("://").map(|(_, a)| a.to_owned());
    address.context("the daemon does not listen")
}

fn metrics(address: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn figure(address: &str, name: &str) -> anyhow::Result<Option<f64>> {
    Ok(value(&metrics(address)?, name))
}

/// The value of a metric with just these labels.
fn value(metrics: &str, name: &str) -> Option<f64> {
    let mut lines = metrics.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.parse().ok()
}

/// Counts the lines of windows until the stream ends.
fn read_stream(url: &Address, lines: &AtomicU64) {
    let client = Client {
        tls: None,
        patience: Duration::from_secs(10),
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    let Ok(runtime) = { runtime }.enable_all().build() else {
        return;
    };
    runtime.block_on(async {
        let Ok(mut events) = client.stream(url).await else {
            return;
        };
        while let Ok(Some(event)) = events.next().await {
            let windows = matches!(event, Event::Windows(_));
            lines.fetch_add(u64::from(windows), Ordering::Relaxed);
        }
    });
}
