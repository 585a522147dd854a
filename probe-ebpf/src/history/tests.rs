use vmpack_domain::{Statistic, Tier};

use super::*;
use crate::interval::{Intervals, STEP};
use crate::tick::samples::guest_tick;
use crate::tick::{Dirty, Tick};

const DAY: Micros = Micros(86_400_000_000);
const ROOMY: Bounds = Bounds {
    bytes: 64 << 20,
    age: DAY,
};
/// A multiple of every step used here.
const START: u64 = 1_699_999_200;

/// The rows of guests in the ten seconds that begin then, each with its two demands.
pub(crate) fn rows(at: u64, guests: &[(&str, [u64; 2])]) -> Vec<Row> {
    let mut intervals = Intervals::default();
    intervals.add(&Tick {
        end_us: (at + 1) * 1_000_000,
        host_mcores: 2000,
        guests: guests.iter().map(|(g, d)| guest_tick(g, d)).collect(),
    });
    intervals.close()
}

fn asked(since: u64, until: u64, step: u64, statistic: Statistic) -> Asked {
    Asked {
        since,
        until,
        step,
        statistic,
    }
}

fn read(file: &Path, asked: Asked) -> HistoryPart {
    Reader::open(file).unwrap().read(asked, || true).unwrap()
}

#[test]
fn what_is_committed_is_read_back_by_steps_and_over_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let mut history = History::open(&file, ROOMY).unwrap();
    for k in 0..6 {
        let mut rows = rows(START + k * STEP, &[("g1", [100 * k, 100 * k + 50])]);
        if k == 2 {
            rows[0].dirty = Some(Dirty {
                pages_per_second: 77,
                tier: Tier::DirtyLog,
                at: START + 25,
            });
        }
        // A dirty rate that is older than the row is not said twice.
        if k == 3 {
            rows[0].dirty = Some(Dirty {
                pages_per_second: 1,
                tier: Tier::Ebpf,
                at: START + 25,
            });
        }
        history.append(&rows, Duration::MAX).unwrap();
    }
    history
        .append(&rows(START + 60, &[("g2", [7, 7])]), Duration::MAX)
        .unwrap();
    history
        .overloaded((START + 5) * 1_000_000, 2500, 2000)
        .unwrap();

    let part = read(&file, asked(START, START + 90, 30, Statistic::Max));
    assert_eq!(part.overloads_us, [(START + 5) * 1_000_000]);
    let [g1, g2] = part.guests.as_slice() else {
        panic!("{part:?}")
    };
    assert_eq!(g1.guest.as_str(), "g1");
    assert_eq!(g1.series.mcores, [Some(250), Some(550), None]);
    assert_eq!(g2.series.mcores, [None, None, Some(7)]);
    assert_eq!((g1.newest, g1.span_us), (START + 50, 1_200_000));
    // Rows' means are (100 k + 25), each over two windows.
    assert_eq!(g1.mean_mcores, 275);
    assert_eq!(g1.demands.max().map(|m| m.0), Some(550));
    assert_eq!((g1.run_us, g1.run_delay_us), (300_000, 30_000));
    assert_eq!(g1.dirty.map(|d| d.pages_per_second), Some(77));

    let mean = read(&file, asked(START, START + 60, 60, Statistic::Mean));
    assert_eq!(mean.guests[0].series.mcores, [Some(275)]);
    // 12 windows; the 6th is 250, in a bucket that ends at 251.
    let median = read(&file, asked(START, START + 60, 60, Statistic::P50));
    assert_eq!(median.guests[0].series.mcores, [Some(251)]);
    // Half of the time, and what lies outside is not told.
    let half = read(&file, asked(START + 30, START + 60, 30, Statistic::Mean));
    assert_eq!(half.guests[0].mean_mcores, 425);
    // The wire tells it as it is.
    let text = serde_json::to_string(&half).unwrap();
    let told: HistoryPart = serde_json::from_str(&text).unwrap();
    assert_eq!(told, half);
    // Whoever no longer listens ends the reading; so few rows are not asked about.
    let reader = Reader::open(&file).unwrap();
    assert!(
        reader
            .read(asked(START, START + 90, 10, Statistic::P95), || false)
            .is_ok()
    );
}

#[test]
fn of_two_rows_of_one_interval_the_fuller_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let mut history = History::open(&file, ROOMY).unwrap();
    let full = rows(START, &[("g1", [40, 40])]);
    let mut short = rows(START, &[("g1", [90, 90])]);
    short[0].span_us /= 2;
    for rows in [&short, &full, &short] {
        history.append(rows, Duration::MAX).unwrap();
    }
    let part = read(&file, asked(START, START + 10, 10, Statistic::Max));
    assert_eq!(part.guests[0].series.mcores, [Some(40)]);
}

