//! The command line, parsed; its comments are the help text.

xflags::xflags! {
    /// The workspace's own commands. `cargo xtask COMMAND --help` works everywhere.
    cmd xtask {
        /// Everything that is checked before a merge, in order of cost.
        cmd ci {
            /// Print the steps and stop.
            optional --list
            /// Run only these steps or groups, separated by commas.
            optional --only names: String
            /// Run the heavy steps too: the ones that plain `ci` names at its end.
            optional --full
            /// Go on after a failed step.
            optional --keep-going
        }
        /// The rules of the repository that no compiler checks.
        cmd tidy {
            /// Lower the allowances of `xtask/words.toml` to what is there.
            optional --ratchet
        }
        /// Licences and sources of everything below us, by the rules of `deny.toml`.
        cmd supply {}
        /// The property tests of every crate.
        cmd prop {
            /// Cases for each property (proptest's own default is 256).
            optional --cases number: u32
            /// Replay the run with this seed.
            optional --replay seed: u64
        }
        /// libFuzzer on everything that reads a peer's bytes; prints executions per second.
        cmd fuzz {
            /// Only this target.
            optional target: String
            /// Seconds for each target (10 by default).
            optional --secs seconds: u64
            /// Print the targets and stop.
            optional --list
            /// Prove that the fuzzer finds a planted mistake.
            optional --canary
        }
        /// Every interleaving of the actor's locks, token and credits, within a bound.
        cmd loom {
            /// Forced switches between threads to explore (2 by default).
            optional --preemptions number: u32
        }
        /// Small changes to the code that some test has to notice.
        cmd mutants {
            /// Only this crate, or this directory or file of it; the codecs, the multiplexer and the roster by default.
            optional place: String
            /// Only what differs from this revision.
            optional --diff revision: String
            /// Only one part of several, as cargo-mutants numbers them: `0/8` to `7/8`.
            optional --shard part: String
        }
        /// The public interface of each crate, and what a change to it breaks.
        cmd api {
            /// Compare with this revision instead of the last release.
            optional --since revision: String
        }
        /// The cross-crate tests, real Apache ZooKeeper included.
        cmd integration {}
        /// Every command of the tool in every environment that this machine can make.
        cmd environments {}
        /// Several real programs, one receiver, every line reported.
        cmd demo {
            /// Seconds after which the demo is stopped and has failed.
            optional --timeout seconds: u64
        }
        /// Rate, CPU and memory, beside libzmq and others.
        cmd bench {
            /// Three short rounds: to see that everything runs, not to quote.
            optional --quick
            /// Only these experiments, contenders or payload sizes, separated by commas.
            optional --only names: String
            /// Rounds of each experiment (7 by default).
            optional --rounds number: usize
            /// Write table, JSON and plot to docs/benchmarks.
            optional --save
        }
        /// What this machine has, lacks, and how to install it.
        cmd doctor {}
    }
}

/// The help text of all commands.
pub(crate) fn help() -> &'static str {
    Xtask::HELP_.trim_end()
}
