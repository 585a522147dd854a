//! Azure's trace as SQLite holds it.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};
use vmpack_planner::import::azure::{Offer, Request};

use crate::cli::failure::Failure;
use crate::cli::sources;

/// The rows of `vm` and of `vmType`.
pub(super) fn azure(path: &Path) -> Result<(Vec<Request>, Vec<Offer>), Failure> {
    // SQLite would say of a missing file that it cannot be opened.
    std::fs::metadata(path).map_err(|e| sources::unreadable(path, &e))?;
    let wrong = |e: &rusqlite::Error| {
        Failure::input(format!(
            "{}: {e}, expected a SQLite file with the tables `vm` (vmId, vmTypeId, starttime, endtime) and `vmType` (vmTypeId, machineId, core, memory)",
            path.display()
        ))
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags).map_err(|e| wrong(&e))?;
    let requests = rows(
        &file,
        "SELECT vmId, vmTypeId, starttime, endtime FROM vm ORDER BY vmId",
        |row| {
            Ok(Request {
                id: row.get(0)?,
                kind: row.get(1)?,
                start: row.get(2)?,
                end: row.get(3)?,
            })
        },
    );
    let offers = rows(
        &file,
        "SELECT vmTypeId, machineId, core, memory FROM vmType ORDER BY id",
        |row| {
            Ok(Offer {
                kind: row.get(0)?,
                machine: row.get(1)?,
                core: row.get(2)?,
                memory: row.get(3)?,
            })
        },
    );
    Ok((
        requests.map_err(|e| wrong(&e))?,
        offers.map_err(|e| wrong(&e))?,
    ))
}

fn rows<T>(
    file: &Connection,
    query: &str,
    read: impl Fn(&Row) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut statement = file.prepare(query)?;
    let rows = statement.query_map([], |row| read(row))?;
    rows.collect()
}
