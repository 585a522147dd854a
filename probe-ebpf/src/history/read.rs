//! Reading a history: what each guest wanted between two moments.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmpack_domain::GuestName;
use vmpack_domain::Statistic;
use vmpack_domain::Tier;

use super::{HistoryError, identify, signed};
use crate::interval::{tier, worse};
use crate::sketch::Sketch;
use crate::tick::Dirty;

/// Rows that are read at once.
const PIECE: i64 = 4096;

/// The reading half; there may be many, in other processes too.
#[derive(Debug)]
pub(crate) struct Reader {
    file: PathBuf,
    connection: Connection,
}

/// Which part of the history, in Unix seconds, and into which steps it is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) since: u64,
    /// Exclusive.
    pub(crate) until: u64,
    /// The length of a step of the series, in seconds.
    pub(crate) step: u64,
    /// What a step says of its windows.
    pub(crate) statistic: Statistic,
}

/// What a history says of a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HistoryPart {
    /// Start of the span, in Unix seconds.
    pub(crate) since: u64,
    /// Its end, exclusive.
    pub(crate) until: u64,
    /// Every guest with a row in it.
    pub(crate) guests: Vec<GuestHistory>,
    /// Rows that were left out: their guest is missing, or they do not say what they must.
    #[serde(default)]
    pub(crate) rows_left_out: u64,
    /// When the host's overloads began, in microseconds of Unix time: the newest 10,000 of them.
    pub(crate) overloads_us: Vec<u64>,
}

/// One guest in that span.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GuestHistory {
    pub(crate) guest: GuestName,
    pub(crate) uuid: Uuid,
    pub(crate) vcpus: u32,
    /// The worst of its rows.
    pub(crate) tier: Tier,
    /// The start of its newest row, in Unix seconds.
    pub(crate) newest: u64,
    /// The time that its windows cover.
    pub(crate) span_us: u64,
    /// Demand on their mean, in thousandths of a core of speed 1.
    pub(crate) mean_mcores: u64,
    /// How often which demand: the bytes of a sketch, in hexadecimal digits.
    #[serde(with = "hexadecimal")]
    pub(crate) demands: Sketch,
    pub(crate) run_us: u64,
    pub(crate) run_delay_us: u64,
    pub(crate) throttled_us: u64,
    pub(crate) resident_mib: Option<u64>,
    /// The newest.
    pub(crate) dirty: Option<Dirty>,
    pub(crate) series: Series,
}

/// A guest's demand in each step; `None` where it was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Series {
    /// In seconds.
    pub(crate) step: u64,
    pub(crate) mcores: Vec<Option<u64>>,
}

