//! What `vmpack whatif` can be asked.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use vmpack_domain::GuestName;
use vmpack_domain::load::Statistic;
use vmpack_domain::units::{MiB, Micros, MilliCores, Permille, Ratio};

use super::{InputArguments, LimitArguments};

pub(super) const EXAMPLES: &str = "\
Examples:
  vmpack whatif --cluster cluster.yaml --load load.yaml --drain h3
  vmpack whatif --cluster cluster.yaml --load load.yaml --fail h1 --fail rack=r2
  vmpack whatif --cluster cluster.yaml --load load.yaml --scale-load 1.2 --scale-load 'web-*=1.5'
  vmpack whatif --cluster cluster.yaml --load load.yaml --scale-load 1.0..2.0/0.1 --curve curve.svg
  vmpack whatif --cluster cluster.yaml --load load.yaml --add-hosts 2,32cores,256GiB --headroom 15%
  vmpack whatif --cluster cluster.yaml --load load.yaml --change-hosts h1=64cores,512GiB
  vmpack whatif --cluster cluster.yaml --load load.yaml --add-guests new.yaml --copy-guest web-1,10
  vmpack whatif --cluster cluster.yaml --load load.yaml --scenario friday.yaml --json
  vmpack whatif --cluster cluster.yaml --load load.yaml --drain h3 --report drained.html
  vmpack whatif --cluster cluster.yaml --load load.yaml --losses 2      which pairs of hosts?

Nothing is written but what is asked for: copies are changed in memory, by the scenario's edits first,
then by those given here, load last, and planned as `vmpack plan` does. All is changed together; a range
FROM..TO/STEP, of which there may be one, is asked value by value, as many at once as there are cores.
A search takes 1.5 s at most, unless --time-limit or --nodes says otherwise.

With --losses, every host keeps its room and every rule holds, but for spare, max-moves, limits.moves and
the cooldown, which an emergency does not ask. Exits with 8 when a loss is not survived even with others
moving, and with 5 when that is open for some.

A scenario is a file of `kind: Scenario`; examples/scenario.yaml shows every edit.";

/// The most values of a range.
const VALUES: u64 = 200;

#[derive(Debug, Args)]
pub(crate) struct WhatifArguments {
    #[command(flatten)]
    pub(crate) inputs: InputArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    #[command(flatten)]
    pub(crate) edits: EditArguments,
    /// Draw a range's answers as SVG into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) curve: Option<PathBuf>,
    /// Write the answer as a page that holds all in itself, with pictures, into this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["curve", "losses"])]
    pub(crate) report: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is changed; all that is given is changed together.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct EditArguments {
    /// Ask, instead of for a plan, whether the loss of any so many hosts, 1 or 2, is survived, after the
    /// edits if there are any: all guests restarted on the rest, and the same with others moving
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) losses: Option<u8>,
    /// Make the edits of this scenario file, before all others
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Vec<PathBuf>,
    /// Empty these hosts for maintenance: a name, a pattern with `*`, or `label=value`
    #[arg(long, value_name = "HOST")]
    pub(crate) drain: Vec<String>,
    /// These hosts are gone; their guests must be started elsewhere
    #[arg(long, value_name = "HOST")]
    pub(crate) fail: Vec<String>,
    /// Add so many hosts of that size, such as `2,32cores,256GiB`
    #[arg(long, value_name = "N,CPU,MEMORY")]
    pub(crate) add_hosts: Vec<NewHosts>,
    /// Give these hosts other cores and memory, such as `h1=64cores,512GiB` or `rack=r1=64cores,512GiB`
    #[arg(long, value_name = "HOST=CPU,MEMORY")]
    pub(crate) change_hosts: Vec<ChangedHosts>,
    /// Add the guests of this cluster file; a load file may be given in the same way
    #[arg(long, value_name = "FILE")]
    pub(crate) add_guests: Vec<PathBuf>,
    /// Add so many guests like one that is there, such as `web-1,10`
    #[arg(long, value_name = "GUEST,N")]
    pub(crate) copy_guest: Vec<Copied>,
    /// Take these guests away: a name, or a pattern with `*`
    #[arg(long, value_name = "GUEST")]
    pub(crate) remove_guests: Vec<String>,
    /// Keep another share of every host's CPU free, such as `15%`, or a range such as `0%..30%/5%`
    #[arg(long, value_name = "SHARE")]
    pub(crate) headroom: Option<Series<Permille>>,
    /// Keep another share of every host's memory free; or a range
    #[arg(long, value_name = "SHARE")]
    pub(crate) memory_headroom: Option<Series<Permille>>,
    /// Promise so many vCPUs per core; or a range such as `1..8/1`
    #[arg(long, value_name = "N")]
    pub(crate) over_commit: Option<Series<Ratio>>,
    /// Pack another statistic: mean, p50, p90, p95, p99 or max
    #[arg(long, value_name = "NAME", value_parser = statistic)]
    pub(crate) statistic: Option<Statistic>,
    /// Count demand window by window, all guests of a host together
    #[arg(long)]
    pub(crate) joint: bool,
    /// Drop the rule of this name
    #[arg(long, value_name = "RULE")]
    pub(crate) drop_rule: Vec<String>,
    /// Add the rules of this policy file
    #[arg(long, value_name = "FILE")]
    pub(crate) add_rules: Vec<PathBuf>,
    /// Let the load of guests come later, such as `batch-*=6h`, or of all: `6h`; where demand is counted
    /// window by window, by the policy or with --joint
    #[arg(long, value_name = "[GUEST=]TIME")]
    pub(crate) shift_load: Vec<Shifted>,
    /// Multiply measured CPU demand and dirty rate, such as `1.2`, of some guests `web-*=1.5`, or a range
    /// `1.0..2.0/0.1`
    #[arg(long, value_name = "[GUEST=]FACTOR")]
    pub(crate) scale_load: Vec<Scaled>,
}

