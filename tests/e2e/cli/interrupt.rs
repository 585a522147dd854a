//! Ctrl-C: it ends a program that still reads its input, and a search gives what it has.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use super::{CLUSTER, Desk};

/// SIGTERM, which is heeded as Ctrl-C is: SIGINT is ignored by what a shell starts in the background,
/// these tests perhaps among it.
pub(super) fn interrupt(child: &Child) {
    let sent = Command::new("sh")
        .args(["-c", "kill -TERM \"$0\"", &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn an_interrupt_ends_a_program_that_reads_its_input() {
    let desk = Desk::new();
    let pipe = desk.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut child = desk
        .command("plan --cluster pipe --load load.yaml -o plan.yaml")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // This returns once the other end is open: the program waits for its input.
    let writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    interrupt(&child);
    let status = child.wait().unwrap();
    drop(writer);
    assert_eq!(status.signal(), Some(15), "{status}");
    assert!(!desk.path("plan.yaml").exists());
}

/// Guests of which about two fit a host, much memory with little CPU and the other way round, so
/// that the search goes on for long.
fn write_hard(desk: &Desk) {
    let (hosts, guests) = (200, 400);
    let (head, _) = CLUSTER.split_once("  - ").unwrap();
    let mut cluster = head.to_owned();
    let mut load = "apiVersion: vmpack/v1\nkind: Load\nguests:\n".to_owned();
    for h in 0..hosts {
        cluster += &format!(
            "  - {{ name: h{h}, cpu: 32cores, memory: 128GiB, network: 1000MiB/s, state: on }}\n"
        );
    }
    cluster += "guests:\n";
    let mut drawn: u64 = 1;
    let mut draw = |below: u64| {
        drawn = drawn
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (drawn >> 33) % below
    };
    for g in 0..guests {
        let memory = 12 + draw(34);
        let cpu = 13_000 - memory * 250 + draw(3_000);
        let host = g % hosts;
        cluster +=
            &format!("  - {{ name: g{g}, vcpus: 14, memory: {memory}GiB, host: h{host} }}\n");
        load += &format!(
            "  g{g}: {{ cpu: {{ p95: {}.{:03}cores }} }}\n",
            cpu / 1000,
            cpu % 1000
        );
    }
    desk.write("cluster.yaml", cluster);
    desk.write("load.yaml", load);
}

#[test]
fn an_interrupted_search_gives_the_best_so_far_with_its_bound() {
    let desk = Desk::new();
    write_hard(&desk);
    let files = "--cluster cluster.yaml --load load.yaml";
    let mut child = desk
        .command(&format!(
            "-v plan {files} --time-limit 10m --json -o plan.yaml"
        ))
        // Into a file: nobody would empty a pipe of it while the talk is read.
        .stdout(std::fs::File::create(desk.path("result.json")).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("INFO found") {
        assert_ne!(talk.read_line(&mut said).unwrap(), 0, "{said}");
    }
    interrupt(&child);
    talk.read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(said.contains("stopped; this is the best so far"), "{said}");
    let result = std::fs::read(desk.path("result.json")).unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&result).unwrap();
    let (after, bound) = (&plan["hosts_after"], &plan["hosts_bound"]);
    assert!(after.as_u64() >= bound.as_u64() && bound.as_u64() > Some(0));
    desk.check(&format!("check plan.yaml {files}"), 0, &[]);
}
