//! The files, as pure functions from text to types: headers, merging, cross-checks, and errors that
//! name file, line, column, what was read and what is accepted. Reading bytes is the caller's.

mod doc;
mod load;
mod locate;
mod series;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::DeserializeOwned;

use crate::certificate::Certificate;
use crate::cluster::{Cluster, Guest, Host, HostState};
use crate::load::Load;
use crate::plan::Plan;
use crate::policy::Policy;
use crate::rule::{Names, Over, Rule};
use crate::split;
use crate::units::{MilliCores, shorten};

pub use doc::{API_VERSION, Doc, Kind};
use load::check_joint;
pub use load::read_load;
use locate::Step;
use text::{Place, from_yaml};

/// The text of one file and the name by which errors speak of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// A path, or `-` for standard input.
    pub name: String,
    /// Its whole text.
    pub text: String,
}

/// Input that cannot be read or contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputError {
    /// Which file.
    pub file: String,
    /// From 1, where a place is at fault.
    pub line: Option<u64>,
    /// From 1, in characters.
    pub column: Option<u64>,
    /// What was read and what is accepted.
    pub message: String,
    /// What may help, apart.
    pub hint: Option<String>,
    /// The line at fault, shortened.
    pub excerpt: Option<String>,
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for InputError {}

/// Everything a plan is made from, read and cross-checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// Merged from all cluster files.
    pub cluster: Cluster,
    /// Merged from all load files.
    pub load: Load,
    /// The policy, or the default.
    pub policy: Policy,
    /// What is odd and still usable, such as load of guests that the cluster does not have.
    pub warnings: Vec<String>,
}

/// Reads and cross-checks everything that a plan is made from. Cluster and load files are merged;
/// of several policy files, one may say more than rules.
///
/// # Errors
/// The first fault found.
pub fn read_inputs(
    cluster: &[Source],
    load: &[Source],
    policy: &[Source],
) -> Result<Inputs, InputError> {
    let merged = read_cluster(cluster)?;
    let sources_of_load = load;
    let load = read_load(load)?;
    let (policy, owners) = merge_policies(policy)?;
    check_policy(&merged, &policy, &owners)?;
    if policy.demand.joint {
        check_joint(&load, sources_of_load)?;
    }
    let known: BTreeSet<_> = merged.guests.iter().map(|g| &g.name).collect();
    let strangers: Vec<&str> = load
        .guests
        .keys()
        .filter(|n| !known.contains(n))
        .map(crate::GuestName::as_str)
        .collect();
    let mut warnings = Vec::new();
    match strangers.as_slice() {
        [] => {}
        [one] => warnings.push(format!(
            "load of guest {one}, which is not in the cluster, is left out"
        )),
        [first, ..] => warnings.push(format!(
            "load of {} guests that are not in the cluster is left out, {first} among them",
            strangers.len()
        )),
    }
    let names = Names::of(&merged);
    warnings.extend(policy.rules.iter().filter_map(|r| idle(r, &names)));
    Ok(Inputs {
        cluster: merged,
        load,
        policy,
        warnings,
    })
}

/// What is odd about a rule over several guests that names one only: a pattern may match more
/// tomorrow, so it is no error.
fn idle(rule: &Rule, names: &Names) -> Option<String> {
    rule.kind.over()?;
    match names.guests(rule.kind.guests()).ok()?.as_slice() {
        [only] => Some(format!(
            "rule {} names guest {only} only, so it binds nothing: a {} rule is about two guests or more",
            rule.name,
            rule.kind.name()
        )),
        _ => None,
    }
}

