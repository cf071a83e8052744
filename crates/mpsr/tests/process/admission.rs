//! Who may send: oneself and root, unless others are named.

use std::{
    fs::{self, Permissions},
    io::Write as _,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixStream,
        process::CommandExt as _,
    },
    path::Path,
    process::Stdio,
};

use tempfile::TempDir;

use crate::{
    clients::{find_or_skip, skip_forbidden, socat},
    listen::{Listen, directory, of_kind, texts, unix},
    running::finish,
};

/// "nobody" on most systems; any id that is neither ours nor root will do.
pub(crate) const STRANGER: u32 = 65534;

/// A directory for one test that others may pass, which where temporary files usually go they may not always.
pub(crate) fn public_directory() -> TempDir {
    let is_passable = |place: &Path| {
        let passes = |part: &Path| part.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0);
        place.canonicalize().is_ok_and(|place| place.ancestors().all(passes))
    };
    let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
    let place =
        places.iter().find(|place| is_passable(place)).expect("a place for temporary files that is for everybody");
    let directory = tempfile::tempdir_in(place).expect("a temporary directory");
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn a_stranger_is_let_in_only_when_named() {
    const TEST: &str = "a_stranger_is_let_in_only_when_named";
    if !rustix::process::geteuid().is_root() {
        return skip_forbidden(TEST, "only root can run a program as somebody else");
    }
    let Some(program) = find_or_skip(TEST, "socat") else { return };
    for (arguments, is_admitted) in [
        (&[][..], false),
        (&["--allow-uid", "65534"], true),
        (&["--allow-gid", "65534"], true),
        (&["--allow-uid", "65533"], false),
    ] {
        let directory = public_directory();
        let path = directory.path().join("in.sock");
        let address = unix(&path);
        let mut listen = Listen::start([&address, "--mode", "666"].iter().copied().chain(arguments.iter().copied()));
        let mut stranger = socat(&program, &path);
        stranger.uid(STRANGER).gid(STRANGER).stderr(Stdio::null());
        let sent = finish(&mut stranger, b"let me in\n");
        // Whoever is refused sees an end, or a broken pipe, depending on how fast it was.
        assert!(!is_admitted || sent.code == Some(0), "{sent:?}");
        // Ours is heard in any case, after it.
        UnixStream::connect(&path).unwrap().write_all(b"mine\n").unwrap();
        listen.until_count("left", 1 + usize::from(is_admitted));
        let joined = of_kind(&listen.events, "joined");
        let strangers: Vec<_> = joined.iter().filter(|event| event["uid"] == STRANGER).collect();
        assert_eq!(strangers.len(), usize::from(is_admitted), "{arguments:?}");
        if let [stranger] = strangers[..] {
            assert_eq!(stranger["gid"], STRANGER);
            assert_eq!(texts(&listen.events, &stranger["producer"]), ["let me in"]);
        }
        let count = 1 + u64::from(is_admitted);
        let end = listen.stop();
        end.assert_account(count, count, 0);
        assert_eq!(end.report["rejected"], u64::from(!is_admitted));
    }
}

#[test]
fn the_socket_has_the_mode_that_was_asked_for_and_else_is_its_owners() {
    for (arguments, mode) in [(&[][..], 0o600), (&["--mode", "660"], 0o660), (&["--mode", "666"], 0o666)] {
        let directory = directory();
        let path = directory.path().join("in.sock");
        let address = unix(&path);
        let listen = Listen::start([address.as_str()].iter().chain(arguments));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, mode);
        assert_eq!(listen.stop().code, Some(0));
    }
}
