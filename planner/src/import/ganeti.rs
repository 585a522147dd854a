//! Ganeti's text format, which `hscan` writes and `hbal -t` reads (Ganeti 2.x and 3.x,
//! `HTools/Backend/Text.hs`): sections of lines apart by an empty line, fields apart by `|`.
//!
//! ```text
//! group     name|uuid|allocation policy|tags|...
//! node      name|memory|used by itself|free|disk|free disk|CPUs|offline Y, N or M|uuid of its group|...
//! instance  name|memory|disk|vCPUs|status|auto balance Y or N|primary|secondary|disk template|tags|...
//! tag       of the cluster
//! policy    group|standard size|sizes|disk templates|vCPUs a CPU|...
//! ```
//!
//! Amounts are MiB. A node marked offline, or of which something is unknown (`?`), is out. Instances that
//! do not run are left out: they take no memory. Ganeti knows no CPU load here and packs by vCPUs a CPU:
//! each vCPU counts at the share of a core that this leaves it. Disks: where they are on two nodes
//! (`drbd`) a guest stays on those, where on one (`plain`, `file`) it stays; else it stays in its group.
//! Tags of the cluster `htools:iextags:WHAT` keep instances with the same tag `WHAT:…` apart.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::cluster::HostState;
use vmpack_domain::policy::Policy;
use vmpack_domain::rule::{Over, RuleKind};
use vmpack_domain::units::{MiB, MilliCores, Ratio};
use vmpack_domain::{Cluster, Guest, Host, HostName, Load, Rule};

use super::{ImportError, Imported, LeftOut, as_it_is, constant, guest, host};

/// vCPUs a CPU where no policy says it: Ganeti's own default.
const VCPU_RATIO: Ratio = Ratio(4000);
/// The label under which a node's group stands.
const GROUP: &str = "group";
/// Disks that every node of the group reaches.
const SHARED: [&str; 6] = [
    "sharedfile",
    "gluster",
    "blockdev",
    "rbd",
    "ext",
    "diskless",
];
/// The largest amount of memory, in MiB, and of CPUs.
const MOST: u64 = 1 << 40;
const MOST_CPUS: u64 = 1 << 20;

/// Lines with their numbers.
type Lines<'t> = Vec<(usize, &'t str)>;

/// Reads it. `anywhere` ignores where disks are.
///
/// # Errors
/// With the line: too few fields, what is no number, names that are not there, a section too few.
pub fn read(text: &str, anywhere: bool) -> Result<Imported, ImportError> {
    let sections = sections(text);
    let [groups, nodes, instances, rest @ ..] = sections.as_slice() else {
        return Err(ImportError::new(format!(
            "read {} sections apart by empty lines, expected groups, nodes, instances, tags and policies",
            sections.len()
        )));
    };
    let (tags, policies) = match rest {
        [] => (&[][..], &[][..]),
        [tags] => (tags.as_slice(), &[][..]),
        [tags, policies, ..] => (tags.as_slice(), policies.as_slice()),
    };
    let groups = self::groups(groups)?;
    let hosts = nodes
        .iter()
        .map(|line| node(*line, &groups))
        .collect::<Result<Vec<Host>, _>>()?;
    unique(nodes)?;
    unique(instances)?;
    let ratio = vcpu_ratio(policies)?.unwrap_or(VCPU_RATIO);
    let mut read = Reading {
        names: hosts.iter().map(|h| h.name.clone()).collect(),
        several_groups: groups.len() > 1,
        anywhere,
        ratio,
        apart: tags
            .iter()
            .filter_map(|(_, tag)| tag.strip_prefix("htools:iextags:"))
            .map(|what| format!("{what}:"))
            .collect(),
        guests: Vec::new(),
        load: Load::default(),
        policy: as_it_is(ratio),
        tagged: BTreeMap::new(),
        down: 0,
    };
    for line in instances {
        read.instance(*line, &hosts)?;
    }
    let mut policy = read.policy;
    for (tag, guests) in read.tagged {
        if guests.len() > 1 {
            policy.rules.push(Rule {
                name: tag,
                kind: RuleKind::Spread {
                    guests,
                    over: Over::Host,
                },
            });
        }
    }
    let mut left_out = Vec::new();
    if read.down > 0 {
        left_out.push(LeftOut {
            what: "instance that does not run".into(),
            count: read.down,
            why: "it takes no memory until it is started".into(),
        });
    }
    Ok(Imported {
        cluster: Cluster {
            hosts,
            guests: read.guests,
        },
        load: read.load,
        policy,
        left_out,
    })
}

