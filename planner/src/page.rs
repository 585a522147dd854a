//! What the pages of `--report` and the pictures have in common. A page holds everything in itself, works
//! offline and in the dark, and prints.

/// The looks of a page.
pub const STYLE: &str = include_str!("page.css");

/// A page that needs no script: its title, the line below its heading, and its sections, which are
/// markup already. The other two are texts.
#[must_use]
pub fn document(title: &str, made: &str, sections: &str) -> String {
    let (title, made) = (escaped(title), escaped(made));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>vmpack: {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main id=\"page\">\n\
         <h1>{title}</h1>\n<p class=\"faint\">{made}</p>\n{sections}</main>\n</body>\n</html>\n"
    )
}

/// A text as it stands in HTML or SVG, in an attribute too.
#[must_use]
pub fn escaped(text: &str) -> String {
    let text = visible(text);
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// A text in which what is hidden stands by its number.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut seen = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            seen.extend(c.escape_unicode());
        } else {
            seen.push(c);
        }
    }
    seen
}

/// Whether a character cannot be seen and would change how the rest is read: control characters, and those
/// that set a direction of writing (Unicode Standard Annex #9) or join and part words without a mark. Ends
/// of lines and tabs do not count.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    match c {
        '\n' | '\r' | '\t' => false,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{feff}' => true,
        _ => c.is_control(),
    }
}

/// Colours of lines. On the light background and on the dark one each has a contrast of 3 or more (WCAG 2.1,
/// 1.4.11); each line has its name at its end, so that nobody needs the colour.
pub const COLOURS: [&str; 8] = [
    "#4477aa", "#e0455a", "#228833", "#9a7d00", "#0f96b4", "#b8449a", "#808080", "#d0691c",
];

/// How the line of that index is drawn. Where there are more lines than colours, the further ones are dashed.
#[must_use]
pub fn stroke(index: usize) -> String {
    let colour = COLOURS[index % COLOURS.len()];
    match index / COLOURS.len() {
        0 => format!("stroke=\"{colour}\""),
        round => format!(
            "stroke=\"{colour}\" stroke-dasharray=\"{} 3\"",
            2 + 3 * round
        ),
    }
}

/// How wide a text in letters of 12 px is at most, about.
#[must_use]
pub fn width(text: &str) -> f64 {
    7.2 * text.chars().count() as f64
}

/// Places of labels in a column, each as near as can be to where it is wanted (least squares), none nearer
/// than a gap to another, all from `low` to `high`. Where these have no room for all, the gap is less.
#[must_use]
pub fn spread(wanted: &[f64], gap: f64, (low, high): (f64, f64)) -> Vec<f64> {
    let last = wanted.len().max(2) as f64 - 1.0;
    let gap = gap.min((high - low).max(0.0) / last);
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    // With the gaps taken out, the places must only not fall: groups of neighbours that would, have their
    // mean (pool adjacent violators).
    let mut groups: Vec<(f64, usize)> = Vec::new();
    for (i, label) in order.iter().enumerate() {
        let mut group = (wanted[*label] - i as f64 * gap, 1);
        while let Some((sum, n)) = groups.pop() {
            if sum / n as f64 <= group.0 / group.1 as f64 {
                groups.push((sum, n));
                break;
            }
            group = (group.0 + sum, group.1 + n);
        }
        groups.push(group);
    }
    let most = (high - last * gap).max(low);
    let means = groups.into_iter().flat_map(|(sum, n)| {
        let mean = (sum / n as f64).clamp(low, most);
        std::iter::repeat_n(mean, n)
    });
    let mut places = vec![0.0; wanted.len()];
    for ((i, label), mean) in order.into_iter().enumerate().zip(means) {
        places[label] = mean + i as f64 * gap;
    }
    places
}

/// Values at equal steps from 0 to an end, each with its share of the end.
pub fn ticks(end: f64, step: f64) -> impl Iterator<Item = (f64, f64)> {
    let count = (end / step).round().max(1.0);
    (0u32..=20)
        .map(f64::from)
        .take_while(move |k| *k <= count)
        .map(move |k| ((k * step * 1e6).round() / 1e6, k / count))
}

