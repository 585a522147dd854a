//! What is asked, as edits: of scenario files first, then of what was typed.

use vmpack_domain::Cluster;
use vmpack_domain::file::{
    Kind, Source, fault_in_list, kind_of, parse, read_cluster, read_load, read_policy,
};
use vmpack_domain::units::{Permille, Ratio};
use vmpack_planner::whatif::{
    Copies, DemandEdit, Edit, HeadroomEdit, HostEdit, NewGuests, NewHosts, Scale, Scenario, Shift,
    WhatIfError,
};

use crate::cli::arguments::{EditArguments, Series};
use crate::cli::failure::Failure;
use crate::cli::inputs::Texts;
use crate::cli::session::Session;
use crate::cli::sources;

/// What is asked.
pub(super) struct Asked {
    /// What is changed from value to value, where a range is given.
    pub(super) range: Option<String>,
    /// Each value and all edits with it; one without a value where there is no range.
    pub(super) points: Vec<(String, Vec<Edit>)>,
    pub(super) scenario: Scenarios,
}

/// Where the first edits stand: each one's file and index in it.
pub(super) struct Scenarios(Vec<(Source, usize)>);

impl Scenarios {
    /// The error of the edit at an index, with its place where it has one.
    pub(super) fn blame(&self, at: usize, error: &WhatIfError) -> Failure {
        match self.0.get(at) {
            Some((source, i)) => fault_in_list(source, "edits", *i, error.to_string()).into(),
            None => Failure::input(error.to_string()),
        }
    }
}

/// An edit for every value of a series.
struct Axis {
    name: String,
    values: Vec<(String, Edit)>,
}

fn axis<T: Copy + std::fmt::Display>(
    name: &str,
    series: &Series<T>,
    edit: impl Fn(T) -> Edit,
) -> Axis {
    let values = series.0.iter().map(|v| (v.to_string(), edit(*v)));
    Axis {
        name: name.to_owned(),
        values: values.collect(),
    }
}

/// Reads what is asked.
pub(super) fn asked(
    arguments: &EditArguments,
    texts: Texts,
    session: &mut Session,
) -> Result<Asked, Failure> {
    let mut edits = Vec::new();
    let mut places = Vec::new();
    for source in sources::read(&arguments.scenario, &mut session.stdin)? {
        let scenario: Scenario = parse(&source, Kind::Scenario)?;
        for (i, edit) in scenario.edits.into_iter().enumerate() {
            edits.push(edit);
            places.push((source.clone(), i));
        }
    }
    let list = |names: &[String]| (!names.is_empty()).then(|| names.to_vec());
    edits.extend(list(&arguments.drain).map(Edit::Drain));
    edits.extend(list(&arguments.fail).map(Edit::Fail));
    edits.extend(arguments.add_hosts.iter().map(|new| {
        Edit::AddHosts(NewHosts {
            count: new.count,
            like: None,
            cpu: Some(new.cpu),
            memory: Some(new.memory),
            labels: std::collections::BTreeMap::new(),
        })
    }));
    edits.extend(arguments.change_hosts.iter().map(|change| {
        Edit::ChangeHosts(HostEdit {
            hosts: vec![change.hosts.clone()],
            cpu: Some(change.cpu),
            memory: Some(change.memory),
            ..HostEdit::default()
        })
    }));
    let added = sources::read(&arguments.add_guests, &mut session.stdin)?;
    if !added.is_empty() {
        edits.push(new_guests(added, texts)?);
    }
    edits.extend(arguments.copy_guest.iter().map(|c| {
        Edit::CopyGuest(Copies {
            of: c.of.clone(),
            count: c.count,
        })
    }));
    edits.extend(list(&arguments.remove_guests).map(Edit::RemoveGuests));
    edits.extend(arguments.drop_rule.iter().cloned().map(Edit::DropRule));
    let rules = sources::read(&arguments.add_rules, &mut session.stdin)?;
    edits.extend(read_policy(&rules)?.rules.into_iter().map(Edit::AddRule));
    if arguments.joint || arguments.statistic.is_some() {
        edits.push(Edit::Demand(DemandEdit {
            cpu: arguments.statistic,
            joint: arguments.joint.then_some(true),
            overload: None,
        }));
    }
    edits.extend(arguments.shift_load.iter().map(|shift| {
        Edit::ShiftLoad(Shift {
            by: shift.by,
            guests: shift.guests.clone(),
        })
    }));
    // Load last, so that guests that are added grow too.
    let (range, points) = ranged(axes(arguments), &edits)?;
    Ok(Asked {
        range,
        points,
        scenario: Scenarios(places),
    })
}

