//! `cargo xtask bench solver --public`: the published vector packing instances, each packed once and
//! the open ones again with more time, every packing and bound proven a second time by `vmpack bench
//! check`. It may be ended at any time: what is done stands in a record under `target/`, and the next
//! run goes on from there.
//!
//! An instance is *open* where the published tables know no optimum and their bound is below their
//! best packing. It is *closed* here when a checked packing has as many hosts as a checked bound.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use xtask::command::{command, run};
use xtask::target_directory;

use crate::row::Shown;

/// The sets, each with its table `SET.known.tsv` and its folder `SET_instances_multidim`.
const SETS: [&str; 3] = ["New", "Panigrahy", "Triplet"];
/// The share of the open instances that is to be closed, in percent.
const CLOSED: f64 = 60.0;
/// Files that one run of `vmpack` is given.
const AT_ONCE: usize = 50;

/// What is asked for.
pub(crate) struct Wanted<'a> {
    /// Only files whose class and name contain this, such as `New class2`.
    pub(crate) filter: Option<&'a str>,
    /// Take every n-th file of a class only.
    pub(crate) sample: usize,
    pub(crate) json: bool,
    /// Pack nothing more: tell of what the record holds.
    pub(crate) recorded: bool,
    /// Where to write the page about the instances newly closed.
    pub(crate) page: Option<&'a Path>,
}

/// What the published tables say of an instance.
#[derive(Clone, Copy)]
struct Known {
    bound: u32,
    optimum: Option<u32>,
    best: u32,
}

impl Known {
    fn is_open(&self) -> bool {
        self.optimum.is_none() && self.bound < self.best
    }
}

struct Instance {
    class: String,
    name: String,
    path: PathBuf,
    known: Known,
}

/// A turn over instances: its folder and seconds of processor time for each.
struct Turn {
    name: &'static str,
    limit: &'static str,
}

const ALL: Turn = Turn {
    name: "all",
    limit: "5s",
};
const OPEN: Turn = Turn {
    name: "open",
    limit: "30s",
};

/// A line of `vmpack bench pack`.
#[derive(Deserialize)]
struct Packed {
    file: PathBuf,
    digest: String,
    hosts: u32,
    bound: u32,
    origin: String,
    seconds: f64,
}

/// A line of `vmpack bench check`.
#[derive(Clone, Serialize, Deserialize)]
struct Checked {
    file: PathBuf,
    hosts: u32,
    bound: u32,
    ok: bool,
}

/// What became of an instance, over both turns.
struct Found {
    digest: String,
    hosts: u32,
    /// As claimed.
    bound: u32,
    origin: String,
    /// As proven a second time.
    proven: Option<u32>,
    /// Certificates that were refused.
    refused: usize,
    seconds: f64,
}

/// Runs what is left to run and prints the table.
pub(crate) fn bench(vmpack: &Path, data: &Path, wanted: &Wanted) -> Result<()> {
    let instances = instances(data, wanted)?;
    let mut found: Vec<Option<Found>> = instances.iter().map(|_| None).collect();
    let mut owed = 0;
    for turn in [ALL, OPEN] {
        let again = turn.name == OPEN.name;
        let asked: Vec<usize> = (0..instances.len())
            .filter(|i| {
                let closed = found[*i]
                    .as_ref()
                    .is_some_and(|f| f.proven == Some(f.hosts));
                !again || (instances[*i].known.is_open() && !closed)
            })
            .collect();
        let paths: Vec<&Path> = asked.iter().map(|i| instances[*i].path.as_path()).collect();
        let packed = pack(vmpack, &turn, &paths, wanted.recorded)?;
        let paths: Vec<&Path> = paths
            .into_iter()
            .filter(|p| packed.contains_key(*p))
            .collect();
        owed = asked.len() - paths.len();
        let checked = check(vmpack, &turn, &paths)?;
        for i in asked {
            let path = &instances[i].path;
            if let (Some(packed), Some(checked)) = (packed.get(path), checked.get(path)) {
                note(&mut found[i], packed, checked);
            }
        }
    }
    let both: Vec<(&Instance, &Found)> = instances
        .iter()
        .zip(&found)
        .filter_map(|(instance, found)| Some((instance, found.as_ref()?)))
        .collect();
    show(&both, wanted.json)?;
    if let Some(page) = wanted.page {
        let text = written(&both, owed)?;
        fs::write(page, text).with_context(|| format!("cannot write {}", page.display()))?;
        eprintln!("wrote {}", page.display());
    }
    Ok(())
}

