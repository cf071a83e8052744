//! Tests that need several crates, in one program.

mod corpus;
mod funnel;
mod housekeeping;
