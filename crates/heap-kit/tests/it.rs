//! What is allocated is counted once, and what is freed no more.

use heap_kit::{in_process, in_thread, peak_in_thread};

#[test]
fn growing_and_shrinking_are_counted() {
    let before = in_thread();
    let mut bytes = Vec::<u8>::with_capacity(1000);
    assert_eq!(in_thread() - before, 1000);
    bytes.reserve_exact(1 << 20);
    assert_eq!(in_thread() - before, 1 << 20);
    bytes.shrink_to(10);
    assert_eq!(in_thread() - before, 10);
    drop(bytes);
    assert_eq!(in_thread(), before);
}

#[test]
fn zeroed_memory_is_counted() {
    assert_eq!(peak_in_thread(|| drop(vec![0_u64; 1000])), 8000);
}

#[test]
fn the_peak_is_that_of_the_work_and_not_of_what_came_before() {
    drop(vec![1_u8; 1 << 20]);
    let kept = vec![1_u8; 1 << 16];
    assert_eq!(peak_in_thread(|| drop(kept)), 0);
    assert_eq!(peak_in_thread(|| drop((vec![1_u8; 100], vec![1_u8; 200]))), 300);
}

#[test]
fn what_others_do_counts_in_the_process_only() {
    const MUCH: usize = 64 << 20;
    let (here, everywhere) = (in_thread(), in_process());
    let bytes = std::thread::scope(|scope| scope.spawn(|| vec![0_u8; MUCH]).join()).expect("no panic");
    assert!(in_process() - everywhere > MUCH.cast_signed() / 2);
    assert!(in_thread() - here < MUCH.cast_signed() / 2);
    drop(bytes);
    assert!(in_process() - everywhere < MUCH.cast_signed() / 2);
}
