//! The picture of one relief: what each host's guests wanted, what was decided why, and when it switched.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::STEPS;
use super::stage::CORES;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 60.0;
const PANEL: f64 = 130.0;
const GAP: f64 = 34.0;
const TOP: f64 = 40.0;
/// Seconds before the onset that are shown.
const BEFORE: f64 = 0.5;

/// What was seen of one surge.
#[derive(Default)]
pub(super) struct Picture {
    /// By host: seconds from the onset, and what its guests wanted in a window, in cores.
    pub(super) wanted: BTreeMap<String, Vec<(f64, f64)>>,
    /// Seconds from the onset to each step.
    pub(super) after: BTreeMap<&'static str, f64>,
    /// What was decided, in the audit log's words.
    pub(super) reasons: Vec<String>,
}

/// As SVG.
pub(super) fn svg(picture: &Picture) -> String {
    let end = picture.after.values().copied().fold(1.0, f64::max) + BEFORE;
    let x = |t: f64| LEFT + (t + BEFORE) / (end + BEFORE) * (WIDTH - LEFT - 20.0);
    let all = picture.wanted.values().flatten();
    let most = all.map(|(_, w)| *w).fold(1.0, f64::max);
    let panels = picture.wanted.len() as f64;
    let bottom = TOP + panels * (PANEL + GAP);
    let reasons: Vec<String> = picture.reasons.iter().flat_map(|r| folded(r)).collect();
    let steps: Vec<(&str, f64)> = STEPS
        .iter()
        .filter_map(|s| Some((*s, *picture.after.get(s)?)))
        .collect();
    let height = bottom + 24.0 + 16.0 * (steps.len() + reasons.len()) as f64 + 16.0;
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    line(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\">"
    ));
    line(
        "<style>text{fill:#222}.l{stroke:#999}.b{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#ddd}.b{fill:#181818}}</style>"
            .into(),
    );
    line(format!(
        "<rect class=\"b\" width=\"{WIDTH}\" height=\"{height:.0}\"/>"
    ));
    line(format!(
        "<text x=\"{LEFT}\" y=\"20\">What the guests of each host want, in cores; s after the onset of a surge</text>"
    ));
    let room = f64::from(CORES) / 1000.0;
    for (n, (host, wanted)) in picture.wanted.iter().enumerate() {
        let base = TOP + n as f64 * (PANEL + GAP) + PANEL;
        let y = |cores: f64| base - cores / most * PANEL;
        line(format!(
            "<text x=\"8\" y=\"{:.1}\">{}</text>",
            base - PANEL / 2.0,
            escaped(host)
        ));
        line(format!(
            "<line class=\"l\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{base:.1}\" y2=\"{base:.1}\"/>",
            WIDTH - 20.0
        ));
        line(format!(
            "<line class=\"l\" stroke-dasharray=\"4 3\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/><text x=\"30\" y=\"{2:.1}\">{room}</text>",
            WIDTH - 20.0,
            y(room),
            y(room) + 4.0
        ));
        let points: Vec<String> = wanted
            .iter()
            .filter(|(t, _)| (-BEFORE..=end).contains(t))
            .map(|(t, w)| format!("{:.1},{:.1}", x(*t), y(*w)))
            .collect();
        line(format!(
            "<polyline fill=\"none\" stroke=\"#3572b0\" stroke-width=\"1.5\" points=\"{}\"/>",
            points.join(" ")
        ));
        for (number, (_, after)) in steps.iter().enumerate() {
            let x = x(*after);
            line(format!(
                "<line stroke=\"#c0392b\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{base:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" font-size=\"10\">{}</text>",
                base - PANEL,
                x + 2.0,
                base - PANEL + 9.0 + 10.0 * (number % 3) as f64,
                number + 1
            ));
        }
    }
    let mut second = 0.0;
    while second <= end {
        line(format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{second} s</text>",
            x(second),
            bottom - GAP + 16.0
        ));
        second += 1.0;
    }
    let mut y = bottom + 8.0;
    for (number, (step, after)) in steps.iter().enumerate() {
        line(format!(
            "<text x=\"{LEFT}\" y=\"{y:.0}\">{}  {step}: {:.0} ms</text>",
            number + 1,
            1000.0 * after
        ));
        y += 16.0;
    }
    y += 8.0;
    for reason in reasons {
        line(format!(
            "<text x=\"{LEFT}\" y=\"{y:.0}\" font-size=\"11\">{}</text>",
            escaped(&reason)
        ));
        y += 16.0;
    }
    line("</svg>".into());
    out
}

/// In lines of so many characters as the picture is wide.
fn folded(text: &str) -> Vec<String> {
    const MOST: usize = 108;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < MOST => {
                let _ = write!(line, " {word}");
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_reasons_are_text_in_it() {
        let mut picture = Picture::default();
        picture
            .wanted
            .insert("h<1>".into(), vec![(0.0, 1.0), (0.5, 0.2)]);
        picture.after.insert("decided", 0.1);
        picture.reasons.push("seen: 2 guests & more ".repeat(12));
        let svg = svg(&picture);
        assert!(svg.contains("h&lt;1&gt;") && !svg.contains("h<1>"));
        assert!(svg.contains("decided: 100 ms"));
        assert!(svg.contains("guests &amp; more"));
    }
}
