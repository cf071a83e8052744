//! A program needs this crate and tokio: the code that new users copy names no other.

use test_kit::front_page::assert_one_crate;

#[test]
fn the_front_pages_use_one_crate_and_tokio() {
    for page in [include_str!("../../README.md"), include_str!("../../src/lib.rs")] {
        let others = ["frame_codec", "uds_socket", "bytes", "futures_core", "futures_util", "tempfile"];
        assert_one_crate("uds_actor", page, &others);
    }
}
