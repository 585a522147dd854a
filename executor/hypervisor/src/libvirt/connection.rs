//! Connections to libvirt's daemons.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::{Mutex, OnceLock, PoisonError};

use virt::connect::Connect;

use super::door::Hub;
use crate::Error;

/// Seconds between two keepalive messages, and how many may stay unanswered.
const KEEPALIVE: (i32, u32) = (5, 3);

/// An open connection; closed when it is dropped.
pub(super) struct Connection {
    connect: Connect,
    /// Machines that this host said it can run.
    runs: Mutex<BTreeSet<Machine<String>>>,
    hub: Hub,
}

/// Emulator, architecture, machine, hypervisor; what is not named is the host's default.
pub(super) type Machine<T> = [Option<T>; 4];

impl Connection {
    /// A connection that may act.
    pub(super) fn open(host: &str, uri: &str) -> Result<Self, Error> {
        Self::opened(host, uri, |u| Connect::open(Some(u)))
    }

    /// A connection that may only look.
    pub(super) fn open_read_only(host: &str, uri: &str) -> Result<Self, Error> {
        Self::opened(host, uri, |u| Connect::open_read_only(Some(u)))
    }

    fn opened(
        host: &str,
        uri: &str,
        open: impl FnOnce(&str) -> Result<Connect, virt::error::Error>,
    ) -> Result<Self, Error> {
        let unreachable = |cause: String| Error::Unreachable {
            host: host.to_owned(),
            uri: uri.to_owned(),
            cause,
        };
        run_event_loop().map_err(unreachable)?;
        // A NUL would end the text that libvirt reads.
        if uri.contains('\0') {
            return Err(unreachable("the uri has a NUL character in it".to_owned()));
        }
        let connect = open(uri).map_err(|e| unreachable(e.message().to_owned()))?;
        // A local driver without a daemon has no keepalive; then nothing can go silent either.
        if let Err(e) = connect.set_keep_alive(KEEPALIVE.0, KEEPALIVE.1) {
            tracing::debug!(uri, "no keepalive: {}", e.message());
        }
        Ok(Self {
            connect,
            runs: Mutex::default(),
            hub: Hub::default(),
        })
    }

    /// Who listens on it.
    pub(super) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Asks whether the host can run such a machine; the error is libvirt's answer that it cannot. What it
    /// said it can it is not asked again: that answer may come only once a migration to it is over.
    pub(super) fn runs(&self, machine: Machine<&str>) -> Result<(), virt::error::Error> {
        let key = machine.map(|text| text.map(str::to_owned));
        let known = || self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(&key) {
            return Ok(());
        }
        let [emulator, arch, kind, hypervisor] = machine;
        self.get_domain_capabilities(emulator, arch, kind, hypervisor, 0)?;
        known().insert(key);
        Ok(())
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

impl Deref for Connection {
    type Target = Connect;
    fn deref(&self) -> &Connect {
        &self.connect
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.hub.close(&self.connect);
        if let Err(e) = self.connect.close() {
            tracing::debug!("closing a connection: {}", e.message());
        }
    }
}

/// Starts the one thread of this process that carries libvirt's events and keepalive; it must run
/// before the first connection is opened.
fn run_event_loop() -> Result<(), String> {
    static STARTED: OnceLock<Result<(), String>> = OnceLock::new();
    let start = || {
        // Otherwise libvirt writes every error to stderr, also those that are answers.
        virt::error::clear_error_callback();
        virt::event::event_register_default_impl().map_err(|e| e.message().to_owned())?;
        std::thread::Builder::new()
            .name("libvirt-events".to_owned())
            .spawn(|| {
                loop {
                    if let Err(e) = virt::event::event_run_default_impl() {
                        tracing::warn!("libvirt's event loop: {}", e.message());
                        std::thread::sleep(std::time::Duration::from_millis(100));
                    }
                }
            })
            .map(|_| ())
            .map_err(|e| format!("cannot start the event thread: {e}"))
    };
    STARTED.get_or_init(start).clone()
}
