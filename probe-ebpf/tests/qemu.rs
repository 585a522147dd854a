//! A real QEMU guest, asked through QMP: are its vCPU threads those that the probe finds, is their
//! run time the scheduler's, and is the sampled dirty rate a lower bound of what the guest dirties?
//! The guest is TCG's, which runs everywhere; it is never asked for a dirty log, which would crash it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use vmpack_domain::units::{Micros, MilliCores, Ratio};
use vmpack_probe::ebpf::Ebpf;
use vmpack_probe::sample::{Schedstat, now, schedstat_grain};
use vmpack_probe::schedstat;
use vmpack_probe::source::Source;
use vmpack_probe::threads;

const QEMU: &str = "qemu-system-x86_64";
const NAME: &str = "vmpack-qmp-test";
/// Memory of the guest, and how much of it the guest writes to again and again, in MiB.
const MEMORY: u64 = 256;
const WRITTEN: u64 = 128;

fn skipped(why: impl std::fmt::Display) {
    // Past the capture of the test harness, so that it is seen and counted.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// A kernel by the Multiboot specification, entered in 32-bit mode, that writes another number to
/// each page from 16 MiB to 144 MiB, over and over. Its other vCPU is never started.
fn kernel() -> Vec<u8> {
    const MAGIC: u32 = 0x1bad_b002;
    /// The header says where all lies.
    const FLAGS: u32 = 0x1_0000;
    const LOAD: u32 = 0x10_0000;
    let header = [
        MAGIC,
        FLAGS,
        0u32.wrapping_sub(MAGIC).wrapping_sub(FLAGS),
        LOAD,
        LOAD,
        0,
        0,
        LOAD + 32,
    ];
    let code = [
        &[0x40][..],                           // again: inc eax
        &[0xbf, 0x00, 0x00, 0x00, 0x01],       // mov edi, 16 MiB
        &[0x89, 0x07],                         // next: mov [edi], eax
        &[0x81, 0xc7, 0x00, 0x10, 0x00, 0x00], // add edi, 4096
        &[0x81, 0xff, 0x00, 0x00, 0x00, 0x09], // cmp edi, 144 MiB
        &[0x72, 0xf0],                         // jb next
        &[0xeb, 0xe8],                         // jmp again
    ];
    let header = header.iter().flat_map(|word| word.to_le_bytes());
    header.chain(code.concat()).collect()
}

/// The guest and its monitor; it ends with this.
struct Guest {
    qemu: Child,
    monitor: BufReader<UnixStream>,
    _folder: tempfile::TempDir,
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Guest {
    /// `None`, and a word of it, where there is no QEMU.
    fn start(uuid: Uuid) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let (image, socket) = (folder.path().join("kernel"), folder.path().join("qmp"));
        std::fs::write(&image, kernel()).expect("written");
        let mut command = Command::new(QEMU);
        command
            .args([
                "-nodefaults",
                "-display",
                "none",
                "-accel",
                "tcg",
                "-smp",
                "2",
            ])
            .args(["-m", &MEMORY.to_string(), "-uuid", &uuid.to_string()])
            .args(["-name", &format!("guest={NAME},debug-threads=on")])
            .arg("-kernel")
            .arg(&image)
            .arg("-qmp")
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .stdin(Stdio::null());
        let mut qemu = match command.spawn() {
            Ok(qemu) => qemu,
            Err(why) => {
                skipped(format!("{QEMU}: {why}"));
                return None;
            }
        };
        let stream = loop {
            if let Ok(stream) = UnixStream::connect(&socket) {
                break stream;
            }
            let ended = qemu.try_wait().expect("it is ours");
            assert!(ended.is_none(), "QEMU ended: {ended:?}");
            std::thread::sleep(Duration::from_millis(20));
        };
        let mut guest = Self {
            qemu,
            monitor: BufReader::new(stream),
            _folder: folder,
        };
        guest.line();
        guest.ask("qmp_capabilities", json!({}));
        // Nothing below is ever asked of a guest of KVM's.
        let kvm = guest.ask("query-kvm", json!({}));
        assert_eq!(kvm["enabled"], Value::Bool(false));
        Some(guest)
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.monitor.read_line(&mut line).expect("it speaks");
        serde_json::from_str(&line).expect("JSON")
    }

    fn ask(&mut self, command: &str, arguments: Value) -> Value {
        let order = json!({ "execute": command, "arguments": arguments });
        writeln!(self.monitor.get_mut(), "{order}").expect("it listens");
        loop {
            let mut said = self.line();
            assert!(said.get("error").is_none(), "{command}: {said}");
            // What else it tells are events.
            if let Some(answer) = said.get_mut("return") {
                return answer.take();
            }
        }
    }

    /// By `query-cpus-fast`, in order of the vCPUs.
    fn threads(&mut self) -> Vec<i32> {
        let told = self.ask("query-cpus-fast", json!({}));
        let mut vcpus: Vec<(i64, i32)> = told
            .as_array()
            .expect("a list")
            .iter()
            .map(|vcpu| {
                let number = |key: &str| vcpu[key].as_i64().expect("a number");
                let thread = i32::try_from(number("thread-id")).expect("a thread");
                (number("cpu-index"), thread)
            })
            .collect();
        vcpus.sort_unstable();
        vcpus.into_iter().map(|(_, thread)| thread).collect()
    }

    /// The dirty rate by page sampling over a second, in MiB/s.
    fn dirty_rate(&mut self) -> u64 {
        let how = json!({ "calc-time": 1, "mode": "page-sampling", "sample-pages": 4096 });
        self.ask("calc-dirty-rate", how);
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let told = self.ask("query-dirty-rate", json!({}));
            if told["status"] == "measured" {
                assert_eq!(told["mode"], "page-sampling");
                return told["dirty-rate"].as_u64().expect("a number");
            }
        }
    }
}

