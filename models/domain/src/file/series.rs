//! Series of bare numbers, of which a load has hundreds of thousands: to a YAML reader each costs as much
//! as a line of any other file. In a text that is plain throughout they are handed over as one scalar a
//! series, which [`cores_series`](crate::units::cores_series) takes apart.

/// Texts below this are read at once anyhow.
const WORTH: usize = 1 << 16;
const KEY: &str = "values: [";

/// The text with its series as scalars; `None` where that is not worth it, or where comments, block scalars,
/// anchors, tags or quotes over several lines could mean that `values: [` is something else. What is wrong
/// with a text is found in the text itself, so nothing depends on this but time.
pub(super) fn folded(text: &str) -> Option<String> {
    let special = |b: u8| matches!(b, b'#' | b'|' | b'>' | b'&' | b'*' | b'!');
    let odd = |line: &str| {
        ['"', '\'']
            .iter()
            .any(|q| line.matches(*q).count() % 2 == 1)
    };
    if text.len() < WORTH || text.bytes().any(special) || text.lines().any(odd) {
        return None;
    }
    let mut folded = String::with_capacity(text.len() + text.len() / 64);
    let mut rest = text;
    let mut any = false;
    while let Some(at) = rest.find(KEY) {
        let (before, series) = rest.split_at(at + KEY.len());
        let end = series.find(']')?;
        let inside = &series[..end];
        let plain = |b: u8| matches!(b, b'0'..=b'9' | b'.' | b',' | b' ' | b'\n' | b'\r');
        // Nothing else on its line, so that it stands in no quotes.
        let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
        let alone = line.len() < before.len() && line.trim_start() == KEY;
        if alone && !inside.is_empty() && inside.bytes().all(plain) {
            folded.push_str(before.strip_suffix('[')?);
            folded.push_str("\"=");
            folded.extend(
                inside
                    .chars()
                    .map(|c| if c == '\n' || c == '\r' { ' ' } else { c }),
            );
            folded.push('"');
            any = true;
        } else {
            folded.push_str(before);
            folded.push_str(&series[..=end]);
        }
        rest = &series[end + 1..];
    }
    folded.push_str(rest);
    any.then_some(folded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Load;
    use crate::file::{Kind, Source, parse, write_load};
    use crate::units::MilliCores;

    fn load(values: &str) -> String {
        let guest = |i: usize| {
            format!(
                "  g{i}:\n    cpu:\n      windows:\n        start: 2026-01-05T00:00:00Z\n        step: 300s\n        values: [{values}]\n"
            )
        };
        let guests: String = (0..200).map(guest).collect();
        format!("apiVersion: vmpack/v1\nkind: Load\nguests:\n{guests}")
    }

    fn read(text: String) -> Result<Load, String> {
        let source = Source {
            name: "load.yaml".into(),
            text,
        };
        parse(&source, Kind::Load).map_err(|e| e.to_string())
    }

    #[test]
    fn folded_series_say_the_same() {
        let many = ["0.5, 1, 0.001,\n          2.25"; 100].join(", ");
        let text = load(&many);
        let short = folded(&text).expect("plain and long");
        assert!(!short.contains('[') && short.contains("values: \"=0.5, 1, 0.001,"));
        // As we write it, with the time in quotes.
        let quoted = text.replace("2026-01-05T00:00:00Z", "\"2026-01-05T00:00:00Z\"");
        assert!(folded(&quoted).is_some());
        for other in [
            text.replace("  g0:", "  'g0\n   g':"),
            text.replace("values: [", "\"values: [1]\": [")
                .replace("g0", "'g"),
        ] {
            assert_eq!(folded(&other), None);
        }
        // In quotes on a line it is no series.
        let inside = text.replace("step:", "\"values: [1, 2]\":");
        assert_eq!(
            folded(&inside)
                .unwrap()
                .matches("\"values: [1, 2]\"")
                .count(),
            200
        );
        // With a comment it is read as it stands.
        let commented = format!("{text}# the end\n");
        assert_eq!(folded(&commented), None);
        let read = read(text).unwrap();
        assert_eq!(super::tests::read(commented).unwrap(), read);
        let windows = read.guests.values().next().unwrap().cpu.as_ref().unwrap();
        let values = &windows.windows.as_ref().unwrap().values;
        assert_eq!(values.len(), 400);
        assert_eq!(values[..4], [500, 1000, 1, 2250].map(MilliCores));
        assert_eq!(super::tests::read(write_load(&read)).unwrap(), read);
    }

    #[test]
    fn what_is_wrong_is_told_of_the_text_itself() {
        let many = ["0.5"; 200].join(", ");
        for (values, says) in [
            (format!("{many}, 1.2.3"), "1.2.3"),
            (format!("{many}, 99999999"), "99999999"),
        ] {
            let text = load(&values);
            assert!(folded(&text).is_some());
            let error = read(text).unwrap_err();
            assert!(
                error.starts_with("load.yaml:9:") && error.contains(says),
                "{error}"
            );
        }
        // Signs, exponents and words are left to the reader of YAML.
        let text = load(&format!("{many}, -1"));
        assert_eq!(folded(&text), None);
        assert!(read(text).unwrap_err().contains("`-1`"));
    }
}
