//! How soon a socket is noticed, and what a burst, a resync and memory cost, compared with code written by hand.
//!
//! `cargo bench -p fs-watch` prints medians; contenders alternate, round by round, in new directories. Figures are for
//! comparing rows of one run. With a word after `--` only the sections with that word in their names run.
#![expect(clippy::print_stdout, reason = "a table is what it makes")]
#![expect(clippy::unwrap_used, reason = "a bench may")]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fs_watch::backend::Scripted;
use fs_watch::{Event, Probing, Watcher};
use notify::Watcher as _;
use rustix::fs::inotify;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const ROUNDS: usize = 7;
const BINDS: usize = 200;
const BURST: usize = 50_000;

/// Processes that share a burst, because each may have only so many descriptors.
const SERVERS: usize = 4;

fn main() {
    if let [_, verb, dir, from, to] = &std::env::args().collect::<Vec<_>>()[..]
        && verb == "serve"
    {
        return serve(dir.as_ref(), from.parse().unwrap(), to.parse().unwrap());
    }
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let sections: [(&str, fn()); 3] = [("latency", latency), ("burst", burst), ("memory", memory)];
    for (name, section) in sections.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        println!("\n{name}");
        section();
    }
}

fn places() -> impl Iterator<Item = (&'static str, PathBuf)> {
    [("tmpfs", PathBuf::from("/dev/shm")), ("disk", std::env::temp_dir())].into_iter().filter(|(_, dir)| dir.is_dir())
}

fn percentile(samples: &mut [Duration], percent: usize) -> f64 {
    samples.sort_unstable();
    samples[(samples.len() * percent / 100).min(samples.len() - 1)].as_secs_f64() * 1e6
}

// ---- latency: from before bind() until the consumer runs

/// Watches a directory on a separate thread, and sends the moment at which it hears of each socket.
type Contender = fn(PathBuf, mpsc::Sender<Instant>, mpsc::Sender<()>);

const CONTENDERS: [(&str, Contender); 4] = [
    ("inotify, read by hand", by_hand),
    ("notify + std mpsc", std_mpsc),
    ("notify + tokio mpsc", tokio_mpsc),
    ("fs-watch", ours),
];

fn latency() {
    for (place, base) in places() {
        let mut samples = CONTENDERS.map(|_| Vec::new());
        for round in 0..ROUNDS {
            for turn in 0..CONTENDERS.len() {
                let which = (round + turn) % CONTENDERS.len();
                samples[which].extend(measure(&base, CONTENDERS[which].1));
            }
        }
        println!("{:>8} {:>24} {:>10} {:>10} {:>10}", place, "bind to event", "p50 us", "p90 us", "p99 us");
        for ((name, _), samples) in CONTENDERS.iter().zip(&mut samples) {
            let [half, most, nearly] = [50, 90, 99].map(|percent| percentile(samples, percent));
            println!("{:>8} {name:>24} {half:>10.1} {most:>10.1} {nearly:>10.1}", "");
        }
    }
}

fn measure(base: &Path, contender: Contender) -> Vec<Duration> {
    let dir = tempfile::tempdir_in(base).unwrap();
    let (heard, hear) = mpsc::channel();
    let (started, start) = mpsc::channel();
    let watching = {
        let dir = dir.path().to_owned();
        thread::spawn(move || contender(dir, heard, started))
    };
    start.recv().unwrap();
    let mut listeners = Vec::new();
    let mut samples = Vec::new();
    for number in 0..=BINDS {
        // Every thread is asleep by then.
        thread::sleep(Duration::from_millis(1));
        let path = dir.path().join(number.to_string());
        let began = Instant::now();
        listeners.push(UnixListener::bind(path).unwrap());
        samples.push(hear.recv().unwrap() - began);
    }
    drop(hear);
    // It ends when no process listens.
    let _end = UnixListener::bind(dir.path().join("end")).unwrap();
    watching.join().unwrap();
    samples.remove(0);
    samples
}