/// Sections are apart by an empty line; one may be empty.
fn sections(text: &str) -> Vec<Lines<'_>> {
    let mut sections = vec![Vec::new()];
    for (i, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        match (line.is_empty(), sections.last_mut()) {
            (false, Some(section)) => section.push((i + 1, line)),
            _ => sections.push(Vec::new()),
        }
    }
    sections
}

fn fields<const N: usize>(
    (line, text): (usize, &str),
    what: &str,
) -> Result<[String; N], ImportError> {
    let fields: Vec<String> = text.split('|').map(|f| f.trim().to_owned()).collect();
    let count = fields.len();
    fields
        .into_iter()
        .take(N)
        .collect::<Vec<_>>()
        .try_into()
        .map_err(|_| {
            ImportError::at(
                line,
                format!("read {count} fields apart by `|`, expected {what}"),
            )
        })
}

fn groups(lines: &Lines) -> Result<BTreeMap<String, String>, ImportError> {
    let mut groups = BTreeMap::new();
    for line in lines {
        let [name, uuid] = fields(*line, "a group: its name, its UUID and more")?;
        groups.insert(uuid, name);
    }
    Ok(groups)
}

fn number(line: usize, text: &str, what: &str, most: u64) -> Result<u64, ImportError> {
    // Ganeti writes whole numbers, sometimes with a fraction of nothing.
    let whole = text.strip_suffix(".0").unwrap_or(text);
    let number = whole.parse().ok().filter(|n| *n <= most);
    number.ok_or_else(|| {
        ImportError::at(
            line,
            format!("read `{text}` as {what}, expected a whole number up to {most}"),
        )
    })
}

fn name<T: std::str::FromStr>(line: usize, text: &str) -> Result<T, ImportError>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|e: T::Err| ImportError::at(line, e.to_string()))
}

fn unique(lines: &Lines) -> Result<(), ImportError> {
    let mut known = BTreeMap::new();
    for (line, text) in lines {
        let name = text.split('|').next().unwrap_or_default();
        if let Some(first) = known.insert(name, *line) {
            return Err(ImportError::at(
                *line,
                format!(
                    "read `{name}` a second time (first in line {first}), expected unique names"
                ),
            ));
        }
    }
    Ok(())
}

fn node(line: (usize, &str), groups: &BTreeMap<String, String>) -> Result<Host, ImportError> {
    let at = line.0;
    let [named, memory, own, free, _, _, cpus, offline, group] =
        fields(line, "a node: nine fields, its group's UUID the last")?;
    let Some(group) = groups.get(&group) else {
        return Err(ImportError::at(
            at,
            format!("read a node of group `{group}`, expected the UUID of a group above"),
        ));
    };
    if !["Y", "N", "M"].contains(&offline.as_str()) {
        return Err(ImportError::at(
            at,
            format!("read `{offline}` for whether the node is offline, expected Y, N or M"),
        ));
    }
    let unknown = [&memory, &own, &free, &cpus].iter().any(|f| *f == "?");
    let out = unknown || offline == "Y";
    let amount = |text: &str, what: &str, most| match out {
        true => Ok(text.parse().ok().filter(|n| *n <= most).unwrap_or(0)),
        false => number(at, text, what, most),
    };
    let cpus = amount(&cpus, "the CPUs", MOST_CPUS)?;
    let mut node = host(
        name(at, &named)?,
        MilliCores::cores(cpus),
        MiB(amount(&memory, "the memory", MOST)?),
    );
    node.reserve.memory = MiB(amount(&own, "the memory that the node uses itself", MOST)?);
    node.labels.insert(GROUP.into(), group.clone());
    if out {
        node.state = HostState::Out;
    }
    Ok(node)
}

