//! Two ways to join words, and the memory that each needs at most.
//!
//! ```sh
//! cargo run -p heap-kit --example peak
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

fn main() {
    let words = vec!["word"; 1000];
    let by_adding = heap_kit::peak_in_thread(|| {
        drop(words.iter().fold(String::new(), |text, word| text + word));
    });
    let at_once = heap_kit::peak_in_thread(|| drop(words.concat()));
    println!("one after the other: {by_adding} bytes at most; at once: {at_once}");
    assert_eq!(at_once, 4000, "it allocates what it needs");
}
