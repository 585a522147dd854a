//! The command line: what can be typed, and the help that teaches it.

mod capacity;
mod exchange;
mod replay;
mod whatif;

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory, Parser, Subcommand};
use vmpack_domain::HostName;
use vmpack_domain::units::{Micros, Permille, Ratio};
use vmpack_planner::packing::Format;

use super::handover;
pub(crate) use capacity::{CapacityArguments, ExplainArguments};
pub(crate) use exchange::{
    ImportArguments, ImportKind, ImportOutput, ModelArguments, ModelDumpArguments, ModelKind,
};
pub(crate) use replay::ReplayArguments;
pub(crate) use whatif::{EditArguments, NewHosts, Series, WhatifArguments};

const ABOUT_LONG: &str = "\
Plans which host each virtual machine should run on, so that as few hosts as possible are needed and
none is overloaded, and which live migrations lead there.

  cluster.yaml   hosts and guests as they are      vmpack snapshot, or written by hand
  load.yaml      what each guest demands           vmpack probe record
  policy.yaml    headroom, rules, limits, costs    written by hand; a default holds without one
  plan.yaml      where to, and the migrations      vmpack plan; carried out by vmpack apply";

const EXAMPLES: &str = "\
Examples:
  vmpack example cluster -o .                         make an example to try things on
  vmpack plan --cluster cluster.yaml --load load.yaml --policy policy.yaml -o plan.yaml
  vmpack check plan.yaml --cluster cluster.yaml --load load.yaml
  vmpack whatif --cluster cluster.yaml --load load.yaml --policy policy.yaml --fail h01
  vmpack apply plan.yaml --dry-run

Exit codes:
  0 done                               5 no answer within the limits
  1 a bug in vmpack                    6 the plan is stale
  2 wrong usage                        7 partly executed
  3 input is unreadable or             8 a check, comparison or regression failed
    contradicts itself                 9 environment: libvirt, kernel, permission, files
  4 infeasible: well-formed, but      10 moves are proposed (plan --detailed-exitcode;
    there is no answer                   0 is then: nothing to do)

The result goes to standard output, all talk to standard error.";

/// Plans the placement of virtual machines on the fewest hosts, and the way there
#[derive(Debug, Parser)]
#[command(name = "vmpack", version, long_about = ABOUT_LONG, after_help = EXAMPLES)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) talk: Talk,
    #[command(subcommand)]
    pub(crate) command: Task,
}

/// How much is said on standard error.
#[derive(Debug, Args)]
pub(crate) struct Talk {
    /// Say more on standard error: -v for steps, -vv for details (RUST_LOG is honoured too)
    #[arg(short, long, global = true, display_order = 900, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Find the fewest hosts and the migrations that lead there
    #[command(after_help = "\
Examples:
  vmpack plan --cluster cluster.yaml --load load.yaml -o plan.yaml
  vmpack plan --cluster cluster.yaml --load load.yaml --drain h3 -o plan.yaml
  vmpack plan --cluster conf.d/ --load load.yaml --policy policy.yaml --time-limit 60s --json
  vmpack snapshot --uri qemu+tls://h1/system | vmpack plan --cluster - --load load.yaml
  vmpack plan --cluster c.yaml --load l.yaml --nodes 5000 --seed 7     repeats exactly
  vmpack plan --cluster c.yaml --load l.yaml --curve=8     what the last hosts cost in migrations

Ctrl-C ends the search and gives the best plan so far; a second one ends vmpack.")]
    Plan(PlanArguments),

