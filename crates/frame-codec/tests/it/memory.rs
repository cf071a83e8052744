//! What hostile peers and idle connections cost, counted by the allocator.

use bytes::BufMut as _;
use frame_codec::{
    Batch, ByteOrder, Decoder, Delimited, Encoder, Framing, LengthPrefixed, Limits, Netstring, OctetCount, Raw,
    UntilEof, Varint, Whole,
};
use heap_kit::{in_thread, peak_in_thread};

/// Feeds `wire` in pieces through a decoder and passes the batches to `keep`. Returns how many bytes were fed.
fn feed(framing: &dyn Framing, wire: &[u8], piece: usize, mut keep: impl FnMut(Batch)) -> usize {
    let mut decoder = Decoder::new(framing, Limits::default().with_max_frame(1 << 30));
    let mut arrived = 0;
    while arrived < wire.len() {
        {
            let mut room = decoder.room();
            let len = piece.min(room.remaining_mut()).min(wire.len() - arrived);
            room.put_slice(&wire[arrived..arrived + len]);
            arrived += len;
        }
        loop {
            match decoder.next_batch() {
                Ok(Some(batch)) => keep(batch),
                Ok(None) => break,
                Err(_) => return arrived,
            }
        }
    }
    arrived
}

/// Streams that try to make the decoder allocate for nothing.
fn hostile() -> Vec<(&'static str, Box<dyn Framing>, Vec<u8>)> {
    let le = LengthPrefixed::new(8, ByteOrder::LittleEndian);
    let mut mixed = Vec::new();
    for len in [1_u32, 100_000, 3, 70_000, 0, 200_000, 5] {
        mixed.extend(len.to_be_bytes());
        mixed.resize(mixed.len() + len as usize, b'x');
    }
    mixed.extend((1_u32 << 30).to_be_bytes());
    vec![
        ("a header that claims a gibibyte", Box::new(LengthPrefixed::u32_be()), vec![0x40, 0, 0, 0]),
        (
            "... and sends some of it",
            Box::new(LengthPrefixed::u32_be()),
            [&[0x3f, 0xff, 0, 0][..], &[7; 90_000]].concat(),
        ),
        ("... in eight bytes", Box::new(le), [&(1_u64 << 30).to_le_bytes()[..], &[7; 5000]].concat()),
        ("... in a varint", Box::new(Varint::new()), [&[0xff, 0xff, 0xff, 0xff, 0x03][..], &[7; 33_000]].concat()),
        ("... in digits", Box::new(OctetCount), [&b"1000000000 "[..], &[7; 40_000]].concat()),
        ("... as a netstring", Box::new(Netstring), [&b"1000000000:"[..], &[7; 70_000]].concat()),
        ("frames large and small, then a claim", Box::new(LengthPrefixed::u32_be()), mixed),
        ("empty frames", Box::new(LengthPrefixed::u32_be()), vec![0; 100_000]),
        ("empty lines", Box::new(Delimited::lines()), vec![b'\n'; 100_000]),
        ("an endless line", Box::new(Delimited::lines()), vec![b'x'; 300_000]),
        ("a delimiter that never ends", Box::new(Delimited::by_string(b"aaab")), vec![b'a'; 100_000]),
        ("bytes", Box::new(Raw), vec![1; 100_000]),
        ("messages", Box::new(Whole), vec![1; 100_000]),
        ("a stream", Box::new(UntilEof), vec![1; 300_000]),
    ]
}

#[test]
fn a_decoder_allocates_at_most_twice_what_arrived() {
    for (name, framing, wire) in hostile() {
        for piece in [1, 2, 100, 1500, 70_000, usize::MAX] {
            // Every prefix of the stream must keep the bound, too.
            for len in [wire.len(), wire.len() / 2, wire.len() / 3, wire.len() / 5, wire.len() / 17] {
                let mut arrived = 0;
                let used = peak_in_thread(|| arrived = feed(&*framing, &wire[..len], piece, drop));
                let allowed = 2 * arrived + (16 << 10);
                assert!(used <= allowed, "{name}, {piece} bytes at once: {used} bytes for {arrived} that arrived");
            }
        }
    }
}

#[test]
fn batches_that_are_held_take_at_most_four_times_what_they_count() {
    for (name, framing, wire) in hostile() {
        for piece in [1, 2, 100, 1500, 70_000, usize::MAX] {
            let mut arrived = 0;
            let mut held = Vec::with_capacity(wire.len());
            let used = peak_in_thread(|| arrived = feed(&*framing, &wire, piece, |batch| held.push(batch)));
            let counted: usize = held.iter().map(Batch::memory_len).sum();
            let allowed = 4 * counted + 2 * arrived + (16 << 10);
            assert!(
                used <= allowed,
                "{name}, {piece} bytes at once: {used} bytes, {counted} counted, {arrived} arrived"
            );
        }
    }
}

#[test]
fn a_hundred_idle_connections_hold_less_than_two_kibibytes_each() {
    let mut connections = Vec::with_capacity(100);
    let before = in_thread();
    for at in 0..100 {
        let mut decoder = Decoder::new(Delimited::lines(), Limits::default());
        let mut encoder = Encoder::new(Delimited::lines(), Limits::default());
        let mut line = vec![b'x'; at * 3000];
        encoder.push(&line).unwrap();
        line.push(b'\n');
        decoder.feed(&line);
        decoder.feed(b"the beginning of another");
        assert_eq!(decoder.next_batch().unwrap().unwrap().byte_len(), at * 3000);
        encoder.consume(line.len());
        drop(decoder.room());
        decoder.release();
        encoder.release();
        connections.push((decoder, encoder));
    }
    let used = in_thread() - before;
    assert!(used / 100 <= 2048, "{} bytes each", used / 100);
    for (decoder, _) in &mut connections {
        decoder.feed(b" line\n");
        assert_eq!(decoder.next_batch().unwrap().unwrap().get(0), Some(&b"the beginning of another line"[..]));
    }
}
