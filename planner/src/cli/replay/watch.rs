//! Progress, events and the stop signal of a replay.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use vmpack_planner::replay::Watch;
use vmpack_sim::fleet::{Fleet, Told, What};

use crate::cli::failure::Failure;
use crate::cli::session::{Session, Stop};

use super::over_time::Look;

/// An event as a line of JSON; times in seconds since the start of the trace.
#[derive(Debug, Serialize)]
struct Line<'a> {
    policy: &'a str,
    t: f64,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    guest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    takes: Option<f64>,
}

/// Watches replays, one after the other.
pub(crate) struct Watching {
    bar: Option<ProgressBar>,
    events: Option<(PathBuf, BufWriter<File>)>,
    failure: Option<std::io::Error>,
    stop: Stop,
    policy: String,
    /// Whether by it all hosts draw their full power all the time.
    full_power: bool,
    /// Of each policy, where they are wanted.
    looks: Option<Vec<(String, Vec<Look>)>>,
}

impl Watching {
    pub(super) fn new(
        session: &Session,
        events: Option<&Path>,
        looks: bool,
    ) -> Result<Self, Failure> {
        let bar = session.progress.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = "{spinner} {elapsed} {msg} [{bar:40}] {pos}/{len} looks";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar
        });
        let open = |path: &Path| {
            File::create(path)
                .map(|file| (path.to_path_buf(), BufWriter::new(file)))
                .map_err(|e| Failure::environment("write", path, &e))
        };
        Ok(Self {
            bar,
            events: events.map(open).transpose()?,
            failure: None,
            stop: session.stop(),
            policy: String::new(),
            full_power: false,
            looks: looks.then(Vec::new),
        })
    }

    /// The next replay is of that policy, by which all hosts draw their full power all the time, or not.
    pub(crate) fn begin(&mut self, policy: &str, full_power: bool) {
        self.full_power = full_power;
        policy.clone_into(&mut self.policy);
        if let Some(looks) = &mut self.looks {
            looks.push((policy.to_owned(), Vec::new()));
        }
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_message(policy.to_owned());
        }
    }

    /// What was seen of each policy.
    pub(super) fn looks(&self) -> &[(String, Vec<Look>)] {
        self.looks.as_deref().unwrap_or_default()
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.is_set()
    }

    /// Whether an event could not be written.
    pub(crate) fn failed(&mut self) -> Result<(), Failure> {
        match (self.failure.take(), &self.events) {
            (Some(e), Some((path, _))) => Err(Failure::environment("write", path, &e)),
            _ => Ok(()),
        }
    }

    /// Ends progress and writes what is buffered.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        match &mut self.events {
            Some((path, file)) => file
                .flush()
                .map_err(|e| Failure::environment("write", path, &e)),
            None => Ok(()),
        }
    }
}

impl Watch for Watching {
    fn looked(&mut self, fleet: &Fleet, done: u64, of: u64) {
        if let Some((_, looks)) = self.looks.as_mut().and_then(|l| l.last_mut()) {
            looks.push(Look::at(fleet, self.full_power));
        }
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(done);
        }
    }

    fn happened(&mut self, fleet: &Fleet, told: &[Told]) {
        let Some((_, file)) = &mut self.events else {
            return;
        };
        for event in told {
            if self.failure.is_some() {
                return;
            }
            let line = line(&self.policy, fleet, event);
            let written = serde_json::to_writer(&mut *file, &line)
                .map_err(std::io::Error::from)
                .and_then(|()| file.write_all(b"\n"));
            self.failure = written.err();
        }
    }

    fn wants_events(&self) -> bool {
        self.events.is_some()
    }

    fn stop(&mut self) -> bool {
        self.stop.is_set() || self.failure.is_some()
    }
}

fn line<'a>(policy: &'a str, fleet: &'a Fleet, told: &Told) -> Line<'a> {
    let guest_name = |g: usize| Some(fleet.guests()[g].name.as_str());
    let host_name = |h: usize| Some(fleet.hosts()[h].name.as_str());
    let mut line = Line {
        policy,
        t: told.at.0 as f64 / 1e6,
        event: "",
        guest: None,
        host: None,
        from: None,
        to: None,
        takes: None,
    };
    (line.event, line.guest, line.host) = match told.what {
        What::Began {
            guest,
            from,
            to,
            takes,
        } => {
            (line.from, line.to) = (host_name(from), host_name(to));
            line.takes = Some(takes.0 as f64 / 1e6);
            ("began", guest_name(guest), None)
        }
        What::Started { guest, host } => ("started", guest_name(guest), host_name(host)),
        What::Ended { guest, to } => {
            line.to = host_name(to);
            ("ended", guest_name(guest), None)
        }
        What::Failed { guest } => ("failed", guest_name(guest), None),
        What::Left { guest } => ("left", guest_name(guest), None),
        What::Overloaded { host } => ("overloaded", None, host_name(host)),
        What::Relieved { host } => ("relieved", None, host_name(host)),
        What::Woken { host } => ("woken", None, host_name(host)),
        What::Slept { host } => ("slept", None, host_name(host)),
        What::Died { host } => ("died", None, host_name(host)),
    };
    line
}
