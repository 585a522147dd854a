//! Other programs' files as cluster, load and policy: one module a format. Pure: text in, types out,
//! with a list of what has no place here.

pub mod btrplace;
pub mod planetlab;

use serde::Serialize;
use vmpack_domain::{Cluster, Load, Policy};

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Hosts, guests and where they run.
    pub cluster: Cluster,
    /// What each guest wants.
    pub load: Load,
    /// Rules, and limits as the other program counts them.
    pub policy: Policy,
    /// What was not imported, by name.
    pub left_out: Vec<LeftOut>,
}

/// Something that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeftOut {
    /// Its name in the source's format.
    pub what: String,
    /// How many there are.
    pub count: usize,
    /// Why.
    pub why: String,
}

/// What is wrong with the source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", .place.map_or(String::new(), |(line, column)| format!("{line}:{column}: ")))]
pub struct ImportError {
    /// Line and column, counted from 1, where they are known.
    pub place: Option<(usize, usize)>,
    /// What was read, and what is accepted.
    pub what: String,
}

impl ImportError {
    fn new(what: impl Into<String>) -> Self {
        Self {
            place: None,
            what: what.into(),
        }
    }
}

impl From<serde_json::Error> for ImportError {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        Self {
            place: (error.line() > 0).then(|| (error.line(), error.column())),
            what: what.to_owned(),
        }
    }
}
