//! `vmpack whatif`, `capacity` and `explain`, asked what they are not meant for.

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
            "however all load grows there is a place",
        ],
    );
    let json = desk.check(&format!("{line} --json"), 0, &[]).json();
    // 15.2 GiB each with 200 MiB a guest: 2 beside `a`, 3 beside `b`.
    let like = &json["shapes"][0];
    let size = &json["shapes"][1];
    assert_eq!(size["standing"]["found"], 5, "{size}");
    assert_eq!(size["standing"], size["moving"]);
    assert_eq!(like["standing"]["found"], 5, "`a` is of that size: {like}");
    // Each guest at most its 2 vCPUs, for which there is a place.
    assert_eq!(json["growth"]["found"], 10.0);
    assert_eq!(json["growth"]["all_vcpus"], true);
    assert!(json["trend"].is_null() && json["days"].is_null());
    let text = "guests that were measured may want all their vCPUs";
    desk.check(&format!("capacity {ASK} --growth 10%"), 0, &[text]);
    // Hosts of two cores: 1.8 of them for 0.5.
    let cluster = std::fs::read_to_string(desk.path("cluster.yaml")).unwrap();
    desk.write("small.yaml", cluster.replace("cpu: 8cores", "cpu: 2cores"));
    let small = ASK.replace("cluster.yaml", "small.yaml");
    let monthly = format!("capacity {small} --growth 10% --json");
    let grown = desk.check(&monthly, 0, &[]).json();
    let found = grown["growth"]["found"].as_f64().unwrap();
    assert!(
        found < 10.0 && grown["growth"]["all_vcpus"] == false,
        "{grown}"
    );
    let days = grown["days"].as_f64().unwrap();
    // ln F ÷ ln 1.1 months.
    assert!(
        (days - found.ln() / 1.1f64.ln() * 30.4375).abs() < 1.0,
        "{days}"
    );
    desk.check(
        &format!("capacity {small} --growth 10%"),
        0,
        &["all load may grow to", "that is"],
    );
    // The standing count alone: nothing else is asked.
    let standing = desk
        .check(&format!("{line} --standing --json"), 0, &[])
        .json();
    assert_eq!(standing["shapes"][1]["standing"], size["standing"]);
    assert!(standing["shapes"][1]["moving"].is_null() && standing["growth"].is_null());
    desk.check(
        &format!("{line} --standing --growth 10%"),
        2,
        &["--standing"],
    );
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
        &["neither a guest nor a host `nobody`"],
    );
}

const WHATIF: &str = "whatif --cluster cluster.yaml --load load.yaml --nodes 50";

#[test]
fn no_result_is_written_onto_what_is_read() {
    let desk = Desk::new();
    let head = "apiVersion: vmpack/v1\nkind: Scenario\nedits:\n";
    let scenario = format!("{head}  - drain: [h1]\n");
    desk.write("s.yaml", &scenario);
    desk.write(
        "new.yaml",
        "apiVersion: vmpack/v1\nkind: Cluster\nhosts: []\nguests: []\n",
    );
    for (edit, file) in [
        ("--scenario s.yaml", "--report s.yaml"),
        ("--scenario s.yaml --scale-load 1..2/0.5", "--curve s.yaml"),
        ("--add-guests new.yaml --drain h1", "--report new.yaml"),
        ("--add-rules policy.yaml --drain h1", "--report policy.yaml"),
    ] {
        let line = format!("{WHATIF} {edit} {file}");
        desk.check(&line, 2, &["is read or written already"]);
    }
    assert_eq!(
        std::fs::read_to_string(desk.path("s.yaml")).unwrap(),
        scenario
    );
}

#[test]
fn a_loss_of_more_hosts_than_there_are_is_no_survival() {
    let desk = Desk::new();
    let said = desk.check(&format!("{WHATIF} --losses 1"), 0, &["2 ways"]);
    assert!(said.out.contains("2 of 2 survived"), "{}", said.out);
    let one = format!("{WHATIF} --fail h2 --losses 2");
    desk.check(&one, 3, &["--losses 2", "1 host that could be lost"]);
    // All of one host's guests, and nowhere to go.
    let last = format!("{WHATIF} --fail h2 --losses 1");
    desk.check(
        &last,
        8,
        &["any one host, 1 way,", "there is no host for 2 guests"],
    );
}

#[test]
fn hosts_are_changed_and_load_is_counted_jointly_by_options() {
    let desk = Desk::new();
    let line = format!("{WHATIF} --change-hosts h1=16cores,64GiB --json");
    let json = desk.check(&line, 0, &[]).json();
    let hosts = json["what_if"]["hosts"].as_array().unwrap();
    let room = |name: &str| {
        let host = hosts.iter().find(|h| h["name"] == name).unwrap();
        host["cpu_room"].as_f64().unwrap()
    };
    assert!(room("h1") > 1.9 * room("h2"), "{hosts:?}");
    desk.check(
        &format!("{WHATIF} --change-hosts h9=1cores,1GiB"),
        3,
        &["there is no host h9"],
    );
    desk.write(
        "load.yaml",
        "apiVersion: vmpack/v1\nkind: Load\nguests:\n  a: { cpu: { windows: { start: 2026-01-05T00:00:00Z, step: 1h, values: [1, 0] } } }\n",
    );
    let shift = format!("{WHATIF} --shift-load 1h");
    desk.check(&shift, 3, &["joint: true"]);
    desk.check(&format!("{shift} --joint"), 0, &[]);
}

#[test]
fn what_is_provably_impossible_or_unknown_is_told_as_such() {
    let desk = Desk::new();
    desk.write_edited(
        "cluster.yaml",
        super::CLUSTER,
        "memory: 4GiB",
        "memory: 400GiB",
    );
    let why = "guest a fits none of the 2 hosts";
    desk.check(
        &format!("capacity {ASK}"),
        4,
        &["there is no place for all guests", why],
    );
    let said = desk.check(&format!("explain b {ASK} --nodes 50"), 4, &[why]);
    assert_eq!(said.out.matches(why).count(), 1, "once: {}", said.out);
    desk.write_edited(
        "cluster.yaml",
        super::CLUSTER,
        "state: on }\nguests",
        "state: out }\nguests",
    );
    desk.check(
        &format!("explain h2 {ASK} --nodes 50"),
        0,
        &["it stays out"],
    );
    desk.write("cluster.yaml", super::CLUSTER);
    desk.write(
        "load.yaml",
        "apiVersion: vmpack/v1\nkind: Load\nguests: {}\n",
    );
    let said = desk.check(
        &format!("capacity {ASK} --growth 5%"),
        0,
        &["no guest was measured"],
    );
    assert!(!said.out.contains("days"), "{}", said.out);
}
