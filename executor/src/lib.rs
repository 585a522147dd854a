//! Carries a plan out. The way of the data:
//!
//! ```text
//! plan ─> preflight (do its preconditions still hold?) ─> journal: accepted
//!   ┌──────────────────────────────────────────────────────────────┘
//!   └─> decide (pure) ─> journal: intended ─> migrate ─> journal: switched, moved ─> decide ...
//! ```
//!
//! - [`preflight`] judges the plan against a fresh snapshot, and each move right before it starts;
//! - [`decide`] is the state machine: what to do next, from the plan and its progress;
//! - [`settle`] tells where a move stands whose executor died, from what the hypervisor sees;
//! - [`carry`] is the thin shell that acts, and writes to the [`journal`] before and after;
//! - [`doctor`] says whether a host is set up for safe migrations;
//! - [`world`] is the choice between real and simulated hosts.
//!
//! Invariants: intent is durable before a migration is asked for; one executor per journal; what
//! the hypervisor says goes before what the journal says.

pub mod carry;
pub mod cli;
pub mod decide;
pub mod doctor;
#[cfg(test)]
mod fixture;
pub mod journal;
pub mod lock;
pub mod preflight;
pub mod settle;
pub mod world;