#[test]
fn a_guest_keeps_its_history_when_it_is_renamed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let mut history = History::open(&file, ROOMY).unwrap();
    history
        .append(&rows(START, &[("old", [10, 10])]), Duration::MAX)
        .unwrap();
    let mut renamed = rows(START + 10, &[("old", [30, 30])]);
    renamed[0].guest = "new".parse().unwrap();
    history.append(&renamed, Duration::MAX).unwrap();
    let part = read(&file, asked(START, START + 20, 10, Statistic::Max));
    let [guest] = part.guests.as_slice() else {
        panic!("{part:?}")
    };
    assert_eq!(guest.guest.as_str(), "new");
    assert_eq!(guest.series.mcores, [Some(10), Some(30)]);
}

#[test]
fn what_is_too_old_goes_and_its_guest_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let bounds = Bounds {
        age: Micros::secs(3600),
        ..ROOMY
    };
    let mut history = History::open(&file, bounds).unwrap();
    history
        .append(&rows(START, &[("gone", [1, 1])]), Duration::MAX)
        .unwrap();
    for k in 1..=4 {
        let at = START + k * 3600;
        history
            .append(&rows(at, &[("here", [1, 1])]), Duration::MAX)
            .unwrap();
    }
    assert_eq!(history.extent().oldest, Some(START + 3 * 3600));
    let guests: i64 = history
        .connection
        .query_row("SELECT count(*) FROM guest", [], |row| row.get(0))
        .unwrap();
    assert_eq!(guests, 1);
}

#[test]
fn the_file_stays_within_its_bound_and_keeps_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let bounds = |bytes| Bounds { bytes, age: DAY };
    let mut history = History::open(&file, bounds(2 * Bounds::LEAST)).unwrap();
    let names: Vec<String> = (0..500).map(|n| format!("guest-{n}")).collect();
    let guests: Vec<(&str, [u64; 2])> = names.iter().map(|n| (n.as_str(), [300, 9000])).collect();
    let one = rows(0, &guests);
    let mut at = START;
    let mut append = |history: &mut History| {
        at += STEP;
        let mut rows = one.clone();
        rows.iter_mut().for_each(|row| row.at = at);
        history.append(&rows, Duration::MAX).unwrap();
        history.extent().bytes
    };
    while append(&mut history) < Bounds::LEAST * 3 / 2 {}
    drop(history);
    // A smaller bound shrinks the file at the next appends.
    let mut history = History::open(&file, bounds(Bounds::LEAST)).unwrap();
    let shrunk = (0..50).map(|_| append(&mut history)).last();
    assert!(shrunk < Some(Bounds::LEAST), "{shrunk:?}");
    // Some 40 MB, were there no bound.
    for _ in 0..1000 {
        assert!(append(&mut history) <= Bounds::LEAST);
    }
    let held = history.extent().bytes;
    assert!(held > Bounds::LEAST / 3, "{held}");
    let oldest = history.extent().oldest.unwrap();
    assert!(START + STEP < oldest && oldest < at - 50 * STEP, "{oldest}");
    let part = read(&file, asked(at, at + STEP, STEP, Statistic::Max));
    assert_eq!(part.guests.len(), 500);
}

#[test]
fn what_is_no_history_of_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let file = folder.path().join(name);
        let before = std::fs::read(&file).ok();
        let error = History::open(&file, ROOMY).map(|_| ()).unwrap_err();
        assert_eq!(std::fs::read(&file).ok(), before);
        error.to_string()
    };
    std::fs::write(
        folder.path().join("text"),
        "certainly not a database\n".repeat(99),
    )
    .unwrap();
    assert!(open("text").contains("another program's database"));

    let other = Connection::open(folder.path().join("other")).unwrap();
    other.execute_batch("CREATE TABLE t (a)").unwrap();
    drop(other);
    assert!(open("other").contains("another program's database"));

    let file = folder.path().join("newer");
    let history = History::open(&file, ROOMY).unwrap();
    history
        .connection
        .pragma_update(None, "user_version", VERSION + 1)
        .unwrap();
    drop(history);
    assert!(open("newer").contains("version 2, expected at most 1"));
    assert!(Reader::open(&file).is_err());

    let small = Bounds { bytes: 1, ..ROOMY };
    assert!(History::open(&folder.path().join("small"), small).is_err());
}

