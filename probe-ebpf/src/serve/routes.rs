//! The answers: what each path says.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use vmpack_domain::Statistic;
use vmpack_domain::units::Micros;

use super::Shared;
use super::feed::{overload_event, wall};
use super::http::Ending;
use super::wire::{API, Event, Greeting, LoadAnswer, Refusal, line};
use crate::history::{Asked, HistoryError, Reader};
use crate::interval::STEP;
use crate::metrics;

type Body = BoxBody<Bytes, std::convert::Infallible>;

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";
/// The most steps of a series that are told at once.
const STEPS: u64 = 2000;
/// How long a reading of the history may take.
const READING: Duration = Duration::from_secs(15);
/// How long one that may not begin yet waits. Together less than `fetch` does.
const WAITING: Duration = Duration::from_secs(2);
/// What a step of a guest's series takes, and a guest besides, in bytes: as it is read and as text.
const STEP_TAKES: u64 = 24;
const GUEST_TAKES: u64 = 4096;
/// What is handed over of an answer at once.
const PIECE: usize = 64 << 10;
/// How long a reader of the stream may take nothing.
const UNTAKEN: Duration = Duration::from_secs(10);

const INDEX: &str = "\
vmpack-probe
/metrics                        OpenMetrics
/healthz                        whether it measures and writes its history
/v1/load?since=&until=&step=&statistic=   the history, by guest
/v1/stream                      windows and overloads as they happen, a line of JSON each
";

/// Answers a request. `end` closes its connection.
pub(super) async fn answer(
    shared: Arc<Shared>,
    end: Arc<Ending>,
    request: Request<Incoming>,
) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, "expected GET");
        let allow = hyper::header::HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(ALLOW, allow);
        return answer;
    }
    match request.uri().path() {
        "/" => text(
            StatusCode::OK,
            "text/plain; charset=utf-8",
            INDEX.to_owned(),
        ),
        "/metrics" => {
            let live = shared.live(|live| live.clone());
            match metrics::render(live, shared.settings.metrics_guests) {
                Ok(answer) => held(&shared, end, metrics::MEDIA, answer, None),
                Err(_) => refusal(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the metrics cannot be told",
                ),
            }
        }
        "/healthz" => health(&shared),
        "/v1/load" => load(&shared, end, request.uri().query().unwrap_or_default()).await,
        "/v1/stream" if request.method() == Method::HEAD => {
            text(StatusCode::OK, LINES, String::new())
        }
        "/v1/stream" => stream(&shared, end),
        path => refusal(
            StatusCode::NOT_FOUND,
            &format!("read path `{path}`, see `/`"),
        ),
    }
}

fn health(shared: &Shared) -> Response<Body> {
    let health = shared.health();
    let status = if health.ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &health)
}

async fn load(shared: &Arc<Shared>, end: Arc<Ending>, query: &str) -> Response<Body> {
    let asked = match read_query(query, shared.greeting().now_us / 1_000_000) {
        Ok(asked) => asked,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error),
    };
    let unwell = |error: &HistoryError| {
        if error.is_damage() {
            // The writer sets it aside.
            shared.damaged.store(true, Ordering::Relaxed);
        }
        refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
    };
    let untold = || {
        refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the history cannot be told",
        )
    };
    // What it takes is known before it is read.
    let file = shared.settings.history.clone();
    let counting = tokio::task::spawn_blocking(move || Reader::open(&file)?.guests(asked.since));
    let guests = match counting.await {
        Ok(Ok(guests)) => guests,
        Ok(Err(error)) => return unwell(&error),
        Err(_) => return untold(),
    };
    let steps = (asked.until - asked.since).div_ceil(asked.step);
    let kib = guests.saturating_mul(steps * STEP_TAKES + GUEST_TAKES) / 1024;
    let most = shared.settings.unread_kib;
    let Some(kib) = u32::try_from(kib).ok().filter(|kib| *kib <= most) else {
        let error = format!(
            "read a span of {guests} guests in {steps} steps, which takes {} MiB, expected at most {} \
             MiB: ask for a longer step or a shorter span",
            kib >> 10,
            most >> 10
        );
        return refusal(StatusCode::BAD_REQUEST, &error);
    };
    let room = shared.unread.clone().acquire_many_owned(kib.max(1));
    let Ok(Ok(room)) = timeout(WAITING, room).await else {
        let error = "the answers to others wait for their readers";
        return refusal(StatusCode::SERVICE_UNAVAILABLE, error);
    };
    // Two at a time: each takes a core.
    let Ok(Ok(place)) = timeout(WAITING, shared.readings.clone().acquire_owned()).await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "too many read the history");
    };
    // Dropped, it ends the reading: by the timeout, or when the connection ends.
    let listener = Listener(Arc::new(AtomicBool::new(true)));
    let (file, listens) = (shared.settings.history.clone(), listener.0.clone());
    let greeting = shared.greeting();
    let read = tokio::task::spawn_blocking(move || {
        let _place = place;
        let history = Reader::open(&file)?.read(asked, || listens.load(Ordering::Relaxed))?;
        let answer = serde_json::to_string(&LoadAnswer { greeting, history });
        Ok::<_, HistoryError>((answer, room))
    });
    let ended = timeout(READING, read).await;
    drop(listener);
    match ended {
        Ok(Ok(Ok((Ok(answer), room)))) => held(shared, end, JSON, answer, Some(room)),
        Ok(Ok(Err(error))) => unwell(&error),
        Err(_) => refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "the span is too long to be read in time",
        ),
        Ok(Err(_) | Ok(Ok((Err(_), _)))) => untold(),
    }
}

