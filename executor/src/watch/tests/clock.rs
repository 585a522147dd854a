//! What is done by the clock, beside relief: hosts that sleep and wake, plans, guests that are held.

use std::collections::BTreeSet;

use vmpack_domain::{HostState, plan::Outcome};
use vmpack_planner::search::Search;

use super::*;

/// What is done by the clock where it ticks so often.
fn terms(mode: Mode, every: Micros, power: Option<power::Terms>) -> Terms {
    Terms {
        mode,
        time: Micros::millis(50),
        cycle: Some(Periodic { every, power }),
    }
}

fn sleeping(break_even: Micros, spare: u32) -> Option<power::Terms> {
    Some(power::Terms {
        break_even,
        latency: Micros::secs(60),
        spare,
    })
}

/// What the log says of hosts' power: to what, which.
fn powered(log: &[serde_json::Value]) -> Vec<String> {
    let lines = log.iter().filter(|l| l["event"] == "power");
    let word = |l: &serde_json::Value, key: &str| l[key].as_str().unwrap().to_owned();
    lines
        .map(|l| format!("{} {}", word(l, "to"), word(l, "host")))
        .collect()
}

/// Speaks for those hosts for so long, and hears what is asked meanwhile.
async fn speak(
    outside: &mut Outside,
    cluster: &Cluster,
    ms: u64,
    speaks: &BTreeSet<HostName>,
    demand: fn(usize) -> u64,
) -> Vec<Asked> {
    let mut asked = Vec::new();
    for _ in 0..ms / 50 {
        for told in say(cluster, demand) {
            let heard =
                matches!(&told, Told::Heard(Heard::Windows { host, .. }) if speaks.contains(host));
            if heard {
                outside.tell.send(told).unwrap();
            }
        }
        pause(50).await;
        while let Ok(what) = outside.asked.try_recv() {
            asked.push(what);
        }
    }
    asked
}

fn names(of: &[&str]) -> BTreeSet<HostName> {
    of.iter().map(|h| h.parse().unwrap()).collect()
}

/// A full host, one that has CPU but no memory for its guests, so that not all together want too much, and two that
/// sleep.
fn full_and_asleep() -> Cluster {
    let mut cluster = cluster(2);
    cluster.guests.truncate(5);
    cluster.hosts[1].memory = vmpack_domain::units::MiB(1024);
    for host in &mut cluster.hosts[2..] {
        host.state = HostState::Asleep;
    }
    cluster
}

fn surges(g: usize) -> u64 {
    match g {
        0..3 => 4000,
        5.. => 1700,
        _ => 1000,
    }
}

#[test]
fn a_wake_that_fails_goes_to_another_host_that_sleeps() {
    let cluster = full_and_asleep();
    let terms = terms(
        Mode::Auto,
        Micros::secs(3600),
        sleeping(Micros::secs(3600), 0),
    );
    let log = drive(
        (&cluster, &Policy::default()),
        &terms,
        async |mut outside: Outside| {
            for _ in 0..50 {
                let asked = speak(&mut outside, &cluster, 100, &names(&["h0", "h1"]), surges).await;
                for what in asked {
                    if let Asked::Power(order) = what {
                        let failed = Some("nobody is there".to_owned());
                        outside.finish.send(Done::Powered(order, failed)).unwrap();
                    }
                }
            }
        },
    );
    // Asked, failed; then the other.
    let told = ["wake h2", "wake h2", "wake h3", "wake h3"];
    assert_eq!(powered(&log), told, "{log:#?}");
}

