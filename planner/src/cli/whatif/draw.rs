//! A range's answers as SVG: the hosts planned, and how many are needed at least, by value.

use std::fmt::Write;

use vmpack_planner::page::{COLOURS, escaped, step, ticks};

use super::Swept;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 56.0;

/// The drawing.
pub(super) fn drawn(swept: &Swept) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a count of hosts")]
    let hosts = |n: Option<usize>| n.map(|n| n as f64);
    let planned = |i: usize| hosts(swept.points[i].told.summary.hosts_after);
    let bound = |i: usize| swept.points[i].told.summary.hosts_bound.map(f64::from);
    let n = swept.points.len();
    let most = (0..n).filter_map(planned).fold(1.0, f64::max);
    let unit = step(most).max(1.0);
    let end = (most / unit).ceil() * unit;
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let unplanned = (0..n).any(|i| planned(i).is_none());
    let height = HEIGHT + if unplanned { 18.0 } else { 0.0 };
    #[expect(clippy::cast_precision_loss, reason = "an index below 200")]
    let x = |i: usize| LEFT + (i as f64 + 0.5) / n.max(1) as f64 * (right - LEFT);
    let y = |v: f64| bottom - v / end * (bottom - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\" aria-label=\"hosts by {}\">\n\
         <style>text{{fill:#222}}.axis{{stroke:#888}}.grid{{stroke:#8884}}svg{{background:#fff}}\
         @media(prefers-color-scheme:dark){{text{{fill:#ddd}}svg{{background:#16181d}}}}</style>\n",
        escaped(swept.range)
    );
    for (k, up) in ticks(end, unit) {
        let y = bottom - up * (bottom - TOP);
        let class = if k == 0.0 { "axis" } else { "grid" };
        let _ = writeln!(
            svg,
            "<line class=\"{class}\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{k}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for (i, point) in swept
        .points
        .iter()
        .enumerate()
        .step_by(n.div_ceil(12).max(1))
    {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(i),
            bottom + 16.0,
            escaped(point.value)
        );
    }
    for (name, colour, of) in [
        (
            "at least",
            COLOURS[1],
            &bound as &dyn Fn(usize) -> Option<f64>,
        ),
        ("planned", COLOURS[0], &planned),
    ] {
        let points: Vec<(usize, f64)> = (0..n).filter_map(|i| Some((i, of(i)?))).collect();
        let line: Vec<String> = points
            .iter()
            .map(|(i, v)| format!("{:.1},{:.1}", x(*i), y(*v)))
            .collect();
        let dash = if name == "planned" {
            ""
        } else {
            " stroke-dasharray=\"5 4\""
        };
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
            line.join(" ")
        );
        if let Some((i, v)) = points.last() {
            let down = if name == "planned" { -2.0 } else { 12.0 };
            let (x, y) = (x(*i) + 8.0, y(*v) + down);
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\">{name}</text>");
        }
    }
    for i in 0..n {
        let point = &swept.points[i];
        match planned(i) {
            Some(v) => {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{}\"><title>{}: {v} hosts, {} \
                     moves</title></circle>",
                    x(i),
                    y(v),
                    COLOURS[0],
                    escaped(point.value),
                    point.told.summary.moves.len()
                );
            }
            None => {
                let _ = writeln!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">×<title>{}: {}</title></text>",
                    x(i),
                    bottom - 4.0,
                    escaped(point.value),
                    point.told.summary.status.name()
                );
            }
        }
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text><text x=\"6\" y=\"12\">hosts</text>",
        f64::midpoint(LEFT, right),
        bottom + 36.0,
        escaped(swept.range)
    );
    if unplanned {
        let y = HEIGHT + 6.0;
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"{y}\">× no plan at this value</text>"
        );
    }
    svg + "</svg>\n"
}
