//! A client of probes: one connection for each request, by HTTP/1.1, with TLS where the URL says so.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::tls;
use crate::wire::{Event, PORT, Refusal};

/// The most that a history may have, in bytes.
const HISTORY: usize = 64 << 20;
/// The most that any other answer may have: read as JSON it takes many times that.
const ANSWER: usize = 4 << 20;
/// The most that a line of a stream may have.
const LINE: usize = 16 << 20;

/// Why a probe gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The text is no address.
    #[error("read `{0}` as a probe's address, expected a URL such as `https://10.0.0.1:{PORT}`")]
    Address(String),
    /// It takes TLS, and there is no certificate.
    #[error("{0} needs --tls-cert, --tls-key and --tls-ca")]
    NoCertificate(String),
    /// Nothing came in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// There is no connection.
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    /// The handshake failed.
    #[error("no TLS: {}", tls::refusal(.0).unwrap_or_else(|| .0.to_string()))]
    Tls(std::io::Error),
    /// It broke off.
    #[error("the connection broke: {0}")]
    Broke(String),
    /// It refused, with that status and these words.
    #[error("answered {0}: {1}")]
    Refused(StatusCode, String),
    /// It speaks otherwise.
    #[error("read an answer that is none of a probe's: {0}")]
    Answer(String),
}

/// Where a probe is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    tls: bool,
}

impl std::str::FromStr for Address {
    type Err = ClientError;
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let wrong = || ClientError::Address(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong());
        }
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority.host();
        // What stands beside the host is a port and nothing else: no user, whom a probe does not know.
        let alone = authority.as_str() == host;
        if !alone && authority.port_u16().is_none() || authority.as_str().contains('@') {
            return Err(wrong());
        }
        // An IPv6 address stands in brackets.
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        Ok(Self {
            host,
            port: uri.port_u16().unwrap_or(PORT),
            tls,
        })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match &self.host {
            host if host.contains(':') => write!(f, "{scheme}://[{host}]:{}", self.port),
            host => write!(f, "{scheme}://{host}:{}", self.port),
        }
    }
}

/// A client with its certificate, if it has one.
#[derive(Debug, Clone)]
pub struct Client {
    /// Its certificate, and whom it believes.
    pub tls: Option<Arc<ClientConfig>>,
    /// For each request, from the connection to the answer's last byte.
    pub patience: Duration,
}

impl Client {
    /// The answer to `GET path`, as JSON of that type. A status in `accepted` is as good as 200.
    ///
    /// # Errors
    /// When there is none in time, or it is another.
    pub async fn get<T: serde::de::DeserializeOwned>(
        &self,
        at: &Address,
        path: &str,
        accepted: &[StatusCode],
    ) -> Result<T, ClientError> {
        let asked = async {
            let answer = self.request(at, path).await?;
            let status = answer.status();
            let most = if path.starts_with("/v1/load") {
                HISTORY
            } else {
                ANSWER
            };
            let body = Limited::new(answer.into_body(), most).collect().await;
            let body = body.map_err(|e| match e.is::<LengthLimitError>() {
                true => ClientError::Answer(format!("more than {} MiB", most >> 20)),
                false => ClientError::Broke(e.to_string()),
            });
            let body = body?.to_bytes();
            if status == StatusCode::OK || accepted.contains(&status) {
                return serde_json::from_slice(&body)
                    .map_err(|e| ClientError::Answer(e.to_string()));
            }
            Err(refused(status, &body))
        };
        timeout(self.patience, asked)
            .await
            .unwrap_or(Err(ClientError::Silent(self.patience)))
    }

    /// The events of a probe's stream.
    ///
    /// # Errors
    /// When it does not begin in time.
    pub async fn stream(&self, at: &Address) -> Result<Events, ClientError> {
        let answer = timeout(self.patience, self.request(at, "/v1/stream"))
            .await
            .unwrap_or(Err(ClientError::Silent(self.patience)))?;
        if answer.status() == StatusCode::OK {
            return Ok(Events {
                body: answer.into_body(),
                read: Vec::new(),
                searched: 0,
            });
        }
        Err(refused(answer.status(), b""))
    }

    async fn request(&self, at: &Address, path: &str) -> Result<Response<Incoming>, ClientError> {
        let connected = TcpStream::connect((at.host.as_str(), at.port)).await;
        let stream = connected.map_err(ClientError::Connect)?;
        if !at.tls {
            return send(stream, at, path).await;
        }
        let config = self.tls.clone();
        let config = config.ok_or_else(|| ClientError::NoCertificate(at.to_string()))?;
        let name = ServerName::try_from(at.host.clone())
            .map_err(|_| ClientError::Address(at.to_string()))?;
        let stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(ClientError::Tls)?;
        send(stream, at, path).await
    }
}

async fn send<S>(stream: S, at: &Address, path: &str) -> Result<Response<Incoming>, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broke = |e: hyper::Error| {
        if e.is_parse() {
            return ClientError::Answer("it is no HTTP; is it https:// there?".to_owned());
        }
        // What the peer said, such as that it wants a certificate, is further down.
        let cause = std::error::Error::source(&e);
        let refusal = cause.and_then(|c| tls::refusal(c.downcast_ref()?));
        let cause = refusal.or_else(|| cause.map(ToString::to_string));
        ClientError::Broke(cause.unwrap_or_else(|| e.to_string()))
    };
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broke)?;
    // Ends when the answer has been read or dropped.
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(HOST, format!("{}:{}", at.host, at.port))
        .body(Empty::<Bytes>::new())
        .map_err(|e| ClientError::Broke(e.to_string()))?;
    sender.send_request(request).await.map_err(broke)
}

fn refused(status: StatusCode, body: &[u8]) -> ClientError {
    let said = serde_json::from_slice::<Refusal>(body).map(|refusal| refusal.error);
    ClientError::Refused(status, said.unwrap_or_default())
}

/// What another machine says, as it may be printed: its control characters could write anything
/// on a terminal.
#[must_use]
pub fn plain(said: &str) -> String {
    said.replace(char::is_control, "\u{fffd}")
}

/// Events as they come.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    read: Vec<u8>,
    /// As far as that holds no end of a line.
    searched: usize,
}

impl Events {
    /// The next; `None` when there will be none.
    ///
    /// # Errors
    /// When the connection breaks or says something else.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            let fresh = self.read.get(self.searched..).unwrap_or_default();
            if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=self.searched + end).collect();
                self.searched = 0;
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(|e| ClientError::Answer(e.to_string()));
            }
            self.searched = self.read.len();
            if self.read.len() > LINE {
                return Err(ClientError::Answer("a line without an end".to_owned()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.read.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(ClientError::Broke(error.to_string())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_url_without_a_path() {
        let show = |text: &str| text.parse::<Address>().map(|a| a.to_string()).ok();
        for (text, shown) in [
            ("https://10.0.0.1", "https://10.0.0.1:9742"),
            ("http://h1.example:80/", "http://h1.example:80"),
            ("https://[fd00::1]:9", "https://[fd00::1]:9"),
        ] {
            assert_eq!(show(text).as_deref(), Some(shown));
            assert_eq!(show(shown).as_deref(), Some(shown));
        }
        for text in [
            "",
            "10.0.0.1",
            "ftp://h1",
            "http://h1/metrics",
            "http://h1?x",
            "http://h1:99999",
            "http://h1:",
            "http://h1:x",
            "http://me@h1",
            "http://me:secret@h1:9742",
            "https://",
        ] {
            assert_eq!(show(text), None, "{text}");
        }
    }
}
