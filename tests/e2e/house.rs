//! The rules of the house: who may use whom, and what stands at the top level.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::root;

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".into()])
        .exec()
        .expect("cargo metadata")
}

/// Our packages and the packages that each names as a normal or build dependency.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    metadata()
        .packages
        .iter()
        .map(|p| {
            let names = p
                .dependencies
                .iter()
                .filter(|d| d.kind != DependencyKind::Development)
                .map(|d| d.name.clone());
            (p.name.to_string(), names.collect())
        })
        .collect()
}

/// Every edge between our crates. A new one needs a sentence in ARCHITECTURE.md.
const USES: &[(&str, &[&str])] = &[
    ("vmpack-domain", &[]),
    ("vmpack-ilp", &["vmpack-domain"]),
    ("vmpack-sim", &["vmpack-domain"]),
    (
        "vmpack-planner",
        &["vmpack-domain", "vmpack-ilp", "vmpack-sim"],
    ),
    ("vmpack-hypervisor", &["vmpack-domain", "vmpack-sim"]),
    (
        "vmpack-executor",
        &[
            "vmpack-domain",
            "vmpack-hypervisor",
            "vmpack-planner",
            "vmpack-probe-client",
        ],
    ),
    (
        "vmpack-probe",
        &["vmpack-domain", "vmpack-hypervisor", "vmpack-probe-client"],
    ),
    ("vmpack-probe-client", &["vmpack-domain"]),
    ("xtask", &[]),
];

/// Packages that only some of ours may name: the doors.
const DOORS: &[(&str, &[&str])] = &[
    ("good_lp", &["vmpack-ilp"]),
    ("highs", &["vmpack-ilp"]),
    ("highs-sys", &["vmpack-ilp"]),
    ("aya", &["vmpack-probe"]),
    ("virt", &["vmpack-hypervisor"]),
    ("virt-sys", &["vmpack-hypervisor"]),
    (
        "tokio",
        &["vmpack-probe", "vmpack-probe-client", "vmpack-executor"],
    ),
    (
        "rusqlite",
        &["vmpack-planner", "vmpack-probe", "vmpack-executor"],
    ),
];

#[test]
fn crates_use_what_the_house_says_no_more_and_no_less() {
    let uses = uses();
    let expected: BTreeMap<&str, BTreeSet<&str>> = USES
        .iter()
        .map(|(name, list)| (*name, list.iter().copied().collect()))
        .collect();
    let found: BTreeMap<&str, BTreeSet<&str>> = uses
        .iter()
        .filter(|(package, _)| *package != "vmpack-tests")
        .map(|(package, names)| {
            let ours = names.iter().filter(|n| uses.contains_key(*n));
            (package.as_str(), ours.map(String::as_str).collect())
        })
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn only_the_doors_name_what_lies_behind_them() {
    for (package, names) in uses() {
        for (behind, doors) in DOORS {
            assert!(
                !names.contains(*behind) || doors.contains(&package.as_str()),
                "{package} names {behind}, which only {doors:?} may"
            );
        }
    }
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for package in metadata().packages {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("a manifest");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{} does not",
            package.name
        );
    }
}

#[test]
fn files_stay_short_enough_to_read() {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "*.rs", "*.c", "*.h"])
        .current_dir(root())
        .output();
    let listed = listed.expect("git lists the files");
    let text = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    assert!(text.lines().count() > 10, "git lists no files");
    for path in text.lines() {
        let Ok(source) = std::fs::read_to_string(root().join(path)) else {
            continue;
        };
        let lines = source.lines().count();
        assert!(
            lines <= 620,
            "{path} has {lines} lines: a room with too much in it"
        );
    }
}
