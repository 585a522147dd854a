//! Is a host set up for safe migrations? Judged from what was read of it; reading stands in
//! [`Facts::of_this_host`] and in `cli/doctor.rs`.
//!
//! Post-copy keeps a guest's memory on two hosts for a while. What a host does when the link between
//! them dies in that time hangs on its kernel's and libvirt's settings.

use std::path::{Path, PathBuf};

use serde::Serialize;
use vmpack_hypervisor::{Method, Software, Version, recovery};

/// What was read of a host; what could not be read is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// libvirt's daemon and QEMU.
    pub software: Option<Software>,
    /// `net.ipv4.tcp_retries2`.
    pub tcp_retries: Option<u32>,
    /// `vm.unprivileged_userfaultfd`.
    pub userfaultfd: Option<u32>,
    /// Whether the user of QEMU is root, as `qemu.conf` says.
    pub qemu_is_root: Option<bool>,
    /// The folder of the certificates for migrations, and the files that it lacks.
    pub certificates: Option<(PathBuf, Vec<String>)>,
    /// Seconds between libvirt's keepalive messages, and how many may stay unanswered.
    pub keepalive: Option<(i64, i64)>,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Works, with a consequence that one should know.
    Advice,
    /// Some migration will fail, or fail badly.
    Trouble,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// How it is.
    pub grade: Grade,
    /// What was found, and what follows from it.
    pub found: String,
    /// What to do, where something is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

/// The files that QEMU wants for migrations under TLS.
const CERTIFICATES: [&str; 5] = [
    "ca-cert.pem",
    "server-cert.pem",
    "server-key.pem",
    "client-cert.pem",
    "client-key.pem",
];
/// And one that it does without, at a price.
const PARAMETERS: &str = "dh-params.pem";
/// Where they lie when nobody says otherwise.
const PKI: &str = "/etc/pki/qemu";
/// The first QEMU with `postcopy-preempt`.
const PREEMPT: Version = Version::of(7, 1, 0);

/// Judges what was read, in a fixed order; what was not read is not judged.
#[must_use]
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(software) = facts.software {
        findings.push(recovery_of(software));
        findings.push(faults_of(software));
    }
    findings.extend(facts.tcp_retries.map(dead_link));
    findings.extend(facts.keepalive.map(keepalive));
    if let Some((folder, lacks)) = &facts.certificates {
        findings.push(certificates(folder, lacks));
    }
    if let Some(unprivileged) = facts.userfaultfd {
        findings.push(userfaultfd(unprivileged, facts.qemu_is_root));
    }
    findings
}

/// Whether a broken post-copy between two hosts like this one can be resumed.
fn recovery_of(software: Software) -> Finding {
    let versions = format!("libvirt {}, QEMU {}", software.libvirt, software.qemu);
    let (grade, found, mend) = match recovery::method(software, software) {
        Ok(Method::Libvirt) => (
            Grade::Good,
            "a post-copy that breaks is resumed by libvirt".to_owned(),
            None,
        ),
        Ok(Method::Monitor) => (
            Grade::Advice,
            "a post-copy that breaks is resumed by QEMU's own commands, which nobody tried on these versions".to_owned(),
            Some("try it on a guest of no worth before you rely on it".to_owned()),
        ),
        Err(why) => (
            Grade::Trouble,
            format!("a post-copy that breaks is not resumed: {why}"),
            Some("use pre-copy (`migrations: { mode: pre-copy }`), or other versions".to_owned()),
        ),
    };
    Finding {
        what: "recovery",
        grade,
        found: format!("{versions}: {found}"),
        mend,
    }
}

fn faults_of(software: Software) -> Finding {
    let preempts = software.qemu >= PREEMPT;
    Finding {
        what: "page faults",
        grade: if preempts { Grade::Good } else { Grade::Advice },
        found: if preempts {
            format!(
                "QEMU {} can send pages that the guest waits for before others",
                software.qemu
            )
        } else {
            format!(
                "QEMU {} sends pages that the guest waits for behind all others: on a slow link it stands still for seconds after the switch",
                software.qemu
            )
        },
        mend: (!preempts).then(|| format!("QEMU {PREEMPT} or later")),
    }
}

