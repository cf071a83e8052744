//! The command line, parsed.

xflags::xflags! {
    cmd xtask {
        /// Everything CI checks, in order of cost.
        cmd ci {
            /// Print the steps and stop.
            optional --list
            /// Run only these steps or groups, separated by commas.
            optional --only names: String
            /// Go on after a failed step.
            optional --keep-going
        }
        /// The rules of the repository that no compiler checks.
        cmd tidy {}
        /// The property tests of every crate.
        cmd prop {
            /// Cases for each property (proptest's own default is 256).
            optional --cases number: u32
            /// Replay the run with this seed.
            optional --replay seed: u64
        }
        /// Hostile bytes for everything that reads a peer's bytes.
        cmd fuzz {
            /// Only this target.
            optional target: String
            /// Seconds for each target (10 if nobody says).
            optional --secs seconds: u64
            /// Print the targets and stop.
            optional --list
            /// Prove that the fuzzer finds a planted mistake.
            optional --canary
        }
        /// Every interleaving of the actor's locks, token and credits, within a bound.
        cmd loom {
            /// Forced switches between threads to explore (2 unless set).
            optional --preemptions number: u32
        }
        /// The tests package, real Apache ZooKeeper included.
        cmd integration {}
        /// Several real programs, one receiver, every line accounted for.
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
            /// Rounds of each experiment (7 without it).
            optional --rounds number: usize
            /// Write table, JSON and plot to docs/benchmarks.
            optional --save
        }
        /// What this machine has, lacks, and how to install it.
        cmd doctor {}
    }
}
