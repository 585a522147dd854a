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
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
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
}
