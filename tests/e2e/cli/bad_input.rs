//! What is malformed, contradictory or too large is refused with its place, and leaves no file.

use super::{CLUSTER, Desk, POLICY};

/// Each as (what is written as the cluster, what the error says).
const BAD_CLUSTERS: [(&str, &str, &str); 12] = [
    (
        "cpu: 8cores",
        "cpu: 8",
        "bad.yaml:4:22: read `8`, expected cores such as `2.5cores`",
    ),
    ("cpu: 8cores", "cpu: .nan", "bad.yaml:4:"),
    (
        "cpu: 8cores",
        "cpu: -8cores",
        "bad.yaml:4:22: read `-8cores`",
    ),
    ("cpu: 8cores", "cpus: 8cores", "bad.yaml:4:"),
    ("memory: 16GiB", "memory: 16GB", "`16GB`"),
    ("state: on", "state: maybe", "bad.yaml:4:"),
    ("name: h2", "name: h1", "host `h1` a second time"),
    ("name: b", "name: a", "guest `a` a second time"),
    ("host: h2", "host: h9", "host `h9` for guest `b`"),
    (
        "vmpack/v1",
        "vmpack/v9",
        "bad.yaml:1:13: read apiVersion `vmpack/v9`",
    ),
    (
        "kind: Cluster",
        "kind: Load",
        "read kind `Load`, expected `Cluster`",
    ),
    ("hosts:", "hosts: [", "bad.yaml:"),
];

#[test]
fn malformed_input_is_named_with_its_place_and_leaves_no_file() {
    let desk = Desk::new();
    let line = "plan --cluster bad.yaml --load load.yaml -o plan.yaml";
    for (from, to, says) in BAD_CLUSTERS {
        desk.write_edited("bad.yaml", CLUSTER, from, to);
        let said = desk.check(line, 3, &[says]);
        let first = said.err.lines().next().unwrap_or_default();
        assert!(first.starts_with("error: bad.yaml"), "{to}: {}", said.err);
        assert_eq!(said.out, "", "{to}");
    }
    let bomb: String = (1..30).fold("l0: &l0 [x, x]\n".to_owned(), |text, n| {
        let before = n - 1;
        text + &format!("l{n}: &l{n} [*l{before}, *l{before}, *l{before}]\n")
    });
    desk.write("bad.yaml", format!("{CLUSTER}{bomb}"));
    desk.check(line, 3, &["error: bad.yaml"]);
    for (content, says) in [
        (&b""[..], "error: bad.yaml"),
        (
            &b"apiVersion: vmpack/v1\nkind: Cl\xffuster\n"[..],
            "error: bad.yaml:2:9: read byte 0xff at offset 30",
        ),
        (&b"\x00\x01\x02"[..], "error: bad.yaml"),
        (&b"just text"[..], "error: bad.yaml"),
        (&b"[1, 2, 3]"[..], "error: bad.yaml"),
    ] {
        desk.write("bad.yaml", content);
        desk.check(line, 3, &[says]);
    }
    let mut left: Vec<_> = std::fs::read_dir(desk.folder.path()).unwrap().collect();
    left.retain(|e| e.as_ref().is_ok_and(|e| e.file_name() != "bad.yaml"));
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn garbage_of_100_mb_and_folders_without_files_are_refused() {
    let desk = Desk::new();
    let line = "plan --cluster bad.yaml --load load.yaml";
    let file = std::fs::File::create(desk.path("bad.yaml")).unwrap();
    file.set_len(100 << 20).unwrap();
    desk.check(
        line,
        3,
        &["error: bad.yaml is larger than 64 MiB", "\nhint: "],
    );
    // As much text as is read: brackets open without end.
    desk.write("bad.yaml", "[".repeat(1 << 20));
    desk.check(line, 3, &["error: bad.yaml"]);
    std::fs::create_dir(desk.path("empty")).unwrap();
    desk.check(
        "plan --cluster empty --load load.yaml",
        3,
        &["empty holds no file *.yaml"],
    );
    desk.check("plan --cluster - --load -", 2, &["given twice"]);
}

#[test]
fn contradictions_between_files_are_bad_input() {
    let desk = Desk::new();
    let line = "plan --cluster cluster.yaml --load load.yaml --policy policy.yaml";
    let rule = |rule: &str| format!("{POLICY}rules:\n  - {{ {rule} }}\n");
    desk.write(
        "policy.yaml",
        rule("kind: spread, name: ha, guests: ['web-*']"),
    );
    desk.check(line, 3, &["error: policy.yaml:5:", "`web-*` in rule `ha`"]);
    desk.write(
        "policy.yaml",
        format!("{POLICY}migrations: {{ at-once: 0 }}\n"),
    );
    let none = "policy.yaml:4:24: read `0`, expected a whole number of at least 1";
    desk.check(line, 3, &[none]);
    desk.write(
        "policy.yaml",
        rule("kind: spread, guests: [a], hosts: [h1]"),
    );
    desk.check(
        line,
        3,
        &["error: policy.yaml:", "`hosts` in a spread rule"],
    );
    desk.write(
        "policy.yaml",
        rule("kind: pin, name: x, guests: [a]") + "  - { kind: pin, name: x, guests: [b] }\n",
    );
    desk.check(line, 3, &["rule `x` a second time"]);
    desk.write(
        "policy.yaml",
        rule("kind: spread, name: apart, guests: [a, b]")
            + "  - { kind: gather, name: near, guests: [a, b] }\n",
    );
    desk.check(line, 4, &["apart", "near"]);
}