    /// Judge a plan: replay its moves in order and name what is violated
    #[command(after_help = "\
Examples:
  vmpack check plan.yaml --cluster cluster.yaml --load load.yaml
  vmpack check plan.yaml --cluster cluster.yaml --load load.yaml --policy stricter.yaml --json
  vmpack check plan.yaml --cluster cluster.yaml --load load.yaml --certificate bound.yaml
  vmpack check plan.yaml --cluster cluster.yaml --load monday.yaml --later tuesday.yaml
  vmpack check --cluster cluster.yaml --load load.yaml --policy policy.yaml --certificate bound.yaml

A certificate proves the bound on the hosts: it is proven again, in integers and without a solver.
Exits with 8 when something is violated or refused, and with 5 when all is well but for a part of the
bound of which there is no certificate (HiGHS's own branching). The judge shares neither search nor formulation
with the planner.")]
    Check(CheckArguments),

    /// Read files and say what is wrong with them
    #[command(after_help = "\
Examples:
  vmpack validate cluster.yaml load.yaml policy.yaml
  vmpack validate conf.d/ --json

Files are told apart by their `kind`. Cluster, load and policy are also checked against each other
when a cluster is among them.")]
    Validate(ValidateArguments),

    /// Ask how the answer changes when hosts, guests, load or the policy change
    #[command(after_help = whatif::EXAMPLES)]
    Whatif(Box<WhatifArguments>),

    /// Ask how many more guests fit, what runs out first, and how far load may grow
    #[command(after_help = capacity::CAPACITY)]
    Capacity(Box<CapacityArguments>),

    /// Say why a guest or a host is as it is, and what would have to change
    #[command(after_help = capacity::EXPLAIN)]
    Explain(Box<ExplainArguments>),

    /// Replay a trace of load under policies and compare energy, overload and migrations
    #[command(after_help = replay::EXAMPLES)]
    Replay(ReplayArguments),

    /// Plan every case file and compare with what it expects
    #[command(after_help = "\
Examples:
  vmpack regress models/cases
  vmpack regress models/cases --filter spread --json
  vmpack regress models/cases --junit regress.xml
  vmpack regress --compare old.json new.json --time-budget 2 --move-budget 1.01

A case is one file with its input and an `expect:`; see `vmpack schema` for its fields.
Exits with 8 when a case fails, or is worse than it was.")]
    Regress(RegressArguments),

    /// Measure the solver on published instances
    Bench(BenchArguments),

    /// Write the planner's mathematical models
    Model(ModelArguments),

    /// Make cluster, load and policy from another program's files
    Import(ImportArguments),

    /// Print the JSON Schemas of the file formats
    #[command(after_help = "\
Examples:
  vmpack schema --out schema/
  vmpack schema --kind Cluster > cluster.schema.json

An editor that knows YAML schemas completes and checks a file that begins with
  # yaml-language-server: $schema=schema/cluster.schema.json")]
    Schema(SchemaArguments),

    /// Make an example to try things on
    Example(ExampleArguments),

    /// Print a shell's completion script
    #[command(after_help = "\
Examples:
  vmpack completions bash > /etc/bash_completion.d/vmpack
  vmpack completions zsh > \"${fpath[1]}/_vmpack\"
  vmpack completions fish > ~/.config/fish/completions/vmpack.fish")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },

    /// Write man pages and the command-line reference into a folder
    #[command(hide = true)]
    Docs {
        /// Where to
        folder: PathBuf,
    },
}

/// The files that describe the cluster.
#[derive(Debug, Args)]
pub(crate) struct InputArguments {
    /// Cluster file, a folder of them, or `-` for standard input; repeat it to merge several
    #[arg(long, value_name = "PATH", required = true)]
    pub(crate) cluster: Vec<PathBuf>,
    /// Load file, a folder of them, or `-`; repeat it to merge several
    #[arg(long, value_name = "PATH", required = true)]
    pub(crate) load: Vec<PathBuf>,
    /// Policy file, a folder of them, or `-`; repeat it to merge several [without one: the 95th
    /// percentile of CPU demand, 10% of CPU and 5% of memory kept free, 4 vCPUs a core, 200MiB
    /// overhead a guest, 10s]
    #[arg(long, value_name = "PATH")]
    pub(crate) policy: Vec<PathBuf>,
}

/// How far the search may go; each wins over the policy's `limits`.
#[derive(Debug, Default, Args)]
pub(crate) struct LimitArguments {
    /// Wall time for the search, such as `10s` or `2m`
    #[arg(long, value_name = "TIME")]
    pub(crate) time_limit: Option<Micros>,
    /// Search effort in branch-and-bound nodes and annealing rounds, which repeats exactly
    #[arg(long, value_name = "N")]
    pub(crate) nodes: Option<u64>,
    /// Seed of the search
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) inputs: InputArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    /// Empty this host for maintenance; the plan says so by a rule in its policy
    #[arg(long, value_name = "HOST")]
    pub(crate) drain: Vec<HostName>,
    /// Write the plan to this file, whose folder is made if it is missing, or to standard output
    /// with `-`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the proof of the bound on the hosts to this file, for `vmpack check --certificate`
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// Write the plan as a page that holds all in itself, with pictures, into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Exit with 0 when there is nothing to do and 10 when moves are proposed
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
    /// Print, instead of a plan, hosts against memory moved: for the fewest hosts and up to so many
    /// more [without a number: 5]
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5",
        conflicts_with_all = ["output", "certificate", "report", "detailed_exitcode"]
    )]
    pub(crate) curve: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The plan, or `-`; it may be left out when a certificate is given
    #[arg(required_unless_present = "certificate")]
    pub(crate) plan: Option<PathBuf>,
    /// Cluster file, a folder of them, or `-`; repeat it to merge several
    #[arg(long, value_name = "PATH", required = true)]
    pub(crate) cluster: Vec<PathBuf>,
    /// Load file, a folder of them, or `-`; repeat it to merge several
    #[arg(long, value_name = "PATH", required = true)]
    pub(crate) load: Vec<PathBuf>,
    /// Judge by this policy instead of the one in the plan
    #[arg(long, value_name = "PATH")]
    pub(crate) policy: Vec<PathBuf>,
    /// Also tell how often each host is above its room under this load, measured later; a folder of
    /// them or `-`; repeat it to merge several
    #[arg(long, value_name = "PATH", requires = "plan")]
    pub(crate) later: Vec<PathBuf>,
    /// Prove the bound again from this certificate, or `-`
    #[arg(long, value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// Most steps for the proof; what is not proven within them is refused
    #[arg(
        long,
        value_name = "N",
        default_value_t = 100_000_000,
        requires = "certificate"
    )]
    pub(crate) steps: u64,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArguments {
    /// Files of any kind, folders of them, or `-`
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A factor by which something may grow.
fn budget(text: &str) -> Result<Ratio, String> {
    let factor: Ratio = text.parse().map_err(|e| format!("{e}"))?;
    if factor.0 < 1000 {
        return Err(format!("read `{text}`, expected a factor of at least 1"));
    }
    Ok(factor)
}

#[derive(Debug, Args)]
pub(crate) struct RegressArguments {
    /// Case files, or folders that are searched for them
    #[arg(required_unless_present = "compare", value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Compare two results of `regress --json`, `bench pack --json` or `bench moves --json` instead: what
    /// changed, and whether status, hosts, bound, gap, memory moved, its bound or time is worse
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["paths", "junit"])]
    pub(crate) compare: Vec<PathBuf>,
    /// How many times longer than before a case may take, from 0.1 s on
    #[arg(
        long,
        value_name = "FACTOR",
        default_value = "1.5",
        requires = "compare",
        value_parser = budget
    )]
    pub(crate) time_budget: Ratio,
    /// How many times more memory than before a case may move, and how many times less its bound may be,
    /// where its hosts cost the same
    #[arg(
        long,
        value_name = "FACTOR",
        default_value = "1",
        requires = "compare",
        value_parser = budget
    )]
    pub(crate) move_budget: Ratio,
    /// Only cases whose path contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Also write the result as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    pub(crate) what: BenchKind,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchKind {
    /// Pack vector packing instances: the fewest hosts, and what is proven
    #[command(after_help = "\
