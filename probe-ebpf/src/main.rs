//! `vmpack-probe`: records the load of the guests of this host.

use std::process::ExitCode;

fn main() -> ExitCode {
    vmpack_probe::cli::run().into()
}
