//! Plain tables (CSV, fields apart by `,`, a header first, quotes as RFC 4180 has them).
//!
//! ```text
//! hosts   name, cpu, memory[, network][, speed][, state][, LABEL …]     h1,32cores,256GiB,,,on,r1
//! guests  name, vcpus, memory[, host][, cpu][, dirty][, movable]        web-1,4,8GiB,h1,1.5cores
//! load    guest, time, cpu                                             web-1,2026-01-05T00:00:00Z,1.2cores
//! ```
//!
//! Columns are known by their names, in any order; a column of hosts that is none of these is a label.
//! Amounts have their units, as in our own files. A guest without a host waits. Load takes equal steps of
//! time, the same for all guests; a `cpu` beside the guest is a demand that is always the same.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use vmpack_domain::load::{GuestLoad, jiff_serde::Timestamp};
use vmpack_domain::policy::Policy;
use vmpack_domain::units::{MiB, Micros, MilliCores};
use vmpack_domain::{Cluster, GuestName, HostName, Load};

use super::{ImportError, Imported, constant, guest, host, measured};

/// A table of which file is wrong, and how.
pub type Wrong = (Table, ImportError);

/// Which of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Of hosts.
    Hosts,
    /// Of guests.
    Guests,
    /// Of load.
    Load,
}

/// The longest step of load.
const LONGEST: Micros = Micros::secs(366 * 86_400);

/// Reads the tables.
///
/// # Errors
/// Which table, and its line: a column that is missing, what is no such amount, names that are there
/// twice or are not there, steps of time that are not equal.
pub fn read(hosts: &str, guests: &str, load: Option<&str>) -> Result<Imported, Wrong> {
    let mut cluster = Cluster {
        hosts: self::hosts(hosts).map_err(|e| (Table::Hosts, e))?,
        guests: Vec::new(),
    };
    let mut loads = Load::default();
    self::guests(guests, &mut cluster, &mut loads).map_err(|e| (Table::Guests, e))?;
    if let Some(load) = load {
        self::load(load, &cluster, &mut loads).map_err(|e| (Table::Load, e))?;
    }
    Ok(Imported {
        cluster,
        load: loads,
        policy: Policy::default(),
        left_out: Vec::new(),
    })
}

/// A row by the names of its columns.
struct Row<'h> {
    line: usize,
    header: &'h [String],
    fields: csv::StringRecord,
}

impl Row<'_> {
    /// The field of that column, unless it is empty or not there.
    fn text(&self, column: &str) -> Option<&str> {
        let at = self.header.iter().position(|h| h == column)?;
        self.fields.get(at).filter(|f| !f.is_empty())
    }

    fn get<T: FromStr>(&self, column: &str) -> Result<Option<T>, ImportError>
    where
        T::Err: std::fmt::Display,
    {
        let parsed = self.text(column).map(str::parse);
        parsed
            .transpose()
            .map_err(|e: T::Err| ImportError::at(self.line, format!("column {column}: {e}")))
    }

    fn need<T: FromStr>(&self, column: &str) -> Result<T, ImportError>
    where
        T::Err: std::fmt::Display,
    {
        self.get(column)?.ok_or_else(|| {
            ImportError::at(
                self.line,
                format!("column {column} is empty, expected a value"),
            )
        })
    }

    /// One of a few words.
    fn word<T: Copy>(&self, column: &str, words: &[(&str, T)]) -> Result<Option<T>, ImportError> {
        let Some(text) = self.text(column) else {
            return Ok(None);
        };
        let known = words.iter().find(|w| w.0 == text).map(|w| w.1);
        known.map(Some).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|w| w.0).collect();
            ImportError::at(
                self.line,
                format!(
                    "column {column}: read `{text}`, expected one of {}",
                    words.join(", ")
                ),
            )
        })
    }
}

