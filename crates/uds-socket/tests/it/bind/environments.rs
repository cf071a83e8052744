//! Where something is missing or different: namespaces, mounts, a full disk, a kernel that lacks a feature.
//!
//! Each test runs a role of this program in an environment made for it, and says SKIPPED where the machine does not allow it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use test_kit::{
    kernel::{Op, lacks},
    process::{Actor, NOBODY, as_somebody, public_directory, say},
};
use uds_socket::{
    Accepted, Admit, Answer, Bind, BindError, Connect, ConnectError, Evidence, Liveness, Mode, Verdict, Warning, probe,
};

use super::place::{Place, inode, leave_stale, served_by};

/// What the shell says when an environment is not to be had.
const NOT_TO_BE_HAD: i32 = 77;

/// Where a role works, if not in a place of its own.
const DIRECTORY: &str = "UDS_SOCKET_DIRECTORY";

/// Runs an ignored test of this program where `unshare` with these flags and then `commands` have brought it.
fn run(flags: &str, commands: &str, directory: Option<&Path>, role: &str) {
    let script = format!("{{ {commands}; }} || exit {NOT_TO_BE_HAD}; exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(flags.split_ascii_whitespace()).args(["sh", "-c", &script]).arg(std::env::current_exe().unwrap());
    command.args([role, "--exact", "--ignored", "--nocapture", "--test-threads=1"]).stdin(Stdio::null());
    if let Some(directory) = directory {
        command.env(DIRECTORY, directory);
    }
    let is_allowed =
        Command::new("unshare").args(flags.split_ascii_whitespace()).arg("true").stderr(Stdio::null()).status();
    if !is_allowed.is_ok_and(|status| status.success()) {
        return skipped(&format!("`unshare {flags}` is not allowed"));
    }
    let output = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(0) => assert!(text.contains("1 passed"), "there is no role {role}: {text}"),
        Some(NOT_TO_BE_HAD) => skipped(&format!("`{commands}` is not allowed: {text}")),
        _ => panic!("{text}"),
    }
}

#[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
fn skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}

fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY).expect("the test that starts it says where").into()
}

fn socket(kind: SocketType, path: &Path) -> std::os::fd::OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
    socket
}

// --- filesystems --------------------------------------------------------------------------------------------------

#[test]
fn on_an_overlay_nothing_is_removed_unless_told_to() {
    let place = Place::new();
    let at = place.directory.path().display().to_string();
    let mount = format!(
        "mount -t tmpfs none {at} && cd {at} && mkdir lower upper work m && \
         mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work m"
    );
    for flags in ["-m", "-U -r -m"] {
        run(flags, &mount, Some(place.directory.path()), "bind::environments::role_on_an_overlay");
    }
}

#[test]
#[ignore = "a role"]
fn role_on_an_overlay() {
    let place = Place::new();
    let (merged, upper) = (directory().join("m"), directory().join("upper"));
    let path = merged.join("x.sock");

    // A name that is free is as good there as anywhere, and is taken back.
    drop(place.listen(Bind::path(&path)).unwrap());
    assert_eq!(fs::read_dir(&merged).unwrap().count(), 0);

    // A server on the other side, whose socket has another device here.
    let other = StdListener::bind(upper.join("y.sock")).unwrap();
    let other_inode = inode(&upper.join("y.sock"));
    let error = place.listen(Bind::path(merged.join("y.sock"))).unwrap_err();
    assert!(
        matches!(error, BindError::ForeignFilesystem { filesystem: "overlay", .. } | BindError::InUse { .. }),
        "{error}"
    );
    assert_eq!(inode(&upper.join("y.sock")), other_inode);
    drop(other);

    leave_stale(&path);
    let before = inode(&path);
    let error = place.listen(Bind::path(&path)).unwrap_err();
    assert!(matches!(&error, BindError::ForeignFilesystem { path: named, .. } if *named == path), "{error}");
    assert!(error.to_string().contains("any_filesystem") && !error.is_retryable(), "{error}");
    assert_eq!((inode(&path), probe(&path).unwrap().verdict), (before, Verdict::Stale));
    // Nor is it removed by the one who is told to, before it is two seconds old.
    let listener = loop {
        match place.listen(Bind::path(&path).any_filesystem()) {
            Ok(listener) => break listener,
            Err(error) => {
                assert!(
                    matches!(
                        error,
                        BindError::InUse {
                            liveness: Liveness {
                                verdict: Verdict::Unknown,
                                evidence: Evidence::Connect(Answer::Unbound)
                            },
                            ..
                        }
                    ),
                    "{error}"
                );
                assert_eq!(inode(&path), before);
                assert!(error.is_retryable());
            }
        }
        std::thread::yield_now();
    };
    assert_eq!(served_by(&path), Some(std::process::id()));
    drop(listener);
    assert!(!path.exists());
}

