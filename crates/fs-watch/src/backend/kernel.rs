//! Hints from the operating system's file events (inotify on Linux), through the `notify` crate.
//!
//! `notify` runs its callback on the very thread that answers `watch` and `unwatch`. A callback that waits
//! for the consumer and a consumer that calls `watch` therefore wait for each other for ever. Two rules
//! make that impossible here:
//!
//! * the callback only puts names into a set ([`Hints`]), which never waits;
//! * creating, watching, unwatching and dropping happen on a thread of their own, and whoever ordered them
//!   stops waiting after [`PATIENCE`].

use std::any::Any;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ::notify::event::EventKind;
use ::notify::{EventHandler, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::Backend;
use crate::event::Why;
use crate::hints::Hints;
use crate::target::Target;

/// How long a control call may take before the whole machinery is taken for stuck and left behind. An
/// ordinary one takes a tenth of a millisecond.
const PATIENCE: Duration = Duration::from_secs(1);

/// Hints from the kernel. The default backend.
#[derive(Debug, Default)]
pub struct KernelEvents {
    control: Option<Control>,
}

/// The thread that owns the `notify` watcher, and what has been ordered of it.
struct Control {
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<()>,
    /// Disconnects when the control thread is at its end.
    ended: mpsc::Receiver<Infallible>,
    /// Disconnects when the callback is dropped, which is the last thing notify's own thread does.
    callback_gone: mpsc::Receiver<Infallible>,
    /// What the callback sorts paths by.
    target: Arc<Mutex<Target>>,
    /// Whether the callback's end would be news: it is in use, and not because of us at its end.
    in_use: Arc<AtomicBool>,
    armed: Option<Target>,
}

struct Order {
    unwatch: Vec<PathBuf>,
    watch: Vec<Watch>,
    reply: mpsc::Sender<Result<(), Why>>,
}

struct Watch {
    path: PathBuf,
    /// Hints from there speed things up, but looking finds the same. Its parent may be closed to us.
    optional: bool,
}

impl Backend for KernelEvents {
    fn arm(&mut self, target: &Target, hints: &Hints) -> Result<(), Why> {
        let control = match &mut self.control {
            Some(control) => control,
            none => none.insert(Control::start(target, hints)?),
        };
        let answer = control.arm(target);
        // Trouble with the directory is the directory's; all else is better begun anew.
        if answer.as_ref().is_err_and(|why| !why.is_blind()) {
            self.control.take().into_iter().for_each(Control::abandon);
        }
        answer
    }

    fn disarm(&mut self) {
        self.control.take().into_iter().for_each(Control::end);
    }
}

impl Drop for KernelEvents {
    fn drop(&mut self) {
        self.control.take().into_iter().for_each(Control::abandon);
    }
}

impl Control {
    fn start(target: &Target, hints: &Hints) -> Result<Self, Why> {
        let target = Arc::new(Mutex::new(target.clone()));
        let sorted_by = target.clone();
        let into = hints.clone();
        Self::start_with(target, hints, |sentinel| Guarded {
            callback: move |event| sort(event, &sorted_by, &into),
            sentinel,
        })
    }

    /// `handler` is given the sentinel to keep.
    fn start_with<H: EventHandler>(
        target: Arc<Mutex<Target>>,
        hints: &Hints,
        handler: impl FnOnce(Sentinel) -> H,
    ) -> Result<Self, Why> {
        let (orders, inbox) = mpsc::channel();
        let (alive, ended) = mpsc::channel();
        let (callback_alive, callback_gone) = mpsc::channel();
        let in_use = Arc::new(AtomicBool::new(false));
        let handler = handler(Sentinel { hints: hints.clone(), in_use: in_use.clone(), _alive: callback_alive });
        let created = in_use.clone();
        let thread = thread::Builder::new()
            .name("fs-watch control".into())
            .spawn(move || {
                let _alive = alive;
                obey(&inbox, handler, &created);
            })
            .map_err(|error| Why::BackendFailed { message: format!("no thread: {error}") })?;
        Ok(Self { orders, thread, ended, callback_gone, target, in_use, armed: None })
    }

    fn arm(&mut self, target: &Target) -> Result<(), Why> {
        // First, so that no event about the new target is passed over.
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target.clone();
        let wanted = Watched::of(target);
        let mut unwatch = Vec::new();
        if let Some(armed) = &self.armed {
            let before = Watched::of(armed);
            let stale_directory = before.directory.filter(|_| !armed.is_same_directory(target)).map(Path::to_owned);
            unwatch.extend(stale_directory);
            unwatch.extend(before.parents.difference(&wanted.parents).map(|path| path.to_path_buf()));
        }
        let parents = wanted.parents.iter().map(|path| Watch { path: path.to_path_buf(), optional: true });
        let directory = wanted.directory.map(|path| Watch { path: path.to_path_buf(), optional: false });
        let (reply, answer) = mpsc::channel();
        let order = Order { unwatch, watch: parents.chain(directory).collect(), reply };
        // Taken for armed even if it fails: what is then watched too little is watched next time.
        self.armed = Some(target.clone());
        let dead = || Why::BackendFailed { message: "its thread is gone".into() };
        self.orders.send(order).map_err(|_| dead())?;
        match answer.recv_timeout(PATIENCE) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(Why::BackendStuck),
            Err(RecvTimeoutError::Disconnected) => Err(dead()),
        }
    }

    /// Ends everything and waits for it, but not for ever.
    fn end(self) {
        self.in_use.store(false, Ordering::Relaxed);
        drop(self.orders);
        let gone = |receiver: &mpsc::Receiver<Infallible>| {
            matches!(receiver.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected))
        };
        if gone(&self.ended) && gone(&self.callback_gone) {
            // Its last act was to drop `alive`, so this does not wait; a panic of its own was handled.
            let _ = self.thread.join();
        }
    }

    /// Leaves everything to end by itself, if it ever does.
    fn abandon(self) {
        self.in_use.store(false, Ordering::Relaxed);
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("armed", &self.armed).finish_non_exhaustive()
    }
}

