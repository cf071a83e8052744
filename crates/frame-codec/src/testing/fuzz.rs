//! The laws for a fuzz target.

use super::{
    Verdict, any_split_of_garbage_ends_the_same, memory_follows_arrival, no_input_panics, scans_are_bounded,
    what_is_accepted_would_be_written,
};
use crate::Framing;

/// All laws that hold for hostile bytes, for a fuzz target: the first three bytes of `data` choose limit, hint and cuts,
/// the rest is the stream.
///
/// ```
/// frame_codec::testing::hostile(&frame_codec::Netstring, b"\x20\x03\x015:hello,6:world,");
/// ```
///
/// # Panics
///
/// If a law is broken. That is what a fuzzer looks for.
pub fn hostile(framing: &impl Framing, data: &[u8]) {
    let Hostile { max, hint, cuts, bytes } = Hostile::of(data);
    let laws = [
        any_split_of_garbage_ends_the_same(framing, max, bytes, &cuts),
        no_input_panics(framing, bytes, hint, max),
        no_input_panics(framing, bytes, usize::MAX, usize::MAX),
        scans_are_bounded(framing, max, bytes),
        memory_follows_arrival(framing, max, bytes, &cuts),
    ];
    demand(framing, data, laws);
}

/// The same, and [`what_is_accepted_would_be_written`].
///
/// # Panics
///
/// If a law is broken.
pub fn strict(framing: &impl Framing, data: &[u8]) {
    hostile(framing, data);
    let Hostile { max, bytes, .. } = Hostile::of(data);
    demand(framing, data, [what_is_accepted_would_be_written(framing, max, bytes)]);
}

fn demand(framing: &impl Framing, data: &[u8], laws: impl IntoIterator<Item = Verdict>) {
    for law in laws {
        if let Err(broken) = law {
            let Hostile { max, cuts, bytes, .. } = Hostile::of(data);
            panic!("{broken}\nframing {framing:?}, limit {max}, cuts {cuts:?}, bytes {}", bytes.escape_ascii());
        }
    }
}

/// What the input of a fuzzer means.
struct Hostile<'a> {
    max: usize,
    hint: usize,
    cuts: [usize; 3],
    bytes: &'a [u8],
}

impl<'a> Hostile<'a> {
    fn of(data: &'a [u8]) -> Self {
        let (choices, bytes) = data.split_at(data.len().min(3));
        let choice = |at: usize| usize::from(choices.get(at).copied().unwrap_or(7));
        let max = choice(0) * choice(0) + 1;
        Self { max, hint: choice(1), cuts: [choice(1) % 16 + 1, choice(2) + 1, 1], bytes }
    }
}
