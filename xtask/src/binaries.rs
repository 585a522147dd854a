//! Building the product's binaries, in the one profile that the tests share with it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{command, run};
use crate::setup::{Purpose, setup};
use crate::{target_directory, workspace};

/// What cargo calls the directory of the dev profile.
const PROFILE_DIRECTORY: &str = "debug";

/// The binaries of the product, built.
#[derive(Clone, Debug)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// Installs what building needs and builds them; cargo's progress is visible.
    ///
    /// # Errors
    /// When packages are missing and cannot be installed, or the build fails.
    pub fn build() -> Result<Binaries> {
        setup(Purpose::Build)?;
        let directory = std::path::absolute(target_directory().join(PROFILE_DIRECTORY))
            .context("cannot resolve the target directory")?;
        if !directory.join("vmpack").exists() {
            eprintln!(
                "building; the first time takes about 5 minutes, as HiGHS (C++) is built along"
            );
        }
        run(cargo().args(["build", "--workspace", "--bins"]))?;
        Ok(Binaries { directory })
    }

    /// The path of one of them.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A command line that begins with one of them.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        command([self.path(name)])
    }
}

/// The cargo that runs us, in the checkout, without what it told us of our own package: a build script
/// that asks for that, such as ring's, would take it for a change, and be built anew with all that
/// needs it each time that cargo is run by hand and from here in turn.
#[must_use]
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = command([program]);
    cargo.current_dir(workspace());
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    cargo
}