/// Whether somebody still waits for an answer.
struct Listener(Arc<AtomicBool>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// `since` and `until` in Unix seconds or RFC 3339, `step` as a time such as `60s`, `statistic` as
/// in a policy. The default is the last hour.
fn read_query(query: &str, now: u64) -> Result<Asked, String> {
    let (mut since, mut until, mut step, mut statistic) = (None, None, None, Statistic::P95);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value).ok_or_else(|| format!("read `{value}` as `{key}`"))?;
        match key {
            "since" => since = Some(moment(&value)?),
            "until" => until = Some(moment(&value)?),
            "step" => step = Some(value.parse::<Micros>().map_err(|e| e.to_string())?),
            "statistic" => {
                statistic = Statistic::ALL
                    .into_iter()
                    .find(|s| s.name() == value)
                    .ok_or_else(|| {
                        format!(
                            "read statistic `{value}`, expected mean, p50, p90, p95, p99 or max"
                        )
                    })?;
            }
            _ => {
                return Err(format!(
                    "read `{key}`, expected since, until, step or statistic"
                ));
            }
        }
    }
    let until = until.unwrap_or(now);
    let since = since.unwrap_or_else(|| until.saturating_sub(3600));
    if since >= until {
        return Err(format!(
            "read a span from {since} to {until}, expected its start before its end"
        ));
    }
    let span = until - since;
    let step = match step {
        None => span.div_ceil(300).next_multiple_of(STEP),
        Some(step) if step.0 % 1_000_000 != 0 => {
            return Err(format!(
                "read a step of {step}, expected a multiple of {STEP} s"
            ));
        }
        Some(step) => step.0 / 1_000_000,
    };
    if step == 0 || !step.is_multiple_of(STEP) {
        return Err(format!(
            "read a step of {step} s, expected a multiple of {STEP} s"
        ));
    }
    if span.div_ceil(step) > STEPS {
        return Err(format!(
            "read a span of {} steps, expected at most {STEPS}",
            span.div_ceil(step)
        ));
    }
    Ok(Asked {
        since,
        until,
        step,
        statistic,
    })
}

fn moment(text: &str) -> Result<u64, String> {
    let seconds = text.parse::<u64>().ok().or_else(|| {
        let stamp: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(stamp.as_second()).ok()
    });
    // Further than any clock; sums of it stay in range.
    seconds.filter(|s| *s < 1 << 40).ok_or_else(|| {
        format!("read `{text}`, expected Unix seconds or a time such as `2026-01-05T00:00:00Z`")
    })
}

/// Undoes percent-encoding; `+` stays, as times have it.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            let (pair, tail) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(pair).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

