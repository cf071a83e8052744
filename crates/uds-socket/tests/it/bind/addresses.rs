//! Addresses that are no paths: abstract names and sockets of the service manager.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;

use test_kit::process::{Actor, say};
use uds_socket::{AddressError, Bind, BindError, Connect, ConnectError, Mode, Withdrawal};

use super::place::Place;

#[test]
fn abstract_names_are_taken_once_and_have_no_file() {
    let place = Place::new();
    let name = format!("uds-actor test {}", std::process::id());
    let mut listener = place.listen(Bind::abstract_name(&*name)).unwrap();
    assert_eq!(listener.address().to_string(), format!("unix:@{name}"));
    let error = place.listen(Bind::abstract_name(&*name)).unwrap_err();
    assert!(
        matches!(&error, BindError::Bind { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse),
        "{error}"
    );

    let client = Connect::abstract_name(&*name).connect_blocking().unwrap();
    let (_, peer) = place.runtime.block_on(listener.accept()).unwrap();
    assert_eq!(peer.pid(), Some(std::process::id()));
    drop(client);
    let draining = listener.into_draining();
    assert!(matches!(draining.withdrawal(), Withdrawal::NoName));
    let error = Connect::abstract_name(&*name).connect_blocking().unwrap_err();
    assert!(matches!(error, ConnectError::NotListening { .. }), "{error}");

    assert!(matches!(
        place.listen(Bind::abstract_name("")),
        Err(BindError::Address(AddressError::InvalidAbstractName { len: 0, .. }))
    ));
    assert!(matches!(place.listen(Bind::abstract_name(&*name).mode(Mode::GROUP)), Err(BindError::NoFile { .. })));
    assert!(matches!(place.listen(Bind::systemd("in").owner(0)), Err(BindError::NoFile { .. })));
}

#[test]
fn a_socket_of_the_service_manager_is_served_and_left_as_it_was() {
    let place = Place::new();
    let manager = StdListener::bind(place.path()).unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o640)).unwrap();
    let before = place.path().metadata().unwrap();
    let file = fs::File::options().append(true).create(true).open(place.beside("file")).unwrap();

    let mut served = Connect::path(place.path()).connect_blocking().unwrap();
    let mut service = Actor::activate(
        "bind::addresses::child_that_is_activated",
        manager.try_clone().unwrap().into(),
        file.into(),
        "in:file",
    );
    let mut text = String::new();
    served.read_to_string(&mut text).unwrap();
    assert_eq!(text, "served");
    let _next = Connect::path(place.path()).connect_blocking().unwrap();
    assert_eq!(service.hear(), "drained");
    service.passes();

    let after = place.path().metadata().unwrap();
    assert_eq!((after.ino(), after.mode()), (before.ino(), before.mode()));
    // The connection that came too late for that instance is there for the next.
    manager.set_nonblocking(true).unwrap();
    manager.accept().unwrap();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_that_is_activated() {
    let place = Place::new();
    if std::env::var_os("LISTEN_PID").is_none() {
        assert!(matches!(place.listen(Bind::systemd("in")), Err(BindError::NotPassed { .. })));
        return;
    }
    let error = place.listen(Bind::systemd("other")).unwrap_err();
    assert!(matches!(&error, BindError::NotPassed { passed, .. } if *passed == ["in", "file"]), "{error}");
    let error = place.listen(Bind::systemd("file")).unwrap_err();
    assert!(matches!(error, BindError::NotAListener { fd: 4, .. }), "{error}");

    let mut listener = place.listen(Bind::systemd("in")).unwrap();
    for fd in [3, 4] {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim().to_owned();
        assert_ne!(u32::from_str_radix(&flags, 8).unwrap() & 0o2_000_000, 0, "closed on exec: {flags}");
    }
    assert_eq!(std::env::var("LISTEN_FDNAMES").unwrap(), "in:file", "the environment is left alone");
    place.runtime.block_on(async {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"served").await.unwrap();
        drop(stream);
        let mut draining = listener.into_draining();
        assert!(matches!(draining.withdrawal(), Withdrawal::NoName));
        assert!(draining.accept().await.unwrap().is_none());
    });
    say("drained");
}

#[test]
fn two_sockets_of_one_name_are_both_served() {
    let place = Place::new();
    let [first, second] = ["a.sock", "b.sock"].map(|name| StdListener::bind(place.beside(name)).unwrap());
    let mut service = Actor::activate("bind::addresses::child_with_two", first.into(), second.into(), "in:in");
    for name in ["a.sock", "b.sock"] {
        let mut text = String::new();
        Connect::path(place.beside(name)).connect_blocking().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "served", "{name}");
    }
    assert_eq!(service.hear(), "both");
    service.passes();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_with_two() {
    if std::env::var_os("LISTEN_PID").is_none() {
        return;
    }
    let place = Place::new();
    let error = place.listen(Bind::systemd("in")).unwrap_err();
    assert!(matches!(error, BindError::PassedTwice { count: 2, .. }), "{error}");
    place.runtime.block_on(async {
        assert!(matches!(Bind::systemd("out").listen_all(), Err(BindError::NotPassed { .. })));
        assert!(matches!(Bind::systemd("in").mode(Mode::GROUP).listen_all(), Err(BindError::NoFile { .. })));
        let listeners = Bind::systemd("in").listen_all().unwrap();
        assert_eq!(listeners.len(), 2);
        for mut listener in listeners {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"served").await.unwrap();
        }
        // Of other addresses there is one.
        assert_eq!(Bind::path(place.path()).listen_all().unwrap().len(), 1);
    });
    say("both");
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_socket() {
    let place = Place::new();
    assert!(matches!(Bind::path(place.path()).listen(), Err(BindError::NoRuntime(_))));
    assert_eq!(place.names(), [""; 0]);
}
