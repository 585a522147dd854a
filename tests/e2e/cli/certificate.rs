//! Certificates of bounds, proven again by `vmpack check`.

use super::{Desk, PLAN};
use crate::root;

/// A certificate by which 6 GiB of guests need one host, with what is said of each host.
fn certificate(base: &str, hosts: u32, most: u64) -> String {
    format!(
        "apiVersion: vmpack/v1
kind: Certificate
base: {base}
bound: {{ cost: {hosts}, hosts: {hosts} }}
origin: volume of memory
parts:
  - weights: [{{ weight: 4, guests: [a] }}, {{ weight: 2, guests: [b] }}]
    most: [{{ most: {most}, hosts: [h1, h2] }}]
"
    )
}

#[test]
fn a_certificate_is_proven_again_or_refused_with_the_reason() {
    let desk = Desk::new();
    desk.check(&format!("{PLAN} -o plan.yaml"), 0, &[]);
    let files = "--cluster cluster.yaml --load load.yaml --certificate bound.yaml";
    let both = format!("check plan.yaml {files}");
    // The refusal says the digest of the inputs that are here.
    desk.write("bound.yaml", certificate("sha256:0", 1, 6));
    let said = desk.check(&format!("check {files}"), 8, &["base: ", "other inputs"]);
    let here = said.out.split("here ").nth(1).unwrap();
    let base = here.split(')').next().unwrap();

    desk.write("bound.yaml", certificate(base, 1, 6));
    desk.check(
        &format!("check {files}"),
        0,
        &["ok: re-proven: 1 host at least, at a cost of 1 (volume of memory)"],
    );
    desk.check(
        &both,
        0,
        &["ok: 1 move to 1 host", "re-proven: 1 of the plan's 1"],
    );
    let json = desk.check(&format!("{both} --json"), 0, &[]).json();
    assert_eq!(json["proven"]["hosts"], 1);
    desk.check(
        "validate bound.yaml",
        0,
        &["certificate of 1 host at least"],
    );

    for (hosts, most, says) in [
        (2, 6, "bound: a cost of at least 2 is claimed, 1 is proven"),
        (
            1,
            5,
            "most: host h1 and 1 like it can hold a, b, of weight 6, where 5 is stated",
        ),
    ] {
        desk.write("bound.yaml", certificate(base, hosts, most));
        desk.check(&both, 8, &[says]);
    }
    // It claims less than the plan does.
    let little = certificate(base, 0, 6).replace("weight: 4", "weight: 0");
    desk.write("bound.yaml", little.replace("weight: 2", "weight: 0"));
    desk.check(&format!("check {files}"), 0, &["0 hosts at least"]);
    desk.check(&both, 8, &["bound: re-proven: 0 of the plan's 1"]);

    desk.write(
        "bound.yaml",
        certificate(base, 1, 6).replace("weight: 4", "weight: -4"),
    );
    desk.check(&format!("check {files}"), 3, &["bound.yaml:7:"]);
    desk.check(
        "check --cluster cluster.yaml --load load.yaml",
        2,
        &["<PLAN>"],
    );
}

#[test]
fn the_example_certificate_proves_the_bound_of_the_example() {
    let desk = Desk::new();
    let example = |name: &str| root().join("examples").join(name).display().to_string();
    let line = format!(
        "check --cluster {} --load {} --policy {} --certificate {}",
        example("cluster.yaml"),
        example("load.yaml"),
        example("policy.yaml"),
        example("certificate.yaml")
    );
    desk.check(&line, 0, &["re-proven: 2 hosts at least, at a cost of 2"]);
    desk.check(
        &format!("{line} --steps 0"),
        8,
        &["not proven within the steps"],
    );
}

#[test]
fn a_plan_proves_its_bound_to_the_judge() {
    let desk = Desk::new();
    desk.check(
        &format!("{PLAN} -o plan.yaml --certificate bound.yaml"),
        0,
        &[],
    );
    desk.check(
        "check plan.yaml --cluster cluster.yaml --load load.yaml --certificate bound.yaml",
        0,
        &["ok: 1 move to 1 host", "re-proven: 1 of the plan's 1"],
    );
}

#[test]
fn guests_at_rest_are_proven_to_stay() {
    let desk = Desk::new();
    desk.write_edited(
        "cluster.yaml",
        super::CLUSTER,
        "host: h2 }",
        "host: h2, moved-ago: 1m }",
    );
    desk.write_edited("load.yaml", super::LOAD, "1cores", "2cores");
    desk.write_edited(
        "policy.yaml",
        super::POLICY,
        "headroom",
        "rules: [{ name: here, kind: pin, guests: [a] }]\nlimits: { cooldown: 1h }\nheadroom",
    );
    let policy = "--policy policy.yaml -o plan.yaml --certificate bound.yaml";
    desk.check(
        &format!("{PLAN} {policy}"),
        0,
        &["2 → 2 hosts, proven the fewest"],
    );
    let files = "--cluster cluster.yaml --load load.yaml --certificate bound.yaml";
    desk.check(
        &format!("check plan.yaml {files}"),
        0,
        &["re-proven: 2 of the plan's 2"],
    );
}

/// Two hosts stay in use because nothing may move, which no weights say.
#[test]
fn what_follows_from_a_limit_on_moves_is_proven() {
    let desk = Desk::new();
    desk.write_edited(
        "policy.yaml",
        super::POLICY,
        "headroom",
        "limits: { moves: 0 }\nheadroom",
    );
    let policy = "--policy policy.yaml -o plan.yaml --certificate bound.yaml";
    desk.check(&format!("{PLAN} {policy}"), 0, &["2 → 2 hosts, proven"]);
    desk.check(
        "check plan.yaml --cluster cluster.yaml --load load.yaml --certificate bound.yaml",
        0,
        &["re-proven: 2 of the plan's 2 (rule limits.moves"],
    );
}

#[test]
fn what_has_no_certificate_is_told_apart_from_what_is_refused() {
    let desk = Desk::new();
    desk.check(
        &format!("{PLAN} -o plan.yaml --certificate bound.yaml"),
        0,
        &[],
    );
    let read = |name| std::fs::read_to_string(desk.path(name)).unwrap();
    let (plan, bound) = (read("plan.yaml"), read("bound.yaml"));
    let after = |text: &str, key: &str| {
        let line = text.lines().find_map(|l| l.trim().strip_prefix(key));
        line.unwrap_or_else(|| panic!("no {key} in {text}"))
            .to_owned()
    };
    let (base, origin) = (after(&bound, "base: "), after(&plan, "origin: "));
    let nothing = certificate(&base, 0, 6)
        .replace("weight: 4", "weight: 0")
        .replace("weight: 2", "weight: 0");
    let line = "check plan.yaml --cluster cluster.yaml --load load.yaml --certificate bound.yaml";
    for (cost, origin, code, says) in [
        (1, origin.as_str(), 5, "not certified: "),
        // Less than the plan claims, and by another way.
        (0, origin.as_str(), 8, "bound: re-proven: 0 of the plan's 1"),
        (1, "another way", 8, "bound: re-proven: 0 of the plan's 1"),
    ] {
        let beyond =
            format!("uncertified: {{ bound: {{ cost: {cost}, hosts: 1 }}, origin: {origin} }}\n");
        desk.write("bound.yaml", nothing.clone() + &beyond);
        desk.check(line, code, &[says]);
    }
}