/// Reads and merges cluster files.
///
/// # Errors
/// The first fault found, such as a name given twice or a guest on an unknown host.
pub fn read_cluster(sources: &[Source]) -> Result<Cluster, InputError> {
    let mut merged = Cluster::default();
    let mut hosts = BTreeMap::new();
    let mut guests = BTreeMap::new();
    let mut uuids = BTreeMap::new();
    let mut parts = Vec::new();
    for source in sources {
        let part: Cluster = parse(source, Kind::Cluster)?;
        for (i, host) in part.hosts.iter().enumerate() {
            let at = Place {
                source,
                steps: vec![Step::Key("hosts"), Step::Index(i)],
            };
            if let Some(first) = hosts.insert(host.name.clone(), source.name.clone()) {
                return Err(at.key("name").fault(format!(
                    "read host `{}` a second time (first in {first}), expected unique host names",
                    host.name
                )));
            }
            check_host(host, &at)?;
        }
        for (i, guest) in part.guests.iter().enumerate() {
            let at = Place {
                source,
                steps: vec![Step::Key("guests"), Step::Index(i)],
            };
            if let Some(first) = guests.insert(guest.name.clone(), source.name.clone()) {
                return Err(at.key("name").fault(format!(
                    "read guest `{}` a second time (first in {first}), expected unique guest names",
                    guest.name
                )));
            }
            if let Some(uuid) = guest.uuid
                && let Some(first) = uuids.insert(uuid, guest.name.clone())
            {
                return Err(at.key("uuid").fault(format!(
                    "read uuid {uuid} for guest `{}`, which guest `{first}` has already",
                    guest.name
                )));
            }
            check_guest(guest, &at)?;
        }
        parts.push((source, part));
    }
    let states: BTreeMap<_, _> = parts
        .iter()
        .flat_map(|(_, p)| &p.hosts)
        .map(|h| (h.name.clone(), h.state))
        .collect();
    for (source, part) in &parts {
        for (i, guest) in part.guests.iter().enumerate() {
            let Some(host) = &guest.host else { continue };
            let at = Place {
                source,
                steps: vec![Step::Key("guests"), Step::Index(i), Step::Key("host")],
            };
            match states.get(host) {
                None => {
                    let known: Vec<&str> = states.keys().map(crate::HostName::as_str).collect();
                    return Err(at.fault(format!("read host `{host}` for guest `{}`, expected one of the cluster's hosts: {}", guest.name, some_of(&known))));
                }
                Some(HostState::Asleep) => {
                    return Err(at.fault(format!("read guest `{}` on host `{host}`, which is said to be asleep; a host that carries guests is on, drain or out", guest.name)));
                }
                Some(_) => {}
            }
        }
    }
    for (_, part) in parts {
        merged.hosts.extend(part.hosts);
        merged.guests.extend(part.guests);
    }
    Ok(merged)
}

/// Up to eight names, and how many more there are.
fn some_of(names: &[&str]) -> String {
    let shown = names.iter().take(8).copied().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "(none)".into(),
        n if n > 8 => format!("{shown} and {} more", n - 8),
        _ => shown,
    }
}

fn check_host(host: &Host, at: &Place) -> Result<(), InputError> {
    for (value, key) in [
        (host.cpu.0, "cpu"),
        (host.memory.0, "memory"),
        (host.network.0, "network"),
        (host.speed.0, "speed"),
    ] {
        if value == 0 {
            return Err(at.key(key).fault(format!(
                "read a `{key}` of zero for host `{}`, expected more",
                host.name
            )));
        }
    }
    Ok(())
}

fn check_guest(guest: &Guest, at: &Place) -> Result<(), InputError> {
    if guest.vcpus == 0 || guest.vcpus > 100_000 {
        return Err(at.key("vcpus").fault(format!(
            "read {} vcpus for guest `{}`, expected 1 to 100000",
            guest.vcpus, guest.name
        )));
    }
    if guest.memory.0 == 0 {
        return Err(at.key("memory").fault(format!(
            "read a `memory` of zero for guest `{}`, expected more",
            guest.name
        )));
    }
    if guest.reserved > MilliCores::cores(u64::from(guest.vcpus)) {
        return Err(at.key("reserved").fault(format!(
            "read {} reserved for guest `{}`, expected at most its {} vcpus",
            guest.reserved, guest.name, guest.vcpus
        )));
    }
    if let Some((label, _)) = guest.requires.iter().find(|(_, values)| values.is_empty()) {
        return Err(at.key("requires").fault(format!(
            "read no value for `{label}` in what guest `{}` requires, expected at least one",
            guest.name
        )));
    }
    Ok(())
}

/// Reads a policy on its own; rules are checked against a cluster only by [`read_inputs`].
///
/// # Errors
/// The first fault found.
pub fn read_policy(sources: &[Source]) -> Result<Policy, InputError> {
    merge_policies(sources).map(|(policy, _)| policy)
}

/// Where the parts of a merged policy stand.
#[derive(Default)]
struct Owners<'a> {
    /// Each rule's file and index in it.
    rules: Vec<(&'a Source, usize)>,
    /// The file that says all else.
    rest: Option<&'a Source>,
}

fn merge_policies(sources: &[Source]) -> Result<(Policy, Owners<'_>), InputError> {
    let mut merged = Policy::default();
    let mut owners = Owners::default();
    let mut names: BTreeMap<String, &str> = BTreeMap::new();
    for source in sources {
        let mut part: Policy = parse(source, Kind::Policy)?;
        let rules = std::mem::take(&mut part.rules);
        if says_more_than_rules(source)? {
            if let Some(first) = owners.rest {
                return Err(Place {
                    source,
                    steps: vec![],
                }
                .fault(format!(
                    "read a second policy with more than rules (first in {}), expected one",
                    first.name
                )));
            }
            owners.rest = Some(source);
            merged = Policy {
                rules: std::mem::take(&mut merged.rules),
                ..part
            };
        }
        for (i, rule) in rules.into_iter().enumerate() {
            if let Some(first) = names.insert(rule.name.clone(), &source.name) {
                return Err(Place {
                    source,
                    steps: vec![Step::Key("rules"), Step::Index(i)],
                }
                .fault(format!(
                    "read rule `{}` a second time (first in {first}), expected unique rule names",
                    rule.name
                )));
            }
            owners.rules.push((source, i));
            merged.rules.push(rule);
        }
    }
    check_thresholds(&merged, &owners)?;
    Ok((merged, owners))
}

