//! TLS on both sides: a server that lets in whoever has a certificate of the fleet's authority, and
//! a client that has one.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore, ServerConfig};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, rustls::pki_types::pem::Error),
    /// There is no certificate in it.
    #[error("read {0}, which holds no certificate, expected PEM")]
    Empty(PathBuf),
    /// It cannot be used.
    #[error("cannot use the certificate of {0}: {1}")]
    Refused(PathBuf, rustls::Error),
    /// The authority cannot.
    #[error("cannot use the authority {0}: {1}")]
    Authority(PathBuf, String),
    /// The certificate is not for that use.
    #[error(
        "read {file}, {why}, expected a certificate for {whom} that {authority} signed and that is valid now (`vmpack-probe pki`)"
    )]
    Unfit {
        /// Which file.
        file: PathBuf,
        /// Why not.
        why: String,
        /// For whom it should be.
        whom: &'static str,
        /// Who should have signed it.
        authority: PathBuf,
    },
}

/// The files of one side.
#[derive(Debug, Clone, clap::Args)]
pub struct Files {
    /// This side's certificate, PEM
    #[arg(
        long = "tls-cert",
        value_name = "FILE",
        requires = "key",
        requires = "ca"
    )]
    pub cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long = "tls-key", value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// The authority that the other side's certificate must come from, PEM
    #[arg(long = "tls-ca", value_name = "FILE", requires = "cert")]
    pub ca: Option<PathBuf>,
}

impl Files {
    /// All three, or none.
    fn all(&self) -> Option<(&Path, &Path, &Path)> {
        Some((
            self.cert.as_deref()?,
            self.key.as_deref()?,
            self.ca.as_deref()?,
        ))
    }

    /// The server's side, if files are given: a client without a certificate of the authority is
    /// refused in the handshake.
    ///
    /// # Errors
    /// When a file cannot be read or used, or the certificate is none that a client would believe.
    pub fn server(&self) -> Result<Option<Arc<ServerConfig>>, TlsError> {
        let Some((cert, key, ca)) = self.all() else {
            return Ok(None);
        };
        let chain = certificates(cert)?;
        if let Err(why) = judge(ca, &chain, Side::Server)? {
            return Err(TlsError::Unfit {
                file: cert.to_path_buf(),
                why,
                whom: Side::Server.whom(),
                authority: ca.to_path_buf(),
            });
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider.clone())
                .build()
                .map_err(|e| TlsError::Authority(ca.to_path_buf(), e.to_string()))?;
        let refused = |e| TlsError::Refused(cert.to_path_buf(), e);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, private_key(key)?)
            .map_err(refused)?;
        Ok(Some(Arc::new(config)))
    }

    /// The client's side, if files are given.
    ///
    /// # Errors
    /// When a file cannot be read or used.
    pub fn client(&self) -> Result<Option<Arc<ClientConfig>>, TlsError> {
        let Some((cert, key, ca)) = self.all() else {
            return Ok(None);
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let refused = |e| TlsError::Refused(cert.to_path_buf(), e);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(roots(ca)?)
            .with_client_auth_cert(certificates(cert)?, private_key(key)?)
            .map_err(refused)?;
        Ok(Some(Arc::new(config)))
    }

    /// When the certificate expires, in Unix seconds.
    #[must_use]
    pub fn expires(&self) -> Option<i64> {
        let chain = certificates(self.cert.as_deref()?).ok()?;
        expires(chain.first()?)
    }
}

/// Whose a certificate is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who listens.
    Server,
    /// Who asks.
    Client,
}

impl Side {
    /// As in a sentence.
    #[must_use]
    pub fn whom(self) -> &'static str {
        match self {
            Self::Server => "a server",
            Self::Client => "a client",
        }
    }
}

/// Whether those who trust an authority will believe a certificate with those between them, as that
/// side's; else why not. The names in it are not looked at.
///
/// # Errors
/// When the authority cannot be used.
pub fn judge(
    authority: &Path,
    chain: &[CertificateDer<'_>],
    side: Side,
) -> Result<Result<(), String>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots(authority)?);
    let failed = |error: String| TlsError::Authority(authority.to_path_buf(), error);
    let Some((first, between)) = chain.split_first() else {
        return Ok(Err("which holds no certificate".to_owned()));
    };
    let now = UnixTime::now();
    let believed = match side {
        Side::Client => WebPkiClientVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|e| failed(e.to_string()))?
            .verify_client_cert(first, between, now)
            .map(drop),
        Side::Server => {
            // The name is compared last: to be of another one means that all else is well.
            let nobody = ServerName::try_from("nobody.invalid");
            let nobody = nobody.map_err(|e| failed(e.to_string()))?;
            let verified = WebPkiServerVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|e| failed(e.to_string()))?
                .verify_server_cert(first, between, &nobody, &[], now)
                .map(drop);
            match verified {
                Err(Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )) => Ok(()),
                other => other,
            }
        }
    };
    Ok(believed.map_err(|error| reason(&error)))
}

