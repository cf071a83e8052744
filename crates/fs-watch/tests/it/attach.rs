//! A task for each socket, on the real thing.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs_watch::attach::{Attached, End, News, Policy, Registration, Start, Stop};
use fs_watch::{Event, Reason, Socket, SocketId, Watcher};
use tempfile::TempDir;
use tokio::sync::{Notify, mpsc};

/// A test that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(50);

async fn bounded(test: impl Future<Output = ()>) {
    tokio::time::timeout(LIMIT, test).await.expect("the test hangs");
}

/// A handler that counts how many live at its path, and stops when asked.
#[derive(Clone, Default)]
struct Census {
    live: Arc<Mutex<HashMap<PathBuf, usize>>>,
    /// The inode of the socket for which the last handler was started.
    served: Arc<AtomicU64>,
    runs: Arc<AtomicUsize>,
}

impl Census {
    fn enter(&self, socket: &Socket) -> Present {
        let path = &socket.path;
        self.runs.fetch_add(1, Ordering::SeqCst);
        self.served.store(socket.facts.inode, Ordering::SeqCst);
        let mut live = self.live.lock().unwrap();
        let count = live.entry(path.clone()).or_default();
        *count += 1;
        assert_eq!(*count, 1, "two handlers of {path:?} live");
        Present { census: self.clone(), path: path.clone() }
    }

    fn nobody_lives(&self) -> bool {
        self.live.lock().unwrap().values().all(|count| *count == 0)
    }
}

/// As long as a handler's future is not dropped.
struct Present {
    census: Census,
    path: PathBuf,
}

impl Drop for Present {
    fn drop(&mut self) {
        // A panic here while another one unwinds would abort: the lock may be poisoned.
        let mut live = self.census.live.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *live.get_mut(&self.path).expect("it was counted") -= 1;
    }
}

/// Unlinks and binds: another socket at the same path.
fn rebind(path: &Path) -> UnixListener {
    let _ = fs::remove_file(path);
    UnixListener::bind(path).unwrap()
}

async fn started(attached: &mut Attached<String>) -> SocketId {
    loop {
        match attached.next().await.unwrap() {
            News::Started(id) => return id,
            News::Ended { end: End::Failed(error), .. } => panic!("{error}"),
            _ => {}
        }
    }
}

async fn ended(attached: &mut Attached<String>) -> (SocketId, End<String>, bool, Option<Duration>) {
    loop {
        if let News::Ended { id, end, asked, again_in } = attached.next().await.unwrap() {
            return (id, end, asked, again_in);
        }
    }
}

async fn until_stopped(socket: Socket, stop: Stop, census: Census) -> Result<(), String> {
    let _present = census.enter(&socket);
    stop.requested().await;
    Ok(())
}

