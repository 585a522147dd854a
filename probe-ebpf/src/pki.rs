//! A small authority for a fleet's probes: makes its certificate, servers' and clients', all by
//! ECDSA on P-256. Nothing is overwritten unless it is to be renewed; keys are the owner's alone.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::ServerName;

use crate::tls;

/// The authority's name.
const AUTHORITY: &str = "vmpack probes";

/// The flags of `pki`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make the authority: ca.pem, which everyone gets, and ca.key, which signs and stays
    Ca {
        #[command(flatten)]
        common: Common,
        /// For how many days
        #[arg(long, value_name = "N", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
        days: u32,
    },
    /// Make a probe's certificate: NAME.pem and NAME.key
    Server {
        /// The host's name; by default also the name that it is reached by
        name: String,
        /// A name or address that the probe is reached by
        #[arg(long = "address", value_name = "NAME|IP")]
        addresses: Vec<String>,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        leaf: Leaf,
    },
    /// Make the certificate of whoever reads probes, such as Prometheus or `fetch`
    Client {
        /// Its name
        name: String,
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        leaf: Leaf,
    },
    /// Say until when the certificates in the folder are valid
    Show {
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, Args)]
struct Folder {
    /// Where the files are
    #[arg(long, value_name = "FOLDER", default_value = "pki")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    folder: Folder,
    /// Replace a certificate and key of that name
    #[arg(long)]
    renew: bool,
}

#[derive(Debug, Args)]
struct Leaf {
    /// For how many days
    #[arg(long, value_name = "N", default_value_t = 397, value_parser = clap::value_parser!(u32).range(1..=36500))]
    days: u32,
}

/// Carries it out.
pub(crate) fn pki(arguments: &Arguments) -> anyhow::Result<()> {
    let today = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
    match &arguments.what {
        What::Ca { common, days } => authority(common, last_day(today, *days)?, today),
        What::Server {
            name,
            addresses,
            common,
            leaf,
        } => {
            let mut names = addresses.clone();
            if names.is_empty() {
                names.push(name.clone());
            }
            for name in &names {
                let known = ServerName::try_from(name.as_str());
                known.with_context(|| {
                    format!("read address `{name}`, expected a host's name or IP address")
                })?;
            }
            let usage = ExtendedKeyUsagePurpose::ServerAuth;
            sign(
                common,
                name,
                names,
                usage,
                last_day(today, leaf.days)?,
                today,
            )
        }
        What::Client { name, common, leaf } => {
            let usage = ExtendedKeyUsagePurpose::ClientAuth;
            sign(
                common,
                name,
                Vec::new(),
                usage,
                last_day(today, leaf.days)?,
                today,
            )
        }
        What::Show { folder } => show(&folder.dir),
    }
}

fn last_day(today: Date, days: u32) -> anyhow::Result<Date> {
    let span = jiff::Span::new().try_days(days)?;
    today.checked_add(span).context("cannot count so many days")
}

fn authority(common: &Common, last: Date, today: Date) -> anyhow::Result<()> {
    let mut params = params(AUTHORITY, Vec::new(), today, last)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    write(common, "ca", &certificate.pem(), &key, last)
}

fn sign(
    common: &Common,
    name: &str,
    names: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
    last: Date,
    today: Date,
) -> anyhow::Result<()> {
    ensure!(
        name != "ca",
        "read the name `ca`, which the authority's files have"
    );
    let (pem, key) = (file(common, "ca", "pem"), file(common, "ca", "key"));
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read {}; `vmpack-probe pki ca` makes an authority",
                path.display()
            )
        })
    };
    let issuer_key =
        KeyPair::from_pem(&read(&key)?).with_context(|| format!("cannot use {}", key.display()))?;
    // As `authority` made it.
    let issuer = Issuer::new(params(AUTHORITY, Vec::new(), today, today)?, issuer_key);
    // Beyond the authority's last day it would not be believed.
    let last = last.min(expiry(&pem)?);
    ensure!(
        last > today,
        "{} has expired; renew it first",
        pem.display()
    );

    let server = names.first().cloned();
    let mut params = params(name, names, today, last)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    // Not so if ca.pem and ca.key are not of one authority, or of one that was not made here.
    tls::believe(&pem, certificate.der(), server.as_deref())?;
    write(common, name, &certificate.pem(), &key, last)
}

