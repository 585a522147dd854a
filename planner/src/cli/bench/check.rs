//! `vmpack bench check`: proves again what `vmpack bench pack --certificates` wrote.

use std::path::{Path, PathBuf};

use serde::Serialize;
use vmpack_domain::check::packing::PackingCertificate;
use vmpack_domain::check::{self, Violation};
use vmpack_domain::exit::Exit;
use vmpack_planner::packing::Packing;

use super::{instance, json, seconds};
use crate::cli::arguments::BenchCheckArguments;
use crate::cli::failure::Failure;
use crate::cli::screen::count;
use crate::cli::session::Session;
use crate::cli::sources;
use crate::cli::table::table;

/// The line about one certificate.
#[derive(Serialize)]
struct Line {
    file: String,
    digest: String,
    /// As the certificate claims them.
    hosts: u64,
    bound: u64,
    /// The packing is right and the bound is proven.
    ok: bool,
    /// And no packing uses fewer hosts.
    optimal: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<Violation>,
    seconds: f64,
}

pub(super) fn run(arguments: &BenchCheckArguments, session: &mut Session) -> Result<Exit, Failure> {
    let mut lines = Vec::new();
    for path in &arguments.files {
        let (packing, digest) = instance(path, arguments.format, session)?;
        let began = std::time::Instant::now();
        let beside = certificate_path(&arguments.certificates, path, &digest);
        let text = sources::open(&beside)
            .map_err(|failure| match beside.exists() {
                true => failure,
                false => {
                    failure.hint("`vmpack bench pack --certificates` writes one for each instance")
                }
            })?
            .text;
        let stated: PackingCertificate = serde_json::from_str(&text)
            .map_err(|e| Failure::input(format!("{}: {e}", beside.display())))?;
        let violations = violations(&packing, &digest, &stated, arguments.steps);
        let ok = violations.is_empty();
        let line = Line {
            file: path.display().to_string(),
            digest,
            hosts: stated.hosts,
            bound: stated.bound,
            ok,
            optimal: ok && stated.hosts <= stated.bound,
            violations,
            seconds: seconds(began),
        };
        if arguments.json {
            writeln!(session.out, "{}", json(&line)?)?;
        }
        lines.push(line);
    }
    if !arguments.json {
        let rows = lines.iter().map(|l| {
            let wrong: Vec<String> = l.violations.iter().map(ToString::to_string).collect();
            [
                l.file.clone(),
                l.hosts.to_string(),
                l.bound.to_string(),
                if l.optimal { "yes" } else { "no" }.into(),
                if l.ok { "ok".into() } else { wrong.join("; ") },
            ]
        });
        let header = ["file", "hosts", "bound", "optimal", "proven again"];
        session
            .out
            .write_all(table(header, rows, 1..3).as_bytes())?;
        let good = lines.iter().filter(|l| l.ok).count();
        let total = count(lines.len(), "certificate");
        writeln!(session.out, "{good} of {total} proven again")?;
    }
    Ok(if lines.iter().all(|l| l.ok) {
        Exit::Done
    } else {
        Exit::CheckFailed
    })
}

fn violations(
    packing: &Packing,
    digest: &str,
    stated: &PackingCertificate,
    steps: u64,
) -> Vec<Violation> {
    let whole = |amounts: &Vec<i64>| -> Vec<u64> {
        let amounts = amounts
            .iter()
            .map(|a| u64::try_from(*a).unwrap_or(u64::MAX));
        amounts.collect()
    };
    let items: Vec<Vec<u64>> = packing.items.iter().map(whole).collect();
    check::packing((digest, &whole(&packing.room), &items), stated, steps)
}

/// The file of an instance's certificate: its name and a part of its digest, as names repeat.
pub(super) fn certificate_path(folder: &Path, file: &Path, digest: &str) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let hex = digest.rsplit(':').next().unwrap_or(digest);
    folder.join(format!("{stem}-{}.json", hex.get(..12).unwrap_or(hex)))
}
