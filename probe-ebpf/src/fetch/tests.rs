use std::net::TcpListener;

use vmpack_domain::units::MilliCores;
use vmpack_probe_client::place::derived;

use super::*;
use crate::serve::tests::{Daemon, block_on, settings, start, steady, wait_for};

fn cluster(text: &str) -> Cluster {
    let text = format!("apiVersion: vmpack/v1\nkind: Cluster\n{text}");
    let source = vmpack_domain::file::Source {
        name: "cluster.yaml".to_owned(),
        text,
    };
    vmpack_domain::file::read_cluster(&[source]).unwrap()
}

const HOSTS: &str = "hosts:
- { name: h1, cpu: 2cores, memory: 8GiB, network: 100MiB/s, state: on }
- { name: h2, cpu: 2cores, memory: 8GiB, network: 100MiB/s, state: on, uri: 'qemu+tls://root@h2.example:16514/system' }
- { name: h3, cpu: 2cores, memory: 8GiB, network: 100MiB/s, state: on, uri: 'qemu:///system' }
- { name: h4, cpu: 2cores, memory: 8GiB, network: 100MiB/s, state: asleep, uri: 'qemu+tcp://[fd00::1]/system' }
";

fn client() -> Client {
    Client {
        tls: None,
        patience: std::time::Duration::from_secs(5),
    }
}

fn fetched(cluster: &Cluster, probes: &[(&str, Address)], fresh: Micros) -> Fetched {
    let probes = probes
        .iter()
        .map(|(host, address)| (host.parse().unwrap(), address.clone()))
        .collect();
    let now = unix_us() / 1_000_000;
    let span = Span::last(now, 60, 10, Statistic::P95);
    block_on(fetch(cluster, probes, &client(), span, fresh, 2))
}

/// A daemon whose history has rows.
fn probe(folder: &std::path::Path, guests: &'static [&'static str]) -> Daemon {
    let settings = settings(folder);
    let file = settings.history.clone();
    let daemon = start(settings, steady(guests));
    wait_for(|| {
        let asked = crate::history::Asked {
            since: 0,
            until: 1 << 40,
            step: 1 << 40,
            statistic: Statistic::Max,
        };
        let part = crate::history::Reader::open(&file)
            .ok()?
            .read(asked, || true)
            .ok()?;
        part.guests
            .iter()
            .any(|g| g.span_us >= 30_000_000)
            .then_some(())
    });
    daemon
}

#[test]
fn two_probes_and_a_silent_one_make_a_load_that_says_so() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // `both` moved from one to the other; its identity is of its name.
    let first = probe(one.path(), &["a", "both"]);
    let second = probe(two.path(), &["both", "c"]);
    // Takes connections and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", mute.local_addr().unwrap())
        .parse()
        .unwrap();
    let cluster = cluster(&format!(
        "{HOSTS}guests:
- {{ name: a, vcpus: 2, memory: 1GiB, host: h1 }}
- {{ name: both, vcpus: 2, memory: 1GiB, host: h2 }}
- {{ name: x, vcpus: 2, memory: 1GiB, host: h3 }}
- {{ name: waits, vcpus: 2, memory: 1GiB, host: null }}
"
    ));
    let probes = [("h1", first.url()), ("h2", second.url()), ("h3", silent)];
    let fetched = fetched(&cluster, &probes, Micros::secs(60));
    let faults: Vec<(&str, Option<&str>)> = fetched
        .hosts
        .iter()
        .map(|(host, reached)| (host.as_str(), reached.fault.as_deref()))
        .collect();
    assert_eq!(
        faults,
        [
            ("h1", None),
            ("h2", None),
            ("h3", Some("no answer within 5s"))
        ]
    );
    let h1 = &fetched.hosts["h1"];
    assert!(h1.clock_offset_ms.unwrap().abs() < 1000, "{h1:?}");
    assert!(h1.age_ms.unwrap() < 60_000, "{h1:?}");

    let names: Vec<&str> = fetched.load.guests.keys().map(GuestName::as_str).collect();
    assert_eq!(names, ["a", "both"]);
    assert_eq!(fetched.strangers, 1);
    assert_eq!(
        fetched
            .not_measured
            .iter()
            .map(GuestName::as_str)
            .collect::<Vec<_>>(),
        ["x"]
    );
    let moved: Vec<&str> = fetched.moved.keys().map(GuestName::as_str).collect();
    assert_eq!(moved, ["both"]);
    let cpu = |guest: &str| fetched.load.guests[guest].cpu.clone().unwrap();
    assert_eq!(cpu("a").mean, Some(MilliCores(500)));
    assert_eq!(cpu("both").p99, Some(MilliCores(500)));
    let windows = cpu("a").windows.unwrap();
    assert_eq!((windows.step, windows.values.len()), (Micros::secs(10), 6));
    assert!(windows.is_joint_with(&cpu("both").windows.unwrap()));
}

#[test]
fn a_probe_that_is_too_old_is_named_and_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let mut once = Some(steady(&["a"]));
    // Measures once and never again.
    let daemon = start(settings(folder.path()), move |sink| {
        if let Some(mut windows) = once.take() {
            windows(sink);
        }
    });
    let cluster = cluster(&format!(
        "{HOSTS}guests:\n- {{ name: a, vcpus: 1, memory: 1GiB, host: h1 }}\n"
    ));
    let probes = [("h1", daemon.url())];
    let reached = wait_for(|| {
        let fetched = fetched(&cluster, &probes, Micros::millis(300));
        let reached = fetched.hosts.into_values().next()?;
        reached.stale.then_some(reached)
    });
    assert!(reached.fault.unwrap().starts_with("its newest window is "));
    assert_eq!(reached.guests, 0);
}