/// On FUSE a socket has one file on each side, and the kernel knows the server by one of them.
#[test]
fn on_fuse_a_server_on_the_other_side_keeps_its_name() {
    let place = Place::new();
    let at = place.directory.path().display().to_string();
    let mount = format!("test -c /dev/fuse && cd {at} && mkdir below m && bindfs below m");
    run("-m", &mount, Some(place.directory.path()), "bind::environments::role_beside_a_server_on_fuse");
}

#[test]
#[ignore = "a role"]
fn role_beside_a_server_on_fuse() {
    let place = Place::new();
    // The kernel knows the server by the file of the side on which it has bound.
    let sides = [("m", "below"), ("below", "m")];
    let servers = sides.map(|(ours, theirs)| {
        let [path, other] = [ours, theirs].map(|side| directory().join(side).join(format!("{theirs}.sock")));
        (path, StdListener::bind(&other).unwrap(), other)
    });
    // Older than a file may be that is too young to be called stale.
    let age = || servers[1].2.metadata().unwrap().modified().unwrap().elapsed().unwrap_or_default();
    while age() < std::time::Duration::from_millis(2_500) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for (path, server, other) in &servers {
        let before = inode(other);
        let error = place.listen(Bind::path(path)).unwrap_err();
        assert!(matches!(&error, BindError::ForeignFilesystem { path: named, .. } if named == path), "{error}");
        assert_eq!(inode(other), before, "{error}");
        // Its clients find it as before.
        let _client = StdStream::connect(other).unwrap();
        server.accept().unwrap();
    }
    assert_eq!(fs::read_dir(directory().join("below")).unwrap().count(), 2, "nothing is left beside them");
}

/// What a crash between moving a socket aside and removing it leaves.
#[test]
fn what_is_aside_where_nothing_may_be_removed_blocks_no_start() {
    let place = Place::new();
    let at = place.directory.path().display().to_string();
    let mount = format!(
        "mount -t tmpfs none {at} && cd {at} && mkdir lower upper work m && \
         mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work m"
    );
    run("-m", &mount, Some(place.directory.path()), "bind::environments::role_with_a_socket_aside");
}

#[test]
#[ignore = "a role"]
fn role_with_a_socket_aside() {
    let place = Place::new();
    let directory = directory().join("m");
    let (path, aside) = (directory.join("x.sock"), directory.join(".x.sock.old"));
    leave_stale(&aside);
    let before = inode(&aside);
    let error = place.listen(Bind::path(&path)).unwrap_err();
    assert!(matches!(&error, BindError::ForeignFilesystem { path: named, .. } if *named == path), "{error}");
    assert_eq!(inode(&path), before, "it has its name back");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    // Who removes it, as the error says, is served.
    fs::remove_file(&path).unwrap();
    let listener = place.listen(Bind::path(&path)).unwrap();
    assert_eq!(served_by(&path), Some(std::process::id()));
    drop(listener);

    // Nor does one aside matter where another has the name.
    leave_stale(&aside);
    let server = StdListener::bind(&path).unwrap();
    let error = place.listen(Bind::path(&path)).unwrap_err();
    assert!(matches!(&error, BindError::InUse { path: named, .. } if *named == path), "{error}");
    drop(server);
}

/// A directory in which every file belongs to the same user: FUSE mounts, NFS with root squashing.
#[test]
fn a_filesystem_that_changes_owners_is_no_obstacle() {
    for without_netlink in ["", "1"] {
        let place = Place::new();
        let at = place.directory.path().display().to_string();
        let mount = format!(
            "cd {at} && mkdir below m && bindfs --force-user=60001 --force-group=60001 below m && \
             export {WITHOUT_NETLINK}={without_netlink}"
        );
        run("-m", &mount, Some(place.directory.path()), "bind::environments::role_where_owners_change");
    }
}

const WITHOUT_NETLINK: &str = "UDS_SOCKET_WITHOUT_NETLINK";