/// What a policy's numbers must keep among each other.
fn check_thresholds(policy: &Policy, owners: &Owners) -> Result<(), InputError> {
    let Some(source) = owners.rest else {
        return Ok(());
    };
    let at = |steps| Place { source, steps };
    if let Some(relief) = policy.threshold() {
        let pairs = [
            ("cpu", relief.cpu, policy.headroom.cpu),
            ("memory", relief.memory, policy.headroom.memory),
        ];
        if let Some((what, relief, headroom)) = pairs.into_iter().find(|(_, r, h)| r > h) {
            return Err(at(vec![Step::Key("relief")]).fault(format!(
                "read relief at {relief} of {what} free, expected at most its headroom of {headroom}"
            )));
        }
    }
    if !policy.demand.joint && policy.demand.overload.0 > 0 {
        return Err(at(vec![Step::Key("demand"), Step::Key("overload")]).fault(format!(
            "read an `overload` of {} of the windows, expected it with `joint: true` only, as without it no windows are counted",
            policy.demand.overload
        )));
    }
    if policy.migrations.bandwidth.0 == 0 {
        return Err(
            at(vec![Step::Key("migrations"), Step::Key("bandwidth")]).fault(
                "read a `bandwidth` of none of the link, expected more than 0% and at most 100%"
                    .into(),
            ),
        );
    }
    if let Some(objective) = policy.objective {
        let at = at(vec![Step::Key("objective")]);
        if !objective.prices_moves() {
            return Err(at.fault(
                "read an objective in which migrations cost nothing, expected a price in `move`, `move-gib` or `move-second`".into(),
            ));
        }
        if objective.host_hour.0 == 0 || objective.horizon.0 == 0 {
            return Err(at.fault(
                "read an objective in which hosts cost nothing, expected a `host-hour` and a `horizon` above 0".into(),
            ));
        }
    }
    Ok(())
}

/// Whether a policy file has keys besides its header and rules.
fn says_more_than_rules(source: &Source) -> Result<bool, InputError> {
    let keys: BTreeMap<String, serde::de::IgnoredAny> = from_yaml(source)?;
    Ok(keys
        .keys()
        .any(|k| !matches!(k.as_str(), "apiVersion" | "kind" | "rules")))
}

fn check_policy(cluster: &Cluster, policy: &Policy, owners: &Owners) -> Result<(), InputError> {
    let names = Names::of(cluster);
    for (rule, (source, i)) in policy.rules.iter().zip(&owners.rules) {
        let at = Place {
            source,
            steps: vec![Step::Key("rules"), Step::Index(*i)],
        };
        if let Err(pattern) = names.guests(rule.kind.guests()) {
            return Err(at.key("guests").fault(format!(
                "read guest `{}` in rule `{}`, which names no guest of the cluster",
                shorten(&pattern),
                rule.name
            )));
        }
        if let Err(selector) = names.hosts(rule.kind.hosts()) {
            return Err(at.key("hosts").fault(format!(
                "read host `{}` in rule `{}`, which names no host of the cluster (accepted: a name, a pattern with `*`, or `label=value`)",
                shorten(&selector),
                rule.name
            )));
        }
        if let Some(Over::Label(label)) = rule.kind.over()
            && !cluster.hosts.iter().any(|h| h.labels.contains_key(label))
        {
            return Err(at.key("over").fault(format!(
                "read `over: {}` in rule `{}`, expected `host` or a label that a host has",
                shorten(label),
                rule.name
            )));
        }
    }
    check_split(cluster, policy, owners)?;
    let known: BTreeSet<_> = cluster.hosts.iter().map(|h| &h.name).collect();
    let stranger = policy.costs.hosts.keys().find(|h| !known.contains(h));
    if let (Some(stranger), Some(source)) = (stranger, owners.rest) {
        let name = Step::Name(stranger.as_str().to_owned());
        let steps = vec![Step::Key("costs"), Step::Key("hosts"), name];
        return Err(Place { source, steps }.fault(format!(
            "read a cost for host `{stranger}`, which is not in the cluster"
        )));
    }
    Ok(())
}