fn statistic(text: &str) -> Result<Statistic, String> {
    let known = Statistic::ALL.into_iter().find(|s| s.name() == text);
    let names = Statistic::ALL.map(Statistic::name).join(", ");
    known.ok_or_else(|| format!("expected one of {names}"))
}

/// One value, or several at equal steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Series<T>(pub(crate) Vec<T>);

impl<T: FromStr + Steps + Copy> FromStr for Series<T>
where
    T::Err: std::fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |text: &str| text.trim().parse::<T>().map_err(|e| e.to_string());
        let Some((from, rest)) = text.split_once("..") else {
            return Ok(Self(vec![one(text)?]));
        };
        let Some((to, step)) = rest.split_once('/') else {
            return Err(format!(
                "read a range `{text}` without a step, expected FROM..TO/STEP such as `{}`",
                T::EXAMPLE
            ));
        };
        let (from, to, step) = (one(from)?.raw(), one(to)?.raw(), one(step)?.raw());
        if step == 0 || to < from {
            return Err(format!(
                "read a range `{text}`, expected one that rises by a step above zero, such as `{}`",
                T::EXAMPLE
            ));
        }
        if (to - from) / step >= VALUES {
            return Err(format!(
                "read a range `{text}` of more than {VALUES} values, expected a larger step"
            ));
        }
        let values = (0..=(to - from) / step).map(|i| T::of(from + i * step));
        Ok(Self(values.collect()))
    }
}

/// A quantity as its whole number, and back.
pub(crate) trait Steps {
    /// A range as one would type it.
    const EXAMPLE: &'static str;
    fn raw(self) -> u64;
    fn of(raw: u64) -> Self;
}

impl Steps for Ratio {
    const EXAMPLE: &'static str = "1.0..2.0/0.1";
    fn raw(self) -> u64 {
        self.0
    }
    fn of(raw: u64) -> Self {
        Self(raw)
    }
}

impl Steps for Permille {
    const EXAMPLE: &'static str = "0%..30%/5%";
    fn raw(self) -> u64 {
        self.0
    }
    fn of(raw: u64) -> Self {
        Self(raw)
    }
}

/// Guests, all where there are none, and a factor or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scaled {
    pub(crate) guests: Vec<String>,
    pub(crate) by: Series<Ratio>,
}

/// `GUEST=VALUE` or `VALUE`.
fn named(text: &str) -> (Vec<String>, &str) {
    match text.rsplit_once('=') {
        Some((guest, value)) => (vec![guest.to_owned()], value),
        None => (Vec::new(), text),
    }
}

impl FromStr for Scaled {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (guests, by) = named(text);
        Ok(Self {
            guests,
            by: by.parse()?,
        })
    }
}

/// Guests, all where there are none, and a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shifted {
    pub(crate) guests: Vec<String>,
    pub(crate) by: Micros,
}

impl FromStr for Shifted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (guests, by) = named(text);
        Ok(Self {
            guests,
            by: by.parse().map_err(|e| format!("{e}"))?,
        })
    }
}

/// A guest and how many more like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) of: GuestName,
    pub(crate) count: u32,
}

