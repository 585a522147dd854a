//! `--report FILE`: a page that holds everything in itself and works offline. The page is `page.html`;
//! what it shows is embedded as JSON, in which nothing can end the element that it stands in, and its
//! script puts texts into the page as texts only.

use std::collections::BTreeMap;

use serde::Serialize;
use vmpack_domain::demand::demands;
use vmpack_domain::plan::{Outcome, Plan};
use vmpack_domain::{Guest, GuestName, HostName};
use vmpack_planner::page::{STYLE, is_hidden};
use vmpack_planner::whatif::{Answer, Broken, Scene};
use vmpack_planner::why::{Barriers, held};
use vmpack_planner::{HostRow, Summary};

use super::plan::plan_of;

/// What the page is made from.
#[derive(Serialize)]
struct Data<'a> {
    title: &'a str,
    made: String,
    summary: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Against<'a>>,
    /// Hosts that are there today, and are not any more, with their places among today's.
    lost: Vec<(usize, &'a HostRow)>,
    guests: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load: Option<Series>,
}

/// What today is compared with.
#[derive(Serialize)]
pub(crate) struct Against<'a> {
    #[serde(skip)]
    pub(crate) today: &'a Answer,
    /// What was asked, in words.
    pub(crate) asked: Vec<String>,
    /// What is compared, today, what if, and the difference.
    pub(crate) compared: Vec<[String; 4]>,
    pub(crate) stops_holding: &'a [Broken],
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
    against: Option<Against>,
) -> String {
    let is_lost = |h: &(usize, &HostRow)| summary.hosts.iter().all(|o| o.name != h.1.name);
    let today = against.as_ref().map(|a| a.today.summary.hosts.iter());
    let lost = today.map_or_else(Vec::new, |hosts| {
        hosts.enumerate().filter(is_lost).collect()
    });
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
        against,
        lost,
        guests: guests(scene, plan_of(outcome)),
        load: series(scene, summary),
    };
    let json = serde_json::to_string(&data).unwrap_or_else(|_| "{}".into());
    let json = harmless(&json);
    let page = include_str!("page.html").replacen("@STYLE@", STYLE, 1);
    page.replacen("@DATA@", &json, 1)
}

/// JSON in which no text can end the element that it stands in, begin a comment, or turn what is shown
/// after it.
fn harmless(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' => safe.push_str("\\u003c"),
            '>' => safe.push_str("\\u003e"),
            '&' => safe.push_str("\\u0026"),
            // Such as stand here only in texts, which then show their number.
            c if is_hidden(c) => {
                safe.push('\\');
                safe.extend(c.escape_unicode());
            }
            c => safe.push(c),
        }
    }
    safe
}

fn guests<'a>(scene: &'a Scene, plan: Option<&'a Plan>) -> Vec<Row<'a>> {
    let demands = demands(&scene.cluster, &scene.load, &scene.policy);
    let fates = Fates::of(scene, plan);
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
            why: fates.why(guest),
        }
    })
    .collect()
}

/// Why guests move or stay in a plan.
pub(crate) struct Fates<'a> {
    plan: Option<&'a Plan>,
    held: BTreeMap<GuestName, String>,
    barriers: Option<Barriers<'a>>,
}

impl<'a> Fates<'a> {
    pub(crate) fn of(scene: &'a Scene, plan: Option<&'a Plan>) -> Self {
        Self {
            plan,
            held: held(scene),
            barriers: plan.map(|plan| Barriers::of(scene, &plan.target)),
        }
    }