#[test]
fn a_full_disk_loses_no_committed_row() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let mut history = History::open(&file, ROOMY).unwrap();
    history
        .append(&rows(START, &[("g1", [5, 5])]), Duration::MAX)
        .unwrap();
    // As full as it can be said to be.
    history
        .connection
        .pragma_update(None, "max_page_count", 1)
        .unwrap();
    let names: Vec<String> = (0..900).map(|n| format!("guest-{n}")).collect();
    let guests: Vec<(&str, [u64; 2])> = names.iter().map(|n| (n.as_str(), [3, 9])).collect();
    assert!(
        history
            .append(&rows(START + 10, &guests), Duration::MAX)
            .is_err()
    );
    let part = read(&file, asked(START, START + 20, 10, Statistic::Max));
    assert_eq!(part.guests.len(), 1);
    // There is room again.
    history
        .connection
        .pragma_update(None, "max_page_count", 9999)
        .unwrap();
    history
        .append(&rows(START + 20, &guests), Duration::MAX)
        .unwrap();
    let part = read(&file, asked(START, START + 30, 10, Statistic::Max));
    assert_eq!(part.guests.len(), 901);
}

#[test]
fn one_process_writes_a_history_and_any_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let mut history = History::open(&file, ROOMY).unwrap();
    let error = History::open(&file, ROOMY).map(drop).unwrap_err();
    let (file_name, lock) = (file.display(), lock(&file));
    assert_eq!(
        error.to_string(),
        format!(
            "another vmpack-probe writes {file_name} (it holds {})",
            lock.display()
        )
    );
    history
        .append(&rows(START, &[("g1", [1, 1])]), Duration::MAX)
        .unwrap();
    let part = read(&file, asked(START, START + 10, 10, Statistic::Max));
    assert_eq!(part.guests.len(), 1);
    drop(history);
    assert!(History::open(&file, ROOMY).is_ok());
}

#[test]
fn an_error_of_sqlite_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none/h.db");
    let none = Reader::open(&missing).map(drop).unwrap_err();
    assert!(matches!(none, HistoryError::Missing(_)), "{none}");
    let error = History::open(&missing, ROOMY).map(drop).unwrap_err();
    let told = format!("{:#}", anyhow::Error::from(error).context("cannot use it"));
    assert_eq!(told.matches("unable to open").count(), 1, "{told}");
}

#[test]
fn rows_whose_guest_is_missing_are_left_out_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let mut history = History::open(&file, ROOMY).unwrap();
    for k in 0..3 {
        let both = [("here", [5, 5]), ("orphan", [7, 7])];
        history
            .append(&rows(START + k * STEP, &both), Duration::MAX)
            .unwrap();
    }
    let changed = history
        .connection
        .execute("DELETE FROM guest WHERE name = 'orphan'", []);
    assert_eq!(changed, Ok(1));
    let bad = history.connection.execute(
        "UPDATE load SET demands = x'ff' WHERE at = ?1 AND guest = 1",
        [signed(START)],
    );
    assert_eq!(bad, Ok(1));
    let part = read(&file, asked(START, START + 30, 30, Statistic::Max));
    assert_eq!(part.guests.len(), 1);
    assert_eq!(part.guests[0].series.mcores, [Some(5)]);
    assert_eq!(part.rows_left_out, 3 + 1);
}

#[test]
fn a_clock_that_was_set_back_makes_no_orphans() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let bounds = Bounds {
        age: Micros::secs(3600),
        ..ROOMY
    };
    let mut history = History::open(&file, bounds).unwrap();
    history
        .append(&rows(START, &[("g", [1, 1])]), Duration::MAX)
        .unwrap();
    let back = START - 5 * 3600;
    history
        .append(&rows(back, &[("g", [1, 1])]), Duration::MAX)
        .unwrap();
    // Others go on, and what is an hour old goes.
    for k in 0..3 {
        let at = START + 1800 + k * 600;
        history
            .append(&rows(at, &[("other", [1, 1])]), Duration::MAX)
            .unwrap();
    }
    let part = read(&file, asked(START, START + 3600, 3600, Statistic::Max));
    assert_eq!((part.guests.len(), part.rows_left_out), (2, 0));
}

