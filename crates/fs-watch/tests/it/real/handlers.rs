//! A task for each socket, whatever tells of it: one for each generation, stopped when its socket goes.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs_watch::attach::{Attached, End, News, Policy, Stop};
use fs_watch::{Socket, SocketId};

use crate::real::{Rig, everywhere};

everywhere![
    trap_14_each_generation_has_one_handler_and_none_outlives_its_socket,
    trap_14_a_handler_that_fails_is_started_again_until_its_socket_goes,
];

/// Which handlers live.
type Living = Arc<Mutex<HashMap<PathBuf, SocketId>>>;

/// Until its handler's future is dropped.
struct Life {
    living: Living,
    path: PathBuf,
}

impl Life {
    fn begin(living: &Living, socket: &Socket) -> Self {
        let before = living.lock().unwrap().insert(socket.path.clone(), socket.id());
        assert_eq!(before, None, "two handlers live at one path");
        Self { living: living.clone(), path: socket.path.clone() }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.living.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&self.path);
    }
}

async fn started(attached: &mut Attached<String>) -> SocketId {
    loop {
        match attached.next().await.unwrap() {
            News::Started(id) => return id,
            News::Ended { asked, end, .. } => assert_eq!((asked, end), (true, End::Finished)),
            _ => {}
        }
    }
}

async fn trap_14_each_generation_has_one_handler_and_none_outlives_its_socket(rig: Rig) {
    const CYCLES: u64 = 100;
    let living = Living::default();
    let path = rig.path("a");
    let mut listener = rig.bind("a");
    let watcher = rig.builder().start().await.unwrap();
    let mut attached = watcher.attach_with(Policy::default().with_grace(u32::MAX), {
        let living = living.clone();
        move |socket: Socket, stop: Stop| {
            let living = living.clone();
            async move {
                let _life = Life::begin(&living, &socket);
                stop.requested().await;
                Ok::<(), String>(())
            }
        }
    });
    let first = started(&mut attached).await.generation.value();
    for cycle in 1..=CYCLES {
        match cycle % 3 {
            0 => {
                drop(listener);
                fs::remove_file(&path).unwrap();
                listener = rig.bind("a");
            }
            1 => {
                listener = rig.bind(".a");
                fs::rename(rig.path(".a"), &path).unwrap();
            }
            _ => {
                fs::remove_dir_all(rig.dir()).unwrap();
                fs::create_dir(rig.dir()).unwrap();
                listener = rig.bind("a");
            }
        }
        let id = started(&mut attached).await;
        assert_eq!((&id.path, id.generation.value()), (&path, first + cycle));
        assert_eq!(attached.live(), 1);
    }
    drop(listener);
    fs::remove_file(&path).unwrap();
    while attached.live() > 0 {
        attached.next().await.unwrap();
    }
    assert!(living.lock().unwrap().is_empty());
    let report = attached.shutdown().await;
    assert_eq!((report.started, report.finished, report.skipped), (CYCLES + 1, CYCLES + 1, 0));
}

async fn trap_14_a_handler_that_fails_is_started_again_until_its_socket_goes(rig: Rig) {
    let _listener = rig.bind("a");
    let watcher = rig.builder().start().await.unwrap();
    let policy = Policy::default().with_pauses(Duration::from_millis(1), Duration::from_millis(4));
    let mut attached = watcher.attach_with(policy, async |_, _| Err::<(), _>("as the test wants it to".to_owned()));
    let mut failures = 0;
    while failures < 5 {
        if let News::Ended { end, asked, again_in, .. } = attached.next().await.unwrap() {
            assert_eq!((end, asked), (End::Failed("as the test wants it to".to_owned()), false));
            assert!(again_in.is_some(), "its socket is still there");
            failures += 1;
        }
    }
    fs::remove_file(rig.path("a")).unwrap();
    while !matches!(attached.next().await.unwrap(), News::Event(fs_watch::Event::Removed { .. })) {}
    // Of a second socket all is told, and of the first nothing more.
    let _second = rig.bind("b");
    loop {
        match attached.next().await.unwrap() {
            News::Started(id) => break assert_eq!(id.path, rig.path("b")),
            News::Ended { id, again_in, .. } => assert_eq!((id.path, again_in), (rig.path("a"), None)),
            _ => {}
        }
    }
    let report = attached.shutdown().await;
    assert_eq!(report.started, report.failed + report.finished + report.aborted);
}