#[test]
#[ignore = "a role"]
fn role_where_owners_change() {
    let place = Place::new();
    let directory = directory().join("m");
    let path = directory.join("x.sock");
    if std::env::var_os(WITHOUT_NETLINK).is_some_and(|value| !value.is_empty()) {
        without_netlink();
    }
    for mode in [Mode::USER_ONLY, Mode::GROUP] {
        let listener = place.listen(Bind::path(&path).mode(mode)).unwrap();
        let metadata = path.metadata().unwrap();
        assert_eq!(metadata.uid(), 60_001, "the owner is changed");
        assert_eq!(metadata.mode() & 0o7777, if mode == Mode::GROUP { 0o660 } else { 0o600 });
        assert_eq!(served_by(&path), Some(std::process::id()));
        assert!(matches!(place.rejected(&path), BindError::Locked { .. }));
        drop(listener);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "the name is taken back");
    }
}

#[test]
fn a_name_that_is_a_mount_point_is_called_one_and_stays() {
    let place = Place::new();
    let at = place.directory.path().display();
    for name in ["x.sock", "outside.sock"] {
        leave_stale(&place.directory.path().join(name));
    }
    let mount = format!("mount --bind {at}/outside.sock {at}/x.sock");
    run("-m", &mount, Some(place.directory.path()), "bind::environments::role_over_a_mount");
}

#[test]
#[ignore = "a role"]
fn role_over_a_mount() {
    let place = Place::new();
    let path = directory().join("x.sock");
    let before = inode(&path);
    // Before it is two seconds old it may still have a server.
    let error = loop {
        match place.listen(Bind::path(&path)).unwrap_err() {
            BindError::InUse {
                liveness: Liveness { verdict: Verdict::Unknown, evidence: Evidence::Connect(Answer::Unbound) },
                ..
            } => std::thread::yield_now(),
            error => break error,
        }
    };
    assert!(matches!(&error, BindError::MountPoint { path: named } if *named == path), "{error}");
    assert!(!error.is_retryable() && error.to_string().contains("mount the directory"), "{error}");
    assert_eq!(inode(&path), before);
}

#[test]
fn a_full_disk_does_not_prevent_listening() {
    let place = Place::new();
    let at = place.directory.path().display().to_string();
    // As root inside, the only user without restrictions.
    let mount =
        format!("mount -t tmpfs -o size=64k none {at} && cat /dev/zero 2>/dev/null >{at}/fill || test -s {at}/fill");
    run("-m", &mount, Some(place.directory.path()), "bind::environments::role_on_a_full_disk");
}

#[test]
#[ignore = "a role"]
fn role_on_a_full_disk() {
    let place = Place::new();
    assert!(fs::write(directory().join("more"), [0; 8192]).is_err(), "it is full");
    let path = directory().join("x.sock");
    let listener = place.listen(Bind::path(&path)).unwrap();
    assert_eq!(served_by(&path), Some(std::process::id()));
    let error = place.listen(Bind::path(&path)).unwrap_err();
    assert!(matches!(error, BindError::Locked { pid: None, .. }), "{error}");
    drop(listener);
    assert!(!path.exists() && !directory().join(".x.sock.lock").exists());
}

#[test]
fn without_proc_all_works_but_long_paths() {
    run("-m", "mount -t tmpfs none /proc", None, "bind::environments::role_without_proc");
}

#[test]
#[ignore = "a role"]
fn role_without_proc() {
    assert!(!Path::new("/proc/self").exists());
    let place = Place::new();
    let path = place.path();
    // So that the mode has to be set by name.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    for _ in 0..2 {
        leave_stale(&path);
        let mut listener = place.listen(Bind::path(&path).mode(Mode::GROUP)).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o660);
        assert_eq!(served_by(&path), Some(std::process::id()));
        place.runtime.block_on(async {
            fs::remove_file(&path).unwrap();
            let loss = listener.next().await.unwrap();
            assert!(matches!(loss, Accepted::Connection(..) | Accepted::NameLost(_)), "{loss:?}");
            listener.rebind().unwrap();
        });
        assert_eq!(served_by(&path), Some(std::process::id()));
    }
    let live = StdListener::bind(&path).unwrap();
    assert!(matches!(
        place.rejected(&path),
        BindError::InUse { liveness: Liveness { verdict: Verdict::Listening, .. }, .. }
    ));
    drop(live);

    let long = place.beside(&"n".repeat(110));
    let error = place.rejected(&long);
    assert!(error.to_string().contains("/proc"), "{error}");
    assert!(!long.exists());

    // One that is there cannot be reached, which waiting does not change.
    let short = place.beside("short");
    let _live = StdListener::bind(&short).unwrap();
    fs::rename(&short, &long).unwrap();
    let error = Connect::path(&long).deadline(std::time::Duration::from_secs(600)).connect_blocking().unwrap_err();
    assert!(matches!(&error, ConnectError::NoProc { path } if *path == long), "{error}");
    assert!(!error.is_retryable());
    let gone = place.beside(&"g".repeat(110));
    assert!(matches!(Connect::path(&gone).connect_blocking(), Err(ConnectError::NotThere { .. })));
}

