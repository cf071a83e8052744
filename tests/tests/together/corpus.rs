//! Replays the fuzzer's corpus without a fuzzer: every past finding, on every `cargo test`.

use std::{fs, path::Path};

#[expect(unreachable_pub, reason = "public where the fuzz targets use it")]
#[path = "../../fuzz/src/framings.rs"]
mod framings;

#[test]
fn every_input_that_the_fuzzer_kept_keeps_the_laws() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, _) in framings::TARGETS {
        let corpus = corpora.join(target);
        let inputs: Vec<_> = fs::read_dir(&corpus)
            .unwrap_or_else(|error| panic!("{}: {error}", corpus.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(!inputs.is_empty(), "no inputs in {}", corpus.display());
        for input in inputs {
            let data = fs::read(&input).unwrap();
            if let Err(broken) = std::panic::catch_unwind(|| framings::run(target, &data)) {
                let said = broken.downcast_ref::<String>().map_or("a panic", String::as_str);
                panic!("{}: {said}", input.display());
            }
        }
    }
}
