//! When migrations may be begun: hours of the week, and freezes. By UTC, so that no clock is ever put
//! back.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::load::jiff_serde::Timestamp;

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const DAY: i64 = 24 * 60;

/// Hours of the week, such as `Mon-Fri 22:00-06:00` or `01:00-05:00` (every day), by UTC. The days are
/// those on which the hours begin; hours that end before they begin go past midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// The first and last day, Monday being 0; a week may wrap.
    days: (i64, i64),
    /// Minutes after midnight.
    from: i64,
    until: i64,
}

/// Why hours cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "read `{0}`, expected hours by UTC such as `Mon-Fri 22:00-06:00`, `Sun 10:00-14:00` or `01:00-05:00`"
)]
pub struct HoursError(String);

impl FromStr for Hours {
    type Err = HoursError;
    fn from_str(text: &str) -> Result<Self, HoursError> {
        let refused = || HoursError(crate::units::shorten(text));
        let day = |t: &str| {
            let at = DAYS.iter().position(|d| *d == t);
            at.and_then(|d| i64::try_from(d).ok()).ok_or_else(refused)
        };
        let minute = |t: &str| {
            let (h, m) = t.split_once(':').ok_or_else(refused)?;
            let part = |t: &str, below: i64| {
                let digits = t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit());
                let number = t.parse::<i64>().ok().filter(|n| digits && *n < below);
                number.ok_or_else(refused)
            };
            Ok(part(h, 24)? * 60 + part(m, 60)?)
        };
        let (days, times) = match text.split_once(' ') {
            None => ((0, 6), text),
            Some((days, times)) => match days.split_once('-') {
                None => ((day(days)?, day(days)?), times),
                Some((first, last)) => ((day(first)?, day(last)?), times),
            },
        };
        let (from, until) = times.split_once('-').ok_or_else(refused)?;
        Ok(Self {
            days,
            from: minute(from)?,
            until: minute(until)?,
        })
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |day: i64| usize::try_from(day).ok().and_then(|d| DAYS.get(d));
        let (first, last) = (name(self.days.0), name(self.days.1));
        match (first, last, self.days) {
            (_, _, (0, 6)) => {}
            (Some(first), _, (a, b)) if a == b => write!(f, "{first} ")?,
            (Some(first), Some(last), _) => write!(f, "{first}-{last} ")?,
            _ => {}
        }
        let time = |m: i64| format!("{:02}:{:02}", m / 60, m % 60);
        write!(f, "{}-{}", time(self.from), time(self.until))
    }
}

impl Serialize for Hours {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Hours {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hours".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "hours of the week by UTC, such as `Mon-Fri 22:00-06:00` or `01:00-05:00`",
            "pattern": "^((Mon|Tue|Wed|Thu|Fri|Sat|Sun)(-(Mon|Tue|Wed|Thu|Fri|Sat|Sun))? )?[0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$"
        })
    }
}

impl Hours {
    /// Whether that minute of the week, from Monday 00:00 on, is within them.
    fn hold(self, minute: i64) -> bool {
        let length = match self.until - self.from {
            span if span <= 0 => span + DAY,
            span => span,
        };
        let (first, last) = self.days;
        let named = |day: i64| (day - first).rem_euclid(7) <= (last - first).rem_euclid(7);
        // They may have begun the day before.
        [0, 1].into_iter().any(|back| {
            let day = minute.div_euclid(DAY) - back;
            let since = minute - day * DAY - self.from;
            named(day.rem_euclid(7)) && (0..length).contains(&since)
        })
    }
}

/// A span in which nothing is begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Freeze {
    /// Its beginning.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// Its end.
    #[schemars(with = "String")]
    pub until: Timestamp,
    /// Why, for those who wait.
    #[serde(default)]
    pub reason: String,
}

/// Why nothing may be begun now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// In words.
    pub why: String,
    /// When it may be again, as far as is seen; a freeze may follow at once.
    pub until: Option<Timestamp>,
}

