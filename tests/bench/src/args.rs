//! The command line, parsed.

use std::path::PathBuf;

xflags::xflags! {
    cmd bench {
        /// Measures and prints a table.
        default cmd run {
            /// Three short rounds: to see that everything runs, not to quote.
            optional --quick
            /// Only these experiments, contenders or sizes, separated by commas.
            optional --only names: String
            /// Rounds of each experiment (default 7).
            optional --rounds number: usize
            /// Write JSON, plot and tables into this directory.
            optional --save directory: PathBuf
        }
        /// One part of a measurement; the conductor starts these.
        cmd role {
            required spec: String
        }
    }
}
