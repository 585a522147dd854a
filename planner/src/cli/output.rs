//! Writes result files: beside their place and renamed, so that a reader never sees half of one.

use std::io::{self, Write};
use std::path::Path;

use super::failure::Failure;

/// Makes sure that a file can be written there before a long search is made for what goes into it:
/// its folder is made if it is missing.
pub(crate) fn ready(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        let error = io::ErrorKind::IsADirectory.into();
        return Err(Failure::environment("write", path, &error));
    }
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return Ok(());
    }
    let followed = std::fs::canonicalize(path);
    let folder = folder_of(followed.as_deref().unwrap_or(path));
    make_folder(folder)?;
    // Whether a file can be made there is known for sure only by making one.
    tempfile::tempfile_in(folder)
        .map(drop)
        .map_err(|e| Failure::environment("write", path, &e))
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Writes the text to the file, whole or not at all. A link is followed; what is no regular file (a
/// device, a pipe) is written into and not replaced.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure::environment("write", path, &e);
    if path.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        let open = std::fs::OpenOptions::new().write(true).open(path);
        return open
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(failed);
    }
    let followed = std::fs::canonicalize(path);
    let path = followed.as_deref().unwrap_or(path);
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".vmpack-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Less the user's umask, as any file that a program creates.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Removes a file whose words hold no longer; whether there was one.
pub(crate) fn remove(path: &Path) -> Result<bool, Failure> {
    if !std::fs::metadata(path).is_ok_and(|m| m.is_file()) {
        return Ok(false);
    }
    std::fs::remove_file(path).map_err(|e| Failure::environment("remove", path, &e))?;
    Ok(true)
}

/// Makes the folder, with those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|e| Failure::environment("make folder", path, &e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::exit::Exit;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.yaml");
        write_whole(&path, "old").unwrap();
        write_whole(&path, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_device_a_device() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("t"), folder.path().join("l"));
        std::fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write_whole(&link, "new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "new");
        let full = folder.path().join("full");
        std::os::unix::fs::symlink("/dev/full", &full).unwrap();
        assert!(write_whole(&full, "x").is_err());
        let device = std::fs::metadata("/dev/full").unwrap();
        assert!(device.file_type().is_char_device());
    }

    #[test]
    fn a_place_is_made_ready_with_its_folder_and_left_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/out/plan.yaml");
        ready(&path).unwrap();
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            0
        );
        std::fs::write(&path, "").unwrap();
        for under_a_file in [path.join("plan.yaml"), folder.path().into()] {
            let failure = ready(&under_a_file).unwrap_err();
            assert_eq!(failure.exit, Exit::Environment, "{failure}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_an_error_of_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            folder.path().to_path_buf(),
            folder.path().join("no/plan.yaml"),
        ] {
            let failure = write_whole(&path, "x").unwrap_err();
            assert_eq!(failure.exit, Exit::Environment, "{failure}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
