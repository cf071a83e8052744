//! What happens to the directory itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};

use fs_watch::{Error, Missing, Reason, Watcher, Why};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::real::mirror::Mirror;
use crate::real::{Rig, everywhere};

everywhere![
    a_directory_that_is_not_there_can_be_waited_for,
    a_directory_that_is_not_there_can_be_made,
    a_directory_that_cannot_be_made_is_an_error,
    directories_exchanged_are_told_apart,
    a_barrier_shows_the_directory_as_it_was_left,
    a_missing_directory_is_rejected,
    a_path_that_is_not_a_directory_is_rejected,
    a_directory_deleted_and_made_again_while_its_sockets_live_is_followed,
    a_directory_deleted_and_made_again_at_once_is_followed,
    a_directory_moved_away_is_not_followed_and_its_successor_is,
    a_parent_deleted_and_made_again_is_followed,
    a_link_turned_elsewhere_is_followed,
    a_directory_behind_a_link_deleted_and_made_again_is_followed,
    a_path_that_cannot_be_followed_removes_nothing,
    a_file_in_the_directorys_place_ends_its_sockets,
];

async fn a_directory_that_is_not_there_can_be_waited_for(rig: Rig) {
    let dir = rig.beside("later").join("below");
    let mut mirror = Mirror::start(rig.builder_for(&dir).missing(Missing::Wait)).await;
    assert_eq!(mirror.trouble, Some(Why::Missing));
    fs::create_dir_all(&dir).unwrap();
    let _listener = UnixListener::bind(dir.join("a")).unwrap();
    mirror.until_there(&dir.join("a")).await;
    mirror.until_resynced().await;
    // What is in the way of a directory is not waited for to go.
    fs::write(rig.beside("file"), "").unwrap();
    let error = rig.builder_for(&rig.beside("file")).missing(Missing::Wait).start().await.unwrap_err();
    assert!(matches!(error, Error::NotADirectory { .. }), "{error:?}");
}

async fn a_directory_that_is_not_there_can_be_made(rig: Rig) {
    let dir = rig.beside("made").join("below");
    let mut mirror = Mirror::start(rig.builder_for(&dir).missing(Missing::Create { mode: 0o700 })).await;
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0o700);
    let _listener = UnixListener::bind(dir.join("a")).unwrap();
    mirror.until_there(&dir.join("a")).await;
    // One that is there is taken as it is.
    let again = rig.builder_for(&dir).missing(Missing::Create { mode: 0o755 }).start().await.unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o7777, 0o700);
    again.shutdown().await;
    // A deletion by a user is intended.
    fs::remove_dir_all(&dir).unwrap();
    mirror.until("its end is known", |mirror| mirror.trouble == Some(Why::Missing)).await;
    assert!(!dir.exists());
}

async fn a_directory_that_cannot_be_made_is_an_error(rig: Rig) {
    fs::write(rig.beside("file"), "").unwrap();
    let dir = rig.beside("file").join("below");
    let error = rig.builder_for(&dir).missing(Missing::Create { mode: 0o700 }).start().await.unwrap_err();
    assert!(matches!(&error, Error::Create { dir: named, .. } if *named == dir), "{error:?}");
}

async fn directories_exchanged_are_told_apart(rig: Rig) {
    let other = rig.beside("other");
    fs::create_dir(&other).unwrap();
    let _here = rig.bind("here");
    let _there = UnixListener::bind(other.join("there")).unwrap();
    let mut mirror = Mirror::start(rig.builder()).await;
    for round in 0..20 {
        renameat_with(CWD, rig.dir(), CWD, &other, RenameFlags::EXCHANGE).unwrap();
        let name = if round % 2 == 0 { "there" } else { "here" };
        mirror.until("the other one is listed", |mirror| mirror.names() == [name]).await;
    }
    let _late = rig.bind("late");
    mirror.until_there(&rig.path("late")).await;
}

