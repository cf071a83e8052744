//! Directories that can be trusted, and paths of every kind and length.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use test_kit::process::Actor;
use uds_socket::{AddressError, Bind, BindError, PathFault};

use super::place::{Place, leave_stale, served_by};

#[test]
fn directories_in_which_other_users_may_rename_are_rejected() {
    let place = Place::new();
    let shared = place.beside("shared");
    fs::create_dir(&shared).unwrap();
    for mode in [0o777, 0o775, 0o722] {
        fs::set_permissions(&shared, Permissions::from_mode(mode)).unwrap();
        let error = place.rejected(shared.join("x.sock"));
        assert!(matches!(&error, BindError::SharedDirectory { mode: found, .. } if *found == mode), "{error}");
        assert_eq!(fs::read_dir(&shared).unwrap().count(), 0);
    }
    for mode in [0o1777, 0o755, 0o700] {
        fs::set_permissions(&shared, Permissions::from_mode(mode)).unwrap();
        place.listen(Bind::path(shared.join("x.sock"))).unwrap();
    }
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let place = Place::new();
    fs::write(place.beside("file"), "").unwrap();
    for directory in ["nowhere", "file"] {
        let error = place.rejected(place.beside(directory).join("x.sock"));
        assert!(
            matches!(&error, BindError::NoDirectory { directory: named, .. } if named.ends_with(directory)),
            "{error}"
        );
    }
}

#[test]
fn impossible_paths_are_rejected() {
    let place = Place::new();
    assert!(matches!(
        place.rejected(""),
        BindError::Address(AddressError::InvalidPath { fault: PathFault::Empty, .. })
    ));
    assert!(matches!(
        place.rejected(place.beside("a\0b")),
        BindError::Address(AddressError::InvalidPath { fault: PathFault::Nul, .. })
    ));
    assert!(matches!(
        place.rejected(place.beside("")),
        BindError::Address(AddressError::InvalidPath { fault: PathFault::NamesADirectory, .. })
    ));
    assert!(matches!(
        place.rejected(place.beside(&"n".repeat(250))),
        BindError::Address(AddressError::PathTooLong { len: 250, max: 249, .. })
    ));
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn paths_of_every_length_work() {
    let place = Place::new();
    let beginning = place.beside("").as_os_str().len();
    // Around the 107 bytes of a socket address, for the path and for the longer temporary name, and at the limit.
    for len in (95..=115).map(|len| len - beginning).chain([200, 249]) {
        let path = place.beside(&"n".repeat(len));
        let listener = place.listen(Bind::path(&path)).unwrap();
        assert_eq!(served_by(&path), Some(std::process::id()), "{len}");
        assert!(matches!(place.rejected(&path), BindError::Locked { .. }), "{len}");
        drop(listener);
        assert!(!path.exists(), "{len}");
        leave_stale_anywhere(&path);
        drop(place.listen(Bind::path(&path)).unwrap());
    }
    let deep = place.beside(&"directory/".repeat(30));
    fs::create_dir_all(&deep).unwrap();
    let path = deep.join("x.sock");
    let _listener = place.listen(Bind::path(&path)).unwrap();
    assert_eq!(served_by(&path), Some(std::process::id()));
}

/// As [`leave_stale`], for paths longer than a socket address.
fn leave_stale_anywhere(path: &Path) {
    let short = path.with_file_name("s");
    leave_stale(&short);
    fs::rename(short, path).unwrap();
}

#[test]
fn a_relative_path_means_the_working_directory_at_the_time() {
    // In a separate process: the working directory belongs to all threads.
    Actor::start("bind::directories::child_in_a_directory").passes();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_in_a_directory() {
    let place = Place::new();
    std::env::set_current_dir(place.directory.path()).unwrap();
    let listener = place.listen(Bind::path("x.sock")).unwrap();
    assert_eq!(served_by(Path::new("x.sock")), Some(std::process::id()));
    assert_eq!(kernels_name(&listener), place.directory.path().canonicalize().unwrap().join("x.sock"));
    std::env::set_current_dir("/").unwrap();
    drop(listener);
    assert_eq!(place.names(), [""; 0], "it is taken back where it was given");
}

#[test]
fn the_kernels_name_for_the_socket_is_its_absolute_path() {
    let place = Place::new();
    let beginning = place.beside("").as_os_str().len();
    for len in [6, 107 - beginning] {
        let path = place.beside(&"n".repeat(len));
        let listener = place.listen(Bind::path(&path)).unwrap();
        assert_eq!(kernels_name(&listener), path);
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*path), "what a client is told");
        // Other processes' names need not be UTF-8.
        let table = String::from_utf8_lossy(&fs::read("/proc/net/unix").unwrap()).into_owned();
        assert!(table.lines().any(|line| line.ends_with(&format!(" {}", path.display()))), "what ss and lsof read");
    }
    // Longer ones go through the directory's descriptor, or by a shorter name.
    for (len, expected) in [(108 - beginning, "/proc/self/fd/"), (249, "/proc/self/fd/")] {
        let path = place.beside(&"n".repeat(len));
        let listener = place.listen(Bind::path(&path)).unwrap();
        assert!(kernels_name(&listener).starts_with(expected), "{:?}", kernels_name(&listener));
    }
}

fn kernels_name(listener: &uds_socket::Listener) -> std::path::PathBuf {
    let address = rustix::net::SocketAddrUnix::try_from(rustix::net::getsockname(listener).unwrap()).unwrap();
    // Where the path fills the address, the kernel adds a zero.
    address.path().unwrap().to_str().unwrap().trim_end_matches('\0').into()
}
