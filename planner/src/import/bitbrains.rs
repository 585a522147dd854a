//! Bitbrains' traces (the Grid Workloads Archive's GWA-T-12): a file for each virtual machine, a row
//! every five minutes, fields apart by `;` and a tab, a header first:
//!
//! ```text
//! Timestamp [ms]; CPU cores; CPU capacity provisioned [MHZ]; CPU usage [MHZ]; CPU usage [%];
//! Memory capacity provisioned [KB]; Memory usage [KB]; Disk read ...; ... [4 fields of throughput]
//! ```
//!
//! Times are since 1970, in milliseconds as the archive says or in seconds as its files have them: told
//! apart by their size. CPU is counted in cores of the fastest machine's clock (capacity ÷ cores), so
//! that none wants more than its vCPUs. Rows fall into windows of five minutes, in which they are
//! averaged; a window without a row holds what was last seen, one before the first row what is first
//! seen. The archive knows no hosts: they are told.

use std::collections::BTreeMap;

use vmpack_domain::load::{GuestLoad, jiff_serde::Timestamp};
use vmpack_domain::policy::Policy;
use vmpack_domain::units::{MiB, Micros, MilliCores};
use vmpack_domain::{Cluster, Load};

use super::{ImportError, Imported, LeftOut, Sized, guest, measured, thousandths_up};

/// The length of a window.
pub const STEP: Micros = Micros::secs(300);
/// From here on a time is in milliseconds: as seconds it would be beyond the year 5000.
const MILLISECONDS: f64 = 1e11;
/// The most windows: ten years.
const MOST: usize = 1_051_200;

/// One machine's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// The name of its file, without `.csv`.
    pub name: String,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    /// Seconds since 1970.
    time: f64,
    cores: f64,
    /// MHz of all cores.
    capacity: f64,
    /// MHz.
    usage: f64,
    /// KB.
    memory: f64,
}

/// Reads one file.
///
/// # Errors
/// With the line: fields that are missing or no numbers, or no row at all.
pub fn machine(name: &str, text: &str) -> Result<Machine, ImportError> {
    let mut lines = text.lines().enumerate();
    match lines.next() {
        Some((_, header))
            if header
                .trim_start_matches('\u{feff}')
                .starts_with("Timestamp") => {}
        other => {
            return Err(ImportError::at(
                1,
                format!(
                    "read `{}`, expected the header `Timestamp [ms];\tCPU cores;\t…`",
                    other.map_or("", |l| l.1)
                ),
            ));
        }
    }
    let mut rows = Vec::new();
    for (i, line) in lines.filter(|l| !l.1.trim().is_empty()) {
        let fields: Vec<&str> = line.split(';').map(str::trim).collect();
        if fields.len() < 7 {
            return Err(ImportError::at(
                i + 1,
                format!("read {} fields apart by `;`, expected 11", fields.len()),
            ));
        }
        let number = |at: usize, what: &str| {
            let number = fields[at].parse::<f64>().ok();
            let number = number.filter(|n| n.is_finite() && *n >= 0.0);
            number.ok_or_else(|| {
                ImportError::at(
                    i + 1,
                    format!(
                        "read `{}` as {what}, expected a number from 0 on",
                        fields[at]
                    ),
                )
            })
        };
        let time = number(0, "the time")?;
        rows.push(Row {
            time: if time >= MILLISECONDS {
                time / 1000.0
            } else {
                time
            },
            cores: number(1, "the CPU cores")?,
            capacity: number(2, "the CPU capacity in MHz")?,
            usage: number(3, "the CPU usage in MHz")?,
            memory: number(5, "the memory in KB")?,
        });
    }
    if rows.is_empty() {
        return Err(ImportError::at(2, "read the end, expected a row"));
    }
    rows.sort_by(|a, b| a.time.total_cmp(&b.time));
    Ok(Machine {
        name: name.to_owned(),
        rows,
    })
}

