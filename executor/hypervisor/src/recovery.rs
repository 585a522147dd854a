//! By which way a broken post-copy is resumed, by the versions of libvirt and QEMU at its two ends.
//! What was measured or is documented of each version stands in one table.

use std::fmt;

/// A version as libvirt counts: 9.0.0 is 9,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u64);

impl Version {
    /// From its three numbers.
    #[must_use]
    pub const fn of(major: u64, minor: u64, release: u64) -> Self {
        Self(major * 1_000_000 + minor * 1000 + release)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0;
        write!(f, "{}.{}.{}", n / 1_000_000, n / 1000 % 1000, n % 1000)
    }
}

/// What runs on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Software {
    /// The daemon.
    pub libvirt: Version,
    /// The hypervisor that it starts.
    pub qemu: Version,
}

/// How a broken post-copy is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By libvirt's `VIR_MIGRATE_POSTCOPY_RESUME`.
    Libvirt,
    /// By QEMU's own commands through libvirt's monitor passage: `migrate-pause` at the source,
    /// `migrate-recover` at the target, then `migrate` with `resume` at the source.
    Monitor,
}

/// What is known of a span of libvirt's versions.
struct Known {
    /// The first version of the span; it goes to the next entry.
    from: Version,
    way: Result<Method, &'static str>,
}

/// In rising order of versions. 9.0.0 and 11.3.0 were measured, with QEMU 7.2 and 10.0; of those
/// in between nothing is, so they go by QEMU's documented way.
const LIBVIRT: &[Known] = &[
    Known {
        from: Version(0),
        way: Err("libvirt before 8.5.0 ends a guest whose post-copy breaks"),
    },
    Known {
        from: Version::of(8, 5, 0),
        way: Ok(Method::Monitor),
    },
    Known {
        from: Version::of(9, 0, 0),
        way: Ok(Method::Libvirt),
    },
    Known {
        from: Version::of(9, 1, 0),
        way: Ok(Method::Monitor),
    },
    Known {
        from: Version::of(11, 3, 0),
        way: Err("resuming crashes the libvirtd of the target (measured, 2 of 2)"),
    },
    Known {
        from: Version::of(11, 3, 1),
        way: Ok(Method::Monitor),
    },
];

/// The first QEMU that can resume a broken post-copy.
const QEMU: Version = Version::of(3, 0, 0);

/// How a post-copy that broke between two such hosts is resumed.
///
/// # Errors
/// Why it must not be tried.
pub fn method(source: Software, target: Software) -> Result<Method, String> {
    let mut way = Method::Libvirt;
    for (role, software) in [("source", source), ("target", target)] {
        if software.qemu < QEMU {
            return Err(format!(
                "QEMU {} at the {role} cannot resume a broken post-copy, {QEMU} and later can",
                software.qemu
            ));
        }
        let known = LIBVIRT.iter().rev().find(|k| k.from <= software.libvirt);
        match known.map(|k| k.way) {
            Some(Ok(Method::Libvirt)) => {}
            Some(Ok(Method::Monitor)) | None => way = Method::Monitor,
            Some(Err(why)) => {
                return Err(format!("libvirt {} at the {role}: {why}", software.libvirt));
            }
        }
    }
    Ok(way)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(libvirt: (u64, u64, u64), qemu: (u64, u64, u64)) -> Software {
        let of = |(a, b, c)| Version::of(a, b, c);
        Software {
            libvirt: of(libvirt),
            qemu: of(qemu),
        }
    }

    #[test]
    fn what_was_measured_of_a_version_decides() {
        let bookworm = host((9, 0, 0), (7, 2, 22));
        let backports = host((11, 3, 0), (10, 0, 2));
        let between = host((10, 0, 0), (8, 2, 2));
        let old = host((7, 0, 0), (5, 2, 0));
        assert_eq!(method(bookworm, bookworm), Ok(Method::Libvirt));
        assert_eq!(method(between, between), Ok(Method::Monitor));
        assert_eq!(method(bookworm, between), Ok(Method::Monitor));
        for (from, to) in [(bookworm, backports), (backports, bookworm)] {
            let why = method(from, to).unwrap_err();
            assert!(
                why.contains("libvirt 11.3.0") && why.contains("crashes"),
                "{why}"
            );
        }
        assert!(method(old, old).unwrap_err().contains("libvirt 7.0.0"));
        let ancient = host((9, 0, 0), (2, 12, 0));
        assert!(
            method(bookworm, ancient)
                .unwrap_err()
                .contains("QEMU 2.12.0")
        );
    }
}
