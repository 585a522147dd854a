//! The README's session is what happens: each `console` block's command is run and its output
//! compared. `VMPACK_BLESS=1 cargo test -p vmpack-tests readme` writes the output anew.

use std::path::Path;
use std::process::Command;

use crate::{bin, root};

/// How long a search took differs from run to run: `in 0.1 s` reads `in … s`.
fn timeless(text: &str) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    for i in 1..words.len().saturating_sub(1) {
        if words[i - 1] == "in" && words[i + 1].starts_with('s') && words[i].parse::<f64>().is_ok()
        {
            words[i] = "…";
        }
    }
    words.join(" ")
}

/// The command's result, or its talk where it has no result.
fn output(command: &str, folder: &Path) -> String {
    let mut words = command.split_whitespace();
    assert_eq!(words.next(), Some("vmpack"), "{command}");
    let ran = Command::new(bin("vmpack"))
        .args(words)
        .current_dir(folder)
        .output()
        .expect("vmpack runs");
    let shown = if ran.stdout.is_empty() {
        ran.stderr
    } else {
        ran.stdout
    };
    String::from_utf8(shown).expect("UTF-8")
}

#[test]
fn the_session_in_the_readme_is_what_happens() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("examples")).expect("a folder");
    for entry in std::fs::read_dir(root().join("examples")).expect("examples") {
        let from = entry.expect("an example").path();
        let name = from.file_name().expect("a name");
        std::fs::copy(&from, folder.path().join("examples").join(name)).expect("copied");
    }
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    let mut written = String::new();
    let mut blocks = 0;
    let mut parts = readme.split("```console\n");
    written.push_str(parts.next().expect("a text before the first block"));
    for part in parts {
        let (block, rest) = part.split_once("```\n").expect("the block ends");
        let command = block
            .lines()
            .next()
            .and_then(|l| l.strip_prefix("$ "))
            .expect("a command");
        let printed = output(command, folder.path());
        let block = format!("$ {command}\n{printed}");
        written.push_str(&format!("```console\n{block}```\n{rest}"));
        blocks += 1;
    }
    assert!(blocks >= 5, "the README shows {blocks} commands");
    if std::env::var_os("VMPACK_BLESS").is_some() {
        std::fs::write(root().join("README.md"), written).expect("written");
        return;
    }
    assert!(
        timeless(&readme) == timeless(&written),
        "the README's session differs:\n{written}"
    );
}
