//! The probe's daemon as systemd and a user run it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::{bin, root};

/// A daemon that is killed when it is dropped.
struct Daemon {
    child: Child,
    address: String,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("text");
        let address = line.trim().rsplit_once("://").map(|(_, a)| a.to_owned());
        let Some(address) = address else {
            let mut said = String::new();
            let mut err = child.stderr.take().expect("a pipe");
            err.read_to_string(&mut said).expect("text");
            panic!("it does not listen: {line}{said}");
        };
        Self { child, address }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let host = &self.address;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

/// `vmpack-probe serve` in that folder, beside a libvirt that has no guests.
fn serve(program: &Path, folder: &Path) -> Vec<String> {
    let history = folder.join("history.db");
    let words = [
        "serve",
        "--uri",
        "test:///default",
        "--listen",
        "127.0.0.1:0",
        "--history",
    ];
    let mut line = vec![program.display().to_string()];
    line.extend(words.map(str::to_owned));
    line.push(history.display().to_string());
    line
}

pub(crate) fn skip(test: &str, why: &str) {
    // Past the capture of a test's output, so that it is counted.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// Whether a program is there.
pub(crate) fn there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout == b"0\n"
}

#[test]
fn the_daemon_tells_systemd_and_ends_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let notify = folder.path().join("notify");
    let systemd = std::os::unix::net::UnixDatagram::bind(&notify).expect("a socket");
    systemd
        .set_read_timeout(Some(std::time::Duration::from_secs(30)))
        .expect("a timeout");
    let line = serve(&bin("vmpack-probe"), folder.path());
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]);
    command
        .env("NOTIFY_SOCKET", &notify)
        .env("WATCHDOG_USEC", "200000");
    let mut daemon = Daemon::start(&mut command);
    let heard = || {
        let mut text = [0; 64];
        let n = systemd.recv(&mut text).expect("a message");
        String::from_utf8_lossy(&text[..n]).into_owned()
    };
    assert_eq!(heard(), "READY=1");
    assert_eq!(heard(), "WATCHDOG=1");
    assert!(daemon.get("/metrics").contains("# EOF"));
    let pid = daemon.child.id().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(told.expect("kill runs").success());
    assert!(daemon.child.wait().expect("it ends").success());
    while heard() != "STOPPING=1" {}
}

#[test]
fn a_libvirt_that_hangs_is_named_and_does_not_keep_it_from_ending() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("libvirt-sock");
    // Takes connections and says nothing.
    let _mute = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let uri = format!("qemu+unix:///system?socket={}", socket.display());
    let mut line = serve(&bin("vmpack-probe"), folder.path());
    assert_eq!(line[2], "--uri");
    line[3] = uri;
    let mut daemon = Daemon::start(Command::new(&line[0]).args(&line[1..]));
    let answer = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let answer = daemon.get("/healthz");
        let named = answer.contains("libvirt has listed no guests in ")
            && answer.contains("since the start: it does not answer");
        (answer.starts_with("HTTP/1.1 503") && named).then_some(())
    });
    assert!(answer.is_some(), "{}", daemon.get("/healthz"));
    let pid = daemon.child.id().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(told.expect("kill runs").success());
    let ended = (0..400).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        daemon.child.try_wait().expect("it is ours")
    });
    assert!(ended.expect("it ends").success());
    // Closed as it is to be, the history has no log beside it.
    assert!(folder.path().join("history.db").exists());
    assert!(!folder.path().join("history.db-wal").exists());
}

#[test]
fn a_history_has_one_writer() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = serve(&bin("vmpack-probe"), folder.path());
    let daemon = Daemon::start(Command::new(&line[0]).args(&line[1..]));
    let second = Command::new(&line[0]).args(&line[1..]).output();
    let second = second.expect("it runs");
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(9), "{said}");
    let file = folder.path().join("history.db");
    let expected = format!("another vmpack-probe writes {}", file.display());
    assert!(said.contains(&expected), "{said}");
    // It may be read meanwhile, and written after kill -9.
    let read = Command::new(&line[0])
        .args(["export", "--history"])
        .arg(&file)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&read.stderr);
    assert!(said.contains("holds no row of that time"), "{said}");
    drop(daemon);
    drop(Daemon::start(Command::new(&line[0]).args(&line[1..])));
}

