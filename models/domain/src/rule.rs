//! The placement rules, declared. Each is encoded in `vmpack-ilp` (`rule/NAME.rs`) and judged in
//! [`crate::check`]; the judge never uses the encoder.

mod names;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::Host;

pub use names::{Names, guests_named, hosts_named};

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RuleText", into = "RuleText")]
pub struct Rule {
    /// By which reports name it, unique in a policy.
    pub name: String,
    /// What it demands.
    pub kind: RuleKind,
}

/// What a rule demands of a placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleKind {
    /// The guests run in pairwise different places.
    Spread {
        /// Names, or patterns with `*`.
        guests: Vec<String>,
        /// What a place is.
        over: Over,
    },
    /// The guests run in the same place.
    Gather {
        /// Names, or patterns with `*`.
        guests: Vec<String>,
        /// What a place is.
        over: Over,
    },
    /// The guests run only on these hosts.
    Fence {
        /// Names, or patterns with `*`.
        guests: Vec<String>,
        /// Names, patterns with `*`, or `label=value`.
        hosts: Vec<String>,
    },
    /// The guests do not run on these hosts.
    Ban {
        /// Names, or patterns with `*`.
        guests: Vec<String>,
        /// Names, patterns with `*`, or `label=value`.
        hosts: Vec<String>,
    },
    /// The guests stay where they are.
    Pin {
        /// Names, or patterns with `*`.
        guests: Vec<String>,
    },
    /// The hosts in use together keep as much room free, in each resource, as so many of the
    /// largest usable hosts offer: Σ usable − Σ demand ≥ hosts × the largest usable.
    Spare {
        /// How many hosts' worth.
        hosts: u32,
    },
    /// At most so many migrations among these guests.
    MaxMoves {
        /// Names, or patterns with `*`; all guests when empty.
        guests: Vec<String>,
        /// The most.
        moves: u32,
    },
}

/// What counts as a place for spread and gather.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Over {
    /// Each host is a place of its own.
    #[default]
    Host,
    /// Hosts with the same value of this label are one place; a host without the label is a place
    /// of its own.
    Label(String),
}

impl Over {
    /// The place of a host, as a text that is equal for hosts of the same place.
    #[must_use]
    pub fn place<'a>(&self, host: &'a Host) -> (&'a str, bool) {
        match self {
            Self::Host => (host.name.as_str(), false),
            Self::Label(label) => match host.labels.get(label) {
                Some(value) => (value.as_str(), true),
                None => (host.name.as_str(), false),
            },
        }
    }
}

/// A rule as a file holds it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuleText {
    /// Which rule.
    kind: KindName,
    /// By which reports name it; made from its kind and guests when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Guests by name or by a pattern with `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    guests: Option<Vec<String>>,
    /// For spread and gather: `host` (the default) or a host label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<String>,
    /// For fence and ban: hosts by name, by a pattern with `*`, or by `label=value`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<String>>,
    /// For spare: how many hosts' worth of room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    room: Option<u32>,
    /// For max-moves: the most migrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    moves: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum KindName {
    Spread,
    Gather,
    Fence,
    Ban,
    Pin,
    Spare,
    MaxMoves,
}

impl JsonSchema for Rule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Rule".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        RuleText::json_schema(generator)
    }
}

impl RuleKind {
    /// Its name in files.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Spread { .. } => "spread",
            Self::Gather { .. } => "gather",
            Self::Fence { .. } => "fence",
            Self::Ban { .. } => "ban",
            Self::Pin { .. } => "pin",
            Self::Spare { .. } => "spare",
            Self::MaxMoves { .. } => "max-moves",
        }
    }
    /// The guests it names, as patterns; empty where a rule speaks of all or of none.
    #[must_use]
    pub fn guests(&self) -> &[String] {
        match self {
            Self::Spread { guests, .. }
            | Self::Gather { guests, .. }
            | Self::Fence { guests, .. }
            | Self::Ban { guests, .. }
            | Self::Pin { guests }
            | Self::MaxMoves { guests, .. } => guests,
            Self::Spare { .. } => &[],
        }
    }
    /// What counts as a place, for the rules that speak of places.
    #[must_use]
    pub fn over(&self) -> Option<&Over> {
        match self {
            Self::Spread { over, .. } | Self::Gather { over, .. } => Some(over),
            _ => None,
        }
    }
    /// The hosts it names, as selectors.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        match self {
            Self::Fence { hosts, .. } | Self::Ban { hosts, .. } => hosts,
            _ => &[],
        }
    }
}

impl TryFrom<RuleText> for Rule {
    type Error = String;

