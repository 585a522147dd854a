//! What is asked, in words.

use vmpack_domain::units::count;
use vmpack_planner::whatif::{DemandEdit, Edit, HeadroomEdit, HostEdit, NewHosts};

/// An edit as a person says it.
pub(super) fn words(edit: &Edit) -> String {
    match edit {
        Edit::Drain(hosts) => format!("drain {}: every guest leaves", hosts.join(", ")),
        Edit::Fail(hosts) => format!("lose {}: its guests start elsewhere", hosts.join(", ")),
        Edit::AddHosts(new) => format!("add {}", new_hosts(new)),
        Edit::ChangeHosts(change) => {
            format!("change {}: {}", change.hosts.join(", "), host(change))
        }
        Edit::ScaleLoad(scale) => format!("load of {} times {}", of(&scale.guests), scale.by),
        Edit::ShiftLoad(shift) => format!("load of {} later by {}", of(&shift.guests), shift.by),
        Edit::CopyGuest(copies) => match copies.count {
            1 => format!("add one more guest like {}", copies.of),
            n => format!("add {n} more guests like {}", copies.of),
        },
        Edit::AddGuests(new) => {
            let names = new.guests.iter().map(|g| g.name.as_str());
            format!("add {}: {}", count(new.guests.len(), "guest"), few(names))
        }
        Edit::RemoveGuests(guests) => {
            format!("remove {}", few(guests.iter().map(String::as_str)))
        }
        Edit::Headroom(headroom) => format!("keep free {}", kept_free(*headroom)),
        Edit::Demand(change) => demand(*change),
        Edit::OverCommit(by) => format!("promise {by} vCPUs per core"),
        Edit::AddRule(rule) => {
            let kind = serde_json::to_value(rule).ok();
            let kind = kind.as_ref().and_then(|k| k.get("kind")?.as_str());
            format!("add the {} rule {}", kind.unwrap_or_default(), rule.name)
        }
        Edit::DropRule(name) => format!("drop the rule {name}"),
    }
}

fn new_hosts(new: &NewHosts) -> String {
    let mut said = count(new.count as usize, "host");
    if let Some(like) = &new.like {
        said += &format!(" like {like}");
    }
    let own = [
        new.cpu.map(|cpu| format!("{cpu}")),
        new.memory.map(|memory| format!("{memory} of memory")),
    ];
    let own: Vec<String> = own.into_iter().flatten().collect();
    if !own.is_empty() {
        said += &format!(" of {}", own.join(" and "));
    }
    for (label, value) in &new.labels {
        said += &format!(", {label}={value}");
    }
    said
}

fn host(change: &HostEdit) -> String {
    let state = change.state.map(|state| match serde_json::to_value(state) {
        Ok(serde_json::Value::String(name)) => format!("state {name}"),
        _ => String::new(),
    });
    let said = [
        change.cpu.map(|cpu| cpu.to_string()),
        change.memory.map(|memory| format!("{memory} of memory")),
        change.network.map(|link| format!("a link of {link}")),
        change.speed.map(|speed| format!("speed {speed}")),
        state,
        change.never_sleep.map(|never| match never {
            true => "never sleep".to_owned(),
            false => "may sleep".to_owned(),
        }),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn kept_free(headroom: HeadroomEdit) -> String {
    let said = [
        headroom.cpu.map(|cpu| format!("{cpu} of CPU")),
        headroom.memory.map(|memory| format!("{memory} of memory")),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn demand(change: DemandEdit) -> String {
    let said = [
        change.cpu.map(|cpu| format!("pack {} of CPU", cpu.name())),
        change.joint.map(|joint| match joint {
            true => "count windows together".to_owned(),
            false => "count windows guest by guest".to_owned(),
        }),
        change
            .overload
            .map(|share| format!("allow overload in {share} of the windows")),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn of(guests: &[String]) -> String {
    match guests {
        [] => "all guests".to_owned(),
        guests => few(guests.iter().map(String::as_str)),
    }
}

/// The first of them.
fn few<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const FEW: usize = 12;
    let more = names.len().saturating_sub(FEW);
    let mut list = names.take(FEW).collect::<Vec<_>>().join(", ");
    if more > 0 {
        list += &format!(" and {more} more");
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::file::{Kind, Source, parse};
    use vmpack_planner::whatif::Scenario;

    #[test]
    fn every_edit_has_words() {
        let text = "apiVersion: vmpack/v1
kind: Scenario
edits:
  - drain: [h1, rack=a]
  - fail: [h2]
  - add-hosts: { count: 2, cpu: 8cores, memory: 16GiB }
  - add-hosts: { count: 1, like: h1, labels: { rack: b } }
  - change-hosts: { hosts: [h*], cpu: 4cores, state: asleep, never-sleep: false }
  - scale-load: { by: 1.5 }
  - shift-load: { by: 2h, guests: [a, b*] }
  - copy-guest: { of: a, count: 3 }
  - add-guests: { guests: [{ name: new, vcpus: 1, memory: 1GiB, host: null }] }
  - remove-guests: [a]
  - headroom: { cpu: 20%, memory: 5% }
  - demand: { cpu: max, joint: true, overload: 1% }
  - over-commit: 3
  - add-rule: { kind: ban, name: never, guests: [a], hosts: [h1] }
  - drop-rule: never
";
        let source = Source {
            name: "scenario".into(),
            text: text.into(),
        };
        let scenario: Scenario = parse(&source, Kind::Scenario).unwrap();
        let said: Vec<String> = scenario.edits.iter().map(words).collect();
        assert_eq!(
            said,
            [
                "drain h1, rack=a: every guest leaves",
                "lose h2: its guests start elsewhere",
                "add 2 hosts of 8cores and 16GiB of memory",
                "add 1 host like h1, rack=b",
                "change h*: 4cores, state asleep, may sleep",
                "load of all guests times 1.5",
                "load of a, b* later by 2h",
                "add 3 more guests like a",
                "add 1 guest: new",
                "remove a",
                "keep free 20% of CPU and 5% of memory",
                "pack max of CPU, count windows together, allow overload in 1% of the windows",
                "promise 3 vCPUs per core",
                "add the ban rule never",
                "drop the rule never",
            ]
        );
    }
}
