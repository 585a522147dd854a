//! The words: what was seen, what was decided, why not otherwise, and what would end the rest.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::GuestName;
use vmpack_domain::relief::{Demand, Left};
use vmpack_domain::units::{MiB, Micros, MilliCores, count};

use super::cure::{Item, cheapest};
use super::scene::{Scene, Way};

fn cores(amount: i64) -> MilliCores {
    MilliCores(amount.max(0).unsigned_abs())
}

/// Why a guest may not leave its host now; nothing where it may.
pub(super) fn stays(scene: &Scene, g: usize) -> Option<String> {
    let guest = &scene.guests[g];
    if guest.under_way {
        return Some("under way already".into());
    }
    if !guest.guest.movable {
        return Some("not movable".into());
    }
    if let Some(rule) = scene.rules.pin(g) {
        return Some(format!("pinned by rule {rule}"));
    }
    match guest.demand {
        Demand::Unknown => return Some("its demand is not known".into()),
        Demand::Starved { .. } => {
            return Some("waits for its memory, its demand is not believed".into());
        }
        Demand::Seen { .. } => {}
    }
    if guest.least == 0 {
        return Some("wants nothing: its move would not help".into());
    }
    if let Some(until) = guest.rests {
        let left = until.saturating_sub(scene.s.now);
        return Some(format!("moved lately, rests for {} more", coarse(left)));
    }
    scene
        .rules
        .spent(g)
        .map(|cap| format!("{} is used up", cap.what))
}

/// A time in words, to a tenth of a second.
pub(super) fn coarse(time: Micros) -> Micros {
    Micros(time.0.div_ceil(100_000) * 100_000)
}

/// Why a guest moves, and what that leaves.
pub(super) fn why(before: &Scene, after: &Scene, g: usize, way: &Way) -> String {
    let guest = &before.guests[g];
    let from = guest.at.unwrap_or(way.to);
    let to = &after.hosts[way.to];
    format!(
        "{} wants {} more than its {}: this takes {} off it; {} then carries {} of {}, {} kept for {}; {} s in split state",
        before.name(from),
        cores(before.overload(from)),
        cores(before.hosts[from].room[0]),
        cores(guest.least),
        after.name(way.to),
        cores(to.taken[0] - guest.margin),
        cores(to.room[0]),
        cores(guest.margin),
        guest.guest.name,
        tenths(way.predicted.split),
    )
}

