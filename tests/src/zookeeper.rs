//! A real Apache ZooKeeper for tests: Debian's packages, taken but not installed, and one server per test.
//!
//! The packages are downloaded with `apt-get` and unpacked under `target/zookeeper/`, once; nothing is installed and no
//! root is needed. Each server has a free port of 127.0.0.1, its own directory, and a watchdog: it stops when the
//! test drops it, and also when the test's process dies.

use std::{
    env, fmt, fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FlockOperation, flock},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

mod ensemble;

pub use ensemble::Ensemble;

/// The server, and what its jar refers to.
const PACKAGES: &[&str] = &[
    "zookeeper",
    "libzookeeper-java",
    "libcommons-cli-java",
    "libcommons-io-java",
    "libdropwizard-metrics-java",
    "libfindbugs-annotations-java",
    "libjackson2-annotations-java",
    "libjackson2-core-java",
    "libjackson2-databind-java",
    "libjetty9-extra-java",
    "libjetty9-java",
    "liblog4j1.2-java",
    "libnetty-java",
    "libslf4j-java",
    "libsnappy-java",
];

/// How long the packages may take to arrive: 13 MB.
const FETCH: Duration = Duration::from_secs(180);

/// How long a server may take to start; usually it is 1 to 3 seconds.
const START: Duration = Duration::from_secs(60);

/// Runs what follows a directory as a child, says its pid, and when standard input ends, kills it and removes the
/// directory. Standard input ends when the pipe is closed, for whatever reason: the end of a process closes its pipes.
const WATCHDOG: &str = r#"directory=$1; shift; "$@" & child=$!; echo "$child"; read -r _
kill -9 "$child"; wait "$child" 2>/dev/null; rm -rf "$directory""#;

/// A running server.
#[derive(Debug)]
pub struct ZooKeeper {
    port: u16,
    /// The process, by descriptor: it cannot come to mean another one.
    java: OwnedFd,
    /// Those of the processes before this one, too: each removes the directory when it ends.
    watchdogs: Vec<Watchdog>,
    directory: tempfile::TempDir,
}

/// Stops a server when its leash is closed.
#[derive(Debug)]
struct Watchdog {
    process: Child,
    leash: Option<ChildStdin>,
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.leash.take());
        // The watchdog kills and ends; if it is gone already, so is the server.
        drop(self.process.wait());
    }
}

/// Why there is no server.
#[derive(Debug)]
pub enum Missing {
    /// This machine cannot run one.
    NotHere(String),
    /// It should have run and did not.
    Failed(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHere(why) => write!(f, "no real ZooKeeper on this machine: {why}"),
            Self::Failed(why) => write!(f, "ZooKeeper did not start: {why}"),
        }
    }
}

impl ZooKeeper {
    /// A server with ticks of 200 ms: sessions last from 400 ms to 60 s.
    ///
    /// `None` where this machine has no Java or cannot get the packages; the test that asked says so, visibly, and passes.
    ///
    /// # Panics
    ///
    /// If the server does not start; and under `CI=true` also where it cannot be had.
    #[must_use]
    pub fn start_or_skip(test: &str) -> Option<Self> {
        match Self::start() {
            Ok(server) => Some(server),
            Err(missing @ Missing::NotHere(_)) if env::var("CI").as_deref() != Ok("true") => {
                // This bypasses the capture of the test harness. If it cannot be written either, there is no reader.
                drop(writeln!(io::stderr(), "SKIPPED {test}: {missing}"));
                None
            }
            Err(missing) => panic!("{test}: {missing}"),
        }
    }

