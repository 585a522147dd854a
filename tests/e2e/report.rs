//! The page that `--report` writes, as a browser shows it. Without Chromium that part says so and is
//! skipped.

use std::path::Path;
use std::process::Command;

use crate::daemon::{skip, there};
use crate::{bin, root};

const CLUSTER: &str = "apiVersion: vmpack/v1
kind: Cluster
hosts:
  - { name: h1, cpu: 8cores, memory: 16GiB, network: 1250MiB/s, state: on }
  - { name: h2, cpu: 8cores, memory: 16GiB, network: 1250MiB/s, state: on }
guests:
  - { name: \"<script>document.title='taken'</script>\", vcpus: 2, memory: 2GiB, host: h1 }
  - { name: \"<img src=x onerror=alert(1)>\", vcpus: 2, memory: 2GiB, host: h2 }
";
const LOAD: &str = "apiVersion: vmpack/v1
kind: Load
guests:
  \"<script>document.title='taken'</script>\": { cpu: { p95: 1cores }, dirty: 90000pages/s }
  \"<img src=x onerror=alert(1)>\": { cpu: { p95: 1cores, windows: { start: 2026-01-05T00:00:00Z, step: 300s, values: [0.5, 1] } }, dirty: 90000pages/s }
";

/// The browser, where there is one.
fn chromium() -> Option<&'static str> {
    let mut names = ["chromium", "chromium-browser", "google-chrome"].into_iter();
    names.find(|name| there(name))
}

fn browse(browser: &str, home: &Path, more: &[&str], page: &Path) -> String {
    let ran = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .arg(format!(
            "--user-data-dir={}",
            home.join("profile").display()
        ))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .env("HOME", home)
        .output()
        .expect("the browser runs");
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8_lossy(&ran.stdout).into_owned()
}

#[test]
fn a_browser_shows_the_report_and_nothing_of_the_input_is_markup() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("cluster.yaml", CLUSTER), ("load.yaml", LOAD)] {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let inputs = [
        "--cluster",
        "cluster.yaml",
        "--load",
        "load.yaml",
        "--nodes",
        "50",
    ];
    for (command, file) in [
        (&["plan"][..], "plan.html"),
        (
            &["whatif", "--fail", "h1", "--scale-load", "1.5"],
            "whatif.html",
        ),
    ] {
        let ran = Command::new(bin("vmpack"))
            .args(command)
            .args(inputs)
            .args(["--report", file])
            .current_dir(folder.path())
            .output()
            .expect("vmpack runs");
        assert!(ran.status.success(), "{ran:?}");
    }
    // What comes of the plan.
    for (program, arguments) in [
        (
            "vmpack",
            &["plan", "--nodes", "50", "--output", "plan.yaml"][..],
        ),
        (
            "vmpack-executor",
            &[
                "apply",
                "plan.yaml",
                "--simulated",
                "--yes",
                "--journal",
                "run.db",
                "--report",
                "apply.html",
            ],
        ),
    ] {
        let ran = Command::new(bin(program))
            .args(arguments)
            .args(["--cluster", "cluster.yaml", "--load", "load.yaml"])
            .current_dir(folder.path())
            .output()
            .expect("it runs");
        assert!(ran.status.success(), "{ran:?}");
    }
    let Some(browser) = chromium() else {
        return skip(
            "the report",
            "no chromium, chromium-browser or google-chrome on PATH",
        );
    };
    let page = folder.path().join("plan.html");
    let dom = browse(browser, folder.path(), &["--dump-dom"], &page);
    // What the script drew stands before the data.
    let drawn = dom.split("id=\"data\"").next().expect("a page");
    for part in [
        "2 → 1 hosts",
        "<section id=\"bound\"",
        "data-host=\"h2\"",
        "id=\"matrix\"",
        "data-move=",
        "class=\"split\"",
        "<section id=\"load\"",
        "id=\"reasons\"",
        "&lt;script&gt;document.title='taken'&lt;/script&gt;",
        "&lt;img src=x onerror=alert(1)&gt;",
    ] {
        assert!(drawn.contains(part), "{part} is not in {drawn}");
    }
    assert!(dom.contains("data-drawn=\"yes\""), "the script ended early");
    assert!(dom.contains("<title>vmpack: plan</title>"));
    assert!(!drawn.contains("<img") && !drawn.contains("<script>"));
    let dom = browse(
        browser,
        folder.path(),
        &["--dump-dom"],
        &folder.path().join("whatif.html"),
    );
    for part in [
        "id=\"versus\"",
        "data-drawn=\"yes\"",
        "<li>lose h1: its guests start elsewhere</li><li>load of all guests times 1.5</li>",
        ">guests to start</td>",
        "not there any more",
    ] {
        assert!(dom.contains(part), "{part} is not in {dom}");
    }
    let done = folder.path().join("apply.html");
    let dom = browse(browser, folder.path(), &["--dump-dom"], &done);
    for part in [
        "1 of 1 move carried out",
        "id=\"outcome-1\"",
        "class=\"planned\"",
        "class=\"measured\"",
        "class=\"split\"",
        "id=\"moves-1\"",
        "accepted: the plan of ",
    ] {
        assert!(dom.contains(part), "{part} is not in {dom}");
    }
    assert!(!dom.contains("<img") && !dom.contains("<script"));
    // Kept for a person to look at.
    let kept = root().join("target/report");
    std::fs::create_dir_all(&kept).expect("a folder");
    let shot = kept.join("plan.png");
    let _ = std::fs::remove_file(&shot);
    let shoot = format!("--screenshot={}", shot.display());
    browse(
        browser,
        folder.path(),
        &[&shoot, "--window-size=1200,1600"],
        &page,
    );
    let bytes = std::fs::read(&shot).expect("a screenshot");
    assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 10_000);
}
