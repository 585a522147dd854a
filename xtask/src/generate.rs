//! What is made from the programs themselves: schemas, man pages, completions, the reference, and
//! the archive of a release.

use std::fs::{self, File};

use anyhow::{Context, Result};
use xtask::binaries::{Binaries, cargo};
use xtask::command::{command, run};
use xtask::setup::{Purpose, setup};
use xtask::{target_directory, workspace};

const PROGRAMS: [&str; 3] = ["vmpack", "vmpack-executor", "vmpack-probe"];

/// Writes `models/schema/`.
pub(crate) fn schema() -> Result<()> {
    let mut vmpack = Binaries::build()?.command("vmpack");
    run(vmpack
        .args(["schema", "--out", "models/schema"])
        .current_dir(workspace()))
}

/// Writes `docs/cli.md`, `docs/man/` and `docs/completions/`.
pub(crate) fn docs() -> Result<()> {
    let binaries = Binaries::build()?;
    let docs = workspace().join("docs");
    let (man, completions) = (docs.join("man"), docs.join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    run(binaries.command("vmpack").arg("docs").arg(&docs))?;
    run(binaries.command("vmpack-executor").arg("docs").arg(&man))?;
    run(binaries.command("vmpack-probe").arg("docs").arg(&man))?;
    for program in PROGRAMS {
        for shell in ["bash", "zsh", "fish"] {
            let file = File::create(completions.join(format!("{program}.{shell}")))
                .with_context(|| format!("cannot write into {}", completions.display()))?;
            run(binaries
                .command(program)
                .args(["completions", shell])
                .stdout(file))?;
        }
    }
    Ok(())
}

/// Builds for release and packs the programs, their man pages and completions, the probe's unit for
/// systemd, and the licences.
pub(crate) fn dist() -> Result<()> {
    setup(Purpose::Build)?;
    eprintln!(
        "building for release; the first time takes about 5 minutes, as HiGHS is built along"
    );
    run(cargo().args(["build", "--workspace", "--bins", "--release"]))?;
    let release = std::path::absolute(target_directory().join("release"))?;
    let name = format!(
        "vmpack-{}-{}-linux",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    let archive = std::path::absolute(target_directory().join(format!("{name}.tar.gz")))?;
    let mut tar = command(["tar", "--create", "--gzip", "--owner=0", "--group=0"]);
    tar.arg("--file").arg(&archive);
    tar.arg(format!("--transform=s,^,{name}/,"));
    tar.arg("--directory").arg(&release).args(PROGRAMS);
    tar.arg("--directory").arg(workspace()).args([
        "LICENSE",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "dist",
        "docs",
    ]);
    run(&mut tar)?;
    println!("{}", archive.display());
    Ok(())
}
