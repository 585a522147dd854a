//! End-to-end tests: the binaries as a user runs them, and the rules of the house.

mod cli;
mod crash;
mod daemon;
mod docs;
mod executor;
mod house;
mod pipeline;
mod probe;
mod readme;
mod replan;
mod report;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of the workspace.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ stands in the workspace")
}

/// The path of one of our binaries, built from the sources as they stand.
///
/// `cargo test` does not build the binaries of other packages, so this asks cargo once a run; it
/// returns at once where they are fresh.
fn bin(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let dir = BUILT.get_or_init(|| {
        let test = std::env::current_exe().expect("a running test has a path");
        let profile_dir = test
            .parent()
            .and_then(Path::parent)
            .expect("target/PROFILE/deps/test")
            .to_path_buf();
        let target_dir = profile_dir.parent().expect("target/PROFILE");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--bins", "--workspace", "--target-dir"])
            .arg(target_dir)
            .current_dir(root())
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the binaries do not build");
        profile_dir
    });
    dir.join(name)
}
