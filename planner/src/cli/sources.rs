//! Reads files into [`Source`]s: files, folders of YAML files, standard input. Sizes and encodings
//! are checked here, so that what follows sees text of a bounded length only.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use vmpack_domain::file::Source;

use super::failure::{Failure, reason};

/// The largest file that is read: a day of five-minute windows of 40,000 guests fits.
pub(crate) const LARGEST: u64 = 64 << 20;

/// Standard input, which can be read once.
pub(crate) struct Input<'a>(pub(crate) Option<&'a mut dyn Read>);

/// The sources behind the paths, in the order given; a folder's files are sorted by name.
pub(crate) fn read(paths: &[PathBuf], stdin: &mut Input<'_>) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            let input = stdin
                .0
                .take()
                .ok_or_else(|| Failure::usage("standard input is given twice as `-`"))?;
            sources.push(text("standard input".into(), input)?);
        } else {
            for file in files(path)? {
                sources.push(open(&file)?);
            }
        }
    }
    Ok(sources)
}

/// The one source behind a path that is no folder.
pub(crate) fn read_one(path: &Path, stdin: &mut Input<'_>) -> Result<Source, Failure> {
    if path.is_dir() {
        return Err(Failure::input(format!(
            "{} is a folder, expected a file",
            path.display()
        )));
    }
    read(&[path.to_path_buf()], stdin)?
        .pop()
        .ok_or_else(|| Failure::input(format!("nothing was read from {}", path.display())))
}

/// The file itself, or the YAML files of a folder, sorted; hidden files are left out.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|e| unreadable(path, &e))? {
        let file = entry.map_err(|e| unreadable(path, &e))?.path();
        if is_yaml(&file) && file.is_file() {
            found.push(file);
        }
    }
    if found.is_empty() {
        return Err(Failure::input(format!(
            "folder {} holds no file *.yaml or *.yml",
            path.display()
        )));
    }
    found.sort();
    Ok(found)
}

/// Whether its name is that of a YAML file that is not hidden.
pub(crate) fn is_yaml(file: &Path) -> bool {
    let hidden = file
        .file_name()
        .is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
    let yaml = file.extension().is_some_and(|e| e == "yaml" || e == "yml");
    yaml && !hidden
}

/// A file as a source.
pub(crate) fn open(path: &Path) -> Result<Source, Failure> {
    let mut file = File::open(path).map_err(|e| {
        let failure = unreadable(path, &e);
        if e.kind() == io::ErrorKind::NotFound {
            failure.hint("`vmpack example cluster -o demo` makes an example of each file")
        } else {
            failure
        }
    })?;
    text(path.display().to_string(), &mut file)
}

pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::input(format!("cannot read {}: {}", path.display(), reason(error)))
}

fn text(name: String, from: &mut dyn Read) -> Result<Source, Failure> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(Path::new(&name), &e))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::input(format!(
            "{name} is larger than {} MiB, the most that is read",
            LARGEST >> 20
        ))
        .hint("split the file: several are merged when a folder or several paths are given"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { name, text }),
        Err(error) => Err(not_utf8(&name, &error)),
    }
}

fn not_utf8(name: &str, error: &std::string::FromUtf8Error) -> Failure {
    let offset = error.utf8_error().valid_up_to();
    let before = error.as_bytes().get(..offset).unwrap_or_default();
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let in_line = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let column = String::from_utf8_lossy(in_line).chars().count() + 1;
    let byte = error.as_bytes().get(offset).copied().unwrap_or_default();
    Failure::input(format!(
        "{name}:{line}:{column}: read byte 0x{byte:02x} at offset {offset}, expected text in UTF-8"
    ))
    .hint("save the file as UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_bytes(bytes: &[u8]) -> Result<Source, Failure> {
        let mut bytes = bytes;
        let mut stdin = Input(Some(&mut bytes));
        read_one(Path::new("-"), &mut stdin)
    }

    #[test]
    fn bytes_that_are_no_text_are_named_with_line_column_and_offset() {
        let failure = from_bytes("a: 1\nb: é\u{20ac}".as_bytes()).map(|s| s.text);
        assert_eq!(failure.unwrap(), "a: 1\nb: é\u{20ac}");
        let failure = from_bytes(b"a: 1\nb: \xc3\xa9\xff").unwrap_err();
        assert_eq!(
            failure.message,
            "standard input:2:5: read byte 0xff at offset 10, expected text in UTF-8"
        );
    }

    #[test]
    fn what_is_endless_is_refused() {
        let mut endless = io::repeat(b'x');
        let mut stdin = Input(Some(&mut endless));
        let failure = read_one(Path::new("-"), &mut stdin).unwrap_err();
        assert!(failure.message.contains("larger than 64 MiB"), "{failure}");
    }

    #[test]
    fn standard_input_is_read_once() {
        let mut bytes: &[u8] = b"x";
        let mut stdin = Input(Some(&mut bytes));
        let failure = read(&["-".into(), "-".into()], &mut stdin).unwrap_err();
        assert_eq!(failure.exit, vmpack_domain::exit::Exit::Usage);
    }

    #[test]
    fn a_folder_gives_its_yaml_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let empty = read(&[folder.path().into()], &mut Input(None)).unwrap_err();
        assert!(empty.message.contains("no file *.yaml"), "{empty}");
        for name in ["b.yaml", "a.yml", "c.txt", ".hidden.yaml"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let sources = read(&[folder.path().into()], &mut Input(None)).unwrap();
        let texts: Vec<&str> = sources.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(texts, ["a.yml", "b.yaml"]);
    }

    #[test]
    fn a_missing_file_is_bad_input() {
        let failure = open(Path::new("/nowhere/x.yaml")).unwrap_err();
        assert_eq!(
            failure.message,
            "cannot read /nowhere/x.yaml: no such file or directory"
        );
        assert!(failure.hint.is_some());
    }
}
