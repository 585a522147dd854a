//! The picture of a replay over time: what guests want, and what the hosts that each policy has in use
//! could give, both as a share of all hosts' CPU.

use std::fmt::Write;

use vmpack_domain::units::Micros;
use vmpack_planner::page::{escaped, spread, step, stroke, ticks, width};
use vmpack_sim::fleet::{Fleet, Power};

/// What is seen at a look, as shares of all hosts' CPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Look {
    /// Wanted by the guests that are there, those that wait included.
    pub(super) wanted: f64,
    /// Offered by the hosts in use.
    pub(super) offered: f64,
}

impl Look {
    /// Under a policy by which all hosts draw their full power all the time, or not.
    pub(super) fn at(fleet: &Fleet, full_power: bool) -> Self {
        let always = full_power || !fleet.physics().free_sleep;
        let in_use = |h: &usize| match fleet.power(*h) {
            Power::Dead => false,
            Power::Asleep => full_power,
            Power::Waking(_) => true,
            Power::On => {
                always || !fleet.guests_on(*h).is_empty() || !fleet.arriving(*h).is_empty()
            }
        };
        let capacity = |h: usize| fleet.hosts()[h].capacity();
        let hosts = 0..fleet.hosts().len();
        let all: f64 = hosts.clone().map(capacity).sum();
        let is_there = |g: &usize| fleet.at(*g).is_some() || !fleet.has_left(*g);
        let guests = (0..fleet.guests().len()).filter(is_there);
        let wanted: f64 = guests.map(|g| fleet.want(g)).sum();
        let offered: f64 = hosts.filter(in_use).map(capacity).sum();
        Self {
            wanted: wanted / all.max(f64::MIN_POSITIVE),
            offered: offered / all.max(f64::MIN_POSITIVE),
        }
    }
}

/// A policy's name, its place among the colours, and what was seen of it.
pub(super) type Seen<'a> = (&'a str, usize, &'a [Look]);

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 50.0;
/// From the end of the lines to their names.
const LEADER: f64 = 30.0;
/// From one name to the next.
const GAP: f64 = 14.0;
/// The most points of a line; of more, means are drawn.
const POINTS: usize = 1000;
/// Guests that are not packed yet fill many hosts. A start that rises so much above all that follows would
/// flatten it, and is told in place of drawn.
const START: f64 = 1.5;

/// A line: its name, how it is drawn, its share of the picture's width, and its values in percent.
struct Line {
    name: String,
    look: String,
    share: f64,
    values: Vec<f64>,
}

/// A dashed line of what guests want, and a line for each policy. Its name stands at its end, with a short
/// line between that has its colour.
pub(super) fn drawn(policies: &[Seen], interval: Micros) -> String {
    let longest = policies.iter().map(|p| p.2.len()).max().unwrap_or(0).max(1);
    let hours = longest as f64 * interval.to_std().as_secs_f64() / 3600.0;
    let lines = lines(policies, longest);
    let most = |from: usize| {
        let values = lines.iter().flat_map(|l| l.values.iter().skip(from));
        values.copied().fold(1.0, f64::max)
    };
    // The first fiftieth, the first look at least.
    let start = lines.iter().map(|l| l.values.len()).max().unwrap_or(0);
    let (all, later) = (most(0), most(start.div_ceil(50)));
    let cut = all > START * later && start > 1;
    let top = if cut { later } else { all };
    let y_step = step(top);
    let y_end = (top / y_step).ceil() * y_step;

    let names = lines.iter().map(|l| width(&l.name)).fold(60.0, f64::max);
    let right = LEADER + names.min(260.0) + 6.0;
    let high = (GAP * lines.len() as f64).max(HEIGHT - TOP - BOTTOM);
    let (bottom, end) = (TOP + high, WIDTH - right);
    let height = bottom + BOTTOM;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"demand and the capacity of hosts in use, over time\">\n"
    );
    for (k, up) in ticks(y_end, y_step) {
        let y = bottom - up * high;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{end}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"var(--line)\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" class=\"faint\">{k}%</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    // Of four days and more, in days.
    let (unit, in_hours) = if hours < 96.0 {
        ("h", 1.0)
    } else {
        ("d", 24.0)
    };
    let (span, mut at) = (hours / in_hours, 0.0);
    while at <= span {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" class=\"faint\">{} {unit}</text>",
            LEFT + at / span * (end - LEFT),
            bottom + 16.0,
            (at * 1e6_f64).round() / 1e6
        );
        at += step(span);
    }
    let mut ends: Vec<(&Line, f64, f64)> = Vec::new();
    for line in &lines {
        let many = (line.values.len().max(2) - 1) as f64;
        let points = line.values.iter().enumerate().map(|(i, v)| {
            let x = LEFT + i as f64 / many * line.share * (end - LEFT);
            (x, bottom - v / y_end * high)
        });
        // What rises above the picture is a start that was cut off.
        let points: Vec<(f64, f64)> = points.filter(|p| p.1 > TOP - 0.1).collect();
        let Some((x, y)) = points.last() else {
            continue;
        };
        let text: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke-width=\"1.5\" {}/>",
            text.join(" "),
            line.look
        );
        ends.push((line, *x, *y));
    }
    let wanted: Vec<f64> = ends.iter().map(|e| e.2).collect();
    let places = spread(&wanted, GAP, (TOP, bottom));
    for ((line, x, y), place) in ends.into_iter().zip(places) {
        let _ = writeln!(
            svg,
            "<line class=\"leader\" x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{place:.1}\" \
             stroke-width=\"1.5\" {}/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            end + LEADER - 4.0,
            line.look,
            end + LEADER,
            place + 4.0,
            named(&line.name, WIDTH - end - LEADER)
        );
    }
    if cut {
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{:.1}\" class=\"faint\">not drawn: the start, up to {all:.0}%</text>",
            bottom + 36.0
        );
    }
    svg + "</svg>\n"
}