/// What is read of instances.
struct Reading {
    names: BTreeSet<HostName>,
    several_groups: bool,
    anywhere: bool,
    ratio: Ratio,
    /// Tags that begin so keep instances apart.
    apart: Vec<String>,
    guests: Vec<Guest>,
    load: Load,
    policy: Policy,
    tagged: BTreeMap<String, Vec<String>>,
    down: usize,
}

impl Reading {
    fn instance(&mut self, line: (usize, &str), hosts: &[Host]) -> Result<(), ImportError> {
        let at = line.0;
        let [
            named,
            memory,
            _,
            vcpus,
            status,
            _,
            primary,
            secondary,
            template,
            tags,
        ] = fields(line, "an instance: ten fields, its tags the last")?;
        let memory = MiB(number(at, &memory, "the memory", MOST)?);
        let vcpus = number(at, &vcpus, "the vCPUs", MOST_CPUS)?;
        let known = |text: &str| {
            let host: HostName = name(at, text)?;
            match self.names.contains(&host) {
                true => Ok(host),
                false => Err(ImportError::at(
                    at,
                    format!("read node `{text}`, expected one of the nodes above"),
                )),
            }
        };
        let primary = known(&primary)?;
        let secondary = match secondary.as_str() {
            "" => None,
            other => Some(known(other)?),
        };
        // As `gnt-instance list` says it; ERROR_up runs although it should not.
        if !["running", "ERROR_up"].contains(&status.as_str()) {
            self.down += 1;
            return Ok(());
        }
        let mut running = guest(
            name(at, &named)?,
            u32::try_from(vcpus).unwrap_or(u32::MAX).max(1),
            memory,
            Some(primary.clone()),
        );
        let share = (u128::from(vcpus) * 1_000_000).div_ceil(u128::from(self.ratio.0.max(1)));
        let share = MilliCores(u64::try_from(share).unwrap_or(MOST));
        let group = hosts.iter().find(|h| h.name == primary);
        let group = group.and_then(|h| h.labels.get(GROUP)).cloned();
        let fence = match (template.as_str(), secondary) {
            _ if self.anywhere => None,
            ("drbd", Some(secondary)) => Some(vec![primary.to_string(), secondary.to_string()]),
            (template, _) if SHARED.contains(&template) => group
                .filter(|_| self.several_groups)
                .map(|group| vec![format!("{GROUP}={group}")]),
            _ => {
                running.movable = false;
                None
            }
        };
        if let Some(hosts) = fence {
            self.policy.rules.push(Rule {
                name: format!("disks of {named}"),
                kind: RuleKind::Fence {
                    guests: vec![named.clone()],
                    hosts,
                },
            });
        }
        for tag in tags.split(',').filter(|t| !t.is_empty()) {
            if self.apart.iter().any(|what| tag.starts_with(what)) {
                self.tagged
                    .entry(tag.to_owned())
                    .or_default()
                    .push(named.clone());
            }
        }
        self.load
            .guests
            .insert(running.name.clone(), constant(share));
        self.guests.push(running);
        Ok(())
    }
}

