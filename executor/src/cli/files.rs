//! Reads input files, and finds the place of the journal.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use vmpack_domain::exit::Exit;
use vmpack_domain::file::Source;

use super::failure::Failure;
use crate::socket::inhibited;

/// The largest file that is read.
const LARGEST: u64 = 64 << 20;

/// The files, with those of a folder (`*.yaml`, `*.yml`) in the order of their names.
pub(crate) fn read_all(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in paths {
        if path.is_dir() {
            for file in inside(path)? {
                sources.push(read(&file)?);
            }
        } else {
            sources.push(read(path)?);
        }
    }
    Ok(sources)
}

/// The YAML files of a folder, sorted; hidden files are left out.
fn inside(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| unreadable(folder, &e))? {
        let file = entry.map_err(|e| unreadable(folder, &e))?.path();
        let hidden = file
            .file_name()
            .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        let yaml = file.extension().is_some_and(|x| x == "yaml" || x == "yml");
        if yaml && !hidden && file.is_file() {
            found.push(file);
        }
    }
    if found.is_empty() {
        return Err(Failure::new(
            Exit::BadInput,
            format!("folder {} holds no file *.yaml or *.yml", folder.display()),
        ));
    }
    found.sort();
    Ok(found)
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
    let text = String::from_utf8(bytes).map_err(|e| not_utf8(path, &e))?;
    Ok(Source {
        name: path.display().to_string(),
        text,
    })
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Failure {
    let offset = error.utf8_error().valid_up_to();
    let before = error.as_bytes().get(..offset).unwrap_or_default();
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let in_line = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let column = String::from_utf8_lossy(in_line).chars().count() + 1;
    let byte = error.as_bytes().get(offset).copied().unwrap_or_default();
    Failure::new(
        Exit::BadInput,
        format!(
            "{}:{line}:{column}: read byte 0x{byte:02x} at offset {offset}, expected text in UTF-8",
            path.display()
        ),
    )
    .hint("save the file as UTF-8")
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
    pub(crate) socket: PathBuf,
    pub(crate) inhibit: PathBuf,
}

impl Place {
    /// At that file, or in the state folder.
    pub(crate) fn at(journal: Option<&Path>) -> Result<Self, Failure> {
        let journal = match journal {
            Some(path) => path.to_owned(),
            None => state_folder()?.join("journal.db"),
        };
        let with = |journal: &Path, suffix: &str| {
            let mut name = journal.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let named = journal;
        let journal = the_file_itself(&named)?;
        let beside = |suffix: &str| with(&journal, suffix);
        // Nobody would see that pause, who is at work by the journal's own name.
        let unseen = with(&named, ".inhibit");
        if inhibited(&unseen).is_some() && inhibited(&beside(".inhibit")).is_none() {
            let unseen = unseen.display();
            let error = format!("{unseen} holds nothing: it stands beside a link to the journal");
            let hint = format!("move it to {}", beside(".inhibit").display());
            return Err(Failure::new(Exit::Usage, error).hint(hint));
        }
        Ok(Self {
            lock: beside(".lock"),
            world: beside(".world.yaml"),
            socket: beside(".socket"),
            inhibit: beside(".inhibit"),
            journal,
        })
    }
}

/// A journal has one lock, by whatever name it is called.
fn the_file_itself(journal: &Path) -> Result<PathBuf, Failure> {
    if let Ok(file) = journal.canonicalize() {
        return Ok(file);
    }
    if journal.is_symlink() {
        let error = format!("{} is a link to nothing", journal.display());
        return Err(Failure::new(Exit::Usage, error).hint("name the file that it is to lead to"));
    }
    let journal = journal.to_owned();
    let (Some(folder), Some(name)) = (journal.parent(), journal.file_name()) else {
        return Ok(journal);
    };
    let here = Path::new(".");
    let folder = if folder.as_os_str().is_empty() {
        here
    } else {
        folder
    };
    match folder.canonicalize() {
        Ok(folder) => Ok(folder.join(name)),
        Err(_) => Ok(journal),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_named_with_line_column_and_offset() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.yaml");
        std::fs::write(&path, b"a: 1\nb: \xc3\xa9\xff").unwrap();
        let failure = read(&path).unwrap_err();
        let said = ":2:5: read byte 0xff at offset 10, expected text in UTF-8";
        assert!(failure.message.ends_with(said), "{failure}");
    }

    #[test]
    fn a_folder_gives_its_yaml_files_in_order_and_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let empty = read_all(&[folder.path().into()]).unwrap_err();
        assert_eq!(empty.exit, Exit::BadInput);
        for name in ["b.yaml", "a.yml", "c.txt", ".hidden.yaml"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let sources = read_all(&[folder.path().into()]).unwrap();
        let texts: Vec<&str> = sources.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(texts, ["a.yml", "b.yaml"]);
    }
}