#[test]
fn the_log_does_not_stay_long_after_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let mut history = History::open(&file, ROOMY).unwrap();
    let names: Vec<String> = (0..500).map(|n| format!("guest-{n}")).collect();
    let guests: Vec<(&str, [u64; 2])> = names.iter().map(|n| (n.as_str(), [300, 9000])).collect();
    let one = rows(0, &guests);
    let mut at = START;
    let mut write = |history: &mut History, intervals| {
        for _ in 0..intervals {
            at += STEP;
            let mut rows = one.clone();
            rows.iter_mut().for_each(|row| row.at = at);
            history.append(&rows, Duration::MAX).unwrap();
        }
    };
    write(&mut history, 20);
    // Somebody's transaction holds the log.
    let other = Connection::open(&file).unwrap();
    let view = other.unchecked_transaction().unwrap();
    let _: i64 = view
        .query_row("SELECT count(*) FROM load", [], |row| row.get(0))
        .unwrap();
    write(&mut history, 150);
    assert!(history.log_bytes() > LOG, "{}", history.log_bytes());
    drop(view);
    write(&mut history, 1);
    assert!(history.log_bytes() <= LOG, "{}", history.log_bytes());

    // Ours holds it for a piece at a time.
    let pieces = std::cell::Cell::new(0);
    let whole = asked(START, at + STEP, at + STEP - START, Statistic::Max);
    let part = Reader::open(&file).unwrap().read(whole, || {
        pieces.set(pieces.get() + 1);
        let free = other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
            row.get::<_, i64>(0)
        });
        free == Ok(0)
    });
    let part = part.unwrap();
    assert_eq!(part.guests.len(), 500);
    assert!(part.guests.iter().all(|g| g.span_us == 171 * 200_000));
    assert_eq!(pieces.get(), 171 * 500 / 4096);
}

#[test]
fn a_history_that_was_deleted_is_not_written_to_and_can_be_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    for gone in ["h.db", "h.db.lock", "h.db-wal"] {
        let mut history = History::open(&file, ROOMY).unwrap();
        let row = rows(START, &[("g1", [1, 2])]);
        history.append(&row, Duration::ZERO).unwrap();
        fs::remove_file(folder.path().join(gone)).unwrap();
        let refused = history.append(&row, Duration::ZERO);
        assert!(
            matches!(refused, Err(HistoryError::Replaced(_))),
            "{refused:?}"
        );
        drop(history);
    }
    let mut history = History::open(&file, ROOMY).unwrap();
    history
        .append(&rows(START, &[("g1", [1, 2])]), Duration::ZERO)
        .unwrap();
    let found = read(&file, asked(START, START + 10, 10, Statistic::Max));
    assert_eq!(found.guests.len(), 1);
}

#[test]
fn a_clock_that_is_set_ahead_makes_nothing_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let mut history = History::open(&file, ROOMY).unwrap();
    let mut write = |at, passed| {
        let row = rows(at, &[("g1", [1, 2])]);
        history.append(&row, Duration::from_secs(passed)).unwrap();
    };
    let year = 365 * 86_400;
    write(START, 0);
    write(START + year, 10);
    write(START + 20, 20);
    let left =
        |file: &Path| read(file, asked(START, START + 30, 10, Statistic::Max)).guests[0].clone();
    assert_eq!(left(&file).series.mcores, [Some(2), None, Some(2)]);
    // A day and more has passed: what is older goes, by the clock of that day.
    write(START + 86_400 + 20, 86_400 + 20);
    assert_eq!(left(&file).series.mcores, [None, None, Some(2)]);
}

#[test]
fn what_is_no_file_is_no_history() {
    let refused = History::open(std::path::Path::new("/dev/null"), ROOMY);
    assert!(
        matches!(refused, Err(HistoryError::NoFile(_))),
        "{refused:?}"
    );
}

#[test]
fn a_damaged_history_is_known_as_such_and_set_aside_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("h.db");
    let mut history = History::open(&file, ROOMY).unwrap();
    for step in 0..200 {
        let row = rows(START + step * STEP, &[("g1", [1, 2]), ("g2", [3, 4])]);
        history.append(&row, Duration::ZERO).unwrap();
    }
    drop(history);
    // All but the first page, which says what the file is.
    let mut bytes = fs::read(&file).unwrap();
    bytes[4096..].fill(0xff);
    fs::write(&file, &bytes).unwrap();
    let damaged = History::open(&file, ROOMY)
        .and_then(|mut h| h.append(&rows(START + 9000, &[("g1", [1, 2])]), Duration::ZERO));
    assert!(
        damaged.as_ref().is_err_and(HistoryError::is_damage),
        "{damaged:?}"
    );
    let aside = set_aside(&file, START).unwrap();
    assert!(
        fs::read(&aside).unwrap()[4096..] == bytes[4096..],
        "changed"
    );
    let mut history = History::open(&file, ROOMY).unwrap();
    history
        .append(&rows(START, &[("g1", [1, 2])]), Duration::ZERO)
        .unwrap();
}