async fn a_barrier_shows_the_directory_as_it_was_left(rig: Rig) {
    let mut mirror = Mirror::start(rig.builder()).await;
    for round in 0..50 {
        let name = format!("{round}");
        let listener = rig.bind(&name);
        mirror.sync().await;
        assert_eq!(mirror.names(), [name.as_str()]);
        drop(listener);
        match round % 3 {
            0 => fs::remove_file(rig.path(&name)).unwrap(),
            1 => fs::rename(rig.path(&name), rig.beside(&name)).unwrap(),
            _ => {
                fs::remove_dir_all(rig.dir()).unwrap();
                fs::create_dir(rig.dir()).unwrap();
            }
        }
        mirror.sync().await;
        assert_eq!(mirror.names(), [""; 0]);
    }
    // That there is no directory is the truth, too.
    fs::remove_dir(rig.dir()).unwrap();
    mirror.sync().await;
    assert_eq!(mirror.trouble, Some(Why::Missing));
}

async fn a_missing_directory_is_rejected(rig: Rig) {
    let dir = rig.beside("none").join("below");
    let error = rig.builder_for(&dir).start().await.unwrap_err();
    assert!(matches!(&error, Error::Missing { dir: named } if *named == dir), "{error:?}");
    assert!(error.to_string().contains("create it"), "{error}");
    assert!(Watcher::start("").await.is_err());
    assert!(Watcher::start("a\0b").await.is_err());
}

async fn a_path_that_is_not_a_directory_is_rejected(rig: Rig) {
    fs::write(rig.beside("file"), "").unwrap();
    let _listener = rig.bind("a");
    for path in [rig.beside("file"), rig.path("a")] {
        let error = rig.builder_for(&path).start().await.unwrap_err();
        assert!(matches!(&error, Error::NotADirectory { dir } if *dir == path), "{error:?}");
    }
}

async fn a_directory_deleted_and_made_again_while_its_sockets_live_is_followed(rig: Rig) {
    // While a listener or a connection lives, the kernel does not report the end of their directory.
    let listener = rig.bind("old");
    let _client = UnixStream::connect(rig.path("old")).unwrap();
    let _accepted = listener.accept().unwrap();
    let mut mirror = Mirror::start(rig.builder()).await;

    fs::remove_dir_all(rig.dir()).unwrap();
    mirror.until("its end is known", |mirror| mirror.trouble == Some(Why::Missing)).await;
    mirror.until_gone(&rig.path("old")).await;

    fs::create_dir(rig.dir()).unwrap();
    mirror.until_resynced().await;
    let _new = rig.bind("new");
    mirror.until_there(&rig.path("new")).await;
    assert_eq!(mirror.names(), ["new"]);
}

async fn a_directory_deleted_and_made_again_at_once_is_followed(rig: Rig) {
    let mut mirror = Mirror::start(rig.builder()).await;
    let mut living = Vec::new();
    for round in 0..50 {
        let name = format!("{round}");
        living.push(rig.bind(&name));
        mirror.until_there(&rig.path(&name)).await;
        fs::remove_dir_all(rig.dir()).unwrap();
        fs::create_dir(rig.dir()).unwrap();
    }
    let _last = rig.bind("last");
    mirror.until("only the last is left", |mirror| mirror.names() == ["last"]).await;
}

async fn a_directory_moved_away_is_not_followed_and_its_successor_is(rig: Rig) {
    let _old = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder()).await;
    let before = mirror.sockets[&rig.path("a")].generation;
    fs::create_dir(rig.beside("successor")).unwrap();
    let _new = UnixListener::bind(rig.beside("successor/a")).unwrap();
    fs::rename(rig.dir(), rig.beside("away")).unwrap();
    fs::rename(rig.beside("successor"), rig.dir()).unwrap();
    mirror
        .until("the successor's socket is known", |mirror| {
            mirror.sockets.get(&rig.path("a")).is_some_and(|socket| socket.generation > before)
        })
        .await;
    // What happens in the one that was moved does not concern us.
    let _elsewhere = UnixListener::bind(rig.beside("away/b")).unwrap();
    let _here = rig.bind("c");
    mirror.until_there(&rig.path("c")).await;
    assert_eq!(mirror.names(), ["a", "c"]);
}

