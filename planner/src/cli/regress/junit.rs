//! The result as JUnit XML, which CI systems read.

use std::fmt::Write;

use super::CaseResult;

/// One suite with a test for each case.
pub(super) fn xml(results: &[CaseResult]) -> String {
    let failed = results.iter().filter(|r| !r.ok).count();
    let seconds: f64 = results.iter().map(|r| r.seconds).sum();
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    let _ = writeln!(
        text,
        "<testsuite name=\"vmpack regress\" tests=\"{}\" failures=\"{failed}\" time=\"{seconds:.3}\">",
        results.len()
    );
    for result in results {
        let _ = write!(
            text,
            "  <testcase classname=\"vmpack\" name=\"{}\" time=\"{:.3}\"",
            escaped(&result.case),
            result.seconds
        );
        match result.faults.first() {
            None => text.push_str("/>\n"),
            Some(first) => {
                let _ = writeln!(
                    text,
                    ">\n    <failure message=\"{}\">{}</failure>\n  </testcase>",
                    escaped(first),
                    escaped(&result.faults.join("\n"))
                );
            }
        }
    }
    text.push_str("</testsuite>\n");
    text
}

/// The text with what XML gives a meaning escaped, and without what XML cannot hold.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_stand_in_the_xml_escaped() {
        let result = |case: &str, faults: &[&str]| CaseResult {
            case: case.into(),
            ok: faults.is_empty(),
            status: "optimal",
            hosts: None,
            hosts_bound: None,
            objective: None,
            bound: None,
            moves: None,
            move_mib: None,
            move_mib_bound: None,
            seconds: 0.25,
            faults: faults.iter().map(ToString::to_string).collect(),
        };
        let xml = xml(&[
            result("a.yaml", &[]),
            result("b.yaml", &["1 < 2 & \"3\"", "more"]),
        ]);
        let expected = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<testsuite name=\"vmpack regress\" tests=\"2\" failures=\"1\" time=\"0.500\">
  <testcase classname=\"vmpack\" name=\"a.yaml\" time=\"0.250\"/>
  <testcase classname=\"vmpack\" name=\"b.yaml\" time=\"0.250\">
    <failure message=\"1 &lt; 2 &amp; &quot;3&quot;\">1 &lt; 2 &amp; &quot;3&quot;
more</failure>
  </testcase>
</testsuite>
";
        assert_eq!(xml, expected);
    }
}
