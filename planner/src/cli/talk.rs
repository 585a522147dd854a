//! What is said on standard error besides results: tracing and progress.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::EnvFilter;
use vmpack_domain::units::{MiB, Sum};
use vmpack_planner::search::Step;

use super::screen;

/// Begins tracing to standard error: RUST_LOG decides, else how often `-v` was given.
pub(crate) fn begin(verbose: u8) {
    let level = match verbose {
        // HiGHS warns of every limit that it meets; its answers are checked anyway.
        0 => "warn,highs=error",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A second subscriber in one process (as in tests) is left out.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_timer(tracing_subscriber::fmt::time::uptime())
        .try_init();
}

/// The last steps of a search, as one line that changes.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    phase: &'static str,
    bound: Option<i64>,
    best: Option<i64>,
    moved: Option<(i64, i64)>,
}

impl Progress {
    /// A line on standard error when `shown`; steps are traced in any case.
    pub(crate) fn new(shown: bool) -> Self {
        // Traced steps and a line that is redrawn would overwrite each other.
        let bar = (shown && !tracing::enabled!(tracing::Level::INFO)).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            bar,
            phase: "",
            bound: None,
            best: None,
            moved: None,
        }
    }

    /// Takes a step in.
    pub(crate) fn hear(&mut self, step: Step) {
        match step {
            Step::Phase(phase) => {
                tracing::info!("{phase}");
                self.phase = phase;
            }
            Step::Bound { cost, origin } => {
                tracing::info!("bound {} by {origin}", plain(cost));
                self.bound = Some(cost);
            }
            Step::Best { cost, hosts } => {
                tracing::info!(
                    "found {}, cost {}",
                    screen::count(hosts, "host"),
                    plain(cost)
                );
                self.best = Some(cost);
            }
            Step::Moves { memory, bound } => {
                tracing::info!("moves of {} MiB, at least {} MiB", memory, bound);
                self.moved = Some((memory, bound));
            }
            Step::Certified(_) => {}
        }
        if let Some(bar) = &self.bar {
            bar.set_message(self.message());
        }
    }

    fn message(&self) -> String {
        let mut parts = vec![self.phase.to_owned()];
        match (self.best, self.bound) {
            (Some(best), Some(bound)) => {
                parts.push(format!("hosts {}, at least {}", plain(best), plain(bound)));
            }
            (None, Some(bound)) => parts.push(format!("hosts at least {}", plain(bound))),
            (Some(best), None) => parts.push(format!("hosts {}", plain(best))),
            (None, None) => {}
        }
        if let Some((memory, bound)) = self.moved {
            let unsigned = |v: i64| screen::memory(MiB(u64::try_from(v).unwrap_or(0)));
            parts.push(format!(
                "moves {}, at least {}",
                unsigned(memory),
                unsigned(bound)
            ));
        }
        parts.join("  ")
    }

    /// Takes the line away.
    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Thousandths as a plain number.
fn plain(thousandths: i64) -> Sum {
    Sum(u64::try_from(thousandths).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_bound_and_best() {
        let mut progress = Progress::new(false);
        progress.hear(Step::Phase("packing"));
        progress.hear(Step::Bound {
            cost: 21_000,
            origin: "volume".into(),
        });
        assert_eq!(progress.message(), "packing  hosts at least 21");
        progress.hear(Step::Best {
            cost: 23_500,
            hosts: 23,
        });
        progress.hear(Step::Moves {
            memory: 2048,
            bound: 1024,
        });
        assert_eq!(
            progress.message(),
            "packing  hosts 23.5, at least 21  moves 2 GiB, at least 1 GiB"
        );
    }
}
