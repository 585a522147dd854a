use std::os::unix::fs::PermissionsExt;

use vmpack_domain::Cluster;
use vmpack_domain::plan::MoveId;

use super::*;
use crate::fixture::{a_move, cluster, plan};

fn hosts() -> Cluster {
    cluster(&["h1", "h2"], &[("web", "h1")])
}

fn world() -> World {
    World::Libvirt { cluster: hosts() }
}

fn skipped(id: &str) -> Event {
    Event::Skipped {
        id: MoveId(id.to_owned()),
        reason: "test".to_owned(),
    }
}

#[test]
fn what_was_written_is_read_back_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/journal.db");
    assert!(Journal::existing(&path).unwrap().is_none());
    let plan = plan(&hosts(), vec![a_move("m1", "web", "h1", "h2")]);
    let mut journal = Journal::open(&path).unwrap();
    assert!(journal.newest().unwrap().is_none());
    journal
        .accept(&plan, None, Priority::Consolidation, &world())
        .unwrap();
    journal.append(RunId(1), skipped("m1")).unwrap();
    let second = journal
        .accept(&plan, None, Priority::Consolidation, &world())
        .unwrap();
    let last = journal.append(second.run, skipped("m1")).unwrap();
    drop(journal);

    let journal = Journal::existing(&path).unwrap().unwrap();
    let run = journal.newest().unwrap().unwrap();
    assert_eq!(run.world, world());
    assert_eq!(run.entries, [second, last]);
    assert_eq!(run.progress().plan.as_deref(), Some(&plan));
    for file in [path.clone(), path.with_extension("db-wal")] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    let version: i64 = journal
        .connection
        .pragma_query_value(None, "user_version", |r| r.get(0))
        .unwrap();
    assert_eq!(version, VERSION);
}

#[test]
fn the_runs_that_are_not_at_their_end_are_told_from_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&folder.path().join("journal.db")).unwrap();
    let plan = plan(&hosts(), vec![]);
    let mut begin = |priority| {
        let accepted = journal.accept(&plan, None, priority, &world()).unwrap();
        accepted.run
    };
    let (first, second) = (begin(Priority::Consolidation), begin(Priority::Relief));
    journal.append(first, skipped("m1")).unwrap();
    journal.append(second, skipped("m2")).unwrap();
    let ids = |runs: Vec<Run>| runs.iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(ids(journal.unfinished().unwrap()), [first, second]);
    journal
        .append(first, Event::Finished { complete: true })
        .unwrap();
    let open = journal.unfinished().unwrap();
    assert_eq!(open[0].priority(), Priority::Relief);
    let events: Vec<&Event> = open[0].entries.iter().map(|e| &e.event).collect();
    assert_eq!(events[1..], [&skipped("m2")]);
    assert_eq!(ids(open), [second]);
    assert_eq!(ids(journal.all().unwrap()), [first, second]);
}

#[test]
fn an_empty_file_is_no_journal_until_one_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    std::fs::write(&path, "").unwrap();
    assert!(Journal::existing(&path).unwrap().is_none());
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    let journal = Journal::open(&path).unwrap();
    assert!(journal.newest().unwrap().is_none());
    assert!(Journal::existing(&path).unwrap().is_some());
}

#[test]
fn a_chain_that_lacks_a_run_is_no_shorter_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&folder.path().join("journal.db")).unwrap();
    let plan = plan(&hosts(), vec![a_move("m1", "web", "h1", "h2")]);
    let first = journal.accept_reverse(&plan, &world()).unwrap().run;
    let second = journal.accept_after(first, &plan, &world()).unwrap().run;
    let chain = journal.chain(second).unwrap();
    assert!(chain[0].reverses() && !chain[1].reverses());
    journal
        .connection
        .execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM run WHERE seq = 1")
        .unwrap();
    let error = journal.chain(second).unwrap_err().to_string();
    assert!(error.contains("row 1 cannot be read"), "{error}");
}

#[test]
fn a_run_without_its_plan_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&folder.path().join("journal.db")).unwrap();
    let plan = plan(&hosts(), vec![a_move("m1", "web", "h1", "h2")]);
    journal
        .accept(&plan, None, Priority::Consolidation, &world())
        .unwrap();
    journal.append(RunId(1), skipped("m1")).unwrap();
    journal
        .connection
        .execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM event WHERE seq = 1")
        .unwrap();
    let error = journal.newest().unwrap_err().to_string();
    assert!(
        error.contains("row 1 cannot be read: it is gone"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_journal_of_this_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage");
    std::fs::write(
        &garbage,
        "not a database, but long enough to be read as one",
    )
    .unwrap();
    let error = Journal::open(&garbage).unwrap_err().to_string();
    assert!(error.contains("garbage: file is not a database"), "{error}");

    let theirs = folder.path().join("theirs.db");
    for version in [0, 2, 7] {
        let other = Connection::open(&theirs).unwrap();
        other
            .execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS note (text); PRAGMA user_version = {version};"
            ))
            .unwrap();
        drop(other);
        let before = std::fs::read(&theirs).unwrap();
        let error = Journal::open(&theirs).unwrap_err().to_string();
        assert!(error.contains("of something else"), "{error}");
        assert!(Journal::existing(&theirs).is_err());
        assert_eq!(std::fs::read(&theirs).unwrap(), before);
    }

    let newer = folder.path().join("newer.db");
    let journal = Journal::open(&newer).unwrap();
    journal
        .connection
        .pragma_update(None, "user_version", 7)
        .unwrap();
    drop(journal);
    let error = Journal::open(&newer).unwrap_err().to_string();
    assert!(
        error.ends_with("read schema version 7, expected 2"),
        "{error}"
    );
}
