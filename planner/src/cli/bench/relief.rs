//! `vmpack bench relief`: how long `relieve()` takes on clusters made up by seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use clap::Args;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;
use vmpack_domain::exit::Exit;
use vmpack_domain::relief::{Demand, Situation};
use vmpack_domain::units::{MiB, MiBPerSec, Micros, MilliCores, Ratio};
use vmpack_domain::{
    Cluster, Guest, GuestName, Host, HostName, HostState, Load, Policy, PostCopy, check,
};
use vmpack_planner::relieve::{Contingency, Limits, Surge, host_room, relieve};

use super::{json, seconds};
use crate::cli::failure::Failure;
use crate::cli::inputs::micros;
use crate::cli::session::Session;
use crate::cli::table::table;

/// The flags of `bench relief`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Hosts of 32 cores
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=20_000))]
    hosts: u32,
    /// Guests for each host
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=200))]
    guests: u32,
    /// Hosts on which guests rise to all their vCPUs until it is overloaded
    #[arg(long, value_name = "N", default_value_t = 5)]
    overloaded: u32,
    /// How much of the other hosts is wanted, in percent of their room
    #[arg(long, value_name = "PERCENT", default_value_t = 75, value_parser = clap::value_parser!(u32).range(0..=100))]
    load: u32,
    /// Clusters, by seeds from 1 on
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: u64,
    /// How long the proven answer may be sought
    #[arg(long, value_name = "TIME", default_value = "10s")]
    time_limit: Micros,
    /// Also make what is decided ahead, and recall it
    #[arg(long)]
    ahead: bool,
    /// Print one JSON line for each cluster
    #[arg(long)]
    json: bool,
}

