//! The server: HTTP/1.1 with keep-alive, on a bounded number of connections, each with bounded
//! headers and timeouts; TLS where there are certificates.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::routes::answer;

/// Until a request's headers must be there, from its connection's start or the last answer.
const HEADERS: Duration = Duration::from_secs(30);
/// Until a TLS handshake must be over.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Bytes of headers.
const BUFFER: usize = 16 << 10;

/// Serves until the daemon is told to stop.
pub(super) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
) {
    let room = Arc::new(Semaphore::new(shared.settings.connections));
    let idle = Idle::default();
    let acceptor = tls.map(TlsAcceptor::from);
    for number in 0u64.. {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.stopped.notified() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: others will be freed.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = place(&room, &idle).await else {
            shared.live(|live| live.server.connections_refused += 1);
            refuse(stream, acceptor.is_some());
            continue;
        };
        // Both only better what works without them.
        let _ = stream.set_nodelay(true);
        let untaken = u32::try_from(shared.settings.untaken.as_millis()).unwrap_or(u32::MAX);
        let _ = setsockopt(&stream, TcpUserTimeout, &untaken);
        let acceptor = acceptor.clone();
        let open = Open::new(shared.clone(), place, idle.clone(), number);
        let task = tokio::spawn(async move {
            match acceptor {
                None => connection(&open, stream, peer).await,
                Some(acceptor) => match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => connection(&open, stream, peer).await,
                    Ok(Err(error)) => tracing::info!("{peer}: no TLS: {error}"),
                    Err(_) => tracing::info!("{peer}: no TLS within {HANDSHAKE:?}"),
                },
            }
        });
        // It runs when this task waits, so not before it is known here.
        idle.with(|idle| idle.insert(number, task.abort_handle()));
    }
}

/// The connections on which no request is being answered, by the order in which they came. Where there
/// is no room the oldest of them goes, so that whoever only stays connected keeps nobody out.
#[derive(Debug, Clone, Default)]
struct Idle(Arc<Mutex<BTreeMap<u64, AbortHandle>>>);

impl Idle {
    fn with<R>(&self, with: impl FnOnce(&mut BTreeMap<u64, AbortHandle>) -> R) -> R {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A place for a connection, if need be that of the oldest idle one.
async fn place(room: &Arc<Semaphore>, idle: &Idle) -> Option<OwnedSemaphorePermit> {
    if let Ok(place) = room.clone().try_acquire_owned() {
        return Some(place);
    }
    let (_, oldest) = idle.with(BTreeMap::pop_first)?;
    oldest.abort();
    // It goes as soon as it is its turn.
    timeout(Duration::from_secs(1), room.clone().acquire_owned())
        .await
        .ok()?
        .ok()
}

/// An open connection, from when it was accepted until it is over, whatever ends it.
struct Open {
    shared: Arc<Shared>,
    idle: Idle,
    number: u64,
    _place: OwnedSemaphorePermit,
}

impl Open {
    fn new(shared: Arc<Shared>, place: OwnedSemaphorePermit, idle: Idle, number: u64) -> Arc<Self> {
        shared.live(|live| live.server.connections += 1);
        Arc::new(Self {
            shared,
            idle,
            number,
            _place: place,
        })
    }

    /// It asks for something. Gives what ends it, which [`Open::rests`] takes again.
    fn asks(&self) -> Option<AbortHandle> {
        self.idle.with(|idle| idle.remove(&self.number))
    }

    /// It has its answer, and may ask for more.
    fn rests(&self, end: AbortHandle) {
        self.idle.with(|idle| idle.insert(self.number, end));
    }
}

/// An answer that is being sent: when that is over and this is dropped, its connection rests.
struct Sending<B> {
    body: B,
    open: Arc<Open>,
    ends: Option<AbortHandle>,
}

impl<B> Drop for Sending<B> {
    fn drop(&mut self) {
        if let Some(ends) = self.ends.take() {
            self.open.rests(ends);
        }
    }
}

impl<B: Body + Unpin> Body for Sending<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.asks();
        self.shared.live(|live| live.server.connections -= 1);
    }
}

/// What a connection and the stream on it, if there is one, tell each other.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// Ends the connection from within, when its reader takes nothing any more, or too little.
    pub(super) now: Notify,
    /// The other side took nothing for so long that TCP gave up. A stream's task learns afterwards
    /// that it cannot send: it runs when this connection's waits.
    pub(super) timed_out: AtomicBool,
}

/// Whether TCP gave up.
fn is_timeout(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(one) = cause {
        let one_of_io = one.downcast_ref::<std::io::Error>();
        if one_of_io.is_some_and(|e| e.kind() == std::io::ErrorKind::TimedOut) {
            return true;
        }
        cause = one.source();
    }
    false
}

/// Says that there is no room, where that can be said at once.
fn refuse(mut stream: TcpStream, tls: bool) {
    if tls {
        return;
    }
    tokio::spawn(async move {
        let word =
            b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        // Whoever does not take it goes without.
        let _ = timeout(Duration::from_secs(1), stream.write_all(word)).await;
    });
}

async fn connection<S>(open: &Arc<Open>, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let end = Arc::new(Ending::default());
    let service = service_fn(|request| {
        let (open, end) = (open.clone(), end.clone());
        async move {
            let ends = open.asks();
            let shared = open.shared.clone();
            shared.live(|live| live.server.requests += 1);
            let answered = answer(shared, end, request).await;
            Ok::<_, Infallible>(answered.map(|body| Sending { body, open, ends }))
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        // Who sends no more may still read.
        .half_close(true)
        .max_buf_size(BUFFER)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = served => if let Err(error) = ended {
            tracing::debug!("{peer}: {error}");
            end.timed_out.store(is_timeout(&error), Ordering::Relaxed);
        },
        () = end.now.notified() => tracing::info!("{peer}: takes too little, closed"),
    }
}