/// The directories a target needs watched. Two that are one file must not both be watched: the kernel
/// would report all of it under the path given last.
struct Watched<'a> {
    directory: Option<&'a Path>,
    parents: BTreeSet<&'a Path>,
}

impl<'a> Watched<'a> {
    fn of(target: &'a Target) -> Self {
        let directory = target.directory();
        let parents = target.anchors().iter().map(|anchor| anchor.parent.as_path());
        Self { directory, parents: parents.filter(|parent| Some(*parent) != directory).collect() }
    }
}

/// The control thread: owns the notify watcher, obeys until nobody can order any more.
fn obey(inbox: &mpsc::Receiver<Order>, handler: impl EventHandler, in_use: &AtomicBool) {
    let created = catch_unwind(AssertUnwindSafe(|| RecommendedWatcher::new(handler, ::notify::Config::default())));
    let created = match created {
        Ok(created) => created.map_err(|error| explain(&error)),
        Err(panic) => Err(panicked(&*panic)),
    };
    let mut watcher = match created {
        Ok(watcher) => watcher,
        Err(why) => {
            // Answers the order that is on its way, then ends: the next one starts anew.
            if let Ok(order) = inbox.recv() {
                let _ = order.reply.send(Err(why));
            }
            return;
        }
    };
    in_use.store(true, Ordering::Relaxed);
    while let Ok(order) = inbox.recv() {
        let answer = catch_unwind(AssertUnwindSafe(|| execute(&mut watcher, &order)));
        // Nobody waits for it any more if it took too long.
        let _ = order.reply.send(answer.unwrap_or_else(|panic| Err(panicked(&*panic))));
    }
    // Panics if notify's thread has died.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(watcher)));
}

fn execute(watcher: &mut RecommendedWatcher, order: &Order) -> Result<(), Why> {
    for path in &order.unwatch {
        // Fails for what the kernel has dropped by itself, which is what was wanted.
        let _ = watcher.unwatch(path);
    }
    for watch in &order.watch {
        if let Err(error) = watcher.watch(&watch.path, RecursiveMode::NonRecursive) {
            let why = explain(&error);
            if !watch.optional || matches!(why, Why::LimitReached { .. }) {
                return Err(why);
            }
        }
    }
    Ok(())
}

