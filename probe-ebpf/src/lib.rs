//! Records the load of every guest on a host, without touching a guest.
//!
//! ```text
//! libvirt: which guests ─> threads: which threads are their vCPUs ─┐
//!                                                                  v
//!    source: what yields windows, either of      ebpf: slots that the kernel keeps
//!                                                schedstat: /proc, at each step
//!                                                                  v
//!                          measure: drives it, hands out windows (GuestWindow) as they are over
//!                                                                  v
//!                                record: the load over a while;  serve: the daemon
//! serve: history (rows of ten seconds), metrics, stream ─> export, fetch, top
//! ```
//! A window's demand is told from its steps in [`demand`]; [`windows`] folds readings into steps.
//! libvirt's counters stand in where `/proc` cannot be read; [`tiers`] says what works on a host.
//! A guest's own quota is told from contention in `quota`, dirty rates are sampled in `dirty`.

mod bench;
pub mod cli;
pub mod demand;
mod dirty;
pub mod doctor;
pub mod ebpf;
mod export;
mod fetch;
pub mod guests;
mod history;
mod interval;
mod live;
mod load;
pub mod measure;
mod metrics;
mod pki;
mod process;
mod quota;
pub mod record;
pub mod sample;
pub mod schedstat;
mod serve;
mod sketch;
pub mod source;
pub mod threads;
pub mod tiers;
mod top;
pub mod windows;

use vmpack_probe_client::{client, tick, tls};

#[cfg(test)]
mod tests;