fn note(found: &mut Option<Found>, packed: &Packed, checked: &Checked) {
    let proven = checked.ok.then_some(checked.bound);
    let known = found.get_or_insert_with(|| Found {
        digest: packed.digest.clone(),
        hosts: packed.hosts,
        bound: packed.bound,
        origin: packed.origin.clone(),
        proven: None,
        refused: 0,
        seconds: 0.0,
    });
    if packed.bound > known.bound {
        known.bound = packed.bound;
        known.origin.clone_from(&packed.origin);
    }
    // A packing counts as the certificate has it.
    if checked.ok {
        known.hosts = known.hosts.min(checked.hosts);
    }
    known.proven = known.proven.max(proven);
    known.refused += usize::from(!checked.ok);
    known.seconds += packed.seconds;
}

/// The instances asked for, by class and name.
fn instances(data: &Path, wanted: &Wanted) -> Result<Vec<Instance>> {
    let source = data.join("vector-packing");
    let folder = target_directory().join("bench-data");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let archive = source.join("vector-packing.tar.xz");
    let mut tar = command(["tar", "--extract", "--xz", "--file"]);
    run(tar.arg(&archive).arg("--directory").arg(&folder))?;
    let mut instances = Vec::new();
    for set in SETS {
        let known = table(&source.join(format!("{set}.known.tsv")))?;
        let mut classes = entries(&folder.join(format!("{set}_instances_multidim")))?;
        classes.sort();
        for class in classes {
            let mut files = entries(&class)?;
            files.retain(|f| f.extension().is_some_and(|e| e == "vbp"));
            files.sort();
            let class = format!("{set} {}", name(&class));
            for path in files.into_iter().step_by(wanted.sample.max(1)) {
                let name = name(&path);
                let text = format!("{class} {name}");
                if wanted.filter.is_some_and(|f| !text.contains(f)) {
                    continue;
                }
                let Some(known) = known.get(&name).copied() else {
                    bail!("{set}.known.tsv says nothing of {name}");
                };
                instances.push(Instance {
                    class: class.clone(),
                    name,
                    path,
                    known,
                });
            }
        }
    }
    Ok(instances)
}

fn name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    read.map(|entry| Ok(entry?.path())).collect()
}

/// Name, bound, optimum (−1 where it is not known), best packing; a line each, under a header.
fn table(path: &Path) -> Result<BTreeMap<String, Known>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut known = BTreeMap::new();
    for (line, number) in text.lines().zip(1..).skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let numbers: Result<Vec<i64>, _> = fields.iter().skip(1).map(|f| f.parse()).collect();
        let (Some(name), Ok([bound, optimum, best])) = (fields.first(), numbers.as_deref()) else {
            bail!(
                "{}:{number}: expected a name and three numbers, found `{line}`",
                path.display()
            );
        };
        let whole = |n: &i64| u32::try_from(*n).ok();
        let (Some(bound), Some(best)) = (whole(bound), whole(best)) else {
            bail!(
                "{}:{number}: a bound or a packing is negative",
                path.display()
            );
        };
        known.insert(
            (*name).to_owned(),
            Known {
                bound,
                optimum: whole(optimum),
                best,
            },
        );
    }
    Ok(known)
}

/// Where a turn keeps its record and its certificates.
fn kept(turn: &Turn) -> PathBuf {
    target_directory().join("bench-public").join(turn.name)
}

/// Packs what the record of the turn does not hold yet, unless that is all that is asked for; the lines by
/// file.
fn pack(
    vmpack: &Path,
    turn: &Turn,
    paths: &[&Path],
    recorded: bool,
) -> Result<BTreeMap<PathBuf, Packed>> {
    let folder = kept(turn);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let record = folder.join("record.jsonl");
    let asked = if recorded { &[] } else { paths };
    for (part, at) in asked.chunks(AT_ONCE).zip(0..) {
        eprintln!(
            "packing ({}, at most {} each): {} of {}",
            turn.name,
            turn.limit,
            at * AT_ONCE,
            paths.len()
        );
        let mut pack = command([vmpack]);
        pack.args(["bench", "pack", "--cpu-time", "--time-limit", turn.limit]);
        pack.arg("--record").arg(&record);
        pack.arg("--certificates").arg(folder.join("certificates"));
        run(pack.args(part).stdout(std::process::Stdio::null()))?;
    }
    lines(&record, |packed: &Packed| packed.file.clone())
}

