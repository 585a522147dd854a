//! The holder's socket, `JOURNAL.socket` beside the journal, for its owner alone (mode 0600). Each
//! connection makes one request, a line of JSON, and is answered by lines of JSON:
//!
//! | request | answers |
//! |---|---|
//! | `{"ask":"order","plan":{…},"file":"…","priority":"consolidation","world":{…}}` | `{"answer":"accepted","run":7}`, then each journal entry of that run as `{"answer":"entry",…}` until its end; or `{"answer":"refused","exit":6,"error":"…","hint":"…","changes":[…]}` |
//! | `{"ask":"status"}` | `{"answer":"status","runs":[{"run":7,"priority":"relief","moves":3,"ended":1,"underway":1}],"held":null}` |
//! | `{"ask":"abort","run":7,"by":"…"}` | `{"answer":"aborting","runs":[7]}`; without `run`, all |
//! | `{"ask":"pause","by":"…"}`, `{"ask":"unpause"}` | `{"answer":"done"}` |
//! | `{"ask":"follow"}` | each journal entry of every run from now on, until the holder ends |
//!
//! `priority` is `relief` or `consolidation`; `file`, `priority`, `world`, `run` and `by` may be left out.
//! A plan is as in its file, but in JSON. When the holder ends with a run that is not at its end, the last
//! line is `{"answer":"left","run":7}`. A request that cannot be read is refused with exit 2.
//!
//! A client that goes away changes nothing: what was accepted is carried out.

use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use vmpack_domain::exit::Exit;
use vmpack_domain::journal::{Event, Priority, RunId};
use vmpack_domain::plan::Plan;
use vmpack_probe_client::client::plain;

use crate::holder::{Handle, Order, Refusal, Standing};
use crate::journal::Entry;
use crate::world::{World, write_atomically};

/// The longest request that is read.
const LONGEST: u64 = 256 << 20;

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// To carry a plan out.
    Order {
        /// What.
        plan: Box<Plan>,
        /// The file that it was read from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Before which others it goes.
        #[serde(default)]
        priority: Priority,
        /// The hosts that the client has in mind, to be compared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        world: Option<Box<World>>,
        /// Whether it takes back what another run did.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        reverses: bool,
    },
    /// Where the runs stand.
    Status,
    /// To end a run, or all.
    Abort {
        /// Which.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run: Option<RunId>,
        /// Who asks.
        #[serde(default)]
        by: String,
    },
    /// To start nothing more for now.
    Pause {
        /// Who asks, and why.
        #[serde(default)]
        by: String,
    },
    /// To start again, also runs that were stopped because too much went wrong.
    Unpause,
    /// To tell every event from now on.
    Follow,
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// The plan is in the journal.
    Accepted {
        /// As that run.
        run: RunId,
    },
    /// It is not.
    Refused(Refusal),
    /// An event was journalled.
    Entry(Entry),
    /// The holder has ended before the run.
    Left {
        /// Which.
        run: RunId,
    },
    /// Where the runs stand.
    Status {
        /// Those that are not at their end.
        runs: Vec<Standing>,
        /// What stands in the inhibit file, while there is one.
        held: Option<String>,
    },
    /// Those runs are being ended.
    Aborting {
        /// Which.
        runs: Vec<RunId>,
    },
    /// It is done.
    Done,
}

/// Holds all new starts until [`release`]: writes the inhibit file.
///
/// # Errors
/// The system's.
pub fn inhibit(file: &Path, by: &str) -> std::io::Result<()> {
    write_atomically(file, &format!("{by}\n"))
}

/// What stands in the inhibit file, in one line, while it is there. Whatever is there holds all new starts, also
/// what cannot be read: somebody meant it.
#[must_use]
pub fn inhibited(file: &Path) -> Option<String> {
    let text = match std::fs::symlink_metadata(file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        Ok(it) if it.is_file() => std::fs::read(file),
        Ok(_) => Err(std::io::Error::other("it is no file")),
        Err(e) => Err(e),
    };
    Some(match text {
        Ok(text) => plain(String::from_utf8_lossy(&text).trim()),
        Err(e) => format!("{} cannot be read: {e}", file.display()),
    })
}

/// Ends [`inhibit`]; whether there was anything to end.
///
/// # Errors
/// The system's.
pub fn release(file: &Path) -> std::io::Result<bool> {
    match std::fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// The socket of a holder; closed when it is dropped.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    closed: Arc<AtomicBool>,
}

