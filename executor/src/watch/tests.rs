//! The watch on made-up streams: what it orders, what it writes down, and what it survives.

use std::time::Duration;

use tokio::sync::mpsc;
use vmpack_domain::file::{Source, read_cluster};
use vmpack_domain::plan::Plan;
use vmpack_domain::units::MilliCores;
use vmpack_planner::power;
use vmpack_planner::watch::Window;

use super::*;

mod clock;

/// So many hosts of 10 cores with five guests of 4 vCPUs each, and as many empty ones.
fn cluster(hosts: usize) -> Cluster {
    let mut text = "apiVersion: vmpack/v1\nkind: Cluster\nhosts:\n".to_owned();
    for h in 0..2 * hosts {
        text += &format!(
            "  - {{ name: h{h}, cpu: 10cores, memory: 64GiB, network: 1250MiB/s, state: on }}\n"
        );
    }
    text += "guests:\n";
    for g in 0..5 * hosts {
        text += &format!(
            "  - {{ name: g{g}, vcpus: 4, memory: 4GiB, host: h{} }}\n",
            g / 5
        );
    }
    let name = "cluster.yaml".to_owned();
    read_cluster(&[Source { name, text }]).unwrap()
}

fn window(demand: u64) -> Window {
    let demand = MilliCores(demand);
    Window {
        demand,
        run: demand,
        length: Micros::millis(17),
    }
}

/// What every host's probe says where each guest wants so much.
fn say(cluster: &Cluster, demand: impl Fn(usize) -> u64) -> Vec<Told> {
    let of = |host: &HostName| {
        let guests = cluster.guests.iter().enumerate();
        let guests = guests.filter(|(_, g)| g.host.as_ref() == Some(host));
        guests
            .map(|(n, g)| (g.name.clone(), vec![window(demand(n)); 3]))
            .collect()
    };
    let hosts = cluster.hosts.iter().map(|h| h.name.clone());
    hosts
        .map(|host| {
            Told::Heard(Heard::Windows {
                guests: of(&host),
                host,
                old: Micros::ZERO,
            })
        })
        .collect()
}

/// What a watch asks of others.
#[derive(Debug)]
enum Asked {
    Relief(Plan),
    Recommended(Plan),
    APlan(Cluster),
    Consolidation(Plan),
    Power(power::Order),
    Awake(HostName),
    Hold(HostName, bool),
}

/// Who speaks to a watch, and hears what it asks.
struct Outside {
    tell: mpsc::UnboundedSender<Told>,
    finish: mpsc::UnboundedSender<Done>,
    asked: mpsc::UnboundedReceiver<Asked>,
}

/// Runs a watch while `act` speaks; gives the lines of the log.
fn drive(
    (cluster, policy): (&Cluster, &Policy),
    terms: &Terms,
    act: impl AsyncFnOnce(Outside),
) -> Vec<serde_json::Value> {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(&dir.path().join("audit.jsonl")).unwrap();
    let mut log = Vec::new();
    let (tell, ears) = mpsc::unbounded_channel();
    let (finish, done) = mpsc::unbounded_channel();
    let (ask, asked) = mpsc::unbounded_channel();
    // Who acts may not wish to hear.
    let ask = |what| drop(ask.send(what));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let lines = Lines {
            ears,
            done,
            order: &mut |plan| ask(Asked::Relief(plan)),
            told: &mut |line| log.push(serde_json::from_str(line).unwrap()),
            recommend: &mut |plan| ask(Asked::Recommended(plan.clone())),
            plan: &mut |cluster| ask(Asked::APlan(cluster)),
            consolidate: &mut |plan| ask(Asked::Consolidation(plan)),
            power: &mut |order, _| ask(Asked::Power(order)),
            awake: &mut |host| ask(Asked::Awake(host.clone())),
            hold: &mut |host, holds| ask(Asked::Hold(host.clone(), holds)),
        };
        let inputs = (cluster.clone(), Load::default(), policy.clone());
        let outside = Outside {
            tell,
            finish,
            asked,
        };
        watch(inputs, terms, audit, lines, act(outside))
            .await
            .unwrap();
    });
    log
}

