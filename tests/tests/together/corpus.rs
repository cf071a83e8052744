//! Replays the fuzzer's corpus without a fuzzer: every past finding, on every `cargo test`.

use std::{fs, path::Path};

#[expect(unreachable_pub, reason = "public where the fuzz targets use it")]
#[path = "../../fuzz/src/framings.rs"]
mod framings;

#[expect(unreachable_pub, reason = "public where the fuzz targets use it")]
#[path = "../../fuzz/src/zookeeper.rs"]
mod zookeeper;

#[test]
fn every_input_that_the_fuzzer_kept_keeps_the_laws() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, check) in framings::TARGETS.into_iter().chain(zookeeper::TARGETS) {
        let corpus = corpora.join(target);
        let inputs: Vec<_> = fs::read_dir(&corpus)
            .unwrap_or_else(|error| panic!("{}: {error}", corpus.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(!inputs.is_empty(), "no inputs in {}", corpus.display());
        for input in inputs {
            let data = fs::read(&input).unwrap();
            if let Err(broken) = std::panic::catch_unwind(|| check(&data)) {
                let said = broken.downcast_ref::<String>().map_or("a panic", String::as_str);
                panic!("{}: {said}", input.display());
            }
        }
    }
}

/// The canary of the checks for ZooKeeper: a reader that loses a byte each time.
#[test]
#[should_panic(expected = "it is read as something else the second time")]
fn a_reader_that_loses_bytes_is_found() {
    zookeeper::survives(b"abc", |bytes| bytes.split_last().map(|(_, rest)| rest.to_vec()));
}
