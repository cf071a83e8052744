//! Sockets that come, go, move and are replaced.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;

use fs_watch::{DotFiles, Reason};

use crate::real::mirror::Mirror;
use crate::real::{Rig, everywhere};

everywhere![
    sockets_there_at_the_start_are_listed,
    a_socket_that_appears_is_added,
    a_datagram_socket_is_a_socket,
    a_socket_that_vanishes_is_removed,
    a_server_that_dies_leaves_its_socket_where_it_is,
    a_socket_renamed_into_the_directory_is_added,
    a_socket_renamed_out_of_the_directory_is_removed,
    a_socket_renamed_within_the_directory_moves,
    a_socket_renamed_over_another_replaces_it,
    a_socket_bound_again_at_its_path_is_another,
    many_replacements_end_with_the_last,
    a_listing_torn_by_renames_removes_nobody_else,
    a_chmod_is_no_replacement,
    what_is_no_socket_is_ignored,
    dot_files_are_reported_when_asked_for,
    a_name_need_not_be_utf8,
];

async fn sockets_there_at_the_start_are_listed(rig: Rig) {
    let _a = rig.bind("a");
    let _b = rig.bind("b");
    let mirror = Mirror::start(rig.builder()).await;
    assert_eq!(mirror.names(), ["a", "b"]);
}

async fn a_socket_that_appears_is_added(rig: Rig) {
    let mut mirror = Mirror::start(rig.builder()).await;
    let _listener = rig.bind("a");
    let socket = mirror.until_there(&rig.path("a")).await;
    let metadata = fs::symlink_metadata(rig.path("a")).unwrap();
    assert_eq!(socket.facts.inode, std::os::unix::fs::MetadataExt::ino(&metadata));
    assert_eq!(socket.facts.mode, metadata.permissions().mode() & 0o7777);
    assert_eq!(socket.facts.uid, std::os::unix::fs::MetadataExt::uid(&metadata));
}

async fn a_datagram_socket_is_a_socket(rig: Rig) {
    let mut mirror = Mirror::start(rig.builder()).await;
    let _socket = UnixDatagram::bind(rig.path("log")).unwrap();
    mirror.until_there(&rig.path("log")).await;
}

async fn a_socket_that_vanishes_is_removed(rig: Rig) {
    let _listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder()).await;
    fs::remove_file(rig.path("a")).unwrap();
    mirror.until_gone(&rig.path("a")).await;
    assert_eq!(mirror.removals, [Reason::Gone]);
}

async fn a_server_that_dies_leaves_its_socket_where_it_is(rig: Rig) {
    let listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder()).await;
    drop(listener);
    let _later = rig.bind("b");
    mirror.until_there(&rig.path("b")).await;
    assert_eq!(mirror.names(), ["a", "b"]);
}

async fn a_socket_renamed_into_the_directory_is_added(rig: Rig) {
    let mut mirror = Mirror::start(rig.builder()).await;
    let _listener = UnixListener::bind(rig.beside("made")).unwrap();
    fs::rename(rig.beside("made"), rig.path("a")).unwrap();
    mirror.until_there(&rig.path("a")).await;
}

async fn a_socket_renamed_out_of_the_directory_is_removed(rig: Rig) {
    let _listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder()).await;
    fs::rename(rig.path("a"), rig.beside("away")).unwrap();
    mirror.until_gone(&rig.path("a")).await;
}

async fn a_socket_renamed_within_the_directory_moves(rig: Rig) {
    let _listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder()).await;
    fs::rename(rig.path("a"), rig.path("b")).unwrap();
    mirror.until("it has moved", |mirror| mirror.names() == ["b"]).await;
}

async fn a_socket_renamed_over_another_replaces_it(rig: Rig) {
    let _old = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder()).await;
    let before = mirror.sockets[&rig.path("a")].clone();
    // Published as careful servers do it: created under a name that is ignored, and then renamed.
    let _new = rig.bind(".a.new");
    fs::rename(rig.path(".a.new"), rig.path("a")).unwrap();
    let id = before.id();
    mirror
        .until("it was replaced", |mirror| {
            mirror.sockets.get(&id.path).is_some_and(|socket| socket.generation > id.generation)
        })
        .await;
    assert_eq!(mirror.removals, [Reason::Replaced]);
    let after = &mirror.sockets[&id.path];
    assert_eq!(after.generation.value(), id.generation.value() + 1);
}