/// Why nothing may be begun at that time, if so: a freeze, or none of the hours where there are any.
#[must_use]
pub fn closed(hours: &[Hours], freezes: &[Freeze], at: Timestamp) -> Option<Closed> {
    if let Some(freeze) = freezes.iter().find(|f| f.from <= at && at < f.until) {
        let reason = match freeze.reason.as_str() {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        return Some(Closed {
            why: format!("changes are frozen until {:.0}{reason}", freeze.until.0),
            until: Some(freeze.until),
        });
    }
    let minute = at.0.as_second().div_euclid(60);
    let open = |minute: i64| hours.iter().any(|h| h.hold(of_week(minute)));
    if hours.is_empty() || open(minute) {
        return None;
    }
    let next = (minute..).take(8 * 24 * 60).find(|m| open(*m));
    let next = next.and_then(|m| jiff::Timestamp::from_second(m * 60).ok());
    let all: Vec<String> = hours.iter().map(ToString::to_string).collect();
    Some(Closed {
        why: format!(
            "outside of the hours for migrations ({}, by UTC)",
            all.join(", ")
        ),
        until: next.map(Timestamp),
    })
}

/// The minute of the week of a minute since 1970, which began on a Thursday.
fn of_week(minute: i64) -> i64 {
    (minute + 3 * DAY).rem_euclid(7 * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse().expect("a time"))
    }

    /// 2026-01-05 is a Monday.
    fn check(hours: &str, time: &str, next: Option<&str>) {
        let hours: Hours = hours.parse().expect("hours");
        assert_eq!(hours.to_string().parse(), Ok(hours));
        let closed = closed(&[hours], &[], at(time));
        assert_eq!(closed.and_then(|c| c.until), next.map(at), "{hours} {time}");
    }

    #[test]
    fn hours_hold_on_their_days_and_past_midnight() {
        check("01:00-05:00", "2026-01-07T01:00:00Z", None);
        check(
            "01:00-05:00",
            "2026-01-07T05:00:00Z",
            Some("2026-01-08T01:00:00Z"),
        );
        check("Mon-Fri 22:00-06:00", "2026-01-05T23:00:00Z", None);
        check("Mon-Fri 22:00-06:00", "2026-01-10T05:59:59Z", None);
        check(
            "Mon-Fri 22:00-06:00",
            "2026-01-10T06:00:00Z",
            Some("2026-01-12T22:00:00Z"),
        );
        check(
            "Mon-Fri 22:00-06:00",
            "2026-01-05T05:00:00Z",
            Some("2026-01-05T22:00:00Z"),
        );
        check("Sat-Sun 00:00-00:00", "2026-01-11T23:59:00Z", None);
        check(
            "Sat-Sun 00:00-00:00",
            "2026-01-12T00:00:00Z",
            Some("2026-01-17T00:00:00Z"),
        );
        check("Sun-Mon 10:00-11:00", "2026-01-05T10:30:00Z", None);
        check(
            "Sun 10:00-11:00",
            "2026-01-05T10:30:00Z",
            Some("2026-01-11T10:00:00Z"),
        );
        for wrong in [
            "",
            "22-6",
            "Mo 22:00-06:00",
            "24:00-06:00",
            "Mon 2:00-06:00",
            "22:00",
        ] {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_freeze_holds_from_its_beginning_to_its_end() {
        let freeze = Freeze {
            from: at("2026-12-20T00:00:00Z"),
            until: at("2027-01-04T00:00:00Z"),
            reason: "end of the year".to_owned(),
        };
        let closed = |time| closed(&[], std::slice::from_ref(&freeze), at(time));
        assert_eq!(closed("2026-12-19T23:59:59Z"), None);
        assert_eq!(closed("2027-01-04T00:00:00Z"), None);
        let frozen = closed("2026-12-20T00:00:00Z").expect("a freeze");
        assert_eq!(frozen.until, Some(freeze.until));
        assert!(frozen.why.contains("(end of the year)"), "{}", frozen.why);
    }
}
