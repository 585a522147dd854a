//! The picture of a replay over time: what guests want, and what the hosts that each policy has in use
//! could give, both as a share of all hosts' CPU.

use std::fmt::Write;

use vmpack_domain::units::Micros;
use vmpack_planner::page::{escaped, step, ticks};
use vmpack_sim::fleet::{Fleet, Power};

use super::curve::COLOURS;

/// What is seen at a look, as shares of all hosts' CPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Wanted by the guests that run.
    pub(super) wanted: f64,
    /// Offered by the hosts in use.
    pub(super) offered: f64,
}

impl Look {
    pub(super) fn at(fleet: &Fleet) -> Self {
        let sleeps = !fleet.physics().free_sleep;
        let in_use = |h: &usize| match fleet.power(*h) {
            Power::Dead | Power::Asleep => false,
            Power::Waking(_) => true,
            Power::On => {
                sleeps || !fleet.guests_on(*h).is_empty() || !fleet.arriving(*h).is_empty()
            }
        };
        let capacity = |h: usize| fleet.hosts()[h].capacity();
        let hosts = 0..fleet.hosts().len();
        let all: f64 = hosts.clone().map(capacity).sum();
        let runs = |g: &usize| fleet.at(*g).is_some();
        let guests = (0..fleet.guests().len()).filter(runs);
        let wanted: f64 = guests.map(|g| fleet.want(g)).sum();
        let offered: f64 = hosts.filter(in_use).map(capacity).sum();
        Self {
            wanted: wanted / all.max(f64::MIN_POSITIVE),
            offered: offered / all.max(f64::MIN_POSITIVE),
        }
    }
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;
/// The most points of a line; of more, means are drawn.
const POINTS: usize = 1000;

/// A dashed line of what guests want, and a line for each policy. What a line reaches at its end and its
/// colour are told by its name there.
pub(super) fn drawn(policies: &[(String, Vec<Look>)], interval: Micros) -> String {
    let looks = || policies.iter().flat_map(|p| &p.1);
    let most = looks().map(|l| l.wanted.max(l.offered) * 100.0);
    let most = most.fold(1.0, f64::max);
    let longest = policies.iter().map(|p| p.1.len()).max().unwrap_or(0).max(1);
    let hours = longest as f64 * interval.to_std().as_secs_f64() / 3600.0;
    let (x_step, y_step) = (step(hours), step(most));
    let y_end = (most / y_step).ceil() * y_step;
    let (bottom, end) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"demand and the capacity of hosts in use, over time\">\n"
    );
    for (k, up) in ticks(y_end, y_step) {
        let y = bottom - up * (bottom - TOP);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{end}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"var(--line)\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" class=\"faint\">{k}%</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    let mut hour = 0.0;
    while hour <= hours {
        let x = LEFT + hour / hours * (end - LEFT);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" class=\"faint\">{} h</text>",
            bottom + 16.0,
            (hour * 1e6).round() / 1e6
        );
        hour += x_step;
    }
    let mut line = |values: Vec<f64>, share: f64, look: &str, name: &str, lift: f64| {
        let many = (values.len().max(2) - 1) as f64;
        let points: Vec<(f64, f64)> = values
            .iter()
            .enumerate()
            .map(|(i, v)| {
                let x = LEFT + i as f64 / many * share * (end - LEFT);
                (x, bottom - v * 100.0 / y_end * (bottom - TOP))
            })
            .collect();
        let Some((x, y)) = points.last().copied() else {
            return;
        };
        let text: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" {look}/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            text.join(" "),
            x + 8.0,
            y + 4.0 - lift,
            escaped(name)
        );
    };
    let share = |looks: &[Look]| looks.len() as f64 / longest as f64;
    if let Some((_, looks)) = policies.iter().max_by_key(|p| p.1.len()) {
        let dashed = "stroke=\"var(--fg)\" stroke-width=\"1.5\" stroke-dasharray=\"5 4\"";
        line(
            thinned(looks, |l| l.wanted),
            share(looks),
            dashed,
            "wanted",
            0.0,
        );
    }
    // Names of lines that end at one place would hide one another.
    let mut ends: Vec<f64> = Vec::new();
    for (i, (name, looks)) in policies.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let look = format!("stroke=\"{colour}\" stroke-width=\"1.5\"");
        let at = looks
            .last()
            .map_or(0.0, |l| l.offered * 100.0 / y_end * (bottom - TOP));
        let mut lift = 0.0;
        while ends.iter().any(|e| (at + lift - e).abs() < 13.0) {
            lift += 13.0;
        }
        ends.push(at + lift);
        line(
            thinned(looks, |l| l.offered),
            share(looks),
            &look,
            name,
            lift,
        );
    }
    svg + "</svg>\n"
}

/// Means of as many values in a row as leave few enough.
fn thinned(looks: &[Look], of: impl Fn(&Look) -> f64) -> Vec<f64> {
    let each = looks.len().div_ceil(POINTS).max(1);
    let mean = |chunk: &[Look]| chunk.iter().map(&of).sum::<f64>() / chunk.len() as f64;
    looks.chunks(each).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_replay_is_drawn_by_its_means() {
        let looks: Vec<Look> = (0..10_000)
            .map(|i| Look {
                wanted: 0.1,
                offered: if i < 5000 { 0.2 } else { 0.4 },
            })
            .collect();
        assert_eq!(thinned(&looks, |l| l.offered).len(), POINTS);
        let svg = drawn(&[("<b>".into(), looks)], Micros::secs(300));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("&lt;b&gt;") && !svg.contains("<b>"));
        assert!(svg.contains(">800 h<") && svg.contains(">40%<"), "{svg}");
        // Nothing to draw, and no end without it.
        assert!(drawn(&[("x".into(), Vec::new())], Micros::secs(300)).ends_with("</svg>\n"));
    }
}
