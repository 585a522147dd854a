//! What becomes of a history that is damaged.

use std::collections::BTreeMap;
use std::fs;
use std::io;
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
/// When it cannot be renamed.
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
    // The disk may be full of them; that one cannot be deleted is no reason not to go on.
    let mut before = set_aside_before(file).unwrap_or_default();
    before.retain(|_, other| *other != aside);
    while before.len() >= ASIDE
        && let Some((_, oldest)) = before.pop_first()
    {
        for part in ["-shm", "-wal", ""] {
            match fs::remove_file(beside(&oldest, part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!("cannot delete {}: {error}", oldest.display());
                }
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
    let folder = folder.unwrap_or(Path::new("."));
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let second = name.to_str().and_then(|name| name.rsplit_once('-'));
        let Some(second) = second.and_then(|(_, digits)| digits.parse().ok()) else {
            continue;
        };
        // Written as it is written here, and a file.
        let own = folder.join(beside(
            file.file_name().unwrap_or_default().as_ref(),
            &format!("{DAMAGED}{second}"),
        ));
        if own == folder.join(&name) && entry.file_type()?.is_file() {
            found.insert(second, own);
        }
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
        // What has another name, or is no file, is nobody's; the newest goes by no clock.
        for other in ["h.db.damaged-+5", "h.db.damaged-007", "h.db.damaged-x"] {
            fs::write(folder.path().join(other), "").unwrap();
        }
        fs::create_dir(folder.path().join("h.db.damaged-1")).unwrap();
        fs::write(&file, "").unwrap();
        let aside = set_aside(&file, 99).unwrap();
        assert!(aside.exists() && aside.ends_with("h.db.damaged-99"));
        assert_eq!(set_aside_before(&file).unwrap().len(), 3);
        assert!(folder.path().join("h.db.damaged-007").exists());
    }
}
