//! However a connection ends, every descriptor is accounted for.

use super::*;

#[tokio::test]
async fn what_was_never_sent_comes_back_with_its_frames() {
    let (here, there) = UnixStream::pair().unwrap();
    rustix::net::sockopt::set_socket_send_buffer_size(&here, 1).unwrap();
    let (sender, _receiver, control) = spawn(here);
    let large = vec![b'x'; 100_000];
    sender.send_with(&large, &mut vec![file("goes out with the first byte")]).await.unwrap();
    sender.send_with(b"one", &mut vec![file("a"), file("b")]).await.unwrap();
    sender.send(b"two").await.unwrap();
    sender.send_with(b"three", &mut vec![file("c")]).await.unwrap();
    tokio::task::yield_now().await;
    let report = soon("the report", control.abort()).await;
    assert_eq!(report.unsent.iter().collect::<Vec<_>>(), [&b"one"[..], b"two", b"three"]);
    assert!(report.truncated_sending > 0);
    assert_eq!(counts(&report), (1, 3, 0, 0, 0));
    let unsent = report.descriptors.take_unsent();
    let unsent: Vec<_> = unsent.iter().map(|descriptors| texts(descriptors)).collect();
    assert_eq!(unsent, [&["a", "b"][..], &[], &["c"]]);
    assert!(control.finished().await.descriptors.take_unsent().is_empty(), "they have one owner");
    drop(there);
    let mut late = vec![file("late")];
    assert_eq!(sender.send_with(b"late", &mut late).await, Err(SendError::Closed));
    assert_eq!(texts(&late), ["late"]);
}

#[tokio::test]
async fn descriptors_that_are_not_taken_are_closed_with_the_handles() {
    let (here, there) = UnixStream::pair().unwrap();
    let (sender, receiver, control) = spawn(here);
    let (_peer, _peer_receiver, _there) = spawn(there);
    let (descriptor, watch) = watched();
    sender.try_send_with(b"queued", &mut vec![descriptor]).unwrap();
    let report = soon("the report", control.abort()).await;
    assert!(!watch.is_closed());
    drop((sender, receiver, control));
    assert!(!watch.is_closed(), "the report has it");
    drop(report);
    assert!(watch.is_closed());
}

#[tokio::test]
async fn what_waits_for_a_receiver_is_closed_with_it() {
    let (here, there) = UnixStream::pair().unwrap();
    let (_sender, receiver, control) = spawn(here);
    let (descriptor, watch) = watched();
    send(&there, &frame(1, b"waits"), &[descriptor]).unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!watch.is_closed());
    drop(receiver);
    assert!(watch.is_closed());
    let report = soon("the report", control.abort()).await;
    assert_eq!((report.lost.frames, counts(&report)), (1, (0, 0, 1, 0, 1)));
}

#[test]
fn nothing_is_left_open_when_connections_end_in_any_way() {
    let _watchdog = Watchdog::start();
    // In a separate process, in which nothing else opens a descriptor.
    process::Actor::start("fds::endings::child_counts_its_descriptors").passes();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_counts_its_descriptors() {
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let round = |number: u32| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (here, there) = UnixStream::pair().unwrap();
            let (sender, mut receiver, control) = spawn_with(here, Limits::default().with_held(3));
            let (echo, mut heard, echo_control) = spawn(there);
            for _ in 0..20 {
                if sender.try_send_with(&[b'x'; 3000], &mut vec![file("a"), file("b")]).is_err() {
                    break;
                }
            }
            match number % 5 {
                0 => drop(soon("a batch", heard.recv_batch()).await),
                1 => {
                    let batch = soon("a batch", heard.recv_batch()).await.unwrap();
                    for message in batch {
                        let mut descriptors = message.descriptors;
                        let _ = echo.try_send_with(&message.payload, &mut descriptors);
                    }
                    drop(soon("an echo", receiver.recv_batch()).await);
                }
                2 => drop(heard),
                3 => drop(soon("the report", control.abort()).await),
                _ => drop((soon("the report", echo_control.abort()).await, sender, receiver)),
            }
        });
    };
    round(0);
    let before = open();
    for number in 0..100 {
        round(number);
        assert_eq!(open(), before, "round {number}");
    }
}
