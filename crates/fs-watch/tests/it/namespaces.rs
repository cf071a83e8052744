//! What only other namespaces show: filesystems mounted over a watched directory and taken from under it, a directory with
//! two paths, and servers that the kernel's table of sockets does not show us.
//!
//! Each runs a role of this program under `unshare`, which needs root or user namespaces.

#![expect(clippy::unwrap_used, reason = "a test may")]
#![expect(clippy::print_stderr, reason = "what is skipped is said")]

use std::fs;
use std::future::Future;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fs_watch::backend::Polling;
use fs_watch::directory::{Doubt, Fate, Kept, Sweep, survey};
use fs_watch::{Answer, Builder, Event, Evidence, Owner, Probing, Reason, Verdict, Watcher};

const LIMIT: Duration = Duration::from_secs(30);

/// Where a role finds its directory.
const PLACE: &str = "FS_WATCH_TEST_PLACE";

/// A mount makes no event. Looking at the path itself does not need one.
const SOON: Duration = Duration::from_millis(20);

/// On the disk's filesystem and on the one in memory.
fn places() -> impl Iterator<Item = PathBuf> {
    [std::env::temp_dir(), PathBuf::from("/dev/shm")].into_iter().filter(|place| place.is_dir())
}

/// With the kernel's events, and by polling alone.
fn builders(dir: &Path) -> [Builder; 2] {
    [Watcher::builder(dir), Watcher::builder(dir).backend(Polling::every(SOON))]
}

/// A role of this program in separate namespaces.
fn unshared(flags: &[&str], role: &str) -> Option<Command> {
    let is_allowed = Command::new("unshare").args(flags).arg("true").stderr(Stdio::null()).status();
    if !is_allowed.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no permission for `unshare {}`", flags.join(" "));
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(flags).arg(std::env::current_exe().unwrap());
    command.args([role, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    Some(command)
}

fn passes(flags: &[&str], role: &str) {
    if let Some(mut command) = unshared(flags, role) {
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "there is no role {role}");
        // A role may find out that it cannot be played.
        let said = String::from_utf8_lossy(&output.stderr);
        said.lines().filter(|line| line.starts_with("SKIPPED")).for_each(|line| eprintln!("{line}"));
    }
}

fn bounded(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, test).await.expect("the test hangs") });
}

