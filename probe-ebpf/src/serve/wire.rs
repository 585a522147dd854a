//! What goes over the wire as JSON, beside what every reader of probes has to know.

use serde::{Deserialize, Serialize};

use crate::history::HistoryPart;

pub(crate) use vmpack_probe_client::wire::{API, Event, Greeting, Refusal, line};

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
