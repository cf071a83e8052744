//! When there is no room for descriptors in this process, or none in flight.

use super::*;

#[test]
fn descriptors_that_the_kernel_cuts_off_end_the_connection_and_say_so() {
    let _watchdog = Watchdog::start();
    process::Actor::start("fds::shortage::child_has_no_room_for_descriptors").passes();
}

fn limit_open_files(limit: u64) {
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: before.maximum }).unwrap();
}

#[tokio::test]
#[ignore = "a process that another test starts"]
async fn child_has_no_room_for_descriptors() {
    for room in [0, 2] {
        let (here, there) = UnixStream::pair().unwrap();
        let (_sender, mut receiver, control) = spawn(here);
        let (descriptors, watches): (Vec<_>, Vec<_>) = (0..5).map(|_| watched()).unzip();
        send(&there, &frame(0, b"before"), &[]).unwrap();
        let bytes = [frame(5, b"five"), frame(0, b"behind")].concat();
        send(&there, &bytes, &descriptors).unwrap();
        drop(descriptors);
        // Not received yet, because the actor has not run. Those that were dropped leave five numbers free.
        let free = fs::File::open("/dev/null").unwrap().as_raw_fd().unsigned_abs();
        let taken = fs::read_dir("/proc/self/fd").unwrap().count();
        let gaps: Vec<_> =
            (0..u64::from(free)).filter(|fd| fs::metadata(format!("/proc/self/fd/{fd}")).is_err()).collect();
        assert!(gaps.is_empty() && taken > 0);
        let limit = getrlimit(Resource::Nofile).current.unwrap();
        limit_open_files(u64::from(free) + room);
        let heard = drain(&mut receiver).await;
        let report = soon("the report", control.finished()).await;
        limit_open_files(limit);
        assert_eq!(heard, [message("before", &[])]);
        // Watches lie among the free numbers, so fewer than `room` may have been left.
        let &Fault::Truncated { arrived } = fault(&report) else { panic!("{report}") };
        assert!(arrived as u64 <= room, "{arrived}");
        assert!(!report.reason.is_peer_fault());
        assert_eq!(counts(&report), (0, 0, arrived as u64, 0, arrived as u64));
        assert!(watches.iter().all(descriptors::Watch::is_closed));
        drop(there);
    }
}

#[test]
fn too_many_in_flight_are_waited_for_and_then_named() {
    let _watchdog = Watchdog::start();
    process::Actor::start("fds::shortage::child_has_too_many_in_flight").passes();
}

#[test]
#[ignore = "a process that another test starts"]
fn child_has_too_many_in_flight() {
    // Not root, which may have any number in flight.
    process::as_somebody(|| {
        limit_open_files(64);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // This many that are not received: the kernel lets one message over the limit through.
            let (hoard, hoarder) = UnixStream::pair().unwrap();
            let files: Vec<OwnedFd> = (0..33).map(|_| file("hoarded")).collect();
            while send(&hoarder, b"x", &files) != Err(Errno::TOOMANYREFS) {}
            drop(files);
            let (here, there) = UnixStream::pair().unwrap();
            let (sender, _receiver, control) = spawn(here);
            let (_sender, mut receiver, _there) = spawn(there);
            sender.send_with(b"waits", &mut vec![file("patient")]).await.unwrap();
            let waits = tokio::time::timeout(Duration::from_millis(50), receiver.recv_batch()).await;
            assert!(waits.is_err(), "nothing can be in flight");
            let mut bytes = Vec::new();
            while bytes.len() < 3 && hoard.try_read_buf(&mut bytes).is_ok() {}
            let batch = soon("what could not be in flight", receiver.recv_batch()).await.unwrap();
            assert_eq!(texts(batch.iter().next().unwrap().1), ["patient"]);
            drop(batch);

            let files: Vec<OwnedFd> = (0..33).map(|_| file("hoarded")).collect();
            while send(&hoarder, b"x", &files) != Err(Errno::TOOMANYREFS) {}
            drop(files);
            // The pauses between the attempts pass at once, because no other task has anything to do.
            tokio::time::pause();
            sender.send_with(b"gives up", &mut vec![file("comes back")]).await.unwrap();
            assert_eq!(soon("the flush", sender.flush()).await, Err(FlushError));
            let report = soon("the report", control.finished()).await;
            assert_eq!(fault(&report), &Fault::InFlight);
            assert_eq!(texts(&report.descriptors.take_unsent()[0]), ["comes back"]);
        });
    });
}
