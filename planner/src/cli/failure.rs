//! Why a command ended without its result, and how that is told.

use std::fmt;
use std::io::Write;
use std::path::Path;

use vmpack_domain::exit::Exit;
use vmpack_domain::file::InputError;

/// An error as the user sees it: `error: …`, an excerpt of the file, `hint: …`, an exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) excerpt: Option<String>,
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            excerpt: None,
            hint: None,
        }
    }
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self::new(Exit::BadInput, message)
    }
    /// A file that cannot be written or run, for a reason that is not the input's.
    pub(crate) fn environment(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(
            Exit::Environment,
            format!("cannot {doing} {}: {}", path.display(), reason(error)),
        )
    }
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells it on standard error; one without a message is known to who caused it.
    pub(crate) fn tell(&self, err: &mut dyn Write) {
        if self.message.is_empty() {
            return;
        }
        // When standard error is gone there is nobody left to tell.
        let _ = writeln!(err, "error: {self}");
        if let Some(excerpt) = &self.excerpt {
            let _ = writeln!(err, "{}", excerpt.trim_end());
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(err, "hint: {hint}");
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        Self {
            exit: Exit::BadInput,
            message: error.to_string(),
            excerpt: error.excerpt,
            hint: error.hint,
        }
    }
}

/// The result could not be printed.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // A reader that has seen enough, as `head` does, need not be told so.
        let message = match error.kind() {
            std::io::ErrorKind::BrokenPipe => String::new(),
            _ => format!("cannot write to standard output: {}", reason(&error)),
        };
        Self::new(Exit::Environment, message)
    }
}

/// The system's reason without Rust's `(os error 2)`, beginning in lower case.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_excerpt_and_hint_apart() {
        let failure = Failure {
            excerpt: Some("  3 | cpu: 32\n".into()),
            ..Failure::input("a.yaml:3:8: read `32`, expected cores").hint("write `32cores`")
        };
        let mut said = Vec::new();
        failure.tell(&mut said);
        assert_eq!(
            String::from_utf8(said).unwrap(),
            "error: a.yaml:3:8: read `32`, expected cores\n  3 | cpu: 32\nhint: write `32cores`\n"
        );
    }

    #[test]
    fn the_systems_reason_is_told_plainly() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(reason(&error), "no such file or directory");
    }
}