fn explain(error: &::notify::Error) -> Why {
    match &error.kind {
        ::notify::ErrorKind::MaxFilesWatch => Why::LimitReached { limit: "fs.inotify.max_user_watches" },
        ::notify::ErrorKind::Io(error) if error.raw_os_error() == Some(EMFILE) => {
            Why::LimitReached { limit: "fs.inotify.max_user_instances, or the limit of open files," }
        }
        ::notify::ErrorKind::PathNotFound => Why::Missing,
        ::notify::ErrorKind::Io(error) => Why::from_listing(error),
        _ => Why::BackendFailed { message: error.to_string() },
    }
}

/// `EMFILE` of errno.h, the same number on every Unix; the standard library has no name for it.
const EMFILE: i32 = 24;

fn panicked(panic: &(dyn Any + Send)) -> Why {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic");
    Why::BackendFailed { message: message.to_owned() }
}

/// What notify calls for each event: keeps a panic from killing notify's thread.
struct Guarded<F> {
    callback: F,
    sentinel: Sentinel,
}

impl<F: FnMut(::notify::Result<::notify::Event>) + Send + 'static> EventHandler for Guarded<F> {
    fn handle_event(&mut self, event: ::notify::Result<::notify::Event>) {
        if catch_unwind(AssertUnwindSafe(|| (self.callback)(event))).is_err() {
            // What the event said is lost, that there was one is not.
            self.sentinel.hints.overflow();
        }
    }
}

/// Lives as long as notify's thread, whose handle is not to be had, and reports an end that comes
/// unwanted.
struct Sentinel {
    hints: Hints,
    in_use: Arc<AtomicBool>,
    _alive: mpsc::Sender<Infallible>,
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if self.in_use.load(Ordering::Relaxed) {
            self.hints.lost();
        }
    }
}

