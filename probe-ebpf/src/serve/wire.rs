//! What goes over the wire as JSON. [`API`] rises when a reader of the last version would go wrong.

use serde::{Deserialize, Serialize};

use crate::history::HistoryPart;
use crate::tick::Tick;

/// The version of everything below `/v1/`.
pub(crate) const API: u32 = 1;

/// A line of `GET /v1/stream`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub(crate) enum Event {
    /// The first line.
    Hello(Greeting),
    /// Windows that ended.
    Windows(Tick),
    /// The host's runnable vCPUs exceed its cores, or no longer do.
    Overload {
        /// Whether it began; else it ended.
        began: bool,
        /// When it was noticed, in microseconds of Unix time.
        at_us: u64,
        /// What the vCPUs ran or waited for, in thousandths of a core.
        demand_mcores: u64,
        /// What there is.
        cores_mcores: u64,
    },
    /// The last line, of a reader that was too slow.
    Dropped {
        /// Why.
        why: String,
        /// How many lines it did not get.
        #[serde(default)]
        lines: u64,
    },
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(crate) api: u32,
    pub(crate) version: String,
    /// The host's own name.
    pub(crate) host: String,
    /// Its clock, in microseconds of Unix time.
    pub(crate) now_us: u64,
}

/// The answer of `GET /healthz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Health {
    #[serde(flatten)]
    pub(crate) greeting: Greeting,
    /// Whether guests are being measured and the history written.
    pub(crate) ok: bool,
    /// Why not.
    pub(crate) faults: Vec<String>,
    /// The end of the newest window, in microseconds of Unix time.
    pub(crate) newest_us: Option<u64>,
    /// How old that was, in milliseconds.
    pub(crate) windows_age_ms: Option<u64>,
    /// How old the newest list of guests is, which libvirt gives.
    pub(crate) guests_age_ms: Option<u64>,
    /// How many guests are measured.
    pub(crate) measured: usize,
    /// The guests that run here and are not measured, and why.
    pub(crate) not_measured: std::collections::BTreeMap<String, String>,
}

/// The answer of `GET /v1/load`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LoadAnswer {
    #[serde(flatten)]
    pub(crate) greeting: Greeting,
    #[serde(flatten)]
    pub(crate) history: HistoryPart,
}

/// The answer of anything that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) error: String,
}

/// As a line.
pub(crate) fn line(event: &Event) -> String {
    // These types have nothing in them that JSON cannot say.
    let mut text = serde_json::to_string(event).unwrap_or_default();
    text.push('\n');
    text
}
