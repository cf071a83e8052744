//! How each environment is made, and how a scenario gets into it.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::{outcome::Outcome, scenario::Scenario};

/// The variable that tells the program inside what to play.
pub(crate) const PLAY: &str = "MPSR_ENVIRONMENT_PLAY";
/// A play that takes longer has hung.
const LIMIT: Duration = Duration::from_secs(50);

/// What the program inside needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Play {
    pub(crate) scenario: Scenario,
    pub(crate) options: Vec<String>,
    /// The tool, and this test program.
    pub(crate) mpsr: PathBuf,
    pub(crate) me: PathBuf,
    /// Where sockets go. Each play has its own directory in it.
    pub(crate) directory: PathBuf,
    /// Where the peers find that directory, if it is somewhere else.
    pub(crate) peer_directory: Option<PathBuf>,
    /// Mode of that directory.
    pub(crate) mode: u32,
    /// What stands before the tool's command line, and before its peers'.
    pub(crate) tool: Vec<String>,
    pub(crate) peer: Vec<String>,
    /// The users that the tool and its peers run as, where it is another.
    pub(crate) tool_uid: Option<u32>,
    pub(crate) peer_uid: Option<u32>,
    pub(crate) restriction: Option<Restriction>,
    pub(crate) non_blocking_output: bool,
}

/// A system call, or a part of one, that the kernel does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Restriction {
    /// `socket(2)` knows no family but `AF_UNIX`.
    OtherFamilies,
    /// `getsockopt(2)` does not know `SO_PEERGROUPS`.
    PeerGroups,
    /// `renameat2(2)` takes no flags.
    RenameFlags,
}

/// An environment that this machine can make.
pub(crate) struct Environment {
    /// Everything that it has on disk.
    _scratch: TempDir,
    /// What stands before the command line of the program inside.
    wrap: Vec<String>,
    play: Play,
}

impl Environment {
    /// # Errors
    ///
    /// Why this machine cannot make it.
    pub(crate) fn make(row: &str) -> Result<Self, String> {
        let scratch = TempDir::with_prefix("env.").unwrap();
        let at = |name: &str| scratch.path().join(name);
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Other users and other roots must be able to run them.
        let [mpsr, me] = ["mpsr", "me"].map(at);
        place(Path::new(env!("CARGO_BIN_EXE_mpsr")), &mpsr);
        place(&std::env::current_exe().unwrap(), &me);
        let directory = at("d");
        fs::create_dir(&directory).unwrap();
        let play = Play {
            scenario: Scenario::Ls,
            options: Vec::new(),
            mpsr,
            me,
            directory,
            peer_directory: None,
            mode: 0o755,
            tool: Vec::new(),
            peer: Vec::new(),
            tool_uid: None,
            peer_uid: None,
            restriction: None,
            non_blocking_output: false,
        };
        let mut environment = Self { _scratch: scratch, wrap: Vec::new(), play };
        environment.set_up(row)?;
        environment.try_out()?;
        Ok(environment)
    }

