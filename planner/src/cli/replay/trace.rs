//! Reads a trace: a folder of files, or a .tar.gz of one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use vmpack_planner::import::ImportError;
use vmpack_planner::import::planetlab::{self, Trace};

use crate::cli::failure::{Failure, reason};
use crate::cli::session::Session;
use crate::cli::sources;

/// Most traces that are read: a hundred times PlanetLab's.
const MOST: usize = 100_000;
/// Longest trace: ten years of five minutes, three characters and a line end each.
const LONGEST: u64 = 4 << 20;

/// The traces behind `--trace FORMAT PATH`, in the order of the guests.
pub(crate) fn read(
    trace: &[PathBuf],
    order: Option<&Path>,
    session: &mut Session,
) -> Result<Vec<Trace>, Failure> {
    let [format, path] = trace else {
        return Err(Failure::usage("--trace takes a format and a path"));
    };
    if format.as_os_str() != "planetlab" {
        return Err(Failure::usage(format!(
            "read the trace's format `{}`, expected `planetlab`",
            format.display()
        )));
    }
    planetlab_in(path, order, session)
}

/// PlanetLab's traces in a folder or archive, in the order of a list or of their names.
pub(crate) fn planetlab_in(
    path: &Path,
    order: Option<&Path>,
    session: &mut Session,
) -> Result<Vec<Trace>, Failure> {
    let traces = if path.is_dir() {
        in_folder(path)?
    } else {
        in_archive(path)?
    };
    if traces.is_empty() {
        return Err(Failure::input(format!(
            "{} holds no trace, expected a file for each guest",
            path.display()
        )));
    }
    let beside = beside(path).filter(|p| order.is_none() && p.is_file());
    let list = match order.or(beside.as_deref()) {
        Some(list) => Some(sources::read_one(list, &mut session.stdin)?),
        None => None,
    };
    if let (Some(list), None) = (&list, order) {
        writeln!(session.err, "guests in the order of {}", list.name)?;
    }
    planetlab::ordered(traces, list.as_ref().map(|l| l.text.as_str())).map_err(|error| {
        let name = list.map_or_else(|| path.display().to_string(), |l| l.name);
        failure(&name, &error)
    })
}

/// `DAY.order` beside `DAY.tar.gz` or `DAY/`.
pub(super) fn beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let day = name.strip_suffix(".tar.gz").or(name.strip_suffix(".tgz"));
    Some(path.with_file_name(format!("{}.order", day.unwrap_or(name))))
}

fn failure(name: &str, error: &ImportError) -> Failure {
    let colon = if error.place.is_some() { ":" } else { ": " };
    Failure::input(format!("{name}{colon}{error}"))
}

fn in_folder(folder: &Path) -> Result<Vec<Trace>, Failure> {
    let mut traces = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| sources::unreadable(folder, &e))? {
        let file = entry.map_err(|e| sources::unreadable(folder, &e))?.path();
        let name = file
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        if !file.is_file() || name.starts_with('.') {
            continue;
        }
        let mut open = File::open(&file).map_err(|e| sources::unreadable(&file, &e))?;
        traces.push(one(&file.display().to_string(), name, &mut open)?);
        enough(&traces, folder)?;
    }
    Ok(traces)
}

fn in_archive(path: &Path) -> Result<Vec<Trace>, Failure> {
    let file = File::open(path).map_err(|e| sources::unreadable(path, &e))?;
    let broken = |e: &std::io::Error| {
        Failure::input(format!(
            "cannot read {}: {}, expected a folder or a .tar.gz of one",
            path.display(),
            reason(e)
        ))
    };
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut traces = Vec::new();
    for entry in archive.entries().map_err(|e| broken(&e))? {
        let mut entry = entry.map_err(|e| broken(&e))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let inside = entry.path().map_err(|e| broken(&e))?.into_owned();
        let name = inside
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let whole = format!("{}:{}", path.display(), inside.display());
        if !name.starts_with('.') {
            traces.push(one(&whole, name, &mut entry)?);
            enough(&traces, path)?;
        }
    }
    Ok(traces)
}

fn one(whole: &str, name: &str, from: &mut dyn Read) -> Result<Trace, Failure> {
    let mut text = String::new();
    let read = from.take(LONGEST + 1).read_to_string(&mut text);
    read.map_err(|e| Failure::input(format!("cannot read {whole}: {}", reason(&e))))?;
    if text.len() as u64 > LONGEST {
        return Err(Failure::input(format!(
            "{whole} is larger than {} MiB, the most that is read of a trace",
            LONGEST >> 20
        )));
    }
    planetlab::trace(name, &text).map_err(|e| failure(whole, &e))
}

fn enough(traces: &[Trace], path: &Path) -> Result<(), Failure> {
    if traces.len() <= MOST {
        return Ok(());
    }
    Err(Failure::input(format!(
        "{} holds more than {MOST} traces, the most that are read",
        path.display()
    )))
}
