//! The testbed itself, with real hosts and a real migration. Needs root and QEMU; says so where they
//! are missing.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use xtask::command::{on_path, read};
use xtask::testbed::{self, Config, Load, Testbed, judge};

fn missing() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("not root");
    }
    ["qemu-system-x86_64", "libvirtd", "virsh", "ip", "gcc"]
        .into_iter()
        .find(|program| !on_path(program))
}

#[test]
fn a_guest_lives_through_a_migration_and_nothing_is_left_after_down() -> Result<()> {
    if let Some(missing) = missing() {
        // Written past the test harness, which swallows what a passing test prints.
        writeln!(
            std::io::stderr(),
            "skipped: the testbed's own test ({missing})"
        )?;
        return Ok(());
    }
    // A short path of its own: sockets lie below it, and another testbed may be up.
    let directory = std::env::temp_dir().join(format!("vmpack-testbed-{}", std::process::id()));
    let lived = live(&Config {
        directory: directory.clone(),
        hosts: 2,
        guests: 1,
        beat_ms: 20,
        ..Config::default()
    });
    testbed::down(&directory)?;
    lived?;
    assert_eq!(testbed::processes_of(&directory)?, Vec::<i32>::new());
    assert!(!directory.exists());
    assert!(!testbed::down(&directory)?, "the second down finds nothing");
    Ok(())
}

fn live(config: &Config) -> Result<()> {
    let testbed = Testbed::up(config)?;
    assert_eq!(testbed.locate("g1")?.name, "h1");
    assert!(Testbed::up(config).is_err(), "one directory, one testbed");
    let load = Load {
        cpu_percent: 20,
        dirty_mib_per_s: 30,
        working_set_mib: 32,
    };
    testbed.steer("g1", load)?;

    let heartbeats = testbed.heartbeats("g1")?;
    std::thread::sleep(Duration::from_millis(500));
    let (source, target) = (testbed.host("h1")?, testbed.host("h2")?);
    let mut migrate = source.virsh(["migrate", "--live", "--p2p", "--persistent"]);
    migrate.args(["--postcopy", "--timeout", "1", "--timeout-postcopy"]);
    migrate.args(["g1", &target.migrate_uri]);
    read(&mut migrate)?;
    std::thread::sleep(Duration::from_secs(1));
    let beats = heartbeats.beats();
    let life = judge(&beats);
    assert_eq!(testbed.locate("g1")?.name, "h2");
    assert_eq!(life.switch_gaps.len(), 1, "{life:?}");
    assert!(!life.restarted, "{life:?}");
    assert!(life.missing <= 1, "{life:?}");
    assert_eq!(life.bad_pages, 0, "{life:?}");
    assert!(
        beats.last().is_some_and(|beat| beat.pages > 0),
        "memory was rewritten"
    );

    // A host that loses its power takes its guest along, and the other host stays.
    testbed.crash("h2")?;
    assert!(testbed.locate("g1").is_err());
    assert_eq!(testbed.running_on(target), None);
    assert_eq!(testbed.running_on(source), Some(vec![]));
    assert!(testbed.crash("h2").is_err(), "it is down already");
    Ok(())
}