/// The kernel's own interface, blocking, as one would use it in C.
fn by_hand(dir: PathBuf, heard: mpsc::Sender<Instant>, started: mpsc::Sender<()>) {
    let instance = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&instance, dir, inotify::WatchFlags::CREATE).unwrap();
    started.send(()).unwrap();
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 64 << 10];
    let mut reader = inotify::Reader::new(&instance, &mut buffer);
    loop {
        reader.next().unwrap();
        if heard.send(Instant::now()).is_err() {
            return;
        }
    }
}

fn std_mpsc(dir: PathBuf, heard: mpsc::Sender<Instant>, started: mpsc::Sender<()>) {
    let (sender, receiver) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender).unwrap();
    watcher.watch(&dir, notify::RecursiveMode::NonRecursive).unwrap();
    started.send(()).unwrap();
    for event in receiver {
        if event.unwrap().kind.is_create() && heard.send(Instant::now()).is_err() {
            return;
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn tokio_mpsc(dir: PathBuf, heard: mpsc::Sender<Instant>, started: mpsc::Sender<()>) {
    runtime().block_on(async {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let mut watcher = notify::recommended_watcher(move |event| drop(sender.send(event))).unwrap();
        watcher.watch(&dir, notify::RecursiveMode::NonRecursive).unwrap();
        started.send(()).unwrap();
        while let Some(event) = receiver.recv().await {
            if event.unwrap().kind.is_create() && heard.send(Instant::now()).is_err() {
                return;
            }
        }
    });
}

fn ours(dir: PathBuf, heard: mpsc::Sender<Instant>, started: mpsc::Sender<()>) {
    runtime().block_on(async {
        let mut watcher = Watcher::start(dir).await.unwrap();
        while watcher.next().await.unwrap() != Event::InitDone {}
        started.send(()).unwrap();
        while let Some(event) = watcher.next().await {
            if matches!(event, Event::Added(_)) && heard.send(Instant::now()).is_err() {
                return;
            }
        }
    });
}

// ---- burst: many sockets while no event is taken, and one scan that finds them all

fn burst() {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < (BURST / SERVERS + 100) as u64) {
        println!("SKIPPED: {BURST} sockets need more descriptors than four processes may have");
        return;
    }
    println!(
        "{:>8} {:>10} {:>10} {:>12} {:>12} {:>12} {:>8} {:>14}",
        "", "sockets", "missed", "bare ms", "resync ms", "again ms", "ratio", "sync, judged"
    );
    for (place, base) in places() {
        let missed = stalled(&base);
        let dir = tempfile::tempdir_in(&base).unwrap();
        let listeners = bind_all(dir.path());
        let (mut bare_times, mut first_times, mut again_times, mut judged_times) = (vec![], vec![], vec![], vec![]);
        for _ in 0..ROUNDS {
            bare_times.push(bare(dir.path()));
            let [first, again] = resync(dir.path());
            first_times.push(first);
            again_times.push(again);
            judged_times.push(judged(dir.path()));
        }
        drop(listeners);
        let [bare, first, again, judged] = [&mut bare_times, &mut first_times, &mut again_times, &mut judged_times]
            .map(|times| percentile(times, 50) / 1e3);
        println!(
            "{place:>8} {BURST:>10} {missed:>10} {bare:>12.1} {first:>12.1} {again:>12.1} {:>8.2} {judged:>14.1}",
            first / bare
        );
    }
}

/// Binds all at once, and has them served for as long as the result lives.
fn bind_all(dir: &Path) -> Servers {
    let mut servers = Servers(Vec::new());
    for server in 0..SERVERS {
        let [from, to] = [server, server + 1].map(|part| (BURST * part / SERVERS).to_string());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("serve").arg(dir).args([from, to]).stdin(Stdio::piped()).stdout(Stdio::piped());
        servers.0.push(command.spawn().unwrap());
    }
    for server in &mut servers.0 {
        let mut line = String::new();
        BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "bound\n");
    }
    servers
}

struct Servers(Vec<Child>);

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.0 {
            drop(server.stdin.take());
            server.wait().unwrap();
        }
    }
}

fn serve(dir: &Path, from: usize, to: usize) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let bind = |number| UnixListener::bind(dir.join(format!("socket-{number}"))).unwrap();
    let listeners: Vec<_> = (from..to).map(bind).collect();
    println!("bound");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(listeners);
}

