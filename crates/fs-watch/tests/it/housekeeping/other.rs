//! Another process, which does one thing and waits to be killed: this program, started again.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fs_watch::directory::{Lock, Sweep};

const WHAT: &str = "FS_WATCH_TEST_OTHER";
const WHERE: &str = "FS_WATCH_TEST_PLACE";

/// Killed and reaped when it is dropped.
pub(crate) struct Other(Child);

impl Other {
    /// Returns when it has done it.
    pub(crate) fn start(what: &str, place: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "housekeeping::other::is_another_process", "--nocapture"]);
        let child = command.env(WHAT, what).env(WHERE, place).stdout(Stdio::piped()).stdin(Stdio::piped()).spawn();
        let mut other = Self(child.unwrap());
        let lines = BufReader::new(other.0.stdout.take().unwrap()).lines();
        let done = lines.map_while(Result::ok).any(|line| line.ends_with("done"));
        assert!(done, "the other process has failed");
        other
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// By SIGKILL, and waits for the end.
    pub(crate) fn kill(self) {}
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Does nothing unless it was started by [`Other`].
#[test]
fn is_another_process() {
    let (Ok(what), Some(place)) = (std::env::var(WHAT), std::env::var_os(WHERE)) else { return };
    let place = Path::new(&place);
    let _held: Box<dyn std::any::Any> = match &*what {
        "listen" => Box::new(UnixListener::bind(place).unwrap()),
        "lock" => Box::new(Lock::take(place).unwrap()),
        "sweep" => {
            println!("done");
            loop {
                Sweep::default().min_age(Duration::ZERO).without_grace().run(place).unwrap();
            }
        }
        other => panic!("there is no role {other}"),
    };
    println!("done");
    // Ends with its parent, if not by it.
    let _ = std::io::stdin().lines().next();
}
