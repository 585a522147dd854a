//! A real Prometheus server reads the metrics, and answers the query for a guest's run delay.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::tests::{settings, start, steady, wait_for};

/// Prometheus as Debian packs it: installed, or unpacked below `target/`, which root does here where
/// apt can reach it, so that no service is installed and started.
fn prometheus() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&path)
        .map(|folder| folder.join("prometheus"))
        .find(|program| program.is_file())
    {
        return Ok(found);
    }
    let test = std::env::current_exe().map_err(|e| e.to_string())?;
    let target = test
        .ancestors()
        .nth(3)
        .ok_or("the test is not below target/")?;
    let folder = target.join("testbed-cache/prometheus");
    let program = folder.join("usr/bin/prometheus");
    if program.is_file() {
        return Ok(program);
    }
    if !nix::unistd::geteuid().is_root() {
        return Err("it is not installed, and only root may fetch it".to_owned());
    }
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let script = "apt-get download -q prometheus >/dev/null 2>&1 \
                  && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb";
    let unpacked = Command::new("sh")
        .args(["-c", script])
        .current_dir(&folder)
        .status();
    match unpacked {
        Ok(status) if status.success() && program.is_file() => Ok(program),
        _ => Err("it is not installed, and apt-get cannot fetch it".to_owned()),
    }
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(program: &Path, folder: &Path, port: u16, target: &str) -> Server {
    let config = folder.join("prometheus.yml");
    let text = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
- {{ job_name: vmpack, static_configs: [{{ targets: ['{target}'] }}] }}
"
    );
    std::fs::write(&config, text).unwrap();
    let server = Command::new(program)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Server(server.unwrap())
}

/// The values that a query gives.
fn query(port: u16, query: &str) -> Option<Vec<(String, f64)>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let path = format!("/api/v1/query?query={query}");
    write!(stream, "GET {path} HTTP/1.0\r\nhost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let answer: serde_json::Value = serde_json::from_str(body).ok()?;
    let results = answer["data"]["result"].as_array()?;
    results
        .iter()
        .map(|result| {
            let guest = result["metric"]["guest"].as_str().unwrap_or_default();
            let value = result["value"][1].as_str()?.parse().ok()?;
            Some((guest.to_owned(), value))
        })
        .collect()
}

#[test]
fn prometheus_answers_the_query_for_a_guests_run_delay() {
    let program = match prometheus() {
        Ok(program) => program,
        Err(why) => {
            // Past the capture of a test's output, so that it is counted.
            let _ = writeln!(std::io::stderr(), "skipped: a Prometheus server: {why}");
            return;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(settings(folder.path()), steady(&["a", "b\"\\"]));
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let _server = run(&program, folder.path(), port, &daemon.address.to_string());
    // The made guests wait 5 ms in every 100: by the sum since the start, and by its rate.
    let delays = wait_for(|| {
        query(port, "vmpack_guest_cpu_run_delay_seconds_total").filter(|found| found.len() == 2)
    });
    let names: Vec<&str> = delays.iter().map(|(guest, _)| guest.as_str()).collect();
    assert_eq!(names, ["a", "b\"\\"]);
    assert!(
        delays.iter().all(|(_, seconds)| *seconds >= 3.0),
        "{delays:?}"
    );
    let rate = wait_for(|| {
        let rate = query(
            port,
            "rate(vmpack_guest_cpu_run_delay_seconds_total{guest=%22a%22}[30s])",
        )?;
        rate.into_iter()
            .map(|(_, value)| value)
            .find(|value| *value > 0.0)
    });
    // Ticks and scrapes are of this machine's load; the demand is not.
    assert!(rate < 1.0, "{rate}");
    let demand = query(port, "vmpack_guest_cpu_demand_cores{statistic=%22p95%22}").unwrap();
    assert_eq!(demand, [("a".to_owned(), 0.5), ("b\"\\".to_owned(), 0.5)]);
}
