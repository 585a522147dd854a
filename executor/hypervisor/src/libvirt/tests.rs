//! Against libvirt's own test driver, which needs no daemon: hosts are files.

use std::path::Path;

use vmpack_domain::{Cluster, PostCopy};

use super::*;

/// A host as the test driver reads it, with those domains running on it.
fn host_file(directory: &Path, name: &str, domains: &str) -> String {
    let path = directory.join(format!("{name}.xml"));
    std::fs::write(&path, format!("<node>{domains}</node>")).unwrap();
    format!("test://{}", path.display())
}

fn domain(name: &str, uuid: u32, inside: &str) -> String {
    format!(
        "<domain type='test'><name>{name}</name><uuid>00000000-0000-4000-8000-{uuid:012}</uuid>
         <memory unit='MiB'>512</memory><currentMemory unit='MiB'>256</currentMemory>
         <vcpu>3</vcpu><os><type>hvm</type></os>{inside}</domain>"
    )
}

fn cluster(hosts: &[(&str, &str)], rest: &str) -> Cluster {
    let hosts: String = hosts
        .iter()
        .map(|(name, uri)| {
            format!(
                "  - {{ name: {name}, cpu: 8cores, memory: 64GiB, network: 100MiB/s, state: on, uri: '{uri}' }}\n"
            )
        })
        .collect();
    serde_yaml::from_str(&format!("hosts:\n{hosts}{rest}")).unwrap()
}

#[test]
fn a_snapshot_holds_hosts_and_running_guests() {
    let directory = tempfile::tempdir().unwrap();
    let opted_out = format!(
        "<metadata><v:guest xmlns:v='{METADATA}' movable='false' post-copy='never'/></metadata>"
    );
    let guests = domain("b", 2, "") + &domain("a", 1, &opted_out);
    let uri = host_file(directory.path(), "h1", &guests);
    let endpoint = (uri.clone(), Some("10.0.0.1".to_owned()));
    let libvirt = Libvirt::from_uris(&[endpoint]).unwrap();
    let read = libvirt.snapshot().unwrap();
    let [host] = &read.hosts[..] else {
        panic!("{read:?}")
    };
    assert_eq!((host.network, host.state), (DEFAULT_NETWORK, HostState::On));
    assert_eq!(host.uri.as_ref(), Some(&uri));
    assert_eq!(host.migrate_address.as_deref(), Some("10.0.0.1"));
    let [a, b] = &read.guests[..] else {
        panic!("{read:?}")
    };
    assert_eq!((a.name.as_str(), b.name.as_str()), ("a", "b"));
    assert_eq!((a.vcpus, a.memory), (3, MiB(512)));
    assert_eq!((a.movable, a.post_copy), (false, PostCopy::Never));
    assert_eq!((b.movable, b.post_copy), (true, PostCopy::Allowed));
    assert_eq!(b.host.as_ref(), Some(&host.name));
    assert_eq!(
        b.uuid.unwrap().to_string(),
        "00000000-0000-4000-8000-000000000002"
    );
    // Read again through the cluster file, it is the same.
    assert_eq!(
        Libvirt::from_cluster(&read).unwrap().snapshot().unwrap(),
        read
    );
}

#[test]
fn what_libvirt_does_not_know_stays_as_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let h1 = host_file(directory.path(), "h1", &domain("a", 1, ""));
    let given = cluster(
        &[("h1", &h1)],
        "  - { name: h2, cpu: 8cores, memory: 64GiB, network: 100MiB/s, state: asleep }
guests:
  - { name: a, vcpus: 1, memory: 1GiB, host: h1, reserved: 2cores, movable: false, requires: { cpu: [x] } }
  - { name: gone, vcpus: 1, memory: 1GiB, host: h1 }
  - { name: resting, vcpus: 1, memory: 1GiB, host: h2 }",
    );
    let read = Libvirt::from_cluster(&given).unwrap().snapshot().unwrap();
    assert_eq!(read.hosts, given.hosts);
    let names: Vec<&str> = read.guests.iter().map(|g| g.name.as_str()).collect();
    assert_eq!(names, ["a", "resting"]);
    let a = &read.guests[0];
    assert_eq!((a.vcpus, a.memory, a.movable), (3, MiB(512), false));
    assert_eq!(
        (a.reserved, &a.requires),
        (given.guests[0].reserved, &given.guests[0].requires)
    );
}