impl Reader {
    /// Opens a history that exists, without the right to change it.
    ///
    /// # Errors
    /// When it is none, is newer than this program, or cannot be read.
    pub(crate) fn open(file: &Path) -> Result<Self, HistoryError> {
        match file.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(HistoryError::Missing(file.to_path_buf()));
            }
            Err(error) => return Err(HistoryError::Unread(file.to_path_buf(), error)),
            Ok(there) if !there.is_file() => return Err(HistoryError::NoFile(file.to_path_buf())),
            Ok(_) => {}
        }
        let failed = |error| HistoryError::Sqlite(file.to_path_buf(), error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
        connection
            .busy_timeout(Duration::from_secs(5))
            .map_err(failed)?;
        connection
            .pragma_update(None, "cache_size", -2048)
            .map_err(failed)?;
        identify(&connection, file)?;
        Ok(Self {
            file: file.to_path_buf(),
            connection,
        })
    }

    /// How many guests may have a row from that second on, at most.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn guests(&self, since: u64) -> Result<u64, HistoryError> {
        let seen = signed(since) - signed(super::DELETED_AT_ONCE);
        self.connection
            .query_row(
                "SELECT count(*) FROM guest WHERE seen >= ?1",
                [seen],
                |row| row.get(0),
            )
            .map(unsigned)
            .map_err(|error| HistoryError::Sqlite(self.file.clone(), error))
    }

    /// What it says of that span, guests in order of their names. `go_on` is asked now and then and
    /// ends the reading.
    ///
    /// # Errors
    /// When the file cannot be read or the reading was ended.
    pub(crate) fn read(
        &self,
        asked: Asked,
        go_on: impl Fn() -> bool,
    ) -> Result<HistoryPart, HistoryError> {
        self.try_read(asked, go_on)
            .map_err(|error| HistoryError::Sqlite(self.file.clone(), error))
    }

    /// Whether SQLite finds no fault in the file.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub(crate) fn is_whole(&self) -> Result<bool, HistoryError> {
        let said: rusqlite::Result<String> =
            self.connection
                .query_row("PRAGMA integrity_check", [], |row| row.get(0));
        said.map(|said| said == "ok")
            .map_err(|error| HistoryError::Sqlite(self.file.clone(), error))
    }

    fn try_read(&self, asked: Asked, go_on: impl Fn() -> bool) -> rusqlite::Result<HistoryPart> {
        let mut guests: BTreeMap<i64, Gathered> = BTreeMap::new();
        let mut after = (signed(asked.since), i64::MIN);
        while let Some(last) = self.read_piece(asked, after, &mut guests)? {
            if !go_on() {
                return Err(rusqlite::Error::QueryReturnedNoRows);
            }
            after = last;
        }
        let mut part = HistoryPart {
            since: asked.since,
            until: asked.until,
            guests: Vec::with_capacity(guests.len()),
            rows_left_out: 0,
            overloads_us: Vec::new(),
        };
        let mut names = self
            .connection
            .prepare_cached("SELECT name, uuid, vcpus FROM guest WHERE id = ?1")?;
        for (id, gathered) in guests {
            part.rows_left_out += gathered.left_out;
            let known = names
                .query_row([id], |row| {
                    let guest: (String, [u8; 16], u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok(guest)
                })
                .optional()?;
            let known = known.and_then(|(name, uuid, vcpus)| {
                let name: GuestName = name.parse().ok()?;
                Some((name, Uuid::from_bytes(uuid), vcpus))
            });
            match known {
                Some((name, uuid, vcpus)) => {
                    part.guests
                        .extend(gathered.finish(name, uuid, vcpus, asked));
                }
                None => part.rows_left_out += gathered.rows,
            }
        }
        part.guests
            .sort_by(|a, b| (&a.guest, a.uuid).cmp(&(&b.guest, b.uuid)));
        let span = [asked.since, asked.until].map(|s| signed(s.saturating_mul(1_000_000)));
        part.overloads_us = self
            .connection
            .prepare_cached(
                "SELECT at FROM overload WHERE at >= ?1 AND at < ?2 ORDER BY at DESC LIMIT 10000",
            )?
            .query_map(span, |row| row.get(0).map(unsigned))?
            .collect::<rusqlite::Result<_>>()?;
        part.overloads_us.reverse();
        Ok(part)
    }

    /// Adds the rows after that moment and guest, at most [`PIECE`]; gives the last of them if there
    /// may be more. Each piece is a view of the file of its own, so that a long reading does not keep
    /// the log from being emptied.
    fn read_piece(
        &self,
        asked: Asked,
        after: (i64, i64),
        guests: &mut BTreeMap<i64, Gathered>,
    ) -> rusqlite::Result<Option<(i64, i64)>> {
        let mut rows = self.connection.prepare_cached(
            "SELECT at, guest, span, windows, mean, max, demands, run, delay, tier, resident,
                    dirty, dirty_tier, dirty_at, throttled
             FROM load WHERE (at, guest) > (?1, ?2) AND at < ?3 ORDER BY at, guest LIMIT ?4",
        )?;
        let span = [after.0, after.1, signed(asked.until), PIECE];
        let mut rows = rows.query(span)?;
        let (mut seen, mut last) = (0, None);
        while let Some(row) = rows.next()? {
            seen += 1;
            last = Some((row.get(0)?, row.get(1)?));
            guests
                .entry(row.get(1)?)
                .or_insert_with(|| Gathered::new(asked))
                .take(row, asked)?;
        }
        Ok(last.filter(|_| seen == PIECE))
    }
}

/// What the rows of one guest add up to.
struct Gathered {
    /// How many, and those of them that do not say what they must.
    rows: u64,
    left_out: u64,
    tier: Tier,
    newest: u64,
    span_us: u64,
    windows: u64,
    /// Sum of mean × windows.
    wanted: u128,
    demands: Sketch,
    run_us: u64,
    run_delay_us: u64,
    throttled_us: u64,
    resident_mib: Option<u64>,
    dirty: Option<Dirty>,
    step: OpenStep,
    series: Vec<Option<u64>>,
}

/// The step that rows are being added to.
#[derive(Default)]
struct OpenStep {
    index: usize,
    windows: u64,
    wanted: u128,
    max: u64,
    demands: Sketch,
}

impl Gathered {
    fn new(asked: Asked) -> Self {
        let steps = (asked.until.saturating_sub(asked.since)).div_ceil(asked.step.max(1));
        Self {
            rows: 0,
            left_out: 0,
            tier: Tier::Ebpf,
            newest: 0,
            span_us: 0,
            windows: 0,
            wanted: 0,
            demands: Sketch::default(),
            run_us: 0,
            run_delay_us: 0,
            throttled_us: 0,
            resident_mib: None,
            dirty: None,
            step: OpenStep::default(),
            series: vec![None; usize::try_from(steps).unwrap_or_default()],
        }
    }