    /// That of a guest of the scene. That none is emptied by moving it is not said: the plan does not
    /// tell.
    pub(crate) fn why(&self, guest: &Guest) -> String {
        let plan = self.plan;
        let before = guest.host.as_ref();
        let after = match plan {
            Some(plan) => plan.target.get(&guest.name),
            None => before,
        };
        let moved = plan.and_then(|p| p.moves.iter().rev().find(|m| m.guest == guest.name));
        match (moved, before, after) {
            (Some(moved), ..) => return moved.reason.clone(),
            (None, None, Some(_)) => return "waits, and is started there".to_owned(),
            (None, Some(_), Some(_)) if before != after => return "is started there".to_owned(),
            _ => {}
        }
        if let Some(why) = self.held.get(&guest.name) {
            return format!("stays: {why}");
        }
        let (Some(plan), Some(host)) = (plan, before) else {
            return String::new();
        };
        if !plan.hosts.after.contains(host) {
            return String::new();
        }
        let barriers = self.barriers.as_ref();
        let around = barriers.map(|b| b.around(&guest.name, &plan.hosts.after));
        let around: Vec<&str> = around.unwrap_or_default().into_iter().collect();
        match around.as_slice() {
            [] => "stays: its host stays in use".to_owned(),
            [rule] => format!("stays: rule {rule} keeps it off the other hosts in use"),
            rules => format!(
                "stays: rules {} keep it off the other hosts in use",
                rules.join(", ")
            ),
        }
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
    use crate::cli::inputs::timed_plan;
    use vmpack_domain::file::{Kind, Source, parse};
    use vmpack_domain::{Load, Policy};
    use vmpack_planner::summary;

    fn read(hosts: &str, guests: &str, policy: &str) -> Scene {
        let file = |name: &str, kind: &str, text: &str| Source {
            name: name.into(),
            text: format!("apiVersion: vmpack/v1\nkind: {kind}\n{text}"),
        };
        let cluster = format!("hosts: {hosts}\nguests: {guests}");
        let cluster = file("cluster", "Cluster", &cluster);
        let policy = file("policy", "Policy", policy);
        Scene {
            cluster: parse(&cluster, Kind::Cluster).unwrap(),
            load: Load::default(),
            policy: parse(&policy, Kind::Policy).unwrap(),
        }
    }

    /// Two hosts with a guest each, under these rules and limits, as they are planned.
    fn whys(policy: &str) -> Vec<String> {
        let hosts = "
  - { name: h1, cpu: 16cores, memory: 64GiB, network: 1250MiB/s, state: on }
  - { name: h2, cpu: 16cores, memory: 64GiB, network: 1250MiB/s, state: on }";
        let guests = "
  - { name: a, vcpus: 2, memory: 2GiB, host: h1 }
  - { name: b, vcpus: 2, memory: 2GiB, host: h2 }";
        let policy = format!("limits: {{ nodes: 50 }}\n{policy}");
        let policy = policy.replace("limits: { nodes: 50 }\nlimits: {", "limits: { nodes: 50,");
        let scene = read(hosts, guests, &policy);
        let (cluster, load, policy) = (&scene.cluster, &scene.load, &scene.policy);
        let (outcome, _) = timed_plan(cluster, load, policy, &|| false, &mut |_| {});
        let fates = Fates::of(&scene, plan_of(&outcome));
        cluster.guests.iter().map(|g| fates.why(g)).collect()
    }

    #[test]
    fn a_guest_stays_for_the_rule_that_keeps_it_or_because_its_host_stays_in_use() {
        let rule = |rule: &str| whys(&format!("rules: [{rule}]"));
        let pins = rule("{ kind: pin, name: p, guests: [a, b] }");
        assert_eq!(pins, ["stays: rule p keeps it there"; 2]);
        let spread = rule("{ kind: spread, name: s, guests: [a, b] }");
        assert_eq!(
            spread,
            ["stays: rule s keeps it off the other hosts in use"; 2]
        );
        let bans = "{ kind: ban, name: b1, guests: [a], hosts: [h2] }, { kind: ban, name: b2, guests: [b], hosts: [h1] }";
        assert_eq!(
            rule(bans),
            ["b1", "b2"].map(|b| format!("stays: rule {b} keeps it off the other hosts in use"))
        );
        // What no rule about these guests forbids.
        for policy in [
            "limits: { moves: 0 }",
            "rules: [{ kind: max-moves, name: m, guests: [a, b], moves: 0 }]",
        ] {
            let whys = whys(policy);
            assert_eq!(whys, ["stays: its host stays in use"; 2], "{policy}");
        }
    }

    #[test]
    fn what_is_hidden_in_a_name_is_shown() {
        let hosts = "[{ name: h1, cpu: 4cores, memory: 8GiB, network: 100MiB/s, state: on }]";
        let name = "a\u{202e}b\\\\u{2066}";
        let guests = format!("[{{ name: \"{name}\", vcpus: 1, memory: 1GiB, host: h1 }}]");
        let scene = read(hosts, &guests, "rules: []");
        let outcome = Outcome::Infeasible(Vec::new());
        let summary = summary(&scene.cluster, &scene.load, &scene.policy, &outcome, 0.0);
        let page = page("plan", &scene, &outcome, &summary, None);
        assert!(!page.contains('\u{202e}'));
        let data = page.split("id=\"data\">").nth(1).unwrap();
        let data = data.split("</script>").next().unwrap();
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["guests"][0]["name"], "a\\u{202e}b\\u{2066}");
    }

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
