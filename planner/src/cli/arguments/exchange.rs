//! What is read from other programs' files and written for them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vmpack_planner::dump::Formulation;
use vmpack_planner::packing::Format;

use super::whatif::NewHosts;
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
        #[command(flatten)]
        to: ImportOutput,
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
        #[command(flatten)]
        to: ImportOutput,
    },
    /// From Ganeti's text format, as `hscan` writes it and `hbal -t` reads it
    #[command(after_help = "\
Examples:
  vmpack import ganeti LOCAL.data -o imported
  hscan -L /var/run/ganeti/query && vmpack import ganeti LOCAL.data --anywhere -o imported

Each vCPU counts at the share of a core that the cluster's policy leaves it, since this format holds no load.
Guests stay where their disks are: on both nodes of `drbd`, on the one of `plain` and `file`, in the group
where storage is shared. Exclusion tags become spread rules. Instances that do not run are left out.")]
    Ganeti {
        /// The file, or `-` for standard input
        source: PathBuf,
        /// Let guests go anywhere, wherever their disks are
        #[arg(long)]
        anywhere: bool,
        #[command(flatten)]
        to: ImportOutput,
    },
    /// From Bitbrains' traces (GWA-T-12), a CSV file for each machine
    #[command(after_help = "\
Examples:
  vmpack import bitbrains fastStorage/2013-8/ --hosts 40,32cores,256GiB -o imported
  vmpack plan --cluster imported/cluster.yaml --load imported/load.yaml

The trace knows no hosts: they are told; all guests wait to be placed. CPU is counted in cores of the fastest
machine's clock, in windows of five minutes. A window without a row holds what was seen before.")]
    Bitbrains {
        /// A folder with the files, or single ones
        #[arg(required = true)]
        sources: Vec<PathBuf>,
        /// So many hosts of that size, such as `40,32cores,256GiB`
        #[arg(long, value_name = "N,CPU,MEMORY")]
        hosts: NewHosts,
        #[command(flatten)]
        to: ImportOutput,
    },
    /// From Azure's trace for packing (2020), a SQLite file
    #[command(after_help = "\
Examples:
  vmpack import azure packing_trace_zone_a_v1.sqlite --hosts 200,64cores,512GiB -o imported
  vmpack import azure packing_trace_zone_a_v1.sqlite --at 3.5 --machine 12 --hosts 50,64cores,512GiB -o imported

Guests are those that are there at that time; they wait to be placed, on hosts of one kind of machine. The
trace has shares of a machine only: its size is told. A guest always wants its share of the CPU.")]
    Azure {
        /// The file
        source: PathBuf,
        /// The time, in days from the trace's beginning
        #[arg(
            long,
            value_name = "DAYS",
            default_value_t = 0.0,
            allow_negative_numbers = true
        )]
        at: f64,
        /// The machine's `machineId` [default: the one that offers the most types]
        #[arg(long, value_name = "ID")]
        machine: Option<i64>,
        /// So many of that machine, and its size, such as `200,64cores,512GiB`
        #[arg(long, value_name = "N,CPU,MEMORY")]
        hosts: NewHosts,
        #[command(flatten)]
        to: ImportOutput,
    },
    /// From a vector packing instance: CPU, and memory where it has a second resource
    #[command(after_help = "\
Examples:
  vmpack import vbp typ_200_1.vbp -o imported
  vmpack import vbp typ_200_1.vbp --current typ_200_1.cur --hosts 40 -o imported
  vmpack import vbp u1000_00.txt --format bpplib -o imported

A unit of the first resource is a milli-core, one of the second a MiB. Without --current all guests wait.
`vmpack bench pack` packs instances of any number of resources as they are.")]
    Vbp {
        /// The instance, or `-` for standard input
        source: PathBuf,
        /// vbp or bpplib, whatever the name of the file
        #[arg(long)]
        format: Option<Format>,
        /// Where each item runs: a host's number from 0 on a line each
        #[arg(long, value_name = "FILE")]
        current: Option<PathBuf>,
        /// How many hosts [default: as many as there are items]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        hosts: Option<u32>,
        #[command(flatten)]
        to: ImportOutput,
    },
    /// From plain tables: CSV with a header
    #[command(after_help = "\
Examples:
  vmpack import csv --hosts hosts.csv --guests guests.csv -o imported
  vmpack import csv --hosts hosts.csv --guests guests.csv --load load.csv -o imported

  hosts.csv   name,cpu,memory,network,state,rack          h1,32cores,256GiB,1250MiB/s,on,r1
  guests.csv  name,vcpus,memory,host,cpu,dirty,movable    web-1,4,8GiB,h1,1.5cores,500pages/s,yes
  load.csv    guest,time,cpu                              web-1,2026-01-05T00:00:00Z,1.2cores

Columns are known by their names, in any order; of hosts `network`, `speed` and `state` may be left out and any
other column is a label, of guests `host`, `cpu`, `dirty` and `movable` may. Load takes equal steps of time.")]
    Csv {
        /// Table of hosts, or `-`
        #[arg(long, value_name = "FILE")]
        hosts: PathBuf,
        /// Table of guests, or `-`
        #[arg(long, value_name = "FILE")]
        guests: PathBuf,
        /// Table of load over time, or `-`
        #[arg(long, value_name = "FILE")]
        load: Option<PathBuf>,
        #[command(flatten)]
        to: ImportOutput,
    },
}

/// Where what was imported goes.
#[derive(Debug, Args)]
pub(crate) struct ImportOutput {
    /// Folder for cluster.yaml, load.yaml and policy.yaml; made if it is missing
    #[arg(short, long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Print what was imported and what was not as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