    fn set_up(&mut self, row: &str) -> Result<(), String> {
        let directory = self.play.directory.display().to_string();
        match row {
            "a plain machine" => {}
            "a user namespace in which you are root" => self.wrap = words("unshare -U -r"),
            "a user namespace as uid 65534 (`user: nobody`)" => {
                self.wrap = words("unshare -U --map-user=65534 --map-group=65534");
            }
            "a user namespace without root" => self.wrap = words("unshare -U --map-user=1000 --map-group=1000"),
            "a process namespace" => self.wrap = as_root(words("unshare -m -p -f --mount-proc"))?,
            "peers in another network namespace" => self.play.peer = as_root(words("unshare -n"))?,
            "a chroot without `/proc` and `/sys`" => self.wrap = self.chroot()?,
            "no `/proc`" => self.wrap = in_mounts("mount -t tmpfs none /proc")?,
            "no `sock_diag` (`RestrictAddressFamilies=AF_UNIX`)" => {
                self.play.restriction = Some(Restriction::OtherFamilies);
            }
            "no `SO_PEERGROUPS` (gVisor)" => self.play.restriction = Some(Restriction::PeerGroups),
            "no flags of `renameat2` (gVisor, Kata)" => self.play.restriction = Some(Restriction::RenameFlags),
            "a full disk" => {
                // Room for names and for nothing else.
                self.wrap = in_mounts(&format!(
                    "mount -t tmpfs -o size=64k,mode=755 none {directory} && \
                     mkdir {directory}/play {directory}/play/sockets && \
                     (cat /dev/zero > {directory}/full 2>/dev/null; true)"
                ))?;
            }
            "32 descriptors" => self.play.tool = words("prlimit --nofile=32:32"),
            "no thread to be had" => {
                as_root(Vec::new())?;
                // The limit counts a user's threads, and this user has none besides the tool's own. Root has no limit.
                self.play.tool = words("setpriv --reuid 60111 --regid 60111 --clear-groups prlimit --nproc=1:1");
                self.play.tool_uid = Some(60111);
            }
            "`RLIMIT_FSIZE` of 0" => self.play.tool = words("prlimit --fsize=0:0"),
            "64 MiB of memory (`RLIMIT_AS`)" => self.play.tool = words("prlimit --as=67108864:67108864"),
            "a stack of 64 KiB" => self.play.tool = words("prlimit --stack=65536:65536"),
            "an overlay filesystem" => {
                // Its layers cannot be on an overlay, as a container's own root is.
                self.wrap = in_mounts(&format!(
                    "mount -t tmpfs none {directory} && cd {directory} && mkdir lower upper work && \
                     mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work {directory}"
                ))?;
            }
            "a FUSE filesystem" => {
                present("bindfs")?;
                if !Path::new("/dev/fuse").exists() {
                    return Err("there is no /dev/fuse".to_owned());
                }
                let below = format!("{directory}.below");
                fs::create_dir(&below).unwrap();
                self.wrap = in_mounts(&format!("bindfs {below} {directory}"))?;
            }
            "peers of another user" => {
                self.play.peer = as_root(words("setpriv --reuid 60112 --regid 60112 --clear-groups"))?;
                self.play.peer_uid = Some(60112);
            }
            "a directory of mode 0777 (`emptyDir`)" => self.play.mode = 0o777,
            "a setgid directory of mode 2775" => self.play.mode = 0o2775,
            "a clock that was set back an hour" => self.set_clock("-3600")?,
            "a clock that was set forward an hour" => self.set_clock("3600")?,
            // Another way with each call.
            "a clock that jumps an hour back and forth" => self.set_clock("(calls++ & 1 ? 3600 : -3600)")?,
            "a directory that is bind-mounted elsewhere" => {
                let elsewhere = format!("{directory}.elsewhere");
                fs::create_dir(&elsewhere).unwrap();
                self.wrap = in_mounts(&format!("mount --bind {directory} {elsewhere}"))?;
                self.play.peer_directory = Some(elsewhere.into());
            }
            "no inotify instance left" => {
                self.wrap = shell("unshare -U -r", "echo 0 > /proc/sys/user/max_inotify_instances");
            }
            "a path longer than 107 bytes" => {
                self.play.directory.push("d".repeat(100));
                fs::create_dir(&self.play.directory).unwrap();
            }
            "non-blocking standard output" => self.play.non_blocking_output = true,
            "standard error closed" => {
                self.play.tool = vec!["sh".into(), "-c".into(), "exec \"$@\" 2>&-".into(), "sh".into()]
            }
            "standard input closed" => {
                self.play.tool = vec!["sh".into(), "-c".into(), "exec \"$@\" <&-".into(), "sh".into()]
            }
            other => panic!("no way to make {other:?}"),
        }
        Ok(())
    }

    /// Whether the machine lets us: a container may forbid namespaces or mounts.
    fn try_out(&self) -> Result<(), String> {
        for prefix in [&self.wrap, &self.play.peer] {
            let Some((program, arguments)) = prefix.split_first() else { continue };
            let tried = Command::new(program).args(arguments).arg("true").stdin(Stdio::null()).output();
            let tried = tried.map_err(|error| format!("{program}: {error}"))?;
            if !tried.status.success() {
                return Err(format!("{}: {}", prefix.join(" "), String::from_utf8_lossy(&tried.stderr).trim()));
            }
        }
        Ok(())
    }