/// What limits on split state are of must be there, or they would bind nothing.
fn check_split(cluster: &Cluster, policy: &Policy, owners: &Owners) -> Result<(), InputError> {
    let migrations = &policy.migrations;
    let labels: BTreeSet<&str> = cluster
        .hosts
        .iter()
        .flat_map(|h| h.labels.keys().map(String::as_str))
        .collect();
    let unknown =
        |key: &&String| !split::KEYS.contains(&key.as_str()) && !labels.contains(key.as_str());
    for (map, found) in [
        (
            "split-at-once",
            migrations.split_at_once.keys().find(unknown),
        ),
        ("split-budget", migrations.split_budget.keys().find(unknown)),
    ] {
        let (Some(key), Some(source)) = (found, owners.rest) else {
            continue;
        };
        let name = Step::Name(key.clone());
        let steps = vec![Step::Key("migrations"), Step::Key(map), name];
        return Err(Place { source, steps }.fault(format!(
            "read `{}` in `{map}`, expected `host`, `link`, `all` or a label that a host has",
            shorten(key)
        )));
    }
    Ok(())
}

/// Reads a plan.
///
/// # Errors
/// The first fault found.
pub fn read_plan(source: &Source) -> Result<Plan, InputError> {
    parse(source, Kind::Plan)
}

/// Reads a certificate; what it says is judged by [`crate::check::certificate`].
///
/// # Errors
/// The first fault found.
pub fn read_certificate(source: &Source) -> Result<Certificate, InputError> {
    parse(source, Kind::Certificate)
}

/// Which kind of file this is, by its header.
///
/// # Errors
/// When it has no usable header.
pub fn kind_of(source: &Source) -> Result<Kind, InputError> {
    #[derive(serde::Deserialize)]
    struct Header {
        #[serde(default, rename = "apiVersion")]
        api_version: Option<String>,
        #[serde(default)]
        kind: Option<String>,
    }
    let header: Header = from_yaml(source)?;
    let at = |key| Place {
        source,
        steps: vec![Step::Key(key)],
    };
    match header.api_version {
        None => {
            return Err(at("apiVersion").fault(format!(
                "read no `apiVersion`, expected `apiVersion: {API_VERSION}`"
            )));
        }
        Some(v) if v != API_VERSION => {
            return Err(at("apiVersion").fault(format!(
                "read apiVersion `{}`, expected `{API_VERSION}`",
                shorten(&v)
            )));
        }
        Some(_) => {}
    }
    let kind = header.kind.ok_or_else(|| {
        at("kind").fault(format!("read no `kind`, expected one of {}", Kind::names()))
    })?;
    Kind::from_name(&kind).ok_or_else(|| {
        at("kind").fault(format!(
            "read kind `{}`, expected one of {}",
            shorten(&kind),
            Kind::names()
        ))
    })
}

/// A cluster as a file.
#[must_use]
pub fn write_cluster(cluster: &Cluster) -> String {
    write(Kind::Cluster, cluster)
}
/// A load as a file.
#[must_use]
pub fn write_load(load: &Load) -> String {
    write(Kind::Load, load)
}
/// A policy as a file.
#[must_use]
pub fn write_policy(policy: &Policy) -> String {
    write(Kind::Policy, policy)
}
/// A plan as a file.
#[must_use]
pub fn write_plan(plan: &Plan) -> String {
    write(Kind::Plan, plan)
}
/// A certificate as a file.
#[must_use]
pub fn write_certificate(certificate: &Certificate) -> String {
    write(Kind::Certificate, certificate)
}

fn write<T: serde::Serialize>(kind: Kind, body: &T) -> String {
    serde_yaml::to_string(&Doc { kind, body }).expect("our own types, written to memory")
}

/// Parses one document of the given kind.
///
/// # Errors
/// The first fault found, with its place.
pub fn parse<T: DeserializeOwned>(source: &Source, kind: Kind) -> Result<T, InputError> {
    if kind == Kind::Load
        && let Some(text) = series::folded(&source.text)
    {
        let name = source.name.clone();
        match from_yaml::<Doc<T>>(&Source { name, text }) {
            Ok(doc) if doc.kind == kind => return Ok(doc.body),
            _ => {}
        }
    }
    // A document that is sound is read once; `kind_of` knows what is wrong with a header, and where.
    let doc = match from_yaml::<Doc<T>>(source) {
        Ok(doc) if doc.kind == kind => return Ok(doc.body),
        other => other,
    };
    let found = kind_of(source)?;
    if found != kind {
        return Err(Place {
            source,
            steps: vec![Step::Key("kind")],
        }
        .fault(format!(
            "read kind `{}`, expected `{}`",
            found.name(),
            kind.name()
        )));
    }
    doc.map(|doc| doc.body)
}

/// A fault of the entry with that index in a document's list of that name.
#[must_use]
pub fn fault_in_list(
    source: &Source,
    list: &'static str,
    index: usize,
    message: String,
) -> InputError {
    let steps = vec![Step::Key(list), Step::Index(index)];
    Place { source, steps }.fault(message)
}

#[cfg(test)]
mod tests;