impl Server {
    /// Opens the socket; one that a dead holder left there is replaced. Only the holder may do so.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, inhibit: &Path, handle: Handle) -> std::io::Result<Self> {
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        // It is made where nobody else can look and moved to its place with its mode set. A socket's
        // address holds 108 bytes, so folders are named by their descriptors.
        let folder = tempfile::Builder::new()
            .prefix(".vmpack-")
            .tempdir_in(parent.unwrap_or_else(|| Path::new(".")))?;
        let made = folder.path().join("s");
        let listener = UnixListener::bind(short(&made)?.1)?;
        std::fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        std::fs::rename(&made, path)?;
        let closed = Arc::new(AtomicBool::new(false));
        let (ends, inhibit) = (closed.clone(), inhibit.to_owned());
        std::thread::Builder::new()
            .name("socket".to_owned())
            .spawn(move || {
                for client in listener.incoming() {
                    if ends.load(Ordering::Relaxed) {
                        return;
                    }
                    let (handle, inhibit) = (handle.clone(), inhibit.clone());
                    let served = client.and_then(|client| {
                        std::thread::Builder::new()
                            .name("client".to_owned())
                            .spawn(move || {
                                if let Err(e) = serve(client, &handle, &inhibit) {
                                    tracing::debug!("a client went away: {e}");
                                }
                            })
                    });
                    if let Err(e) = served {
                        tracing::warn!("a client was not served: {e}");
                        std::thread::sleep(std::time::Duration::from_millis(100));
                    }
                }
            })?;
        Ok(Self {
            path: path.to_owned(),
            closed,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Wakes the thread that listens; without it, it ends with the process.
        let _ = connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The path by way of its folder's descriptor, which must be kept open while it is used.
fn short(path: &Path) -> std::io::Result<(File, PathBuf)> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = File::open(parent.unwrap_or_else(|| Path::new(".")))?;
    let name = path.file_name().unwrap_or_default();
    let named = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    Ok((folder, named))
}

/// A connection to the holder, if there is one.
///
/// # Errors
/// The system's: nobody listens there.
pub fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let (_folder, named) = short(path)?;
    UnixStream::connect(named)
}

/// Makes a request and hears each answer until `hear` has heard enough (it returns `false`) or there are
/// no more.
///
/// # Errors
/// The system's, or an answer that cannot be read.
pub fn ask(
    stream: &mut UnixStream,
    request: &Request,
    mut hear: impl FnMut(Answer) -> bool,
) -> std::io::Result<()> {
    let line = serde_json::to_string(request)?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    for line in BufReader::new(stream).lines() {
        if !hear(serde_json::from_str(&line?)?) {
            break;
        }
    }
    Ok(())
}

/// Answers one client to its end.
fn serve(client: UnixStream, handle: &Handle, file: &Path) -> std::io::Result<()> {
    let mut line = String::new();
    BufReader::new((&client).take(LONGEST)).read_line(&mut line)?;
    let mut client = client;
    let mut tell = |answer: &Answer| {
        let line = serde_json::to_string(answer)?;
        client.write_all(format!("{line}\n").as_bytes())
    };
    let gone = || Answer::Refused(Refusal::new(Exit::Environment, "the executor has ended"));
    let request: Request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(e) => {
            let refusal = Refusal::new(Exit::Usage, format!("read a request that is none: {e}"));
            return tell(&Answer::Refused(refusal));
        }
    };
    match request {
        Request::Order {
            plan,
            file,
            priority,
            world,
            reverses,
        } => {
            // Followed first, so that nothing of the run is missed.
            let entries = handle.follow();
            let order = handle.order(Order {
                plan: *plan,
                file,
                priority,
                world: world.map(|w| *w),
                reverses,
            });
            match order.blocking_recv() {
                Ok(Ok(run)) => {
                    tell(&Answer::Accepted { run })?;
                    stream(entries, Some(run), &mut tell)
                }
                Ok(Err(refusal)) => tell(&Answer::Refused(refusal)),
                Err(_) => tell(&gone()),
            }
        }
        Request::Status => match handle.status().blocking_recv() {
            Ok(runs) => {
                let held = inhibited(file);
                tell(&Answer::Status { runs, held })
            }
            Err(_) => tell(&gone()),
        },
        Request::Abort { run, by } => match handle.abort(run, by).blocking_recv() {
            Ok(runs) => tell(&Answer::Aborting { runs }),
            Err(_) => tell(&gone()),
        },
        Request::Pause { by } => inhibit(file, &by).and_then(|()| tell(&Answer::Done)),
        Request::Unpause => {
            handle.go_on("a request through the socket".to_owned());
            release(file).and_then(|_| tell(&Answer::Done))
        }
        Request::Follow => stream(handle.follow(), None, &mut tell),
    }
}

