//! Links the system's libzmq.
//!
//! The crate of this name compiles libzmq without eventfd, so that its threads wake each other through a socket pair.
//! People do not run that libzmq. This replacement makes the binding use the distribution's.

use std::process::Command;

/// The part of the interface that the binding's build script uses.
#[derive(Debug, Default)]
pub struct Build(());

/// The place of libsodium; not used.
#[derive(Debug)]
pub enum LibLocation {}

impl Build {
    /// Nothing to set.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }

    /// The system's libzmq has whatever it has.
    pub const fn with_libsodium(&mut self, _: Option<LibLocation>) -> &mut Self {
        self
    }

    /// Tells cargo what to link.
    ///
    /// # Panics
    ///
    /// If pkg-config finds no libzmq.
    pub fn build(&mut self) {
        let output = Command::new("pkg-config")
            .args(["--libs-only-L", "libzmq"])
            .output()
            .expect("pkg-config is installed (apt-get install pkg-config)");
        assert!(output.status.success(), "libzmq is installed (apt-get install libzmq3-dev)");
        for flag in String::from_utf8_lossy(&output.stdout).split_whitespace() {
            println!("cargo::rustc-link-search=native={}", flag.trim_start_matches("-L"));
        }
        println!("cargo::rustc-link-lib=dylib=zmq");
    }
}