/// Proves what was packed a second time, as far as that is not done yet; the lines by file.
fn check(vmpack: &Path, turn: &Turn, paths: &[&Path]) -> Result<BTreeMap<PathBuf, Checked>> {
    let folder = kept(turn);
    let kept = folder.join("checked.jsonl");
    let known = lines(&kept, |checked: &Checked| checked.file.clone())?;
    let left: Vec<&&Path> = paths.iter().filter(|p| !known.contains_key(**p)).collect();
    for part in left.chunks(AT_ONCE) {
        eprintln!("proving again: {} of {} left", part.len(), left.len());
        let mut check = command([vmpack]);
        check.args(["bench", "check", "--json", "--certificates"]);
        check.arg(folder.join("certificates")).args(part);
        // It ends with 8 where it refuses one; its lines tell which.
        let told = check.output().context("cannot start vmpack")?;
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let whole = told.rfind('\n').map_or(0, |end| end + 1);
        if told.lines().count() < part.len() {
            bail!(
                "`vmpack bench check` answered {} of {}",
                told.lines().count(),
                part.len()
            );
        }
        let mut text = fs::read_to_string(&kept).unwrap_or_default();
        text.push_str(&told[..whole]);
        fs::write(&kept, text).with_context(|| format!("cannot write {}", kept.display()))?;
    }
    lines(&kept, |checked: &Checked| checked.file.clone())
}

fn lines<T: for<'d> Deserialize<'d>>(
    path: &Path,
    key: impl Fn(&T) -> PathBuf,
) -> Result<BTreeMap<PathBuf, T>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map(|line| {
        let line: T = serde_json::from_str(line)
            .with_context(|| format!("{}: not a line of vmpack", path.display()))?;
        Ok((key(&line), line))
    });
    lines.collect()
}

/// Sums over a class, or over all of them.
#[derive(Default)]
struct Sums {
    files: u32,
    hosts: u32,
    best: u32,
    bound: u32,
    proven: u32,
    better: u32,
    worse: u32,
    closed: u32,
    open: u32,
    newly: u32,
    conflicts: u32,
    refused: usize,
    seconds: f64,
}

impl Sums {
    fn add(&mut self, instance: &Instance, found: &Found) {
        let (known, proven) = (&instance.known, found.proven.unwrap_or(0));
        self.files += 1;
        self.hosts += found.hosts;
        self.best += known.best;
        self.bound += found.bound;
        self.proven += proven;
        self.better += u32::from(found.hosts < known.best);
        self.worse += u32::from(found.hosts > known.best);
        let closed = u32::from(proven == found.hosts);
        self.closed += closed;
        if known.is_open() {
            self.open += 1;
            self.newly += closed;
        }
        // Fewer hosts than an optimum, or a bound above a packing that is known.
        let fewer = known.optimum.is_some_and(|optimum| found.hosts < optimum);
        let least = known.optimum.unwrap_or(known.best);
        self.conflicts += u32::from(fewer || found.bound > least || found.hosts < known.bound);
        self.refused += found.refused;
        self.seconds += found.seconds;
    }
}

fn by_class<'a>(found: &[(&'a Instance, &Found)]) -> (BTreeMap<&'a str, Sums>, Sums) {
    let mut classes: BTreeMap<&str, Sums> = BTreeMap::new();
    let mut all = Sums::default();
    for (instance, found) in found {
        let class = classes.entry(&instance.class).or_default();
        class.add(instance, found);
        all.add(instance, found);
    }
    (classes, all)
}

