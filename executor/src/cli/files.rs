//! Reads input files, and finds the place of the journal.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use vmpack_domain::exit::Exit;
use vmpack_domain::file::Source;

use super::failure::Failure;

/// The largest file that is read.
const LARGEST: u64 = 64 << 20;

/// The files, with those of a folder (`*.yaml`, `*.yml`) in the order of their names.
pub(crate) fn read_all(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).map_err(|e| unreadable(path, &e))?;
            let mut inside: Vec<PathBuf> = entries
                .filter_map(|e| e.ok().map(|e| e.path()))
                .filter(|p| {
                    let hidden = p
                        .file_name()
                        .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
                    !hidden && p.extension().is_some_and(|x| x == "yaml" || x == "yml")
                })
                .collect();
            inside.sort();
            for file in inside {
                sources.push(read(&file)?);
            }
        } else {
            sources.push(read(path)?);
        }
    }
    Ok(sources)
}

/// One file, `-` being standard input.
pub(crate) fn read(path: &Path) -> Result<Source, Failure> {
    let input: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(|e| unreadable(path, &e))?)
    };
    let mut bytes = Vec::new();
    input
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(path, &e))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::new(
            Exit::BadInput,
            format!(
                "{} is larger than {} MiB, the most that is read",
                path.display(),
                LARGEST >> 20
            ),
        ));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::new(
            Exit::BadInput,
            format!(
                "{}: byte {at} is no text in UTF-8, expected a YAML document",
                path.display()
            ),
        )
    })?;
    Ok(Source {
        name: path.display().to_string(),
        text,
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        Exit::BadInput,
        format!("cannot read {}: {error}", path.display()),
    )
}

/// The journal and what stands beside it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) journal: PathBuf,
    pub(crate) lock: PathBuf,
    pub(crate) world: PathBuf,
}

impl Place {
    /// At that file, or in the state folder.
    pub(crate) fn at(journal: Option<&Path>) -> Result<Self, Failure> {
        let journal = match journal {
            Some(path) => path.to_owned(),
            None => state_folder()?.join("journal.db"),
        };
        let beside = |suffix: &str| {
            let mut name = journal.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Ok(Self {
            lock: beside(".lock"),
            world: beside(".world.yaml"),
            journal,
        })
    }
}

/// `$VMPACK_STATE`, else `/var/lib/vmpack` for root, else the XDG state folder.
fn state_folder() -> Result<PathBuf, Failure> {
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    if let Some(folder) = variable("VMPACK_STATE") {
        return Ok(folder.into());
    }
    // The owner of /proc/self is the effective user of this process.
    if std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0) {
        return Ok("/var/lib/vmpack".into());
    }
    variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".local/state")))
        .map(|folder| folder.join("vmpack"))
        .ok_or_else(|| {
            Failure::new(
                Exit::Environment,
                "no place for the journal: neither VMPACK_STATE nor HOME is set",
            )
            .hint("name a file with --journal")
        })
}
