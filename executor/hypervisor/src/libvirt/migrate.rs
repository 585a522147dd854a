//! One live migration.
//!
//! ```text
//! this thread                     libvirt's event thread        a thread of its own
//! ───────────                     ──────────────────────        ───────────────────
//! listen at both ends
//! start ─────────────────────────────────────────────────────> migrate_to_uri3 (blocks)
//! pass 1 (hybrid: pass 2)  <───── Pass at the source
//! start_post_copy
//! told(Switched)           <───── Resumed at the target
//! told(Progress) twice a second
//! give_up is over: abort_job
//! judge both ends, or report  <── JobCompleted at the source <─ done
//! ```
//!
//! Guests that are persistent become so at the target and are undefined at the source by libvirt
//! itself (`PERSIST_DEST`, `UNDEFINE_SOURCE`), so that there are never two definitions to start
//! from; the figures of the finished job come by its event, not from the source's definition.

use std::net::Ipv6Addr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use virt::domain::{Domain, MigrateParameters};
use virt_sys as sys;
use vmpack_domain::Mode;
use vmpack_domain::units::{MiB, Micros};

use super::connection::Connection;
use super::door::{Figure, Kind, Notice, abort_job, start_post_copy, watch};
use super::state::{Sight, Verdict, judge, state_of};
use super::{Door, since};
use crate::{GuestState, MigrationEvent, MigrationFailure, MigrationReport, MigrationRequest};

/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How soon a switch is asked for again that libvirt was not ready for.
const RETRY: Duration = Duration::from_millis(5);
/// How long the ends are given to settle after a failure, and the job's figures to come.
const SETTLE: Duration = Duration::from_secs(2);

enum Heard {
    FromSource(Notice),
    FromTarget(Notice, Instant),
    Done(Result<(), virt::error::Error>, Instant),
}

/// What is known of the migration so far, and what is to be done next. Holds no connection.
#[derive(Debug)]
struct Course {
    mode: Mode,
    give_up: Micros,
    pass: i32,
    switch_asked: bool,
    abort_asked: bool,
    switched: Option<Micros>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Switch,
    Abort,
}

impl Course {
    fn next(&self, elapsed: Micros) -> Option<Step> {
        if self.switched.is_some() {
            return None;
        }
        if elapsed >= self.give_up {
            return (!self.abort_asked).then_some(Step::Abort);
        }
        let ready = match self.mode {
            Mode::PreCopy => false,
            Mode::Hybrid => self.pass >= 2,
            Mode::PostCopy => self.pass >= 1,
        };
        (ready && !self.switch_asked).then_some(Step::Switch)
    }
}