#[test]
fn a_host_that_slept_is_asked_by_name_alone_and_is_awake_once_it_answers() {
    let directory = tempfile::tempdir().unwrap();
    let h1 = host_file(directory.path(), "h1", &domain("a", 1, ""));
    let h2 = host_file(directory.path(), "h2", &domain("b", 2, ""));
    let dead = "qemu+unix:///system?socket=/nonexistent/libvirt-sock";
    let asleep = |name: &str, uri: &str| {
        format!(
            "  - {{ name: {name}, cpu: 8cores, memory: 64GiB, network: 100MiB/s, state: asleep, uri: '{uri}' }}\n"
        )
    };
    let rest = asleep("h2", &h2) + &asleep("h3", dead);
    let libvirt = Libvirt::from_cluster(&cluster(&[("h1", &h1)], &rest)).unwrap();
    let read = libvirt.snapshot().unwrap();
    let states = read.hosts.iter().map(|h| h.state);
    assert!(states.eq([HostState::On, HostState::Asleep, HostState::Asleep]));
    assert_eq!(read.guests.len(), 1);
    let [second, third] = ["h2", "h3"].map(|h| h.parse::<HostName>().unwrap());
    let woken = libvirt.survey(&second).unwrap();
    assert_eq!(woken.hosts[0].state, HostState::On);
    assert_eq!(woken.guests[0].name.as_str(), "b");
    assert!(matches!(
        libvirt.survey(&third),
        Err(Error::Unreachable { .. })
    ));
    // Where a guest is looked for, only where it is expected.
    let located = libvirt.locate(&"nobody".parse().unwrap(), &[]);
    assert!(located.silent.is_empty(), "{located:?}");
    let located = libvirt.locate(&"b".parse().unwrap(), &[&second]);
    assert_eq!(located.seen.len(), 1);
}

#[test]
fn a_guest_is_located_wherever_it_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let h1 = host_file(directory.path(), "h1", &domain("a", 1, ""));
    let h2 = host_file(directory.path(), "h2", &domain("b", 2, ""));
    let libvirt = Libvirt::from_cluster(&cluster(&[("h2", &h2), ("h1", &h1)], "")).unwrap();
    let seen = |guest: &str| {
        let located = libvirt.locate(&guest.parse().unwrap(), &[]);
        let seen = located
            .seen
            .into_iter()
            .map(|s| (s.host.to_string(), s.state));
        seen.collect::<Vec<_>>()
    };
    assert_eq!(seen("a"), [("h1".to_owned(), GuestState::Running)]);
    assert_eq!(seen("nobody"), []);
    // Where it is expected and runs, nobody else is asked: that h9 does not answer is not noticed.
    let dead = "qemu+unix:///system?socket=/nonexistent/libvirt-sock";
    let three = cluster(&[("h1", &h1), ("h2", &h2), ("h9", dead)], "");
    let three = Libvirt::from_cluster(&three).unwrap();
    let [own, other] = ["h1", "h2"].map(|h| h.parse::<HostName>().unwrap());
    let silent = |expected: &[&HostName]| {
        let located = three.locate(&"a".parse().unwrap(), expected);
        assert_eq!(located.seen.len(), 1);
        located.silent.len()
    };
    assert_eq!(silent(&[&own]), 0);
    assert_eq!(silent(&[&other]), 1);
    let nobody = libvirt.abort(&"b".parse().unwrap(), &"h1".parse().unwrap());
    assert!(matches!(nobody, Err(Error::NotThere { .. })), "{nobody:?}");
}