#[test]
fn a_real_guest_is_measured_as_qemu_and_the_scheduler_tell() {
    let uuid = Uuid::from_u128(0x6c1f_0000_0000_4000_8000_0000_0000_0aa1);
    let Some(mut guest) = Guest::start(uuid) else {
        return;
    };
    let proc = Path::new("/proc");
    let pid = i32::try_from(guest.qemu.id()).expect("a process");
    let told = guest.threads();
    assert_eq!(told.len(), 2);
    let window = Micros::millis(100);
    let mut by_proc = schedstat::Schedstat::new(proc.to_path_buf(), window, Ratio::ONE);
    let found = threads::processes(proc, &mut by_proc);
    assert_eq!(
        threads::find(proc, &found, NAME, uuid),
        Ok((pid, told.clone()))
    );

    match Ebpf::start(window, Ratio::ONE, MilliCores(2000), 8) {
        Err(why) => skipped(why),
        Ok(mut source) => {
            let found = threads::processes(proc, &mut source);
            let found = threads::find(proc, &found, NAME, uuid);
            assert_eq!(found, Ok((pid, told.clone())));
            run_time(&mut guest, &mut source, uuid, pid, &told);
        }
    }

    guest.ask("cont", json!({}));
    // All of it is written within a second, and a sample that is missed makes it less; of so many
    // samples the share is within a tenth.
    let busy = guest.dirty_rate();
    assert!((WRITTEN / 4..=WRITTEN * 11 / 10).contains(&busy), "{busy}");
    guest.ask("stop", json!({}));
    assert_eq!(guest.dirty_rate(), 0);
}

/// The windows and the sums of a second in which the guest runs, and stops at the end, so that the
/// scheduler's files are exact.
fn run_time(guest: &mut Guest, source: &mut Ebpf, uuid: Uuid, pid: i32, vcpus: &[i32]) {
    let name = NAME.parse().expect("a guest's name");
    source.follow(&name, uuid, pid, vcpus).expect("followed");
    let read = || -> Vec<u64> {
        let file = |thread: &i32| Schedstat::open(Path::new("/proc"), pid, *thread);
        let run = |thread| Some(file(thread).ok()?.read().ok()?.run);
        vcpus.iter().map(|t| run(t).expect("it runs")).collect()
    };
    let before = read();
    let mut windows = Vec::new();
    let end = now() + 1_500_000_000;
    while now() < end {
        std::thread::sleep(Duration::from_nanos(source.due().saturating_sub(now())));
        windows.extend(source.read().windows);
    }
    guest.ask("stop", json!({}));
    std::thread::sleep(Duration::from_millis(300));
    windows.extend(source.read().windows);
    let after = read();
    let totals = source.totals(NAME);
    for ((thread, run, _), exact) in totals.iter().zip(&after) {
        assert!(vcpus.contains(thread));
        assert!(run.abs_diff(*exact) * 1000 <= *exact, "{run} of {exact}");
    }
    assert_eq!(totals.len(), vcpus.len());
    // Only the first vCPU was ever started.
    let grown: Vec<u64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    assert!(grown[0] > 100 * grown[1], "{grown:?}");
    let told: u64 = windows.iter().map(|w| w.window.run).sum();
    let exact: u64 = grown.iter().sum();
    // A part of a window at each end does not count; a reading may be off by a tick.
    let most = exact + schedstat_grain();
    assert!(told <= most && told * 2 > exact, "{told} of {exact}");
}
