use super::*;
use vmpack_domain::GuestName;
use vmpack_domain::file::{Source, read_inputs, write_cluster, write_load, write_policy};

const INSTANCE: &str = r#"{"model": {
    "mapping": {
        "readyVMs": [4, 5],
        "onlineNodes": {
            "0": {"sleepingVMs": [6], "runningVMs": [0, 1]},
            "1": {"sleepingVMs": [], "runningVMs": [2, 3]},
            "2": {"sleepingVMs": [], "runningVMs": []}
        },
        "offlineNodes": [3, 4]
    },
    "attributes": {"nodes": {}, "vms": {}},
    "views": [
        {"id": "shareableResource", "rcId": "uCpu", "defCapacity": 400, "defConsumption": 50,
         "nodes": {"0": 800}, "vms": {"1": 150}},
        {"id": "shareableResource", "rcId": "memory", "defCapacity": 1600, "defConsumption": 200,
         "nodes": {}, "vms": {"2": 300}},
        {"id": "shareableResource", "rcId": "disk", "defCapacity": 1, "defConsumption": 1, "nodes": {}, "vms": {}},
        {"id": "ns", "type": "node", "map": {"@N7": 0}},
        {"id": "ns", "type": "vm", "map": {"web": 0, "a*": 1}},
        {"id": "net", "switches": []}
    ]},
    "constraints": [
        {"id": "spread", "continuous": true, "vms": [0, 2]},
        {"id": "spread", "continuous": true, "vms": [6]},
        {"id": "gather", "continuous": false, "vms": [1, 3]},
        {"id": "among", "continuous": false, "vms": [0, 1], "parts": [[0, 1], [2]]},
        {"id": "among", "continuous": false, "vms": [0, 1], "parts": [[0, 1], [1, 2]]},
        {"id": "fence", "vm": 2, "nodes": [0, 1]},
        {"id": "ban", "vm": 3, "nodes": [2]},
        {"id": "root", "vm": 0},
        {"id": "preserve", "vm": 0, "rc": "uCpu", "amount": 120},
        {"id": "running", "vm": 4},
        {"id": "online", "node": 0},
        {"id": "offline", "node": 2},
        {"id": "offline", "node": 3},
        {"id": "maxOnline", "amount": 2, "nodes": [0, 1]}
    ], "objective": {"id": "minimizeMTTR"}}"#;

#[test]
fn an_instance_becomes_hosts_guests_and_rules() {
    let read = read(INSTANCE, false).unwrap();
    let hosts: Vec<(&str, u64, HostState)> = read
        .cluster
        .hosts
        .iter()
        .map(|h| (h.name.as_str(), h.cpu.0, h.state))
        .collect();
    assert_eq!(
        hosts,
        [
            ("N7", 8000, HostState::On),
            ("node-1", 4000, HostState::On),
            ("node-2", 4000, HostState::Drain),
            ("node-3", 4000, HostState::Out),
            ("node-4", 4000, HostState::Asleep),
        ]
    );
    let guests: Vec<(&str, u32, u64, u64)> = read
        .cluster
        .guests
        .iter()
        .map(|g| (g.name.as_str(), g.vcpus, g.memory.0, g.reserved.0))
        .collect();
    assert_eq!(
        guests,
        [
            ("web", 2, 200, 1200),
            ("vm-1", 2, 200, 0),
            ("vm-2", 1, 300, 0),
            ("vm-3", 1, 200, 0),
            ("vm-4", 1, 200, 0),
        ]
    );
    assert_eq!(read.cluster.guests[4].host, None);
    let cpu = |vm: &str| {
        read.load.guests[&vm.parse::<GuestName>().unwrap()]
            .cpu
            .clone()
    };
    assert_eq!(cpu("vm-1").unwrap().max, Some(MilliCores(1500)));
    let rules: Vec<&str> = read.policy.rules.iter().map(|r| r.name.as_str()).collect();
    let expected = [
        "spread-1",
        "gather-1",
        "among-fence-1",
        "among-1",
        "fence-1",
        "ban-1",
        "pin-1",
    ];
    assert_eq!(rules, expected);
    assert_eq!(
        read.policy.rules[2].kind,
        RuleKind::Fence {
            guests: vec!["web".into(), "vm-1".into()],
            hosts: vec!["part-1=1".into(), "part-1=2".into()],
        }
    );
    assert_eq!(read.cluster.hosts[2].labels["part-1"], "2");
    let left: Vec<(&str, usize)> = read
        .left_out
        .iter()
        .map(|l| (l.what.as_str(), l.count))
        .collect();
    assert_eq!(
        left,
        [
            ("among", 1),
            ("maxOnline", 1),
            ("online", 1),
            ("ready VM", 1),
            ("resource disk", 1),
            ("sleeping VM", 1),
            ("spread", 1),
            ("view net", 1),
        ]
    );
    let source = |text: String| {
        let name = "imported".into();
        [Source { name, text }]
    };
    let again = read_inputs(
        &source(write_cluster(&read.cluster)),
        &source(write_load(&read.load)),
        &source(write_policy(&read.policy)),
    )
    .unwrap();
    assert_eq!(again.cluster, read.cluster);
    assert_eq!(again.policy, read.policy);
}

#[test]
fn without_rules_all_that_is_ready_waits() {
    let read = read(INSTANCE, true).unwrap();
    assert_eq!(read.policy.rules, []);
    assert_eq!(read.cluster.guests.len(), 6);
    assert!(read.cluster.hosts.iter().all(|h| h.state != HostState::Out));
    let left: Vec<&str> = read.left_out.iter().map(|l| l.what.as_str()).collect();
    assert_eq!(left, ["resource disk", "sleeping VM", "view net"]);
}

#[test]
fn what_is_no_instance_is_told_with_its_place() {
    let error = |text: &str| read(text, false).unwrap_err().to_string();
    assert!(error("{\"model\": {\n\"mapping\": 1}}").starts_with("2:12: invalid type"));
    let twice = INSTANCE.replace("[2, 3]", "[2, 2]");
    assert_eq!(error(&twice), "read VM 2 in two places, expected it in one");
    let both = INSTANCE.replace("[3, 4]", "[2, 4]");
    assert_eq!(
        error(&both),
        "read node 2 both online and offline, expected one of them"
    );
    let large = INSTANCE.replace("800", "8000000000");
    assert!(error(&large).contains("expected at most"));
}