fn stream(shared: &Arc<Shared>, end: Arc<Ending>) -> Response<Body> {
    let Ok(place) = shared.streams.clone().try_acquire_owned() else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "too many read the stream");
    };
    let (mut sender, body) = Channel::new(4);
    let mut events = shared.events.subscribe();
    let shared = shared.clone();
    tokio::spawn(async move {
        let overload = shared.live(|live| {
            live.server.streams += 1;
            live.overload
        });
        let mut hello = line(&Event::Hello(shared.greeting()));
        // One that began before is on: its reader is not to wait for the next.
        if let Some(overload) = overload {
            hello.extend(line(&overload_event(&overload, wall(overload.at))));
        }
        let hello = Bytes::from(hello);
        if let Some((why, lines)) = pass_on(&mut sender, &mut events, hello, &end).await {
            shared.live(|live| {
                live.server.streams_dropped += 1;
                live.server.stream_lines_lost += lines;
            });
            let word = Bytes::from(line(&Event::Dropped { why, lines }));
            if timeout(UNTAKEN, sender.send_data(word)).await.is_err() {
                end.now.notify_one();
            }
        }
        shared.live(|live| live.server.streams -= 1);
        drop(place);
    });
    let mut answer = Response::new(body.boxed());
    let media = hyper::header::HeaderValue::from_static(LINES);
    answer.headers_mut().insert(CONTENT_TYPE, media);
    answer
}

/// Passes events on until the reader is gone or, which is then said with the number of lines that
/// it did not get, too slow.
async fn pass_on(
    sender: &mut Sender<Bytes>,
    events: &mut Receiver<Bytes>,
    hello: Bytes,
    end: &Ending,
) -> Option<(String, u64)> {
    let mut next = hello;
    loop {
        match timeout(UNTAKEN, sender.send_data(next)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) if end.timed_out.load(Ordering::Relaxed) => {
                // Those that the kernel took and could not pass on are not known.
                return Some(("the connection timed out".to_owned(), left(events, 1)));
            }
            Ok(Err(_)) => return None,
            Err(_) => {
                let why = format!("nothing was read for {} s", UNTAKEN.as_secs());
                return Some((why, left(events, 1)));
            }
        }
        next = match events.recv().await {
            Ok(event) => event,
            Err(RecvError::Closed) => return None,
            Err(RecvError::Lagged(n)) => {
                let lines = left(events, n);
                return Some((
                    format!("read too slowly: {lines} lines were not read in time"),
                    lines,
                ));
            }
        };
    }
}

/// How many lines a reader does not get: those known to be lost, and all that wait for it.
fn left(events: &mut Receiver<Bytes>, mut lost: u64) -> u64 {
    loop {
        match events.try_recv() {
            Ok(_) => lost += 1,
            Err(TryRecvError::Lagged(n)) => lost += n,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return lost,
        }
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    text(
        status,
        JSON,
        serde_json::to_string(value).unwrap_or_default(),
    )
}

fn refusal(status: StatusCode, error: &str) -> Response<Body> {
    let refusal = Refusal {
        error: error.to_owned(),
    };
    json(status, &refusal)
}

/// An answer that may be large. It is held until its reader has taken it, which has a time, and its room
/// as long.
fn held(
    shared: &Shared,
    end: Arc<Ending>,
    media: &'static str,
    mut text: String,
    mut room: Option<OwnedSemaphorePermit>,
) -> Response<Body> {
    text.shrink_to_fit();
    if let Some(room) = &mut room {
        // It was of what reading took, too.
        drop(room.split(room.num_permits().saturating_sub(text.len() / 1024 + 1)));
    }
    let patience = shared.settings.taking;
    let late = tokio::spawn(async move {
        tokio::time::sleep(patience).await;
        end.now.notify_one();
    });
    let held = Held {
        late: late.abort_handle(),
        _room: room,
    };
    respond(StatusCode::OK, media, text, Some(held))
}

/// What goes with a large answer, until it is taken or its connection ends.
struct Held {
    /// Ends the connection where that takes too long.
    late: AbortHandle,
    _room: Option<OwnedSemaphorePermit>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.late.abort();
    }
}

fn text(status: StatusCode, media: &'static str, text: String) -> Response<Body> {
    respond(status, media, text, None)
}

fn respond(
    status: StatusCode,
    media: &'static str,
    text: String,
    held: Option<Held>,
) -> Response<Body> {
    let pieces = Pieces {
        rest: Bytes::from(text),
        _held: held,
    };
    let mut answer = Response::new(pieces.boxed());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(media));
    headers.insert(
        CACHE_CONTROL,
        hyper::header::HeaderValue::from_static("no-store"),
    );
    answer
}

/// A body that is handed over piece by piece, so that it lasts until its reader has nearly all of it.
struct Pieces {
    rest: Bytes,
    _held: Option<Held>,
}

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(piece);
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

impl Shared {
    /// Who speaks, and its clock now.
    pub(super) fn greeting(&self) -> Greeting {
        Greeting {
            api: API,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.settings.host.clone(),
            now_us: crate::tick::unix_us(),
        }
    }
}