/// That of what guests want first.
fn lines(policies: &[Seen], longest: usize) -> Vec<Line> {
    let share = |looks: &[Look]| looks.len() as f64 / longest as f64;
    let wanted = policies.iter().max_by_key(|p| p.2.len()).map(|p| Line {
        name: "wanted".to_owned(),
        look: "stroke=\"var(--fg)\" stroke-dasharray=\"5 4\"".to_owned(),
        share: share(p.2),
        values: thinned(p.2, |l| l.wanted * 100.0),
    });
    let offered = policies.iter().map(|(name, place, looks)| Line {
        name: (*name).to_owned(),
        look: stroke(*place),
        share: share(looks),
        values: thinned(looks, |l| l.offered * 100.0),
    });
    wanted.into_iter().chain(offered).collect()
}

/// A name as markup; of a longer one than there is room for, its beginning.
fn named(name: &str, room: f64) -> String {
    if width(name) <= room {
        return escaped(name);
    }
    let mut short = String::new();
    for c in name.chars() {
        if width(&short) + width("x…") > room {
            break;
        }
        short.push(c);
    }
    format!("{}…<title>{}</title>", escaped(&short), escaped(name))
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

    fn flat(wanted: f64, offered: f64) -> Vec<Look> {
        vec![Look { wanted, offered }; 50]
    }

    /// X, y and text.
    type Label = (f64, f64, String);

    /// How wide and high the picture is, and each text that begins right of the lines.
    fn labels(svg: &str) -> ((f64, f64), Vec<Label>) {
        let number = |text: &str, after: &str| -> f64 {
            let rest = text.split(&format!("{after}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let frame: Vec<f64> = svg
            .split('"')
            .nth(1)
            .unwrap()
            .split(' ')
            .map(|n| n.parse().unwrap())
            .collect();
        let is_name = |t: &&str| !t.split('>').next().unwrap().contains("class=");
        let texts = svg.split("<text ").skip(1).filter(is_name);
        let labels = texts.map(|t| {
            let text = t.split('>').nth(1).unwrap().split('<').next().unwrap();
            (number(t, "x"), number(t, "y"), text.to_owned())
        });
        ((frame[2], frame[3]), labels.collect())
    }

    #[test]
    fn a_long_replay_is_drawn_by_its_means() {
        let looks: Vec<Look> = (0..10_000)
            .map(|i| Look {
                wanted: 0.1,
                offered: if i < 5000 { 0.2 } else { 0.4 },
            })
            .collect();
        assert_eq!(thinned(&looks, |l| l.offered).len(), POINTS);
        let svg = drawn(&[("<b>", 0, &looks)], Micros::secs(300));
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("&lt;b&gt;") && !svg.contains("<b>"));
        assert!(svg.contains(">30 d<") && svg.contains(">40%<"), "{svg}");
        // Nothing to draw, and no end without it.
        assert!(drawn(&[("x", 0, &[])], Micros::secs(300)).ends_with("</svg>\n"));
    }

    #[test]
    fn names_stand_apart_and_inside_whatever_ends_where() {
        let ends: [&[f64]; 4] = [
            // What guests want ends where policies do.
            &[0.1, 0.1, 0.1],
            &[1.0; 12],
            &[0.0; 12],
            // More than the usual height has room for.
            &[0.3; 40],
        ];
        for ends in ends {
            let looks: Vec<Vec<Look>> = ends.iter().map(|e| flat(0.1, *e)).collect();
            let names: Vec<String> = (0..ends.len())
                .map(|i| format!("vmpack-with-a-name-that-is-rather-long-{i}"))
                .collect();
            let policies: Vec<Seen> = (0..ends.len())
                .map(|i| (names[i].as_str(), i, looks[i].as_slice()))
                .collect();
            let svg = drawn(&policies, Micros::secs(300));
            let ((wide, high), labels) = labels(&svg);
            assert_eq!(labels.len(), ends.len() + 1, "with what is wanted");
            let mut last = 0.0;
            let mut ys: Vec<f64> = labels.iter().map(|l| l.1).collect();
            ys.sort_by(f64::total_cmp);
            for y in ys {
                assert!(y - last >= 12.0 && y < high, "{y} after {last} of {high}");
                last = y;
            }
            for (x, _, text) in &labels {
                assert!(x + width(text) <= wide, "{text} at {x} of {wide}");
            }
            assert_eq!(svg.matches("class=\"leader\"").count(), labels.len());
        }
    }

    #[test]
    fn a_start_that_would_flatten_the_rest_is_told_in_place_of_drawn() {
        let mut looks = flat(0.05, 0.1);
        looks[0].offered = 0.97;
        let svg = drawn(&[("lr-mmt", 0, &looks)], Micros::secs(300));
        assert!(svg.contains(">10%<") && !svg.contains(">100%<"), "{svg}");
        assert!(svg.contains("not drawn: the start, up to 97%"));
        // Where another policy is as high all the time, there is nothing to gain.
        let none = flat(0.05, 1.0);
        let svg = drawn(
            &[("lr-mmt", 0, &looks), ("none", 1, &none)],
            Micros::secs(300),
        );
        assert!(svg.contains(">100%<") && !svg.contains("not drawn"));
    }
}