async fn a_parent_deleted_and_made_again_is_followed(rig: Rig) {
    let dir = rig.beside("one/two/three");
    fs::create_dir_all(&dir).unwrap();
    let _old = UnixListener::bind(dir.join("old")).unwrap();
    let mut mirror = Mirror::start(rig.builder_for(&dir)).await;
    fs::remove_dir_all(rig.beside("one")).unwrap();
    mirror.until_gone(&dir.join("old")).await;
    mirror.until("its end is known", |mirror| mirror.trouble == Some(Why::Missing)).await;
    fs::create_dir_all(&dir).unwrap();
    let _new = UnixListener::bind(dir.join("new")).unwrap();
    mirror.until_there(&dir.join("new")).await;
    mirror.until_resynced().await;
}

async fn a_link_turned_elsewhere_is_followed(rig: Rig) {
    fs::create_dir(rig.beside("other")).unwrap();
    let link = rig.beside("link");
    symlink("sockets", &link).unwrap();
    let _one = rig.bind("one");
    let _other = UnixListener::bind(rig.beside("other/two")).unwrap();
    let mut mirror = Mirror::start(rig.builder_for(&link)).await;
    assert_eq!(mirror.names(), ["one"]);

    symlink("other", rig.beside("link.new")).unwrap();
    fs::rename(rig.beside("link.new"), &link).unwrap();
    mirror.until("the other is listed", |mirror| mirror.names() == ["two"]).await;
    let _three = UnixListener::bind(rig.beside("other/three")).unwrap();
    mirror.until_there(&link.join("three")).await;
}

async fn a_directory_behind_a_link_deleted_and_made_again_is_followed(rig: Rig) {
    let link = rig.beside("link");
    symlink("sockets", &link).unwrap();
    let _old = rig.bind("old");
    let mut mirror = Mirror::start(rig.builder_for(&link)).await;
    fs::remove_dir_all(rig.dir()).unwrap();
    fs::create_dir(rig.dir()).unwrap();
    let _new = rig.bind("new");
    mirror.until("the new one is listed", |mirror| mirror.names() == ["new"]).await;
}

async fn a_path_that_cannot_be_followed_removes_nothing(rig: Rig) {
    // Permissions do not stop a test that runs as root; a link that leads to itself does.
    let _listener = rig.bind("a");
    let link = rig.beside("link");
    symlink("sockets", &link).unwrap();
    let mut mirror = Mirror::start(rig.builder_for(&link)).await;
    symlink("link", rig.beside("loop")).unwrap();
    fs::rename(rig.beside("loop"), &link).unwrap();
    mirror.until("it cannot be read", |mirror| matches!(mirror.trouble, Some(Why::Unreadable { .. }))).await;
    symlink("sockets", rig.beside("good")).unwrap();
    fs::rename(rig.beside("good"), &link).unwrap();
    mirror.until_resynced().await;
    assert_eq!(mirror.removals, []);
    assert_eq!(mirror.names(), ["a"]);
}

async fn a_file_in_the_directorys_place_ends_its_sockets(rig: Rig) {
    let _listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder()).await;
    fs::rename(rig.dir(), rig.beside("away")).unwrap();
    fs::write(rig.dir(), "").unwrap();
    mirror.until("a file is in the way", |mirror| mirror.trouble == Some(Why::NotADirectory)).await;
    mirror.until_gone(&rig.path("a")).await;
    assert_eq!(mirror.removals, [Reason::Gone]);
    fs::remove_file(rig.dir()).unwrap();
    fs::rename(rig.beside("away"), rig.dir()).unwrap();
    mirror.until_there(&rig.path("a")).await;
    mirror.until_resynced().await;
}
