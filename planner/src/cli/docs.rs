//! Completions, man pages and the command-line reference, all made from the command itself.

use std::fmt::Write;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use vmpack_domain::exit::Exit;

use super::arguments;
use super::failure::Failure;
use super::output::{make_folder, write_whole};
use super::session::Session;

/// The name of the reference in the docs folder.
const REFERENCE: &str = "cli.md";

/// Prints a shell's completion script.
pub(crate) fn completions(shell: Shell, session: &mut Session) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut arguments::command(), "vmpack", &mut script);
    session.out.write_all(&script)?;
    Ok(Exit::Done)
}

/// Writes `cli.md` and `man/*.1` into the folder.
pub(crate) fn write(folder: &Path) -> Result<Exit, Failure> {
    let pages = folder.join("man");
    make_folder(&pages)?;
    write_whole(&folder.join(REFERENCE), &reference())?;
    clap_mangen::generate_to(arguments::command(), &pages)
        .map_err(|e| Failure::environment("write man pages to", &pages, &e))?;
    Ok(Exit::Done)
}

/// Every command's help, in Markdown.
fn reference() -> String {
    let mut text =
        "# The commands of vmpack\n\nMade by `cargo xtask docs` from the program's own help.\n"
            .to_owned();
    let mut command = arguments::command().term_width(100);
    command.build();
    section(&mut text, &command);
    text
}

fn section(text: &mut String, command: &Command) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let help = command.clone().render_long_help().to_string();
    // Writing to a String cannot fail.
    let _ = write!(text, "\n## {name}\n\n```text\n");
    for line in help.trim_end().lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text.push_str("```\n");
    for sub in command.get_subcommands() {
        let listed = !sub.is_hide_set() && sub.get_name() != "help";
        if listed && super::handover::find(sub.get_name()).is_none() {
            section(text, sub);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_every_command_with_its_examples() {
        let text = reference();
        for heading in [
            "## vmpack\n",
            "## vmpack plan\n",
            "## vmpack example cluster\n",
        ] {
            assert!(text.contains(heading), "{heading}");
        }
        assert!(text.contains("vmpack check plan.yaml --cluster"));
        assert!(!text.contains("## vmpack apply"));
        assert!(!text.contains("## vmpack docs"));
    }
}