#[test]
fn whoever_answers_otherwise_is_no_probe() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: Address = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let answers = [
        ("hello", "none of a probe's"),
        (
            "{\"api\":2,\"version\":\"9\",\"host\":\"h\",\"now_us\":1}",
            "version 2 of the interface",
        ),
        (
            "{\"api\":1,\"version\":\"9\",\"host\":\"h\",\"now_us\":1}",
            "none of a probe's",
        ),
        (
            "{\"api\":1,\"version\":\"9\",\"host\":\"h\",\"now_us\":1,\"ok\":false,\"faults\":[\"libvirt\"],\
             \"newest_us\":null,\"measured\":0,\"not_measured\":{}}",
            "measured nothing: libvirt",
        ),
    ];
    std::thread::spawn(move || {
        for (answer, _) in answers {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let length = answer.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}"
            );
        }
    });
    let cluster = cluster(HOSTS);
    for (answer, said) in answers {
        let fetched = fetched(&cluster, &[("h1", address.clone())], Micros::secs(60));
        let fault = fetched.hosts.into_values().next().unwrap().fault.unwrap();
        assert!(fault.contains(said), "{answer}: {fault}");
    }
}

#[test]
fn a_probe_is_where_its_hosts_libvirt_is() {
    let cluster = cluster(HOSTS);
    let url = |n: usize| derived(&cluster.hosts[n], n != 0);
    assert_eq!(url(0), "http://h1");
    assert_eq!(url(1), "https://h2.example");
    assert_eq!(url(2), "https://h3");
    assert_eq!(url(3), "https://[fd00::1]");
}

/// What was seen of a guest `g` in a step of ten seconds.
fn one_step(uuid: u128, newest: u64, demand: u64) -> GuestHistory {
    let mut demands = crate::sketch::Sketch::default();
    demands.add(MilliCores(demand), 1);
    GuestHistory {
        guest: "g".parse().unwrap(),
        uuid: uuid::Uuid::from_u128(uuid),
        vcpus: 1,
        tier: vmpack_domain::Tier::Ebpf,
        newest,
        span_us: 1_000_000,
        mean_mcores: demand,
        demands,
        run_us: 0,
        run_delay_us: 0,
        throttled_us: 0,
        resident_mib: None,
        dirty: None,
        series: crate::history::Series {
            step: 10,
            mcores: vec![Some(demand)],
        },
    }
}

#[test]
fn of_two_guests_that_had_a_name_the_clusters_or_the_newest_counts() {
    let guest = |uuid: u128, newest: u64, demand: u64| {
        ("h1".parse().unwrap(), one_step(uuid, newest, demand))
    };
    let span = Span {
        since: 1000,
        until: 1010,
        step: 10,
        statistic: Statistic::Max,
    };
    let demand = |uuid: &str| {
        let text =
            format!("{HOSTS}guests:\n- {{ name: g, vcpus: 1, memory: 1GiB, host: h1{uuid} }}\n");
        let seen = vec![guest(1, 1000, 11), guest(2, 1009, 22)];
        let fetched = gather(&cluster(&text), seen, span, 1011);
        fetched.load.guests["g"].cpu.clone().unwrap().max
    };
    assert_eq!(demand(""), Some(MilliCores(22)));
    let first = ", uuid: 00000000-0000-0000-0000-000000000001";
    assert_eq!(demand(first), Some(MilliCores(11)));
}

#[test]
fn an_answer_that_cannot_be_is_not_taken() {
    let span = Span::last(10_000, 60, 10, Statistic::P95);
    let guest = |value: u64, step: u64, dirty: u64| {
        let mut guest = one_step(1, 9_990, value);
        guest.series.step = step;
        guest.dirty = Some(crate::tick::Dirty {
            pages_per_second: dirty,
            tier: vmpack_domain::Tier::Ebpf,
            at: 1,
        });
        guest
    };
    assert_eq!(absurd(&guest(500, 10, 7), span), None);
    for (guest, why) in [
        (guest(500, 20, 7), "steps that it was not asked for"),
        (
            guest(u64::MAX, 10, 7),
            "a demand of more than a million cores",
        ),
        (
            guest(500, 10, u64::MAX),
            "a dirty rate of more than 4 PiB/s",
        ),
    ] {
        assert_eq!(absurd(&guest, span), Some(why));
    }
    let changed = |change: fn(&mut GuestHistory)| {
        let mut guest = guest(500, 10, 7);
        change(&mut guest);
        absurd(&guest, span)
    };
    let vcpus = Some("no vCPU, or more than 65536");
    assert_eq!(changed(|guest| guest.vcpus = 0), vcpus);
    assert_eq!(changed(|guest| guest.vcpus = 65_537), vcpus);
    let time = Some("more time than there was");
    assert_eq!(changed(|guest| guest.span_us = u64::MAX), time);
    assert_eq!(changed(|guest| guest.run_delay_us = u64::MAX), time);
    let memory = Some("more memory than 1 PiB");
    assert_eq!(changed(|guest| guest.resident_mib = Some(u64::MAX)), memory);
}
