//! What `vmpack capacity` and `vmpack explain` can be asked.

use std::str::FromStr;

use clap::Args;
use vmpack_domain::GuestName;
use vmpack_domain::units::{MiB, MilliCores, Permille};

use super::{InputArguments, LimitArguments};

pub(super) const CAPACITY: &str = "\
Examples:
  vmpack capacity --cluster cluster.yaml --load load.yaml
  vmpack capacity --cluster cluster.yaml --load load.yaml --like web-1 --shape 4,16GiB,1.5cores
  vmpack capacity --cluster cluster.yaml --load load.yaml --policy policy.yaml --growth 3% --json
  vmpack capacity --cluster cluster.yaml --load load.yaml --shape 4,16GiB,1.5cores --standing --json

Without --like and --shape it is asked for the sizes of which there are most guests, each with the demand
of the middle one of them. `as it stands` nobody is moved; `with moves` others may be, wherever that
leads to a placement. Every rule is kept. A number is exact unless it says `to`.

Then, how far all load may grow until there is no place for all, and when that is: by the trend of the
load's windows over whole days, two at least, or by --growth. What is asked is whether there is a place;
whether migrations lead there is asked by `vmpack whatif --scale-load`.";

pub(super) const EXPLAIN: &str = "\
Examples:
  vmpack explain web-1 --cluster cluster.yaml --load load.yaml --policy policy.yaml
  vmpack explain h3 --cluster cluster.yaml --load load.yaml --policy policy.yaml --json

For a guest: what it counts with, where it may run and where there is room now, what a plan does with it
and why, and what each rule that binds it costs in hosts, moves, memory moved and time. For a host: what it
carries, what a plan does with it, what emptying it takes, and what the rules that bind its guests cost. A
rule's cost is the plan without it against the plan with it; each plan takes 1.5 s at most, unless
--time-limit or --nodes says otherwise.";

#[derive(Debug, Args)]
pub(crate) struct CapacityArguments {
    #[command(flatten)]
    pub(crate) inputs: InputArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    /// Guests like this one, with its load; rules name them where a pattern does
    #[arg(long, value_name = "GUEST")]
    pub(crate) like: Vec<GuestName>,
    /// Guests of that many vCPUs, that memory and that demand [without a demand: all their vCPUs]
    #[arg(long, value_name = "VCPUS,MEMORY[,CPU]")]
    pub(crate) shape: Vec<SizeArgument>,
    /// Count as it stands only, nobody moving: the quickest answer, for one who asks often
    #[arg(long, conflicts_with = "growth")]
    pub(crate) standing: bool,
    /// All load grows by so much a month, in place of the trend in its windows
    #[arg(long, value_name = "SHARE")]
    pub(crate) growth: Option<Permille>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// A guest or a host, by name
    #[arg(value_name = "GUEST|HOST")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) inputs: InputArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The size of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SizeArgument {
    pub(crate) vcpus: u32,
    pub(crate) memory: MiB,
    pub(crate) cpu: Option<MilliCores>,
}

impl FromStr for SizeArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let (vcpus, memory, cpu) = match parts.as_slice() {
            [vcpus, memory] => (vcpus, memory, None),
            [vcpus, memory, cpu] => (vcpus, memory, Some(cpu)),
            _ => {
                return Err(
                    "expected vCPUs, memory and perhaps a demand such as `4,16GiB,1.5cores`".into(),
                );
            }
        };
        let size = Self {
            vcpus: super::whatif::number(vcpus)?,
            memory: memory.parse().map_err(|e| format!("{e}"))?,
            cpu: cpu
                .map(|c| c.parse())
                .transpose()
                .map_err(|e: <MilliCores as FromStr>::Err| format!("{e}"))?,
        };
        if size.memory.0 == 0 {
            return Err("read a guest without memory, expected more than zero".into());
        }
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_with_its_units() {
        let size: SizeArgument = "4, 16GiB, 1.5cores".parse().unwrap();
        assert_eq!(
            (size.vcpus, size.memory, size.cpu),
            (4, MiB(16 * 1024), Some(MilliCores(1500)))
        );
        assert_eq!("4,16GiB".parse::<SizeArgument>().unwrap().cpu, None);
        for (bad, says) in [
            ("4", "such as `4,16GiB,1.5cores`"),
            ("0,1GiB", "from 1 to 100000"),
            ("1,1GB", "expected memory"),
            ("1,0GiB", "more than zero"),
            ("1,1GiB,1", "expected cores"),
        ] {
            let error = bad.parse::<SizeArgument>().unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }
}
