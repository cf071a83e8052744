//! Hostile bytes for the part of the ZooKeeper protocol this target is named after.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::run("zk_session", data));