/// Takes events until the paths announced are these.
async fn until(watcher: &mut Watcher, here: &mut Vec<PathBuf>, wanted: &[PathBuf]) {
    while here != wanted {
        match watcher.next().await.unwrap() {
            Event::InitApply(socket) | Event::Added(socket) => here.push(socket.path),
            Event::Removed { id, .. } => here.retain(|path| *path != id.path),
            _ => {}
        }
        here.sort();
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) {
    assert!(Command::new(program).args(arguments).arg(path).status().unwrap().success(), "{program}");
}

/// A complete scan has the directory open for a moment, during which it is busy. If a descriptor stays open, it is busy
/// forever.
fn unmount(path: &Path) {
    let deadline = Instant::now() + LIMIT / 2;
    loop {
        let output = Command::new("umount").arg(path).env("LC_ALL", "C").output().unwrap();
        if output.status.success() {
            return;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("busy") && Instant::now() < deadline, "{said}");
    }
}

#[test]
fn trap_09_a_directory_mounted_over_and_uncovered_again_is_followed() {
    passes(&["-m"], "namespaces::role_mounts_over");
}

#[test]
#[ignore = "a role, for a mount namespace of its own"]
fn role_mounts_over() {
    for place in places() {
        let root = tempfile::tempdir_in(place).unwrap();
        let dir = root.path().join("sockets");
        fs::create_dir(&dir).unwrap();
        let _below = UnixListener::bind(dir.join("below")).unwrap();
        for builder in builders(&dir) {
            bounded(mounts_over(&dir, builder.safety_interval(SOON)));
        }
    }
}

async fn mounts_over(dir: &Path, builder: Builder) {
    let (mut watcher, mut here) = (builder.start().await.unwrap(), Vec::new());
    until(&mut watcher, &mut here, &[dir.join("below")]).await;

    run("mount", &["-t", "tmpfs", "none"], dir);
    until(&mut watcher, &mut here, &[]).await;
    let above = UnixListener::bind(dir.join("above")).unwrap();
    until(&mut watcher, &mut here, &[dir.join("above")]).await;

    drop(above);
    unmount(dir);
    until(&mut watcher, &mut here, &[dir.join("below")]).await;
    let also = UnixListener::bind(dir.join("also")).unwrap();
    until(&mut watcher, &mut here, &[dir.join("also"), dir.join("below")]).await;
    watcher.shutdown().await;
    drop(also);
    fs::remove_file(dir.join("also")).unwrap();
}

#[test]
fn a_watcher_does_not_keep_a_filesystem_from_being_unmounted() {
    passes(&["-m"], "namespaces::role_unmounts");
}

#[test]
#[ignore = "a role, for a mount namespace of its own"]
fn role_unmounts() {
    for place in places() {
        let root = tempfile::tempdir_in(place).unwrap();
        let mount = root.path().join("mount");
        let dir = mount.join("sockets");
        fs::create_dir(&mount).unwrap();
        for builder in builders(&dir) {
            bounded(unmounts(&mount, &dir, builder.safety_interval(SOON).probing(Probing::Off)));
        }
    }
}

async fn unmounts(mount: &Path, dir: &Path, builder: Builder) {
    run("mount", &["-t", "tmpfs", "none"], mount);
    fs::create_dir(dir).unwrap();
    drop(UnixListener::bind(dir.join("a")).unwrap());
    let (mut watcher, mut here) = (builder.start().await.unwrap(), Vec::new());
    until(&mut watcher, &mut here, &[dir.join("a")]).await;
    // Not lazily: if we had a descriptor open, it would be busy.
    unmount(mount);
    until(&mut watcher, &mut here, &[]).await;
    watcher.shutdown().await;
}

#[test]
fn a_path_through_the_root_of_a_process_is_watched_where_it_leads() {
    for place in places() {
        let dir = tempfile::tempdir_in(place).unwrap();
        let Some(mut command) = unshared(&["-m"], "namespaces::role_serves_under_a_mount") else { return };
        let mut child =
            Server(command.env("SERVE", dir.path()).stdout(Stdio::piped()).stdin(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        assert!(lines.by_ref().any(|line| line.unwrap() == "> mounted"));
        let beyond = PathBuf::from(format!("/proc/{}/root", child.0.id())).join(dir.path().strip_prefix("/").unwrap());
        // By events alone.
        let never = Duration::from_secs(86_400);
        bounded(async {
            let mut watcher = Watcher::builder(&beyond).safety_interval(never).start().await.unwrap();
            let mut here = Vec::new();
            until(&mut watcher, &mut here, &[beyond.join("early")]).await;
            // Here it has the same path, and is another directory.
            let _unrelated = UnixListener::bind(dir.path().join("unrelated")).unwrap();
            child.0.stdin.take().unwrap().write_all(b"\n").unwrap();
            until(&mut watcher, &mut here, &[beyond.join("early"), beyond.join("late")]).await;
            watcher.shutdown().await;
        });
        fs::remove_file(dir.path().join("unrelated")).unwrap();
    }
}

#[test]
#[ignore = "a role, for a mount namespace of its own"]
fn role_serves_under_a_mount() {
    let dir = PathBuf::from(std::env::var_os("SERVE").unwrap());
    run("mount", &["-t", "tmpfs", "none"], &dir);
    let _early = UnixListener::bind(dir.join("early")).unwrap();
    println!("\n> mounted");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let _late = UnixListener::bind(dir.join("late")).unwrap();
    std::thread::sleep(LIMIT);
}

#[test]
fn one_directory_under_two_paths_is_watched_under_both() {
    passes(&["-m"], "namespaces::role_has_two_paths");
}

#[test]
#[ignore = "a role, for a mount namespace of its own"]
fn role_has_two_paths() {
    places().for_each(|place| bounded(has_two_paths(place)));
}

async fn has_two_paths(place: PathBuf) {
    let root = tempfile::tempdir_in(place).unwrap();
    let dirs = ["one", "other"].map(|name| root.path().join(name));
    dirs.iter().for_each(|dir| fs::create_dir(dir).unwrap());
    let status = Command::new("mount").arg("--bind").args(&dirs).status().unwrap();
    assert!(status.success());
    // By events alone. The kernel has one watch for one directory and would tell all under one path.
    let never = Duration::from_secs(86_400);
    let mut watchers = Vec::new();
    for dir in &dirs {
        watchers.push((Watcher::builder(dir).safety_interval(never).start().await.unwrap(), Vec::new()));
    }
    let mut listeners = Vec::new();
    let mut names = Vec::new();
    for name in ["a", "b"] {
        names.push(name);
        listeners.push(UnixListener::bind(dirs[0].join(name)).unwrap());
        for ((watcher, here), dir) in watchers.iter_mut().zip(&dirs) {
            let wanted: Vec<_> = names.iter().map(|name| dir.join(name)).collect();
            until(watcher, here, &wanted).await;
        }
    }
    for (watcher, _) in watchers {
        watcher.shutdown().await;
    }
    // Otherwise it stays forever.
    unmount(&dirs[1]);
}

/// Ends with its test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts a server in a separate network namespace. Gives what it says.
fn foreign_server(path: &Path) -> Option<(Server, impl FnMut() -> Option<String> + use<>)> {
    let mut command = unshared(&["-n"], "namespaces::role_serves_and_counts")?;
    let mut server = Server(command.env("SERVE", path).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let mut hear =
        move || lines.by_ref().map(Result::unwrap).find_map(|line| Some(line.strip_prefix("> ")?.to_owned()));
    assert_eq!(hear().unwrap(), "serving");
    Some((server, hear))
}

/// How many connections the server has seen, the one that this makes among them.
fn connections(path: &Path, mut hear: impl FnMut() -> Option<String>) -> u64 {
    let _own = std::os::unix::net::UnixStream::connect(path).unwrap().write_all(b"!");
    let said = hear().unwrap();
    said.strip_suffix(" connections").unwrap().parse().unwrap()
}

#[test]
fn trap_06_a_server_in_another_network_namespace_is_found_by_connecting_if_so_wanted() {
    for place in places() {
        let dir = tempfile::tempdir_in(place).unwrap();
        for builder in builders(dir.path()) {
            a_foreign_server_is_connected_to_seldom(dir.path(), builder.probing(Probing::TableAndConnect));
        }
    }
}

fn a_foreign_server_is_connected_to_seldom(dir: &Path, builder: Builder) {
    let path = dir.join("foreign");
    let Some((_server, hear)) = foreign_server(&path) else { return };
    let began = Instant::now();
    bounded(async {
        let mut watcher = builder.start().await.unwrap();
        let socket = loop {
            if let Event::Ready(socket) = watcher.next().await.unwrap() {
                break socket;
            }
        };
        assert_eq!(socket.liveness.verdict, Verdict::Listening);
        assert_eq!(socket.liveness.evidence, Evidence::Connect(Answer::Accepted));
        // Whatever else is asked, it is not asked of the server again so soon.
        for _ in 0..20 {
            watcher.sync().await.unwrap();
        }
        // Five seconds later it may be, on a machine that takes so long.
        let others = 1 + began.elapsed().as_secs() / 5;
        let connections = connections(&path, hear);
        assert!((2..=others + 1).contains(&connections), "{connections}, of which one is the test's own");
        watcher.shutdown().await;
    });
    fs::remove_file(path).unwrap();
}

#[test]
fn a_server_in_another_network_namespace_notices_neither_a_watcher_nor_a_survey_nor_a_sweep() {
    for place in places() {
        let dir = tempfile::tempdir_in(place).unwrap();
        for builder in builders(dir.path()) {
            a_foreign_server_notices_nothing(dir.path(), builder);
        }
    }
}

fn a_foreign_server_notices_nothing(dir: &Path, builder: Builder) {
    let path = dir.join("foreign");
    let Some((server, hear)) = foreign_server(&path) else { return };
    bounded(async {
        let mut watcher = builder.start().await.unwrap();
        let began = Instant::now();
        // Longer than a file that nothing is bound to is taken for young.
        while began.elapsed() < Duration::from_millis(2_500) {
            watcher.sync().await.unwrap();
            tokio::time::sleep(SOON).await;
        }
        let mut sockets = 0;
        while let Some(event) = watcher.try_next() {
            match event {
                Event::InitApply(_) | Event::Added(_) => sockets += 1,
                Event::Ready(_) | Event::Removed { .. } => panic!("{event:?}"),
                _ => {}
            }
        }
        assert_eq!(sockets, 1);
        for probing in [Probing::Kernel, Probing::TableOnly, Probing::Off] {
            let survey = survey(dir, probing).unwrap();
            assert_eq!(survey.sockets[0].liveness.verdict, Verdict::Unknown, "{probing:?}");
        }
        let swept = Sweep::default().min_age(Duration::ZERO).run(dir).unwrap();
        assert!(matches!(swept.findings[0].fate, Fate::Kept(Kept::InUse)), "{swept:?}");
        assert_eq!(connections(&path, hear), 1, "but for the test's own there was none");

        // Its end is still reported.
        drop(server);
        loop {
            match watcher.next().await.unwrap() {
                Event::Removed { reason: Reason::Stale, .. } => break,
                other => assert!(!matches!(other, Event::Ready(_)), "{other:?}"),
            }
        }
        assert_eq!(survey(dir, Probing::Kernel).unwrap().sockets[0].liveness.verdict, Verdict::Stale);
        watcher.shutdown().await;
    });
    fs::remove_file(path).unwrap();
}

#[test]
fn through_an_overlay_and_behind_it_nothing_is_swept_unless_so_wanted() {
    passes(&["-m", "-n"], "namespaces::role_sweeps_an_overlay");
}

#[test]
#[ignore = "a role, for a mount namespace of its own"]
fn role_sweeps_an_overlay() {
    let root = tempfile::tempdir_in("/dev/shm").unwrap();
    run("mount", &["-t", "tmpfs", "none"], root.path());
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| root.path().join(name));
    for dir in [&lower, &upper, &work, &merged] {
        fs::create_dir(dir).unwrap();
    }
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    run("mount", &["-t", "overlay", "overlay", "-o", &options], &merged);
    let live = UnixListener::bind(merged.join("live")).unwrap();
    drop(UnixListener::bind(merged.join("dead")).unwrap());
    let sweep = || Sweep::default().min_age(Duration::ZERO).without_grace();
    for dir in [&merged, &upper] {
        let swept = sweep().run(dir).unwrap();
        assert_eq!((swept.removed(), swept.findings.len()), (0, 2), "{swept:?}");
        let survey = survey(dir, Probing::Kernel).unwrap();
        assert!(survey.sockets.iter().all(|found| found.liveness.verdict != Verdict::Stale), "{survey:?}");
    }
    let doubt = |dir: &Path| match &sweep().run(dir).unwrap().findings[0].fate {
        Fate::Kept(Kept::Unproven(doubt)) => *doubt,
        other => panic!("{other:?}"),
    };
    assert_eq!(doubt(&merged), Doubt::HiddenServers("overlay"));
    assert_eq!(doubt(&upper), Doubt::BackingSide);
    // Told to, it proves what it can: here the kernel finds the live one by its file.
    let swept = sweep().any_filesystem(true).run(&merged).unwrap();
    assert!(merged.join("live").exists() && swept.removed() <= 1, "{swept:?}");
    drop(live);
    run("umount", &[], &merged);
    run("umount", &["-l"], root.path());
}

#[test]
fn through_fuse_and_behind_it_no_server_is_swept() {
    let is_there = Command::new("bindfs").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !is_there.is_ok_and(|status| status.success()) || !Path::new("/dev/fuse").exists() {
        eprintln!("SKIPPED: it takes bindfs and /dev/fuse");
        return;
    }
    passes(&["-m"], "namespaces::role_sweeps_fuse");
}

#[test]
#[ignore = "a role, for a mount namespace of its own"]
fn role_sweeps_fuse() {
    let root = tempfile::tempdir().unwrap();
    let [below, above] = ["below", "above"].map(|name| root.path().join(name));
    for dir in [&below, &above] {
        fs::create_dir(dir).unwrap();
    }
    let mounted = Command::new("bindfs").args([&below, &above]).output().unwrap();
    if !mounted.status.success() {
        eprintln!("SKIPPED: bindfs: {}", String::from_utf8_lossy(&mounted.stderr));
        return;
    }
    // A live server and a dead one on each side, all of which both sides see.
    let live = [&below, &above].map(|dir| UnixListener::bind(dir.join(dir.file_name().unwrap())).unwrap());
    for dir in [&below, &above] {
        drop(UnixListener::bind(dir.join(format!("dead.{}", dir.file_name().unwrap().display()))).unwrap());
    }
    let sweep = || Sweep::default().min_age(Duration::ZERO).without_grace();
    for dir in [&below, &above] {
        let swept = sweep().run(dir).unwrap();
        assert_eq!((swept.removed(), swept.findings.len()), (0, 4), "{swept:?}");
    }
    let fate = |dir: &Path, name: &str| {
        let swept = sweep().dry_run(true).run(dir).unwrap();
        format!("{:?}", swept.findings.into_iter().find(|found| found.path.ends_with(name)).unwrap().fate)
    };
    let [seen, behind] = [fate(&above, "dead.above"), fate(&below, "dead.below")];
    assert!(seen.contains("HiddenServers(\"FUSE or virtiofs\")"), "{seen}");
    assert!(behind.contains("BackingSide"), "{behind}");
    for dir in [&below, &above] {
        for name in ["below", "above"] {
            assert!(dir.join(name).exists());
        }
        // Each server's clients find it on its own side.
        drop(std::os::unix::net::UnixStream::connect(dir.join(dir.file_name().unwrap())).unwrap());
    }
    drop(live);
    unmount(&above);
}

#[test]
fn a_server_elsewhere_that_has_bound_and_not_listened_yet_is_not_swept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slow");
    let Some(mut command) = unshared(&["-n"], "namespaces::role_binds_only") else { return };
    let mut server = Server(command.env("SERVE", &path).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap() == "> bound"));
    let swept = Sweep::default().min_age(Duration::ZERO).without_grace().run(dir.path()).unwrap();
    assert!(matches!(swept.findings[0].fate, Fate::Kept(Kept::InUse)), "{swept:?}");
    assert!(path.exists());
}

#[test]
#[ignore = "a role, for a network namespace of its own"]
fn role_binds_only() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, socket};
    let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrUnix::new(PathBuf::from(std::env::var_os("SERVE").unwrap())).unwrap()).unwrap();
    println!("\n> bound");
    std::thread::sleep(LIMIT);
}