#[test]
fn a_host_that_is_needed_as_it_falls_asleep_is_woken_when_it_has() {
    let mut cluster = cluster(2);
    cluster.hosts[3].state = HostState::Out;
    let terms = terms(Mode::Auto, Micros::secs(3600), sleeping(Micros::secs(1), 0));
    let log = drive(
        (&cluster, &Policy::default()),
        &terms,
        async |mut outside: Outside| {
            let all = names(&["h0", "h1", "h2"]);
            let mut falls = false;
            while !falls {
                let asked = speak(&mut outside, &cluster, 100, &all, |_| 1000).await;
                falls = asked
                    .iter()
                    .any(|a| matches!(a, Asked::Power(power::Order::Sleep(..))));
            }
            // It answers still for a while.
            speak(&mut outside, &cluster, 1500, &all, surges).await;
            let gone = Told::Silent("h2".parse().unwrap(), "it sleeps".to_owned());
            outside.tell.send(gone).unwrap();
            speak(&mut outside, &cluster, 2500, &names(&["h0", "h1"]), surges).await;
            // It is awake: plans may go to it again.
            let asked = speak(&mut outside, &cluster, 300, &all, surges).await;
            let h2: HostName = "h2".parse().unwrap();
            assert!(
                asked
                    .iter()
                    .any(|a| matches!(a, Asked::Awake(host) if *host == h2)),
                "{asked:?}"
            );
        },
    );
    assert_eq!(powered(&log), ["sleep h2", "wake h2"], "{log:#?}");
}

#[test]
fn who_only_observes_tells_of_the_same_hosts_as_who_acts() {
    let cluster = cluster(2);
    let told = [Mode::Observe, Mode::Auto].map(|mode| {
        let terms = terms(mode, Micros::secs(3600), sleeping(Micros::secs(1), 1));
        let log = drive(
            (&cluster, &Policy::default()),
            &terms,
            async |mut outside: Outside| {
                let mut speaks = names(&["h0", "h1", "h2", "h3"]);
                for round in 0..80 {
                    let demand = if round < 40 { |_| 1000 } else { |_| 1800 };
                    let asked = speak(&mut outside, &cluster, 100, &speaks, demand).await;
                    for what in asked {
                        match what {
                            Asked::Power(power::Order::Sleep(host, _)) => {
                                speaks.remove(&host);
                                let why = "it sleeps".to_owned();
                                outside.tell.send(Told::Silent(host, why)).unwrap();
                            }
                            Asked::Power(power::Order::Wake(host, _)) => drop(speaks.insert(host)),
                            _ => {}
                        }
                    }
                }
            },
        );
        powered(&log)
    });
    assert_eq!(told[0], told[1]);
    // A host's worth is kept free: one sleeps, and is woken when less would be.
    assert_eq!(told[1], ["sleep h2", "wake h2"]);
}

#[test]
fn where_nothing_else_helps_guests_are_held_to_what_they_reserved_until_their_host_is_calm() {
    let mut cluster = cluster(1);
    cluster.hosts[1].state = HostState::Out;
    for guest in &mut cluster.guests {
        guest.reserved = MilliCores(500);
    }
    for mode in [Mode::Auto, Mode::Observe] {
        let terms = Terms {
            cycle: None,
            ..terms(mode, Micros::secs(1), None)
        };
        let mut asked = Vec::new();
        let log = drive(
            (&cluster, &Policy::default()),
            &terms,
            async |mut outside: Outside| {
                let h0 = names(&["h0"]);
                speak(&mut outside, &cluster, 300, &h0, |_| 1000).await;
                // Not for a moment.
                asked.extend(speak(&mut outside, &cluster, 350, &h0, |_| 4000).await);
                asked.extend(speak(&mut outside, &cluster, 500, &h0, |_| 1000).await);
                assert!(asked.is_empty(), "{asked:?}");
                // It comes and goes, and is over.
                for _ in 0..2 {
                    asked.extend(speak(&mut outside, &cluster, 1500, &h0, |_| 4000).await);
                    asked.extend(speak(&mut outside, &cluster, 500, &h0, |_| 1000).await);
                }
                asked.extend(speak(&mut outside, &cluster, 5500, &h0, |_| 1000).await);
            },
        );
        let acts = mode == Mode::Auto;
        let told = log
            .iter()
            .filter(|l| l["event"] == "held" || l["event"] == "let-go");
        let told: Vec<_> = told.map(|l| (&l["event"], &l["carried_out"])).collect();
        let (held, let_go) = (serde_json::json!("held"), serde_json::json!("let-go"));
        let carried_out = serde_json::json!(acts);
        assert_eq!(
            told,
            [(&held, &carried_out), (&let_go, &carried_out)],
            "{log:#?}"
        );
        let h0: HostName = "h0".parse().unwrap();
        let held = asked.iter().map(|a| match a {
            Asked::Hold(host, holds) if *host == h0 => *holds,
            other => panic!("{other:?}"),
        });
        assert_eq!(
            held.collect::<Vec<_>>(),
            if acts { vec![true, false] } else { vec![] }
        );
    }
}

