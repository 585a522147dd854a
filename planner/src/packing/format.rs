//! Reads packing instances in their published formats.

use std::path::Path;

use super::Packing;

/// A published format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// How many resources; the room of each; how many lines of items; a line for each: its needs,
    /// then how many such items there are (VPSolver).
    Vbp,
    /// How many items; the room; the size of each (BPPLIB).
    Bpplib,
}

impl Format {
    /// By the file's name: `.vbp`, else BPPLIB's `.txt` and `.bpp`.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "vbp" => Some(Self::Vbp),
            "txt" | "bpp" => Some(Self::Bpplib),
            _ => None,
        }
    }
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "vbp" => Ok(Self::Vbp),
            "bpplib" => Ok(Self::Bpplib),
            other => Err(format!("read `{other}`, expected `vbp` or `bpplib`")),
        }
    }
}

/// What is wrong with an instance.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct FormatError {
    /// Counted from 1.
    pub line: usize,
    /// What was read, and what is accepted.
    pub what: String,
}

/// Amounts up to 2^40 and a million items, so that no sum overflows.
const MOST: i64 = 1 << 40;
const MOST_ITEMS: i64 = 1_000_000;
/// Where items run, hosts are numbered up to this.
const MOST_HOST: i64 = 20_000;
const MOST_RESOURCES: i64 = 1000;

/// Reads an instance.
///
/// # Errors
/// With its line: what is no number or out of range, what is missing or left over, an item that is
/// larger than a host.
pub fn read(text: &str, format: Format) -> Result<Packing, FormatError> {
    let mut words = Words::new(text);
    let (room, lines) = match format {
        Format::Vbp => {
            let resources = words.next("the number of resources", 1..=MOST_RESOURCES)?;
            let room = words.several(resources, "a room", 1..=MOST)?;
            (room, words.next("the number of lines", 0..=MOST_ITEMS)?)
        }
        Format::Bpplib => {
            let lines = words.next("the number of items", 0..=MOST_ITEMS)?;
            (vec![words.next("the room", 1..=MOST)?], lines)
        }
    };
    let resources = i64::try_from(room.len()).unwrap_or(MOST_RESOURCES);
    let mut items: Vec<Vec<i64>> = Vec::new();
    for _ in 0..lines {
        let item = words.several(resources, "a need", 0..=MOST)?;
        if let Some(r) = (0..room.len()).find(|r| item[*r] > room[*r]) {
            let what = format!(
                "read a need of {}, expected at most the room {}",
                item[r], room[r]
            );
            return Err(words.error(what));
        }
        let left = MOST_ITEMS - i64::try_from(items.len()).unwrap_or(MOST_ITEMS);
        let count = match format {
            Format::Vbp => words.next("how many such items", 0..=left)?,
            Format::Bpplib => 1,
        };
        items.extend((0..count).map(|_| item.clone()));
    }
    words.end()?;
    Ok(Packing { room, items })
}

/// Where each of so many items runs: a host's number from 0 on each line.
///
/// # Errors
/// As for [`read`].
pub fn read_current(text: &str, items: usize) -> Result<Vec<usize>, FormatError> {
    let mut words = Words::new(text);
    let mut current = Vec::with_capacity(items);
    for _ in 0..items {
        let host = words.next("the host of an item", 0..=MOST_HOST)?;
        current.push(usize::try_from(host).unwrap_or(0));
    }
    words.end()?;
    Ok(current)
}

/// The words of a text, one after the other, with their lines.
struct Words<'a> {
    words: Box<dyn Iterator<Item = (usize, &'a str)> + 'a>,
    line: usize,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        let lines = text.lines().zip(1..);
        Self {
            words: Box::new(lines.flat_map(|(l, n)| l.split_whitespace().map(move |w| (n, w)))),
            line: 1,
        }
    }

    fn next(
        &mut self,
        what: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<i64, FormatError> {
        let expected = format!(
            "{what}, a whole number from {} to {}",
            range.start(),
            range.end()
        );
        let Some((line, word)) = self.words.next() else {
            return Err(self.error(format!("read the end, expected {expected}")));
        };
        self.line = line;
        word.parse()
            .ok()
            .filter(|n| range.contains(n))
            .ok_or_else(|| self.error(format!("read `{word}`, expected {expected}")))
    }

    fn several(
        &mut self,
        count: i64,
        what: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Vec<i64>, FormatError> {
        (0..count).map(|_| self.next(what, range.clone())).collect()
    }

    fn end(&mut self) -> Result<(), FormatError> {
        match self.words.next() {
            None => Ok(()),
            Some((line, word)) => {
                self.line = line;
                Err(self.error(format!("read `{word}`, expected the end")))
            }
        }
    }

    fn error(&self, what: String) -> FormatError {
        FormatError {
            line: self.line,
            what,
        }
    }
}
