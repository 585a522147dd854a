//! The daemon: measures this host, keeps a history of it, and answers over HTTP.
//!
//! ```text
//! feed (a thread): measurement ─> tick ─┬─> live state ─────────> GET /metrics, /healthz
//!                                       ├─> a line of JSON ─────> GET /v1/stream
//!                                       └─> rows of ten seconds ─> store (a thread) ─> history
//!                                                                   GET /v1/load <─ a reader of it
//! ```
//! The server has one thread, and two more at most for readers of the history. Whatever stalls, the
//! measuring goes on: it never waits for a disk or a reader.

pub(crate) mod command;
pub(crate) mod feed;
mod health;
mod http;
mod notify;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod prometheus;
#[cfg(test)]
mod readers;
mod routes;
mod store;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use hyper::body::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, broadcast};

use crate::history::Bounds;
use crate::live::Live;
use crate::measure;
use crate::sample::now;
use crate::tls::Files;

use feed::Sink;

/// Lines of the stream that a reader may be behind: some seconds.
const BEHIND: usize = 64;
/// Intervals that wait to be written.
const UNWRITTEN: usize = 16;
/// A measuring thread that did nothing for that long, in nanoseconds, is stuck.
const STUCK: u64 = 10_000_000_000;
/// The same until it has begun: the kernel checks the programs, which takes a busy host its time.
const BEGINNING: u64 = 300_000_000_000;

/// How the daemon runs.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Files,
    pub(crate) history: PathBuf,
    pub(crate) bounds: Bounds,
    pub(crate) measuring: measure::Settings,
    /// This host's own name.
    pub(crate) host: String,
    /// Its cores, as a number of cores of speed 1.
    pub(crate) host_mcores: u64,
    /// Guests that have series of their own in the metrics.
    pub(crate) metrics_guests: usize,
    /// Open connections.
    pub(crate) connections: usize,
    /// Readers of the stream among them.
    pub(crate) streams: usize,
    /// Until data that the other side does not take ends a connection.
    pub(crate) untaken: Duration,
    /// Until the reader of a large answer must have taken it.
    pub(crate) taking: Duration,
    /// What is held of such answers in all, in KiB.
    pub(crate) unread_kib: u32,
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    live: Arc<Mutex<Live>>,
    events: broadcast::Sender<Bytes>,
    readings: Arc<Semaphore>,
    unread: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// A reader met damage in the history.
    damaged: AtomicBool,
    stop: AtomicBool,
    stopped: Notify,
    /// When the daemon began, and when the measuring thread last did something, by
    /// `CLOCK_MONOTONIC`; 0 until it has begun.
    began: u64,
    beat: AtomicU64,
}

impl Shared {
    fn new(settings: Settings) -> Self {
        Self {
            live: Arc::default(),
            events: broadcast::Sender::new(BEHIND),
            readings: Arc::new(Semaphore::new(2)),
            unread: Arc::new(Semaphore::new(settings.unread_kib as usize)),
            streams: Arc::new(Semaphore::new(settings.streams)),
            damaged: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            stopped: Notify::new(),
            began: now(),
            beat: AtomicU64::new(0),
            settings,
        }
    }

    fn live<R>(&self, with: impl FnOnce(&mut Live) -> R) -> R {
        // What a thread that died left is figures, each whole in itself.
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        with(&mut live)
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn beat(&self) {
        self.beat.store(now(), Ordering::Relaxed);
    }

    /// Whether the measuring thread does nothing any more.
    fn is_stuck(&self) -> bool {
        is_stuck(self.began, self.beat.load(Ordering::Relaxed), now())
    }
}

/// Whether a thread that was started at `began` and did something last at `beat`, if it ever did, is
/// stuck at a moment.
fn is_stuck(began: u64, beat: u64, at: u64) -> bool {
    match beat {
        0 => at.saturating_sub(began) > BEGINNING,
        beat => at.saturating_sub(beat) > STUCK,
    }
}

/// Runs the daemon until `until` is over. `feed` measures, on a thread of its own, and ends when
/// the daemon stops; `listening` hears the address once the server is up.
///
/// # Errors
/// When the history, the certificates or the address cannot be used.
async fn run(
    settings: Settings,
    feed: impl FnOnce(Arc<Shared>, Sink) + Send + 'static,
    until: impl Future<Output = ()>,
    listening: impl FnOnce(SocketAddr),
) -> anyhow::Result<()> {
    let mut settings = settings;
    if let Ok(followed) = std::fs::canonicalize(&settings.history) {
        // What belongs to it stands beside the file that a link names.
        settings.history = followed;
    }
    let tls = settings.tls.server()?;
    let history =
        store::open(&settings.history, settings.bounds).context("cannot use the history")?;
    let listener = TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr()?;
    let shared = Arc::new(Shared::new(settings));
    shared.live(|live| {
        live.history.extent = history.extent();
        live.server.certificate_expires = shared.settings.tls.expires();
    });

    let (send, entries) = sync_channel(UNWRITTEN);
    let (for_store, for_feed) = (shared.clone(), shared.clone());
    let store = std::thread::Builder::new()
        .name("history".to_owned())
        .spawn(move || store::keep(&for_store, history, &entries))?;
    let sink = Sink::new(shared.clone(), send);
    let feed = std::thread::Builder::new()
        .name("measure".to_owned())
        .spawn(move || feed(for_feed, sink))?;

    let systemd = notify::Notify::new(std::env::var_os("NOTIFY_SOCKET"))?;
    listening(address);
    systemd.tell("READY=1");
    let often = notify::watchdog(std::env::var("WATCHDOG_USEC").ok().as_deref());
    tokio::select! {
        () = http::serve(shared.clone(), listener, tls) => {}
        () = watch(&shared, &systemd, often) => {}
        () = until => {}
    }
    systemd.tell("STOPPING=1");
    shared.stop.store(true, Ordering::Relaxed);
    shared.stopped.notify_waiters();
    // The feed hands over what it has, and the store then ends as nobody writes any more.
    tokio::task::spawn_blocking(move || {
        let _ = feed.join();
        let _ = store.join();
    })
    .await?;
    Ok(())
}

/// Feeds systemd's watchdog for as long as the measuring thread begins or is alive.
async fn watch(shared: &Shared, systemd: &notify::Notify, often: Option<Duration>) {
    let mut stuck = false;
    loop {
        tokio::time::sleep(often.unwrap_or(Duration::from_secs(5))).await;
        let is = shared.is_stuck();
        if is && !stuck {
            tracing::warn!("the measuring is stuck");
        }
        stuck = is;
        if often.is_some() && !stuck {
            systemd.tell("WATCHDOG=1");
        }
    }
}
