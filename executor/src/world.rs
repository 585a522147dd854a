//! Which hosts a run acts on: real ones through libvirt, or a simulated world. It is written to
//! the journal, so that a run can be resumed without being told again.
//!
//! A simulated world lives in the executor's process and would die with it. So each change of
//! place is written to a file beside the journal as it happens; a resumed run finds its guests
//! where the migrations had left them, as it would find real ones.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use vmpack_domain::file::{InputError, Source, read_cluster, write_cluster};
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, GuestName, HostName, Load, Mode};
use vmpack_hypervisor::libvirt::Libvirt;
use vmpack_hypervisor::simulated::Simulated;
use vmpack_hypervisor::{
    Claims, Error, Health, Hypervisor, Lease, Located, Method, MigrationEvent, MigrationFailure,
    MigrationReport, MigrationRequest, Software, Weights, sim,
};

/// The hosts of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum World {
    /// Real hosts.
    Libvirt {
        /// The snapshot that names their URIs, and what only the operator knows of them.
        cluster: Cluster,
    },
    /// Simulated hosts.
    #[serde(rename_all = "kebab-case")]
    Simulated {
        /// As it was at first.
        cluster: Cluster,
        /// What the guests do; it decides how long migrations take.
        load: Load,
        /// Of the jitter.
        seed: u64,
        /// Virtual seconds per second; without it, virtual time jumps.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        speed_up: Option<u32>,
    },
}

