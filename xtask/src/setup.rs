//! `cargo xtask setup`: the Debian packages that building and the testbed need.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};

use crate::command::{command, on_path, run, shown};

/// What needs packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Compiling the workspace: HiGHS (C++, bindgen) and libvirt.
    Build,
    /// Compiling the probe's kernel programs, which are committed compiled.
    KernelPrograms,
    /// Compiling, and running libvirt hosts with QEMU guests on this machine.
    Testbed,
}

/// The Debian packages a purpose needs, without what every Debian has.
#[must_use]
pub fn packages(purpose: Purpose) -> Vec<&'static str> {
    if purpose == Purpose::KernelPrograms {
        return vec!["clang-14", "libbpf-dev", "llvm-14"];
    }
    let mut names = vec![
        "cmake",
        "g++",
        "gcc",
        "libc6-dev",
        "libclang-dev",
        "libvirt-dev",
        "make",
        "pkg-config",
    ];
    if purpose == Purpose::Testbed {
        names.extend([
            "iproute2",
            "libvirt-clients",
            "openssl",
            "libvirt-daemon",
            "libvirt-daemon-driver-qemu",
            "qemu-system-x86",
        ]);
    }
    names
}

/// Installs what is missing, and only then calls apt-get.
///
/// # Errors
/// When packages are missing and this user cannot install them: the message names them and the
/// command to run. On a system without dpkg it only says what is needed.
pub fn setup(purpose: Purpose) -> Result<()> {
    let wanted = packages(purpose);
    if !on_path("dpkg-query") {
        eprintln!(
            "note: this is no Debian system (no dpkg-query), so packages are not checked; \
             needed are the equivalents of: {}",
            wanted.join(" ")
        );
        return Ok(());
    }
    let missing = missing(&wanted, &installed(&wanted)?);
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!(
        "apt-get install --no-install-recommends {}",
        missing.join(" ")
    );
    let prefix = root_prefix(&by_hand)?;
    eprintln!("installing missing Debian packages: {}", missing.join(" "));
    install(prefix, &missing)
        .with_context(|| format!("cannot install packages; to do it by hand, as root: {by_hand}"))
}

/// Fetches the package lists of a machine that has none, as fresh container images do.
pub(crate) fn ensure_package_lists(prefix: &[&str]) -> Result<()> {
    let have_lists = std::fs::read_dir("/var/lib/apt/lists").is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    });
    if have_lists {
        return Ok(());
    }
    update_package_lists(prefix)
}

fn install(prefix: &[&str], missing: &[&str]) -> Result<()> {
    ensure_package_lists(prefix)?;
    let mut argv = prefix.to_vec();
    argv.extend([
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
    ]);
    argv.extend(["--yes", "--quiet", "--no-install-recommends"]);
    argv.extend(missing);
    if run(&mut command(&argv)).is_ok() {
        return Ok(());
    }
    eprintln!("apt-get install failed; trying again with fresh package lists");
    update_package_lists(prefix)?;
    run(&mut command(&argv))
}

/// Fetches the package lists anew.
pub(crate) fn update_package_lists(prefix: &[&str]) -> Result<()> {
    let mut argv = prefix.to_vec();
    argv.extend(["apt-get", "update", "--quiet"]);
    run(&mut command(&argv))
}

/// What to put before a command so that it runs as root.
fn root_prefix(by_hand: &str) -> Result<&'static [&'static str]> {
    if !on_path("apt-get") {
        bail!("apt-get is not here; install with your package manager what `{by_hand}` would");
    }
    if nix::unistd::geteuid().is_root() {
        return Ok(&[]);
    }
    let mut probe = command(["sudo", "-n", "true"]);
    if on_path("sudo") && probe.output().is_ok_and(|output| output.status.success()) {
        return Ok(&["sudo", "-n"]);
    }
    bail!(
        "packages are missing and this user may not install them (not root, and {} does not work); \
         run as root: {by_hand}",
        shown(&probe)
    )
}

fn missing<'a>(wanted: &[&'a str], installed: &BTreeSet<String>) -> Vec<&'a str> {
    wanted
        .iter()
        .copied()
        .filter(|name| !installed.contains(*name))
        .collect()
}

/// The packages among `wanted` that dpkg lists as installed.
fn installed(wanted: &[&str]) -> Result<BTreeSet<String>> {
    // dpkg-query ends with 1 when it does not know one of the names, so its status says nothing.
    let output = command([
        "dpkg-query",
        "--show",
        "--showformat=${Package} ${db:Status-Status}\n",
    ])
    .args(wanted)
    .output()
    .context("cannot start dpkg-query")?;
    let listing = String::from_utf8_lossy(&output.stdout);
    Ok(parse_installed(&listing))
}

fn parse_installed(listing: &str) -> BTreeSet<String> {
    listing
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, status)| *status == "installed")
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fully_installed_packages_count() {
        let listing = "cmake installed\ng++ not-installed\nlibvirt-dev config-files\n";
        let have = parse_installed(listing);
        assert_eq!(
            missing(&["cmake", "g++", "libvirt-dev", "make"], &have),
            ["g++", "libvirt-dev", "make"]
        );
    }

    #[test]
    fn the_testbed_needs_all_that_building_needs() {
        let testbed = packages(Purpose::Testbed);
        assert!(packages(Purpose::Build).iter().all(|p| testbed.contains(p)));
    }
}