/// Makes hints of one event.
fn sort(event: ::notify::Result<::notify::Event>, target: &Mutex<Target>, hints: &Hints) {
    match event {
        // Before anything else: the mark of an overflow carries neither a path nor a telling kind.
        Ok(event) if event.need_rescan() => hints.overflow(),
        // Opening and closing change nothing, and our own listing would wake us.
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(event) => {
            let target = target.lock().unwrap_or_else(PoisonError::into_inner);
            for path in &event.paths {
                target.hint(path, hints);
            }
        }
        // It cannot read its events any more, and would try again without pause.
        Err(_) => hints.lost(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use tempfile::TempDir;

    use super::*;
    use crate::eyes;
    use crate::hints::Dirty;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    fn wait_until(hints: &Hints, wanted: impl Fn(&Dirty) -> bool) {
        let deadline = soon();
        while !wanted(&hints.wait(deadline)) {
            assert!(Instant::now() < deadline, "the hint never came");
        }
    }

    /// A directory whose parent is quiet, which that for temporary files is not.
    struct Quiet {
        _root: TempDir,
        dir: PathBuf,
    }

    impl Quiet {
        fn new() -> Self {
            let root = TempDir::new().unwrap();
            let dir = root.path().join("sockets");
            std::fs::create_dir(&dir).unwrap();
            Self { _root: root, dir }
        }

        fn target(&self) -> Target {
            eyes::resolve(&self.dir)
        }

        fn bind(&self, name: &str) -> UnixListener {
            UnixListener::bind(self.dir.join(name)).unwrap()
        }
    }

    #[test]
    fn a_bind_is_hinted_at_and_our_own_listing_is_not() {
        let quiet = Quiet::new();
        let hints = Hints::default();
        let mut backend = KernelEvents::default();
        backend.arm(&quiet.target(), &hints).unwrap();
        for round in 0..100 {
            eyes::list(&quiet.dir, |_| true);
            let name = format!("{round}.sock");
            let _listener = quiet.bind(&name);
            // Events come in order: had the listing made one, it would be here before the name.
            let dirty = hints.wait(soon());
            assert_eq!(dirty.names.into_iter().collect::<Vec<_>>(), [name.as_str()]);
            assert!(!dirty.everywhere && !dirty.overflowed && !dirty.lost);
        }
        backend.disarm();
    }

    #[test]
    fn arming_again_follows_a_directory_made_anew() {
        let root = TempDir::new().unwrap();
        let dir = root.path().join("sockets");
        let hints = Hints::default();
        let mut backend = KernelEvents::default();
        // Held: while they live the kernel does not say that their directory has ended.
        let mut listeners = Vec::new();
        for _ in 0..20 {
            std::fs::create_dir(&dir).unwrap();
            backend.arm(&eyes::resolve(&dir), &hints).unwrap();
            listeners.push(UnixListener::bind(dir.join("a.sock")).unwrap());
            wait_until(&hints, |dirty| dirty.names.contains(OsStr::new("a.sock")));
            std::fs::remove_dir_all(&dir).unwrap();
            wait_until(&hints, |dirty| dirty.everywhere);
        }
        backend.disarm();
    }

    #[test]
    fn a_callback_that_panics_is_survived() {
        let quiet = Quiet::new();
        let hints = Hints::default();
        let armed = quiet.target();
        let mut control = Control::start_with(Arc::new(Mutex::new(armed.clone())), &hints, |sentinel| Guarded {
            callback: |_| panic!("a callback panics, as this test wants it to"),
            sentinel,
        })
        .unwrap();
        control.arm(&armed).unwrap();
        for round in 0..3 {
            let _listener = quiet.bind(&round.to_string());
            assert!(hints.wait(soon()).overflowed);
            control.arm(&armed).unwrap();
        }
        control.end();
        assert!(!hints.wait(Instant::now()).lost);
    }

    #[test]
    fn the_death_of_notifys_thread_is_noticed_and_harms_nobody() {
        let quiet = Quiet::new();
        let hints = Hints::default();
        let armed = quiet.target();
        let mut control = Control::start_with(Arc::new(Mutex::new(armed.clone())), &hints, |sentinel| {
            move |_| {
                let _kept = &sentinel;
                panic!("a callback kills its thread, as this test wants it to");
            }
        })
        .unwrap();
        control.arm(&armed).unwrap();
        let _listener = quiet.bind("a.sock");
        assert!(hints.wait(soon()).lost);
        assert!(matches!(control.arm(&armed), Err(Why::BackendFailed { .. })));
        control.end();
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_anchored() {
        let root = TempDir::new().unwrap();
        let dir = root.path().join("later");
        let hints = Hints::default();
        let mut backend = KernelEvents::default();
        backend.arm(&eyes::resolve(&dir), &hints).unwrap();
        std::fs::create_dir(&dir).unwrap();
        assert!(hints.wait(soon()).everywhere);
        backend.disarm();
    }

    #[test]
    fn the_mark_of_an_overflow_is_seen_although_it_names_nothing() {
        let quiet = Quiet::new();
        let hints = Hints::default();
        let mark = ::notify::Event::new(EventKind::Other).set_flag(::notify::event::Flag::Rescan);
        sort(Ok(mark), &Mutex::new(quiet.target()), &hints);
        assert!(hints.wait(Instant::now()).overflowed);
    }

    #[test]
    fn errors_say_what_is_short() {
        let io = |number| ::notify::Error::io(std::io::Error::from_raw_os_error(number));
        let limit = |error| match explain(&error) {
            Why::LimitReached { limit } => limit.contains("fs.inotify"),
            _ => false,
        };
        assert!(limit(io(EMFILE)));
        assert!(limit(::notify::Error::new(::notify::ErrorKind::MaxFilesWatch)));
        assert_eq!(explain(&::notify::Error::path_not_found()), Why::Missing);
        assert!(explain(&io(13)).is_blind(), "no permission: the directory's trouble");
        assert!(!explain(&::notify::Error::generic("odd")).is_blind());
    }
}
