//! YAML text to types, with the place of a fault in the error.

use serde::de::DeserializeOwned;

use super::locate::{Step, locate};
use super::{InputError, Source};
use crate::units::shorten;

/// Deserializes a text; limits are in proportion to its length.
///
/// # Errors
/// The library's, with the place and in our words.
pub(super) fn from_yaml<T: DeserializeOwned>(source: &Source) -> Result<T, InputError> {
    if source.text.trim().is_empty() {
        return Err(Place {
            source,
            steps: vec![],
        }
        .fault("read an empty file, expected a YAML document".into()));
    }
    serde_yaml::from_str_with_options(&source.text, options(source.text.len())).map_err(|e| {
        let location = e.location();
        let (line, column) = (location.map(|l| l.line()), location.map(|l| l.column()));
        let text = e.to_string();
        // The library ends its message with the place, which stands in front of ours.
        let message = text.split(" at line ").next().unwrap_or(&text).trim();
        let message = message.lines().next().unwrap_or(message);
        let token = location.and_then(|l| token(&source.text, l.line(), l.column()));
        InputError {
            file: source.name.clone(),
            line: line.filter(|l| *l > 0),
            column: column.filter(|c| *c > 0),
            message: reworded(message, token),
            hint: None,
            excerpt: line.and_then(|l| excerpt(&source.text, l)),
        }
    })
}

/// Limits in proportion to the text: what it spells out is welcome, what aliases multiply is not.
pub(super) fn options(bytes: usize) -> serde_yaml::Options {
    let mut budget = serde_yaml::Budget::default();
    budget.max_reader_input_bytes = None;
    budget.max_events = bytes.saturating_mul(2).saturating_add(1000);
    budget.max_nodes = bytes.saturating_add(1000);
    budget.max_total_scalar_bytes = bytes.saturating_mul(2).saturating_add(1000);
    budget.max_depth = 64;
    budget.max_documents = 1;
    serde_yaml::options! {
        budget: Some(budget),
        with_snippet: false,
        strict_booleans: true,
        non_finite_float_policy: serde_yaml::NonFiniteFloatPolicy::PassThrough,
    }
}

/// The library's message in our words: what was read and what is accepted.
fn reworded(message: &str, token: Option<String>) -> String {
    if message.contains("read `") || message.contains("read no ") {
        return message.to_owned();
    }
    // What the library says to programmers, for the people who wrote the file.
    for (said, ours) in [
        (
            "budget breached: Documents",
            "read a second YAML document, expected one document in a file",
        ),
        (
            "budget breached: Depth",
            "read a nesting of more than 64 levels, expected less",
        ),
        (
            "budget breached",
            "read more than the text spells out (aliases that multiply), expected plain YAML",
        ),
        (
            "recursive references",
            "read an alias inside its own anchor, expected plain YAML",
        ),
    ] {
        if message.starts_with(said) {
            return ours.to_owned();
        }
    }
    let message = message
        .split(", set DuplicateKeyPolicy")
        .next()
        .unwrap_or(message);
    let expected = match message {
        m if m.starts_with("invalid u") || m.starts_with("invalid i") => {
            "expected a whole number, not too large".to_owned()
        }
        "expected sequence start" => "expected a list".to_owned(),
        "expected mapping start" => "expected a mapping".to_owned(),
        m if m.contains("boolean") => "expected `true` or `false`".to_owned(),
        m => m.to_owned(),
    };
    match token {
        Some(token) => format!("read `{token}`: {expected}"),
        None => expected,
    }
}

/// The word that begins at a place.
fn token(text: &str, line: u64, column: u64) -> Option<String> {
    let line = text
        .lines()
        .nth(usize::try_from(line.checked_sub(1)?).ok()?)?;
    let rest: String = line
        .chars()
        .skip(usize::try_from(column.checked_sub(1)?).ok()?)
        .collect();
    let word = rest
        .split([',', '}', ']', ':', '\n'])
        .next()
        .unwrap_or_default()
        .trim();
    if word.is_empty() {
        None
    } else {
        Some(shorten(word))
    }
}

fn excerpt(text: &str, line: u64) -> Option<String> {
    let at = usize::try_from(line.checked_sub(1)?).ok()?;
    text.lines()
        .nth(at)
        .map(|l| shorten(l.trim_end()))
        .filter(|l| !l.trim().is_empty())
}

/// A place in a document, for faults that only a whole document shows.
pub(super) struct Place<'a> {
    pub(super) source: &'a Source,
    pub(super) steps: Vec<Step>,
}

impl Place<'_> {
    pub(super) fn key(&self, key: &'static str) -> Self {
        let mut steps = self.steps.clone();
        steps.push(Step::Key(key));
        Self {
            source: self.source,
            steps,
        }
    }

    pub(super) fn fault(&self, message: String) -> InputError {
        let found = locate(&self.source.text, &self.steps);
        InputError {
            file: self.source.name.clone(),
            line: found.map(|(line, _)| line),
            column: found.map(|(_, column)| column),
            message,
            hint: None,
            excerpt: found.and_then(|(line, _)| excerpt(&self.source.text, line)),
        }
    }
}
