//! The regression cases in `models/cases`, and that a case which does not hold fails.

use serde_json::Value;

use super::Desk;
use crate::root;

#[test]
fn every_case_passes() {
    let desk = Desk::new();
    let cases = root().join("models/cases");
    let line = format!("regress {} --junit result.xml --json", cases.display());
    let said = desk.check(&line, 0, &[]);
    let json = said.json();
    let failed: Vec<&Value> = json["cases"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["ok"] != true)
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(json["cases"].as_array().unwrap().len() >= 30);
    let xml = std::fs::read_to_string(desk.path("result.xml")).unwrap();
    assert!(xml.contains("failures=\"0\""));
}

#[test]
fn a_case_that_does_not_hold_fails_and_says_why() {
    let desk = Desk::new();
    let case =
        std::fs::read_to_string(root().join("models/cases/basic/two-into-one.yaml")).unwrap();
    for (from, to, says) in [
        ("hosts: 1", "hosts: 2", "hosts is 1, expected 2"),
        ("bound: 1", "bound: 2", "bound is 1, expected 2"),
        ("status: optimal", "status: infeasible", "status is optimal"),
        (
            "move-memory: 4GiB",
            "move-memory: 8GiB",
            "move-memory is 4GiB, expected 8GiB",
        ),
        ("moves: 1", "modes: { b: pre-copy }", "b "),
        (
            "moves: 1",
            "reason-contains: [because]",
            "no reason contains `because`",
        ),
    ] {
        desk.write_edited("case.yaml", &case, from, to);
        desk.check("regress case.yaml --junit result.xml", 8, &["FAIL", says]);
        let xml = std::fs::read_to_string(desk.path("result.xml")).unwrap();
        assert!(xml.contains("<failure message="), "{xml}");
    }
    desk.write_edited("case.yaml", &case, "status: optimal", "status: fine");
    desk.check("regress case.yaml", 3, &["error: case.yaml:"]);
    desk.check("regress . --filter nothing", 3, &["no case file"]);
}

#[test]
fn two_results_are_compared_and_what_is_worse_fails() {
    let desk = Desk::new();
    let cases = root().join("models/cases/basic");
    let line = format!("regress {} --json", cases.display());
    let old = desk.check(&line, 0, &[]).out;
    desk.write("old.json", &old);
    let same = "regress --compare old.json old.json";
    desk.check(same, 0, &["compared, 0 changes, nothing is worse"]);
    // A weaker bound: what was proven is not any more.
    let mut new: serde_json::Value = serde_json::from_str(&old).unwrap();
    let mut cases = new["cases"].as_array_mut().unwrap().iter_mut();
    let case = cases.find(|c| c["bound"].as_f64() > Some(0.0)).unwrap();
    case["bound"] = 0.into();
    case["status"] = "feasible".into();
    desk.write("new.json", new.to_string());
    let said = desk.check(
        "regress --compare old.json new.json",
        8,
        &["WORSE", "3 worse"],
    );
    for what in ["status", "bound", "gap"] {
        assert!(said.out.contains(what), "{what}: {}", said.out);
    }
    // The other way round it is better.
    let better = "regress --compare new.json old.json --time-budget 3";
    let json = desk.check(&format!("{better} --json"), 0, &[]).json();
    assert_eq!(json["changes"].as_array().unwrap().len(), 3);
    desk.write("bad.json", "{\"cases\":\n 7}");
    desk.check(
        "regress --compare old.json bad.json",
        3,
        &["bad.json:2: expected"],
    );
    desk.check("regress --compare old.json", 2, &["2 values"]);
}