// --- namespaces ---------------------------------------------------------------------------------------------------

#[test]
fn servers_in_another_network_namespace_are_not_disturbed() {
    let place = Place::new();
    let at = place.directory.path();
    let path = |name: &str| at.join(name);
    // Here they are; the starter is in another namespace.
    let listening = socket(SocketType::STREAM, &path("listening"));
    listen(&listening, 8).unwrap();
    let bound = socket(SocketType::STREAM, &path("bound"));
    let packets = socket(SocketType::SEQPACKET, &path("packets"));
    listen(&packets, 8).unwrap();
    let datagrams = socket(SocketType::DGRAM, &path("datagrams"));
    let (full, client) = (socket(SocketType::STREAM, &path("full")), socket(SocketType::STREAM, &path("client")));
    listen(&full, 0).unwrap();
    rustix::net::connect(&client, &SocketAddrUnix::new(path("full")).unwrap()).unwrap();
    drop(StdListener::bind(path("stale")).unwrap());
    super::place::until_stale(&path("stale"));

    for flags in ["-n", "-U -r -n"] {
        run(flags, "true", Some(at), "bind::environments::role_in_another_network");
    }
    for server in [&listening, &packets] {
        let accepted = rustix::net::accept(server);
        assert!(matches!(accepted, Err(rustix::io::Errno::AGAIN)), "not even a connection of ours: {accepted:?}");
    }
    drop((bound, datagrams, full, client));
}

#[test]
#[ignore = "a role"]
fn role_in_another_network() {
    let place = Place::new();
    let before = fs::read_dir(directory()).unwrap().count();
    // The second of two such roles finds none, because the first has replaced it.
    let stale = directory().join("stale");
    drop(place.listen(Bind::path(&stale)).unwrap());
    for name in ["listening", "bound", "packets", "datagrams", "full", "client"] {
        let path = directory().join(name);
        let found = inode(&path);
        for _ in 0..3 {
            let error = place.rejected(&path);
            assert!(matches!(error, BindError::InUse { .. }), "{name}: {error}");
        }
        assert_eq!(inode(&path), found, "{name}");
    }
    assert!(fs::read_dir(directory()).unwrap().count() <= before);
}

#[test]
fn the_overflow_uid_identifies_no_user() {
    if !rustix::process::geteuid().is_root() {
        return skipped("takes root, to map a user and be another");
    }
    let public = public_directory();
    let directory = public.path().join("s");
    fs::create_dir(&directory).unwrap();
    std::os::unix::fs::chown(&directory, Some(60_001), Some(60_001)).unwrap();
    let path = directory.join("x.sock");
    // User 60001 outside is 65534 inside, as in a container with `user: nobody`.
    let script = format!(
        "exec setpriv --reuid 60001 --regid 60001 --clear-groups \
         unshare -U --map-user={NOBODY} --map-group={NOBODY} \"$0\" \"$@\""
    );
    let exe = public.path().join("tests");
    if fs::hard_link(std::env::current_exe().unwrap(), &exe).is_err() {
        fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    }
    fs::set_permissions(&exe, fs::Permissions::from_mode(0o755)).unwrap();
    let is_allowed =
        Command::new("sh").args(["-c", &script, "test", "-r", "/proc/self/uid_map"]).stderr(Stdio::null()).status();
    if !is_allowed.is_ok_and(|status| status.success()) {
        return skipped("no user namespace for an ordinary user");
    }
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(&exe).env(DIRECTORY, &directory).env("TMPDIR", &directory);
    let mut role = Actor::with(&mut command, "bind::environments::role_as_overflow_uid");
    for is_named in [false, true] {
        assert_eq!(role.ask(if is_named { "named" } else { "default" }), "listening");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        // Strangers all look alike in there, and are the receiver's own uid.
        let came = as_somebody(|| StdStream::connect(&path).unwrap());
        assert_eq!(role.hear(), if is_named { "admitted 65534" } else { "rejected 65534" });
        drop(came);
        assert_eq!(role.ask("end"), "ended");
    }
    role.passes();
}

