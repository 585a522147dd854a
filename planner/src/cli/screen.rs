//! What the terminal can show, and how numbers look to a person.

pub(crate) use vmpack_domain::units::count;
use vmpack_domain::units::{MiB, Micros};

/// What standard output can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Escape sequences for colour.
    pub(crate) colour: bool,
    /// Characters beyond ASCII.
    pub(crate) unicode: bool,
    /// In characters.
    pub(crate) width: usize,
}

/// How a text is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Strong,
    Good,
    Bad,
    Faint,
}

impl Screen {
    /// The text in that look, where colour is shown.
    pub(crate) fn paint(self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Strong => "1",
            Look::Good => "32",
            Look::Bad => "31",
            Look::Faint => "2",
        };
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn arrow(self) -> &'static str {
        if self.unicode { "→" } else { "->" }
    }

    pub(crate) fn ellipsis(self) -> &'static str {
        if self.unicode { "…" } else { "..." }
    }
}

/// Memory in the unit that reads best, with at most one decimal: `512 MiB`, `1.5 GiB`, `2.1 TiB`.
pub(crate) fn memory(amount: MiB) -> String {
    let (unit, name) = match amount.0 {
        0..1024 => return format!("{} MiB", amount.0),
        1024..0x0010_0000 => (1024, "GiB"),
        _ => (0x0010_0000, "TiB"),
    };
    let tenths = (amount.0 * 10 + unit / 2) / unit;
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        rest => format!("{}.{rest} {name}", tenths / 10),
    }
}

/// A time as a person would say it: `0.6 s`, `48 s`, `12 min`.
pub(crate) fn time(length: Micros) -> String {
    let tenths = length.0.div_ceil(100_000);
    match tenths {
        0..100 => format!("{}.{} s", tenths / 10, tenths % 10),
        100..6000 => format!("{} s", tenths.div_ceil(10)),
        _ => format!("{} min", tenths.div_ceil(600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_a_person_writes_them() {
        let memories = [0, 512, 1024, 1536, 1024 * 1024 + 104_858, 8 << 10];
        let looks = memories.map(|m| memory(MiB(m)));
        assert_eq!(
            looks,
            ["0 MiB", "512 MiB", "1 GiB", "1.5 GiB", "1.1 TiB", "8 GiB"]
        );
        let times = [0, 600_000, 9_990_000, 48_000_000, 700_000_000].map(|t| time(Micros(t)));
        assert_eq!(times, ["0.0 s", "0.6 s", "10 s", "48 s", "12 min"]);
    }

    #[test]
    fn colour_is_only_where_it_is_shown() {
        let plain = Screen {
            colour: false,
            unicode: false,
            width: 80,
        };
        assert_eq!(plain.paint(Look::Bad, "x"), "x");
        let colour = Screen {
            colour: true,
            ..plain
        };
        assert_eq!(colour.paint(Look::Bad, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