#[test]
#[ignore = "a role, for a network namespace of its own"]
fn role_serves_and_counts() {
    let listener = UnixListener::bind(std::env::var_os("SERVE").unwrap()).unwrap();
    println!("\n> serving");
    for connections in 1.. {
        let (mut stream, _) = listener.accept().unwrap();
        // The test's own says something.
        if std::io::Read::read(&mut stream, &mut [0]).unwrap() > 0 {
            println!("\n> {connections} connections");
        }
    }
}

/// A process with the id that every user has who has none in its user namespace.
#[test]
fn the_overflow_uid_is_no_proof_that_a_file_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    drop(UnixListener::bind(&path).unwrap());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    // Where this can be done, another user's.
    let _ = std::os::unix::fs::chown(&path, Some(60_002), Some(60_002));
    let flags = ["-U", "--map-user=65534", "--map-group=65534"];
    if let Some(mut command) = unshared(&flags, "namespaces::role_with_the_overflow_uid") {
        let output = command.env(PLACE, dir.path()).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
    assert!(path.exists());
}

#[test]
#[ignore = "a role"]
fn role_with_the_overflow_uid() {
    let place = PathBuf::from(std::env::var_os(PLACE).unwrap());
    assert_eq!(rustix::process::geteuid().as_raw(), 65_534);
    let swept = Sweep::default().min_age(Duration::ZERO).without_grace().run(&place).unwrap();
    assert!(matches!(swept.findings[0].fate, Fate::Kept(Kept::Foreign(65_534))), "{swept:?}");
    let sweep = Sweep::default().owner(Owner::Uid(65_534)).dry_run(true);
    let swept = sweep.min_age(Duration::ZERO).without_grace().run(&place).unwrap();
    assert!(matches!(swept.findings[0].fate, Fate::WouldBeRemoved), "named, it is: {swept:?}");
    assert!(!Owner::Trusted.admits(65_534) && Owner::Trusted.admits(0));
}

