//! Writes to standard output and standard error. Either may be closed while migrations run (a
//! terminal that hangs up, a pager that is left), or not be read for as long as somebody likes (Ctrl-S, a
//! pager that waits); neither may hold up a run. So lines are written by a thread of its own; what cannot be
//! shown is in the journal.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use vmpack_domain::exit::Exit;

use super::failure::Failure;

/// Texts that may wait to be written; more are lost, and that is said.
const MOST: usize = 1 << 16;
/// The same for pictures of bars, which are drawn again soon.
const DRAWN: usize = 16;

#[derive(Clone, Copy)]
enum To {
    Output,
    Error,
}

/// What waits to be written.
#[derive(Default)]
struct Waiting {
    texts: VecDeque<(To, Vec<u8>)>,
    /// One is being written.
    writing: bool,
    /// How many there was no room for since the last word on it.
    lost: usize,
    /// There is no thread that writes: nothing is shown, and the journal has all.
    mute: bool,
}

struct Voice {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

static VOICE: LazyLock<Voice> = LazyLock::new(|| {
    let speaker = std::thread::Builder::new().name("voice".to_owned());
    let waiting = Waiting {
        mute: speaker.spawn(|| VOICE.speak()).is_err(),
        ..Waiting::default()
    };
    Voice {
        waiting: Mutex::new(waiting),
        changed: Condvar::new(),
    }
});

impl Voice {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, to: To, text: Vec<u8>, most: usize) {
        let mut waiting = self.lock();
        if waiting.mute {
            return;
        }
        if waiting.texts.len() < most {
            waiting.texts.push_back((to, text));
            self.changed.notify_all();
        } else if most == MOST {
            waiting.lost += 1;
        }
    }

    fn speak(&self) {
        let mut waiting = self.lock();
        loop {
            if let Some((to, text)) = waiting.texts.pop_front() {
                waiting.writing = true;
                drop(waiting);
                write_to(to, &text);
                waiting = self.lock();
                waiting.writing = false;
                self.changed.notify_all();
            } else if waiting.lost > 0 {
                let lost = std::mem::take(&mut waiting.lost);
                let text =
                    format!("{lost} lines are not shown, as nobody read; the journal has all\n");
                waiting.texts.push_back((To::Error, text.into_bytes()));
            } else {
                let changed = self.changed.wait(waiting);
                waiting = changed.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn finish(&self) {
        let waiting = self.lock();
        let more = |w: &mut Waiting| w.writing || !w.texts.is_empty();
        let _all = self.changed.wait_while(waiting, more);
    }
}

fn write_to(to: To, text: &[u8]) {
    let _ = match to {
        To::Output => std::io::stdout().write_all(text),
        To::Error => std::io::stderr().write_all(text),
    };
}

/// A line on standard output; it is lost when nobody listens.
pub(crate) fn out(line: impl Display) {
    VOICE.say(To::Output, format!("{line}\n").into_bytes(), MOST);
}

/// A line on standard error; it is lost when nobody listens.
pub(crate) fn note(line: impl Display) {
    VOICE.say(To::Error, format!("{line}\n").into_bytes(), MOST);
}

/// Waits until what was said is written, for as long as its reader takes.
pub(crate) fn finish() {
    VOICE.finish();
}

/// The whole answer of a command, as it stands, on standard output. A reader that has read enough
/// is no failure, a full disk is.
pub(crate) fn answer(text: impl Display) -> Result<(), Failure> {
    finish();
    let mut out = std::io::stdout();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Environment,
            format!("cannot write to standard output: {e}"),
        )),
        _ => Ok(()),
    }
}

/// A picture on a terminal's standard error, unless others wait to be drawn.
pub(crate) fn draw(picture: String) {
    VOICE.say(To::Error, picture.into_bytes(), DRAWN);
}

/// Standard error by way of [`note`], for what writes its lines by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Talk;

impl Write for Talk {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        VOICE.say(To::Error, text.to_owned(), MOST);
        Ok(text.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
