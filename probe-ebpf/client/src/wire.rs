//! What goes over the wire as JSON and a reader of probes has to know. [`API`] rises when a reader of the
//! last version would go wrong.

use serde::{Deserialize, Serialize};

use crate::tick::Tick;

/// The version of everything below `/v1/`.
pub const API: u32 = 1;
/// The port on which probes listen unless they are told otherwise.
pub const PORT: u16 = 9742;

/// A line of `GET /v1/stream`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Event {
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
    /// What a newer probe says and this does not know.
    #[serde(other)]
    Other,
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The version of the interface that it speaks.
    pub api: u32,
    /// Its own version.
    pub version: String,
    /// The host's own name.
    pub host: String,
    /// Its clock, in microseconds of Unix time.
    pub now_us: u64,
}

/// The answer of anything that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What.
    pub error: String,
}

/// As a line of JSON.
#[must_use]
pub fn line(event: &Event) -> Vec<u8> {
    // Some 280 bytes a guest: grown piece by piece it would be copied over and over.
    let room = match event {
        Event::Windows(tick) => 256 + 320 * tick.guests.len(),
        _ => 256,
    };
    let mut text = Vec::with_capacity(room);
    // These types have nothing in them that JSON cannot say, and memory takes all.
    let _ = serde_json::to_writer(&mut text, event);
    text.push(b'\n');
    text
}
