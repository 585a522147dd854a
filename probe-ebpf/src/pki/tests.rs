use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::client::{Address, Client, ClientError};
use crate::serve::tests::{block_on, settings, start, steady, wait_for};
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
        make(folder, "server h2").unwrap();
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
    // Until its first window it is not well.
    wait_for(|| ask("https", own.clone()).ok().filter(|health| health.ok));

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
    let said = "it wants a certificate of its authority";
    assert!(refused.to_string().contains(said), "{refused}");

    // One of another authority, that trusts ours.
    let mut stranger = files(others.path(), "reader");
    stranger.ca = Some(fleet.path().join("ca.pem"));
    let refused = ask("https", stranger.client().unwrap()).unwrap_err();
    let said = "it refuses this side's certificate";
    assert!(refused.to_string().contains(said), "{refused}");
    // A server's certificate is none of a client.
    let server = files(fleet.path(), "h1").client().unwrap();
    assert!(ask("https", server).is_err());
    // It trusts another authority than the probe's.
    let wary = files(others.path(), "reader").client().unwrap();
    let refused = ask("https", wary).unwrap_err();
    assert!(matches!(refused, ClientError::Tls(_)), "{refused}");
    let said = "no TLS: it has a certificate which another authority signed";
    assert_eq!(refused.to_string(), said);
    let refused = ask("http", None).unwrap_err();
    assert!(refused.to_string().contains("https://"), "{refused}");
    // One that is reached by another name.
    let mut settings = crate::serve::tests::settings(state.path());
    settings.history = state.path().join("other.db");
    settings.tls = files(fleet.path(), "h2");
    let other = start(settings, |_| {});
    let address: Address = format!("https://{}", other.address).parse().unwrap();
    let client = Client {
        tls: own,
        patience: Duration::from_secs(10),
    };
    let refused = block_on(client.get::<Health>(&address, "/healthz", &[])).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("127.0.0.1") && refused.contains("h2"),
        "{refused}"
    );
}

#[test]
fn a_renewed_certificate_is_for_the_same_names() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), "ca").unwrap();
    let names = || named(&folder.path().join("h1.pem")).unwrap();
    make(
        folder.path(),
        "server h1 --address 10.0.0.1 --address h1.example --address fd00::1",
    )
    .unwrap();
    let first = ["h1", "10.0.0.1", "h1.example", "fd00::1"];
    assert_eq!(names(), first);
    make(folder.path(), "server h1 --renew").unwrap();
    assert_eq!(names(), first);
    make(folder.path(), "server h1 --renew --address h1").unwrap();
    assert_eq!(names(), ["h1"]);
    make(folder.path(), "client reader").unwrap();
    assert!(named(&folder.path().join("reader.pem")).unwrap().is_empty());
    make(folder.path(), "client reader --renew").unwrap();
    for (line, said) in [
        (
            "client h1 --renew",
            "which is a server's certificate, expected a client's",
        ),
        (
            "server reader --renew",
            "which is a client's certificate, expected a server's",
        ),
    ] {
        let error = make(folder.path(), line).unwrap_err();
        assert!(
            error.is::<Unfit>() && error.to_string().contains(said),
            "{error}"
        );
    }
    assert_eq!(names(), ["h1"]);
}

#[test]
fn a_certificate_that_no_client_would_believe_is_refused_and_marked() {
    let (fleet, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [fleet.path(), others.path()] {
        make(folder, "ca").unwrap();
    }
    make(fleet.path(), "server h1").unwrap();
    make(fleet.path(), "client reader").unwrap();
    make(others.path(), "server foreign").unwrap();
    for extension in ["pem", "key"] {
        let name = format!("foreign.{extension}");
        fs::copy(others.path().join(&name), fleet.path().join(&name)).unwrap();
    }
    // As the authority made it some years ago.
    let issuer = fs::read_to_string(fleet.path().join("ca.key")).unwrap();
    let issuer = KeyPair::from_pem(&issuer).unwrap();
    let today = jiff::civil::date(2020, 1, 1);
    let last = last_day(today, 30).unwrap();
    let issuer = Issuer::new(params(AUTHORITY, Vec::new(), today, last).unwrap(), issuer);
    let mut old = params("old", vec!["old".to_owned()], today, last).unwrap();
    old.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let signed = old.signed_by(&key, &issuer).unwrap();
    fs::write(fleet.path().join("old.pem"), signed.pem()).unwrap();
    fs::write(fleet.path().join("old.key"), key.serialize_pem()).unwrap();

    assert!(files(fleet.path(), "h1").server().is_ok());
    let judged = |name: &str| told(fleet.path(), &fleet.path().join(name)).unwrap();
    let shown = |name: &str| judged(name).0;
    assert!(shown("h1.pem").starts_with("the server h1, valid until "));
    assert!(!shown("h1.pem").contains("which"));
    assert!(shown("reader.pem").starts_with("a client, valid until "));
    assert!(shown("ca.pem").starts_with("the authority, valid until "));
    for (name, why) in [
        ("reader", "which is for another use"),
        ("foreign", "which another authority signed"),
        ("old", "which has expired"),
    ] {
        let error = files(fleet.path(), name).server().unwrap_err().to_string();
        let file = fleet.path().join(format!("{name}.pem"));
        let expected = format!("read {}, {why}, expected a certificate", file.display());
        assert!(error.starts_with(&expected), "{error}");
        // As a client's, the first is as it is to be.
        let marked = shown(&format!("{name}.pem")).ends_with(why);
        assert_eq!(marked, name != "reader", "{name}");
        assert_eq!(judged(&format!("{name}.pem")).1, !marked, "{name}");
    }
    let error = make(fleet.path(), "show").unwrap_err();
    assert!(error.is::<Unfit>(), "{error:?}");
    assert_eq!(error.to_string(), "2 of 5 certificates cannot be used");
    make(others.path(), "show").unwrap();
}

#[test]
fn who_only_connects_keeps_nobody_out() {
    let fleet = tempfile::tempdir().unwrap();
    make(fleet.path(), "ca").unwrap();
    make(fleet.path(), "server h1 --address 127.0.0.1").unwrap();
    make(fleet.path(), "client reader").unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut settings = settings(state.path());
    settings.tls = files(fleet.path(), "h1");
    let room = settings.connections;
    let daemon = start(settings, steady(&["a"]));
    let silent: Vec<_> = (0..2 * room)
        .map(|_| std::net::TcpStream::connect(daemon.address).unwrap())
        .collect();
    let client = Client {
        tls: files(fleet.path(), "reader").client().unwrap(),
        patience: Duration::from_secs(10),
    };
    let address: Address = format!("https://{}", daemon.address).parse().unwrap();
    // At the first attempt, while all of them are open; how well it is does not matter.
    let either = [hyper::StatusCode::SERVICE_UNAVAILABLE];
    let health = block_on(client.get::<Health>(&address, "/healthz", &either));
    assert_eq!(health.unwrap().greeting.host, "h1");
    drop(silent);
}
