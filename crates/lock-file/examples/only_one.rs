//! One manager for a directory: the second one that starts learns which process is the first.
//!
//! ```sh
//! cargo run -p lock-file --example only_one
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, fs::File};

use lock_file::{Error as LockError, Lock};

const NAME: &str = ".manager.lock";

fn main() -> Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let directory = File::open(place.path())?;
    let first = Lock::take(&directory, NAME)?;
    println!("process {} manages {}", std::process::id(), place.path().display());

    match Lock::take(&directory, NAME) {
        Err(error @ LockError::Held { .. }) => println!("a second manager ends: {error}"),
        other => return Err(format!("there are two managers: {other:?}").into()),
    }

    first.remove(&directory, NAME)?; // leaves no file behind
    drop(Lock::take(&directory, NAME)?);
    println!("the next manager has it");
    Ok(())
}