/// Why the hosts cannot be acted on.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The hypervisor's door did not open.
    #[error(transparent)]
    Hypervisor(#[from] Error),
    /// The simulated world's file is not the cluster that it should be.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The simulated world's file cannot be read back or written.
    #[error("simulated world {path}: {cause}")]
    State {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
}

impl World {
    /// How long is waited before a second try: hardly at all where time is not the real one.
    #[must_use]
    pub fn back_off(&self) -> Micros {
        match self {
            Self::Libvirt { .. } => Micros::secs(2),
            Self::Simulated { .. } => Micros::millis(10),
        }
    }

    /// The labels of its hosts.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<HostName, BTreeMap<String, String>> {
        let (Self::Libvirt { cluster } | Self::Simulated { cluster, .. }) = self;
        let hosts = cluster.hosts.iter();
        hosts.map(|h| (h.name.clone(), h.labels.clone())).collect()
    }

    /// In what it is another world than `asked`, so that a run in it is not what was asked for.
    /// How fast simulated time goes by makes no other world.
    #[must_use]
    pub fn differs(&self, asked: &Self) -> Option<&'static str> {
        match (self, asked) {
            (Self::Libvirt { .. }, Self::Simulated { .. }) => {
                Some("it acts on real hosts, a simulation is asked for")
            }
            (Self::Simulated { .. }, Self::Libvirt { .. }) => {
                Some("it is a simulation, real hosts are asked for")
            }
            (Self::Libvirt { cluster: its }, Self::Libvirt { cluster }) => {
                (its != cluster).then_some("it acts on another cluster than is asked for")
            }
            (
                Self::Simulated {
                    cluster: its_cluster,
                    load: its_load,
                    seed: its_seed,
                    ..
                },
                Self::Simulated {
                    cluster,
                    load,
                    seed,
                    ..
                },
            ) => {
                if its_cluster != cluster {
                    Some("it simulates another cluster than is asked for")
                } else if its_load != load {
                    Some("it simulates another load than is asked for")
                } else {
                    (its_seed != seed).then_some("it is simulated with another seed")
                }
            }
        }
    }

    /// In what it acts on other hosts than `asked`: what it began there cannot be carried on here. Hosts that came, guests, and
    /// what else a cluster file says of hosts, may have changed since.
    #[must_use]
    pub fn is_elsewhere(&self, asked: &Self) -> Option<&'static str> {
        let ways = |cluster: &Cluster| -> BTreeMap<HostName, Option<String>> {
            let hosts = cluster.hosts.iter();
            hosts.map(|h| (h.name.clone(), h.uri.clone())).collect()
        };
        match (self, asked) {
            (Self::Libvirt { cluster: its }, Self::Libvirt { cluster })
            | (Self::Simulated { cluster: its, .. }, Self::Simulated { cluster, .. }) => {
                let (its, asked) = (ways(its), ways(cluster));
                let there =
                    |(host, uri): (&HostName, &Option<String>)| asked.get(host) == Some(uri);
                let all = its.iter().all(there);
                (!all).then_some("it acts on other hosts than are asked for")
            }
            _ => self.differs(asked),
        }
    }

    /// The hosts, for a new run. A simulated world begins as its cluster says.
    ///
    /// # Errors
    /// When they cannot be reached, or the simulated world's file not be written.
    pub fn open(&self, state: &Path) -> Result<Arc<dyn Hypervisor>, WorldError> {
        match self {
            Self::Libvirt { cluster } => Ok(Arc::new(Libvirt::from_cluster(cluster)?)),
            Self::Simulated { cluster, .. } => {
                let failed = |e: std::io::Error| WorldError::State {
                    path: state.to_owned(),
                    cause: e.to_string(),
                };
                write_atomically(state, &write_cluster(cluster)).map_err(failed)?;
                Ok(Arc::new(self.simulated(cluster.clone(), state)))
            }
        }
    }

    /// The hosts, for a run that another process began. A simulated world is as that one left it.
    ///
    /// # Errors
    /// When they cannot be reached, or the simulated world's file not be read.
    pub fn reopen(&self, state: &Path) -> Result<Arc<dyn Hypervisor>, WorldError> {
        if let Self::Libvirt { .. } = self {
            return self.open(state);
        }
        let text = std::fs::read_to_string(state).map_err(|e| WorldError::State {
            path: state.to_owned(),
            cause: e.to_string(),
        })?;
        let source = Source {
            name: state.display().to_string(),
            text,
        };
        let cluster = read_cluster(&[source])?;
        Ok(Arc::new(self.simulated(cluster, state)))
    }

    /// The hosts only to look at: nothing is written.
    ///
    /// # Errors
    /// When they cannot be reached.
    pub fn look(&self) -> Result<Arc<dyn Hypervisor>, WorldError> {
        Ok(match self {
            Self::Libvirt { cluster } => Arc::new(Libvirt::from_cluster(cluster)?),
            Self::Simulated { cluster, load, .. } => Arc::new(Simulated::new(
                cluster.clone(),
                load.clone(),
                sim::Options::default(),
            )),
        })
    }

    fn simulated(&self, cluster: Cluster, state: &Path) -> Kept {
        let (load, seed, speed_up) = match self {
            Self::Libvirt { .. } => (Load::default(), 0, None),
            Self::Simulated {
                load,
                seed,
                speed_up,
                ..
            } => (load.clone(), *seed, *speed_up),
        };
        let options = sim::Options {
            seed,
            ..sim::Options::default()
        };
        let world = Simulated::new(cluster.clone(), load, options);
        Kept::new(
            match speed_up {
                Some(times) => world.paced(times),
                None => world,
            },
            cluster,
            state,
        )
    }
}

/// A simulated world whose placement is kept in a file.
#[derive(Debug)]
pub struct Kept {
    world: Simulated,
    cluster: Mutex<Cluster>,
    file: PathBuf,
}

impl Kept {
    /// That world, which begins as that cluster, kept in that file.
    #[must_use]
    pub fn new(world: Simulated, cluster: Cluster, file: &Path) -> Self {
        Self {
            world,
            cluster: Mutex::new(cluster),
            file: file.to_owned(),
        }
    }