fn tenths(time: Micros) -> String {
    let tenths = time.0.div_ceil(100_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What was seen of each overloaded host, and why those that stay do.
pub(super) fn reasons(
    scene: &Scene,
    overloaded: &[usize],
    moves: &[(usize, Way)],
    wake: &[usize],
) -> Vec<String> {
    let mut said = Vec::new();
    let moving: BTreeSet<usize> = moves.iter().map(|(g, _)| *g).collect();
    for h in overloaded {
        let host = &scene.hosts[*h];
        let since = scene.s.overloaded.get(&host.host.name).copied();
        let lasts = scene.s.now.saturating_sub(since.unwrap_or(scene.s.now));
        said.push(format!(
            "seen: {} guests of {} want {} of {}, {} too many, for {}",
            host.on.len(),
            host.host.name,
            cores(host.wanted),
            cores(host.room[0]),
            cores(scene.overload(*h)),
            coarse(lasts),
        ));
        let mut why: BTreeMap<String, Vec<&GuestName>> = BTreeMap::new();
        let mut others = 0;
        for g in scene.guests_on(*h).difference(&moving) {
            match stays(scene, *g) {
                Some(reason) => why.entry(reason).or_default().push(scene.who(*g)),
                None if scene.ways(*g, 1).is_empty() => why
                    .entry(no_way(scene, *g))
                    .or_default()
                    .push(scene.who(*g)),
                None => others += 1,
            }
        }
        for (reason, guests) in why {
            said.push(format!("not moved: {} ({reason})", named(&guests)));
        }
        if others > 0 {
            let guests = count(others, "guest");
            said.push(format!(
                "not moved: {guests} more of {} (not needed, or more harm)",
                host.host.name
            ));
        }
    }
    for h in wake {
        let room = cores(scene.hosts[*h].room[0]);
        said.push(format!(
            "wake {}: it has {room} for what has no room",
            scene.name(*h)
        ));
    }
    said
}

fn named(guests: &[&GuestName]) -> String {
    let first: Vec<&str> = guests.iter().take(3).map(|g| g.as_str()).collect();
    match guests.len().saturating_sub(first.len()) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Why no host takes a guest that may leave.
fn no_way(scene: &Scene, g: usize) -> String {
    let from = scene.guests[g].at;
    let ends = |to: usize| from.is_some_and(|from| scene.journey(g, from, to).is_some());
    let open: Vec<usize> = (0..scene.hosts.len())
        .filter(|h| scene.hosts[*h].open && Some(*h) != from)
        .collect();
    let fits = |h: &&usize| {
        let (host, guest) = (&scene.hosts[**h], &scene.guests[g]);
        (0..3).all(|r| host.taken[r] + guest.need[r] <= host.room[r])
    };
    if open.is_empty() {
        return "no other host is awake and heard of".into();
    }
    if !open.iter().any(|h| ends(*h)) {
        return "post-copy is forbidden, and pre-copy would not end".into();
    }
    if open.iter().filter(fits).count() == 0 {
        return "no host awake has room for it and its margin".into();
    }
    "hosts with room are ruled out by rules, by migrations under way, or by time in split state"
        .into()
}

/// Whom the host's reserved shares are to hold: all its guests, where any has some reserved.
pub(super) fn held(scene: &Scene, h: usize) -> Vec<GuestName> {
    let guests = scene.guests_on(h);
    let some = guests.iter().any(|g| scene.guests[*g].guest.reserved.0 > 0);
    let held = guests.into_iter().filter(|_| some);
    held.map(|g| scene.who(g).clone()).collect()
}

/// What is said of an overload that stays because only one guest leaves in its first moments: why that is so,
/// and what is done about the rest (see [`super::relieve`], 3).
const ALONE: (&str, &str) = (
    "one guest goes alone in its first moments, since what is measured then overshoots",
    "what is left after half a second is decided then",
);

/// The overloads that stay.
pub(super) fn left(
    before: &Scene,
    after: &Scene,
    left: &BTreeSet<usize>,
    wake: &[usize],
) -> Vec<Left> {
    left.iter()
        .map(|h| {
            let slots = before.hosts[*h].out.min(after.starts);
            let (then, now) = (&before.hosts[*h], &after.hosts[*h]);
            let (why, would) = if now.alone && now.leaving > then.leaving {
                (ALONE.0.to_owned(), ALONE.1.to_owned())
            } else {
                outlook(before, *h, slots, wake)
            };
            Left {
                host: before.name(*h).clone(),
                overload: cores(after.overload(*h)),
                why,
                would,
            }
        })
        .collect()
}

/// Why an overload stays and what would end it; `slots` are the migrations from it that may begin still.
fn outlook(scene: &Scene, h: usize, slots: i64, wake: &[usize]) -> (String, String) {
    let woken = |or: String| match wake {
        [] => or,
        hosts => {
            let names: Vec<&str> = hosts.iter().map(|w| scene.name(*w).as_str()).collect();
            format!("waking {}", names.join(", "))
        }
    };
    let deficit = scene.deficit();
    if deficit > 0 {
        let why = format!(
            "all guests together want {} more than all hosts awake have: a move would only shift it",
            cores(deficit)
        );
        return (why, woken(format!("hosts with {} more", cores(deficit))));
    }
    if scene.starts <= 0 {
        let relief = &scene.s.policy.relief;
        let why = format!(
            "as many moves as may start did: {} in a minute, {} at once",
            relief.moves_per_minute, scene.s.policy.migrations.at_once
        );
        let would = "waiting for it, or a larger `relief.moves-per-minute` or `migrations.at-once`";
        return (why, woken(would.into()));
    }
    let free: Vec<usize> = scene
        .guests_on(h)
        .into_iter()
        .filter(|g| stays(scene, *g).is_none())
        .collect();
    let item = |g: &usize| Item {
        guest: *g,
        demand: scene.guests[*g].least,
        harm: scene.guests[*g].need[1],
        sends: 0,
    };
    let over = scene.overload(h);
    let items: Vec<_> = free.iter().map(item).collect();
    let enough = cheapest(&items, (over, over), i64::MAX, i64::MAX).guests;
    let Some(needed) = enough else {
        let rests = scene
            .guests_on(h)
            .into_iter()
            .filter_map(|g| scene.guests[g].rests)
            .min();
        let would = match rests {
            Some(until) => format!(
                "waiting {} for guests that moved lately, or letting more of its guests move",
                coarse(until.saturating_sub(scene.s.now))
            ),
            None => "letting more of its guests move (see the reasons)".into(),
        };
        return ("its guests that may move want too little".into(), would);
    };
    let sum = |r: usize| needed.iter().map(|g| scene.guests[*g].need[r]).sum::<i64>();
    let names: Vec<&GuestName> = needed.iter().map(|g| scene.who(*g)).collect();
    let would = format!(
        "room for {}: one more host with {} and {} free",
        named(&names),
        cores(sum(0)),
        MiB(sum(1).unsigned_abs())
    );
    let why = if needed.len() as i64 > slots {
        "too many guests would have to leave it at once; the rest follows as migrations end"
    } else {
        "no host awake has room for enough of its guests"
    };
    (why.into(), woken(would))
}
