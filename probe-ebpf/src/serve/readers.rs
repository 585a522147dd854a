//! The daemon beside readers of its history: slow ones, and one that meets damage.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;

use super::tests::{get, settings, start, wait_for};
use super::*;
use crate::history::History;
use crate::history::tests::rows;
use crate::tick::Tick;
use crate::tick::samples::guest_tick;

const START: u64 = 1_790_000_000;

#[test]
fn an_answer_that_is_not_taken_makes_room_for_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        taking: Duration::from_secs(1),
        unread_kib: 60_000,
        ..settings(folder.path())
    };
    let names: Vec<String> = (0..1000).map(|n| format!("guest-{n}")).collect();
    let guests: Vec<(&str, [u64; 2])> = names.iter().map(|n| (n.as_str(), [1, 2])).collect();
    let mut history = History::open(&settings.history, settings.bounds).unwrap();
    history
        .append(&rows(START, &guests), Duration::ZERO)
        .unwrap();
    drop(history);
    let daemon = start(settings, |_| {});
    // More than the kernel holds of it on the way.
    let path = format!("/v1/load?since={START}&until={}&step=10s", START + 20_000);
    let mut slow = TcpStream::connect(daemon.address).unwrap();
    nix::sys::socket::setsockopt(&slow, nix::sys::socket::sockopt::RcvBuf, &4096).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    slow.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 12];
    slow.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    // What it takes to read as much again is not there until the first is gone.
    let answer = get(daemon.address, &path);
    assert!(answer.starts_with("HTTP/1.1 200"), "{}", &answer[..200]);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = format!("content-length: {}", body.len());
    assert!(head.contains(&length), "{head}");
    // Only who asks for this is connected.
    let metrics = get(daemon.address, "/metrics");
    assert!(
        metrics.contains("\nvmpack_probe_http_connections 1"),
        "{metrics}"
    );
}

#[test]
fn an_answer_that_would_take_too_much_is_refused_with_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        unread_kib: 10,
        ..settings(folder.path())
    };
    let mut history = History::open(&settings.history, settings.bounds).unwrap();
    history
        .append(&rows(START, &[("a", [1, 2])]), Duration::ZERO)
        .unwrap();
    drop(history);
    let daemon = start(settings, |_| {});
    let path = format!("/v1/load?since={START}&until={}&step=", START + 20_000);
    let refused = get(daemon.address, &format!("{path}10s"));
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    assert!(refused.contains("1 guests in 2000 steps"), "{refused}");
    let answer = get(daemon.address, &format!("{path}200s"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Of guests that were there before it, nothing is read.
    let later = path.replace(&START.to_string(), &(START + 9000).to_string());
    let answer = get(daemon.address, &format!("{later}10s"));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn damage_that_only_a_reader_meets_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let mut history = History::open(&settings.history, settings.bounds).unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("guest-{n}")).collect();
    let guests: Vec<(&str, [u64; 2])> = names.iter().map(|n| (n.as_str(), [1, 2])).collect();
    for step in 0..200 {
        history
            .append(&rows(START + step * 10, &guests), Duration::ZERO)
            .unwrap();
    }
    drop(history);
    let file = settings.history.clone();
    let mut end = (START + 2000) * 1_000_000;
    let still = Arc::new(AtomicBool::new(false));
    let stands = still.clone();
    let daemon = start(settings, move |sink| {
        if stands.load(Ordering::Relaxed) {
            return;
        }
        // Ten seconds each time.
        for _ in 0..100 {
            end += 100_000;
            sink.tick(Tick {
                end_us: end,
                host_mcores: 2000,
                guests: vec![guest_tick("a", &[500])],
            });
        }
    });
    let rows = || {
        let metrics = get(daemon.address, "/metrics");
        let name = "\nvmpack_probe_history_rows_total ";
        let rest = metrics.split_once(name)?.1;
        rest.lines().next()?.parse::<f64>().ok()
    };
    wait_for(|| rows().filter(|written| *written > 0.0));
    // The writer reads the first rows and adds to the last: neither is in the middle.
    let pages = std::fs::metadata(&file).unwrap().len() / 4096;
    let disk = std::fs::File::options().write(true).open(&file).unwrap();
    disk.write_all_at(&[0xff; 4 * 4096], pages / 2 * 4096)
        .unwrap();
    let written = rows().unwrap();
    wait_for(|| rows().filter(|now| *now > written + 3.0));
    let aside = || {
        let names = std::fs::read_dir(folder.path()).unwrap();
        let names = names.filter_map(|e| e.unwrap().file_name().into_string().ok());
        names.filter(|name| name.contains("damaged")).count()
    };
    assert_eq!(aside(), 0);

    // Though there is nothing more to write.
    still.store(true, Ordering::Relaxed);
    let path = format!("/v1/load?since={START}&until={}", START + 20_000);
    let answer = get(daemon.address, &path);
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(answer.contains("malformed"), "{answer}");
    wait_for(|| (aside() == 1).then_some(()));
    let ok = |answer: &String| answer.starts_with("HTTP/1.1 200");
    let answer = wait_for(|| Some(get(daemon.address, &path)).filter(ok));
    assert!(!answer.contains("guest-1"), "{answer}");
    still.store(false, Ordering::Relaxed);
    wait_for(|| Some(get(daemon.address, &path)).filter(|answer| answer.contains("\"a\"")));
}