#[test]
#[ignore = "a role"]
fn role_as_overflow_uid() {
    let place = Place::new();
    let path = directory().join("x.sock");
    assert_eq!(rustix::process::geteuid().as_raw(), NOBODY);
    let mut held = None;
    for line in std::io::stdin().lines().map_while(Result::ok) {
        if line == "end" {
            drop(held.take());
            say("ended");
            continue;
        }
        let bind = Bind::path(&path);
        let bind = if line == "named" { bind.admit(Admit::own().uid(NOBODY)) } else { bind };
        let mut listener = place.listen(bind).unwrap();
        let warned = listener.warnings().iter().any(|warning| matches!(warning, Warning::OverflowUser { uid: NOBODY }));
        assert_eq!(warned, line != "named", "{:?}", listener.warnings());
        say("listening");
        match place.runtime.block_on(listener.next()).unwrap() {
            Accepted::Connection(_, peer) => say(format!("admitted {}", peer.uid())),
            Accepted::Rejected(Some(peer)) => say(format!("rejected {}", peer.uid())),
            other => panic!("{other:?}"),
        }
        held = Some(listener);
    }
}

/// The user is mapped here, and is not the peer's: only the group is in question.
#[test]
fn the_overflow_gid_alone_identifies_no_group() {
    if !rustix::process::geteuid().is_root() {
        return skipped("takes root, to give a directory another group and be a member of it");
    }
    let flags = ["-U", "--map-user=1000", "--map-group=1000"];
    let is_allowed = Command::new("unshare").args(flags).arg("true").stderr(Stdio::null()).status();
    if !is_allowed.is_ok_and(|status| status.success()) {
        return skipped("no user namespace");
    }
    let public = public_directory();
    let directory = public.path().join("s");
    fs::create_dir(&directory).unwrap();
    // The socket gets this group, which is 65534 inside, as that of every stranger is.
    let group = as_somebody(|| rustix::process::getegid().as_raw());
    std::os::unix::fs::chown(&directory, None, Some(group)).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o2755)).unwrap();
    let path = directory.join("x.sock");
    let mut command = Command::new("unshare");
    command.args(flags).arg(std::env::current_exe().unwrap()).env(DIRECTORY, &directory);
    let mut role = Actor::with(&mut command, "bind::environments::role_with_the_overflow_gid");
    for is_named in [false, true] {
        assert_eq!(role.ask(if is_named { "named" } else { "default" }), "listening");
        assert_eq!((path.metadata().unwrap().gid(), path.metadata().unwrap().mode() & 0o777), (group, 0o660));
        let came = as_somebody(|| StdStream::connect(&path).unwrap());
        assert_eq!(role.hear(), if is_named { "admitted 65534" } else { "rejected 65534" });
        drop(came);
        assert_eq!(role.ask("end"), "ended");
    }
    role.passes();
}

#[test]
#[ignore = "a role"]
fn role_with_the_overflow_gid() {
    let place = Place::new();
    let path = directory().join("x.sock");
    assert_eq!(rustix::process::geteuid().as_raw(), 1000);
    let mut held = None;
    for line in std::io::stdin().lines().map_while(Result::ok) {
        if line == "end" {
            drop(held.take());
            say("ended");
            continue;
        }
        let bind = Bind::path(&path).mode(Mode::GROUP);
        let bind = if line == "named" { bind.admit(Admit::own().gid(NOBODY)) } else { bind };
        let mut listener = place.listen(bind).unwrap();
        say("listening");
        match place.runtime.block_on(listener.next()).unwrap() {
            Accepted::Connection(_, peer) => say(format!("admitted {}", peer.gid())),
            Accepted::Rejected(Some(peer)) => say(format!("rejected {}", peer.gid())),
            other => panic!("{other:?}"),
        }
        held = Some(listener);
    }
}

// --- kernels that lack something ----------------------------------------------------------------------------------

fn without_rename_flags() {
    lacks(libc::SYS_renameat2, 4, Op::Ne, 0, libc::EINVAL);
}

/// As where a sandbox denies what it does not know.
fn without_renameat2() {
    lacks(libc::SYS_renameat2, 4, Op::Ge, 0, libc::EPERM);
}

