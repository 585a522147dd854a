//! `vmpack replay` and `vmpack import planetlab` on made traces, and on PlanetLab's where they are.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use super::Desk;

/// Traces of 288 values that wander, in a folder `day`.
fn traced(guests: u32) -> Desk {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("day")).unwrap();
    let mut state = 1u32;
    for guest in 0..guests {
        let mut text = String::new();
        let mut level = guest * 7 % 40;
        for _ in 0..288 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            level = (level + (state >> 24) % 9).saturating_sub(4).clamp(1, 90);
            writeln!(text, "{level}").unwrap();
        }
        desk.write(&format!("day/t{guest:02}"), text);
    }
    desk
}

/// The lines of `--json` without what differs from run to run.
fn lines(out: &str) -> Vec<Value> {
    let parse = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let line = value.as_object_mut().unwrap();
        for field in ["seconds", "times_real"] {
            let n = line.remove(field).and_then(|v| v.as_f64()).unwrap();
            assert!(n > 0.0, "{field}");
        }
        value
    };
    out.lines().map(parse).collect()
}

const REPLAY: &str = "replay --hosts 20 --trace planetlab";

#[test]
fn the_report_of_a_replay_holds_all_in_itself() {
    let desk = traced(12);
    let line = format!("{REPLAY} day --policies dvfs,thr-mmt,vmpack --report out/page.html");
    desk.check(&line, 0, &["thr-mmt"]);
    let page = std::fs::read_to_string(desk.path("out/page.html")).unwrap();
    assert_eq!(page.matches("<tr><td>").count(), 3, "a row of each policy");
    // What takes several times the energy is named below the picture.
    assert_eq!(page.matches("<circle").count(), 2, "a point of each policy");
    assert!(page.contains("not drawn: dvfs"));
    for part in [
        "20 hosts, 12 guests, 24 hours",
        "SLATAH",
        "<section id=\"load\"",
        ">wanted</text>",
        "prefers-color-scheme:dark",
        "@media print",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for outside in ["<script", "src=", "@import", "url(", "https://"] {
        assert!(!page.contains(outside), "{outside}");
    }
    desk.check(
        &format!("{REPLAY} day --policies dvfs --report day"),
        9,
        &["day"],
    );
}

#[test]
fn a_replay_prints_a_line_for_each_policy_the_same_each_time() {
    let desk = traced(24);
    let line = format!("{REPLAY} day --policies lr-mmt,vmpack --json --events events.jsonl");
    let first = lines(&desk.check(&line, 0, &[]).out);
    let names: Vec<&str> = first.iter().filter_map(|l| l["policy"].as_str()).collect();
    assert_eq!(names, ["lr-mmt", "vmpack"]);
    for field in ["kwh", "slav", "slatah", "pdm", "migrations", "host_hours"] {
        assert!(first.iter().all(|l| l[field].is_number()), "{field}");
    }
    let migrations: u64 = first.iter().filter_map(|l| l["migrations"].as_u64()).sum();
    let events = std::fs::read_to_string(desk.path("events.jsonl")).unwrap();
    let events: Vec<Value> = events
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let began = events.iter().filter(|e| e["event"] == "began").count();
    assert_eq!(began as u64, migrations);
    assert_eq!(first, lines(&desk.check(&line, 0, &[]).out));
    // From an archive, in the order beside it, which is said.
    let tar = std::process::Command::new("tar")
        .args(["--create", "--gzip", "--file", "day.tar.gz", "day"])
        .current_dir(desk.path("."))
        .status();
    assert!(tar.unwrap().success());
    let order: String = (0..24)
        .rev()
        .fold(String::new(), |s, g| s + &format!("t{g:02}\n"));
    desk.write("day.order", order);
    let packed = desk.check(
        &format!("{REPLAY} day.tar.gz --policies lr-mmt,vmpack --json"),
        0,
        &["in the order of day.order"],
    );
    assert_ne!(first, lines(&packed.out), "another order, other guests");
    let folder = desk.check(
        &format!("{REPLAY} day --policies lr-mmt,vmpack --json"),
        0,
        &[],
    );
    assert_eq!(lines(&folder.out), lines(&packed.out));
}

#[test]
fn a_curve_is_drawn_with_every_setting() {
    let desk = traced(12);
    let line = format!("{REPLAY} day --policies dvfs,thr-mmt,vmpack --curve out/curve.svg");
    std::fs::create_dir(desk.path("out")).unwrap();
    desk.check(&line, 0, &["thr-mmt-0.9", "vmpack-0.05", "SLATAH %"]);
    let svg = std::fs::read_to_string(desk.path("out/curve.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert_eq!(svg.matches("<circle").count(), 10, "dvfs is named below");
    assert!(svg.contains("not drawn: dvfs"), "{svg}");
}

#[test]
fn what_is_wrong_with_a_trace_or_policy_is_named() {
    let desk = traced(4);
    desk.check(
        &format!("{REPLAY} day --policies lr-mmt,best"),
        2,
        &["`best`", "lr-mmt-1.2"],
    );
    desk.check(
        "replay --trace bitbrains day",
        2,
        &["`bitbrains`", "`planetlab`"],
    );
    desk.check(
        &format!("{REPLAY} nowhere"),
        3,
        &["cannot read nowhere: no such file"],
    );
    desk.write("not.tar.gz", "no archive");
    desk.check(
        &format!("{REPLAY} not.tar.gz"),
        3,
        &["cannot read not.tar.gz", ".tar.gz of one"],
    );
    desk.write("order", "t00\nt99\n");
    desk.check(
        &format!("{REPLAY} day --order order"),
        3,
        &["order:2:1: read `t99`"],
    );
    desk.write("day/t02", "10\n20\nx\n");
    desk.check(
        &format!("{REPLAY} day"),
        3,
        &["day/t02:3:1: read `x`, expected a whole percent"],
    );
    std::fs::create_dir(desk.path("empty")).unwrap();
    desk.check(&format!("{REPLAY} empty"), 3, &["empty holds no trace"]);
    desk.check(
        &format!("{REPLAY} day --events no/such/folder"),
        3,
        &["day/t02"],
    );
}

#[test]
fn a_replay_that_is_stopped_is_no_whole_answer() {
    let desk = traced(24);
    let policies = ["lr-mmt"; 5000].join(",");
    let mut child = desk
        .command(&format!("{REPLAY} day --json --policies {policies}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    assert_ne!(out.read_line(&mut first).unwrap(), 0);
    super::interrupt::interrupt(&child);
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(5), "{said}");
    assert!(said.contains("stopped after"), "{said}");
    // What is there is whole lines.
    let told = lines(&(first + &rest));
    assert!(!told.is_empty() && told.len() < 5000);
}

#[test]
fn no_result_is_written_onto_a_trace_or_among_them() {
    let desk = traced(4);
    let trace = std::fs::read(desk.path("day/t00")).unwrap();
    desk.write("day.order", "t03\nt02\nt01\nt00\n");
    for file in [
        "--events day/t00",
        "--events day/events.jsonl",
        "--report day/t00",
        "--curve day.order",
        "--events x --report x",
    ] {
        let line = format!("{REPLAY} day {file}");
        desk.check(&line, 2, &["expected another file"]);
    }
    assert_eq!(std::fs::read(desk.path("day/t00")).unwrap(), trace);
    desk.check(
        "replay --scenario surge --hosts 5 --guests 10 --events e",
        2,
        &["--events"],
    );
}

#[test]
fn who_has_no_host_gets_nothing_and_that_is_counted() {
    let desk = traced(4);
    let all = "--hosts 4 --kill h000@3600s --kill h001@3600s --kill h002@3600s --kill h003@3600s";
    let line = format!("replay --trace planetlab day --policies none,vmpack --json {all}");
    for line in lines(&desk.check(&line, 0, &[]).out) {
        // An hour of 24, and nothing after it.
        let unserved = line["unserved"].as_f64().unwrap();
        assert!((0.8..1.0).contains(&unserved), "{line}");
        let hours = line["host_hours"].as_f64().unwrap();
        assert!(hours <= 4.001, "{line}");
    }
}

#[test]
fn imported_traces_are_valid_and_can_be_planned() {
    let desk = traced(8);
    let line = "import planetlab day --hosts 6 -o got --json";
    let told = desk.check(line, 0, &[]).json();
    assert_eq!(
        (&told["hosts"], &told["guests"], &told["waiting"]),
        (&6.into(), &8.into(), &8.into())
    );
    desk.check("validate got", 0, &[]);
    let plan = "plan --cluster got/cluster.yaml --load got/load.yaml --policy got/policy.yaml";
    desk.check(&format!("{plan} --nodes 50 -o got/plan.yaml"), 0, &[]);
    desk.check(
        "import planetlab day --day monday -o got",
        3,
        &["`monday`", "2011-03-03T00:00:00Z"],
    );
}

#[test]
fn planetlabs_first_day_is_as_cloudsim_has_it() {
    let data = std::env::var_os("VMPACK_DATA").map(PathBuf::from);
    let day = data.map(|d| d.join("planetlab/20110303.tar.gz"));
    let Some(day) = day.filter(|d| d.is_file()) else {
        // Past the capture of the test harness, so that it is seen and counted.
        let _ = writeln!(std::io::stderr(), "skipped: no data (planetlab)");
        return;
    };
    let desk = Desk::new();
    let line = "replay --policies none,dvfs,thr-mmt,iqr-mmt,mad-mmt,lr-mmt,lr-mc,vmpack --json --trace planetlab";
    let mut command = desk.command(line);
    let said = super::Said::of(&command.arg(day).output().unwrap());
    assert_eq!(said.code, 0, "{}", said.err);
    let lines = lines(&said.out);
    let expected = [
        (2410.80, 0.0),
        (764.96, 0.0),
        (198.08, 27_728.0),
        (193.63, 27_592.0),
        (189.79, 27_781.0),
        (167.83, 27_649.0),
        (153.87, 23_351.0),
    ];
    for (line, (kwh, migrations)) in lines.iter().zip(expected) {
        let near = |field: &str, expected: f64| {
            let found = line[field].as_f64().unwrap();
            assert!((found - expected).abs() <= 0.05 * expected, "{line}");
        };
        near("kwh", kwh);
        near("migrations", migrations);
    }
    let of = |i: usize, field: &str| lines[i][field].as_f64().unwrap();
    for field in ["slatah", "slav", "unserved"] {
        assert!(of(7, field) <= of(5, field), "{field}");
    }
    assert!(of(7, "kwh") <= 0.8 * of(5, "kwh"));
    assert!(of(7, "migrations") <= 0.1 * of(5, "migrations"));
}

const OWN: &str = "replay --cluster own/cluster.yaml --load own/load.yaml --policy own/policy.yaml";

#[test]
fn an_operators_own_cluster_is_replayed_by_plans_and_heuristics() {
    let desk = Desk::new();
    let example = "example cluster --hosts 10 --guests 60 --windows 48 --seed 3 --output own";
    desk.check(example, 0, &[]);
    let line = format!("{OWN} --policies none,lr-mmt,plan --json --events own.jsonl");
    let first = lines(&desk.check(&line, 0, &[]).out);
    let kwh = |n: usize| first[n]["kwh"].as_f64().unwrap();
    assert!(kwh(2) < kwh(0), "{first:?}");
    assert!(first[2]["migrations"].as_u64().unwrap() > 0);
    assert_eq!(first[2]["waiting"], 0);
    assert_eq!(first, lines(&desk.check(&line, 0, &[]).out));
    let events = std::fs::read_to_string(desk.path("own.jsonl")).unwrap();
    assert!(events.contains("\"policy\":\"plan\"") && events.contains("\"began\""));
    // What is usual, as a table and as a page.
    let page = format!("{OWN} --report own.html --watts 50,150");
    desk.check(&page, 0, &["none", "lr-mmt", "plan"]);
    let page = std::fs::read_to_string(desk.path("own.html")).unwrap();
    assert!(page.contains("10 hosts, 60 guests") && page.contains("50 W idle"));
    for (wrong, code, says) in [
        ("--hosts 3", 2, "--hosts"),
        ("--watts 300", 2, "such as `100,300`"),
        ("--kill nobody@1h", 2, "read the host `nobody`"),
        ("--kill h001", 2, "such as `h001@3600s`"),
        ("--policies plan-x", 2, "plan-1h"),
        ("--report own/load.yaml", 2, "expected another file"),
    ] {
        desk.check(&format!("{OWN} {wrong}"), code, &[says]);
    }
    let load = std::fs::read_to_string(desk.path("load.yaml")).unwrap();
    desk.write("plain.yaml", load);
    desk.check(
        "replay --cluster cluster.yaml --load plain.yaml",
        3,
        &["no guest's load has windows over time"],
    );
    desk.check(
        "replay --trace planetlab own --policies plan",
        2,
        &["expected `--cluster`"],
    );
}
