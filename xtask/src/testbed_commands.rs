//! `cargo xtask testbed ...`.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use nix::sys::signal::{SigSet, Signal};
use xtask::testbed::{self, Config, Load, Testbed, judge};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The run directory [default: VMPACK_TESTBED, else target/testbed]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build hosts and guests; they stay until `down`
    Up {
        /// How many libvirt hosts
        #[arg(long, default_value_t = 3)]
        hosts: u8,
        /// How many guests, started on the hosts in turn
        #[arg(long, default_value_t = 6)]
        guests: u16,
        /// Memory of each guest
        #[arg(long, default_value_t = 128, value_name = "MIB")]
        memory: u32,
        /// vCPUs of each guest
        #[arg(long, default_value_t = 1)]
        vcpus: u32,
        /// Time between a guest's heartbeats
        #[arg(long, default_value_t = 100, value_name = "MS")]
        beat: u32,
    },
    /// End all of it: processes, namespaces, mounts, files
    Down,
    /// Measure, plan and migrate on three hosts, and judge it by the guests' heartbeats
    Demo {
        /// Leave the testbed up
        #[arg(long)]
        keep: bool,
    },
    /// Draw `vmpack-probe top` beside five guests under load, as an SVG
    Top {
        /// The picture
        #[arg(long, short, default_value = "docs/top.svg", value_name = "FILE")]
        output: PathBuf,
    },
    /// Strike in every phase of a real migration with every fault, and show what came of the guest
    Faults(crate::testbed_faults::Arguments),
    /// What is up, and which guest runs where
    Status {
        /// The whole testbed.json
        #[arg(long)]
        json: bool,
    },
    /// Run a command inside a host
    Exec {
        /// h1, h2, ...
        host: String,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Run virsh on a host's libvirtd
    Virsh {
        /// h1, h2, ...
        host: String,
        /// What to give virsh
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Tell a guest what load to make from now on; nothing named is no load
    Load {
        /// g1, g2, ...
        guest: String,
        /// In percent of one vCPU
        #[arg(long, default_value_t = 0, value_name = "PERCENT")]
        cpu: u32,
        /// Memory to rewrite
        #[arg(long, default_value_t = 0, value_name = "MIB_PER_S", requires = "over")]
        dirty: u32,
        /// The working set it is rewritten in
        #[arg(long, default_value_t = 0, value_name = "MIB")]
        over: u32,
    },
    /// Follow a guest's heartbeat over all hosts, then say what was seen
    Beats {
        /// g1, g2, ...
        guest: String,
        /// How long
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let mut config = Config::default();
    if let Some(directory) = &arguments.dir {
        config.directory.clone_from(directory);
    }
    let directory = config.directory.clone();
    match arguments.action {
        Action::Up {
            hosts,
            guests,
            memory,
            vcpus,
            beat,
        } => up(&Config {
            hosts,
            guests,
            guest_memory_mib: memory,
            guest_vcpus: vcpus,
            beat_ms: beat,
            ..config
        }),
        Action::Down => {
            if testbed::down(&directory)? {
                eprintln!("the testbed in {} is gone", directory.display());
            } else {
                eprintln!("no testbed in {}", directory.display());
            }
            Ok(())
        }
        Action::Demo { keep } => crate::testbed_demo::demo(arguments.dir, keep),
        Action::Top { output } => {
            config.directory.as_mut_os_string().push("-top");
            let (hosts, guests, guest_vcpus) = (1, 5, 2);
            let config = Config {
                hosts,
                guests,
                guest_vcpus,
                ..config
            };
            crate::testbed_top::top(&config, &output)
        }
        Action::Faults(faults) => crate::testbed_faults::faults(arguments.dir, &faults),
        Action::Status { json } => status(&directory, json),
        Action::Exec { host, command } => {
            let testbed = Testbed::open(&directory)?;
            let mut inside = testbed.host(&host)?.exec(command);
            Err(inside.stdin(Stdio::inherit()).exec()).context("cannot start nsenter")
        }
        Action::Virsh { host, arguments } => {
            let testbed = Testbed::open(&directory)?;
            let mut virsh = testbed.host(&host)?.virsh(arguments);
            Err(virsh.stdin(Stdio::inherit()).exec()).context("cannot start virsh")
        }
        Action::Load {
            guest,
            cpu,
            dirty,
            over,
        } => Testbed::open(&directory)?.steer(
            &guest,
            Load {
                cpu_percent: cpu,
                dirty_mib_per_s: dirty,
                working_set_mib: over,
            },
        ),
        Action::Beats { guest, seconds } => beats(&directory, &guest, Duration::from_secs(seconds)),
    }
}

fn up(config: &Config) -> Result<()> {
    end_on_signal(&config.directory)?;
    let start = Instant::now();
    let testbed = unless_ended_by_signal(Testbed::up(config))?;
    eprintln!(
        "{} hosts and {} guests are up after {:.1} s; `cargo xtask testbed down` ends them",
        testbed.hosts.len(),
        testbed.guests.len(),
        start.elapsed().as_secs_f64()
    );
    show(&testbed)
}

fn status(directory: &Path, json: bool) -> Result<()> {
    let testbed = Testbed::open(directory)?;
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(&testbed)?))
    } else {
        show(&testbed)
    }
}