/// One cluster.
#[derive(Debug, Serialize)]
struct Line {
    seed: u64,
    hosts: usize,
    guests: usize,
    overloaded: usize,
    moves: usize,
    /// Milli-cores of overload, and how many of them are ended.
    overload: u64,
    ended: u64,
    harm: u64,
    proven: bool,
    /// Until an answer that could be carried out.
    first_seconds: f64,
    /// Until the last one.
    seconds: f64,
    /// To make what is decided ahead for every host, and to recall one of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recall_seconds: Option<f64>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit, Failure> {
    let mut lines = Vec::new();
    for seed in 1..=arguments.runs {
        let made = Made::new(arguments, seed)?;
        let line = measured(&made, arguments, seed)?;
        if arguments.json {
            writeln!(session.out, "{}", json(&line)?)?;
        }
        lines.push(line);
    }
    if !arguments.json {
        let header = [
            "seed", "moves", "overload", "ended", "harm", "proven", "first s", "proven s",
        ];
        let rows = lines.iter().map(|l| {
            [
                l.seed.to_string(),
                l.moves.to_string(),
                MilliCores(l.overload).to_string(),
                MilliCores(l.ended).to_string(),
                l.harm.to_string(),
                if l.proven { "yes" } else { "no" }.into(),
                format!("{:.3}", l.first_seconds),
                format!("{:.3}", l.seconds),
            ]
        });
        session
            .out
            .write_all(table(header, rows, 0..8).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// A cluster and what its guests want.
struct Made {
    cluster: Cluster,
    policy: Policy,
    load: Load,
    demand: BTreeMap<GuestName, Demand>,
    overloaded: BTreeMap<HostName, Micros>,
    overload: u64,
}

fn named<T: std::str::FromStr>(kind: char, n: usize) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    let name = format!("{kind}{n}");
    name.parse()
        .map_err(|e: T::Err| Failure::new(Exit::Bug, e.to_string()))
}

impl Made {
    fn new(arguments: &Arguments, seed: u64) -> Result<Self, Failure> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |n: u64| (u64::from(rng.next_u32()) * n) >> 32;
        let policy = Policy::default();
        let mut made = Self {
            cluster: Cluster::default(),
            load: Load::default(),
            demand: BTreeMap::new(),
            overloaded: BTreeMap::new(),
            overload: 0,
            policy,
        };
        let (hosts, each) = (arguments.hosts as usize, arguments.guests as usize);
        for h in 0..hosts {
            let host = Host {
                name: named('h', h)?,
                cpu: MilliCores::cores(32),
                memory: MiB(256 * 1024),
                network: MiBPerSec(1250),
                state: HostState::On,
                speed: Ratio::ONE,
                reserve: vmpack_domain::cluster::Reserve::default(),
                labels: BTreeMap::new(),
                never_sleep: false,
                uri: None,
                migrate_address: None,
                probe: None,
            };
            let room = host_room(&host, &made.policy).0;
            let surges = h < arguments.overloaded as usize;
            let mut wants: Vec<(u64, u64)> = (0..each)
                .map(|_| {
                    let vcpus = 2 << below(3);
                    let mean = room * u64::from(arguments.load) / 100 / each as u64;
                    // From half the mean to one and a half times it.
                    ((mean / 2 + below(mean.max(1))).min(vcpus * 1000), vcpus)
                })
                .collect();
            if surges {
                for want in &mut wants {
                    want.0 = want.1 * 1000;
                }
                let mut sum: u64 = wants.iter().map(|w| w.0).sum();
                // A guest that no host could hold beside the others is no surge to be relieved.
                while sum < room + 500 {
                    let last = wants.len() - 1;
                    let at = usize::try_from(below(last as u64 + 1)).unwrap_or(0);
                    wants[at].1 += 2;
                    wants[at].0 += 2000;
                    sum += 2000;
                }
                made.overload += sum - room;
                made.overloaded.insert(host.name.clone(), Micros::ZERO);
            }
            for (g, (want, vcpus)) in wants.into_iter().enumerate() {
                let guest = Guest {
                    name: named('g', h * each + g)?,
                    uuid: None,
                    vcpus: u32::try_from(vcpus).unwrap_or(u32::MAX),
                    memory: MiB((1 << below(4)) * 1024),
                    host: Some(host.name.clone()),
                    reserved: MilliCores::ZERO,
                    movable: below(20) > 0,
                    moved_ago: None,
                    post_copy: if below(20) == 0 {
                        PostCopy::Never
                    } else {
                        PostCopy::Allowed
                    },
                    requires: BTreeMap::new(),
                };
                let demand = Demand::Seen {
                    now: MilliCores(want),
                    margin: MilliCores(want / 10),
                };
                made.demand.insert(guest.name.clone(), demand);
                made.cluster.guests.push(guest);
            }
            made.cluster.hosts.push(host);
        }
        Ok(made)
    }
}

fn measured(made: &Made, arguments: &Arguments, seed: u64) -> Result<Line, Failure> {
    let silent = BTreeSet::new();
    let mut calm = Situation {
        cluster: &made.cluster,
        load: &made.load,
        policy: &made.policy,
        demand: &made.demand,
        overloaded: &made.overloaded,
        silent: &silent,
        shunned: &silent,
        flights: &[],
        recent: &[],
        now: Micros::secs(60),
    };
    let began = Instant::now();
    let limits = Limits {
        time: arguments.time_limit,
        nodes: None,
        seed,
        threads: 1,
        stop: &|| micros(began) > arguments.time_limit,
    };
    let mut first = None;
    let relief = relieve(&calm, &limits, &mut |_| first = Some(seconds_exact(began)));
    let took = seconds_exact(began);
    if let Some(wrong) = check::relief(&calm, &relief).first() {
        return Err(Failure::new(
            Exit::Bug,
            format!("the judge refuses the relief: {wrong}"),
        ));
    }
    let (mut ahead_seconds, mut recall_seconds) = (None, None);
    if arguments.ahead {
        let began = Instant::now();
        let ahead = Contingency::new(&calm);
        ahead_seconds = Some(seconds(began));
        let one: BTreeMap<HostName, Micros> = made
            .overloaded
            .iter()
            .take(1)
            .map(|(h, t)| (h.clone(), *t))
            .collect();
        calm.overloaded = &one;
        let began = Instant::now();
        let recalled = ahead.recall(&calm, &Surge::All);
        let took = seconds_exact(began);
        recall_seconds = recalled.map(|_| took);
    }
    Ok(Line {
        seed,
        hosts: made.cluster.hosts.len(),
        guests: made.cluster.guests.len(),
        overloaded: made.overloaded.len(),
        moves: relief.moves.len(),
        overload: made.overload,
        ended: relief.worth.ended.0,
        harm: relief.worth.harm,
        proven: relief.worth.proven,
        first_seconds: first.unwrap_or(took),
        seconds: took,
        ahead_seconds,
        recall_seconds,
    })
}

/// To the microsecond.
fn seconds_exact(began: Instant) -> f64 {
    (began.elapsed().as_secs_f64() * 1e6).round() / 1e6
}