Examples:
  vmpack bench pack instances/*.vbp
  vmpack bench pack --format bpplib --time-limit 5s u1000_00.txt --json
  vmpack bench pack --record results.jsonl instances/*.vbp    skips what the record holds already

Prints a line for each file; what is measured is the stage that finds the fewest hosts of a plan.")]
    Pack(BenchPackArguments),
    /// Prove again what `bench pack --certificates` wrote: the packing and the bound
    #[command(after_help = "\
Examples:
  vmpack bench pack --certificates proofs instances/*.vbp
  vmpack bench check --certificates proofs instances/*.vbp

Packings are added up and bounds are proven by code that shares nothing with the search, in integers
and without a solver. Exits with 8 if any is refused.")]
    Check(BenchCheckArguments),
    /// Move the items of packing instances from where they run: the least memory, and what is proven
    #[command(after_help = "\
Examples:
  vmpack bench moves typ_200_1.vbp
  vmpack bench moves --more-hosts 1 --time-limit 30s --json typ_1000_1.vbp

Beside each instance NAME.vbp, a file NAME.cur tells the host of each item, a number from 0 on a line
each. The second resource is the memory. The fewest hosts are found first, within the same limit.")]
    Moves(BenchMovesArguments),
    /// Relieve sudden overloads of made-up clusters: the time to the first answer and to the proven one
    #[command(after_help = "\
Examples:
  vmpack bench relief
  vmpack bench relief --hosts 200 --overloaded 20 --load 90 --json

Clusters are made by seed; every answer is judged.")]
    Relief(super::bench::relief::Arguments),
}

#[derive(Debug, Args)]
pub(crate) struct BenchMovesArguments {
    /// Instances `.vbp`, each with a file `.cur` beside it
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// So many hosts more than the fewest may be used
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) more_hosts: u16,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    /// Print one JSON line for each file
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchPackArguments {
    /// Instances: `.vbp` (VPSolver), or `.txt` and `.bpp` (BPPLIB, one resource)
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// vbp or bpplib, whatever the names of the files
    #[arg(long)]
    pub(crate) format: Option<Format>,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    /// Print one JSON line for each file
    #[arg(long)]
    pub(crate) json: bool,
    /// Add a JSON line for each file to this one, and skip instances that it holds
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Write the packing and the proof of the bound of each instance into this folder, for
    /// `vmpack bench check`
    #[arg(long, value_name = "FOLDER")]
    pub(crate) certificates: Option<PathBuf>,
    /// Count the limit and the seconds in processor time, which other work on the machine leaves as
    /// it is
    #[arg(long)]
    pub(crate) cpu_time: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BenchCheckArguments {
    /// Instances, as for `bench pack`
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The folder with their certificates
    #[arg(long, value_name = "FOLDER")]
    pub(crate) certificates: PathBuf,
    /// vbp or bpplib, whatever the names of the files
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Most steps for each proof; what is not proven within them is refused
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    pub(crate) steps: u64,
    /// Print one JSON line for each file
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// Write one file for each kind into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    pub(crate) out: Option<PathBuf>,
    /// Print only this kind: Cluster, Load, Policy, Plan or Case
    #[arg(long)]
    pub(crate) kind: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExampleArguments {
    #[command(subcommand)]
    pub(crate) what: ExampleKind,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExampleKind {
    /// A cluster with a day of load and a policy, loosely spread, the same for the same seed
    #[command(after_help = "\
Examples:
  vmpack example cluster -o demo
  vmpack example cluster --hosts 100 --guests 1000 --seed 7 -o big
  vmpack example cluster --hosts 100 --guests 1000 --makes 3 --ruled 10% --windows 24 -o mixed")]
    Cluster {
        /// How many hosts
        #[arg(long, default_value_t = 40)]
        hosts: u32,
        /// How many guests
        #[arg(long, default_value_t = 400)]
        guests: u32,
        /// Seed of all that is drawn
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Makes of hosts, 1 to 3
        #[arg(long, default_value_t = 2)]
        makes: u32,
        /// Share of the guests that rules keep apart, such as `10%` [default: some databases and web
        /// servers]
        #[arg(long, value_name = "SHARE")]
        ruled: Option<Permille>,
        /// Windows of the day, a divisor of 288, in which the policy then counts demand jointly
        #[arg(long, value_name = "N")]
        windows: Option<u32>,
        /// Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
    },
}

/// The whole command, with those that are handed over to other binaries.
pub(crate) fn command() -> Command {
    handover::COMMANDS
        .iter()
        .fold(Arguments::command(), |command, other| {
            command.subcommand(other.command())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for sub in command().get_subcommands() {
            if sub.is_hide_set() || handover::find(sub.get_name()).is_some() {
                continue;
            }
            let has = |c: &Command| {
                c.get_after_help()
                    .is_some_and(|h| h.to_string().contains("Examples:\n  vmpack "))
            };
            assert!(
                has(sub) || sub.get_subcommands().all(has) && sub.has_subcommands(),
                "{} has no example",
                sub.get_name()
            );
        }
    }
}