    fn try_from(text: RuleText) -> Result<Self, String> {
        let RuleText {
            kind,
            name,
            guests,
            over,
            hosts,
            room,
            moves,
        } = text;
        let (takes, label): (&[&str], _) = match kind {
            KindName::Spread => (&["guests", "over"], "spread"),
            KindName::Gather => (&["guests", "over"], "gather"),
            KindName::Fence => (&["guests", "hosts"], "fence"),
            KindName::Ban => (&["guests", "hosts"], "ban"),
            KindName::Pin => (&["guests"], "pin"),
            KindName::Spare => (&["room"], "spare"),
            KindName::MaxMoves => (&["guests", "moves"], "max-moves"),
        };
        for (given, field) in [
            (guests.is_some(), "guests"),
            (over.is_some(), "over"),
            (hosts.is_some(), "hosts"),
            (room.is_some(), "room"),
            (moves.is_some(), "moves"),
        ] {
            if given && !takes.contains(&field) {
                return Err(format!(
                    "read `{field}` in a {label} rule, which takes {}",
                    takes.join(", ")
                ));
            }
        }
        let texts = { guests.iter().flatten() }
            .chain(hosts.iter().flatten())
            .chain(&name);
        for text in texts {
            if text.contains(char::is_control) {
                return Err(format!(
                    "read `{}` in a {label} rule, expected printable characters",
                    text.escape_debug()
                ));
            }
        }
        let missing = |field: &str| format!("a {label} rule needs `{field}`");
        let listed = |list: Option<Vec<String>>, field: &str| match list {
            Some(l) if !l.is_empty() => Ok(l),
            Some(_) => Err(format!(
                "read an empty `{field}` in a {label} rule, expected at least one name"
            )),
            None => Err(missing(field)),
        };
        let place = match over.as_deref() {
            None | Some("host") => Over::Host,
            Some("") => return Err("read an empty `over`, expected `host` or a host label".into()),
            Some(text) => Over::Label(text.to_owned()),
        };
        let kind = match kind {
            KindName::Spread => RuleKind::Spread {
                guests: listed(guests, "guests")?,
                over: place,
            },
            KindName::Gather => RuleKind::Gather {
                guests: listed(guests, "guests")?,
                over: place,
            },
            KindName::Fence => RuleKind::Fence {
                guests: listed(guests, "guests")?,
                hosts: listed(hosts, "hosts")?,
            },
            KindName::Ban => RuleKind::Ban {
                guests: listed(guests, "guests")?,
                hosts: listed(hosts, "hosts")?,
            },
            KindName::Pin => RuleKind::Pin {
                guests: listed(guests, "guests")?,
            },
            KindName::Spare => RuleKind::Spare {
                hosts: room.ok_or_else(|| missing("room"))?,
            },
            KindName::MaxMoves => RuleKind::MaxMoves {
                guests: match guests {
                    None => Vec::new(),
                    given => listed(given, "guests")?,
                },
                moves: moves.ok_or_else(|| missing("moves"))?,
            },
        };
        let name = match name {
            Some(n) if n.trim().is_empty() => return Err("read an empty rule name".into()),
            Some(n) => n,
            None => match kind.guests() {
                [] => kind.name().to_owned(),
                guests => format!("{}({})", kind.name(), guests.join(",")),
            },
        };
        Ok(Self { name, kind })
    }
}

impl From<Rule> for RuleText {
    fn from(rule: Rule) -> Self {
        let mut text = Self {
            kind: KindName::Spread,
            name: Some(rule.name),
            guests: None,
            over: None,
            hosts: None,
            room: None,
            moves: None,
        };
        let place = |over: Over| match over {
            Over::Host => "host".to_owned(),
            Over::Label(label) => label,
        };
        match rule.kind {
            RuleKind::Spread { guests, over } => {
                (text.guests, text.over) = (Some(guests), Some(place(over)))
            }
            RuleKind::Gather { guests, over } => {
                (text.kind, text.guests, text.over) =
                    (KindName::Gather, Some(guests), Some(place(over)));
            }
            RuleKind::Fence { guests, hosts } => {
                (text.kind, text.guests, text.hosts) = (KindName::Fence, Some(guests), Some(hosts));
            }
            RuleKind::Ban { guests, hosts } => {
                (text.kind, text.guests, text.hosts) = (KindName::Ban, Some(guests), Some(hosts));
            }
            RuleKind::Pin { guests } => (text.kind, text.guests) = (KindName::Pin, Some(guests)),
            RuleKind::Spare { hosts } => (text.kind, text.room) = (KindName::Spare, Some(hosts)),
            RuleKind::MaxMoves { guests, moves } => {
                text.kind = KindName::MaxMoves;
                text.guests = if guests.is_empty() {
                    None
                } else {
                    Some(guests)
                };
                text.moves = Some(moves);
            }
        }
        text
    }
}

/// Whether `name` matches a pattern in which each `*` stands for any run of characters.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut last: Option<&str> = None;
    for part in parts {
        if let Some(middle) = last {
            match rest.find(middle) {
                Some(at) => rest = rest.get(at + middle.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(end) => rest.ends_with(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_a_shell_does() {
        for (pattern, name, expected) in [
            ("web-*", "web-1", true),
            ("web-*", "db-1", false),
            ("*", "anything", true),
            ("a*c*e", "abcde", true),
            ("a*c", "abcd", false),
            ("a*a", "a", false),
            ("web-1", "web-1", true),
            ("web-1", "web-12", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_rule_says_which_field_it_lacks_or_does_not_take() {
        let read = |yaml: &str| serde_yaml::from_str::<Rule>(yaml).map_err(|e| e.to_string());
        let escape = read("{kind: pin, guests: [a], name: \"a\\e[2J\"}").unwrap_err();
        assert!(escape.contains("\\u{1b}[2J` in a pin rule"), "{escape}");
        assert!(
            read("{kind: pin}")
                .unwrap_err()
                .contains("a pin rule needs `guests`")
        );
        assert!(
            read("{kind: spare, guests: [a]}")
                .unwrap_err()
                .contains("takes room")
        );
        assert!(
            read("{kind: spread, guests: []}")
                .unwrap_err()
                .contains("empty `guests`")
        );
        let rule = read("{kind: spread, guests: [a, b], over: rack}").unwrap();
        assert_eq!(rule.name, "spread(a,b)");
        assert_eq!(
            rule.kind,
            RuleKind::Spread {
                guests: vec!["a".into(), "b".into()],
                over: Over::Label("rack".into())
            }
        );
    }
}
