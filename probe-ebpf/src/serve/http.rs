//! The server: HTTP/1.1 with keep-alive, on a bounded number of connections, each with bounded
//! headers and timeouts; TLS where there are certificates.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt::TcpUserTimeout};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::routes::answer;

/// Until a request's headers must be there, from its connection's start or the last answer.
const HEADERS: Duration = Duration::from_secs(30);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Bytes of headers.
const BUFFER: usize = 16 << 10;
/// Until data that the other side does not take ends a connection, in milliseconds.
const UNTAKEN: u32 = 30_000;

/// Serves until the daemon is told to stop.
pub(super) async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
) {
    let room = Arc::new(Semaphore::new(shared.settings.connections));
    let acceptor = tls.map(TlsAcceptor::from);
    loop {
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
        let Ok(place) = room.clone().try_acquire_owned() else {
            shared.live(|live| live.server.connections_refused += 1);
            refuse(stream, acceptor.is_some());
            continue;
        };
        // Both only better what works without them.
        let _ = stream.set_nodelay(true);
        let _ = setsockopt(&stream, TcpUserTimeout, &UNTAKEN);
        let (shared, acceptor) = (shared.clone(), acceptor.clone());
        tokio::spawn(async move {
            shared.live(|live| live.server.connections += 1);
            match acceptor {
                None => connection(&shared, stream, peer).await,
                Some(acceptor) => match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => connection(&shared, stream, peer).await,
                    Ok(Err(error)) => tracing::info!("{peer}: no TLS: {error}"),
                    Err(_) => tracing::info!("{peer}: no TLS within {HANDSHAKE:?}"),
                },
            }
            shared.live(|live| live.server.connections -= 1);
            drop(place);
        });
    }
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

async fn connection<S>(shared: &Arc<Shared>, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Ends the connection from within, when its reader takes nothing any more.
    let end = Arc::new(Notify::new());
    let service = service_fn(|request| {
        let (shared, end) = (shared.clone(), end.clone());
        async move {
            shared.live(|live| live.server.requests += 1);
            Ok::<_, Infallible>(answer(shared, end, request).await)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(BUFFER)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = served => if let Err(error) = ended {
            tracing::debug!("{peer}: {error}");
        },
        () = end.notified() => tracing::info!("{peer}: takes nothing, closed"),
    }
}