/// Each row of a table that has at least these columns.
fn rows(
    text: &str,
    needed: &[&str],
    mut each: impl FnMut(&Row) -> Result<(), ImportError>,
) -> Result<Vec<String>, ImportError> {
    // The reader counts a line that ends in CR LF where the next one begins.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    if text.trim().is_empty() {
        return Err(ImportError::at(
            1,
            format!(
                "the file is empty, expected a header with {}",
                needed.join(", ")
            ),
        ));
    }
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let wrong = |e: &csv::Error| {
        let line = e.position().map_or(1, csv::Position::line);
        let what = match e.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!("read {len} fields, expected {expected_len} as in the header"),
            other => format!("{other:?}"),
        };
        ImportError::at(usize::try_from(line).unwrap_or(1), what)
    };
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(str::to_owned).collect(),
        Err(error) => return Err(wrong(&error)),
    };
    for (i, column) in header.iter().enumerate() {
        if !column.is_empty() && header[..i].contains(column) {
            return Err(ImportError::at(
                1,
                format!("read the column `{column}` a second time, expected unique columns"),
            ));
        }
    }
    for column in needed {
        if !header.iter().any(|h| h == column) {
            return Err(ImportError::at(
                1,
                format!(
                    "read the columns {}, expected {} among them",
                    header.join(", "),
                    needed.join(", ")
                ),
            ));
        }
    }
    for fields in reader.records() {
        let fields = fields.map_err(|e| wrong(&e))?;
        let line = fields.position().map_or(1, csv::Position::line);
        each(&Row {
            line: usize::try_from(line).unwrap_or(1),
            header: &header,
            fields,
        })?;
    }
    Ok(header)
}

const HOST_COLUMNS: [&str; 6] = ["name", "cpu", "memory", "network", "speed", "state"];

fn hosts(text: &str) -> Result<Vec<vmpack_domain::Host>, ImportError> {
    use vmpack_domain::HostState::{Asleep, Drain, On, Out};
    let states = [
        ("on", On),
        ("asleep", Asleep),
        ("out", Out),
        ("drain", Drain),
    ];
    let mut hosts = Vec::new();
    let mut known = BTreeMap::new();
    rows(text, &["name", "cpu", "memory"], |row| {
        let name: HostName = row.need("name")?;
        if let Some(first) = known.insert(name.clone(), row.line) {
            return Err(twice(row.line, name.as_str(), first));
        }
        let mut read = host(name, row.need("cpu")?, row.need("memory")?);
        read.network = row.get("network")?.unwrap_or(read.network);
        read.speed = row.get("speed")?.unwrap_or(read.speed);
        read.state = row.word("state", &states)?.unwrap_or(read.state);
        for column in row.header {
            let is_label = !HOST_COLUMNS.contains(&column.as_str()) && !column.is_empty();
            if let Some(value) = row.text(column).filter(|_| is_label) {
                read.labels.insert(column.clone(), value.to_owned());
            }
        }
        hosts.push(read);
        Ok(())
    })?;
    Ok(hosts)
}

fn twice(line: usize, name: &str, first: usize) -> ImportError {
    ImportError::at(
        line,
        format!("read `{name}` a second time (first in line {first}), expected unique names"),
    )
}

fn guests(text: &str, cluster: &mut Cluster, load: &mut Load) -> Result<(), ImportError> {
    let mut known = BTreeMap::new();
    let columns = ["name", "vcpus", "memory", "host", "cpu", "dirty", "movable"];
    let header = rows(text, &["name", "vcpus", "memory"], |row| {
        let name: GuestName = row.need("name")?;
        if let Some(first) = known.insert(name.clone(), row.line) {
            return Err(twice(row.line, name.as_str(), first));
        }
        let text: String = row.need("vcpus")?;
        let vcpus: u32 = text.parse().map_err(|_| {
            ImportError::at(
                row.line,
                format!("column vcpus: read `{text}`, expected a whole number such as `4`"),
            )
        })?;
        let memory: MiB = row.need("memory")?;
        if vcpus == 0 || memory.0 == 0 {
            return Err(ImportError::at(
                row.line,
                "read a guest with no vCPU or no memory, expected some of each",
            ));
        }
        let on: Option<HostName> = row.get("host")?;
        if let Some(on) = on.as_ref().filter(|h| cluster.host(h).is_none()) {
            return Err(ImportError::at(
                row.line,
                format!("column host: read `{on}`, expected a host of the other table"),
            ));
        }
        let mut read = guest(name.clone(), vcpus, memory, on);
        let words = [
            ("yes", true),
            ("true", true),
            ("no", false),
            ("false", false),
        ];
        read.movable = row.word("movable", &words)?.unwrap_or(true);
        let cpu: Option<MilliCores> = row.get("cpu")?;
        let mut of = cpu.map_or_else(GuestLoad::default, constant);
        of.dirty = row.get("dirty")?;
        if of != GuestLoad::default() {
            load.guests.insert(name, of);
        }
        cluster.guests.push(read);
        Ok(())
    })?;
    only(&header, &columns)
}

