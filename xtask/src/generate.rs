//! What is made from the programs themselves: schemas, man pages, completions, the reference, and
//! the archive of a release.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use xtask::binaries::{Binaries, cargo};
use xtask::command::{command, on_path, read, run};
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

/// Writes `docs/cli.md`, `docs/man/` and `docs/completions/`, and `docs/report.png` where there is a browser.
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
    match ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| on_path(name))
    {
        Some(browser) => photograph(&binaries, browser, &docs.join("report.png")),
        None => {
            eprintln!("note: docs/report.png stays as it is: it takes chromium or google-chrome");
            Ok(())
        }
    }
}

/// Takes a picture of the report on an example's plan, as a browser shows it.
fn photograph(binaries: &Binaries, browser: &str, picture: &Path) -> Result<()> {
    let folder = std::path::absolute(target_directory().join("report-example"))?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let made = [
        "example",
        "cluster",
        "--hosts",
        "12",
        "--guests",
        "60",
        "--seed",
        "1",
        "--windows",
        "24",
        "--output",
    ];
    let mut example = binaries.command("vmpack");
    run(example.args(made).arg(&folder).stdout(Stdio::null()))?;
    let mut plan = binaries.command("vmpack");
    plan.args(["plan", "--nodes", "200", "--report", "report.html"]);
    for kind in ["cluster", "load", "policy"] {
        plan.arg(format!("--{kind}")).arg(format!("{kind}.yaml"));
    }
    run(plan.current_dir(&folder).stdout(Stdio::null()))?;
    let mut shoot = command([browser, "--headless", "--no-sandbox", "--disable-gpu"]);
    shoot.args(["--disable-dev-shm-usage", "--window-size=1000,1500"]);
    let home = |name: &str| folder.join(name).display().to_string();
    shoot.arg(format!("--user-data-dir={}", home("profile")));
    shoot.arg(format!("--screenshot={}", picture.display()));
    shoot.arg(format!("file://{}", home("report.html")));
    read(shoot.env("HOME", &folder)).map(drop)
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
