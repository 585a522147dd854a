//! Random histories of faults, through which the executor's own loop is driven in virtual time.
//!
//! A history is a cluster, a plan and what goes wrong: links, daemons, QEMUs and hosts that die in any
//! phase, other people who shut guests down or migrate them, an executor that is killed after any event
//! of its journal or at any time, a full disk, a clock that jumps, a second controller, interrupts,
//! aborts, pauses and relief. The judge (`judge.rs`) looks at the simulated world and at the journals
//! on the disk, and asks the executor nothing.
//!
//! `VMPACK_HISTORIES` says how many (`cargo xtask histories` has 10,000), `VMPACK_HISTORIES_SEED` which.

mod acts;
mod drive;
mod judge;
mod life;
mod quiet;
mod stage;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use acts::{Blow, Care, History, Side, Strikes, Upset};
use drive::happen;
use vmpack_domain::Mode;
use vmpack_hypervisor::sim::Phase;

/// As many as take about ten seconds.
const HISTORIES: u32 = 200;

fn number(name: &str, default: u32) -> u32 {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}: read `{text}`, expected a number")),
        Err(_) => default,
    }
}

/// All threads of the process must be one history's own, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn no_history_runs_a_guest_twice_loses_one_by_us_or_overfills_a_host() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let cases = number("VMPACK_HISTORIES", HISTORIES);
    let seed = number("VMPACK_HISTORIES_SEED", 1);
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let began = Instant::now();
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    let (mut turns, mut lives, mut shown) = (0, 0, 0);
    let sums = std::cell::RefCell::new((&mut words, &mut turns, &mut lives, &mut shown));
    let result = runner.run(&acts::history(), |history| {
        let outcome = happen(&history);
        let mut sums = sums.borrow_mut();
        *sums.1 += outcome.turns;
        *sums.2 += outcome.lives;
        *sums.3 += 1;
        for word in outcome.words() {
            *sums.0.entry(word.to_owned()).or_default() += 1;
        }
        match outcome.wrongs.first() {
            None => Ok(()),
            Some((wrong, why)) => Err(TestCaseError::fail(format!("{wrong}: {why}"))),
        }
    });
    use std::io::Write as _;
    let spent = began.elapsed().as_secs_f64();
    let line = format!(
        "{shown} histories, {lives} lives of executors, {turns} turns in {spent:.1} s; journalled: {words:?}\n"
    );
    // Past the test harness, which swallows what a passing test prints.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Err(TestError::Fail(why, history)) = result {
        let outcome = happen(&history);
        let log = outcome.log.join("\n");
        // The log is of one more time, in which threads may meet otherwise.
        panic!("\nWRONG {why}\n\n{history:#?}\n\n{log}");
    }
}

/// Moves of each kind; one is refused at first and tried again, one breaks in split state and is
/// resumed.
fn eventful(upsets: Vec<Upset>) -> History {
    let blow = |when, what, at, mended| Upset::Blow {
        when,
        what,
        at,
        mended,
    };
    let refused = blow(Strikes::At(0), Blow::Refuses, Side::Target, None);
    let fetch = Strikes::In(1, Phase::Fetch, 3000);
    let broken = blow(fetch, Blow::LinkDown, Side::Target, Some(40_000));
    History {
        hosts: 3,
        guests: vec![(0, 2000, 500), (0, 1500, 0), (1, 2500, 1000), (1, 800, 0)],
        moves: vec![
            (0, 2, Mode::PreCopy),
            (1, 1, Mode::PostCopy),
            (2, 2, Mode::Hybrid),
            (3, 0, Mode::PostCopy),
        ],
        second: None,
        spare: 0,
        parallel: 2,
        per_host: 1,
        split: 0,
        care: Care::default(),
        heals: false,
        resume_crashes: false,
        upsets: [vec![refused, broken], upsets].concat(),
        seed: 7,
    }
}

#[test]
fn an_executor_that_is_killed_after_any_event_is_resumed_to_the_same_end() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let undisturbed = happen(&eventful(vec![]));
    let log = undisturbed.log.join("\n");
    assert!(undisturbed.wrongs.is_empty(), "{log}");
    for word in ["failed", "switched", "broken", "recovering", "moved"] {
        assert!(undisturbed.words().contains(&word), "no `{word}` in\n{log}");
    }
    let events = undisturbed.words().len() + 1;
    assert!(events > 15, "{log}");
    for killed in 1..=events {
        for second in [None, Some(killed + 1), Some(killed + 3)] {
            let kills = [Some(killed), second].into_iter().flatten();
            let kills = kills.map(|events| Upset::Kill { events, back: 500 });
            let resumed = happen(&eventful(kills.collect()));
            let log = resumed.log.join("\n");
            assert!(resumed.wrongs.is_empty(), "{killed}, {second:?}:\n{log}");
            assert_eq!(resumed.end, undisturbed.end, "{killed}, {second:?}:\n{log}");
        }
    }
}

#[test]
fn what_a_resumed_post_copy_leaves_at_its_source_is_removed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let blow = |after, what, mended| Upset::Blow {
        when: Strikes::In(0, Phase::Fetch, after),
        what,
        at: Side::Source,
        mended: Some(mended),
    };
    // The post-copy is broken after 30 s; then the libvirtd of its source dies and is begun anew.
    let history = History {
        hosts: 2,
        guests: vec![(0, 800, 0)],
        moves: vec![(0, 1, Mode::PostCopy)],
        upsets: vec![
            blow(300, Blow::LinkDown, 37_000),
            blow(35_000, Blow::DaemonDies, 0),
        ],
        ..eventful(vec![])
    };
    let outcome = happen(&history);
    let log = outcome.log.join("\n");
    assert!(outcome.wrongs.is_empty(), "{log}");
    let told = |what: &str| outcome.log.iter().any(|line| line.contains(what));
    assert!(told("is to be resumed"), "{log}");
    assert!(told("what g0 left on h0 when it went to h1: Ok"), "{log}");
    assert!(outcome.words().contains(&"moved"), "{log}");
}
