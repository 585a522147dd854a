//! Quantities as integer newtypes. They parse and print with their unit (`16GiB`, `2.5cores`), so
//! that no bare number crosses a function border.
//!
//! Parsing is exact decimal arithmetic. A value finer than the type's grain rounds **up** (a demand
//! is never understated); what a host offers is read through [`round_down`] instead.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a quantity. The message says what was read and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read `{read}`, expected {expected}")]
pub struct UnitError {
    /// The text as it stood in the input.
    pub read: String,
    /// What would have been accepted, with an example.
    pub expected: &'static str,
}

/// Which way a value finer than the grain goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Up,
    Down,
}

/// As [`unbounded`], where a sum of a million such values stays inside an `i64`: at most `i64::MAX` / 2^20.
fn decimal(text: &str, scale: (u128, u128), rounding: Rounding) -> Option<u64> {
    unbounded(text, scale, rounding).filter(|v| *v <= 1 << 43)
}

/// `text` × `scale` as an integer, or `None` when it is no plain decimal number or does not fit.
/// `scale` is a fraction (numerator, denominator).
fn unbounded(text: &str, scale: (u128, u128), rounding: Rounding) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.len() > 30 {
        return None;
    }
    if text.ends_with('.') {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mut mantissa: u128 = whole.parse().ok()?;
    let mut denominator: u128 = 1;
    for b in fraction.bytes() {
        mantissa = mantissa
            .checked_mul(10)?
            .checked_add(u128::from(b - b'0'))?;
        denominator = denominator.checked_mul(10)?;
    }
    let numerator = mantissa.checked_mul(scale.0)?;
    let denominator = denominator.checked_mul(scale.1)?;
    let value = match rounding {
        Rounding::Up => numerator.div_ceil(denominator),
        Rounding::Down => numerator / denominator,
    };
    u64::try_from(value).ok()
}

/// A plain number in thousandths, at most so many.
fn thousandths(text: &str, rounding: Rounding, most: u64) -> Option<u64> {
    let (n, unit) = split_unit(text);
    let value = unbounded(n, (1000, 1), rounding)?;
    (unit.is_empty() && value <= most).then_some(value)
}

/// Splits `2.5cores` into (`2.5`, `cores`).
fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    (&text[..at], text[at..].trim_start())
}

/// A value of grain 1/`grain` written as the shortest decimal.
fn write_decimal(f: &mut fmt::Formatter<'_>, value: u64, grain: u64) -> fmt::Result {
    write!(f, "{}", value / grain)?;
    let rest = value % grain;
    if rest > 0 {
        let width = grain.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        write!(f, ".{}", digits.trim_end_matches('0'))?;
    }
    Ok(())
}

/// Reads a quantity that a host offers: finer values round down, so that capacity is never
/// overstated. For `#[serde(deserialize_with = "units::round_down")]`.
///
/// # Errors
/// The deserializer's, with what was read and what is accepted.
pub fn round_down<'de, D: Deserializer<'de>, Q: Quantity>(d: D) -> Result<Q, D::Error> {
    d.deserialize_any(QuantityVisitor::<Q>(
        Rounding::Down,
        std::marker::PhantomData,
    ))
}

/// What the newtypes of this module have in common.
pub trait Quantity: Copy + Sized {
    /// What is accepted, for error messages, with an example.
    const EXPECTED: &'static str;
    /// Whether files hold it as a bare number (of thousandths).
    #[doc(hidden)]
    const BARE: bool;
    /// Reads a text with its unit.
    #[doc(hidden)]
    fn read(text: &str, down: bool) -> Option<Self>;
}

struct QuantityVisitor<Q>(Rounding, std::marker::PhantomData<Q>);

impl<Q: Quantity> Visitor<'_> for QuantityVisitor<Q> {
    type Value = Q;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Q::EXPECTED)
    }
    fn visit_str<E: de::Error>(self, v: &str) -> Result<Q, E> {
        Q::read(v, self.0 == Rounding::Down).ok_or_else(|| {
            E::custom(UnitError {
                read: shorten(v),
                expected: Q::EXPECTED,
            })
        })
    }
    fn visit_u64<E: de::Error>(self, v: u64) -> Result<Q, E> {
        self.visit_str(&v.to_string())
    }
    fn visit_i64<E: de::Error>(self, v: i64) -> Result<Q, E> {
        self.visit_str(&v.to_string())
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Q, E> {
        // The shortest decimal that reads back as the same float is what the user wrote.
        self.visit_str(&v.to_string())
    }
    fn visit_bool<E: de::Error>(self, v: bool) -> Result<Q, E> {
        self.visit_str(&v.to_string())
    }
}

