//! `vmpack model dump`.

use std::time::Instant;

use vmpack_domain::exit::Exit;
use vmpack_planner::dump::{self, DumpError};
use vmpack_planner::search::Search;

use super::arguments::ModelDumpArguments;
use super::failure::Failure;
use super::session::Session;
use super::{inputs, output};

/// Writes a formulation of the inputs.
pub(crate) fn dump(arguments: &ModelDumpArguments, session: &mut Session) -> Result<Exit, Failure> {
    let inputs = inputs::read(&arguments.inputs, &arguments.limits, session)?;
    let file = arguments.output.as_deref();
    let file = file.filter(|path| path.as_os_str() != "-");
    if let Some(path) = file {
        inputs::spare(&arguments.inputs, &[path])?;
        output::ready(path)?;
    }
    session.heed_interrupts();
    let began = Instant::now();
    let text = dump::mps(
        (&inputs.cluster, &inputs.load, &inputs.policy),
        arguments.formulation,
        arguments.relaxed,
        &mut Search {
            elapsed: &|| inputs::micros(began),
            stop: &|| session.stopped(),
            report: &mut |_| {},
        },
    );
    let text = text.map_err(|error| {
        let exit = match &error {
            DumpError::Infeasible(_) => Exit::Infeasible,
            DumpError::NoAnswer(_) => Exit::NoAnswer,
            DumpError::Solver(_) => Exit::Bug,
        };
        Failure::new(exit, error.to_string())
    })?;
    match file {
        Some(path) => output::write_whole(path, &text)?,
        None => session.out.write_all(text.as_bytes())?,
    }
    if session.stopped() {
        writeln!(
            session.err,
            "stopped; the formulation is of what was found so far"
        )?;
    }
    Ok(Exit::Done)
}