    /// As [`start_or_skip`](Self::start_or_skip), without the skipping.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn start() -> Result<Self, Missing> {
        let java = java()?;
        let jars = packages()?;
        let mut last = String::new();
        // The port was free a moment ago; another process may have it by now.
        for _ in 0..3 {
            match Self::launch(&java, &jars) {
                Ok(server) => return Ok(server),
                Err(why) => last = why,
            }
        }
        Err(Missing::Failed(last))
    }

    fn launch(java: &Path, jars: &Path) -> Result<Self, String> {
        let port = free_port().map_err(|error| format!("free port: {error}"))?;
        let server = Self::member(java, jars, port, "", None)?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Starts a server with these lines in its configuration, and with this id if it is one of several.
    fn member(java: &Path, jars: &Path, port: u16, more: &str, id: Option<usize>) -> Result<Self, String> {
        let step = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let directory = tempfile::Builder::new().prefix("zookeeper-").tempdir().map_err(step("temporary directory"))?;
        let data = directory.path().join("data");
        let text = format!(
            "tickTime=200\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
             4lw.commands.whitelist=*\nmaxClientCnxns=0\nmaxSessionTimeout=60000\nextendedTypesEnabled=true\n{more}",
            data.display()
        );
        fs::write(directory.path().join("zoo.cfg"), text).map_err(step("zoo.cfg"))?;
        if let Some(id) = id {
            fs::create_dir(&data).map_err(step("data directory"))?;
            fs::write(data.join("myid"), id.to_string()).map_err(step("myid"))?;
        }
        let (java, watchdog) = Self::spawn(java, jars, directory.path())?;
        Ok(Self { port, java, watchdogs: vec![watchdog], directory })
    }

    /// Runs a server on what is in the directory.
    fn spawn(java: &Path, jars: &Path, directory: &Path) -> Result<(OwnedFd, Watchdog), String> {
        let step = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let log = fs::File::options().create(true).append(true).open(directory.join("log")).map_err(step("log"))?;
        let is_member = directory.join("data/myid").exists();
        let program = if is_member { "quorum.QuorumPeerMain" } else { "ZooKeeperServerMain" };
        let config = directory.join("zoo.cfg");
        let is_local = fs::read_to_string(&config).map_err(step("zoo.cfg"))?.contains("localSessionsEnabled=true");
        let mut process = Command::new("sh")
            .args(["-c", WATCHDOG, "sh"])
            .arg(directory)
            .arg(java)
            .arg("-cp")
            .arg(jars.join("usr/share/java/*"))
            .args(["-Xmx200m", &format!("-Dreadonlymode.enabled={is_local}")])
            .arg(format!("org.apache.zookeeper.server.{program}"))
            .arg(config)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(step("sh"))?;
        let leash = process.stdin.take();
        let mut pid = String::new();
        let said = process.stdout.take().ok_or("no standard output")?;
        BufReader::new(said).read_line(&mut pid).map_err(step("the pid of the server"))?;
        let pid = pid.trim().parse().ok().and_then(Pid::from_raw).ok_or("no pid of the server")?;
        let java = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| format!("pidfd of the server: {error}"))?;
        Ok((java, Watchdog { process, leash }))
    }

    /// Starts the server again that was [killed](Self::kill), with what it has written.
    ///
    /// # Errors
    ///
    /// Why it does not start.
    pub fn restart(&mut self) -> Result<(), String> {
        let (java, jars) = (java().map_err(|error| error.to_string())?, packages().map_err(|error| error.to_string())?);
        let (java, watchdog) = Self::spawn(&java, &jars, self.directory.path())?;
        self.java = java;
        self.watchdogs.push(watchdog);
        self.wait_until_ready()
    }

    /// Stops the process where it is, as a long garbage collection would, until [`resume`](Self::resume).
    ///
    /// # Errors
    ///
    /// When there is no such process any more.
    pub fn pause(&self) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.java, Signal::STOP)?)
    }

    /// Lets a process go on that was [paused](Self::pause).
    ///
    /// # Errors
    ///
    /// When there is no such process any more.
    pub fn resume(&self) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.java, Signal::CONT)?)
    }

    /// Waits until the server says in which mode it serves: it listens, and says that it is well, long before that.
    fn wait_until_ready(&self) -> Result<(), String> {
        let start = Instant::now();
        loop {
            if self.four_letters("srvr").is_ok_and(|answer| answer.contains("\nMode: ")) && self.is_ours()? {
                return Ok(());
            }
            // There is no event for a port of another process being opened, so look now and then.
            let ended = self.has_ended(Duration::from_millis(50)).map_err(|error| error.to_string())?;
            if ended || start.elapsed() > START {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                let state = if ended { "it ended" } else { "it is not ready" };
                return Err(format!("{state} after {:?}; its log: {log}", start.elapsed()));
            }
        }
    }

    /// Whether the server at our port is the one that we have started: the port was free a moment ago, and another test run
    /// on this machine may have been faster. Only the directory tells.
    fn is_ours(&self) -> Result<bool, String> {
        let Ok(conf) = self.four_letters("conf") else { return Ok(false) };
        let ours = self.directory.path().to_string_lossy();
        match conf.lines().find_map(|line| line.strip_prefix("dataDir=")) {
            Some(directory) if directory.starts_with(&*ours) => Ok(true),
            Some(directory) => Err(format!("port {} is that of another server, of {directory}", self.port)),
            None => Ok(false),
        }
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Asks one of the server's four-letter questions.
    ///
    /// # Errors
    ///
    /// When it does not answer within a second.
    pub fn four_letters(&self, word: &str) -> io::Result<String> {
        let second = Some(Duration::from_secs(1));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(second)?;
        stream.set_write_timeout(second)?;
        stream.write_all(word.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Kills the server as a power cut would, and waits until no process listens at its port any more. What it has
    /// written stays until this is dropped.
    ///
    /// # Errors
    ///
    /// When there is no such process any more, or it does not die within ten seconds.
    pub fn kill(&self) -> io::Result<()> {
        pidfd_send_signal(&self.java, Signal::KILL)?;
        if self.has_ended(Duration::from_secs(10))? { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }

    /// Whether the server's process ends within this time, or has ended before.
    fn has_ended(&self, patience: Duration) -> io::Result<bool> {
        let patience = Timespec::try_from(patience).map_err(|_| io::ErrorKind::InvalidInput)?;
        let mut process = [PollFd::new(&self.java, PollFlags::IN)];
        Ok(poll(&mut process, Some(&patience))? > 0)
    }
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn java() -> Result<PathBuf, Missing> {
    let named = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let java = named.filter(|java| java.exists()).unwrap_or_else(|| "java".into());
    match Command::new(&java).arg("-version").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(java),
        Ok(output) => Err(Missing::NotHere(format!("java -version: {}", output.status))),
        Err(error) => Err(Missing::NotHere(format!("java: {error}"))),
    }
}

/// Where the packages are unpacked; fetches them the first time. Processes that come at the same time wait for each other.
fn packages() -> Result<PathBuf, Missing> {
    let cannot = |what: &str, error: &dyn fmt::Display| Missing::NotHere(format!("{what}: {error}"));
    let target = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let cache = target.join("zookeeper");
    let root = cache.join("root");
    fs::create_dir_all(&cache).map_err(|error| cannot("target/zookeeper", &error))?;
    let lock = fs::File::create(cache.join("lock")).map_err(|error| cannot("target/zookeeper/lock", &error))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| cannot("target/zookeeper/lock", &error))?;
    if root.exists() {
        return Ok(root);
    }
    let scratch = tempfile::tempdir_in(&cache).map_err(|error| cannot("target/zookeeper", &error))?;
    let mut download = Command::new("apt-get");
    run(download.args(["-o", "Acquire::Retries=3", "download"]).args(PACKAGES).current_dir(scratch.path()))?;
    let unpacked = scratch.path().join("root");
    for entry in fs::read_dir(scratch.path()).map_err(|error| cannot("packages", &error))?.flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(entry.path()).arg(&unpacked))?;
        }
    }
    // Whole or not at all: a directory of this name is never half unpacked.
    fs::rename(&unpacked, &root).map_err(|error| cannot("target/zookeeper/root", &error))?;
    Ok(root)
}

/// Runs a command, for as long as fetching may take.
fn run(command: &Command) -> Result<(), Missing> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut limited = Command::new("timeout");
    limited.arg(FETCH.as_secs().to_string()).arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        limited.current_dir(directory);
    }
    match limited.stdin(Stdio::null()).output() {
        Err(error) => Err(Missing::NotHere(format!("{name}: {error}"))),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or_default();
            Err(Missing::NotHere(format!("{name}: {}: {last}", output.status)))
        }
    }
}