/// A count with its noun in the right number: `1 host`, `2 hosts`.
#[must_use]
pub fn count(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// A text as an error message quotes it: at most 60 characters, without control characters.
pub(crate) fn shorten(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if clean.chars().count() <= 60 {
        return clean;
    }
    let head: String = clean.chars().take(57).collect();
    format!("{head}...")
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $pattern:literal, bare: $bare:literal,
     read($text:ident, $rounding:ident) $read:block, write($f:ident, $value:ident) $write:block) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// Nothing of it.
            pub const ZERO: Self = Self(0);
            /// The larger of zero and the difference.
            #[must_use]
            pub fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }
        impl Quantity for $name {
            const EXPECTED: &'static str = $expected;
            const BARE: bool = $bare;
            fn read($text: &str, down: bool) -> Option<Self> {
                let $rounding = if down { Rounding::Down } else { Rounding::Up };
                let value: Option<u64> = $read;
                value.map(Self)
            }
        }
        impl FromStr for $name {
            type Err = UnitError;
            fn from_str(s: &str) -> Result<Self, UnitError> {
                Self::read(s, false).ok_or_else(|| UnitError {
                    read: shorten(s),
                    expected: Self::EXPECTED,
                })
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, $f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $value = self.0;
                $write
            }
        }
        impl std::ops::Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }
        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }
        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
                all.fold(Self::ZERO, |a, b| a + b)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if Self::BARE {
                    #[expect(clippy::cast_precision_loss, reason = "at most 10^15 thousandths, and 2^53 is exact")]
                    return s.serialize_f64(self.0 as f64 / 1000.0);
                }
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.deserialize_any(QuantityVisitor::<Self>(Rounding::Up, std::marker::PhantomData))
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                if Self::BARE {
                    return json_schema!({ "type": ["string", "number"], "pattern": $pattern, "description": $expected });
                }
                // A number would lack its unit.
                json_schema!({ "type": "string", "pattern": $pattern, "description": $expected })
            }
        }
    };
}

quantity!(
    /// CPU in thousandths of a core of speed 1.
    MilliCores, "cores such as `2.5cores` or `500mcores`", r"^[0-9]+(\.[0-9]+)? *(cores?|mcores)$",
    bare: false,
    read(text, rounding) {
        match split_unit(text) {
            (n, "cores" | "core") => decimal(n, (1000, 1), rounding),
            (n, "mcores") => decimal(n, (1, 1), rounding),
            _ => None,
        }
    },
    write(f, value) {
        write_decimal(f, value, 1000)?;
        f.write_str("cores")
    }
);

/// Bytes per unit name, binary units only.
fn bytes_per(unit: &str) -> Option<u128> {
    Some(match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    })
}

quantity!(
    /// Memory in MiB (2^20 bytes).
    MiB, "memory such as `16GiB`, `512MiB` or `1.5TiB` (binary units)", r"^[0-9]+(\.[0-9]+)? *(B|KiB|MiB|GiB|TiB)$",
    bare: false,
    read(text, rounding) {
        let (n, unit) = split_unit(text);
        bytes_per(unit).and_then(|b| decimal(n, (b, 1 << 20), rounding))
    },
    write(f, value) {
        if value > 0 && value.is_multiple_of(1024) { write!(f, "{}GiB", value / 1024) } else { write!(f, "{value}MiB") }
    }
);

quantity!(
    /// A rate of bytes in MiB per second.
    MiBPerSec, "a rate such as `1250MiB/s` or `1GiB/s`", r"^[0-9]+(\.[0-9]+)? *(B|KiB|MiB|GiB|TiB)/s$",
    bare: false,
    read(text, rounding) {
        let (n, unit) = split_unit(text);
        unit.strip_suffix("/s").and_then(bytes_per).and_then(|b| decimal(n, (b, 1 << 20), rounding))
    },
    write(f, value) {
        write!(f, "{value}MiB/s")
    }
);

