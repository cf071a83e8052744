//! All tests of frame-codec except its laws, in one program.

mod cancel;
mod encoder;
mod lengths;
mod limits;
mod memory;
mod planted;