async fn a_socket_bound_again_at_its_path_is_another(rig: Rig) {
    let path = rig.path("a");
    let mut listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder()).await;
    for _ in 0..30 {
        let before = mirror.sockets[&path].clone();
        drop(listener);
        fs::remove_file(&path).unwrap();
        // On ext4 this one has, nearly every time, the inode number of the one before.
        listener = rig.bind("a");
        mirror
            .until("there is another", |mirror| {
                mirror.sockets.get(&path).is_some_and(|now| now.generation > before.generation)
            })
            .await;
        assert!(!mirror.sockets[&path].facts.is_same_file(&before.facts));
    }
}

async fn many_replacements_end_with_the_last(rig: Rig) {
    let mut mirror = Mirror::start(rig.builder()).await;
    let mut last = None;
    for _ in 0..500 {
        if last.take().is_some() {
            fs::remove_file(rig.path("a")).unwrap();
        }
        last = Some(rig.bind("a"));
    }
    let metadata = fs::symlink_metadata(rig.path("a")).unwrap();
    let born = metadata.created().ok();
    mirror
        .until("the last one is known", |mirror| {
            mirror.sockets.get(&rig.path("a")).is_some_and(|socket| socket.facts.birth == born)
        })
        .await;
}

/// While a name moves, `readdir` can miss others or show them twice.
async fn a_listing_torn_by_renames_removes_nobody_else(rig: Rig) {
    let _listener = rig.bind("0");
    for number in 1..1_000 {
        // A hard link to a socket is a socket.
        fs::hard_link(rig.path("0"), rig.path(&number.to_string())).unwrap();
    }
    let mut mirror = Mirror::start(rig.builder()).await;
    assert_eq!(mirror.sockets.len(), 1_000);
    let (here, there) = (rig.path("500"), rig.path("a name of quite another length"));
    let renaming = std::thread::spawn({
        let (here, there) = (here.clone(), there.clone());
        move || {
            for _ in 0..2_000 {
                fs::rename(&here, &there).unwrap();
                fs::rename(&there, &here).unwrap();
            }
        }
    });
    while !renaming.is_finished() {
        let soon = Duration::from_millis(10);
        mirror.take_for(soon).await;
        let others = mirror.sockets.keys().filter(|path| **path != here && **path != there);
        assert_eq!(others.count(), 999);
    }
    renaming.join().unwrap();
    mirror
        .until("it has come to rest", |mirror| {
            mirror.sockets.contains_key(&here) && !mirror.sockets.contains_key(&there)
        })
        .await;
}

async fn a_chmod_is_no_replacement(rig: Rig) {
    let _a = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder()).await;
    let before = mirror.sockets[&rig.path("a")].clone();
    for mode in [0o600, 0o666, 0o000] {
        fs::set_permissions(rig.path("a"), fs::Permissions::from_mode(mode)).unwrap();
    }
    let _b = rig.bind("b");
    mirror.until_there(&rig.path("b")).await;
    assert_eq!(mirror.sockets[&rig.path("a")], before);
    assert_eq!(mirror.removals, []);
}

async fn what_is_no_socket_is_ignored(rig: Rig) {
    let _target = UnixListener::bind(rig.beside("target")).unwrap();
    let mut mirror = Mirror::start(rig.builder()).await;
    fs::write(rig.path("file.sock"), "").unwrap();
    fs::create_dir(rig.path("directory.sock")).unwrap();
    symlink(rig.beside("target"), rig.path("link.sock")).unwrap();
    let _hidden = rig.bind(".hidden");
    let _inside = UnixListener::bind(rig.path("directory.sock").join("deep")).unwrap();
    let _last = rig.bind("z");
    mirror.until_there(&rig.path("z")).await;
    assert_eq!(mirror.names(), ["z"]);

    // A socket that becomes something else is gone.
    fs::remove_file(rig.path("z")).unwrap();
    fs::write(rig.path("z"), "").unwrap();
    mirror.until_gone(&rig.path("z")).await;
}

async fn dot_files_are_reported_when_asked_for(rig: Rig) {
    let _early = rig.bind(".early");
    let mut mirror = Mirror::start(rig.builder().dot_files(DotFiles::Reported)).await;
    assert_eq!(mirror.names(), [".early"]);
    let _late = rig.bind(".late");
    mirror.until_there(&rig.path(".late")).await;
}

async fn a_name_need_not_be_utf8(rig: Rig) {
    let mut mirror = Mirror::start(rig.builder()).await;
    let path = rig.dir().join(OsStr::from_bytes(b"\xff\n\x1b[31m"));
    let _listener = UnixListener::bind(&path).unwrap();
    mirror.until_there(&path).await;
}
