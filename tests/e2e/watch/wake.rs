//! Hosts that sleep and are woken: by a command, and by a magic packet over a cable between two network
//! namespaces.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{begin, count, desk, fleet::Fleet, surge};
use crate::daemon::{is_root, skip, there};

const POLICY: &str = "relief: { cooldown: 1s }\n";

#[test]
fn an_empty_host_sleeps_by_a_command_and_is_woken_before_it_is_needed() {
    let (desk, fleet) = desk(2, POLICY);
    let path = |name: &str| desk.path(name).display().to_string();
    let (wake, sleep) = (
        format!("touch {}-{{host}}", path("wake")),
        format!("touch {}-{{host}}", path("sleep")),
    );
    let times = [
        "--break-even",
        "1s",
        "--wake-latency",
        "3s",
        "--every",
        "1h",
    ];
    let commands = [
        "--power",
        "command",
        "--wake-command",
        &wake,
        "--sleep-command",
        &sleep,
    ];
    let arguments = [
        &["run", "--mode", "auto", "--simulated", "--speed-up", "3"][..],
        &times,
        &commands,
    ];
    let watched = begin(&desk, &fleet, &arguments.concat());
    // One of the empty hosts can be spared: a host's worth of room is left without it, not without both.
    let log = watched.until("a host sleeps", |log| count(log, "power") > 0);
    let order = log.iter().find(|l| l["event"] == "power").unwrap();
    assert_eq!(order["to"], "sleep", "{order}");
    assert!(
        order["why"]
            .as_str()
            .unwrap()
            .starts_with("it was empty for"),
        "{order}"
    );
    let asleep: Vec<&str> = ["h1", "h3"]
        .into_iter()
        .filter(|h| {
            std::thread::sleep(Duration::from_millis(300));
            desk.path(&format!("sleep-{h}")).exists()
        })
        .collect();
    assert!(!asleep.is_empty(), "the command was run");
    for host in &asleep {
        fleet.silence(host, true);
    }
    std::thread::sleep(Duration::from_millis(500));
    surge(&fleet, 0);
    surge(&fleet, 1);
    let woken = |log: &[serde_json::Value]| {
        log.iter()
            .any(|l| l["event"] == "power" && l["to"] == "wake")
    };
    watched.until("a host is woken", woken);
    std::thread::sleep(Duration::from_millis(300));
    for host in &asleep {
        if desk.path(&format!("wake-{host}")).exists() {
            fleet.silence(host, false);
        }
    }
    watched.until("both hosts are relieved", |log| count(log, "relieved") >= 2);
    watched.end();
}

/// A process with a network namespace of its own; both end together.
struct Namespace(Child);

impl Namespace {
    fn new() -> Self {
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sleep", "120"]).stdin(Stdio::null());
        Self(unshare.spawn().expect("unshare runs"))
    }

    fn inside(&self, words: &[&str]) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter
            .arg(format!("--net=/proc/{}/ns/net", self.0.id()))
            .args(words);
        nsenter
    }

    fn ip(&self, words: &str) -> bool {
        let mut ip = self.inside(&["ip"]);
        ip.args(words.split(' ')).stderr(Stdio::null());
        ip.status().is_ok_and(|s| s.success())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_magic_packet_goes_over_the_cable_to_the_host_that_sleeps() {
    let name = "a_magic_packet_goes_over_the_cable_to_the_host_that_sleeps";
    if !is_root() || !["ip", "unshare", "nsenter", "perl"].into_iter().all(there) {
        return skip(name, "no root, or no ip, unshare, nsenter and perl");
    }
    let (here, card) = (Namespace::new(), Namespace::new());
    // Until both are in namespaces of their own.
    std::thread::sleep(Duration::from_millis(300));
    let cable = format!("link add c0 type veth peer name c1 netns {}", card.0.id());
    if !here.ip(&cable) {
        return skip(name, "no right to lay a cable");
    }
    assert!(here.ip("address add 10.78.0.1/24 broadcast 10.78.0.255 dev c0"));
    assert!(here.ip("link set dev c0 up"));
    // A network card that sleeps has no address: it hears what is sent to all.
    assert!(card.ip("address add 10.78.0.2/24 broadcast 10.78.0.255 dev c1"));
    assert!(card.ip("link set dev c1 up"));
    let listen = "use Socket; alarm 30; socket(S, PF_INET, SOCK_DGRAM, 0) or die; \
                  bind(S, sockaddr_in(9, INADDR_ANY)) or die; recv(S, $b, 500, 0); print $b";
    let mut ear = card.inside(&["perl", "-e", listen]);
    let ear = ear
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));

    let desk = crate::executor::Desk::new();
    let cluster = "apiVersion: vmpack/v1\nkind: Cluster\nhosts:\n\
        \x20 - { name: h1, cpu: 8cores, memory: 16GiB, network: 1000MiB/s, state: asleep,\n\
        \x20     labels: { mac: '52:54:00:12:34:ff' } }\nguests: []\n";
    std::fs::write(desk.path("cluster.yaml"), cluster).unwrap();
    std::fs::write(
        desk.path("policy.yaml"),
        "apiVersion: vmpack/v1\nkind: Policy\n",
    )
    .unwrap();
    let _fleet = Fleet::of(&desk.path("cluster.yaml"), desk.path("none"));
    let program = crate::bin("vmpack-executor").display().to_string();
    let words = [
        program.as_str(),
        "run",
        "--mode",
        "auto",
        "--simulated",
        "--power",
        "libvirt",
        "--broadcast",
        "10.78.0.255:9",
        "--cluster",
        "cluster.yaml",
        "--policy",
        "policy.yaml",
        "--probe",
        "h1=http://127.0.0.1:9",
        "--json",
    ];
    let mut run = here.inside(&words);
    run.current_dir(desk.path(""))
        .env("VMPACK_STATE", desk.path("state"));
    let mut run = run
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let heard = std::thread::spawn(move || ear.wait_with_output().unwrap().stdout);
    let log = || super::audit(&desk);
    let began = std::time::Instant::now();
    while count(&log(), "power") == 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "{:#?}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let heard = heard.join().unwrap();
    let _ = run.kill();
    run.wait().unwrap();
    let mut packet = vec![0xff; 6];
    for _ in 0..16 {
        packet.extend([0x52, 0x54, 0x00, 0x12, 0x34, 0xff]);
    }
    assert!(
        heard.starts_with(&packet),
        "{} bytes were heard",
        heard.len()
    );
}