fn without_netlink() {
    lacks(libc::SYS_socket, 0, Op::Ne, libc::AF_UNIX as u64, libc::EAFNOSUPPORT);
}

fn without_peer_groups() {
    lacks(libc::SYS_getsockopt, 2, Op::Eq, libc::SO_PEERGROUPS as u64, libc::ENOPROTOOPT);
}

/// A sandbox that forbids what it does not know.
fn forbids_options() {
    for option in [libc::SO_PEERGROUPS, libc::SO_PEERPIDFD] {
        lacks(libc::SYS_getsockopt, 2, Op::Eq, option as u64, libc::EPERM);
    }
    // `SO_PASSRIGHTS`, and whether credentials, labels and pidfds come with the bytes.
    for option in [83, libc::SO_PASSCRED, libc::SO_PASSSEC, libc::SO_PASSPIDFD] {
        lacks(libc::SYS_setsockopt, 2, Op::Eq, option as u64, libc::EPERM);
    }
}

/// A system that answers the lookup by a datagram socket as if nothing were bound, as gVisor may.
fn without_lookup() {
    lacks(
        libc::SYS_socket,
        1,
        Op::Eq,
        (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK) as u64,
        libc::ECONNREFUSED,
    );
}

#[test]
fn a_kernel_that_lacks_a_feature_is_no_obstacle() {
    for (what, restrict) in [
        ("flags of renameat2", without_rename_flags as fn()),
        ("renameat2", without_renameat2),
        ("netlink", without_netlink),
        ("peer groups", without_peer_groups),
        ("leave to use options", forbids_options),
        ("the lookup", without_lookup),
    ] {
        // Filters belong to threads.
        std::thread::spawn(move || {
            let place = Place::new();
            restrict();
            let path = place.path();
            for _ in 0..3 {
                leave_stale(&path);
                let mut listener = place.listen(Bind::path(&path)).unwrap_or_else(|error| panic!("{what}: {error:?}"));
                let _client = Connect::path(&path).connect_blocking().unwrap();
                let (_, peer) = place.runtime.block_on(listener.accept()).unwrap();
                assert_eq!(peer.uid(), rustix::process::geteuid().as_raw(), "{what}");
                drop(listener);
                assert_eq!(place.names(), [""; 0], "{what}");
            }
            let server = StdListener::bind(&path).unwrap();
            let before = inode(&path);
            assert!(matches!(place.rejected(&path), BindError::InUse { .. }), "{what}");
            assert_eq!(inode(&path), before, "{what}");
            drop(server);
        })
        .join()
        .unwrap();
    }
}

#[test]
fn missing_peer_groups_are_told_if_groups_are_admitted() {
    std::thread::spawn(|| {
        let place = Place::new();
        let warnings = |bind| format!("{:?}", place.listen(bind).unwrap().warnings());
        let (own, group) = (Bind::path(place.path()), Bind::path(place.path()).mode(Mode::GROUP));
        assert_eq!(warnings(group.clone()), "[]");
        without_peer_groups();
        assert_eq!(warnings(own), "[]", "no group is admitted, so none is missed");
        assert_eq!(warnings(group), "[NoPeerGroups]");
        // Of connections that were made, and not accepted.
        assert_eq!(format!("{:?}", Admit::own().gid(7).warnings()), "[NoPeerGroups]");
        assert_eq!(format!("{:?}", [Admit::own(), Admit::any().gid(7)].map(|admit| admit.warnings())), "[[], []]");
    })
    .join()
    .unwrap();
}

// --- directories --------------------------------------------------------------------------------------------------

#[test]
fn a_directory_that_others_may_write_to_is_used_if_that_is_known() {
    let place = Place::new();
    let shared = place.beside("shared");
    fs::create_dir(&shared).unwrap();
    let path = shared.join("x.sock");
    for mode in [0o777, 0o2777, 0o2775] {
        fs::set_permissions(&shared, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(place.rejected(&path), BindError::SharedDirectory { .. }), "{mode:o}");
        for _ in 0..2 {
            let listener = place.listen(Bind::path(&path).in_shared_directory()).unwrap();
            let metadata = path.metadata().unwrap();
            assert_eq!(metadata.mode() & 0o7777, 0o600, "{mode:o}");
            assert_eq!(served_by(&path), Some(std::process::id()));
            drop(listener);
            leave_stale(&path);
        }
        fs::remove_file(&path).unwrap();
    }
}
