//! The exit codes of every binary: one table, documented in the README and tested.

/// How a command ended, as its process exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// A bug in vmpack.
    Bug = 1,
    /// Wrong usage of the command line.
    Usage = 2,
    /// Input that cannot be read or contradicts itself.
    BadInput = 3,
    /// Well-formed and impossible.
    Infeasible = 4,
    /// No answer within the limits.
    NoAnswer = 5,
    /// The plan no longer fits the hosts as they are.
    StalePlan = 6,
    /// Partly executed.
    PartlyDone = 7,
    /// A check, comparison or regression failed.
    CheckFailed = 8,
    /// The environment: libvirt, kernel, permission, network.
    Environment = 9,
    /// With `--detailed-exitcode`: moves are proposed.
    MovesProposed = 10,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
