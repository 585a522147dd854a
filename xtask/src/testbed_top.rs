//! `cargo xtask testbed top`: a picture of `vmpack-probe top` beside real guests under load.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use xtask::binaries::Binaries;
use xtask::command::read;
use xtask::testbed::{Config, Load, Testbed};

use crate::testbed_commands::for_a_while;

/// Together more than two cores, so that there is something to see.
const LOADS: [(&str, Load); 5] = [
    ("g1", load(100, 0, 0)),
    ("g2", load(60, 0, 0)),
    ("g3", load(15, 20, 64)),
    ("g4", load(30, 2, 16)),
    ("g5", load(0, 0, 0)),
];

const fn load(cpu_percent: u32, dirty_mib_per_s: u32, working_set_mib: u32) -> Load {
    Load {
        cpu_percent,
        dirty_mib_per_s,
        working_set_mib,
    }
}

/// Until every guest has a dirty rate.
const BEFORE: Duration = Duration::from_secs(20);

/// Brings a host up, draws it, and takes it down again.
pub(crate) fn top(config: &Config, output: &Path) -> Result<()> {
    let binaries = Binaries::build()?;
    let picture = for_a_while(config, |testbed| draw(&binaries, testbed))?;
    std::fs::write(output, picture).with_context(|| format!("cannot write {}", output.display()))
}

fn draw(binaries: &Binaries, testbed: &Testbed) -> Result<String> {
    for (guest, load) in LOADS {
        testbed.steer(guest, load)?;
    }
    let host = testbed.host("h1")?;
    let probe = binaries.path("vmpack-probe");
    let mut serve = host.exec([probe.as_os_str()]);
    let history = testbed.directory.join("history.db");
    serve.args(["serve", "--dirty", "--history"]).arg(history);
    let _daemon = Daemon::start(&mut serve)?;
    std::thread::sleep(BEFORE);
    let mut top = host.exec([probe.as_os_str()]);
    // As on a terminal.
    let shown = read(top.args(["top", "--once"]).env("CLICOLOR_FORCE", "1"))?;
    print!("{shown}");
    Ok(anstyle_svg::Term::new().render_svg(shown.trim_end()))
}

/// The probe's daemon; ends with this.
struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command) -> Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(command.spawn().context("cannot start the probe")?))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Whatever is left of it ends with the testbed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