/// Of the cluster's own policy, the one without an owner.
fn vcpu_ratio(lines: &[(usize, &str)]) -> Result<Option<Ratio>, ImportError> {
    let Some((line, text)) = lines.iter().find(|l| l.1.starts_with('|')) else {
        return Ok(None);
    };
    let fields: Vec<&str> = text.split('|').collect();
    // Older files have three sizes in three fields and the ratio behind the disk templates, newer ones
    // two.
    let newer = fields.get(4).and_then(|f| f.parse::<f64>().ok()).is_some();
    let at = if fields.len() >= 7 && !newer { 5 } else { 4 };
    let text = fields.get(at).copied().unwrap_or_default();
    let ratio = text.parse::<Ratio>().ok().filter(|r| r.0 > 0);
    ratio.map(Some).ok_or_else(|| {
        ImportError::at(
            *line,
            format!("read `{text}` as the vCPUs a CPU, expected a number above zero such as `4.0`"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
default|g-1|preferred||
remote|g-2|last_resort||

n1|65536|2048|40000|1000|500|16|N|g-1|1||N|0|1|1.0
n2|65536|2048|50000|1000|500|16|M|g-1|1
n3|?|?|?|?|?|?|N|g-1|1
n4|65536|1024|60000|1000|500|16|N|g-2|1

web1|4096|100|2|running|Y|n1|n2|drbd|service:web,other|1
web2|4096|100|2|running|Y|n2|n1|drbd|service:web|1
db|8192|100|4|running|N|n1||plain||1
shared|2048|100|1|ERROR_up|Y|n4||rbd||1
old|1024|100|1|ADMIN_down|Y|n1|n2|drbd||1

htools:iextags:service

|1024,1,1024,1,1,1|128,1,1024,1,1,1;32768,8,1048576,16,8,12|drbd,plain|8.0|32.0
";

    #[test]
    fn nodes_and_instances_become_hosts_and_guests() {
        let imported = read(TEXT, false).unwrap();
        let hosts = &imported.cluster.hosts;
        assert_eq!(hosts.len(), 4);
        assert_eq!(
            (hosts[0].cpu, hosts[0].memory),
            (MilliCores(16_000), MiB(65_536))
        );
        assert_eq!(hosts[0].reserve.memory, MiB(2048));
        assert_eq!(hosts[0].labels[GROUP], "default");
        let states: Vec<HostState> = hosts.iter().map(|h| h.state).collect();
        assert_eq!(
            states,
            [HostState::On, HostState::On, HostState::Out, HostState::On]
        );
        let guests = &imported.cluster.guests;
        let names: Vec<&str> = guests.iter().map(|g| g.name.as_str()).collect();
        assert_eq!(names, ["web1", "web2", "db", "shared"]);
        assert!(!guests[2].movable, "its disk is on one node");
        // Two vCPUs at eight a CPU.
        let cpu = imported.load.guests["web1"].cpu.as_ref().unwrap();
        assert_eq!(cpu.max, Some(MilliCores(250)));
        assert_eq!(imported.policy.over_commit.cpu, Ratio(8000));
        let rules: Vec<(&str, &str)> = imported
            .policy
            .rules
            .iter()
            .map(|r| (r.name.as_str(), r.kind.name()))
            .collect();
        assert_eq!(
            rules,
            [
                ("disks of web1", "fence"),
                ("disks of web2", "fence"),
                ("disks of shared", "fence"),
                ("service:web", "spread")
            ]
        );
        assert_eq!(imported.left_out[0].count, 1);
        let free = read(TEXT, true).unwrap();
        assert_eq!(free.policy.rules.len(), 1, "only who is apart");
        assert!(free.cluster.guests.iter().all(|g| g.movable));
    }

    #[test]
    fn the_older_policy_with_three_sizes_is_read() {
        let older = TEXT.replace(
            "|128,1,1024,1,1,1;32768,8,1048576,16,8,12|",
            "|128,1,1024,1,1,1|32768,8,1048576,16,8,12|",
        );
        let imported = read(&older, false).unwrap();
        assert_eq!(imported.policy.over_commit.cpu, Ratio(8000));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (from, to, says) in [
            (
                "n1|65536|2048",
                "n1|much|2048",
                "4:1: read `much` as the memory",
            ),
            (
                "|g-2|1\n\nweb1",
                "|g-9|1\n\nweb1",
                "7:1: read a node of group `g-9`",
            ),
            ("|Y|n2|n1|drbd", "|Y|n7|n1|drbd", "10:1: read node `n7`"),
            (
                "db|8192|100|4|running|N|n1||plain||1",
                "db|8192",
                "11:1: read 2 fields",
            ),
            (
                "web2|",
                "web1|",
                "10:1: read `web1` a second time (first in line 9)",
            ),
            (
                "plain|8.0|",
                "plain|many|",
                "17:1: read `many` as the vCPUs a CPU",
            ),
            ("|16|M|", "|16|X|", "5:1: read `X` for whether"),
        ] {
            assert!(TEXT.contains(from), "{from}");
            let error = read(&TEXT.replacen(from, to, 1), false).unwrap_err();
            assert!(error.to_string().starts_with(says), "{error}");
        }
        let error = read("a|b|c\n", false).unwrap_err().to_string();
        assert!(error.starts_with("read 1 sections"), "{error}");
    }
}