/// Tells the entries of that run to its end, or of all.
fn stream(
    mut entries: tokio::sync::mpsc::UnboundedReceiver<Entry>,
    run: Option<RunId>,
    tell: &mut dyn FnMut(&Answer) -> std::io::Result<()>,
) -> std::io::Result<()> {
    while let Some(entry) = entries.blocking_recv() {
        if run.is_some_and(|run| run != entry.run) {
            continue;
        }
        let last = run.is_some() && matches!(entry.event, Event::Finished { .. });
        tell(&Answer::Entry(entry))?;
        if last {
            return Ok(());
        }
    }
    match run {
        Some(run) => tell(&Answer::Left { run }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use vmpack_domain::load::jiff_serde::Timestamp;

    use super::*;

    #[test]
    fn whatever_stands_in_the_way_holds_all_new_starts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("inhibit");
        assert_eq!(inhibited(&file), None);
        for (text, said) in [
            (&b""[..], ""),
            (b"a person\n", "a person"),
            (b"St\xf6rung\x1b[2J\n", "St\u{fffd}rung\u{fffd}[2J"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(inhibited(&file).as_deref(), Some(said));
        }
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("nowhere", &file).unwrap();
        let said = inhibited(&file).unwrap();
        assert!(said.ends_with("it is no file"), "{said}");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(inhibited(&file).is_some());
        assert_eq!(inhibited(&folder.path().join("none")), None);
    }

    #[test]
    fn a_request_is_read_as_it_was_written_and_what_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        // Longer than a socket's address may be.
        let deep = folder.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let (path, inhibit) = (deep.join("journal.db.socket"), deep.join("inhibit"));
        std::fs::write(&path, "left over").unwrap();
        let (handle, mut asks) = crate::holder::channel();
        let server = Server::open(&path, &inhibit, handle).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let holder = std::thread::spawn(move || {
            while let Some(ask) = asks.blocking_recv() {
                match ask {
                    crate::holder::Ask::Status(told) => told.send(Vec::new()).unwrap(),
                    crate::holder::Ask::Abort { run, by, told } => {
                        assert_eq!((run, by.as_str()), (Some(RunId(7)), "us"));
                        told.send(vec![RunId(7)]).unwrap();
                        return;
                    }
                    crate::holder::Ask::Continue { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        });
        let asked = |request: &Request| {
            let mut answers = Vec::new();
            let mut stream = connect(&path).unwrap();
            ask(&mut stream, request, |answer| {
                answers.push(answer);
                true
            })
            .unwrap();
            answers
        };
        let by = "us".to_owned();
        assert_eq!(asked(&Request::Pause { by: by.clone() }), [Answer::Done]);
        let held = Some(by.clone());
        let runs = Vec::new();
        assert_eq!(asked(&Request::Status), [Answer::Status { runs, held }]);
        assert_eq!(asked(&Request::Unpause), [Answer::Done]);
        assert!(!inhibit.exists());
        let run = Some(RunId(7));
        let aborting = Answer::Aborting {
            runs: vec![RunId(7)],
        };
        assert_eq!(asked(&Request::Abort { run, by }), [aborting]);
        holder.join().unwrap();

        let entry = Answer::Entry(Entry {
            seq: 8,
            run: RunId(7),
            time: "2026-01-05T00:00:00Z".parse().map(Timestamp).unwrap(),
            event: Event::Finished { complete: true },
        });
        let text = serde_json::to_string(&entry).unwrap();
        assert!(
            text.starts_with(r#"{"answer":"entry","seq":8,"run":7,"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), entry);

        let mut stream = connect(&path).unwrap();
        stream.write_all(b"{\"ask\":\"dance\"}\n").unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        assert!(
            told.contains("\"refused\"") && told.contains("dance"),
            "{told}"
        );
        drop(server);
        assert!(!path.exists());
    }
}