fn attach(watcher: Watcher, policy: Policy) -> (Attached<String>, Census) {
    let census = Census::default();
    let mine = census.clone();
    (watcher.attach_with(policy, move |socket, stop| until_stopped(socket, stop, mine.clone())), census)
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// As many replacements as `FS_WATCH_CYCLES` says.
fn cycles(usual: usize) -> usize {
    std::env::var("FS_WATCH_CYCLES").map_or(usual, |number| number.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_replaced_again_and_again_has_a_handler_for_each_generation_on_disk() {
    a_handler_for_each_generation(&std::env::temp_dir()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_replaced_again_and_again_has_a_handler_for_each_generation_in_memory() {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        a_handler_for_each_generation(memory).await;
    }
}

async fn a_handler_for_each_generation(place: &Path) {
    let dir = tempfile::tempdir_in(place).unwrap();
    let path = dir.path().join("a.sock");
    let watcher = Watcher::start(dir.path()).await.unwrap();
    let (mut attached, census) = attach(watcher, Policy::default().with_grace(u32::MAX));
    let cycles = cycles(10_000);
    let mut generations = Vec::new();
    let mut listener = None;
    for cycle in 0..cycles {
        // The other way to be replaced: in one step, by another inode.
        if cycle % 2 == 1 {
            let aside = dir.path().join(".aside");
            listener = Some(rebind(&aside));
            fs::rename(&aside, &path).unwrap();
        } else {
            drop(listener.take());
            listener = Some(rebind(&path));
        }
        // How long all of it takes is the machine's business; each handler starts soon.
        let id = tokio::time::timeout(LIMIT, started(&mut attached)).await.expect("a handler for each generation");
        generations.push(id.generation.value());
    }
    drop(listener);
    let report = tokio::time::timeout(LIMIT, attached.shutdown()).await.expect("a shutdown ends");
    assert!(generations.is_sorted() && generations.len() == cycles);
    assert_eq!(report.started, cycles as u64);
    assert_eq!((report.finished, report.skipped), (report.started, 0));
    assert_eq!(census.runs.load(Ordering::SeqCst), cycles);
    assert!(census.nobody_lives());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_storm_of_replacements_and_the_last_one_is_served() {
    bounded(async {
        let dir = directory();
        let path = dir.path().join("a.sock");
        let watcher = Watcher::start(dir.path()).await.unwrap();
        let (mut attached, census) = attach(watcher, Policy::default().with_grace(u32::MAX));
        let storm = std::thread::spawn({
            let path = path.clone();
            move || {
                (0..cycles(5000)).fold(None, |before, _| {
                    drop(before);
                    Some(rebind(&path))
                })
            }
        });
        let mut announced = 0;
        let is_served = || census.served.load(Ordering::SeqCst) == fs::symlink_metadata(&path).unwrap().ino();
        while !storm.is_finished() || !is_served() {
            match tokio::time::timeout(Duration::from_millis(20), attached.next()).await {
                Ok(Some(News::Event(Event::Added(_)))) => announced += 1,
                Ok(Some(News::Ended { end, .. })) => assert_eq!(end, End::Finished),
                Ok(news) => drop(news.expect("it goes on")),
                Err(_) => {}
            }
        }
        drop(storm.join().unwrap());
        let report = attached.shutdown().await;
        assert_eq!(report.started + report.skipped, announced, "each generation was served or skipped");
        assert_eq!(census.runs.load(Ordering::SeqCst) as u64, report.started);
        assert!(census.nobody_lives());
    })
    .await;
}

#[tokio::test]
async fn a_handler_may_say_goodbye_and_one_that_does_not_is_aborted() {
    bounded(async {
        // A slow machine must not make a handler with long patience look like one that does not stop.
        for (patience, expected) in [(LIMIT, End::Finished), (Duration::from_millis(50), End::Aborted)] {
            let is_polite = expected == End::Finished;
            let dir = directory();
            let path = dir.path().join("a.sock");
            let _socket = rebind(&path);
            let watcher = Watcher::start(dir.path()).await.unwrap();
            let policy = Policy::default().with_patience(patience);
            // That it is started is told when it is spawned, which may be before it runs.
            let runs = Arc::new(Notify::new());
            let mut attached = watcher.attach_with(policy, {
                let runs = Arc::clone(&runs);
                move |_: Socket, stop: Stop| {
                    let runs = Arc::clone(&runs);
                    async move {
                        assert!(!stop.is_requested());
                        runs.notify_one();
                        stop.requested().await;
                        assert!(stop.is_requested());
                        if !is_polite {
                            std::future::pending::<()>().await;
                        }
                        tokio::task::yield_now().await;
                        Ok::<(), String>(())
                    }
                }
            });
            started(&mut attached).await;
            runs.notified().await;
            fs::remove_file(&path).unwrap();
            let (id, end, asked, again_in) = ended(&mut attached).await;
            assert_eq!((id.path, end, asked, again_in), (path, expected, true, None));
            assert_eq!(attached.live(), 0);
            attached.shutdown().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_is_told_and_the_handler_started_again_while_the_socket_stays() {
    bounded(async {
        let dir = directory();
        let path = dir.path().join("a.sock");
        let _socket = rebind(&path);
        let runs = Arc::new(AtomicUsize::new(0));
        let watcher = Watcher::start(dir.path()).await.unwrap();
        let policy = Policy::default().with_pauses(Duration::from_millis(1), Duration::from_millis(4));
        let mut attached = watcher.attach_with(policy, {
            let runs = runs.clone();
            move |_, _| match runs.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("in the call"),
                _ => async { panic!("in the {}", "future") },
            }
        });
        let mut told = Vec::new();
        for _ in 0..4 {
            let (id, end, asked, again_in) = ended(&mut attached).await;
            assert_eq!((&id.path, asked), (&path, false));
            told.push((end, again_in.unwrap().as_millis()));
        }
        let panicked = |text: &str, pause| (End::Panicked(text.to_owned()), pause);
        let expected = [
            panicked("in the call", 1),
            panicked("in the future", 2),
            panicked("in the future", 4),
            panicked("in the future", 4),
        ];
        assert_eq!(told, expected);
        // Waiting for the next attempt, it ends at once.
        let report = attached.shutdown().await;
        assert_eq!(report.panicked, report.started);
    })
    .await;
}

#[tokio::test]
async fn one_that_is_done_is_left_alone() {
    bounded(async {
        let dir = directory();
        let path = dir.path().join("a.sock");
        let _socket = rebind(&path);
        let watcher = Watcher::builder(dir.path()).safety_interval(Duration::from_millis(5)).start().await.unwrap();
        let mut attached = watcher.attach(async |_, _| Ok::<(), String>(()));
        let (_, end, asked, again_in) = ended(&mut attached).await;
        assert_eq!((end, asked, again_in), (End::Finished, false, None));
        let second = dir.path().join("b.sock");
        let _second = rebind(&second);
        // Many safety looks later there is still nothing to tell but of the other one.
        assert_eq!(ended(&mut attached).await.0.path, second);
        assert_eq!(attached.shutdown().await.started, 2);
    })
    .await;
}

#[tokio::test]
async fn shutdown_leaves_no_task() {
    bounded(async {
        let dir = directory();
        let _sockets: Vec<_> = (0..100).map(|number| rebind(&dir.path().join(number.to_string()))).collect();
        let watcher = Watcher::start(dir.path()).await.unwrap();
        let (mut attached, census) = attach(watcher, Policy::default());
        for _ in 0..60 {
            started(&mut attached).await;
        }
        let metrics = tokio::runtime::Handle::current().metrics();
        assert!(metrics.num_alive_tasks() >= 60);
        let report = attached.shutdown().await;
        assert_eq!(metrics.num_alive_tasks(), 0);
        assert_eq!((report.started, report.skipped), (report.finished, 0));
        assert!(report.started >= 60 && census.nobody_lives());
    })
    .await;
}

#[tokio::test]
async fn dropping_it_aborts_all_and_panics_nowhere() {
    bounded(async {
        let dir = directory();
        let _socket = rebind(&dir.path().join("a"));
        let watcher = Watcher::start(dir.path()).await.unwrap();
        let (mut attached, census) = attach(watcher, Policy::default());
        started(&mut attached).await;
        drop(attached);
        let metrics = tokio::runtime::Handle::current().metrics();
        while metrics.num_alive_tasks() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(census.nobody_lives());
    })
    .await;
}

/// Neither with one thread nor with several is there anything in it to wait for.
#[test]
fn a_runtime_can_end_while_handlers_work() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for mut builder in [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()]
        {
            let dir = directory();
            let _socket = rebind(&dir.path().join("a"));
            let runtime = builder.enable_all().build().unwrap();
            let census = runtime.block_on(async {
                let watcher = Watcher::start(dir.path()).await.unwrap();
                let (mut attached, census) = attach(watcher, Policy::default());
                started(&mut attached).await;
                tokio::spawn(async move { while attached.next().await.is_some() {} });
                let watcher = Watcher::start(dir.path()).await.unwrap();
                tokio::spawn(async move { while watcher.sync().await.is_ok() {} });
                tokio::task::yield_now().await;
                census
            });
            drop(runtime);
            assert!(census.nobody_lives());
        }
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(60)).expect("the runtime must end, and nothing in it panic");
}

#[tokio::test]
async fn directories_deleted_and_made_again_have_a_handler_for_each_socket() {
    bounded(async {
        let root = directory();
        let dir = root.path().join("sockets");
        fs::create_dir(&dir).unwrap();
        let path = dir.join("a.sock");
        let watcher = Watcher::start(&dir).await.unwrap();
        let (mut attached, census) = attach(watcher, Policy::default().with_grace(u32::MAX));
        // Listeners stay alive: the kernel does not report the end of a directory while one does.
        let mut listeners = Vec::new();
        for _ in 0..100 {
            fs::remove_dir_all(&dir).unwrap();
            fs::create_dir(&dir).unwrap();
            listeners.push(UnixListener::bind(&path).unwrap());
            started(&mut attached).await;
        }
        let report = attached.shutdown().await;
        assert_eq!((report.started, report.finished, report.skipped), (100, 100, 0));
        assert!(census.nobody_lives());
    })
    .await;
}

#[tokio::test]
async fn if_so_wanted_a_handler_waits_until_somebody_listens() {
    bounded(async {
        let dir = directory();
        let stale = dir.path().join("stale.sock");
        drop(UnixListener::bind(stale).unwrap());
        let late = dir.path().join("late.sock");
        let listener = {
            use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, socket};
            let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
            bind(&listener, &SocketAddrUnix::new(&late).unwrap()).unwrap();
            listener
        };
        let watcher = Watcher::start(dir.path()).await.unwrap();
        let mut attached = watcher.attach_with(Policy::default().with_start(Start::Ready), async |socket, _| {
            fs_watch::connect_at(&socket).map(drop).map_err(|error| error.to_string())
        });
        while !matches!(attached.next().await, Some(News::Event(Event::InitDone))) {}
        assert_eq!(attached.live(), 0);
        rustix::net::listen(&listener, 8).unwrap();
        let (id, end, ..) = ended(&mut attached).await;
        assert_eq!((id.path, end), (late, End::Finished));
        let report = attached.shutdown().await;
        assert_eq!((report.started, report.failed), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn the_death_of_a_server_is_noticed_when_its_handler_ends() {
    bounded(async {
        let dir = directory();
        let path = dir.path().join("a.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let watcher = Watcher::builder(dir.path()).safety_interval(Duration::from_secs(86_400)).start().await.unwrap();
        let mut attached = watcher.attach_with(Policy::default().with_start(Start::Ready), async |socket, _| {
            let stream = fs_watch::connect_at(&socket).map_err(|error| error.to_string())?;
            let mut stream = tokio::net::UnixStream::from_std(stream).map_err(|error| error.to_string())?;
            let end = tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await;
            end.map(drop).map_err(|error| error.to_string())
        });
        started(&mut attached).await;
        let (connection, _) = listener.accept().await.unwrap();
        drop((connection, listener));
        // The file stays, so nothing but a question to the kernel can tell.
        loop {
            if let News::Event(Event::Removed { id, reason }) = attached.next().await.unwrap() {
                assert_eq!((id.path, reason), (path, Reason::Stale));
                break;
            }
        }
        attached.shutdown().await;
    })
    .await;
}

/// What the manager sends with here.
type Commands = mpsc::Sender<String>;

/// Registers, says what it is told to say, and fails, panics or finishes when told to.
async fn obey(socket: Socket, stop: Stop, registration: Registration<Commands>, said: Commands) -> Result<(), String> {
    let (sender, mut commands) = mpsc::channel(4);
    registration.register(sender);
    let name = socket.path.file_name().unwrap().to_str().unwrap().to_owned();
    loop {
        let command = tokio::select! {
            () = stop.requested() => return Ok(()),
            command = commands.recv() => command.expect("it is registered while this runs"),
        };
        match &*command {
            "fail" => return Err(command),
            "panic" => panic!("as it was told"),
            "finish" => return Ok(()),
            _ => said.send(format!("{name} {}: {command}", socket.generation)).await.unwrap(),
        }
    }
}

async fn registered(attached: &mut Attached<String, Commands>) -> PathBuf {
    loop {
        if let News::Registered(id) = attached.next().await.unwrap() {
            return id.path;
        }
    }
}

#[tokio::test]
async fn a_manager_can_send_to_each_socket_while_its_handler_runs() {
    bounded(async {
        let dir = directory();
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        let (first, _second) = (rebind(&a), rebind(&b));
        let (say, mut said) = mpsc::channel(8);
        let watcher = Watcher::start(dir.path()).await.unwrap();
        let policy = Policy::default().with_pauses(Duration::from_millis(1), Duration::from_millis(1));
        let mut attached =
            watcher.attach_with_senders(policy, move |socket, stop, mine| obey(socket, stop, mine, say.clone()));
        let senders = attached.senders();
        let send = async |path: &Path, text: &str| senders.get(path).unwrap().send(text.to_owned()).await.unwrap();
        assert!(senders.get(&a).is_none() && senders.all().is_empty(), "nothing runs before it is polled");
        registered(&mut attached).await;
        registered(&mut attached).await;

        send(&b, "to one").await;
        assert_eq!(said.recv().await.unwrap(), "b 1: to one");
        let all = senders.all();
        let mut paths: Vec<_> = all.iter().map(|(id, _)| &id.path).collect();
        paths.sort();
        assert_eq!(paths, [&a, &b]);
        for (_, sender) in &all {
            sender.send("to all".to_owned()).await.unwrap();
        }
        let mut answers = [said.recv().await.unwrap(), said.recv().await.unwrap()];
        answers.sort();
        assert_eq!(answers, ["a 1: to all", "b 1: to all"]);

        // Started again for the same socket, it has registered another sender.
        for way in ["fail", "panic"] {
            send(&a, way).await;
            loop {
                if let News::Ended { again_in, .. } = attached.next().await.unwrap() {
                    assert!(again_in.is_some());
                    break;
                }
            }
            assert!(senders.get(&a).is_none(), "nothing is sent to a handler that has ended");
            assert_eq!(registered(&mut attached).await, a);
        }
        send(&a, "again").await;
        assert_eq!(said.recv().await.unwrap(), "a 1: again");
        // So has the next socket, and one that is finished or gone has none.
        drop(first);
        let _third = rebind(&a);
        assert_eq!(registered(&mut attached).await, a);
        send(&a, "anew").await;
        assert_eq!(said.recv().await.unwrap(), "a 2: anew");
        send(&a, "finish").await;
        ended_with(&mut attached, &a).await;
        fs::remove_file(&b).unwrap();
        ended_with(&mut attached, &b).await;
        assert!(senders.all().is_empty());
        let report = attached.shutdown().await;
        assert_eq!((report.started, report.failed, report.panicked, report.finished), (5, 1, 1, 3));
    })
    .await;
}

async fn ended_with(attached: &mut Attached<String, Commands>, path: &Path) {
    loop {
        match attached.next().await.unwrap() {
            News::Ended { id, end, .. } if id.path == path => return assert_eq!(end, End::Finished),
            _ => {}
        }
    }
}

#[tokio::test]
async fn what_is_registered_too_late_is_dropped() {
    bounded(async {
        let dir = directory();
        let path = dir.path().join("a");
        let _socket = rebind(&path);
        let (keep, mut kept) = mpsc::channel(2);
        let watcher = Watcher::start(dir.path()).await.unwrap();
        let policy = Policy::default().with_pauses(Duration::ZERO, Duration::ZERO);
        let runs = Arc::new(AtomicUsize::new(0));
        let mut attached = watcher.attach_with_senders(policy, move |_, stop: Stop, mine: Registration<Commands>| {
            let (keep, is_first) = (keep.clone(), runs.fetch_add(1, Ordering::SeqCst) == 0);
            async move {
                // It outlives the first run, and is still about that one.
                keep.send(mine).await.unwrap();
                if is_first {
                    return Err("the first run".to_owned());
                }
                stop.requested().await;
                Ok(())
            }
        });
        let senders = attached.senders();
        let (mut late, mut ours) = (None, None);
        while ours.is_none() {
            tokio::select! {
                news = attached.next() => drop(news.unwrap()),
                mine = kept.recv() => if late.is_none() { late = mine } else { ours = mine },
            }
        }
        let (sender, receiver) = mpsc::channel(1);
        late.unwrap().register(sender);
        assert!(receiver.is_closed() && senders.get(&path).is_none());
        let (sender, receiver) = mpsc::channel(1);
        ours.unwrap().register(sender);
        assert!(!receiver.is_closed() && senders.get(&path).is_some());
        attached.shutdown().await;
        assert!(receiver.is_closed(), "it is dropped with its handler");
    })
    .await;
}
