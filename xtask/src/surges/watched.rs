//! A watch at work, and what is told of a surge: by the watch's audit log, by its talk, and by the
//! probe of the host itself. All times are seconds of the day by the machine's one clock.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xtask::command::{command, read};

use super::stage::{Ending, Stage};

const DAY: f64 = 86_400.0;

/// Something that was told, and when it happened.
pub(super) struct Told {
    pub(super) at: f64,
    pub(super) what: What,
}

pub(super) enum What {
    /// A line of the audit log.
    Audit(Value),
    /// A line of the watch's talk.
    Talk(String),
    /// What the guests of that host wanted together in a window, in cores.
    Wanted { host: String, cores: f64 },
    /// The probe of that host saw an overload begin or end; `heard` is when it had told it.
    Kernel {
        host: String,
        began: bool,
        heard: f64,
    },
}

/// A watch at work. What it says comes in `told`.
pub(super) struct Watched {
    child: Ending,
    pub(super) told: Receiver<Told>,
}

impl Watched {
    pub(super) fn begin(stage: &Stage) -> Result<Self> {
        let log = stage.folder.join("watch.log");
        let mut watch = stage.binaries.command("vmpack-executor");
        watch
            .args(["-v", "--json", "--journal"])
            .arg(stage.folder.join("journal.db"))
            .args(["watch", "--mode", "auto", "--cluster"])
            .arg(stage.folder.join("cluster.yaml"))
            .arg("--policy")
            .arg(stage.folder.join("policy.yaml"))
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (host, url) in &stage.probes {
            watch.args(["--probe", &format!("{host}={url}")]);
        }
        let mut child = watch.spawn().context("cannot start vmpack-executor")?;
        let out = child.stdout.take().context("its standard output")?;
        let err = child.stderr.take().context("its standard error")?;
        let child = Ending(child);
        let (tell, told) = channel();
        each_line(out, tell.clone(), |line| {
            let said: Value = serde_json::from_str(line).ok()?;
            let at = time_of_day(said["at"].as_str()?)?;
            Some(Told {
                at,
                what: What::Audit(said),
            })
        });
        let mut kept = fs::File::options().append(true).create(true).open(&log)?;
        each_line(err, tell.clone(), move |line| {
            let _ = writeln!(kept, "{line}");
            let at = time_of_day(line.split_whitespace().next()?)?;
            Some(Told {
                at,
                what: What::Talk(line.to_owned()),
            })
        });
        for (host, url) in &stage.probes {
            let kept = stage.folder.join(format!("{host}.stream"));
            listen(host, url, fs::File::create(kept)?, tell.clone())?;
        }
        let watched = Self { child, told };
        let begun = watched.until(Duration::from_secs(20), |told| match &told.what {
            What::Audit(said) if said["event"] == "began" => Some(()),
            _ => None,
        });
        if begun.is_none() {
            bail!("the watch does not begin: {}", fs::read_to_string(&log)?);
        }
        Ok(watched)
    }

    /// The first answer that something told gives, within that time.
    pub(super) fn until<T>(
        &self,
        patience: Duration,
        mut answer: impl FnMut(&Told) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + patience;
        loop {
            let left = end.checked_duration_since(Instant::now())?;
            if let Some(answer) = answer(&self.told.recv_timeout(left).ok()?) {
                return Some(answer);
            }
        }
    }

    /// Lets pass what is going on, until for so long nothing was decided, moved or relieved.
    pub(super) fn quiet(&self, span: Duration) {
        let news = |told: &Told| matches!(told.what, What::Audit(_)).then_some(());
        while self.until(span, news).is_some() {}
    }

    /// Ends it, and lets what moves arrive.
    pub(super) fn end(mut self) -> Result<()> {
        self.terminate()?;
        self.child.0.wait()?;
        Ok(())
    }

    /// Ends it, and has what has not switched yet stay where it was.
    pub(super) fn call_off(mut self) -> Result<()> {
        self.terminate()?;
        std::thread::sleep(Duration::from_millis(500));
        if self.child.0.try_wait()?.is_none() {
            self.terminate()?;
            self.child.0.wait()?;
        }
        Ok(())
    }

    fn terminate(&self) -> Result<()> {
        let id = self.child.0.id().to_string();
        read(&mut command(["kill", "-TERM", &id])).map(drop)
    }
}

fn each_line(
    from: impl Read + Send + 'static,
    tell: Sender<Told>,
    mut parse: impl FnMut(&str) -> Option<Told> + Send + 'static,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if let Some(told) = parse(&line)
                && tell.send(told).is_err()
            {
                return;
            }
        }
    });
}

/// Hears the overloads of a host from its probe, beside the watch. All that it says is kept, each line with
/// the second of the day at which it was heard.
fn listen(host: &str, url: &str, mut kept: fs::File, tell: Sender<Told>) -> Result<()> {
    let place = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream =
        TcpStream::connect(place).with_context(|| format!("cannot connect to {place}"))?;
    write!(stream, "GET /v1/stream HTTP/1.1\r\nhost: {place}\r\n\r\n")?;
    let host = host.to_owned();
    each_line(stream, tell, move |line| {
        // The other lines are the answer's head and the lengths of its chunks.
        let said: Value = serde_json::from_str(line.trim()).ok()?;
        let _ = writeln!(kept, "{:.6} {}", now(), line.trim());
        if said["type"] == "windows" {
            let guests = said["guests"].as_array()?.iter();
            let last = guests.filter_map(|g| g["demand_mcores"].as_array()?.last()?.as_f64());
            let what = What::Wanted {
                host: host.clone(),
                cores: last.sum::<f64>() / 1000.0,
            };
            return Some(Told { at: now(), what });
        }
        if said["type"] != "overload" {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "microseconds of Unix time")]
        let at = said["at_us"].as_u64()? as f64 / 1e6;
        let what = What::Kernel {
            host: host.clone(),
            began: said["began"] == true,
            heard: now(),
        };
        Some(Told {
            at: at.rem_euclid(DAY),
            what,
        })
    });
    Ok(())
}

/// Seconds of the day.
pub(super) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64().rem_euclid(DAY)
}

/// Seconds from one time of the day to another, the nearest such; negative where the other was before.
pub(super) fn between(from: f64, to: f64) -> f64 {
    (to - from + DAY / 2.0).rem_euclid(DAY) - DAY / 2.0
}

/// Of `2026-11-29T08:22:50.178424Z` the seconds of the day.
fn time_of_day(text: &str) -> Option<f64> {
    let (_, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = time.split(':');
    let mut number = || parts.next()?.parse::<f64>().ok();
    Some(number()? * 3600.0 + number()? * 60.0 + number()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_day_are_told_apart_over_midnight() {
        let late = time_of_day("2026-11-29T23:59:59.5Z").unwrap();
        let early = time_of_day("2026-11-30T00:00:00.25Z").unwrap();
        assert!((between(late, early) - 0.75).abs() < 1e-9);
        assert!((between(early, late) + 0.75).abs() < 1e-9);
        assert_eq!(time_of_day("watching 2 hosts"), None);
    }
}
