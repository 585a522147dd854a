//! `pause`: start nothing more for now.

use vmpack_domain::exit::Exit;

use super::failure::Failure;
use super::files::Place;
use super::say::note;
use crate::lock::Lock;
use crate::socket::inhibit;

pub(crate) const EXAMPLES: &str = "\
Examples:
  vmpack-executor pause --reason 'storage is being switched over'
  vmpack-executor resume

Writes the file JOURNAL.inhibit beside the journal; while it is there, no migration is started, by
whatever executor works with that journal, now or later. What runs is finished, and a guest in split
state is resumed.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Why, for those who wonder
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, place: &Place) -> Result<Exit, Failure> {
    let by = format!(
        "process {} at {:.0}",
        std::process::id(),
        jiff::Timestamp::now()
    );
    let text = match &arguments.reason {
        Some(reason) => format!("{reason} ({by})"),
        None => by,
    };
    if let Some(folder) = place.inhibit.parent().filter(|f| !f.as_os_str().is_empty()) {
        // A failure shows when the file is written.
        let _ = crate::journal::make_folder(folder);
    }
    inhibit(&place.inhibit, &text).map_err(|e| {
        let file = place.inhibit.display();
        Failure::new(Exit::Environment, format!("cannot write {file}: {e}"))
    })?;
    match Lock::holder(&place.lock) {
        Some(by) => note(format_args!("paused; the executor at work: {by}")),
        None => note("paused; no executor is at work"),
    }
    Ok(Exit::Done)
}
