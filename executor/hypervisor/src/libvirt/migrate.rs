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
//! A post-copy that broke is resumed in the same way, by a call of its own that asks for no switch
//! and is never given up: the guest is at the target already.
//!
//! Guests that are persistent become so at the target and are undefined at the source by libvirt
//! itself (`PERSIST_DEST`, `UNDEFINE_SOURCE`), so that there are never two definitions to start
//! from; the figures of the finished job come by its event, not from the source's definition.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use virt::domain::Domain;
use vmpack_domain::Mode;
use vmpack_domain::units::{MiB, Micros};

use super::door::{Figure, Kind, Notice, abort_job, listen, start_post_copy};
use super::order::{is_lasting, order, peer, told_why};
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
    FromSource(Notice, Instant),
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
    run(from, to, request, Begin::Anew, told)
}

/// Resumes a post-copy that broke, by libvirt's own call.
pub(super) fn resume(
    from: &Door,
    to: &Door,
    request: &MigrationRequest,
    told: &mut dyn FnMut(MigrationEvent),
) -> Result<MigrationReport, MigrationFailure> {
    run(from, to, request, Begin::Broken, told)
}

/// What is begun with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// A guest that runs at the source.
    Anew,
    /// One whose post-copy broke.
    Broken,
}

impl Begin {
    /// Why a guest in that state at its source is not what is begun with.
    fn refusal(self, state: GuestState) -> Option<MigrationFailure> {
        match (self, state) {
            (Self::Anew, GuestState::Running) | (Self::Broken, GuestState::PostCopyFailed) => None,
            (Self::Anew, GuestState::Paused) => Some(MigrationFailure::StaysAtSource(
                "it is paused there".to_owned(),
            )),
            (Self::Anew, state) => Some(MigrationFailure::Unknown(format!(
                "it does not run at the source: {state:?}"
            ))),
            // QEMU has not noticed yet, or goes on by itself.
            (Self::Broken, GuestState::Migrating) => Some(MigrationFailure::Split(
                "the source does not know yet that its post-copy broke".to_owned(),
            )),
            (Self::Broken, state) => Some(MigrationFailure::Unknown(format!(
                "the source holds no broken post-copy: {state:?}"
            ))),
        }
    }
}

fn run(
    from: &Door,
    to: &Door,
    request: &MigrationRequest,
    begin: Begin,
    told: &mut dyn FnMut(MigrationEvent),
) -> Result<MigrationReport, MigrationFailure> {
    let started = Instant::now();
    let unknown = |e: crate::Error| MigrationFailure::Unknown(e.to_string());
    let not_begun = |why: String| match begin {
        Begin::Anew => MigrationFailure::StaysAtSource(why),
        Begin::Broken => MigrationFailure::Split(why),
    };
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
    if let Some(refusal) = begin.refusal(state) {
        return Err(refusal);
    }
    let uuid = domain.get_uuid().map_err(asked)?;
    let persistent = domain.is_persistent().map_err(asked)?;
    let target = to.control().map_err(|e| not_begun(e.to_string()))?;

    let (tell, heard) = channel();
    let hears = |connection, kind, tell: Sender<Heard>, wrap: fn(Notice) -> Heard| {
        listen(connection, uuid, kind, move |notice| {
            // Nobody listens any more once the migration is over.
            let _ = tell.send(wrap(notice));
        })
    };
    let at_source = |n| Heard::FromSource(n, Instant::now());
    let at_target = |n| Heard::FromTarget(n, Instant::now());
    let listening = [
        hears(&source, Kind::Pass, tell.clone(), at_source),
        hears(&source, Kind::JobCompleted, tell.clone(), at_source),
        hears(&target, Kind::Lifecycle, tell.clone(), at_target),
    ];
    let listening: Result<Vec<_>, _> = listening.into_iter().collect();
    let _listening = listening.map_err(|e| not_begun(format!("cannot listen: {}", e.message())))?;
    let done = move |result| {
        // Nobody waits any more if the caller's listener panicked.
        let _ = tell.send(Heard::Done(result, Instant::now()));
    };
    order(from, to, request, (begin, persistent), done).map_err(|e| not_begun(e.to_string()))?;
    tracing::info!(
        "guest {}: the migration was asked for, {:.6}s after it was begun here",
        request.guest,
        started.elapsed().as_secs_f64()
    );

    let mut course = Course {
        mode: request.mode,
        give_up: request.give_up,
        pass: 0,
        switch_asked: false,
        abort_asked: false,
        switched: (begin == Begin::Broken).then_some(Micros::ZERO),
    };
    let (mut figures, mut looked) = (None, started);
    // When the pass began in which the switch is asked for, and how long libvirt took over what it refused.
    let (mut ready, mut refused) = (started, Duration::ZERO);
    let (result, ended) = loop {
        let mut pause = LOOK;
        match course.next(since(started)) {
            Some(Step::Switch) => {
                let asked = Instant::now();
                match start_post_copy(&domain) {
                    Ok(()) => {
                        course.switch_asked = true;
                        let own = asked
                            .saturating_duration_since(ready)
                            .saturating_sub(refused);
                        tracing::info!(
                            "guest {}: the switch was asked for {:.6}s after it could be",
                            request.guest,
                            own.as_secs_f64()
                        );
                    }
                    Err(e) => {
                        refused += asked.elapsed();
                        tracing::debug!(guest = %request.guest, "not ready to switch: {}", e.message());
                        pause = RETRY;
                    }
                }
            }
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
            Ok(Heard::FromSource(Notice::Pass(pass), at)) => {
                course.pass = pass;
                if !course.switch_asked {
                    (ready, refused) = (at, Duration::ZERO);
                }
            }
            Ok(Heard::FromSource(Notice::JobCompleted(all), _)) => figures = Some(all),
            Ok(Heard::FromTarget(Notice::Resumed, at)) if course.switched.is_none() => {
                let after = elapsed(started, at);
                course.switched = Some(after);
                told(MigrationEvent::Switched { after });
            }
            Ok(Heard::FromSource(..) | Heard::FromTarget(..)) | Err(RecvTimeoutError::Timeout) => {}
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
        match verdict {
            Verdict::Failed(MigrationFailure::StaysAtSource(why)) if is_lasting(&error) => {
                return Err(MigrationFailure::Impossible(why));
            }
            Verdict::Failed(failure) => return Err(failure),
            Verdict::Arrived => {}
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
            Ok(Heard::FromSource(Notice::JobCompleted(all), _)) => figures = Some(all),
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
pub(super) fn verdict(
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
}
