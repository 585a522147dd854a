//! Writes result files: beside their place and renamed, so that a reader never sees half of one.

use std::io::{self, Write};
use std::path::Path;

use super::failure::Failure;

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
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
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