    fn take(&mut self, row: &rusqlite::Row<'_>, asked: Asked) -> rusqlite::Result<()> {
        let number = |column: usize| row.get::<_, i64>(column).map(unsigned);
        let optional = |column: usize| {
            row.get::<_, Option<i64>>(column)
                .map(|value| value.map(unsigned))
        };
        // What must be a number; SQLite lets any of them be a text.
        let (
            [Ok(at), Ok(span), Ok(windows), Ok(mean), Ok(max)],
            [Ok(run), Ok(delay), Ok(throttled), Ok(tier)],
            [Ok(resident), Ok(rate), Ok(rate_tier), Ok(rate_at)],
        ) = (
            [0, 2, 3, 4, 5].map(number),
            [7, 8, 14, 9].map(number),
            [10, 11, 12, 13].map(optional),
        )
        else {
            self.left_out += 1;
            return Ok(());
        };
        let blob = row.get_ref(6)?.as_blob().unwrap_or_default();
        // A row that does not say what it must is as good as none.
        let (Some(sketch), Some(tier)) = (Sketch::from_bytes(blob), known_tier(tier)) else {
            self.left_out += 1;
            return Ok(());
        };
        self.rows += 1;
        let wanted = u128::from(mean) * u128::from(windows);
        self.tier = worse(self.tier, tier);
        self.newest = at;
        self.span_us = self.span_us.saturating_add(span);
        self.windows = self.windows.saturating_add(windows);
        self.wanted = self.wanted.saturating_add(wanted);
        self.run_us = self.run_us.saturating_add(run);
        self.run_delay_us = self.run_delay_us.saturating_add(delay);
        self.throttled_us = self.throttled_us.saturating_add(throttled);
        self.resident_mib = resident.or(self.resident_mib);
        if let (Some(rate), Some(tier), Some(at)) = (rate, rate_tier.and_then(known_tier), rate_at)
        {
            self.dirty = Some(Dirty {
                pages_per_second: rate,
                tier,
                at,
            });
        }
        let index = (at - asked.since.min(at)) / asked.step.max(1);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        if index != self.step.index {
            self.end_step(asked.statistic);
            self.step.index = index;
        }
        self.step.windows = self.step.windows.saturating_add(windows);
        self.step.wanted = self.step.wanted.saturating_add(wanted);
        self.step.max = self.step.max.max(max);
        if !matches!(asked.statistic, Statistic::Mean | Statistic::Max) {
            self.step.demands.merge(&sketch);
        }
        self.demands.merge(&sketch);
        Ok(())
    }

    /// Puts down what the open step says.
    fn end_step(&mut self, statistic: Statistic) {
        let step = std::mem::take(&mut self.step);
        let percentile = |p| step.demands.percentile(p).map(|m| m.0);
        let value = match statistic {
            _ if step.windows == 0 => return,
            Statistic::Mean => Some(mean(step.wanted, step.windows)),
            Statistic::Max => Some(step.max),
            Statistic::P50 => percentile(50),
            Statistic::P90 => percentile(90),
            Statistic::P95 => percentile(95),
            Statistic::P99 => percentile(99),
        };
        if let Some(slot) = self.series.get_mut(step.index) {
            *slot = value;
        }
    }

    fn finish(
        mut self,
        guest: GuestName,
        uuid: Uuid,
        vcpus: u32,
        asked: Asked,
    ) -> Option<GuestHistory> {
        self.end_step(asked.statistic);
        (self.windows > 0).then(|| GuestHistory {
            guest,
            uuid,
            vcpus,
            tier: self.tier,
            newest: self.newest,
            span_us: self.span_us,
            mean_mcores: mean(self.wanted, self.windows),
            demands: self.demands,
            run_us: self.run_us,
            run_delay_us: self.run_delay_us,
            throttled_us: self.throttled_us,
            resident_mib: self.resident_mib,
            dirty: self.dirty,
            series: Series {
                step: asked.step,
                mcores: self.series,
            },
        })
    }
}

fn mean(wanted: u128, windows: u64) -> u64 {
    u64::try_from(wanted.div_ceil(u128::from(windows.max(1)))).unwrap_or(u64::MAX)
}

fn known_tier(number: u64) -> Option<Tier> {
    u8::try_from(number).ok().and_then(tier)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// A sketch in JSON.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::sketch::Sketch;

    pub(super) fn serialize<S: Serializer>(sketch: &Sketch, s: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write;
        let mut text = String::new();
        for byte in sketch.to_bytes() {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        s.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Sketch, D::Error> {
        let text = String::deserialize(d)?;
        let digit = |byte: &u8| {
            (*byte as char)
                .to_digit(16)
                .and_then(|n| u8::try_from(n).ok())
        };
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => Some(digit(high)? << 4 | digit(low)?),
                _ => None,
            })
            .collect();
        bytes
            .and_then(|bytes| Sketch::from_bytes(&bytes))
            .ok_or_else(|| de::Error::custom("read demands that are no sketch"))
    }
}