/// How long TCP keeps trying on a dead link, in tenths of a second: the time-out doubles from 0.2 s up
/// to 120 s (Linux, Documentation/networking/ip-sysctl.rst, `tcp_retries2`).
fn patience(retries: u32) -> u64 {
    (0..=retries.min(255))
        .map(|n| 2u64.saturating_pow(n.min(20)).saturating_mul(2).min(1200))
        .sum()
}

fn dead_link(retries: u32) -> Finding {
    let seconds = patience(retries).div_ceil(10);
    let setting = format!("net.ipv4.tcp_retries2 = {retries}");
    // Short enough that a switch that restarts ends it.
    if seconds < 60 {
        return Finding {
            what: "dead link",
            grade: Grade::Advice,
            found: format!(
                "{setting}: a source gives a dead link up after {seconds} s, and its target never notices; the guest's post-copy is broken then and has to be resumed, on a second network or after the stale connection at the target is closed"
            ),
            mend: Some(
                "`sysctl net.ipv4.tcp_retries2=15` lets a link that comes back heal by itself; \
                 `ss --kill dst ADDRESS-OF-THE-SOURCE` at the target closes a stale connection"
                    .to_owned(),
            ),
        };
    }
    Finding {
        what: "dead link",
        grade: Grade::Good,
        found: format!(
            "{setting}: a post-copy whose link dies goes on by itself if it is back within {seconds} s; until then the guest stands still at every page that it lacks"
        ),
        mend: None,
    }
}

fn keepalive((interval, count): (i64, i64)) -> Finding {
    let what = "keepalive";
    if interval <= 0 || count <= 0 {
        return Finding {
            what,
            grade: Grade::Trouble,
            found: "libvirt sends no keepalive messages: a migration to a host that is dead hangs until TCP gives up".to_owned(),
            mend: Some("`keepalive_interval = 5` and `keepalive_count = 5` in qemu.conf and libvirtd.conf".to_owned()),
        };
    }
    let seconds = interval.saturating_mul(count.saturating_add(1));
    Finding {
        what,
        grade: Grade::Good,
        found: format!("libvirt takes a host that is silent for {seconds} s as gone"),
        mend: None,
    }
}

fn certificates(folder: &Path, lacks: &[String]) -> Finding {
    let what = "memory stream";
    let folder = folder.display();
    if lacks.is_empty() {
        return Finding {
            what,
            grade: Grade::Good,
            found: format!("certificates for encrypted migrations are in {folder}"),
            mend: None,
        };
    }
    if lacks == [PARAMETERS] {
        return Finding {
            what,
            grade: Grade::Advice,
            found: format!(
                "{folder} lacks {PARAMETERS}: QEMU 7.2 makes such parameters anew for each encrypted migration to this host, which took up to 2 s before the switch"
            ),
            mend: Some(format!(
                "a standard group is as good (RFC 7919): `openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out {folder}/{PARAMETERS}`"
            )),
        };
    }
    Finding {
        what,
        grade: Grade::Trouble,
        found: format!("{folder} lacks {}: encrypted migrations are refused", lacks.join(", ")),
        mend: Some(
            "put the host's certificates there (libvirt's page on TLS says how to make them), or say `migrations: { stream: plain }` in the policy where nobody else is on the network"
                .to_owned(),
        ),
    }
}

fn userfaultfd(unprivileged: u32, qemu_is_root: Option<bool>) -> Finding {
    let what = "post-copy";
    if unprivileged != 0 || qemu_is_root == Some(true) {
        return Finding {
            what,
            grade: Grade::Good,
            found: "QEMU may use userfaultfd".to_owned(),
            mend: None,
        };
    }
    Finding {
        what,
        grade: Grade::Trouble,
        found: "vm.unprivileged_userfaultfd = 0 and QEMU is not root: post-copy to this host is refused, unless QEMU may open /dev/userfaultfd".to_owned(),
        mend: Some("`sysctl vm.unprivileged_userfaultfd=1`".to_owned()),
    }
}

