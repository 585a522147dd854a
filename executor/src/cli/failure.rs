//! Why a command ended without its result, and how that is told.

use std::fmt;

use vmpack_domain::exit::Exit;
use vmpack_domain::file::InputError;

use crate::holder::Refusal;
use crate::journal::JournalError;
use crate::lock::LockError;
use crate::world::WorldError;

/// An error as the user sees it, with its exit code.
#[derive(Debug)]
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
            message: plainly(&message.into()),
            excerpt: None,
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The message without Rust's `(os error 2)` behind the system's words.
fn plainly(message: &str) -> String {
    let mut parts = message.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        text + rest.strip_prefix(')').unwrap_or(rest)
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{}", excerpt.trim_end())?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
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

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        let exit = match error {
            JournalError::Store { .. } | JournalError::File { .. } => Exit::Environment,
            JournalError::Foreign { .. }
            | JournalError::Version { .. }
            | JournalError::Row { .. } => Exit::BadInput,
        };
        Self::new(exit, error.to_string())
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let held = matches!(error, LockError::Held { .. });
        let failure = Self::new(Exit::Environment, error.to_string());
        if held {
            failure.hint(
                "`vmpack-executor status` shows how far it is, `vmpack-executor abort` stops it",
            )
        } else {
            failure
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let known = [
            Exit::Usage,
            Exit::BadInput,
            Exit::StalePlan,
            Exit::PartlyDone,
            Exit::Environment,
        ];
        let exit = known.into_iter().find(|e| *e as u8 == refusal.exit);
        let failure = Self::new(exit.unwrap_or(Exit::Bug), refusal.error);
        match refusal.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<WorldError> for Failure {
    fn from(error: WorldError) -> Self {
        match error {
            WorldError::Input(error) => error.into(),
            WorldError::Hypervisor(error) => error.into(),
            WorldError::State { .. } => Self::new(Exit::Environment, error.to_string()),
        }
    }
}

impl From<vmpack_hypervisor::Error> for Failure {
    fn from(error: vmpack_hypervisor::Error) -> Self {
        let failure = Self::new(Exit::Environment, error.to_string());
        match error {
            vmpack_hypervisor::Error::Unreachable { .. } => failure
                .hint("is libvirtd running there, and does it take connections of this kind?"),
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_told_without_its_number() {
        let missing = std::io::Error::from_raw_os_error(2);
        let failure = Failure::new(
            Exit::BadInput,
            format!("cannot read x: {missing}; that is all"),
        );
        assert_eq!(
            failure.message,
            "cannot read x: No such file or directory; that is all"
        );
    }
}
