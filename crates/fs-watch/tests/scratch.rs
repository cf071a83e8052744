#![expect(clippy::unwrap_used, reason = "a test may")]
#![allow(missing_docs, clippy::print_stderr)]
use fs_watch::backend::Polling;
use fs_watch::{Event, Probing, Watcher};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

fn inotify_instances() -> usize {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter(|e| std::fs::read_link(e.path()).is_ok_and(|l| l.to_string_lossy().contains("inotify")))
        .count()
}

#[tokio::test]
async fn thousands() {
    let n: usize = std::env::var("COUNT").ok().and_then(|n| n.parse().ok()).unwrap_or(3000);
    let root = tempfile::tempdir_in("/dev/shm").unwrap();
    let began = Instant::now();
    let mut set = tokio::task::JoinSet::new();
    for i in 0..n {
        let dir = root.path().join(format!("{i}"));
        std::fs::create_dir(&dir).unwrap();
        set.spawn(async move { Watcher::start(dir).await.unwrap() });
    }
    let mut watchers = vec![];
    while let Some(w) = set.join_next().await {
        watchers.push(w.unwrap());
    }
    eprintln!("started {n} in {:?}, inotify {}", began.elapsed(), inotify_instances());
    let until = Instant::now() + Duration::from_secs(12);
    let mut degraded = 0;
    let mut resynced = 0;
    while Instant::now() < until {
        for w in &mut watchers {
            while let Some(e) = w.try_next() {
                match e {
                    Event::Degraded(why) => {
                        if degraded < 5 {
                            eprintln!("{:?} {why}", began.elapsed());
                        }
                        degraded += 1
                    }
                    Event::Resynced => resynced += 1,
                    _ => {}
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eprintln!("degraded {degraded} resynced {resynced} inotify {}", inotify_instances());
    let t = Instant::now();
    let _l = UnixListener::bind(watchers[0].dir().join("a")).unwrap();
    loop {
        if let Event::Added(_) = watchers[0].next().await.unwrap() {
            break;
        }
    }
    eprintln!("event after {:?}", t.elapsed());
    let t = Instant::now();
    for w in watchers {
        set.spawn(async move {
            w.shutdown().await;
            panic!()
        });
    }
    while set.join_next().await.is_some() {}
    eprintln!("shutdown in {:?}", t.elapsed());
}

#[tokio::test]
async fn exchanged() {
    let root = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut ws = vec![];
    for i in 0..6 {
        let d = root.path().join(format!("{i}"));
        std::fs::create_dir(&d).unwrap();
        ws.push(Watcher::builder(d).probing(Probing::Off).start().await.unwrap());
    }
    eprintln!("inotify {}", inotify_instances());
    for r in 0..12 {
        let a = ws[r % 6].dir().to_owned();
        let b = ws[(r * 5 + 1) % 6].dir().to_owned();
        if a == b {
            continue;
        }
        rustix::fs::renameat_with(rustix::fs::CWD, &a, rustix::fs::CWD, &b, rustix::fs::RenameFlags::EXCHANGE).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        eprintln!("inotify {}", inotify_instances());
    }
    // still seen?
    for w in &mut ws {
        while w.try_next().is_some() {}
        let _l = UnixListener::bind(w.dir().join("x")).unwrap();
        let t = Instant::now();
        loop {
            if let Event::Added(_) = w.next().await.unwrap() {
                break;
            }
        }
        eprintln!("seen after {:?}", t.elapsed());
    }
}

#[tokio::test]
async fn sync_hoard() {
    let root = tempfile::tempdir_in("/dev/shm").unwrap();
    let w = Watcher::builder(root.path())
        .probing(Probing::Off)
        .backend(Polling::every(Duration::from_secs(1)))
        .start()
        .await
        .unwrap();
    let rss = || {
        std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4
    };
    for r in 0..400 {
        let ls: Vec<_> = (0..500).map(|i| UnixListener::bind(root.path().join(format!("{i}"))).unwrap()).collect();
        w.sync().await.unwrap();
        drop(ls);
        for i in 0..500 {
            std::fs::remove_file(root.path().join(format!("{i}"))).unwrap();
        }
        w.sync().await.unwrap();
        if r % 100 == 0 {
            eprintln!("{r}: {} kB", rss());
        }
    }
}
