//! Taking the name back: our own inode, and nothing else.

use std::fs;
use std::os::unix::net::UnixListener as StdListener;

use uds_socket::{Bind, Withdrawal};

use super::place::{Place, inode};

#[test]
fn a_replacement_by_another_process_stays() {
    let place = Place::new();
    let listener = place.listen(Bind::path(place.path())).unwrap();
    fs::remove_file(place.path()).unwrap();
    let successor = StdListener::bind(place.path()).unwrap();
    let theirs = inode(&place.path());
    let draining = listener.into_draining();
    assert!(matches!(draining.withdrawal(), Withdrawal::Replaced), "{:?}", draining.withdrawal());
    drop(draining);
    assert_eq!(inode(&place.path()), theirs);
    drop(successor);

    fs::remove_file(place.path()).unwrap();
    let listener = place.listen(Bind::path(place.path())).unwrap();
    fs::remove_file(place.path()).unwrap();
    fs::write(place.path(), "precious").unwrap();
    drop(listener);
    assert_eq!(fs::read_to_string(place.path()).unwrap(), "precious");

    fs::remove_file(place.path()).unwrap();
    let listener = place.listen(Bind::path(place.path())).unwrap();
    fs::remove_file(place.path()).unwrap();
    assert!(matches!(listener.into_draining().withdrawal(), Withdrawal::Missing));
}

#[test]
fn a_directory_that_moved_keeps_its_socket_findable_for_removal() {
    let place = Place::new();
    let (old, new) = (place.beside("old"), place.beside("new"));
    fs::create_dir(&old).unwrap();
    let listener = place.listen(Bind::path(old.join("x.sock"))).unwrap();
    fs::rename(&old, &new).unwrap();
    fs::create_dir(&old).unwrap();
    fs::write(old.join("x.sock"), "precious").unwrap();
    drop(listener);
    assert!(!new.join("x.sock").exists());
    assert_eq!(fs::read_to_string(old.join("x.sock")).unwrap(), "precious");
}
