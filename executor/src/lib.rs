//! Carries a plan out. The way of the data:
//!
//! ```text
//! plan ─> preflight (do its preconditions still hold?) ─> journal: accepted
//!   ┌──────────────────────────────────────────────────────────────┘
//!   └─> decide (pure) ─> journal: intended ─> migrate ─> journal: switched, moved ─> decide ...
//! ```
//!
//! - [`preflight`] judges the plan against a fresh snapshot, and each move right before it starts;
//! - [`admit`] asks the hosts for what preflight and [`claim`] judge;
//! - [`decide`] is the state machine: what to do next, from the runs and their progress;
//! - [`settle`] tells where a move stands whose executor died, from what the hypervisor sees;
//! - [`shares`] sets guests' CPU shares from what they have reserved, where a guest has come to;
//! - [`carry`] is the thin shell that acts, and writes to the [`journal`] before and after;
//! - [`sight`] is the hosts as they are now, as far as they answer;
//! - [`spells`] sums up where guests are in split state and for how long they were, by the journal;
//! - [`attempt`] is what its threads do, one for each move underway;
//! - [`holder`] is what that shell is asked, in its process or through its [`socket`];
//! - [`replan`] decides whether what a run left undone is planned anew, and carries that out;
//! - [`ledger`] holds predictions against what was measured, [`reverse`] makes the way back;
//! - [`watch`] hears the probes, and hands relief to the holder; [`power`] puts hosts to sleep and wakes them;
//! - [`doctor`] says whether a host is set up for safe migrations;
//! - [`world`] is the choice between real and simulated hosts.
//!
//! Invariants: intent is durable before a migration is asked for; one holder per journal ([`lock`]); what
//! the hypervisor says goes before what the journal says.

pub mod admit;
pub mod attempt;
pub mod carry;
pub mod claim;
pub mod cli;
pub mod decide;
pub mod doctor;
#[cfg(test)]
mod fixture;
pub mod holder;
pub mod journal;
pub mod ledger;
pub mod lock;
pub mod power;
pub mod preflight;
pub mod replan;
pub mod reverse;
pub mod settle;
pub mod shares;
pub mod sight;
pub mod socket;
pub mod spells;
pub mod watch;
pub mod world;
