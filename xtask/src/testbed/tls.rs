//! Certificates for the memory that goes between hosts: a CA of the testbed's own, and for each host
//! one certificate by which its QEMU both serves and asks. They end with the testbed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Host;
use crate::command::{command, read};

/// Where a host's QEMU finds them; `etc/` is the host's own `/etc/libvirt`.
pub(super) const DIRECTORY: &str = "/etc/libvirt/pki";

/// The testbed's CA.
pub(super) struct Authority {
    key: PathBuf,
    certificate: PathBuf,
}

impl Authority {
    /// Makes one below the run directory.
    pub(super) fn make(run_directory: &Path) -> Result<Self> {
        let directory = run_directory.join("pki");
        private(&directory)?;
        let ca = Self {
            key: directory.join("ca-key.pem"),
            certificate: directory.join("ca-cert.pem"),
        };
        let mut openssl = new_key(&ca.key);
        openssl.args(["-x509", "-days", "30", "-subj", "/CN=vmpack testbed"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:TRUE"]);
        openssl.args(["-addext", "keyUsage=critical,keyCertSign"]);
        read(openssl.arg("-out").arg(&ca.certificate)).context("cannot make the testbed's CA")?;
        Ok(ca)
    }

    /// Gives a host its certificate.
    pub(super) fn admit(&self, host: &Host) -> Result<()> {
        let directory = host.directory.join("etc/pki");
        private(&directory)?;
        let (key, request) = (
            directory.join("server-key.pem"),
            directory.join("request.pem"),
        );
        let certificate = directory.join("server-cert.pem");
        let mut ask = new_key(&key);
        ask.args(["-subj", &format!("/CN={}", host.name)]);
        ask.arg("-addext").arg(format!(
            "subjectAltName=DNS:{},IP:{}",
            host.name, host.address
        ));
        ask.args(["-addext", "extendedKeyUsage=serverAuth,clientAuth"]);
        ask.args(["-addext", "keyUsage=critical,digitalSignature"]);
        read(ask.arg("-out").arg(&request))?;
        let mut sign = command(["openssl", "x509", "-req", "-days", "30", "-copy_extensions"]);
        sign.arg("copyall").arg("-in").arg(&request);
        sign.arg("-CA")
            .arg(&self.certificate)
            .arg("-CAkey")
            .arg(&self.key);
        read(sign.arg("-CAcreateserial").arg("-out").arg(&certificate))
            .with_context(|| format!("cannot make the certificate of {}", host.name))?;
        fs::copy(&self.certificate, directory.join("ca-cert.pem"))?;
        fs::copy(&key, directory.join("client-key.pem"))?;
        fs::copy(&certificate, directory.join("client-cert.pem"))?;
        // Without them QEMU 7.2 makes new ones for each migration to the host, for up to 2 s.
        let mut group = command(["openssl", "genpkey", "-genparam", "-algorithm", "DH"]);
        group.args(["-pkeyopt", "group:ffdhe2048", "-out"]);
        read(group.arg(directory.join("dh-params.pem")))?;
        fs::remove_file(&request)?;
        Ok(())
    }
}

/// `openssl req` with a new key, which only its owner may read.
fn new_key(key: &Path) -> std::process::Command {
    let mut openssl = command(["openssl", "req", "-new", "-newkey", "ec", "-nodes"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout"]);
    openssl.arg(key);
    openssl
}

fn private(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    Ok(())
}