fn show(found: &[(&Instance, &Found)], json: bool) -> Result<()> {
    let (classes, all) = by_class(found);
    if !json {
        print!("{}", summary(&classes, &all)?);
    }
    for (class, sums) in &classes {
        let row = Shown {
            what: format!("{class}: hosts on {} files", sums.files),
            value: f64::from(sums.hosts),
            unit: "hosts",
            target: format!("<= {}", sums.best),
            ok: sums.hosts <= sums.best,
        };
        row.print(json)?;
    }
    let share = f64::from(all.newly) / f64::from(all.open.max(1)) * 100.0;
    for (what, value, unit, target, ok) in [
        (
            "conflicts with what is known",
            f64::from(all.conflicts),
            "files",
            "<= 0".to_owned(),
            all.conflicts == 0,
        ),
        (
            "open instances closed with a checked proof",
            (share * 10.0).round() / 10.0,
            "%",
            format!(">= {CLOSED}"),
            share >= CLOSED,
        ),
    ] {
        let what = what.to_owned();
        Shown {
            what,
            value,
            unit,
            target,
            ok,
        }
        .print(json)?;
    }
    Ok(())
}

/// The table by class, in Markdown.
fn summary(classes: &BTreeMap<&str, Sums>, all: &Sums) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "| class | files | hosts | published best | better / worse | bound | proven again | closed | open before, closed | CPU s |\n|---|---|---|---|---|---|---|---|---|---|"
    )?;
    let rows = classes.iter().map(|(class, sums)| (*class, sums));
    for (class, s) in rows.chain([("all", all)]) {
        writeln!(
            text,
            "| {class} | {} | {} | {} | {} / {} | {} | {} | {} | {}, {} | {:.0} |",
            s.files,
            s.hosts,
            s.best,
            s.better,
            s.worse,
            s.bound,
            s.proven,
            s.closed,
            s.open,
            s.newly,
            s.seconds
        )?;
    }
    if all.refused > 0 {
        writeln!(text, "\n{} certificates were refused.", all.refused)?;
    }
    Ok(text)
}

/// The page about the instances newly closed; `owed` were not given their further time yet.
fn written(found: &[(&Instance, &Found)], owed: usize) -> Result<String> {
    let (classes, all) = by_class(found);
    let mut text = String::from(PAGE);
    text.push_str(&summary(&classes, &all)?);
    if owed > 0 {
        writeln!(
            text,
            "\n{owed} open ones have not been given their 30 s yet."
        )?;
    }
    writeln!(
        text,
        "\n## Newly closed\n\nOf {} instances without a known optimum and with a published bound below the best packing, {} are closed. Published: bound and best packing.\n\n| class | file | hosts | published | proven by | CPU s | SHA-256 of the file |\n|---|---|---|---|---|---|---|",
        all.open, all.newly
    )?;
    let newly = found
        .iter()
        .filter(|(i, f)| i.known.is_open() && f.proven == Some(f.hosts));
    for (instance, found) in newly {
        writeln!(
            text,
            "| {} | {} | {} | {}, {} | {} | {:.1} | `{}` |",
            instance.class,
            instance.name,
            found.hosts,
            instance.known.bound,
            instance.known.best,
            found.origin,
            found.seconds,
            found.digest.rsplit(':').next().unwrap_or_default()
        )?;
    }
    writeln!(
        text,
        "\n## Better packings, not closed\n\n| class | file | hosts | bound | published | SHA-256 of the file |\n|---|---|---|---|---|---|"
    )?;
    let better = found
        .iter()
        .filter(|(i, f)| i.known.is_open() && f.hosts < i.known.best && f.proven != Some(f.hosts));
    for (instance, found) in better {
        writeln!(
            text,
            "| {} | {} | {} | {} | {}, {} | `{}` |",
            instance.class,
            instance.name,
            found.hosts,
            found.proven.unwrap_or(0),
            instance.known.bound,
            instance.known.best,
            found.digest.rsplit(':').next().unwrap_or_default()
        )?;
    }
    Ok(text)
}

const PAGE: &str = "\
# Published vector packing instances

The instances of Mommessin et al. (Vectorpack/experiments_vector_paper), 3, 5 or 10 resources and 20 to
501 items, packed by `vmpack bench pack`; every packing is added up and every bound proven again by
`vmpack bench check`, in integers and without a solver. This page is written by

```console
VMPACK_DATA=FOLDER cargo xtask bench solver --public --page docs/vector-packing.md
```

where FOLDER holds `vector-packing/` with the archive and the published tables. Limits: 5 s of processor
time for each file, once more 30 s for each that was open and is not closed by then.

## By class

Sums over the files of a class. *Closed*: a packing has as many hosts as the bound that is proven again.

";
