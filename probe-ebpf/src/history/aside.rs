//! What becomes of a history that is damaged.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::beside;

/// What a history that was set aside has between its name and the second in which that was.
const DAMAGED: &str = ".damaged-";
/// As many of them are kept.
const ASIDE: usize = 3;

/// Renames a damaged history and what belongs to it, so that another can be begun and an operator can
/// look at it. Gives its new name. The newest [`ASIDE`] of them are kept. Nobody in this process may
/// have it open.
///
/// # Errors
/// When it cannot be renamed, or an old one cannot be deleted.
pub(crate) fn set_aside(file: &Path, mut now: u64) -> io::Result<PathBuf> {
    let mut aside = beside(file, &format!("{DAMAGED}{now}"));
    while aside.try_exists()? {
        now += 1;
        aside = beside(file, &format!("{DAMAGED}{now}"));
    }
    fs::rename(file, &aside)?;
    for log in ["-wal", "-shm"] {
        match fs::rename(beside(file, log), beside(&aside, log)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let mut kept = set_aside_before(file)?;
    while kept.len() > ASIDE
        && let Some((_, oldest)) = kept.pop_first()
    {
        for part in ["-shm", "-wal", ""] {
            match fs::remove_file(beside(&oldest, part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(aside)
}

/// The histories that were set aside, by the second in which that was.
fn set_aside_before(file: &Path) -> io::Result<BTreeMap<u64, PathBuf>> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let prefix = beside(file.file_name().unwrap_or_default().as_ref(), DAMAGED);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let name = entry.file_name();
        let second = name.as_bytes().strip_prefix(prefix.as_os_str().as_bytes());
        let second = second.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        found.extend(second.map(|second| (second, entry.path())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept_each_under_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("h.db");
        for number in 0..5u8 {
            fs::write(&file, [number]).unwrap();
            fs::write(beside(&file, "-wal"), [number]).unwrap();
            fs::write(beside(&file, ".lock"), [number]).unwrap();
            let aside = set_aside(&file, 100 + u64::from(number / 3)).unwrap();
            assert_eq!(fs::read(beside(&aside, "-wal")).unwrap(), [number]);
        }
        let kept = set_aside_before(&file).unwrap();
        let kept = kept
            .iter()
            .map(|(second, file)| (*second, fs::read(file).unwrap()[0]));
        assert_eq!(kept.collect::<Vec<_>>(), [(102, 2), (103, 3), (104, 4)]);
        // Three, their logs, and the lock.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 7);
    }
}