/// Migrates and returns when the source is free or it failed.
pub(super) fn migrate(
    from: &Door,
    to: &Door,
    request: &MigrationRequest,
    told: &mut dyn FnMut(MigrationEvent),
) -> Result<MigrationReport, MigrationFailure> {
    let started = Instant::now();
    let unknown = |e: crate::Error| MigrationFailure::Unknown(e.to_string());
    let stays = |why: String| MigrationFailure::StaysAtSource(why);
    let source = from.control().map_err(unknown)?;
    let found = from.find(&source, &request.guest).map_err(unknown)?;
    let Some(domain) = found else {
        return Err(unknown(crate::Error::NotThere {
            guest: request.guest.clone(),
            host: request.from.clone(),
        }));
    };
    let asked = |e: virt::error::Error| unknown(super::refused(from.name.as_str(), &e));
    let state = state_of(&domain).map_err(asked)?;
    if state != GuestState::Running {
        return Err(match state {
            GuestState::Paused => stays("it is paused there".to_owned()),
            _ => MigrationFailure::Unknown(format!("it does not run at the source: {state:?}")),
        });
    }
    let uuid = domain.get_uuid().map_err(asked)?;
    let persistent = domain.is_persistent().map_err(asked)?;
    let target = to.control().map_err(|e| stays(e.to_string()))?;

    let (tell, heard) = channel();
    let listen = |connection, kind, tell: Sender<Heard>, wrap: fn(Notice) -> Heard| {
        watch(connection, uuid, kind, move |notice| {
            // Nobody listens any more once the migration is over.
            let _ = tell.send(wrap(notice));
        })
    };
    let at_target = |n| Heard::FromTarget(n, Instant::now());
    let watches = [
        listen(&**source, Kind::Pass, tell.clone(), Heard::FromSource),
        listen(
            &**source,
            Kind::JobCompleted,
            tell.clone(),
            Heard::FromSource,
        ),
        listen(&**target, Kind::Lifecycle, tell.clone(), at_target),
    ];
    let watches: Result<Vec<_>, _> = watches.into_iter().collect();
    let _watches = watches.map_err(|e| stays(format!("cannot listen: {}", e.message())))?;
    order(from, to, request, persistent, tell).map_err(|e| stays(e.to_string()))?;

    let mut course = Course {
        mode: request.mode,
        give_up: request.give_up,
        pass: 0,
        switch_asked: false,
        abort_asked: false,
        switched: None,
    };
    let (mut figures, mut looked) = (None, started);
    let (result, ended) = loop {
        let mut pause = LOOK;
        match course.next(since(started)) {
            Some(Step::Switch) => match start_post_copy(&domain) {
                Ok(()) => course.switch_asked = true,
                Err(e) => {
                    tracing::debug!(guest = %request.guest, "not ready to switch: {}", e.message());
                    pause = RETRY;
                }
            },
            Some(Step::Abort) => {
                course.abort_asked = true;
                if let Err(e) = abort_job(&domain) {
                    tracing::warn!(guest = %request.guest, "cannot give up: {}", e.message());
                }
            }
            None => {}
        }
        let left = course.give_up.saturating_sub(since(started)).to_std();
        if course.switched.is_none() && !course.abort_asked {
            pause = pause.min(left.max(RETRY));
        }
        match heard.recv_timeout(pause) {
            Ok(Heard::FromSource(Notice::Pass(pass))) => course.pass = pass,
            Ok(Heard::FromSource(Notice::JobCompleted(all))) => figures = Some(all),
            Ok(Heard::FromTarget(Notice::Resumed, at)) if course.switched.is_none() => {
                let after = elapsed(started, at);
                course.switched = Some(after);
                told(MigrationEvent::Switched { after });
            }
            Ok(Heard::FromSource(_) | Heard::FromTarget(..)) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Heard::Done(result, at)) => break (result, at),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(MigrationFailure::Unknown(
                    "the migration's thread died".to_owned(),
                ));
            }
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            progress(&domain, told);
        }
    };
    if let Err(error) = result {
        let (uri, _) = peer(to.name.as_str(), to.migrate_address.as_deref());
        let why = if course.abort_asked {
            format!(
                "not switched within {}: {}",
                request.give_up,
                error.message()
            )
        } else {
            told_why(request, &uri, error.message())
        };
        let verdict = verdict(from, to, request, course.switched.is_some(), &why);
        if let Verdict::Failed(failure) = verdict {
            return Err(failure);
        }
        tracing::warn!(guest = %request.guest, "arrived, although libvirt said: {why}");
    }
    // The event of the finished job and the answer to the call race each other.
    let deadline = Instant::now()
        + if figures.is_none() {
            SETTLE
        } else {
            Duration::ZERO
        };
    while figures.is_none() || course.switched.is_none() {
        let left = deadline.saturating_duration_since(Instant::now());
        match heard.recv_timeout(left) {
            Ok(Heard::FromSource(Notice::JobCompleted(all))) => figures = Some(all),
            Ok(Heard::FromTarget(Notice::Resumed, at)) if course.switched.is_none() => {
                course.switched = Some(elapsed(started, at));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    let figures = figures.unwrap_or_default();
    let figure = |name: &str| figures.get(name).and_then(Figure::count);
    let total = elapsed(started, ended);
    Ok(MigrationReport {
        switch: course.switched.unwrap_or(total),
        total,
        downtime: figure("downtime").map(Micros::millis),
        transferred: MiB(figure("memory_processed").unwrap_or(0).div_ceil(1 << 20)),
    })
}

fn elapsed(start: Instant, end: Instant) -> Micros {
    let span = end.saturating_duration_since(start);
    Micros(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
}

/// Starts the blocking call on a thread and a connection of its own; its end is told.
fn order(
    from: &Door,
    to: &Door,
    request: &MigrationRequest,
    persistent: bool,
    tell: Sender<Heard>,
) -> Result<(), crate::Error> {
    let connection = Connection::open(from.name.as_str(), &from.uri)?;
    let domain = from
        .find(&connection, &request.guest)?
        .ok_or(crate::Error::NotThere {
            guest: request.guest.clone(),
            host: request.from.clone(),
        })?;
    let (uri, stream) = peer(to.name.as_str(), to.migrate_address.as_deref());
    // A NUL would end the text that libvirt reads.
    if uri.contains('\0') {
        return Err(crate::Error::Refused {
            host: to.name.to_string(),
            cause: "its `migrate-address` has a NUL character in it".to_owned(),
        });
    }
    let parameters = MigrateParameters {
        bandwidth: request.stream.bandwidth.map(|b| b.0),
        bandwidth_postcopy: request.stream.bandwidth_postcopy.map(|b| b.0),
        uri: stream,
        ..MigrateParameters::default()
    };
    let mut flags = sys::VIR_MIGRATE_LIVE | sys::VIR_MIGRATE_PEER2PEER;
    if persistent {
        flags |= sys::VIR_MIGRATE_PERSIST_DEST | sys::VIR_MIGRATE_UNDEFINE_SOURCE;
    }
    if request.mode != Mode::PreCopy {
        flags |= sys::VIR_MIGRATE_POSTCOPY;
    }
    let thread = std::thread::Builder::new().name(format!("migrate {}", request.guest));
    let spawned = thread.spawn(move || {
        let result = domain.migrate_to_uri3(Some(&uri), parameters, flags);
        // Nobody waits any more if the caller's listener panicked.
        let _ = tell.send(Heard::Done(result, Instant::now()));
        drop((domain, connection));
    });
    spawned.map(|_| ()).map_err(|e| crate::Error::Refused {
        host: from.name.to_string(),
        cause: format!("cannot start a thread: {e}"),
    })
}

/// The libvirt URI by which the source's daemon reaches the target's, and where the memory goes
/// if that is said too. A whole URI stands for itself; an address is reached over TLS.
fn peer(name: &str, migrate_address: Option<&str>) -> (String, Option<String>) {
    match migrate_address {
        Some(uri) if uri.contains("://") => (uri.to_owned(), None),
        Some(address) => {
            // A link-local address may name its interface after a `%`.
            let number = address
                .split_once('%')
                .map_or(address, |(number, _)| number);
            let address = if number.parse::<Ipv6Addr>().is_ok() {
                format!("[{address}]")
            } else {
                address.to_owned()
            };
            // A port is the daemon's; QEMU listens at one that libvirt chooses.
            let host = match address.rsplit_once(':') {
                Some((host, port)) if port.parse::<u16>().is_ok() => host,
                _ => &address,
            };
            (
                format!("qemu+tls://{address}/system"),
                Some(format!("tcp://{host}")),
            )
        }
        None => (format!("qemu+tls://{name}/system"), None),
    }
}

/// What libvirt says of a failed migration. That the source's daemon could not reach the target's is
/// told with how it tried, for that is for the cluster file to mend.
fn told_why(request: &MigrationRequest, uri: &str, said: &str) -> String {
    if !said.contains("remote libvirt URI") {
        return said.to_owned();
    }
    let cause = said.split_once(&format!("{uri}: ")).map_or(said, |x| x.1);
    format!(
        "the libvirtd of {} cannot reach that of {} at {uri}: {cause} (the `migrate-address` of {} in the cluster file says how it does)",
        request.from, request.to, request.to
    )
}

fn progress(domain: &Domain, told: &mut dyn FnMut(MigrationEvent)) {
    // At the end of a job this fails or speaks of no job; neither is news.
    if let Ok(job) = domain.get_job_info() {
        let mib = |bytes: Option<u64>| MiB(bytes.unwrap_or(0) >> 20);
        if job.mem_total.is_some_and(|t| t > 0) {
            told(MigrationEvent::Progress {
                transferred: mib(job.mem_processed),
                remaining: mib(job.mem_remaining),
            });
        }
    }
}

/// Asks both ends, over fresh connections if need be, until they have settled.
fn verdict(
    from: &Door,
    to: &Door,
    request: &MigrationRequest,
    switched: bool,
    why: &str,
) -> Verdict {
    let sight = |door: &Door| match door.sight(&request.guest) {
        Ok(Some(s)) => Sight::Seen(s.state),
        Ok(None) => Sight::Absent,
        Err(_) => Sight::Silent,
    };
    let asked = Instant::now();
    loop {
        let verdict = judge(sight(from), sight(to), switched, why);
        let open = matches!(verdict, Verdict::Failed(MigrationFailure::Unknown(_)));
        if !open || asked.elapsed() >= SETTLE {
            return verdict;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(mode: Mode) -> Course {
        Course {
            mode,
            give_up: Micros::secs(10),
            pass: 0,
            switch_asked: false,
            abort_asked: false,
            switched: None,
        }
    }

    #[test]
    fn post_copy_switches_in_the_first_pass_and_hybrid_in_the_second() {
        for (mode, first) in [
            (Mode::PostCopy, Some(1)),
            (Mode::Hybrid, Some(2)),
            (Mode::PreCopy, None),
        ] {
            for pass in 0..4 {
                let now = Course {
                    pass,
                    ..course(mode)
                };
                let expected = first.is_some_and(|f| pass >= f).then_some(Step::Switch);
                assert_eq!(now.next(Micros::secs(1)), expected, "{mode} {pass}");
                let asked = Course {
                    switch_asked: true,
                    ..now
                };
                assert_eq!(asked.next(Micros::secs(1)), None);
            }
        }
    }

    #[test]
    fn it_is_given_up_once_and_never_after_the_switch() {
        let late = Micros::secs(10);
        let waiting = course(Mode::PostCopy);
        assert_eq!(waiting.next(late), Some(Step::Abort));
        let asked = Course {
            abort_asked: true,
            ..waiting
        };
        assert_eq!(asked.next(late), None);
        let switched = Course {
            switched: Some(late),
            ..course(Mode::PreCopy)
        };
        assert_eq!(switched.next(Micros::secs(99)), None);
    }

    #[test]
    fn a_target_that_the_source_cannot_reach_is_told_with_its_uri() {
        let request = MigrationRequest {
            guest: "web".parse().unwrap(),
            from: "h1".parse().unwrap(),
            to: "h2".parse().unwrap(),
            mode: Mode::PostCopy,
            stream: Default::default(),
            give_up: Micros::secs(1),
        };
        let uri = "qemu+tls://10.0.0.2/system";
        let said =
            format!("operation failed: Failed to connect to remote libvirt URI {uri}: no CA");
        let told = told_why(&request, uri, &said);
        let says = format!("the libvirtd of h1 cannot reach that of h2 at {uri}: no CA (");
        assert!(told.starts_with(&says), "{told}");
        assert_eq!(told_why(&request, uri, "no room"), "no room");
    }

    #[test]
    fn a_peer_is_reached_by_its_uri_its_address_or_its_name() {
        let check = |address, uri: &str, stream: Option<&str>| {
            assert_eq!(
                peer("h2", address),
                (uri.to_owned(), stream.map(str::to_owned))
            );
        };
        check(
            Some("qemu+tcp://10.0.0.2/system"),
            "qemu+tcp://10.0.0.2/system",
            None,
        );
        check(
            Some("10.0.0.2"),
            "qemu+tls://10.0.0.2/system",
            Some("tcp://10.0.0.2"),
        );
        check(
            Some("fd00::2"),
            "qemu+tls://[fd00::2]/system",
            Some("tcp://[fd00::2]"),
        );
        check(
            Some("[fd00::2]"),
            "qemu+tls://[fd00::2]/system",
            Some("tcp://[fd00::2]"),
        );
        check(
            Some("h2.example:16515"),
            "qemu+tls://h2.example:16515/system",
            Some("tcp://h2.example"),
        );
        check(
            Some("[fd00::2]:16515"),
            "qemu+tls://[fd00::2]:16515/system",
            Some("tcp://[fd00::2]"),
        );
        check(None, "qemu+tls://h2/system", None);
    }
}
