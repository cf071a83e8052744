//! What the tests of more than one crate share, and the demo.