#[test]
fn a_certificate_for_another_use_is_bad_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let pki = |words: &[&str]| {
        let mut command = Command::new(bin("vmpack-probe"));
        let made = command.arg("pki").args(words).arg("--dir");
        assert!(made.arg(folder.path()).status().expect("it runs").success());
    };
    pki(&["ca"]);
    pki(&["client", "reader"]);
    let mut line = serve(&bin("vmpack-probe"), folder.path());
    for (flag, file) in [
        ("--tls-cert", "reader.pem"),
        ("--tls-key", "reader.key"),
        ("--tls-ca", "ca.pem"),
    ] {
        let file = folder.path().join(file).display().to_string();
        line.extend([flag.to_owned(), file]);
    }
    let refused = Command::new(&line[0]).args(&line[1..]).output();
    let refused = refused.expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    let expected = "reader.pem, which is for another use, expected a certificate for a server";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn it_runs_under_the_capabilities_of_its_unit_alone() {
    let name = "the daemon under CAP_BPF and CAP_PERFMON";
    if !is_root() || !there("setpriv") {
        return skip(name, "needs root and setpriv");
    }
    // Where another user reaches it, and outlives none.
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
    let program = folder.path().join("vmpack-probe");
    let copied = Command::new("cp")
        .arg(bin("vmpack-probe"))
        .arg(&program)
        .status();
    assert!(copied.expect("cp runs").success());
    let state = folder.path().join("state");
    std::fs::create_dir(&state).expect("a folder");
    for path in [folder.path(), &state] {
        let opened = Command::new("chown").arg("65534:65534").arg(path).status();
        assert!(opened.expect("chown runs").success());
    }
    let caps = "-all,+bpf,+perfmon";
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--no-new-privs",
    ]);
    for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
        command.arg(format!("{set}={caps}"));
    }
    command.args(serve(&program, &state)).process_group(0);
    let daemon = Daemon::start(&mut command);
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.child.id()));
    // CAP_PERFMON is 38, CAP_BPF 39.
    let status = status.expect("it runs");
    assert!(status.contains("CapEff:\t000000c000000000"), "{status}");
    assert!(status.contains("Uid:\t65534\t"), "{status}");
    let answer = (0..200).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        Some(daemon.get("/healthz")).filter(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    assert!(answer.is_some(), "{}", daemon.get("/healthz"));
    // As well as root could: of the sources only eBPF says how many threads it could follow.
    let doctor = ["doctor", "--json", "--uri", "test:///default"];
    let told = Command::new(bin("vmpack-probe")).args(doctor).output();
    let told: Value = serde_json::from_slice(&told.expect("it runs").stdout).expect("JSON");
    let best = &told["metrics"]["run time, run delay, demand"]["tier"];
    let metrics = daemon.get("/metrics");
    let by_ebpf = metrics.contains("\nvmpack_probe_threads_max ");
    assert_eq!(*best == "ebpf", by_ebpf, "{told} {metrics}");
}

#[test]
fn the_unit_is_one_that_systemd_takes() {
    if !there("systemd-analyze") {
        return skip("the unit", "systemd-analyze is not installed");
    }
    let unit = std::fs::read_to_string(root().join("dist/vmpack-probe.service")).expect("a unit");
    let program = bin("vmpack-probe").display().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("vmpack-probe.service");
    std::fs::write(&file, unit.replace("/usr/bin/vmpack-probe", &program)).expect("written");
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
    // Exposure in tenths: at most "OK".
    let secure = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=30"])
        .arg(&file)
        .output()
        .expect("it runs");
    assert!(
        secure.status.success(),
        "{}",
        String::from_utf8_lossy(&secure.stdout)
    );
}

#[test]
fn no_committed_row_is_lost_to_kill_9() {
    let output = Command::new(bin("vmpack-probe"))
        .args(["bench", "kills", "--kills", "4", "--json"])
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let rows: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .expect("JSON");
    assert_eq!(
        (&rows[0]["value"], &rows[0]["ok"]),
        (&4.0.into(), &true.into()),
        "{rows:?}"
    );
    assert!(rows[1]["value"].as_f64() > Some(0.0), "{rows:?}");
}

#[test]
fn an_address_beyond_this_host_needs_certificates() {
    let run = |arguments: &[&str]| {
        let output = Command::new(bin("vmpack-probe")).args(arguments).output();
        let output = output.expect("it runs");
        let said = String::from_utf8(output.stderr).expect("text");
        (output.status.code(), said)
    };
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9742"] {
        let (code, said) = run(&["serve", "--listen", listen]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("expected a loopback address"), "{said}");
    }
    let (code, said) = run(&["serve", "--tls-cert", "x.pem"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = run(&["export", "--history", "/nonexistent/history.db"]);
    assert_eq!(code, Some(9), "{said}");
    let (code, said) = run(&["export", "--last", "5s"]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn load_is_fetched_through_vmpack_and_who_is_silent_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let cluster = folder.path().join("cluster.yaml");
    std::fs::write(
        &cluster,
        "apiVersion: vmpack/v1
kind: Cluster
hosts:
- { name: h1, cpu: 2cores, memory: 8GiB, network: 100MiB/s, state: on }
- { name: h2, cpu: 2cores, memory: 8GiB, network: 100MiB/s, state: on, probe: 'http://127.0.0.1:1' }
guests:
- { name: g1, vcpus: 1, memory: 1GiB, host: h1 }
",
    )
    .expect("written");
    let line = serve(&bin("vmpack-probe"), folder.path());
    let mut command = Command::new(&line[0]);
    let daemon = Daemon::start(command.args(&line[1..]));
    while !daemon.get("/healthz").starts_with("HTTP/1.1 200") {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let fetch = |probes: &[String], output: &str| {
        let mut command = Command::new(bin("vmpack"));
        command
            .args(["load", "fetch", "--last", "1m", "--cluster"])
            .arg(&cluster);
        for probe in probes {
            command.args(["--probe", probe]);
        }
        command.arg("-o").arg(folder.path().join(output));
        let output = command.output().expect("it runs");
        let said = String::from_utf8(output.stderr).expect("text");
        (output.status.code(), said)
    };
    let (code, said) = fetch(&[format!("h1=http://{}", daemon.address)], "load.yaml");
    assert_eq!(code, Some(7), "{said}");
    assert!(
        said.contains("the probe of h2 (http://127.0.0.1:1) is silent: cannot connect"),
        "{said}"
    );
    assert!(
        said.contains("1 guest of the cluster not measured, g1"),
        "{said}"
    );
    let load = std::fs::read_to_string(folder.path().join("load.yaml")).expect("a load");
    assert!(load.contains("kind: Load"), "{load}");

    let (code, said) = fetch(&["h1=http://127.0.0.1:1".to_owned()], "none.yaml");
    assert_eq!(code, Some(9), "{said}");
    assert!(said.contains("no probe gave its load"), "{said}");
    assert!(!folder.path().join("none.yaml").exists());
    let (code, said) = fetch(&["h9=http://127.0.0.1:1".to_owned()], "none.yaml");
    assert_eq!(code, Some(3), "{said}");
}
