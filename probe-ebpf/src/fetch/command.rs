//! `vmpack-probe fetch`.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use comfy_table::Table;
use serde_json::json;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{Source, read_cluster, read_load, write_load};
use vmpack_domain::units::{Micros, count};
use vmpack_domain::{Cluster, HostName, Statistic};
use vmpack_probe_client::place::{place, probes};

use super::{Fetched, Span, fetch};
use crate::cli::{Ended, write_whole};
use crate::client::{Address, Client};
use crate::interval::STEP;
use crate::tick::unix_us;
use crate::tls::Files;

/// What of the time is taken, and in which steps; `export` has the same.
#[derive(Debug, Args)]
pub(crate) struct SpanArguments {
    /// How far back
    #[arg(long, value_name = "TIME", default_value = "24h")]
    last: Micros,
    /// The length of a step of the windows, which all guests have in common; by default such that
    /// there are at most 300
    #[arg(long, value_name = "TIME")]
    step: Option<Micros>,
    /// What a step says of the short windows in it
    #[arg(long, value_name = "STATISTIC", default_value = "p95", value_parser = statistic)]
    statistic: Statistic,
}

impl SpanArguments {
    /// The span that ends now.
    ///
    /// # Errors
    /// When it cannot be cut into such steps.
    pub(crate) fn span(&self) -> anyhow::Result<Span> {
        const SECOND: u64 = 1_000_000;
        let last = self.last.0 / SECOND;
        anyhow::ensure!(
            (60..=366 * 86400).contains(&last),
            "read `--last {}`, expected 1m to 366d",
            self.last
        );
        let step = match self.step {
            None => last.div_ceil(300).next_multiple_of(STEP),
            Some(step) => {
                anyhow::ensure!(
                    step.0 > 0 && step.0.is_multiple_of(STEP * SECOND) && step.0 / SECOND <= last,
                    "read `--step {step}`, expected a multiple of {STEP}s that is no longer than \
                     `--last`"
                );
                step.0 / SECOND
            }
        };
        anyhow::ensure!(
            last.div_ceil(step) <= 2000,
            "read `--step` and `--last` that make {} steps, expected at most 2000",
            last.div_ceil(step)
        );
        Ok(Span::last(unix_us() / SECOND, last, step, self.statistic))
    }
}

fn statistic(text: &str) -> Result<Statistic, String> {
    Statistic::ALL
        .into_iter()
        .find(|s| s.name() == text)
        .ok_or_else(|| "expected mean, p50, p90, p95, p99 or max".to_owned())
}

/// The shortest time that a request may have.
const LEAST: Micros = Micros::millis(10);

/// The flags of `fetch`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The cluster whose hosts' probes are asked; a host's `probe` says where its probe is
    #[arg(long, value_name = "FILE", required = true)]
    cluster: Vec<PathBuf>,
    /// Where a host's probe is, such as h1=https://10.0.0.1:9742, whatever the cluster says
    #[arg(long = "probe", value_name = "HOST=URL", value_parser = place)]
    probes: Vec<(HostName, Address)>,
    #[command(flatten)]
    span: SpanArguments,
    /// A probe whose newest window is older is not used
    #[arg(long, value_name = "TIME", default_value = "1m")]
    max_age: Micros,
    /// How long each request may take
    #[arg(long, value_name = "TIME", default_value = "20s")]
    timeout: Micros,
    /// How many probes are asked at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    parallel: u16,
    #[command(flatten)]
    tls: Files,
    /// The file to write; standard output if absent
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON: the load, and how each probe did
    #[arg(long)]
    json: bool,
}

/// Fetches.
pub(crate) fn run(arguments: &Arguments) -> Ended {
    let span = arguments
        .span
        .span()
        .map_err(|error| (Exit::Usage, error))?;
    if arguments.timeout < LEAST {
        let error = anyhow::anyhow!(
            "read `--timeout {}`, expected at least {LEAST}",
            arguments.timeout
        );
        return Err((Exit::Usage, error));
    }
    let (cluster, probes) = inputs(arguments).map_err(|error| (Exit::BadInput, error))?;
    let tls = arguments.tls.client();
    let client = Client {
        tls: tls.map_err(|error| (Exit::BadInput, error.into()))?,
        patience: Duration::from_micros(arguments.timeout.0),
    };
    fetch_and_write(arguments, span, &cluster, probes, &client)
        .map_err(|error| (Exit::Environment, error))
}