/// The upper directory of a container's overlay, found through the container's root.
#[test]
fn behind_a_mount_of_another_namespace_no_server_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut command) = unshared(&["-m"], "namespaces::role_serves_on_an_overlay") else { return };
    let command = command.env("SERVE", dir.path()).stdout(Stdio::piped()).stdin(Stdio::piped());
    let mut server = Server(command.spawn().unwrap());
    let lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    match lines.map_while(Result::ok).find(|line| line.starts_with("> ")).as_deref() {
        Some("> serving") => {}
        said => return eprintln!("SKIPPED: no overlay may be mounted here: {said:?}"),
    }
    let root = PathBuf::from(format!("/proc/{}/root", server.0.id()));
    let upper = root.join(dir.path().strip_prefix("/").unwrap()).join("upper");
    let swept = Sweep::default().min_age(Duration::ZERO).without_grace().run(&upper).unwrap();
    assert!(matches!(swept.findings[0].fate, Fate::Kept(Kept::Unproven(Doubt::BackingSide))), "{swept:?}");
    assert!(upper.join("live").exists());
}

#[test]
#[ignore = "a role, for a mount namespace of its own"]
fn role_serves_on_an_overlay() {
    let dir = PathBuf::from(std::env::var_os("SERVE").unwrap());
    run("mount", &["-t", "tmpfs", "none"], &dir);
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    let at = |name: &str| dir.join(name).display().to_string();
    let layers = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    let mounted = Command::new("mount").args(["-t", "overlay", "overlay", "-o", &layers]).arg(at("merged")).status();
    if !mounted.unwrap().success() {
        return println!("\n> no overlay");
    }
    let _live = UnixListener::bind(dir.join("merged/live")).unwrap();
    println!("\n> serving");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
