//! A tap between a client and a ZooKeeper server: what a captured request asks for, and what its reply says.
//!
//! ```sh
//! cargo run -p zk-proto --example decode
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use zk_proto::{Error, GetData, OpCode, Record, RequestHeader, jute::Reader};

fn main() -> Result<(), Error> {
    // As captured: xid 2, getData of /config, without a watch. The length in front is already removed.
    let request = b"\0\0\0\x02\0\0\0\x04\0\0\0\x07/config\0";
    let mut reader = Reader::new(request);
    let header = RequestHeader::decode(&mut reader)?;
    println!("{header:?}");
    if OpCode::from_code(header.op) == Some(OpCode::GetData) {
        let get = GetData::decode(&mut reader)?;
        println!("{get:?}");
        // The same types encode, so a proxy can pass on a changed request.
        let moved = GetData { path: "/app/config".into(), ..get };
        println!("{} bytes with a chroot", moved.to_bytes().len());
    }
    Ok(())
}
