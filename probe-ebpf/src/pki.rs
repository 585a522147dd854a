//! A small authority for a fleet's probes: makes its certificate, servers' and clients', all by
//! ECDSA on P-256. Nothing is overwritten unless it is to be renewed; keys are the owner's alone.

#[cfg(test)]
mod tests;

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
use vmpack_domain::units::count;

use crate::tls::{self, Side};

/// The authority's name.
const AUTHORITY: &str = "vmpack probes";

/// What was given cannot be used, or is there already.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unfit(String);

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
        /// The host's name, by which the probe is reached too
        name: String,
        /// Another name or address that it is reached by; with --renew and none, all of the old one's stay
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
    /// Say until when the certificates in the folder are valid, for whom, and what is wrong with them
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
            let old = renewed(common, name, Side::Server)?;
            let mut names = match (addresses.as_slice(), old.as_slice()) {
                ([], [_, ..]) => old.clone(),
                (others, _) => {
                    let others = others.iter().filter(|other| *other != name);
                    std::iter::once(name).chain(others).cloned().collect()
                }
            };
            // A name that nobody can be reached by names the files alone.
            if names.len() > 1 && ServerName::try_from(name.as_str()).is_err() {
                names.retain(|other| other != name);
            }
            for left in old.iter().filter(|old| !names.contains(old)) {
                let _ = writeln!(
                    io::stderr(),
                    "note: the new certificate is not for `{left}`, as the old one was"
                );
            }
            for name in &names {
                let known = ServerName::try_from(name.as_str());
                let why = || format!("read address `{name}`, expected a host's name or IP address");
                known.map_err(|_| Unfit(why()))?;
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
            renewed(common, name, Side::Client)?;
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

/// The names that a certificate is for which is to be renewed; none where there is none.
fn renewed(common: &Common, name: &str, side: Side) -> anyhow::Result<Vec<String>> {
    let pem = file(common, name, "pem");
    if !common.renew || !pem.exists() {
        return Ok(Vec::new());
    }
    let names = named(&pem)?;
    let is = whose(&names);
    ensure!(
        is == side,
        Unfit(format!(
            "read {}, which is {}'s certificate, expected {}'s to renew",
            pem.display(),
            is.whom(),
            side.whom()
        ))
    );
    Ok(names)
}

/// Whose a certificate for these names is that was made here.
fn whose(names: &[String]) -> Side {
    match names {
        [] => Side::Client,
        _ => Side::Server,
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
        Unfit("read the name `ca`, which the authority's files have".to_owned())
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
    let issuer_key = KeyPair::from_pem(&read(&key)?)
        .map_err(|e| Unfit(format!("cannot use {}: {e}", key.display())))?;
    // As `authority` made it.
    let issuer = Issuer::new(params(AUTHORITY, Vec::new(), today, today)?, issuer_key);
    // Beyond the authority's last day it would not be believed.
    let last = last.min(expiry(&pem)?);
    ensure!(
        last > today,
        Unfit(format!("{} has expired; renew it first", pem.display()))
    );

    let side = match usage {
        ExtendedKeyUsagePurpose::ServerAuth => Side::Server,
        _ => Side::Client,
    };
    let whom = names.join(", ");
    let mut params = params(name, names, today, last)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    // Not so if ca.pem and ca.key are not of one authority, or of one that was not made here.
    if let Err(why) = tls::judge(&pem, &[certificate.der().clone()], side)? {
        bail!(Unfit(format!(
            "cannot use the authority {} with its key: it makes a certificate {why}",
            pem.display()
        )));
    }
    write(common, name, &certificate.pem(), &key, last)?;
    if side == Side::Server {
        writeln!(io::stdout(), "it is for {whom}")?;
    }
    Ok(())
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
        Unfit(format!(
            "read the name `{name}`, expected letters, digits, `-`, `_` and `.`: files are named by it"
        ))
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
                Unfit(format!(
                    "{} is there already; --renew replaces it",
                    path.display()
                ))
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

/// The names and addresses that a certificate is for.
fn named(pem: &Path) -> anyhow::Result<Vec<String>> {
    Ok(tls::certificates(pem)?
        .first()
        .map(tls::names)
        .unwrap_or_default())
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
    let mut unfit = 0;
    for path in &files {
        let (said, fit) = told(folder, path).unwrap_or_else(|error| (format!("{error:#}"), false));
        writeln!(io::stdout(), "{}: {said}", path.display())?;
        unfit += usize::from(!fit);
    }
    ensure!(
        unfit == 0,
        Unfit(format!(
            "{unfit} of {} cannot be used",
            count(files.len(), "certificate")
        ))
    );
    Ok(())
}

/// What a certificate is, until when, and what is wrong with it; and whether it can be used.
fn told(folder: &Path, pem: &Path) -> anyhow::Result<(String, bool)> {
    let last = expiry(pem)?;
    let authority = folder.join("ca.pem");
    if pem == authority {
        let past = last <= jiff::Timestamp::now().to_zoned(TimeZone::UTC).date();
        let mark = if past { ", which has expired" } else { "" };
        return Ok((format!("the authority, valid until {last}{mark}"), !past));
    }
    let chain = tls::certificates(pem)?;
    let names = named(pem)?;
    let side = whose(&names);
    let whom = match side {
        Side::Client => "a client".to_owned(),
        Side::Server => format!("the server {}", names.join(", ")),
    };
    let judged = tls::judge(&authority, &chain, side)?;
    let fit = judged.is_ok();
    let mark = judged.map_or_else(|why| format!(", {why}"), |()| String::new());
    Ok((format!("{whom}, valid until {last}{mark}"), fit))
}
