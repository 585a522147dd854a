//! Small situations at random: every answer is accepted by the judge, and none is better.

use proptest::prelude::*;
use vmpack_domain::migration::choose;
use vmpack_domain::plan::{Mode, Move, MoveId};
use vmpack_domain::relief::{Relief, Situation, harm};
use vmpack_domain::units::{MiBPerSec, Micros, MilliCores};
use vmpack_domain::{PostCopy, check};

use serde_json::json;

use super::{World, name, read, seen};

#[derive(Debug, Clone)]
struct Made {
    hosts: usize,
    guests: Vec<(usize, u64, u64, bool)>,
    per_host: u32,
    rule: usize,
    starts: u32,
}

fn made() -> impl Strategy<Value = Made> {
    let guest = (0usize..4, 0u64..9, 1u64..5, proptest::bool::weighted(0.15));
    (
        2usize..5,
        proptest::collection::vec(guest, 1..8),
        1u32..4,
        0usize..6,
        prop_oneof![Just(100u32), 0u32..3],
    )
        .prop_map(|(hosts, guests, per_host, rule, starts)| Made {
            hosts,
            guests,
            per_host,
            rule,
            starts,
        })
}

fn world(made: &Made) -> World {
    let hosts: Vec<String> = (0..made.hosts).map(|h| format!("h{h}")).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let mut world = World::new(&hosts, &[]);
    for (h, host) in world.cluster.hosts.iter_mut().enumerate() {
        // Small and unequal hosts.
        host.cpu = MilliCores::cores(5 + h as u64);
        host.memory.0 = 12 * 1024;
        host.network = MiBPerSec(if h % 2 == 0 { 1250 } else { 400 });
    }
    let text = json!({ "name": "g", "vcpus": 4, "memory": "4GiB", "host": "h0" });
    for (g, (host, demand, memory, never)) in made.guests.iter().enumerate() {
        let mut guest: vmpack_domain::Guest = read(text.clone());
        guest.name = name(&format!("g{g}"));
        guest.host = Some(name(&format!("h{}", host % made.hosts)));
        guest.memory.0 = memory * 1024;
        guest.post_copy = if *never {
            PostCopy::Never
        } else {
            PostCopy::Allowed
        };
        world.demand.insert(guest.name.clone(), seen(demand * 500));
        world.cluster.guests.push(guest);
    }
    world.policy.relief.per_host = made.per_host.try_into().expect("above 0");
    world.policy.relief.moves_per_minute = made.starts;
    world.policy.migrations.split_state = Micros::secs(8);
    let rule = match made.rule {
        0 => json!({ "kind": "spread", "guests": ["g0", "g1", "g2"] }),
        1 => json!({ "kind": "ban", "guests": ["g1", "g3"], "hosts": ["h1"] }),
        2 => json!({ "kind": "max-moves", "moves": 1 }),
        3 => json!({ "kind": "fence", "guests": ["g0", "g1", "g2", "g3"], "hosts": ["h0", "h1"] }),
        _ => return world,
    };
    world.policy.rules.push(read(rule));
    world
}

/// The best that the judge accepts among all ways to move guests off overloaded hosts: the most
/// overload ended, then the least harm.
fn best(s: &Situation) -> (u64, u64) {
    let hosts = &s.cluster.hosts;
    let guests = &s.cluster.guests;
    let mut best = (0, 0);
    let all = (hosts.len() + 1).pow(u32::try_from(guests.len()).expect("few"));
    let room = |h: &vmpack_domain::Host| h.cpu.0 * (1000 - s.policy.overload().cpu.0) / 1000;
    let over = |h: &vmpack_domain::Host| {
        let on = guests.iter().filter(|g| g.host.as_ref() == Some(&h.name));
        let wanted: u64 = on.map(|g| s.demand_of(&g.name).least(g).0).sum();
        wanted.saturating_sub(room(h))
    };
    for code in 1..all {
        let (mut rest, mut moves, mut harms) = (code, Vec::new(), 0);
        let mut off = vec![0; hosts.len()];
        let mut sensible = true;
        for guest in guests {
            let to = rest % (hosts.len() + 1);
            rest /= hosts.len() + 1;
            if to == 0 {
                continue;
            }
            let to = &hosts[to - 1];
            let from = hosts
                .iter()
                .position(|h| guest.host.as_ref() == Some(&h.name))
                .expect("placed");
            let demand = s.demand_of(&guest.name).least(guest);
            if over(&hosts[from]) == 0 || to.name == hosts[from].name || demand.0 == 0 {
                sensible = false;
                break;
            }
            off[from] += demand.0;
            let link = hosts[from].network.min(to.network);
            let link = MiBPerSec(link.0 * s.policy.migrations.bandwidth.0 / 1000);
            let (mode, predicted) = choose(&s.policy.migrations, guest, None, link, true);
            harms += harm(&predicted);
            moves.push((
                demand,
                Move {
                    id: MoveId("r".into()),
                    guest: guest.name.clone(),
                    uuid: None,
                    from: hosts[from].name.clone(),
                    to: to.name.clone(),
                    mode,
                    memory: guest.memory,
                    vcpus: guest.vcpus,
                    demand,
                    bandwidth: MiBPerSec(1),
                    start: Micros::ZERO,
                    duration: Micros::ZERO,
                    expected: None,
                    after: vec![],
                    reason: String::new(),
                },
            ));
        }
        // Whoever leaves a host ends its overload, or stays.
        let cured = |h: usize| off[h] == 0 || off[h] >= over(&hosts[h]);
        if !sensible || !(0..hosts.len()).all(cured) {
            continue;
        }
        let ended: u64 = (0..hosts.len())
            .filter(|h| off[*h] > 0)
            .map(|h| over(&hosts[h]))
            .sum();
        let better = ended > best.0 || (ended == best.0 && harms < best.1);
        moves.sort_by_key(|(demand, _)| *demand);
        let moves = moves.into_iter().map(|(_, mv)| mv).collect();
        let answer = Relief {
            moves,
            ..Relief::default()
        };
        if better && check::relief(s, &answer).is_empty() {
            best = (ended, harms);
        }
    }
    best
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_better_than_what_is_proven(made in made()) {
        let world = world(&made);
        let relief = world.relieved();
        let best = best(&world.situation());
        prop_assert!(relief.worth.proven);
        prop_assert_eq!((relief.worth.ended.0, relief.worth.harm), best, "{:#?}", relief);
        for mv in &relief.moves {
            let guest = world.cluster.guest(&mv.guest).expect("a guest");
            prop_assert!(guest.post_copy == PostCopy::Allowed || mv.mode == Mode::PreCopy);
        }
    }
}
