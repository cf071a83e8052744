//! All tests of unix-diag except its laws, in one program.

mod kernel;
mod table;