/// Refuses a column that is none of these.
fn only(header: &[String], columns: &[&str]) -> Result<(), ImportError> {
    match header.iter().find(|h| !columns.contains(&h.as_str())) {
        Some(other) => Err(ImportError::at(
            1,
            format!("read a column `{other}`, expected {}", columns.join(", ")),
        )),
        None => Ok(()),
    }
}

fn load(text: &str, cluster: &Cluster, load: &mut Load) -> Result<(), ImportError> {
    let mut series: BTreeMap<GuestName, BTreeMap<jiff::Timestamp, (usize, MilliCores)>> =
        BTreeMap::new();
    let known: BTreeSet<&GuestName> = cluster.guests.iter().map(|g| &g.name).collect();
    let columns = ["guest", "time", "cpu"];
    let header = rows(text, &columns, |row| {
        let name: GuestName = row.need("guest")?;
        if !known.contains(&name) {
            return Err(ImportError::at(
                row.line,
                format!("column guest: read `{name}`, expected a guest of the other table"),
            ));
        }
        let text: String = row.need("time")?;
        let time: jiff::Timestamp = text.parse().map_err(|_| {
            ImportError::at(
                row.line,
                format!(
                    "column time: read `{text}`, expected a time such as `2026-01-05T00:00:00Z`"
                ),
            )
        })?;
        let cpu: MilliCores = row.need("cpu")?;
        let of = series.entry(name.clone()).or_default();
        match of.insert(time, (row.line, cpu)) {
            Some((first, _)) => Err(twice(row.line, &format!("{name} at {text}"), first)),
            None => Ok(()),
        }
    })?;
    only(&header, &columns)?;
    let times: Vec<jiff::Timestamp> = series.values().flat_map(|s| s.keys().copied()).collect();
    let (Some(start), Some(end)) = (times.iter().min(), times.iter().max()) else {
        return Ok(());
    };
    // The first two of the guest with the most times tell the step.
    let longest = series.values().max_by_key(|s| s.len());
    let mut first = longest.into_iter().flat_map(|s| s.keys());
    let step = match (first.next(), first.next()) {
        (Some(a), Some(b)) => b.duration_since(*a),
        _ => jiff::SignedDuration::from_secs(300),
    };
    let micros = u64::try_from(step.as_micros()).unwrap_or(0).max(1);
    if Micros(micros) > LONGEST {
        return Err(ImportError::at(
            1,
            format!(
                "read times {} apart, expected {LONGEST} at most",
                Micros(micros)
            ),
        ));
    }
    let count = end.duration_since(*start).as_micros() / i128::from(micros) + 1;
    for (name, values) in series {
        let mut at = *start;
        for (time, (line, _)) in &values {
            if *time != at {
                return Err(ImportError::at(
                    *line,
                    format!("read {name} at {time}, expected {at}: equal steps, the same for all"),
                ));
            }
            at = at.checked_add(step).unwrap_or(jiff::Timestamp::MAX);
        }
        if values.len() as i128 != count {
            let line = values.values().map(|v| v.0).max().unwrap_or(1);
            return Err(ImportError::at(
                line,
                format!(
                    "read {} times of {name}, expected {count} as of the others",
                    values.len()
                ),
            ));
        }
        let values = values.into_values().map(|v| v.1).collect();
        let of = load.guests.entry(name).or_default();
        of.cpu = Some(measured(values, Timestamp(*start), Micros(micros)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::HostState;
    use vmpack_domain::load::Statistic;
    use vmpack_domain::units::MiBPerSec;

    const HOSTS: &str = "name,cpu,memory,network,state,rack\nh1,8cores,16GiB,100MiB/s,on,\"r,1\"\nh2,8cores,16GiB,,drain,\n";
    const GUESTS: &str =
        "memory,name,vcpus,host,cpu,movable\n2GiB,a,2,h1,0.5cores,no\n4GiB,b,1,,,\n";
    const LOAD: &str =
        "guest,time,cpu\nb,2026-01-05T00:00:00Z,0.1cores\nb,2026-01-05T00:10:00Z,0.3cores\n";

    #[test]
    fn tables_become_a_cluster_and_its_load() {
        let imported = read(HOSTS, GUESTS, Some(LOAD)).unwrap();
        let hosts = &imported.cluster.hosts;
        assert_eq!(hosts[0].labels["rack"], "r,1");
        assert_eq!(hosts[0].network, MiBPerSec(100));
        assert_eq!(
            (hosts[1].state, hosts[1].network),
            (HostState::Drain, super::super::LINK)
        );
        assert!(hosts[1].labels.is_empty());
        let guests = &imported.cluster.guests;
        assert_eq!(guests[0].host, Some("h1".parse().unwrap()));
        assert!(!guests[0].movable && guests[1].movable && guests[1].host.is_none());
        let cpu = |guest: &str| imported.load.guests[guest].cpu.as_ref().unwrap();
        assert_eq!(cpu("a").stated(Statistic::Max), Some(MilliCores(500)));
        let windows = cpu("b").windows.as_ref().unwrap();
        assert_eq!(windows.step, Micros::secs(600));
        assert_eq!(windows.values, [MilliCores(100), MilliCores(300)]);
        assert!(read(HOSTS, GUESTS, None).unwrap().load.guests.len() == 1);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_table_and_line() {
        let check = |(table, from, to, says): (Table, &str, &str, &str)| {
            let edited = |of: Table, text: &str| {
                if of == table {
                    assert!(text.contains(from), "{from}");
                    text.replacen(from, to, 1)
                } else {
                    text.to_owned()
                }
            };
            let wrong = read(
                &edited(Table::Hosts, HOSTS),
                &edited(Table::Guests, GUESTS),
                Some(&edited(Table::Load, LOAD)),
            );
            let (of, error) = wrong.unwrap_err();
            assert_eq!(of, table, "{error}");
            assert!(error.to_string().starts_with(says), "{error}");
        };
        [
            (
                Table::Hosts,
                "16GiB",
                "16GB",
                "2:1: column memory: read `16GB`",
            ),
            (
                Table::Hosts,
                "cpu,",
                "cores,",
                "1:1: read the columns name, cores",
            ),
            (
                Table::Hosts,
                "drain",
                "dry",
                "3:1: column state: read `dry`",
            ),
            (
                Table::Hosts,
                "h2,",
                "h1,",
                "3:1: read `h1` a second time (first in line 2)",
            ),
            (
                Table::Hosts,
                "h2,8cores",
                "h2",
                "3:1: read 5 fields, expected 6",
            ),
            (
                Table::Guests,
                "a,2,h1",
                "a,2,h9",
                "2:1: column host: read `h9`",
            ),
            (
                Table::Guests,
                "b,1",
                "b,0",
                "3:1: read a guest with no vCPU",
            ),
            (
                Table::Guests,
                "movable",
                "moveable",
                "1:1: read a column `moveable`",
            ),
            (
                Table::Load,
                "b,2026",
                "c,2026",
                "2:1: column guest: read `c`",
            ),
            (Table::Load, "00:10:00Z", "noon", "3:1: column time: read"),
            (Table::Load, "0.3cores", "", "3:1: column cpu is empty"),
        ]
        .into_iter()
        .for_each(check);
    }

    #[test]
    fn steps_of_time_are_equal_and_the_same_for_all() {
        let more = format!("{LOAD}b,2026-01-05T00:15:00Z,0.3cores\n");
        let (_, error) = read(HOSTS, GUESTS, Some(&more)).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("4:1: read b at 2026-01-05T00:15:00Z")
        );
        let other = format!("{LOAD}a,2026-01-05T00:00:00Z,0.3cores\n");
        let (_, error) = read(HOSTS, GUESTS, Some(&other)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "4:1: read 1 times of a, expected 2 as of the others"
        );
    }
}
