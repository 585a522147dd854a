//! Samples guests' dirty rates: one guest after the other gets a window of a second, in which QEMU
//! logs its pages and, by eBPF, the kernel counts them.
//!
//! ```text
//! due guest ─> count pages (source) ─> QEMU: log for 1 s ─> (a moment later) pages, QEMU's figure
//! ```
//! Logging costs the guest a fault for each page, so it is never on for longer. A guest without KVM
//! has no log; QEMU compares samples of its pages then, which gives a lower bound.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use uuid::Uuid;
use vmpack_domain::{GuestName, Tier};
use vmpack_hypervisor::Error;
use vmpack_hypervisor::libvirt::{DirtyMode, DirtyRates};

use crate::sample::now;
use crate::source::{DirtyRate, Source};

/// A sampling window.
const SECONDS: u8 = 1;

/// How long after a guest's window its next one is due, at the earliest.
const EVERY: u64 = 30_000_000_000;

/// How long QEMU may take for its figure after the window.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is asked of the thread that speaks with libvirt, which may stall.
#[derive(Debug)]
struct Order {
    uuid: Uuid,
    kvm: bool,
}

/// What came of an order.
#[derive(Debug)]
struct Answer {
    rate: Result<(DirtyMode, u64), String>,
    /// Whether libvirt let us connect.
    connected: bool,
}

/// A guest that can be sampled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a GuestName,
    pub(crate) uuid: Uuid,
    /// Whether its vCPU threads are KVM's.
    pub(crate) kvm: bool,
}

/// The sampling of all guests.
#[derive(Debug)]
pub(crate) struct Sampler {
    orders: Sender<Order>,
    answers: Receiver<Answer>,
    open: Option<Open>,
    /// When each guest's last window began.
    last: BTreeMap<GuestName, u64>,
    /// The last refusal, told once.
    refused: Option<String>,
    /// Nothing is asked before that: libvirt did not let us connect.
    paused: u64,
}

#[derive(Debug)]
struct Open {
    name: GuestName,
    uuid: Uuid,
    counted: bool,
}

impl Sampler {
    /// Asks that libvirt for measurements, over a connection that is made when it is needed and anew
    /// after an error.
    pub(crate) fn start(uri: &str) -> Self {
        let (orders, ordered) = channel::<Order>();
        let (answer, answers) = channel();
        let uri = uri.to_owned();
        std::thread::spawn(move || {
            let mut kept: Option<DirtyRates> = None;
            for order in ordered {
                let rates = kept.take().map_or_else(|| DirtyRates::open(&uri), Ok);
                let connected = rates.is_ok();
                let rate = rates.and_then(|rates| {
                    let rate = measure(&rates, &order)?;
                    kept = Some(rates);
                    Ok(rate)
                });
                let rate = rate.map_err(|error| error.to_string());
                if answer.send(Answer { rate, connected }).is_err() {
                    return;
                }
            }
        });
        Self {
            orders,
            answers,
            open: None,
            last: BTreeMap::new(),
            refused: None,
            paused: 0,
        }
    }

    /// Ends the window that is over, and opens the next one that is due. What was refused is told in
    /// the second place.
    pub(crate) fn step<'a>(
        &mut self,
        source: &mut dyn Source,
        guests: impl Iterator<Item = Candidate<'a>>,
    ) -> (Option<DirtyRate>, Option<String>) {
        let mut told = (None, None);
        if let Some(open) = &self.open {
            let Ok(answer) = self.answers.try_recv() else {
                return told;
            };
            let counted = source.end_dirty(&open.name).filter(|_| open.counted);
            match answer.rate {
                Ok((mode, mebibytes)) => {
                    let (tier, pages) = judge(mode, mebibytes, counted);
                    told.0 = Some(DirtyRate {
                        guest: open.name.clone(),
                        uuid: open.uuid,
                        tier,
                        end: now(),
                        length: u64::from(SECONDS) * 1_000_000_000,
                        pages,
                    });
                }
                Err(why) => {
                    let why = if answer.connected {
                        format!("the dirty rate of {}: {why}", open.name)
                    } else {
                        self.paused = now() + EVERY;
                        format!("dirty rates are not measured: {why}")
                    };
                    if self.refused.as_ref() != Some(&why) {
                        told.1 = Some(why.clone());
                        self.refused = Some(why);
                    }
                }
            }
            self.open = None;
        }
        let at = now();
        if at < self.paused {
            return told;
        }
        let began = |name| self.last.get(name).copied();
        let next = guests
            .filter(|guest| began(guest.name).is_none_or(|then| at - then > EVERY))
            .min_by_key(|guest| began(guest.name));
        if let Some(guest) = next {
            let counted = guest.kvm && source.begin_dirty(guest.name).is_ok();
            let order = Order {
                uuid: guest.uuid,
                kvm: guest.kvm,
            };
            if self.orders.send(order).is_ok() {
                // Guests that are long gone.
                self.last.retain(|_, then| at - *then < 10 * EVERY);
                self.last.insert(guest.name.clone(), at);
                self.open = Some(Open {
                    name: guest.name.clone(),
                    uuid: guest.uuid,
                    counted,
                });
            }
        }
        told
    }
}

/// Has QEMU measure, and waits for what it says.
fn measure(rates: &DirtyRates, order: &Order) -> Result<(DirtyMode, u64), Error> {
    let mode = rates.start(order.uuid, order.kvm, SECONDS)?;
    std::thread::sleep(Duration::from_secs(u64::from(SECONDS)));
    let mut waited = Duration::ZERO;
    loop {
        if let Some(rate) = rates.measured()?.get(&order.uuid) {
            return Ok((mode, *rate));
        }
        if waited >= PATIENCE {
            return Err(Error::Refused {
                host: "this host".to_owned(),
                cause: "QEMU told no dirty rate in time".to_owned(),
            });
        }
        std::thread::sleep(Duration::from_millis(50));
        waited += Duration::from_millis(50);
    }
}

/// The pages by the best that is known, and what that is. QEMU's own figure is whole MiB; where it is
/// more than that and twice the kernel's count, the count has missed pages and is not believed.
fn judge(mode: DirtyMode, mebibytes: u64, counted: Option<u64>) -> (Tier, u64) {
    let told = mebibytes.saturating_mul(256);
    match (mode, counted) {
        (DirtyMode::Bitmap, Some(pages)) if told <= pages.saturating_mul(2).saturating_add(256) => {
            (Tier::Ebpf, pages)
        }
        (DirtyMode::Bitmap, _) => (Tier::DirtyLog, told),
        (DirtyMode::Sampling, _) => (Tier::PageSampling, told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_is_taken_only_where_the_pages_were_logged() {
        assert_eq!(judge(DirtyMode::Bitmap, 3, Some(900)), (Tier::Ebpf, 900));
        assert_eq!(judge(DirtyMode::Bitmap, 3, None), (Tier::DirtyLog, 768));
        assert_eq!(judge(DirtyMode::Bitmap, 3, Some(256)), (Tier::Ebpf, 256));
        let missed = judge(DirtyMode::Bitmap, 3, Some(255));
        assert_eq!(missed, (Tier::DirtyLog, 768));
        assert_eq!(judge(DirtyMode::Bitmap, 1, Some(0)), (Tier::Ebpf, 0));
        let sampled = (Tier::PageSampling, 768);
        assert_eq!(judge(DirtyMode::Sampling, 3, Some(900)), sampled);
        assert_eq!(judge(DirtyMode::Sampling, 3, None), sampled);
    }
}