/// How many of a burst are missing after `sync`, if no event was taken before.
fn stalled(base: &Path) -> usize {
    let dir = tempfile::tempdir_in(base).unwrap();
    runtime().block_on(async {
        let mut watcher = Watcher::start(dir.path()).await.unwrap();
        let listeners = bind_all(dir.path());
        watcher.sync().await.unwrap();
        let events = std::iter::from_fn(|| watcher.try_next());
        let added = events.filter(|event| matches!(event, Event::Added(_))).count();
        watcher.shutdown().await;
        drop(listeners);
        BURST - added
    })
}

/// The unavoidable part: reading the directory, and `lstat` of each entry.
fn bare(dir: &Path) -> Duration {
    let began = Instant::now();
    let descriptor = rustix::fs::open(
        dir,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    let mut buffer = vec![std::mem::MaybeUninit::uninit(); 32 << 10];
    let mut entries = rustix::fs::RawDir::new(&descriptor, &mut buffer);
    let mut sockets = 0;
    while let Some(entry) = entries.next() {
        let entry = entry.unwrap();
        let stat = rustix::fs::statat(&descriptor, entry.file_name(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
        sockets += usize::from(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_socket());
    }
    assert_eq!(sockets, BURST);
    began.elapsed()
}

/// From the mark of an overflow to `Resynced`, when nothing was known, and when everything was. The events are taken.
fn resync(dir: &Path) -> [Duration; 2] {
    let (backend, script) = Scripted::new();
    let elsewhere = tempfile::tempdir_in(dir.parent().unwrap()).unwrap();
    let link = elsewhere.path().join("link");
    fs::create_dir(elsewhere.path().join("empty")).unwrap();
    std::os::unix::fs::symlink("empty", &link).unwrap();
    let never = Duration::from_secs(86_400);
    let builder = Watcher::builder(&link).backend(backend).probing(Probing::Off).safety_interval(never);
    runtime().block_on(async {
        let mut watcher = builder.start().await.unwrap();
        while watcher.next().await.unwrap() != Event::InitDone {}
        // As if everything had come at once and every event had been dropped.
        std::os::unix::fs::symlink(dir, elsewhere.path().join("full")).unwrap();
        fs::rename(elsewhere.path().join("full"), &link).unwrap();
        let mut times = [Duration::ZERO; 2];
        for time in &mut times {
            let began = Instant::now();
            script.hints().unwrap().overflow();
            while watcher.next().await.unwrap() != Event::Resynced {}
            *time = began.elapsed();
            thread::sleep(2 * *time);
        }
        watcher.shutdown().await;
        times
    })
}

/// A barrier over sockets that are all known, with the kernel's table asked about each.
fn judged(dir: &Path) -> Duration {
    runtime().block_on(async {
        let mut watcher = Watcher::start(dir).await.unwrap();
        watcher.sync().await.unwrap();
        while watcher.try_next().is_some() {}
        let began = Instant::now();
        watcher.sync().await.unwrap();
        let time = began.elapsed();
        watcher.shutdown().await;
        time
    })
}

// ---- memory: what the process holds for each socket that is known

fn memory() {
    let dir = tempfile::tempdir_in(places().next().unwrap().1).unwrap();
    let _listener = UnixListener::bind(dir.path().join("socket-0")).unwrap();
    let names: Vec<OsString> = (1..BURST).map(|number| format!("socket-{number}").into()).collect();
    for name in &names {
        // A hard link to a socket is a socket.
        fs::hard_link(dir.path().join("socket-0"), dir.path().join(name)).unwrap();
    }
    let resident = || -> usize {
        let status = fs::read_to_string("/proc/self/statm").unwrap();
        status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    runtime().block_on(async {
        let before = resident();
        let mut watcher = Watcher::start(dir.path()).await.unwrap();
        watcher.sync().await.unwrap();
        while watcher.try_next().is_some() {}
        let after = resident();
        println!(
            "{:>10} sockets, {:.0} bytes each (of resident memory, queues included)",
            BURST,
            (after - before) as f64 / BURST as f64
        );
        watcher.shutdown().await;
    });
}