/// The machines as guests that wait, on hosts of that size.
///
/// # Errors
/// When a name is none or there twice, or the rows span more than ten years.
pub fn import(machines: &[Machine], hosts: Sized) -> Result<Imported, ImportError> {
    let all = || machines.iter().flat_map(|m| &m.rows);
    let first = all().map(|r| r.time).fold(f64::INFINITY, f64::min);
    let last = all().map(|r| r.time).fold(0.0, f64::max);
    let step = STEP.to_std().as_secs_f64();
    let start = (first / step).floor() * step;
    let windows = whole((last - start) / step) + 1;
    if windows > MOST || machines.is_empty() {
        return Err(ImportError::new(format!(
            "read {} machines over {windows} windows of five minutes, expected one or more over {MOST} at most",
            machines.len()
        )));
    }
    let clock = |r: &Row| r.capacity / r.cores;
    let fastest = all().filter(|r| r.cores > 0.0).map(clock);
    let fastest = fastest.fold(0.0, f64::max);
    let start_at = vmpack_time(start)?;
    let mut cluster = Cluster {
        hosts: hosts.hosts(),
        guests: Vec::new(),
    };
    let mut load = Load::default();
    let (mut empty, mut held) = (0, 0);
    let mut names = BTreeMap::new();
    for machine in machines {
        let largest = |of: fn(&Row) -> f64| machine.rows.iter().map(of).fold(0.0, f64::max);
        let vcpus = whole(largest(|r| r.cores));
        let memory = whole((largest(|r| r.memory) / 1024.0).ceil());
        if vcpus == 0 || memory == 0 || fastest <= 0.0 {
            empty += 1;
            continue;
        }
        let name: vmpack_domain::GuestName = machine
            .name
            .parse()
            .map_err(|e| ImportError::new(format!("{e}")))?;
        if names.insert(name.clone(), ()).is_some() {
            return Err(ImportError::new(format!(
                "read a second file named {name}, expected unique names"
            )));
        }
        let (values, without) = in_windows(machine, (start, step, windows), fastest);
        held += without;
        let vcpus = u32::try_from(vcpus).unwrap_or(u32::MAX);
        let memory = MiB(memory as u64);
        cluster
            .guests
            .push(guest(name.clone(), vcpus, memory, None));
        let of = GuestLoad {
            cpu: Some(measured(values, start_at, STEP)),
            ..GuestLoad::default()
        };
        load.guests.insert(name, of);
    }
    let left = |what: &str, count: usize, why: &str| LeftOut {
        what: what.into(),
        count,
        why: why.into(),
    };
    let left_out = [
        left("machine", empty, "it has no cores or no memory"),
        left(
            "window without a row",
            held,
            "it holds what was seen before it, or first after it",
        ),
    ];
    Ok(Imported {
        cluster,
        load,
        policy: Policy::default(),
        left_out: left_out.into_iter().filter(|l| l.count > 0).collect(),
    })
}

/// The mean of each window's rows, and how many windows have none.
fn in_windows(
    machine: &Machine,
    (start, step, windows): (f64, f64, usize),
    clock: f64,
) -> (Vec<MilliCores>, usize) {
    let mut sums = vec![(0.0, 0u32); windows];
    for row in &machine.rows {
        let at = whole((row.time - start) / step).min(windows - 1);
        sums[at].0 += row.usage / clock;
        sums[at].1 += 1;
    }
    let mut last = machine.rows[0].usage / clock;
    let mut without = 0;
    let values = sums.into_iter().map(|(sum, count)| {
        if count > 0 {
            last = sum / f64::from(count);
        } else {
            without += 1;
        }
        MilliCores(thousandths_up(last))
    });
    let values = values.collect();
    (values, without)
}

/// Rounded down.
fn whole(value: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 and 10^12"
    )]
    let n = value.clamp(0.0, 1e12) as usize;
    n
}