#[test]
fn two_guests_of_one_name_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let h1 = host_file(directory.path(), "h1", &domain("a", 1, ""));
    let h2 = host_file(directory.path(), "h2", &domain("a", 2, ""));
    let libvirt = Libvirt::from_cluster(&cluster(&[("h1", &h1), ("h2", &h2)], "")).unwrap();
    let error = libvirt.snapshot().unwrap_err().to_string();
    assert!(error.contains("names must be unique"), "{error}");
}

#[test]
fn a_wish_that_cannot_be_read_names_the_guest() {
    let directory = tempfile::tempdir().unwrap();
    let wish = format!("<metadata><v:guest xmlns:v='{METADATA}' movable='perhaps'/></metadata>");
    let h1 = host_file(directory.path(), "h1", &domain("a", 1, &wish));
    let error = Libvirt::from_uris(&[(h1, None)])
        .unwrap()
        .snapshot()
        .unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("guest a: ") && error.contains("`perhaps`"),
        "{error}"
    );
}

#[test]
fn a_daemon_that_is_not_there_is_unreachable() {
    let uri = "qemu+unix:///system?socket=/nonexistent/libvirt-sock";
    let gone = |error: Option<Error>| matches!(error, Some(Error::Unreachable { .. }));
    assert!(gone(Libvirt::from_uris(&[(uri.to_owned(), None)]).err()));
    assert!(gone(observe(uri).err()));
    let libvirt = Libvirt::from_cluster(&cluster(&[("h1", uri)], "")).unwrap();
    assert!(gone(libvirt.snapshot().err()));
    let located = libvirt.locate(&"a".parse().unwrap(), &[]);
    assert_eq!((located.seen.len(), located.silent.len()), (0, 1));
}

#[test]
fn a_host_without_a_uri_and_two_of_one_name_are_refused() {
    let nameless = cluster(
        &[],
        "  - { name: h1, cpu: 8cores, memory: 64GiB, network: 100MiB/s, state: on }",
    );
    let error = Libvirt::from_cluster(&nameless).unwrap_err().to_string();
    assert_eq!(error, "h1: it has no `uri` in the cluster file");
    let directory = tempfile::tempdir().unwrap();
    let twice = ["h1", "h2"].map(|h| (host_file(directory.path(), h, &domain("a", 1, "")), None));
    let error = Libvirt::from_uris(&twice).unwrap_err().to_string();
    assert!(error.contains("its name is"), "{error}");
}

#[test]
fn two_may_listen_on_one_connection_and_each_hears_of_its_own_guest() {
    use super::door::{Kind, Notice, listen};
    let directory = tempfile::tempdir().unwrap();
    let guests = domain("a", 1, "") + &domain("b", 2, "");
    let uri = host_file(directory.path(), "h1", &guests);
    let connection = Connection::open("h1", &uri).unwrap();
    let (tell, heard) = std::sync::mpsc::channel();
    let hears = |name: &'static str| {
        let guest = Domain::lookup_by_name(&connection, name).unwrap();
        let tell = tell.clone();
        listen(
            &connection,
            guest.get_uuid().unwrap(),
            Kind::Lifecycle,
            move |notice| tell.send((name, notice)).unwrap(),
        )
    };
    let resume = |name: &str| {
        let guest = Domain::lookup_by_name(&connection, name).unwrap();
        guest.suspend().unwrap();
        guest.resume().unwrap();
    };
    let next = || heard.recv_timeout(std::time::Duration::from_secs(20)).ok();
    let (first, second) = (hears("a").unwrap(), hears("b").unwrap());
    resume("b");
    assert_eq!(next(), Some(("b", Notice::Resumed)));
    // Who has ended hears nothing more, the other still does.
    drop(second);
    resume("b");
    resume("a");
    assert_eq!(next(), Some(("a", Notice::Resumed)));
    drop(first);
    let again = hears("b").unwrap();
    resume("b");
    assert_eq!(next(), Some(("b", Notice::Resumed)));
    drop(again);
    drop(connection);
    assert!(heard.try_recv().is_err());
}
