//! Writes to standard output and standard error. Either may be closed while migrations run (a
//! terminal that hangs up, a pager that is left), and that must not end a run: what cannot be
//! shown is in the journal.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use vmpack_domain::exit::Exit;

use super::failure::Failure;

/// A line on standard output; it is lost when nobody listens.
pub(crate) fn out(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error; it is lost when nobody listens.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The whole answer of a command, as it stands, on standard output. A reader that has read enough
/// is no failure, a full disk is.
pub(crate) fn answer(text: impl Display) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Environment,
            format!("cannot write to standard output: {e}"),
        )),
        _ => Ok(()),
    }
}
