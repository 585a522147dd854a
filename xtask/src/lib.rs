//! What `cargo xtask` is made of, for the tests that need it too; above all the [`testbed`].
#![expect(
    clippy::print_stderr,
    reason = "these are a developer's tools: they say on standard error what they install and fetch"
)]

pub mod binaries;
pub mod command;
pub mod setup;
pub mod testbed;

use std::path::PathBuf;

/// The root of the checkout.
#[must_use]
pub fn workspace() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map_or(xtask.clone(), PathBuf::from)
}

/// Where cargo builds.
#[must_use]
pub fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}