/// Why TLS ended a connection, in words for who asked; `None` where it was not TLS that did.
pub(crate) fn refusal(error: &std::io::Error) -> Option<String> {
    use rustls::AlertDescription as Alert;
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(
            why @ (CertificateError::NotValidForName
            | CertificateError::NotValidForNameContext { .. }),
        ) => format!("it goes by another name: {why}"),
        Error::InvalidCertificate(_) => format!("it has a certificate {}", reason(error)),
        Error::InvalidMessage(_) => "it speaks no TLS; is it http:// there?".to_owned(),
        Error::AlertReceived(Alert::CertificateRequired) => {
            "it wants a certificate of its authority".to_owned()
        }
        Error::AlertReceived(Alert::CertificateExpired) => {
            "this side's certificate has expired".to_owned()
        }
        Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::DecryptError,
        ) => "it refuses this side's certificate, as one of another authority or for another use"
            .to_owned(),
        other => other.to_string(),
    })
}

fn reason(error: &Error) -> String {
    let Error::InvalidCertificate(why) = error else {
        return format!("which is refused ({error})");
    };
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "which has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "which is not valid yet".to_owned()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "which another authority signed".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "which is for another use".to_owned()
        }
        other => format!("which is refused ({other})"),
    }
}

/// When a certificate expires, in Unix seconds: the second time in its `validity` (RFC 5280, 4.1).
#[must_use]
pub fn expires(certificate: &CertificateDer<'_>) -> Option<i64> {
    // version, serialNumber, signature, issuer, validity: the first may be absent, and of the
    // sequences validity is the third.
    let validity = fields(certificate)?
        .filter(|(tag, _)| *tag == SEQUENCE)
        .nth(2)?
        .1;
    let (_, _, after) = element(validity)?;
    let (tag, time, _) = element(after)?;
    let text = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    // UTCTime has two digits of the year, from 1950 on; GeneralizedTime four.
    let text = match tag {
        0x17 if text.get(..2)? < "50" => format!("20{text}"),
        0x17 => format!("19{text}"),
        _ => text.to_owned(),
    };
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    Some(
        time.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second(),
    )
}

/// The names and addresses that a certificate is for: its `subjectAltName` (RFC 5280, 4.2.1.6).
#[must_use]
pub fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    /// 2.5.29.17.
    const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
    const EXTENSIONS: u8 = 0xa3;
    let read = || {
        let (_, extensions) = fields(certificate)?.find(|(tag, _)| *tag == EXTENSIONS)?;
        let (_, extensions, _) = element(extensions)?;
        let named = elements(extensions).find_map(|(_, extension)| {
            let mut parts = elements(extension);
            let known = parts.next()?.1 == SUBJECT_ALT_NAME;
            // Between them may stand that it is critical.
            known.then(|| parts.last()).flatten()
        });
        let (_, names, _) = element(named?.1)?;
        Some(elements(names).filter_map(|(tag, name)| match (tag, name) {
            (0x82, name) => std::str::from_utf8(name).ok().map(str::to_owned),
            (0x87, name) => {
                let v4 = <[u8; 4]>::try_from(name).map(IpAddr::from);
                let address = v4.or_else(|_| <[u8; 16]>::try_from(name).map(IpAddr::from));
                address.ok().map(|a| a.to_string())
            }
            _ => None,
        }))
    };
    read().map(Iterator::collect).unwrap_or_default()
}

const SEQUENCE: u8 = 0x30;

/// What a certificate says and is signed: the elements of its `tbsCertificate`.
fn fields(certificate: &[u8]) -> Option<impl Iterator<Item = (u8, &[u8])>> {
    let (_, certificate, _) = element(certificate)?;
    let (_, fields, _) = element(certificate)?;
    Some(elements(fields))
}

/// The elements one after the other, each its tag and its content.
fn elements(mut der: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, after) = element(der)?;
        der = after;
        Some((tag, content))
    })
}

/// The first element of some DER: its tag, its content and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..0x80 => (usize::from(*first), rest),
        // The length in so many bytes.
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes.iter().try_fold(0usize, |sum, byte| {
                Some(sum.checked_mul(256)? + usize::from(*byte))
            })?;
            (length, rest)
        }
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((*tag, content, after))
}

/// The certificates in a PEM file.
///
/// # Errors
/// When it cannot be read, or holds none.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |e| TlsError::Read(file.to_path_buf(), e);
    let chain: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    if chain.is_empty() {
        return Err(TlsError::Empty(file.to_path_buf()));
    }
    Ok(chain)
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    if let Some(mode) = std::fs::metadata(file)
        .ok()
        .and_then(|m| open_to_others(m.mode()))
    {
        tracing::warn!(
            "the key {} has mode {mode:o}, so that others can read or change it: chmod 600",
            file.display()
        );
    }
    PrivateKeyDer::from_pem_file(file).map_err(|e| TlsError::Read(file.to_path_buf(), e))
}

/// The permissions of a key that all may read, or that more than its owner may change. A group may read
/// it, as where a service runs as one of it.
fn open_to_others(mode: u32) -> Option<u32> {
    let mode = mode & 0o777;
    (mode & 0o027 != 0).then_some(mode)
}

fn roots(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|e| TlsError::Authority(file.to_path_buf(), e.to_string()))?;
    }
    Ok(roots)
}
