//! Names that would command a terminal, in a table that stays a table.
//!
//! ```sh
//! cargo run -p terminal-text --example names
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use terminal_text::escaped_cell;

fn main() {
    let names: [&[u8]; 4] = [b"plain", "häuser".as_bytes(), b"\x1b[2Jgone", b"a.sock  listening"];
    for name in names {
        println!("{:<24}  12 bytes", escaped_cell(name));
    }
}