/// Writes to standard output; a reader that has seen enough is no failure.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    }
}

fn show(testbed: &Testbed) -> Result<()> {
    let mut text = format!("run directory: {}\n", testbed.directory.display());
    for host in &testbed.hosts {
        let guests = match testbed.running_on(host) {
            Some(guests) if guests.is_empty() => "no guests".to_owned(),
            Some(guests) => guests.join(" "),
            None => "does not answer".to_owned(),
        };
        text += &format!(
            "{:4} {:12} {}\n     {}\n",
            host.name, host.address, guests, host.uri
        );
    }
    text += "read it with: vmpack snapshot";
    for host in &testbed.hosts {
        text += &format!(" --uri '{}={}'", host.uri, host.migrate_uri);
    }
    print(&format!("{text}\n"))
}

fn beats(directory: &Path, guest: &str, time: Duration) -> Result<()> {
    let heartbeats = Testbed::open(directory)?.heartbeats(guest)?;
    std::thread::sleep(time);
    let beats = heartbeats.beats();
    let life = judge(&beats);
    println!(
        "{guest}: {} beats, longest gap {} ms, {} switches {:?}, restarted: {}, missing: {}, bad pages: {} of {}",
        life.beats,
        life.longest_gap.as_millis(),
        life.switch_gaps.len(),
        life.switch_gaps,
        life.restarted,
        life.missing,
        life.bad_pages,
        beats.last().map_or(0, |beat| beat.pages),
    );
    Ok(())
}

/// The same path with something added to its last part.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Brings a testbed up and takes it down again, whatever `part` does and also when a signal ends us.
pub(crate) fn for_a_while<T>(
    config: &Config,
    part: impl FnOnce(&Testbed) -> Result<T>,
) -> Result<T> {
    end_on_signal(&config.directory)?;
    // What a killed one may have left.
    testbed::down(&config.directory)?;
    let done = unless_ended_by_signal(Testbed::up(config).and_then(|testbed| part(&testbed)));
    let ended = testbed::down(&config.directory);
    let done = done?;
    ended?;
    Ok(done)
}

static ENDED_BY_SIGNAL: AtomicBool = AtomicBool::new(false);

/// From here on, a signal that would end us ends the testbed first.
pub(crate) fn end_on_signal(directory: &Path) -> Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    // Threads inherit this; the standard library gives child processes an empty mask again.
    signals.thread_block()?;
    let directory = directory.to_owned();
    std::thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            ENDED_BY_SIGNAL.store(true, Ordering::SeqCst);
            eprintln!("{signal}: ending the testbed");
            if let Err(error) = testbed::abandon(&directory) {
                eprintln!("error: {error:#}");
            }
            std::process::exit(128 + signal as i32);
        }
    });
    Ok(())
}

/// Whatever failed because a signal ended the testbed is not worth a word: the signal's thread is
/// about to end the process.
pub(crate) fn unless_ended_by_signal<T>(result: Result<T>) -> Result<T> {
    while result.is_err() && ENDED_BY_SIGNAL.load(Ordering::SeqCst) {
        std::thread::park();
    }
    result
}
