//! Probes that are made up: they tell over the wire what their hosts' guests want, wherever the simulated
//! world has those guests at the time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use vmpack_domain::file::{Source, read_cluster};
use vmpack_domain::{Cluster, GuestName, HostName};

/// Twenty times a second; a real probe speaks ten times.
const TICK: Duration = Duration::from_millis(50);

/// The probes of a cluster's hosts.
pub(super) struct Fleet {
    state: Arc<Mutex<State>>,
    /// By host, where its probe listens.
    pub(super) addresses: BTreeMap<HostName, SocketAddr>,
}

struct State {
    cluster: Cluster,
    /// Where a simulated world keeps its guests' places, once there is one.
    world: PathBuf,
    /// In thousandths of a core; 1000 where nothing stands.
    wants: BTreeMap<GuestName, u64>,
    silent: BTreeSet<HostName>,
    streams: Vec<(HostName, TcpStream)>,
    ended: bool,
}

pub(super) fn read(path: &Path) -> Option<Cluster> {
    let text = std::fs::read_to_string(path).ok()?;
    let name = path.display().to_string();
    Some(read_cluster(&[Source { name, text }]).expect("a cluster"))
}

impl Fleet {
    pub(super) fn of(cluster: &Path, world: PathBuf) -> Self {
        let cluster = read(cluster).expect("the cluster's file");
        let hosts: Vec<HostName> = cluster.hosts.iter().map(|h| h.name.clone()).collect();
        let state = Arc::new(Mutex::new(State {
            cluster,
            world,
            wants: BTreeMap::new(),
            silent: BTreeSet::new(),
            streams: Vec::new(),
            ended: false,
        }));
        let listen = |host: HostName| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("its address");
            let (state, name) = (Arc::clone(&state), host.clone());
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    admit(&state, &name, stream);
                }
            });
            (host, address)
        };
        let addresses = hosts.into_iter().map(listen).collect();
        let speaker = Arc::clone(&state);
        std::thread::spawn(move || {
            loop {
                if !lock(&speaker).speak() {
                    return;
                }
                std::thread::sleep(TICK);
            }
        });
        Self { state, addresses }
    }

    /// From now on the guest wants so many thousandths of a core.
    pub(super) fn want(&self, guest: &str, mcores: u64) {
        let guest = guest.parse().expect("a guest's name");
        lock(&self.state).wants.insert(guest, mcores);
    }

    /// The host's probe is not heard any more, or again.
    pub(super) fn silence(&self, host: &str, silent: bool) {
        let host: HostName = host.parse().expect("a host's name");
        let mut state = lock(&self.state);
        if silent {
            state.streams.retain(|(h, _)| *h != host);
            state.silent.insert(host);
        } else {
            state.silent.remove(&host);
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        lock(&self.state).ended = true;
    }
}

/// In microseconds of Unix time.
fn now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_micros()).unwrap()
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers a request; a host that is silent hangs up.
fn admit(state: &Mutex<State>, host: &HostName, mut stream: TcpStream) {
    let mut state = lock(state);
    if state.silent.contains(host) || state.ended {
        return;
    }
    let mut lines = BufReader::new(&stream).lines();
    while lines
        .next()
        .and_then(Result::ok)
        .is_some_and(|l| !l.is_empty())
    {}
    let hello =
        json!({ "type": "hello", "api": 1, "version": "0", "host": host, "now_us": now_us() });
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    if writeln!(stream, "{head}{hello}").is_ok() {
        state.streams.push((host.clone(), stream));
    }
}

impl State {
    /// Whether anybody listens still.
    fn speak(&mut self) -> bool {
        let placement =
            read(&self.world).map_or_else(|| self.cluster.placement(), |c| c.placement());
        let (cluster, wants) = (&self.cluster, &self.wants);
        let line = |host: &HostName| {
            let guests = cluster.guests.iter();
            let guests = guests.filter(|g| placement.get(&g.name) == Some(host));
            let guest = |g: &vmpack_domain::Guest| {
                let wanted = wants.get(&g.name).copied().unwrap_or(1000);
                json!({
                    "guest": g.name, "uuid": "00000000-0000-0000-0000-000000000001", "vcpus": g.vcpus,
                    "tier": "ebpf", "length_us": 50_000, "run_ns": 0, "run_delay_ns": 0,
                    "demand_mcores": [wanted, wanted, wanted],
                })
            };
            let guests: Vec<_> = guests.map(guest).collect();
            json!({ "type": "windows", "end_us": now_us(), "host_mcores": 10_000, "guests": guests })
        };
        self.streams
            .retain_mut(|(host, stream)| writeln!(stream, "{}", line(host)).is_ok());
        !self.ended
    }
}