quantity!(
    /// A dirty rate in distinct pages of 4 KiB per second.
    PagesPerSec, "a dirty rate such as `1200pages/s` (pages of 4 KiB)", r"^[0-9]+(\.[0-9]+)? *pages/s$",
    bare: false,
    read(text, rounding) {
        match split_unit(text) {
            (n, "pages/s") => decimal(n, (1, 1), rounding),
            _ => None,
        }
    },
    write(f, value) {
        write!(f, "{value}pages/s")
    }
);

quantity!(
    /// A share of one in thousandths, at most 100 %.
    Permille, "a share such as `10%` (0% to 100%)", r"^[0-9]+(\.[0-9]+)? *%$",
    bare: false,
    read(text, rounding) {
        match split_unit(text) {
            (n, "%") => decimal(n, (10, 1), rounding).filter(|v| *v <= 1000),
            _ => None,
        }
    },
    write(f, value) {
        write_decimal(f, value, 10)?;
        f.write_str("%")
    }
);

quantity!(
    /// A bare factor in thousandths: a host's speed, the over-commit of vCPUs, a cost.
    Ratio, "a plain number from 0 to 1000000 such as `1.2`", r"^[0-9]+(\.[0-9]+)?$",
    bare: true,
    read(text, rounding) {
        thousandths(text, rounding, 1_000_000_000)
    },
    write(f, value) {
        write_decimal(f, value, 1000)
    }
);

quantity!(
    /// A price in thousandths of the operator's own unit.
    Price, "a plain number from 0 to 1000000000 such as `12.5`", r"^[0-9]+(\.[0-9]+)?$",
    bare: true,
    read(text, rounding) {
        thousandths(text, rounding, 1_000_000_000_000)
    },
    write(f, value) {
        write_decimal(f, value, 1000)
    }
);

quantity!(
    /// A sum of hosts' costs or of prices, in thousandths.
    Sum, "a plain number from 0 to 1000000000000 such as `12.5`", r"^[0-9]+(\.[0-9]+)?$",
    bare: true,
    read(text, rounding) {
        thousandths(text, rounding, 1_000_000_000_000_000)
    },
    write(f, value) {
        write_decimal(f, value, 1000)
    }
);

impl From<Price> for Sum {
    fn from(price: Price) -> Self {
        Self(price.0)
    }
}

quantity!(
    /// A length of time in microseconds (the probe's windows are 16.777 ms long).
    Micros, "a time such as `10s`, `300ms`, `16.777ms`, `5m`, `24h` or `7d`", r"^[0-9]+(\.[0-9]+)? *(us|ms|s|m|h|d)$",
    bare: false,
    read(text, rounding) {
        let (n, unit) = split_unit(text);
        let scale = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => 0,
        };
        if scale == 0 { None } else { decimal(n, (scale, 1), rounding) }
    },
    write(f, value) {
        if value > 0 && value.is_multiple_of(3_600_000_000) {
            write!(f, "{}h", value / 3_600_000_000)
        } else if value >= 1_000_000 {
            write_decimal(f, value, 1_000_000)?;
            f.write_str("s")
        } else if value == 0 {
            f.write_str("0s")
        } else {
            write_decimal(f, value, 1000)?;
            f.write_str("ms")
        }
    }
);

impl Ratio {
    /// The factor 1.
    pub const ONE: Self = Self(1000);
}

impl MilliCores {
    /// So many whole cores.
    #[must_use]
    pub fn cores(n: u64) -> Self {
        Self(n * 1000)
    }
}

impl Micros {
    /// So many whole seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Self {
        Self(n * 1_000_000)
    }
    /// So many whole milliseconds.
    #[must_use]
    pub const fn millis(n: u64) -> Self {
        Self(n * 1_000)
    }
    /// As the standard library's type, for timers at the edge.
    #[must_use]
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0)
    }
}

/// A series of CPU demands as a file holds it: bare numbers of cores, `[1.2, 0.35]`. Written so
/// because a day has thousands of them; the key says the unit.
pub mod cores_series {
    use std::fmt;