/// Runs a watch while `act` speaks; gives the plans that were ordered, those that were recommended, and the
/// lines of the log.
fn run(
    cluster: &Cluster,
    mode: Mode,
    act: impl AsyncFnOnce(mpsc::UnboundedSender<Told>, mpsc::UnboundedSender<Done>),
) -> (Vec<Plan>, Vec<Plan>, Vec<serde_json::Value>) {
    let terms = Terms {
        mode,
        time: Micros::millis(50),
        cycle: None,
    };
    let (mut orders, mut recommended) = (Vec::new(), Vec::new());
    let policy = Policy::default();
    let log = drive((cluster, &policy), &terms, async |mut outside: Outside| {
        act(outside.tell, outside.finish).await;
        while let Ok(asked) = outside.asked.try_recv() {
            match asked {
                Asked::Relief(plan) => orders.push(plan),
                Asked::Recommended(plan) => recommended.push(plan),
                _ => {}
            }
        }
    });
    (orders, recommended, log)
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn events(log: &[serde_json::Value]) -> Vec<&str> {
    log.iter().filter_map(|l| l["event"].as_str()).collect()
}

#[test]
fn a_surge_is_ordered_away_followed_and_written_down() {
    let cluster = cluster(1);
    let (orders, _, log) = run(&cluster, Mode::Auto, async |tell, finish| {
        let speak = |demand: fn(usize) -> u64| {
            for told in say(&cluster, demand) {
                tell.send(told).unwrap();
            }
        };
        speak(|_| 1000);
        pause(20).await;
        for _ in 0..4 {
            speak(|g| if g < 2 { 4000 } else { 1000 });
            pause(50).await;
        }
        // Whichever of the equal guests it was.
        for g in ["g0", "g1"] {
            let guest: GuestName = g.parse().unwrap();
            finish.send(Done::Switched(guest.clone())).unwrap();
            finish.send(Done::Ended { guest, moved: true }).unwrap();
        }
        pause(50).await;
    });
    assert_eq!(orders.len(), 1, "{log:#?}");
    assert_eq!(orders[0].moves.len(), 1);
    assert_eq!(
        orders[0].policy.migrations.per_host,
        Policy::default().relief.per_host
    );
    assert_eq!(orders[0].target[&orders[0].moves[0].guest].as_str(), "h1");
    let decided = log.iter().find(|l| l["event"] == "decided").unwrap();
    assert_eq!(decided["carried_out"], true);
    assert!(
        decided["relief"]["reasons"][0]
            .as_str()
            .unwrap()
            .starts_with("seen:")
    );
    let events = events(&log);
    for event in [
        "began",
        "decided",
        "switched",
        "ended",
        "relieved",
        "ended-watch",
    ] {
        assert!(events.contains(&event), "{event} is not in {events:?}");
    }
}

#[test]
fn a_relief_that_is_tried_again_is_followed_like_the_first() {
    let cluster = cluster(1);
    let (orders, _, log) = run(&cluster, Mode::Auto, async |tell, finish| {
        // g0 alone takes enough off.
        for _ in 0..4 {
            for told in say(&cluster, |g| if g == 0 { 4000 } else { 1800 }) {
                tell.send(told).unwrap();
            }
            pause(50).await;
        }
        let mv = crate::fixture::a_move("r1", "g0", "h0", "h1");
        let guest = mv.guest.clone();
        let ended = |moved| Done::Ended {
            guest: guest.clone(),
            moved,
        };
        finish.send(ended(false)).unwrap();
        let mv = Box::new(mv);
        finish.send(Done::Begun { mv, relief: true }).unwrap();
        pause(50).await;
        finish.send(Done::Switched(guest.clone())).unwrap();
        pause(50).await;
        finish.send(ended(true)).unwrap();
        pause(50).await;
    });
    assert_eq!(orders.len(), 1, "{log:#?}");
    assert_eq!(orders[0].moves[0].guest.as_str(), "g0");
    let after = ["ended", "switched", "ended", "relieved"];
    let told = events(&log).into_iter().filter(|e| after.contains(e));
    assert_eq!(told.collect::<Vec<_>>(), after, "{log:#?}");
}

#[test]
fn a_hundred_surges_at_once_are_decided_together() {
    let cluster = cluster(100);
    let (orders, _, log) = run(&cluster, Mode::Auto, async |tell, _finish| {
        for round in 0..4 {
            for told in say(
                &cluster,
                |g| if round > 0 && g % 5 < 2 { 4000 } else { 1000 },
            ) {
                tell.send(told).unwrap();
            }
            pause(120).await;
        }
        pause(500).await;
    });
    // As many as may run at once; the others when those are over.
    let moves: Vec<_> = orders.iter().flat_map(|p| &p.moves).collect();
    assert_eq!(moves.len(), 16, "{:?}", events(&log));
    let guests: std::collections::BTreeSet<_> = moves.iter().map(|m| &m.guest).collect();
    let sources: std::collections::BTreeSet<_> = moves.iter().map(|m| &m.from).collect();
    assert_eq!(
        (guests.len(), sources.len()),
        (16, 16),
        "each relieves a host of its own"
    );
}

#[test]
fn a_silent_probe_makes_its_host_unknown_and_no_target() {
    let cluster = cluster(1);
    let (orders, _, log) = run(&cluster, Mode::Auto, async |tell, _finish| {
        let gone: HostName = "h1".parse().unwrap();
        for round in 0..5 {
            for told in say(&cluster, |g| if round > 0 && g < 3 { 4000 } else { 1000 }) {
                let of_gone =
                    matches!(&told, Told::Heard(Heard::Windows { host, .. }) if *host == gone);
                if round == 0 || !of_gone {
                    tell.send(told).unwrap();
                }
            }
            if round == 0 {
                pause(20).await;
                tell.send(Told::Silent(gone.clone(), "the stream ended".into()))
                    .unwrap();
            }
            pause(60).await;
        }
    });
    assert!(orders.is_empty());
    assert!(events(&log).contains(&"silent"));
    let decided = log.iter().find(|l| l["event"] == "decided").unwrap();
    assert_eq!(decided["relief"]["left"][0]["host"], "h0");
}

#[test]
fn who_only_observes_orders_nothing_and_says_it_once() {
    let cluster = cluster(1);
    for mode in [Mode::Observe, Mode::Recommend] {
        let (orders, recommended, log) = run(&cluster, mode, async |tell, _finish| {
            for _ in 0..8 {
                for told in say(&cluster, |g| if g < 3 { 4000 } else { 1000 }) {
                    tell.send(told).unwrap();
                }
                pause(50).await;
            }
        });
        assert!(orders.is_empty());
        assert_eq!(recommended.len(), usize::from(mode == Mode::Recommend));
        let decided = events(&log).iter().filter(|e| **e == "decided").count();
        assert_eq!(decided, 1, "{log:#?}");
    }
}
