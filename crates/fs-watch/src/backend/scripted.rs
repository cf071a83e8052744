//! A backend that a test controls: it gives hints and fails when told to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Backend;
use crate::event::Why;
use crate::hints::Hints;
use crate::target::Target;

/// The backend; its [`Script`] is the other end.
#[derive(Debug)]
pub struct Scripted {
    script: Script,
}

/// Controls a [`Scripted`] backend, and records its calls.
#[derive(Clone, Debug, Default)]
pub struct Script {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    failure: Option<Why>,
    armed: Option<(Target, Hints)>,
    arms: usize,
    disarms: usize,
}

impl Scripted {
    /// A backend that always arms and gives no hints by itself, and the script that can change that.
    pub fn new() -> (Self, Script) {
        let script = Script::default();
        (Self { script: script.clone() }, script)
    }
}

impl Script {
    /// From now on arming fails with this error, or succeeds again.
    pub fn refuse(&self, why: Option<Why>) {
        self.state().failure = why;
    }

    /// Where to put hints, while armed. A clone stays valid for the life of the watcher.
    pub fn hints(&self) -> Option<Hints> {
        self.state().armed.as_ref().map(|(_, hints)| hints.clone())
    }

    /// The armed target.
    pub fn target(&self) -> Option<Target> {
        self.state().armed.as_ref().map(|(target, _)| target.clone())
    }

    /// How often `arm` was called.
    pub fn arms(&self) -> usize {
        self.state().arms
    }

    /// How often `disarm` was called.
    pub fn disarms(&self) -> usize {
        self.state().disarms
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Scripted {
    fn arm(&mut self, target: &Target, hints: &Hints) -> Result<(), Why> {
        let mut state = self.script.state();
        state.arms += 1;
        if let Some(why) = state.failure.clone() {
            state.armed = None;
            return Err(why);
        }
        state.armed = Some((target.clone(), hints.clone()));
        Ok(())
    }

    fn disarm(&mut self) {
        let mut state = self.script.state();
        state.disarms += 1;
        state.armed = None;
    }
}