/// The plan of a load of 200 mcores for each guest, whatever they want now.
fn planned(cluster: &Cluster, policy: &Policy) -> Plan {
    let guests = cluster.guests.iter();
    let guests = guests.map(|g| format!("  {}: {{ cpu: {{ p95: 200mcores }} }}\n", g.name));
    let text = format!(
        "apiVersion: vmpack/v1\nkind: Load\nguests:\n{}",
        guests.collect::<String>()
    );
    let name = "load.yaml".to_owned();
    let load = vmpack_domain::file::read_load(&[Source { name, text }]).unwrap();
    let mut search = Search {
        elapsed: &|| Micros::ZERO,
        stop: &|| false,
        report: &mut |_| {},
    };
    match vmpack_planner::plan(cluster, &load, policy, &mut search) {
        Outcome::Optimal(plan) | Outcome::Feasible(plan) => plan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn plans_of_a_load_that_is_past_do_not_fight_with_relief() {
    let mut cluster = cluster(2);
    let (hosts, guests) = (&mut cluster.hosts, &mut cluster.guests);
    hosts.truncate(3);
    guests.truncate(4);
    for host in hosts.iter_mut() {
        host.cpu = MilliCores::cores(2);
    }
    for (guest, host) in guests.iter_mut().zip(["h0", "h0", "h1", "h2"]) {
        guest.host = Some(host.parse().unwrap());
        guest.vcpus = 1;
    }
    let mut policy = Policy::default();
    policy.relief.cooldown = Micros::secs(2);
    policy.limits.nodes = Some(10_000);
    let terms = terms(Mode::Auto, Micros::millis(500), None);
    // By what they want now no two more have room on one host.
    let busy = |g: usize| [1000, 600, 600, 600][g];
    let placed = |cluster: &Cluster| -> BTreeSet<HostName> {
        cluster
            .guests
            .iter()
            .filter_map(|g| g.host.clone())
            .collect()
    };
    let mut made = Vec::new();
    let log = drive((&cluster, &policy), &terms, async |mut outside: Outside| {
        let mut at = cluster.clone();
        for round in 0..70 {
            let demand: fn(usize) -> u64 = if round < 40 { busy } else { |_| 200 };
            let all = names(&["h0", "h1", "h2"]);
            for what in speak(&mut outside, &at, 100, &all, demand).await {
                let (plan, relief) = match what {
                    Asked::APlan(cluster) => {
                        let plan = planned(&cluster, &policy);
                        outside
                            .finish
                            .send(Done::Planned(Box::new(Ok(plan))))
                            .unwrap();
                        continue;
                    }
                    Asked::Consolidation(plan) => (plan, false),
                    Asked::Relief(plan) => (plan, true),
                    _ => continue,
                };
                for mv in plan.moves {
                    made.push((round, mv.guest.clone(), relief));
                    let guest = mv.guest.clone();
                    let found = at.guests.iter_mut().find(|g| g.name == guest).unwrap();
                    found.host = Some(mv.to.clone());
                    let mv = Box::new(mv);
                    outside.finish.send(Done::Begun { mv, relief }).unwrap();
                    outside
                        .finish
                        .send(Done::Ended { guest, moved: true })
                        .unwrap();
                }
            }
        }
        assert_eq!(placed(&at).len(), 1, "what has room is carried out");
    });
    assert!(
        made.iter()
            .all(|(round, _, relief)| *round >= 40 && !relief),
        "{made:?}"
    );
    let plans: Vec<_> = log.iter().filter(|l| l["event"] == "planned").collect();
    let refused = plans.iter().filter(|l| {
        let why = l["reasons"].as_array().unwrap().iter();
        l["carried_out"] == false && why.flat_map(|r| r.as_str()).any(|r| r.contains("want"))
    });
    assert!(refused.count() >= 3, "{plans:#?}");
    assert!(plans.iter().any(|l| l["carried_out"] == true), "{plans:#?}");
    assert!(!events(&log).contains(&"oscillates"));
}