fn inputs(arguments: &Arguments) -> anyhow::Result<(Cluster, BTreeMap<HostName, Address>)> {
    let mut sources = Vec::new();
    for path in &arguments.cluster {
        let name = path.display().to_string();
        let text = if name == "-" {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text).map(|_| text)
        } else {
            std::fs::read_to_string(path)
        };
        let text = text.with_context(|| format!("cannot read {name}"))?;
        sources.push(Source { name, text });
    }
    let cluster = read_cluster(&sources)?;
    let tls = arguments.tls.cert.is_some();
    let probes = probes(&cluster, &arguments.probes, tls)?;
    Ok((cluster, probes))
}

fn fetch_and_write(
    arguments: &Arguments,
    span: Span,
    cluster: &Cluster,
    probes: BTreeMap<HostName, Address>,
    client: &Client,
) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let fetched = runtime.block_on(fetch(
        cluster,
        probes,
        client,
        span,
        arguments.max_age,
        usize::from(arguments.parallel),
    ));
    // A name server that is silent is not waited for.
    runtime.shutdown_background();
    talk(&fetched);
    let silent = fetched.hosts.values().filter(|h| h.fault.is_some()).count();
    anyhow::ensure!(silent < fetched.hosts.len(), "no probe gave its load");

    let text = write_load(&fetched.load);
    // What no planner could read is not written: whatever a probe said, the others' load is in it too.
    let source = Source {
        name: "what was fetched".to_owned(),
        text: text.clone(),
    };
    read_load(&[source])?;
    if let Some(file) = &arguments.output {
        write_whole(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let mut out = io::stdout();
    match (arguments.json, &arguments.output) {
        (true, _) => writeln!(out, "{:#}", as_json(&fetched))?,
        (false, None) => write!(out, "{text}")?,
        (false, Some(file)) => {
            let guests = count(fetched.load.guests.len(), "guest");
            writeln!(
                out,
                "{}\nwrote {}: {guests}",
                table(&fetched),
                file.display()
            )?;
        }
    }
    Ok(if silent > 0 {
        Exit::PartlyDone
    } else {
        Exit::Done
    })
}

/// What is odd, on standard error.
fn talk(fetched: &Fetched) {
    let mut err = io::stderr();
    for (host, reached) in &fetched.hosts {
        if let Some(fault) = &reached.fault {
            let what = if reached.stale {
                "is too old"
            } else {
                "is silent"
            };
            let _ = writeln!(
                err,
                "warning: the probe of {host} ({}) {what}: {fault}",
                reached.address
            );
        }
        for warning in &reached.warnings {
            let _ = writeln!(err, "warning: the probe of {host}: {warning}");
        }
        if let Some(offset) = reached.clock_offset_ms.filter(|ms| ms.abs() >= 1000) {
            let _ = writeln!(
                err,
                "warning: the clock of {host} is off by {offset} ms; its windows were shifted"
            );
        }
    }
    for (guest, hosts) in &fetched.moved {
        let hosts: Vec<&str> = hosts.iter().map(HostName::as_str).collect();
        let _ = writeln!(
            err,
            "note: {guest} was seen on {}, and is joined",
            hosts.join(", ")
        );
    }
    for note in &fetched.notes {
        let _ = writeln!(err, "note: {note}");
    }
    if fetched.strangers > 0 {
        let _ = writeln!(
            err,
            "note: {} not in the cluster, left out",
            count(fetched.strangers, "guest")
        );
    }
    if let Some(first) = fetched.not_measured.first() {
        let n = fetched.not_measured.len();
        let _ = writeln!(
            err,
            "warning: {} of the cluster not measured, {first} among them",
            count(n, "guest")
        );
    }
}

fn table(fetched: &Fetched) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["HOST", "PROBE", "GUESTS", "AGE", "CLOCK", "STATE"]);
    for (host, reached) in &fetched.hosts {
        let dash = || "-".to_owned();
        table.add_row([
            host.to_string(),
            reached.address.clone(),
            reached.guests.to_string(),
            reached
                .age_ms
                .map_or_else(dash, |ms| Micros::millis(ms).to_string()),
            reached
                .clock_offset_ms
                .map_or_else(dash, |ms| format!("{ms:+} ms")),
            match (&reached.fault, reached.stale) {
                (None, _) if !reached.warnings.is_empty() => "warns".to_owned(),
                (None, _) => "ok".to_owned(),
                (Some(_), true) => "too old".to_owned(),
                (Some(_), false) => "silent".to_owned(),
            },
        ]);
    }
    table
}

fn as_json(fetched: &Fetched) -> serde_json::Value {
    json!({
        "load": fetched.load,
        "hosts": fetched.hosts,
        "not_measured": fetched.not_measured,
        "moved": fetched.moved,
        "not_in_the_cluster": fetched.strangers,
        "notes": fetched.notes,
    })
}
