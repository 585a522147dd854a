//! `--report FILE`: a page that holds everything in itself and works offline. The page is `page.html`;
//! what it shows is embedded as JSON, in which nothing can end the element that it stands in, and its
//! script puts texts into the page as texts only.

use serde::Serialize;
use vmpack_domain::demand::demands;
use vmpack_domain::plan::{Outcome, Plan};
use vmpack_domain::{Guest, GuestName, HostName};
use vmpack_planner::Summary;
use vmpack_planner::page::STYLE;
use vmpack_planner::whatif::{Answer, Broken, Scene};

use super::plan::plan_of;

/// What the page is made from.
#[derive(Serialize)]
struct Data<'a> {
    title: &'a str,
    made: String,
    summary: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    today: Option<&'a Answer>,
    #[serde(skip_serializing_if = "<[Broken]>::is_empty")]
    stops_holding: &'a [Broken],
    guests: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Series>,
}

/// A guest: where it is and will be, what it counts with, and why.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a GuestName,
    before: Option<&'a HostName>,
    after: Option<&'a HostName>,
    /// In cores of speed 1.
    cpu: f64,
    /// With overhead.
    mib: u64,
    why: String,
}

/// What the guests that have windows want together, in cores.
#[derive(Serialize)]
struct Series {
    start: String,
    step_seconds: f64,
    values: Vec<f64>,
    guests: usize,
    /// What guests may use of the hosts in use.
    room: f64,
}

/// The page of a plan, or of what would be: then with today's answer and what stops holding.
pub(crate) fn page(
    title: &str,
    scene: &Scene,
    outcome: &Outcome<Plan>,
    summary: &Summary,
    against: Option<(&Answer, &[Broken])>,
) -> String {
    let data = Data {
        title,
        made: format!(
            "{} hosts, {} guests; demand by {}; made by vmpack {}",
            scene.cluster.hosts.len(),
            scene.cluster.guests.len(),
            scene.policy.demand.cpu.name(),
            env!("CARGO_PKG_VERSION")
        ),
        summary,
        today: against.map(|a| a.0),
        stops_holding: against.map_or(&[], |a| a.1),
        guests: guests(scene, plan_of(outcome)),
        load: series(scene, summary),
    };
    let json = serde_json::to_string(&data).unwrap_or_else(|_| "{}".into());
    // No text can end the element or begin a comment.
    let json = json
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    let page = include_str!("page.html").replacen("@STYLE@", STYLE, 1);
    page.replacen("@DATA@", &json, 1)
}

fn guests<'a>(scene: &'a Scene, plan: Option<&'a Plan>) -> Vec<Row<'a>> {
    let demands = demands(&scene.cluster, &scene.load, &scene.policy);
    let rows = scene.cluster.guests.iter().zip(demands);
    rows.map(|(guest, demand)| {
        let before = guest.host.as_ref();
        let after = match plan {
            Some(plan) => plan.target.get(&guest.name),
            None => before,
        };
        #[expect(clippy::cast_precision_loss, reason = "cores for the eye")]
        let cpu = demand.cpu.0 as f64 / 1000.0;
        Row {
            name: &guest.name,
            before,
            after,
            cpu,
            mib: (guest.memory + scene.policy.overhead.memory).0,
            why: fate(guest, plan),
        }
    })
    .collect()
}

/// Why a guest moves or stays in a plan.
pub(crate) fn fate(guest: &Guest, plan: Option<&Plan>) -> String {
    let before = guest.host.as_ref();
    let after = match plan {
        Some(plan) => plan.target.get(&guest.name),
        None => before,
    };
    let moved = plan.and_then(|p| p.moves.iter().rev().find(|m| m.guest == guest.name));
    let used = |host: &HostName| plan.is_some_and(|p| p.hosts.after.contains(host));
    match (moved, before, after) {
        (Some(moved), ..) => moved.reason.clone(),
        (None, None, Some(_)) => "waits, and is started there".to_owned(),
        (None, Some(_), Some(_)) if before != after => "is started there".to_owned(),
        _ if !guest.movable => "stays: it may not be moved".to_owned(),
        (None, Some(host), _) if used(host) => {
            "stays: its host stays in use, and moving it empties none".to_owned()
        }
        _ => String::new(),
    }
}

/// Of the guests that were measured over time as the first of them was.
fn series(scene: &Scene, summary: &Summary) -> Option<Series> {
    let windows = |name| {
        let load = scene.load.guests.get(name)?;
        load.cpu.as_ref()?.windows.as_ref()
    };
    let all = scene.cluster.guests.iter().filter_map(|g| windows(&g.name));
    let first = all.clone().next()?;
    let mut sums = vec![0u64; first.values.len()];
    let mut guests = 0;
    for windows in all.filter(|w| w.is_joint_with(first)) {
        guests += 1;
        for (sum, value) in sums.iter_mut().zip(&windows.values) {
            *sum += value.0;
        }
    }
    let used = summary.hosts.iter().filter(|h| h.after.in_use);
    #[expect(clippy::cast_precision_loss, reason = "cores for the eye")]
    let values = sums.into_iter().map(|v| v as f64 / 1000.0).collect();
    Some(Series {
        start: first.start.0.to_string(),
        step_seconds: first.step.to_std().as_secs_f64(),
        values,
        guests,
        room: used.map(|h| h.cpu_room).sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::file::{Kind, Source, parse};
    use vmpack_domain::{Load, Policy};
    use vmpack_planner::summary;

    #[test]
    fn nothing_that_is_read_can_end_the_data() {
        let cluster =
            "hosts: [{ name: h1, cpu: 4cores, memory: 8GiB, network: 100MiB/s, state: on }]
guests: [{ name: '</script><script>alert(1)</script>', vcpus: 1, memory: 1GiB, host: h1 }]";
        let source = Source {
            name: "cluster".into(),
            text: format!("apiVersion: vmpack/v1\nkind: Cluster\n{cluster}"),
        };
        let cluster = parse(&source, Kind::Cluster).unwrap();
        let scene = Scene {
            cluster,
            load: Load::default(),
            policy: Policy::default(),
        };
        let outcome = Outcome::Infeasible(vec!["<b>&no".into()]);
        let summary = summary(&scene.cluster, &scene.load, &scene.policy, &outcome, 0.0);
        let page = page("<i>title", &scene, &outcome, &summary, None);
        assert_eq!(page.matches("</script>").count(), 2, "ours only");
        assert!(
            !page.contains("alert(1)</") && !page.contains("<i>title") && !page.contains("<b>&no")
        );
        let data = page.split("id=\"data\">").nth(1).unwrap();
        let data = data.split("</script>").next().unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(
            data["guests"][0]["name"],
            "</script><script>alert(1)</script>"
        );
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            let allowed = page.matches(outside).count();
            let known = usize::from(outside == "http://");
            assert_eq!(allowed, known, "{outside}");
        }
    }
}