impl FromStr for Copied {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((of, count)) = text.rsplit_once(',') else {
            return Err("expected a guest and a number such as `web-1,10`".into());
        };
        Ok(Self {
            of: of.trim().parse().map_err(|e| format!("{e}"))?,
            count: number(count.trim())?,
        })
    }
}

pub(super) fn number(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|n| (1..=100_000).contains(n));
    number.ok_or_else(|| format!("read `{text}`, expected a number from 1 to 100000"))
}

/// Hosts of one size that are to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewHosts {
    pub(crate) count: u32,
    pub(crate) cpu: MilliCores,
    pub(crate) memory: MiB,
}

impl FromStr for NewHosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let &[count, cpu, memory] = parts.as_slice() else {
            return Err("expected a number, cores and memory such as `2,32cores,256GiB`".into());
        };
        let hosts = Self {
            count: number(count)?,
            cpu: cpu.parse().map_err(|e| format!("{e}"))?,
            memory: memory.parse().map_err(|e| format!("{e}"))?,
        };
        if hosts.cpu.0 == 0 || hosts.memory.0 == 0 {
            return Err(format!(
                "read a host of {cpu} and {memory}, expected more than zero of each"
            ));
        }
        Ok(hosts)
    }
}

/// Hosts, and the size that they are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChangedHosts {
    pub(crate) hosts: String,
    pub(crate) cpu: MilliCores,
    pub(crate) memory: MiB,
}

impl FromStr for ChangedHosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.rsplit_once('=').and_then(|(hosts, size)| {
            let (cpu, memory) = size.split_once(',')?;
            (!hosts.is_empty()).then_some((hosts, cpu.trim(), memory.trim()))
        });
        let Some((hosts, cpu, memory)) = parts else {
            return Err("expected hosts, cores and memory such as `h1=64cores,512GiB`".into());
        };
        Ok(Self {
            hosts: hosts.to_owned(),
            cpu: cpu.parse().map_err(|e| format!("{e}"))?,
            memory: memory.parse().map_err(|e| format!("{e}"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_both_ends_and_is_refused_where_it_is_none() {
        let series = |text: &str| text.parse::<Series<Ratio>>();
        let values = series("1.0..2.0/0.25").unwrap().0;
        assert_eq!(values, [1000, 1250, 1500, 1750, 2000].map(Ratio));
        assert_eq!(series("1.2").unwrap().0, [Ratio(1200)]);
        for (bad, says) in [
            ("1..2", "without a step"),
            ("2..1/0.1", "rises"),
            ("1..2/0", "rises"),
            ("1..100/0.1", "more than 200"),
            ("a..2/1", "read `a`"),
        ] {
            let error = series(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
        let scaled: Scaled = "web-*=1..2/0.5".parse().unwrap();
        assert_eq!(
            (scaled.guests, scaled.by.0.len()),
            (vec!["web-*".into()], 3)
        );
    }

    #[test]
    fn changed_hosts_are_named_by_name_pattern_or_label() {
        for (text, hosts) in [
            ("h1=64cores,512GiB", "h1"),
            ("h*=64cores, 512GiB", "h*"),
            ("rack=r1=64cores,512GiB", "rack=r1"),
        ] {
            let changed: ChangedHosts = text.parse().unwrap();
            assert_eq!(changed.hosts, hosts);
            assert_eq!(
                (changed.cpu, changed.memory.0),
                (MilliCores(64_000), 524_288)
            );
        }
        for bad in [
            "h1",
            "h1=64cores",
            "=64cores,1GiB",
            "h1=64,1GiB",
            "h1=1cores,1GB",
        ] {
            assert!(bad.parse::<ChangedHosts>().is_err(), "{bad}");
        }
    }

    #[test]
    fn new_hosts_are_read_with_their_units() {
        let hosts: NewHosts = "2, 32cores, 256GiB".parse().unwrap();
        assert_eq!(
            (hosts.count, hosts.cpu, hosts.memory),
            (2, MilliCores(32_000), MiB(256 * 1024))
        );
        for (bad, says) in [
            ("2,32", "such as `2,32cores,256GiB`"),
            ("0,32cores,1GiB", "from 1 to 100000"),
            ("1,32,1GiB", "expected cores"),
            ("1,32cores,1GB", "expected memory"),
            ("1,0cores,1GiB", "more than zero"),
            ("1,1cores,0GiB", "more than zero"),
        ] {
            let error = bad.parse::<NewHosts>().unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}