fn params(
    name: &str,
    names: Vec<String>,
    today: Date,
    last: Date,
) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::new(names)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    params.distinguished_name = subject;
    let day = |date: Date| {
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        date_time_ymd(i32::from(date.year()), month, day)
    };
    // Clocks differ.
    params.not_before = day(today.yesterday()?);
    params.not_after = day(last);
    Ok(params)
}

fn file(common: &Common, name: &str, extension: &str) -> PathBuf {
    common.folder.dir.join(format!("{name}.{extension}"))
}

/// Writes a certificate and its key, the key first: without it the certificate is of no use.
fn write(common: &Common, name: &str, pem: &str, key: &KeyPair, last: Date) -> anyhow::Result<()> {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    ensure!(
        plain && !name.starts_with('.') && !name.is_empty(),
        "read the name `{name}`, expected letters, digits, `-`, `_` and `.`: files are named by it"
    );
    let folder = &common.folder.dir;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = [
        (file(common, name, "key"), key.serialize_pem(), 0o600),
        (file(common, name, "pem"), pem.to_owned(), 0o644),
    ];
    if !common.renew {
        for (path, ..) in &files {
            ensure!(
                !path.exists(),
                "{} is there already; --renew replaces it",
                path.display()
            );
        }
    }
    for (path, text, mode) in &files {
        let mut part = tempfile::NamedTempFile::new_in(folder)?;
        part.write_all(text.as_bytes())?;
        part.as_file()
            .set_permissions(fs::Permissions::from_mode(*mode))?;
        part.as_file().sync_all()?;
        let kept = if common.renew {
            part.persist(path).map(drop)
        } else {
            part.persist_noclobber(path).map(drop)
        };
        kept.map_err(|e| e.error)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let [(key, ..), (pem, ..)] = files;
    writeln!(
        io::stdout(),
        "wrote {} and {}, valid until {last}",
        pem.display(),
        key.display()
    )?;
    Ok(())
}

/// The day on which a certificate expires.
fn expiry(pem: &Path) -> anyhow::Result<Date> {
    let chain = tls::certificates(pem)?;
    let seconds = chain.first().and_then(tls::expires);
    let stamp = seconds.and_then(|s| jiff::Timestamp::from_second(s).ok());
    let stamp = stamp.with_context(|| format!("read {}, which says no expiry", pem.display()))?;
    Ok(stamp.to_zoned(TimeZone::UTC).date())
}

fn show(folder: &Path) -> anyhow::Result<()> {
    let listed =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "pem"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!("no certificate is in {}", folder.display());
    }
    for path in files {
        writeln!(
            io::stdout(),
            "{}: valid until {}",
            path.display(),
            expiry(&path)?
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::{ClientConfig, RootCertStore};

    use super::*;
    use crate::client::{Address, Client, ClientError};
    use crate::serve::tests::{block_on, settings, start, steady};
    use crate::serve::wire::Health;
    use crate::tls::Files;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn make(folder: &Path, line: &str) -> anyhow::Result<()> {
        use clap::Parser;
        let words = ["pki"].into_iter().chain(line.split(' '));
        let folder = ["--dir", folder.to_str().unwrap()];
        pki(&Line::parse_from(words.chain(folder)).arguments)
    }

    fn files(folder: &Path, name: &str) -> Files {
        let file = |name: String| Some(folder.join(name));
        Files {
            cert: file(format!("{name}.pem")),
            key: file(format!("{name}.key")),
            ca: file("ca.pem".to_owned()),
        }
    }

    #[test]
    fn keys_are_the_owners_alone_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            make(folder.path(), "server h1").is_err(),
            "there is no authority"
        );
        make(folder.path(), "ca --days 30").unwrap();
        make(
            folder.path(),
            "server h1 --address 10.0.0.1 --address h1.example",
        )
        .unwrap();
        let mode = |name: &str| {
            let file = fs::metadata(folder.path().join(name)).unwrap();
            file.permissions().mode() & 0o777
        };
        assert_eq!(
            (mode("ca.key"), mode("h1.key"), mode("h1.pem")),
            (0o600, 0o600, 0o644)
        );
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        let before = (read("h1.pem"), read("h1.key"), read("ca.key"));
        for line in ["server h1", "ca", "client h1"] {
            let error = make(folder.path(), line).unwrap_err().to_string();
            assert!(error.contains("--renew replaces it"), "{error}");
        }
        for line in [
            "client ca",
            "client a/b",
            "client .x",
            "server h2 --address a,b",
        ] {
            assert!(make(folder.path(), line).is_err(), "{line}");
        }
        assert_eq!((read("h1.pem"), read("h1.key"), read("ca.key")), before);
        make(folder.path(), "server h1 --renew").unwrap();
        assert_ne!(read("h1.pem"), before.0);
        assert_ne!(read("h1.key"), before.1);
        // What it signs ends with the authority.
        let last = |name: &str| expiry(&folder.path().join(name)).unwrap();
        assert_eq!(last("h1.pem"), last("ca.pem"));
        let today = jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
        assert_eq!(last("ca.pem"), last_day(today, 30).unwrap());
        make(folder.path(), "ca --renew --days 20000").unwrap();
        // From 2050 on a certificate writes its times in another way.
        assert_eq!(last("ca.pem"), last_day(today, 20000).unwrap());
        // With another's key nothing is made.
        let other = tempfile::tempdir().unwrap();
        make(other.path(), "ca").unwrap();
        fs::copy(other.path().join("ca.key"), folder.path().join("ca.key")).unwrap();
        let error = make(folder.path(), "client x").unwrap_err().to_string();
        assert!(error.contains("cannot use the authority"), "{error}");
        assert!(!folder.path().join("x.pem").exists());
    }

    #[test]
    fn only_a_certificate_of_the_authority_opens_a_probe() {
        let (fleet, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [fleet.path(), others.path()] {
            make(folder, "ca").unwrap();
            make(folder, "server h1 --address 127.0.0.1").unwrap();
            make(folder, "client reader").unwrap();
        }
        let state = tempfile::tempdir().unwrap();
        let mut settings = settings(state.path());
        settings.tls = files(fleet.path(), "h1");
        let daemon = start(settings, steady(&["a"]));
        let ask = |scheme: &str, tls: Option<Arc<ClientConfig>>| {
            let client = Client {
                tls,
                patience: Duration::from_secs(10),
            };
            let address: Address = format!("{scheme}://{}", daemon.address).parse().unwrap();
            block_on(client.get::<Health>(&address, "/healthz", &[]))
        };
        let own = files(fleet.path(), "reader").client().unwrap();
        assert!(ask("https", own).unwrap().ok);

        // Without a certificate, though it trusts the server.
        let mut roots = RootCertStore::empty();
        for certificate in tls::certificates(&fleet.path().join("ca.pem")).unwrap() {
            roots.add(certificate).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let nobody = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let refused = ask("https", Some(Arc::new(nobody))).unwrap_err();
        assert!(
            refused.to_string().to_lowercase().contains("certificate"),
            "{refused}"
        );

        // One of another authority, that trusts ours.
        let mut stranger = files(others.path(), "reader");
        stranger.ca = Some(fleet.path().join("ca.pem"));
        assert!(ask("https", stranger.client().unwrap()).is_err());
        // A server's certificate is none of a client.
        let server = files(fleet.path(), "h1").client().unwrap();
        assert!(ask("https", server).is_err());
        // It trusts another authority than the probe's.
        let wary = files(others.path(), "reader").client().unwrap();
        assert!(matches!(ask("https", wary), Err(ClientError::Tls(_))));
        assert!(ask("http", None).is_err());
    }
}
