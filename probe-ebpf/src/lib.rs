//! Records the load of every guest on a host, without touching a guest.
//!
//! ```text
//! libvirt: which guests ─> threads: which threads are their vCPUs ─┐
//!                                                                  v
//!                              sample: a vCPU's run time and run delay at a moment
//!                                                                  v
//!                              windows: samples into windows ─ demand: what a window wanted
//!                                                                  v
//!                              record: the loop, and the load at its end
//! ```
//! Whatever yields a [`demand::Sample`] can feed the windows: today the scheduler's statistics in
//! `/proc`, and libvirt's counters where `/proc` cannot be read.

pub mod cli;
pub mod demand;
pub mod doctor;
pub mod guests;
pub mod record;
pub mod sample;
pub mod threads;
pub mod windows;

#[cfg(test)]
mod tests;
