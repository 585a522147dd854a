//! `vmpack capacity` and `vmpack explain`.

use super::Desk;

const ASK: &str = "--cluster cluster.yaml --load load.yaml --policy policy.yaml";

#[test]
fn capacity_counts_what_fits_and_how_far_load_may_grow() {
    let desk = Desk::new();
    let line = format!("capacity {ASK} --shape 1,4GiB,1cores --like a");
    desk.check(
        &line,
        0,
        &[
            "1 vCPU, 4GiB, demand 1cores",
            "memory on 2",
            "all load may grow to",
        ],
    );
    let json = desk.check(&format!("{line} --json"), 0, &[]).json();
    // 15.2 GiB each with 200 MiB a guest: 2 beside `a`, 3 beside `b`.
    let like = &json["shapes"][0];
    let size = &json["shapes"][1];
    assert_eq!(size["standing"]["found"], 5, "{size}");
    assert_eq!(size["standing"], size["moving"]);
    assert_eq!(like["standing"]["found"], 5, "`a` is of that size: {like}");
    // Each guest at most its 2 vCPUs: load may grow as far as is tried.
    assert_eq!(json["growth"]["found"], 10.0);
    assert!(json["trend"].is_null() && json["days"].is_null());
    let monthly = format!("capacity {ASK} --growth 10% --json");
    let days = desk.check(&monthly, 0, &[]).json()["days"]
        .as_f64()
        .unwrap();
    // ln 10 ÷ ln 1.1 months.
    assert!((days - 735.3).abs() < 1.0, "{days}");
    desk.check(
        &format!("capacity {ASK} --like nobody"),
        3,
        &["there is no guest nobody"],
    );
    desk.check(
        &format!("capacity {ASK} --shape 4"),
        2,
        &["such as `4,16GiB,1.5cores`"],
    );
}

#[test]
fn explain_tells_what_a_plan_does_with_it_and_what_rules_cost() {
    let desk = Desk::new();
    desk.check(
        &format!("explain a {ASK} --nodes 50"),
        0,
        &[
            "a runs on h1",
            "room for it now with nobody moving, on 1 host: h2",
        ],
    );
    desk.write(
        "policy.yaml",
        "apiVersion: vmpack/v1\nkind: Policy\nrules: [{ kind: spread, name: apart, guests: [a, b] }]\n",
    );
    let line = format!("explain a {ASK} --nodes 50");
    desk.check(&line, 0, &["apart", "rule apart", "saved"]);
    let json = desk.check(&format!("{line} --json"), 0, &[]).json();
    let cost = &json["rules_cost"][0];
    assert_eq!(cost["rule"], "apart");
    assert_eq!((&cost["saved"], &cost["exact"]), (&1.into(), &true.into()));
    assert_eq!(json["targets"][0]["against"][0], "rule apart");
    let host = format!("explain h1 {ASK} --nodes 50");
    desk.check(&host, 0, &["it cannot be emptied", "apart"]);
}

#[test]
fn a_host_is_explained_by_its_guests_and_by_what_emptying_it_takes() {
    let desk = Desk::new();
    let line = format!("explain h1 {ASK} --nodes 50");
    desk.check(
        &line,
        0,
        &[
            "h1 carries 1 guest: a",
            "to empty it: 1 move in all, 1 host in use then",
        ],
    );
    let json = desk.check(&format!("{line} --json"), 0, &[]).json();
    assert_eq!(json["guests"][0], "a");
    assert_eq!(json["emptied"]["hosts_after"], 1);
    desk.check(
        &format!("explain nobody {ASK}"),
        3,
        &["neither a guest nor a host nobody"],
    );
}
