//! What a command is given by the process: streams, screen, clock and stop signal.

use std::io::{IsTerminal, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use vmpack_domain::exit::Exit;

use super::failure::Failure;
use super::screen::Screen;
use super::sources::Input;

/// The world around a command.
pub(crate) struct Session<'a> {
    pub(crate) stdin: Input<'a>,
    /// For results.
    pub(crate) out: &'a mut dyn Write,
    /// For talk.
    pub(crate) err: &'a mut dyn Write,
    pub(crate) screen: Screen,
    /// Whether progress may be drawn on standard error.
    pub(crate) progress: bool,
    /// Set by Ctrl-C once a search has begun; before that, it ends the process.
    stop: Arc<AtomicBool>,
    /// Whether the process was told to set `stop`.
    heeds: bool,
}

impl<'a> Session<'a> {
    /// The process's own streams.
    pub(crate) fn of_process(
        stdin: &'a mut dyn Read,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let terminal = std::io::stdout().is_terminal();
        let width = terminal_size::terminal_size().map_or(100, |(w, _)| usize::from(w.0));
        Self {
            stdin: Input(Some(stdin)),
            out,
            err,
            screen: Screen {
                colour: terminal && !set("NO_COLOR") && !dumb,
                unicode: speaks_unicode(|name| std::env::var(name).ok()) && !dumb,
                width: if terminal { width.clamp(40, 200) } else { 100 },
            },
            progress: std::io::stderr().is_terminal() && !dumb,
            stop: Arc::new(AtomicBool::new(false)),
            heeds: false,
        }
    }

    /// From now on the first Ctrl-C asks for the best so far and the second one ends the process.
    /// Said where a search begins: until then there is nothing to be given.
    pub(crate) fn heed_interrupts(&mut self) {
        if !self.heeds {
            self.heeds = true;
            // Without the handler Ctrl-C ends the process at once, which is no reason to refuse work.
            let _ = self.catch_interrupts();
        }
    }

    fn catch_interrupts(&self) -> std::io::Result<()> {
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // In this order: the second signal finds `stop` set by the first.
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&self.stop))?;
            signal_hook::flag::register(signal, Arc::clone(&self.stop))?;
        }
        Ok(())
    }

    /// Prints a result as JSON, with a line end.
    pub(crate) fn print_json<T: Serialize>(&mut self, value: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|e| Failure::new(Exit::Bug, format!("a result has no JSON: {e}")))?;
        writeln!(self.out, "{text}")?;
        Ok(())
    }

    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// What tells of an interrupt after the session is borrowed for something else.
    pub(crate) fn stop(&self) -> Stop {
        Stop(Arc::clone(&self.stop))
    }
}

/// Whether an interrupt asked for an end.
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether the locale's character set is UTF-8, by the first of LC_ALL, LC_CTYPE and LANG that is
/// set; a machine without any is taken to be a modern one.
fn speaks_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(variable)
        .find(|v| !v.is_empty());
    locale.is_none_or(|l| {
        let l = l.to_ascii_lowercase();
        l.contains("utf-8") || l.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides_on_unicode() {
        let with = |name: &'static str, value: &'static str| {
            speaks_unicode(move |n| (n == name).then(|| value.to_owned()))
        };
        assert!(with("LANG", "de_DE.UTF-8"));
        assert!(with("LC_ALL", "C.utf8"));
        assert!(!with("LC_CTYPE", "C"));
        assert!(with("OTHER", ""));
    }
}
