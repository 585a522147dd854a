//! The simulated world: hosts, guests, links and live migrations on a virtual clock. Pure and
//! seeded: the same calls give the same history, whatever the machine and the day.
//!
//! The way of one migration, and what a death or a dead link makes of it:
//!
//! ```text
//!            ┌─ Setup ─┬─ pre-copy, hybrid ─> Copy ─┬─ pre-copy ──────────> at the target
//! start() ───┘         │                      (passes) └─ hybrid ─┐
//!                      └─ post-copy ────────────────────────────> Fetch ──> at the target
//! source dies           lost                    lost              lost
//! target dies           stays                   stays             lost
//! source's libvirtd     stays                   stays             goes on; the source's half is left over
//! target's libvirtd     stays                   stays             goes on by itself
//! link down 30 s        stays                   stays             split; healed or resumed when it is up
//! given up, aborted     stays                   stays             (refused)
//! ```
//!
//! In `Fetch` the guest runs at the target and part of its memory is still at the source: neither
//! host holds it whole. A guest is lost only when a host dies that holds pages nobody else has.

mod fault;
pub mod fleet;
mod link;
mod migration;
mod world;

pub use fault::{Fault, Options, Phase, Trouble, When};
pub use migration::{
    Event, Failure, Fate, Happening, LINK_TIMEOUT, MigrationId, Refusal, Report, Request,
};
pub use world::{CopyState, Traffic, World};
