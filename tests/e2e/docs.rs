//! The pages under `docs/` are those that the programs write of themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::{bin, root};

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it");
                let bytes = std::fs::read(&path).expect("readable");
                found.insert(name.display().to_string(), bytes);
            }
        }
    }
    found
}

fn run(program: &str, arguments: &[&str], folder: &Path) -> Vec<u8> {
    let ran = Command::new(bin(program))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("it runs");
    assert!(ran.status.success(), "{program} {arguments:?}: {ran:?}");
    ran.stdout
}

/// Pages that a person writes.
const BY_HAND: &[&str] = &["faults.md", "probe.md"];

/// Pages and pictures that are made when a benchmark, the testbed or a browser is at hand.
const MEASURED: &[&str] = &["relief.svg", "report.png", "top.svg", "vector-packing.md"];

#[test]
fn the_pages_in_the_tree_are_those_that_the_programs_write() {
    let made = tempfile::tempdir().expect("a folder");
    for folder in ["man", "completions"] {
        std::fs::create_dir(made.path().join(folder)).expect("a folder");
    }
    run("vmpack", &["docs", "."], made.path());
    for program in ["vmpack-executor", "vmpack-probe"] {
        run(program, &["docs", "man"], made.path());
    }
    for program in ["vmpack", "vmpack-executor", "vmpack-probe"] {
        for shell in ["bash", "zsh", "fish"] {
            let script = run(program, &["completions", shell], made.path());
            let path = made.path().join(format!("completions/{program}.{shell}"));
            std::fs::write(path, script).expect("written");
        }
    }
    let (made, mut kept) = (files(made.path()), files(&root().join("docs")));
    for page in BY_HAND {
        assert!(kept.remove(*page).is_some(), "docs/{page} is missing");
    }
    for page in MEASURED {
        kept.remove(*page);
    }
    let names = |of: &BTreeMap<String, Vec<u8>>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&kept), "run `cargo xtask docs`");
    for (name, page) in made {
        assert!(
            kept.get(&name) == Some(&page),
            "docs/{name} is old: run `cargo xtask docs`"
        );
    }
}