    use super::{MilliCores, Ratio};
    use serde::de::{self, SeqAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    struct Cores(MilliCores);
    impl Serialize for Cores {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            #[expect(clippy::cast_precision_loss, reason = "at most 2^43, and milli-cores")]
            s.serialize_f64(self.0.0 as f64 / 1000.0)
        }
    }
    impl<'de> Deserialize<'de> for Cores {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            // A ratio's grain is the thousandth too.
            Ratio::deserialize(d).map(|r| Self(MilliCores(r.0)))
        }
    }
    /// Writes the series as bare numbers of cores.
    ///
    /// # Errors
    /// The serializer's.
    pub fn serialize<S: Serializer>(v: &[MilliCores], s: S) -> Result<S::Ok, S::Error> {
        // On one line: a day has hundreds of values.
        let values: Vec<Cores> = v.iter().map(|m| Cores(*m)).collect();
        serde_yaml::FlowSeq(values).serialize(s)
    }
    /// Reads bare numbers of cores.
    ///
    /// # Errors
    /// The deserializer's, with what was read and what is accepted.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<MilliCores>, D::Error> {
        d.deserialize_any(Series)
    }

    struct Series;

    impl<'de> Visitor<'de> for Series {
        type Value = Vec<MilliCores>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of numbers of cores")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut values = Vec::new();
            while let Some(Cores(value)) = list.next_element()? {
                values.push(value);
            }
            Ok(values)
        }

        /// As the reader of files hands a long series over: `=` and the numbers.
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            let Some(numbers) = text.strip_prefix('=') else {
                return Err(E::invalid_type(de::Unexpected::Str(text), &self));
            };
            let value = |number: &str| {
                let ratio: Ratio = number.trim().parse().map_err(E::custom)?;
                Ok(MilliCores(ratio.0))
            };
            numbers.split(',').map(value).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<Q: FromStr<Err = UnitError> + fmt::Display>(read: &str, written: &str) {
        match read.parse::<Q>() {
            Ok(q) => assert_eq!(q.to_string(), written, "{read}"),
            Err(e) => assert_eq!(written, e.to_string(), "{read}"),
        }
    }

    #[test]
    fn quantities_read_and_print_with_their_unit() {
        check::<MilliCores>("2.5cores", "2.5cores");
        check::<MilliCores>("1 core", "1cores");
        check::<MilliCores>("0.0001cores", "0.001cores");
        check::<MiB>("16GiB", "16GiB");
        check::<MiB>("1.5GiB", "1536MiB");
        check::<MiB>("1B", "1MiB");
        check::<MiBPerSec>("1GiB/s", "1024MiB/s");
        check::<PagesPerSec>("1200pages/s", "1200pages/s");
        check::<Permille>("12.5%", "12.5%");
        check::<Ratio>("4.0", "4");
        check::<Sum>("1000000000000", "1000000000000");
        assert!("1000000000000.001".parse::<Sum>().is_err());
        let most = Sum(1_000_000_000_000_000);
        let written = serde_json::to_string(&most).unwrap();
        assert_eq!(serde_json::from_str::<Sum>(&written).unwrap(), most);
        check::<Micros>("16.777ms", "16.777ms");
        check::<Micros>("300s", "300s");
        check::<Micros>("24h", "24h");
    }

    #[test]
    fn wrong_texts_are_refused_with_what_is_accepted() {
        for bad in [
            "16",
            "-1GiB",
            "nan",
            "1e3GiB",
            ".5GiB",
            "5.GiB",
            "16GB",
            "",
            "99999999999999TiB",
        ] {
            let e = bad.parse::<MiB>().unwrap_err();
            assert!(e.to_string().contains("`16GiB`"), "{e}");
        }
        assert!("101%".parse::<Permille>().is_err());
        assert!("inf".parse::<Ratio>().is_err());
    }

    #[test]
    fn a_count_has_its_noun_in_the_right_number() {
        let counts = [0, 1, 2].map(|n| count(n, "host"));
        assert_eq!(counts, ["0 hosts", "1 host", "2 hosts"]);
    }

    #[test]
    fn capacity_rounds_down_and_demand_up() {
        assert_eq!(MilliCores::read("0.0019cores", true), Some(MilliCores(1)));
        assert_eq!(MilliCores::read("0.0011cores", false), Some(MilliCores(2)));
    }

    proptest! {
        #[test]
        fn printing_and_reading_are_inverse(v in 0u64..1 << 43) {
            prop_assert_eq!(MilliCores(v).to_string().parse(), Ok(MilliCores(v)));
            prop_assert_eq!(MiB(v).to_string().parse(), Ok(MiB(v)));
            prop_assert_eq!(Micros(v).to_string().parse(), Ok(Micros(v)));
            prop_assert_eq!(PagesPerSec(v).to_string().parse(), Ok(PagesPerSec(v)));
        }
    }
}