fn axes(arguments: &EditArguments) -> Vec<Axis> {
    let cpu = |cpu: Permille| {
        Edit::Headroom(HeadroomEdit {
            cpu: Some(cpu),
            memory: None,
        })
    };
    let memory = |memory: Permille| {
        Edit::Headroom(HeadroomEdit {
            cpu: None,
            memory: Some(memory),
        })
    };
    let headroom = arguments.headroom.iter();
    let mut axes: Vec<Axis> = headroom.map(|s| axis("headroom", s, cpu)).collect();
    let headroom = arguments.memory_headroom.iter();
    axes.extend(headroom.map(|s| axis("memory headroom", s, memory)));
    let promised = arguments.over_commit.iter();
    axes.extend(promised.map(|s| axis("over-commit", s, Edit::OverCommit)));
    axes.extend(arguments.scale_load.iter().map(|scaled| {
        let name = match scaled.guests.as_slice() {
            [] => "load".to_owned(),
            guests => format!("load of {}", guests.join(", ")),
        };
        axis(&name, &scaled.by, |by: Ratio| {
            Edit::ScaleLoad(Scale {
                by,
                guests: scaled.guests.clone(),
            })
        })
    }));
    axes
}

type Ranged = (Option<String>, Vec<(String, Vec<Edit>)>);

/// All edits for every value of the one range, if there is one.
fn ranged(axes: Vec<Axis>, edits: &[Edit]) -> Result<Ranged, Failure> {
    let mut points: Ranged = (None, vec![(String::new(), edits.to_vec())]);
    for axis in axes {
        let is_range = axis.values.len() > 1;
        if is_range && let Some(other) = &points.0 {
            return Err(Failure::usage(format!(
                "ranges of {other} and of {} are given, expected one range",
                axis.name
            )));
        }
        if is_range {
            points.0 = Some(axis.name);
            let before = points.1.pop().map(|p| p.1).unwrap_or_default();
            points.1 = axis
                .values
                .into_iter()
                .map(|(value, edit)| {
                    let all = before.iter().cloned().chain([edit]);
                    (value, all.collect())
                })
                .collect();
        } else {
            for (_, edit) in axis.values {
                for (_, edits) in &mut points.1 {
                    edits.push(edit.clone());
                }
            }
        }
    }
    Ok(points)
}

/// The guests to add and their load, which may say nothing that the inputs say already.
fn new_guests(added: Vec<Source>, mut texts: Texts) -> Result<Edit, Failure> {
    let (mut guests, mut loads) = (Vec::new(), Vec::new());
    for source in added {
        match kind_of(&source)? {
            Kind::Cluster => {
                let part: Cluster = parse(&source, Kind::Cluster)?;
                if let Some(host) = part.hosts.first() {
                    return Err(Failure::input(format!(
                        "{}: read host `{}` among the guests to add, expected guests only",
                        source.name, host.name
                    ))
                    .hint("hosts are added by `--add-hosts N,CPU,MEMORY`"));
                }
                guests.extend(part.guests);
                texts.cluster.push(source);
            }
            Kind::Load => loads.push(source),
            other => {
                return Err(Failure::input(format!(
                    "{}: read kind `{}`, expected a Cluster with the guests to add, or their Load",
                    source.name,
                    other.name()
                )));
            }
        }
    }
    // With what is there already, so that a name given twice is told with its place.
    read_cluster(&texts.cluster)?;
    let load = read_load(&loads)?;
    texts.load.extend(loads);
    read_load(&texts.load)?;
    Ok(Edit::AddGuests(NewGuests { guests, load }))
}
