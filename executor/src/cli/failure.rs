//! Why a command ended without its result, and how that is told.

use std::fmt;

use vmpack_domain::exit::Exit;
use vmpack_domain::file::InputError;

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
            message: message.into(),
            excerpt: None,
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
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

impl From<WorldError> for Failure {
    fn from(error: WorldError) -> Self {
        match error {
            WorldError::Input(error) => error.into(),
            WorldError::Hypervisor(_) | WorldError::State { .. } => {
                Self::new(Exit::Environment, error.to_string())
            }
        }
    }
}

impl From<vmpack_hypervisor::Error> for Failure {
    fn from(error: vmpack_hypervisor::Error) -> Self {
        Self::new(Exit::Environment, error.to_string())
    }
}