fn vmpack_time(seconds: f64) -> Result<Timestamp, ImportError> {
    let seconds = i64::try_from(whole(seconds)).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds)
        .map(Timestamp)
        .map_err(|_| ImportError::new(format!("read a time of {seconds} s, which is no date")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::load::Statistic;

    const HEADER: &str = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\tMemory capacity provisioned [KB];\tMemory usage [KB];\tDisk read throughput [KB/s];\tDisk write throughput [KB/s];\tNetwork received throughput [KB/s];\tNetwork transmitted throughput [KB/s]\n";

    fn row(time: u64, cores: u32, capacity: f64, usage: f64, memory: f64) -> String {
        format!("{time};\t{cores};\t{capacity};\t{usage};\t0;\t{memory};\t0;\t0;\t0;\t0;\t0\n")
    }

    const HOSTS: Sized = Sized {
        count: 2,
        cpu: MilliCores(16_000),
        memory: MiB(65_536),
    };

    #[test]
    fn rows_fall_into_windows_and_gaps_hold() {
        let a = HEADER.to_owned()
            + &row(1_376_314_846, 4, 11_704.0, 2926.0, 4_194_304.0)
            + &row(1_376_315_146, 4, 11_704.0, 5852.0, 4_194_304.0)
            // Two in one window.
            + &row(1_376_315_150, 4, 11_704.0, 8778.0, 4_194_304.0)
            // A window is left out.
            + &row(1_376_315_746, 4, 11_704.0, 0.0, 4_194_304.0);
        // In milliseconds, half as fast, and later.
        let b = HEADER.to_owned() + &row(1_376_315_146_000, 2, 2926.0, 1463.0, 2_097_152.5);
        let none = HEADER.to_owned() + &row(1_376_315_146, 0, 0.0, 0.0, 0.0);
        let machines = [
            machine("1", &a).unwrap(),
            machine("2", &b).unwrap(),
            machine("3", &none).unwrap(),
        ];
        let imported = import(&machines, HOSTS).unwrap();
        assert_eq!(imported.cluster.hosts.len(), 2);
        let sizes: Vec<_> = imported
            .cluster
            .guests
            .iter()
            .map(|g| (g.name.as_str(), g.vcpus, g.memory.0))
            .collect();
        assert_eq!(sizes, [("1", 4, 4096), ("2", 2, 2049)]);
        let cpu = imported.load.guests["1"].cpu.as_ref().unwrap();
        let windows = cpu.windows.as_ref().unwrap();
        assert_eq!(windows.start.0.to_string(), "2013-08-12T13:40:00Z");
        assert_eq!(
            windows.values,
            [1000, 2500, 2500, 0].map(MilliCores),
            "in cores of 2926 MHz"
        );
        assert_eq!(cpu.stated(Statistic::Max), Some(MilliCores(2500)));
        let late = imported.load.guests["2"].cpu.as_ref().unwrap();
        assert_eq!(
            late.windows.as_ref().unwrap().values,
            [500; 4].map(MilliCores)
        );
        let left: Vec<(&str, usize)> = imported
            .left_out
            .iter()
            .map(|l| (l.what.as_str(), l.count))
            .collect();
        assert_eq!(left, [("machine", 1), ("window without a row", 4)]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let wrong = |text: &str| machine("1", text).unwrap_err().to_string();
        assert!(wrong("1;2\n").starts_with("1:1: read `1;2`, expected the header"));
        assert!(wrong(HEADER).starts_with("2:1: read the end"));
        let short = HEADER.to_owned() + "1;2;3\n";
        assert_eq!(
            wrong(&short),
            "2:1: read 3 fields apart by `;`, expected 11"
        );
        let bad = HEADER.to_owned() + &row(1, 1, 1.0, 1.0, 1.0) + "1;1;1;fast;0;1;1;0;0;0;0\n";
        assert!(wrong(&bad).starts_with("3:1: read `fast` as the CPU usage in MHz"));
    }
}