impl Facts {
    /// What can be read of the host that this runs on, below its root; versions are not among it.
    #[must_use]
    pub fn of_this_host(root: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
        let number = |path: &str| read(path)?.trim().parse().ok();
        let qemu = read("etc/libvirt/qemu.conf").unwrap_or_default();
        let said = |key: &str| setting(&qemu, key);
        let folder = said("migrate_tls_x509_cert_dir")
            .or_else(|| said("default_tls_x509_cert_dir"))
            .map_or_else(|| PathBuf::from(PKI), PathBuf::from);
        let below = root.join(folder.strip_prefix("/").unwrap_or(&folder));
        let wanted = CERTIFICATES.into_iter().chain([PARAMETERS]);
        let lacks = wanted.filter(|file| !below.join(file).exists());
        let lacks = lacks.map(str::to_owned).collect();
        // libvirt's own defaults.
        let seconds = |key: &str| said(key).map_or(Some(5), |text| text.parse().ok());
        Self {
            software: None,
            tcp_retries: number("proc/sys/net/ipv4/tcp_retries2"),
            userfaultfd: number("proc/sys/vm/unprivileged_userfaultfd"),
            qemu_is_root: said("user").map(|user| matches!(user.as_str(), "root" | "+0" | "0")),
            certificates: Some((folder, lacks)),
            keepalive: seconds("keepalive_interval").zip(seconds("keepalive_count")),
        }
    }
}

/// What a file of libvirt's settings says of a key, without its quotes; comments say nothing.
fn setting(text: &str, key: &str) -> Option<String> {
    let mut said = text.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches('"').to_owned())
    });
    said.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grades(facts: &Facts) -> Vec<(&'static str, Grade)> {
        let findings = examine(facts);
        findings.iter().map(|f| (f.what, f.grade)).collect()
    }

    #[test]
    fn recorded_hosts_are_judged_as_they_behaved() {
        let software = |libvirt, qemu| {
            let (a, b, c) = libvirt;
            let (d, e, f) = qemu;
            Facts {
                software: Some(Software {
                    libvirt: Version::of(a, b, c),
                    qemu: Version::of(d, e, f),
                }),
                ..Facts::default()
            }
        };
        let bookworm = software((9, 0, 0), (7, 2, 22));
        assert_eq!(
            grades(&bookworm),
            [("recovery", Grade::Good), ("page faults", Grade::Good)]
        );
        let backports = software((11, 3, 0), (10, 0, 2));
        assert_eq!(grades(&backports)[0], ("recovery", Grade::Trouble));
        let old = software((9, 0, 0), (6, 2, 0));
        assert_eq!(grades(&old)[1], ("page faults", Grade::Advice));
    }

    #[test]
    fn a_dead_link_is_given_up_as_the_kernel_documents() {
        // 924.6 s for the default of 15.
        assert_eq!(patience(15), 9246);
        assert_eq!(dead_link(15).grade, Grade::Good);
        assert_eq!(dead_link(3).grade, Grade::Advice);
        assert!(dead_link(3).found.contains("after 3 s"));
        assert_eq!(dead_link(255).grade, Grade::Good);
    }

    #[test]
    fn a_host_is_read_from_its_files() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/sys/net/ipv4/tcp_retries2", "15\n");
        write("proc/sys/vm/unprivileged_userfaultfd", "0\n");
        write(
            "etc/libvirt/qemu.conf",
            "#user = \"root\"\nuser = \"libvirt-qemu\"\nmigrate_tls_x509_cert_dir = \"/etc/pki/m\"\nkeepalive_count = 0\n",
        );
        for file in &CERTIFICATES[1..] {
            write(&format!("etc/pki/m/{file}"), "");
        }
        let facts = Facts::of_this_host(root.path());
        let lacks = vec!["ca-cert.pem".to_owned(), PARAMETERS.to_owned()];
        assert_eq!(facts.certificates, Some(("/etc/pki/m".into(), lacks)));
        assert_eq!(facts.qemu_is_root, Some(false));
        assert_eq!(
            grades(&facts),
            [
                ("dead link", Grade::Good),
                ("keepalive", Grade::Trouble),
                ("memory stream", Grade::Trouble),
                ("post-copy", Grade::Trouble),
            ]
        );
        write("etc/pki/m/ca-cert.pem", "");
        write("proc/sys/vm/unprivileged_userfaultfd", "1\n");
        let mended = grades(&Facts::of_this_host(root.path()));
        assert_eq!(mended[2], ("memory stream", Grade::Advice));
        write(&format!("etc/pki/m/{PARAMETERS}"), "");
        let mended = grades(&Facts::of_this_host(root.path()));
        assert_eq!(
            mended[2..],
            [("memory stream", Grade::Good), ("post-copy", Grade::Good)]
        );
    }
}