    /// Execution is at that host now; a migration past its switch ends well without us.
    fn keep(&self, guest: &GuestName, at: &HostName) {
        let mut cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let found = cluster.guests.iter_mut().find(|g| g.name == *guest);
        match found {
            Some(found) if found.host.as_ref() != Some(at) => found.host = Some(at.clone()),
            _ => return,
        }
        if let Err(e) = write_atomically(&self.file, &write_cluster(&cluster)) {
            tracing::error!("simulated world {}: {e}", self.file.display());
        }
    }
}

impl Hypervisor for Kept {
    fn snapshot(&self) -> Result<Cluster, Error> {
        self.world.snapshot()
    }
    fn survey(&self, host: &HostName) -> Result<Cluster, Error> {
        self.world.survey(host)
    }
    fn locate(&self, guest: &GuestName, expected: &[&HostName]) -> Located {
        self.world.locate(guest, expected)
    }
    fn tidy(&self, guest: &GuestName, ends: (&HostName, &HostName)) -> Result<(), Error> {
        self.world.tidy(guest, ends)
    }
    fn migrate(
        &self,
        request: &MigrationRequest,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        let report = self.world.migrate(request, &mut |event| {
            if matches!(event, MigrationEvent::Switched { .. }) {
                self.keep(&request.guest, &request.to);
            }
            told(event);
        })?;
        self.keep(&request.guest, &request.to);
        Ok(report)
    }
    fn recover(
        &self,
        request: &MigrationRequest,
        method: Method,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        self.world.recover(request, method, told)
    }
    fn abort(&self, guest: &GuestName, from: &HostName) -> Result<(), Error> {
        self.world.abort(guest, from)
    }
    fn obstacles(
        &self,
        guest: &GuestName,
        ends: (&HostName, &HostName),
        mode: Mode,
    ) -> Result<Vec<String>, Error> {
        self.world.obstacles(guest, ends, mode)
    }
    fn software(&self, host: &HostName) -> Result<Software, Error> {
        self.world.software(host)
    }
    fn claims(&self, guest: &GuestName, host: &HostName) -> Result<Claims, Error> {
        self.world.claims(guest, host)
    }
    fn set_lease(
        &self,
        guest: &GuestName,
        host: &HostName,
        lease: Option<&Lease>,
    ) -> Result<(), Error> {
        self.world.set_lease(guest, host, lease)
    }
    fn health(&self, guest: &GuestName, host: &HostName) -> Result<Health, Error> {
        self.world.health(guest, host)
    }
    fn weights(&self, host: &HostName) -> Result<Option<Weights>, Error> {
        self.world.weights(host)
    }
    fn set_shares(&self, guest: &GuestName, host: &HostName, shares: u64) -> Result<(), Error> {
        self.world.set_shares(guest, host, shares)
    }
    fn now(&self) -> Micros {
        self.world.now()
    }
    fn wait(&self, span: Micros) {
        self.world.wait(span);
    }
}

/// Whether [`write_atomically`] could write there now.
///
/// # Errors
/// The system's.
pub fn writable(path: &Path) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        let mut options = std::fs::OpenOptions::new();
        return options.write(true).open(path).map(drop);
    }
    beside(path).map(drop)
}

/// The file that is meant, a link followed, and a new one in its folder.
fn beside(path: &Path) -> std::io::Result<(PathBuf, tempfile::NamedTempFile)> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let file = tempfile::Builder::new()
        .prefix(".vmpack-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(dir)?;
    Ok((path, file))
}

/// Writes a file beside its place and moves it there, so that nobody sees half of it. Its mode is
/// that of any new file, 0666 less the umask.
///
/// # Errors
/// The system's.
pub fn write_atomically(path: &Path, text: &str) -> std::io::Result<()> {
    // A link is followed; what is no regular file (a device, a pipe) is written into, not replaced.
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        let mut open = std::fs::OpenOptions::new().write(true).open(path)?;
        return open.write_all(text.as_bytes());
    }
    let (path, mut file) = beside(path)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}
