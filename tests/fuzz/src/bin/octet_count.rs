//! Hostile bytes for the framing this target is named after.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::run("octet_count", data));
