//! `vmpack`: plans which host each virtual machine should run on. It holds no rights; what needs
//! them is handed over to `vmpack-executor` and `vmpack-probe`.

mod cli;

use std::ffi::OsString;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use vmpack_domain::exit::Exit;

fn main() -> ExitCode {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let (mut stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    let mut stdout = std::io::BufWriter::new(std::io::stdout());
    let mut session = cli::Session::of_process(&mut stdin, &mut stdout, &mut stderr);
    let ended = catch_unwind(AssertUnwindSafe(|| cli::run(&typed, &mut session)));
    let flushed = stdout.flush();
    if let Err(error) = flushed {
        cli::Failure::from(error).tell(&mut stderr);
        if matches!(ended, Ok(Exit::Done | Exit::MovesProposed)) {
            return Exit::Environment.into();
        }
    }
    match ended {
        Ok(exit) => exit.into(),
        Err(_) => {
            let _ = writeln!(
                stderr,
                "error: this is a bug in vmpack; please report it with the input that led to it"
            );
            Exit::Bug.into()
        }
    }
}