    /// Plays this scenario inside, and says how it ended.
    pub(crate) fn play(&self, scenario: Scenario, options: &[String]) -> Outcome {
        let play = Play { scenario, options: options.to_vec(), ..self.play.clone() };
        let me = self.play.me.display().to_string();
        let inside = [&me, "inside::a_scenario", "--exact", "--ignored", "--nocapture"].map(str::to_owned);
        let line: Vec<String> = self.wrap.iter().cloned().chain(inside).collect();
        let child = Command::new(&line[0])
            .args(&line[1..])
            .env(PLAY, serde_json::to_string(&play).unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{line:?}: {error}"));
        let group = Pid::from_child(&child);
        let (done, waits) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(child.wait_with_output()));
        let ended = waits.recv_timeout(LIMIT);
        // Peers that are still there have nothing left to do.
        let _ = kill_process_group(group, Signal::KILL);
        let output =
            ended.unwrap_or_else(|_| panic!("{}: the play did not end within {LIMIT:?}", scenario.name())).unwrap();
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        Outcome::from_lines(&stdout)
            .unwrap_or_else(|| panic!("{}: the play has no outcome\n{stdout}\n{stderr}", scenario.name()))
    }

    /// A root with the programs and their libraries, and nothing that the kernel makes.
    fn chroot(&self) -> Result<Vec<String>, String> {
        let root = self.play.directory.parent().unwrap().join("root");
        let root = root.display();
        let scratch = self.play.directory.parent().unwrap().display();
        // Bind mounts, so that nothing is copied; the scratch directory is at its own path.
        in_mounts(&format!(
            "mkdir -p {root} && mount -t tmpfs none {root} && \
             for d in bin sbin lib lib64 usr etc dev; do \
                 if [ -L /$d ]; then cp -P /$d {root}/$d; \
                 elif [ -d /$d ]; then mkdir {root}/$d && mount --rbind /$d {root}/$d; fi; \
             done && \
             mkdir -p {root}{scratch} {root}/tmp && mount --bind {scratch} {root}{scratch} && cd / && \
             set -- chroot {root} \"$@\""
        ))
    }

    /// Moves the tool's wall clock by these seconds, an expression of C, with `LD_PRELOAD`. Its other clocks stay as they are.
    fn set_clock(&mut self, seconds: &str) -> Result<(), String> {
        present("cc")?;
        let scratch = self.play.directory.parent().unwrap();
        let [source, shim] = ["clock.c", "clock.so"].map(|name| scratch.join(name));
        fs::write(&source, CLOCK).unwrap();
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", &format!("-DOFFSET=({seconds})"), "-o"])
            .args([&shim, &source])
            .output()
            .unwrap();
        if !built.status.success() {
            return Err(format!("cc: {}", String::from_utf8_lossy(&built.stderr)));
        }
        self.play.tool = vec!["env".to_owned(), format!("LD_PRELOAD={}", shim.display())];
        Ok(())
    }
}

const CLOCK: &str = r"
#define _GNU_SOURCE
#include <time.h>
#include <sys/syscall.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *ts) {
    static unsigned calls;
    long r = syscall(SYS_clock_gettime, id, ts);
    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) ts->tv_sec += OFFSET;
    return (int)r;
}
";

/// A hard link where possible: the programs are large.
fn place(program: &Path, at: &Path) {
    if fs::hard_link(program, at).is_err() {
        fs::copy(program, at).unwrap();
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// Runs these commands in what `prefix` makes, and then what follows.
fn shell(prefix: &str, commands: &str) -> Vec<String> {
    let mut line = words(prefix);
    line.extend(["sh", "-c", &format!("{commands} && exec \"$@\""), "sh"].map(str::to_owned));
    line
}

/// In a separate mount namespace: what is mounted there goes with the last process.
fn in_mounts(commands: &str) -> Result<Vec<String>, String> {
    as_root(shell("unshare -m", commands))
}

fn as_root(line: Vec<String>) -> Result<Vec<String>, String> {
    if geteuid().is_root() { Ok(line) } else { Err("it takes root to make it".to_owned()) }
}

fn present(program: &str) -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).exists());
    found.then_some(()).ok_or_else(|| format!("{program} is not installed"))
}