/// A round step of which about five reach a value.
#[must_use]
pub fn step(value: f64) -> f64 {
    let rough = value / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let round = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|r| r * power >= rough);
    round.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        assert!((step(7.2) - 2.0).abs() < 1e-12);
        assert!((step(198.0) - 50.0).abs() < 1e-12);
        let ticks: Vec<(f64, f64)> = ticks(8.0, 2.0).collect();
        assert_eq!(ticks.first(), Some(&(0.0, 0.0)));
        assert_eq!(ticks.last(), Some(&(8.0, 1.0)));
    }

    #[test]
    fn a_text_is_no_markup() {
        let page = document("<b>", "\"&", "<p>x</p>");
        assert!(
            page.contains("<h1>&lt;b&gt;</h1>") && page.contains(">&quot;&amp;<"),
            "{page}"
        );
        assert!(page.contains("<p>x</p>"));
        // Nothing is fetched.
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn what_is_not_seen_is_said() {
        let text = "a\u{202e}b\u{7}c\nd<\u{2066}";
        assert_eq!(escaped(text), "a\\u{202e}b\\u{7}c\nd&lt;\\u{2066}");
        assert_eq!(visible("Zürich ✓ שלום"), "Zürich ✓ שלום");
    }

    /// The contrast of two colours (WCAG 2.1, relative luminance).
    fn contrast(a: &str, b: &str) -> f64 {
        let light = |colour: &str| {
            let part = |at: usize| {
                let v = u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
                let v = f64::from(v) / 255.0;
                if v <= 0.04045 {
                    v / 12.92
                } else {
                    ((v + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5) + 0.05
        };
        let (a, b) = (light(a), light(b));
        a.max(b) / a.min(b)
    }

    /// The named colours of the page: of the light one and of the dark one.
    fn named(name: &str) -> (String, String) {
        let before = format!("--{name}:");
        let mut found = STYLE.split(&before).skip(1).map(|rest| {
            let colour = rest.split([';', '}']).next().unwrap();
            match colour.len() {
                4 => colour
                    .chars()
                    .flat_map(|c| std::iter::repeat_n(c, if c == '#' { 1 } else { 2 }))
                    .collect(),
                _ => colour.to_owned(),
            }
        });
        (found.next().unwrap(), found.next().unwrap())
    }

    #[test]
    fn lines_and_texts_stand_out_from_both_backgrounds() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
        let (light, dark) = named("bg");
        for colour in COLOURS {
            let least = contrast(colour, &light).min(contrast(colour, &dark));
            assert!(least >= 3.0, "{colour}: {least}");
        }
        for name in ["a", "b", "bad", "split"] {
            let (on_light, on_dark) = named(name);
            let least = contrast(&on_light, &light).min(contrast(&on_dark, &dark));
            assert!(least >= 3.0, "{name}: {least}");
        }
        for name in ["fg", "faint", "bad"] {
            let (on_light, on_dark) = named(name);
            let least = contrast(&on_light, &light).min(contrast(&on_dark, &dark));
            assert!(least >= 4.5, "{name}: {least}");
        }
        assert_ne!(stroke(1), stroke(9), "told apart");
    }

    #[test]
    fn labels_stand_apart_and_inside() {
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near(
            &spread(&[50.0, 20.0], 13.0, (0.0, 100.0)),
            &[50.0, 20.0]
        ));
        // Two that want one place give way alike; a third keeps its place.
        let places = spread(&[50.0, 90.0, 50.0], 10.0, (0.0, 100.0));
        assert!(near(&places, &[45.0, 90.0, 55.0]), "{places:?}");
        // At the edges they are pushed inside.
        for wanted in [0.0, 100.0] {
            let mut places = spread(&[wanted; 8], 13.0, (0.0, 100.0));
            places.sort_by(f64::total_cmp);
            assert!(places[0] >= 0.0 && places[7] <= 100.0, "{places:?}");
            assert!(places.windows(2).all(|p| p[1] - p[0] > 13.0 - 1e-9));
        }
        // More than there is room for: still inside.
        let places = spread(&[30.0; 21], 13.0, (0.0, 100.0));
        assert!(places.iter().all(|p| (0.0..=100.0 + 1e-9).contains(p)));
        assert!(spread(&[], 13.0, (0.0, 1.0)).is_empty());
    }
}
