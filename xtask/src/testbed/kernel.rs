//! The guests' kernel: Debian's cloud kernel, unpacked without being installed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{command, on_path, read};
use crate::setup::{ensure_package_lists, update_package_lists};

const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// Puts a kernel at `vmlinuz` unless there is one already.
pub(super) fn fetch(vmlinuz: &Path) -> Result<()> {
    if vmlinuz.is_file() {
        return Ok(());
    }
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        if !on_path(program) {
            bail!(
                "no guest kernel can be fetched, as {program} is not here; \
                 put a Linux kernel for x86-64 at {}",
                vmlinuz.display()
            );
        }
    }
    ensure_package_lists(&[])?;
    let depends = read(&mut command(["apt-cache", "depends", META_PACKAGE]))?;
    let package = image_package(&depends)
        .with_context(|| format!("{META_PACKAGE} depends on no linux-image package"))?;
    eprintln!("downloading the guests' kernel: {package}");
    let scratch = vmlinuz.with_extension(format!("{}.tmp", std::process::id()));
    std::fs::create_dir_all(&scratch)
        .with_context(|| format!("cannot make {}", scratch.display()))?;
    let unpacked = download(&package, &scratch).and_then(|kernel| {
        std::fs::rename(&kernel, vmlinuz)
            .with_context(|| format!("cannot move the kernel to {}", vmlinuz.display()))
    });
    std::fs::remove_dir_all(&scratch)?;
    unpacked
}

fn download(package: &str, scratch: &Path) -> Result<PathBuf> {
    let mut fetch = command(["apt-get", "--option", "APT::Sandbox::User=root"]);
    fetch.args(["download", package]).current_dir(scratch);
    if read(&mut fetch).is_err() {
        update_package_lists(&[])?;
        read(&mut fetch)?;
    }
    let deb = file_named(scratch, |name| name.ends_with(".deb"))?;
    let tree = scratch.join("tree");
    read(command(["dpkg-deb", "--extract"]).arg(deb).arg(&tree))?;
    file_named(&tree.join("boot"), |name| name.starts_with("vmlinuz-"))
}

fn file_named(directory: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    std::fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| wanted(&name.to_string_lossy()))
        })
        .with_context(|| format!("the kernel package left nothing in {}", directory.display()))
}

fn image_package(depends: &str) -> Option<String> {
    depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::image_package;

    #[test]
    fn the_image_is_read_from_what_the_meta_package_depends_on() {
        let depends = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-9-cloud-amd64\n";
        assert_eq!(
            image_package(depends).as_deref(),
            Some("linux-image-6.1.0-9-cloud-amd64")
        );
        assert_eq!(image_package("linux-image-cloud-amd64\n"), None);
    }
}
