//! What is read from other programs' files and written for them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vmpack_planner::dump::Formulation;

use super::{InputArguments, LimitArguments};

#[derive(Debug, Args)]
pub(crate) struct ModelArguments {
    #[command(subcommand)]
    pub(crate) what: ModelKind,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelKind {
    /// Write a formulation of the inputs for another solver
    #[command(after_help = "\
Examples:
  vmpack model dump --mps --cluster cluster.yaml --load load.yaml -o assignment.mps
  vmpack model dump --mps --formulation moves --cluster cluster.yaml --load load.yaml | highs /dev/stdin
  vmpack model dump --mps --formulation pattern --relaxed --cluster cluster.yaml --load load.yaml

The mathematics of each formulation stands at the head of its file in models/ilp/src.")]
    Dump(ModelDumpArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ModelDumpArguments {
    #[command(flatten)]
    pub(crate) inputs: InputArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
    /// In MPS format, free form (the only one there is)
    #[arg(long, required = true)]
    pub(crate) mps: bool,
    /// assignment (stage 1), moves (stage 2, at the cost that stage 1 finds) or pattern (stage 1 over
    /// the patterns that column generation makes)
    #[arg(long, value_name = "NAME", default_value = "assignment")]
    pub(crate) formulation: Formulation,
    /// Leave out that columns are integers
    #[arg(long)]
    pub(crate) relaxed: bool,
    /// Write to this file, whose folder is made if it is missing [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    #[command(subcommand)]
    pub(crate) what: ImportKind,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportKind {
    /// From BtrPlace's JSON: a model, or an instance with its constraints
    #[command(after_help = "\
Examples:
  vmpack import btrplace instance.json -o imported
  gzip -dc li-r6-p5000-c33.json.gz | vmpack import btrplace - -o imported
  vmpack import btrplace instance.json --without-rules -o imported

The constraints spread, gather, fence, ban, root and among become rules, preserve what is reserved, and
offline hosts are out; running holds in every plan. What else there is, is listed. A unit of CPU counts
as a hundredth of a core, a unit of memory as a MiB.")]
    Btrplace {
        /// The instance, or `-` for standard input
        source: PathBuf,
        /// Leave the constraints out: hosts, guests and resources only
        #[arg(long)]
        without_rules: bool,
        /// Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Print what was imported and what was not as JSON
        #[arg(long)]
        json: bool,
    },
    /// From PlanetLab's CPU traces, in the set-up of CloudSim's power examples
    #[command(after_help = "\
Examples:
  vmpack import planetlab 20110303.tar.gz -o imported
  vmpack import planetlab 20110303/ --hosts 100 --day 2011-03-03T00:00:00Z -o imported
  vmpack plan --cluster imported/cluster.yaml --load imported/load.yaml --policy imported/policy.yaml

A file for each guest, a whole percent a line for every five minutes. The hosts and guests are those that
`vmpack replay` has; all guests wait to be placed. CPU is counted in cores of 2500 MIPS.")]
    Planetlab {
        /// The folder with the traces, or a .tar.gz of it
        source: PathBuf,
        /// The order of the guests, a name a line [default: DAY.order beside the trace DAY, if there is
        /// one; else by name]
        #[arg(long, value_name = "FILE")]
        order: Option<PathBuf>,
        /// How many hosts, of the two kinds in turn
        #[arg(long, value_name = "N", default_value_t = 800, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        hosts: u32,
        /// When the first window starts
        #[arg(long, value_name = "TIME", default_value = "2011-03-03T00:00:00Z")]
        day: String,
        /// Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Print what was imported and what was not as JSON
        #[arg(long)]
        json: bool,
    },
}
