//! Three servers on this machine, which elect a leader.

use std::{
    env,
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
};

use super::{Missing, ZooKeeper, free_port, java, packages};

/// How many servers there are: one of them may be missing.
const MEMBERS: usize = 3;

/// A running ensemble.
#[derive(Debug)]
pub struct Ensemble {
    /// The servers.
    pub members: Vec<ZooKeeper>,
}

impl Ensemble {
    /// An ensemble whose servers all serve. `None` as for [`ZooKeeper::start_or_skip`].
    ///
    /// # Panics
    ///
    /// As [`ZooKeeper::start_or_skip`].
    #[must_use]
    pub fn start_or_skip(test: &str) -> Option<Self> {
        Self::configured(test, "")
    }

    /// The same, whose servers serve reads without a quorum, in sessions that only they know.
    ///
    /// # Panics
    ///
    /// As [`ZooKeeper::start_or_skip`].
    #[must_use]
    pub fn read_only_or_skip(test: &str) -> Option<Self> {
        Self::configured(test, "localSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true\n")
    }

    fn configured(test: &str, more: &str) -> Option<Self> {
        match Self::start(more) {
            Ok(ensemble) => Some(ensemble),
            Err(missing @ Missing::NotHere(_)) if env::var("CI").as_deref() != Ok("true") => {
                // This bypasses the capture of the test harness. If it cannot be written either, there is no reader.
                drop(writeln!(io::stderr(), "SKIPPED {test}: {missing}"));
                None
            }
            Err(missing) => panic!("{test}: {missing}"),
        }
    }

    fn start(more: &str) -> Result<Self, Missing> {
        let (java, jars) = (java()?, packages()?);
        let mut last = String::new();
        // The ports were free a moment ago; other processes may have them by now.
        for _ in 0..3 {
            match Self::launch(&java, &jars, more) {
                Ok(ensemble) => return Ok(ensemble),
                Err(why) => last = why,
            }
        }
        Err(Missing::Failed(last))
    }

    fn launch(java: &Path, jars: &Path, more: &str) -> Result<Self, String> {
        let port = || free_port().map_err(|error| format!("free port: {error}"));
        let mut lines = format!("initLimit=50\nsyncLimit=25\n{more}");
        for id in 1..=MEMBERS {
            writeln!(lines, "server.{id}=127.0.0.1:{}:{}", port()?, port()?).expect("a string takes everything");
        }
        let start = |id| ZooKeeper::member(java, jars, port()?, &lines, Some(id));
        let members = (1..=MEMBERS).map(start).collect::<Result<Vec<_>, _>>()?;
        // None of them serves before there are enough of them.
        members.iter().try_for_each(ZooKeeper::wait_until_ready)?;
        Ok(Self { members })
    }

    /// The addresses of all servers, as a client takes them.
    #[must_use]
    pub fn addresses(&self) -> String {
        self.members.iter().map(ZooKeeper::address).collect::<Vec<_>>().join(",")
    }

    /// Which of the members leads at present.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        let leads = |member: &ZooKeeper| member.four_letters("srvr").is_ok_and(|text| text.contains("\nMode: leader"));
        self.members.iter().position(leads)
    }
}
