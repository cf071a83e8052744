//! Repetition: a socket is replaced ten thousand times, a directory is deleted and made again a thousand times. And
//! while no event is taken, other watchers come and go at the same source of hints.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use fs_watch::{Probing, Reason, Watcher};

use crate::real::mirror::Mirror;
use crate::real::{Rig, everywhere};

everywhere![
    trap_07_ten_thousand_replacements_are_ten_thousand_generations,
    trap_08_a_directory_remade_a_thousand_times_while_its_sockets_live_is_followed,
    trap_02_watches_are_set_and_given_up_while_a_burst_waits_for_its_consumer,
];

async fn trap_07_ten_thousand_replacements_are_ten_thousand_generations(rig: Rig) {
    // The barrier is the same with and without events; what events do to it in between is not.
    let cycles: u64 = if rig.is_polled() { 1_000 } else { 10_000 };
    let path = rig.path("a");
    let mut listener = rig.bind("a");
    let mut mirror = Mirror::start(rig.builder()).await;
    let first = mirror.sockets[&path].generation.value();
    for cycle in 1..=cycles {
        if cycle % 2 == 0 {
            drop(listener);
            fs::remove_file(&path).unwrap();
            // On ext4 with the inode number of the one before.
            listener = rig.bind("a");
        } else {
            listener = rig.bind(".a");
            fs::rename(rig.path(".a"), &path).unwrap();
        }
        mirror.sync().await;
        assert_eq!(mirror.sockets[&path].generation.value(), first + cycle);
    }
    assert_eq!(mirror.removals.len() as u64, cycles);
    let replaced = mirror.removals.iter().filter(|reason| **reason == Reason::Replaced).count() as u64;
    assert!(replaced >= cycles / 2, "a scan between unlink and bind sees it gone: {replaced}");
    drop(listener);
}

async fn trap_08_a_directory_remade_a_thousand_times_while_its_sockets_live_is_followed(rig: Rig) {
    let cycles = if rig.is_polled() { 100 } else { 1_000 };
    let mut mirror = Mirror::start(rig.builder().probing(Probing::Off)).await;
    let mut living = Vec::new();
    let (mut times, mut turns) = (Vec::new(), Vec::new());
    for _ in 0..cycles {
        // Of the one before, the kernel does not report the end, because this lives.
        let began = Instant::now();
        living.push(rig.bind("a"));
        mirror.until_there(&rig.path("a")).await;
        times.push(began.elapsed());
        // How long another thread currently waits for the processor on this machine.
        let began = Instant::now();
        std::thread::spawn(|| ()).join().unwrap();
        turns.push(began.elapsed());
        fs::remove_dir_all(rig.dir()).unwrap();
        fs::create_dir(rig.dir()).unwrap();
        mirror.until_gone(&rig.path("a")).await;
    }
    times.sort_unstable();
    turns.sort_unstable();
    let (median, turn) = (times[cycles / 2], turns[cycles / 2]);
    let soon = Duration::from_millis(100) + 20 * turn;
    assert!(median < soon, "the first socket of a new directory is seen after {median:?}, a turn takes {turn:?}");
}

async fn trap_02_watches_are_set_and_given_up_while_a_burst_waits_for_its_consumer(rig: Rig) {
    const BURST: usize = 3_000;
    let mut mirror = Mirror::start(rig.builder()).await;
    let dir = rig.dir();
    let burst = std::thread::spawn(move || {
        for number in 0..BURST {
            drop(UnixListener::bind(dir.join(number.to_string())).unwrap());
        }
    });
    // No event is taken, and each of these is a control call to the thread that gives the hints.
    for _ in 0..30 {
        let other = Watcher::builder(rig.dir()).probing(Probing::Off).start().await.unwrap();
        other.shutdown().await;
    }
    burst.join().unwrap();
    mirror.sync().await;
    assert_eq!(mirror.sockets.len(), BURST);
}
