//! The command line of `vmpack`: reads files, asks the library, prints. One module a command.

mod arguments;
mod bench;
mod capacity;
mod check;
mod curve;
mod docs;
mod example;
mod explain;
mod failure;
mod handover;
mod html;
mod import;
mod inputs;
mod model;
mod output;
mod parallel;
mod picture;
mod plan;
mod regress;
mod replay;
mod report;
mod schema;
mod screen;
mod session;
mod sources;
mod table;
mod talk;
mod validate;
mod whatif;

use std::ffi::OsString;

use clap::FromArgMatches;
use vmpack_domain::exit::Exit;

use arguments::{Arguments, ExampleKind, ModelKind, Task};
use example::fleet::Size;
pub(crate) use failure::Failure;
pub(crate) use session::Session;

/// Runs the command that the arguments (the program's name first) ask for.
pub(crate) fn run(typed: &[OsString], session: &mut Session) -> Exit {
    if let Some(failure) = handover::hand_over(typed) {
        failure.tell(session.err);
        return failure.exit;
    }
    let arguments = arguments::command()
        .try_get_matches_from(typed)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match arguments {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are results; nobody is left to tell when the stream is gone.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    talk::begin(arguments.talk.verbose);
    match dispatch(arguments.command, session) {
        Ok(exit) => exit,
        Err(failure) => {
            failure.tell(session.err);
            failure.exit
        }
    }
}

fn dispatch(task: Task, session: &mut Session) -> Result<Exit, Failure> {
    match task {
        Task::Plan(arguments) => plan::run(&arguments, session),
        Task::Check(arguments) => check::run(&arguments, session),
        Task::Validate(arguments) => validate::run(&arguments, session),
        Task::Whatif(arguments) => whatif::run(&arguments, session),
        Task::Capacity(arguments) => capacity::run(&arguments, session),
        Task::Explain(arguments) => explain::run(&arguments, session),
        Task::Replay(arguments) => replay::run(&arguments, session),
        Task::Regress(arguments) => regress::run(&arguments, session),
        Task::Bench(arguments) => bench::run(&arguments.what, session),
        Task::Model(arguments) => match arguments.what {
            ModelKind::Dump(arguments) => model::dump(&arguments, session),
        },
        Task::Import(arguments) => import::run(&arguments.what, session),
        Task::Schema(arguments) => schema::run(&arguments, session),
        Task::Example(arguments) => match arguments.what {
            ExampleKind::Cluster {
                hosts,
                guests,
                seed,
                makes,
                ruled,
                windows,
                output,
            } => {
                let size = Size {
                    hosts,
                    guests,
                    seed,
                    makes,
                    ruled,
                    windows,
                };
                example::cluster(size, &output, session)
            }
        },
        Task::Completions { shell } => docs::completions(shell, session),
        Task::Docs { folder } => docs::write(&folder),
    }
}
