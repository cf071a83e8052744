//! `uds_channel::Channel` and the published channel of the Sōzu proxy interoperate byte for byte.

use std::{
    io::{Read as _, Write as _},
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::net::UnixStream,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use sozu_command_lib::{
    channel::{Channel as SozuChannel, ChannelError},
    proto::command::{Request, Response, ResponseStatus, request::RequestType},
    ready::Ready,
};
use uds_channel::{Blocking, Buffers, Capacity, Channel, Flush, NonBlocking, Prost, Readiness, RecvError, SendError};

type Ours<Mode> = Channel<Request, Response, Mode, Prost>;
type Theirs = SozuChannel<Response, Request>;

/// The sizes of Sōzu's sample configuration.
const INITIAL: usize = 16_384;
const MAX: usize = 163_840;
const HANG: Duration = Duration::from_secs(20);

/// One of our ends and one end of Sōzu's, both blocking.
fn pair() -> (Ours<Blocking>, Theirs) {
    pair_of(Capacity::growable(INITIAL, MAX), MAX)
}

fn pair_of(ours: Capacity, their_max: usize) -> (Ours<Blocking>, Theirs) {
    let (here, there) = UnixStream::pair().unwrap();
    (Channel::new(here, Prost, Buffers::both(ours)), theirs(there, their_max))
}

fn theirs<Tx, Rx>(stream: UnixStream, max: usize) -> SozuChannel<Tx, Rx>
where
    Tx: prost_message::Message,
    Rx: prost_message::Message,
{
    stream.set_nonblocking(true).unwrap();
    let mut channel = SozuChannel::new(mio::net::UnixStream::from_std(stream), INITIAL as u64, max as u64);
    channel.blocking().unwrap();
    channel
}

/// What their channel requires of a message.
mod prost_message {
    pub(crate) trait Message: std::fmt::Debug + prost::Message + Default {}
    impl<T: std::fmt::Debug + prost::Message + Default> Message for T {}
}

fn request(len: usize) -> Request {
    RequestType::SaveState("s".repeat(len)).into()
}

fn response(status: ResponseStatus, message: impl Into<String>) -> Response {
    Response { status: status.into(), message: message.into(), content: None }
}

/// What a request asks for: a reply as long as the request.
fn answer(request: &Request) -> Response {
    let Some(RequestType::SaveState(text)) = &request.request_type else { panic!("{request:?}") };
    response(ResponseStatus::Ok, "a".repeat(text.len()))
}

/// Lengths around everything that is special: varints, the first buffer, the socket's, the bound.
const LENGTHS: [usize; 12] = [0, 1, 127, 128, 16_000, 16_384, 16_385, 65_536, 100_000, 150_000, MAX - 20, 3];

#[test]
fn both_write_the_same_bytes() {
    let written_by = |write: &dyn Fn(UnixStream, Request), message: Request| {
        let (here, mut there) = UnixStream::pair().unwrap();
        let mut bytes = Vec::new();
        thread::scope(|scope| {
            let reading = scope.spawn(|| there.read_to_end(&mut bytes).unwrap());
            write(here, message);
            reading.join().unwrap();
        });
        bytes
    };
    for len in LENGTHS {
        let ours = written_by(
            &|stream, message| {
                let buffers = Buffers::both(Capacity::growable(INITIAL, MAX));
                Ours::new(stream, Prost, buffers).send(&message).unwrap();
            },
            request(len),
        );
        let theirs = written_by(
            &|stream, message| theirs::<Request, Response>(stream, MAX).write_message(&message).unwrap(),
            request(len),
        );
        assert!(ours == theirs, "a request of {len} bytes");
        assert_eq!(ours[..8], (ours.len() as u64).to_le_bytes());
    }
}

#[test]
fn blocking_and_blocking() {
    let (mut ours, mut theirs) = pair();
    let answering = thread::spawn(move || {
        for _ in LENGTHS {
            let request = theirs.read_message_blocking_timeout(Some(HANG)).unwrap();
            theirs.write_message(&answer(&request)).unwrap();
        }
    });
    for len in LENGTHS {
        ours.send(&request(len)).unwrap();
        assert!(ours.recv_timeout(HANG).unwrap() == answer(&request(len)), "{len} bytes");
    }
    answering.join().unwrap();
    assert!(matches!(ours.recv(), Err(RecvError::Ended)));
}

#[test]
fn ours_blocking_and_theirs_in_an_event_loop() {
    let (mut ours, theirs) = pair();
    let answering = their_loop(theirs);
    for len in LENGTHS {
        ours.send(&request(len)).unwrap();
        assert!(ours.recv_timeout(HANG).unwrap() == answer(&request(len)), "{len} bytes");
    }
    ours.finish().unwrap();
    assert_eq!(answering.join().unwrap(), LENGTHS.len());
}

#[test]
fn theirs_blocking_and_ours_in_an_event_loop() {
    let (here, there) = UnixStream::pair().unwrap();
    let buffers = Buffers::both(Capacity::fixed(MAX));
    let ours: Channel<Response, Request, _, Prost> = Channel::new(here, Prost, buffers);
    let answering = our_loop(ours.into_nonblocking());
    let mut theirs: SozuChannel<Request, Response> = theirs(there, MAX);
    for len in LENGTHS {
        theirs.write_message(&request(len)).unwrap();
        let answered = theirs.read_message_blocking_timeout(Some(HANG)).unwrap();
        assert!(answered == answer(&request(len)), "{len} bytes");
    }
    drop(theirs);
    assert_eq!(answering.join().unwrap(), LENGTHS.len());
}

#[test]
fn both_in_event_loops_with_many_requests_under_way() {
    let (ours, theirs) = pair();
    let mut ours = ours.into_nonblocking();
    let answering = their_loop(theirs);
    let mut poll = Poll::new().unwrap();
    poll.registry()
        .register(&mut SourceFd(&ours.as_fd().as_raw_fd()), Token(0), Interest::READABLE | Interest::WRITABLE)
        .unwrap();
    let mut events = Events::with_capacity(4);
    let requests: Vec<Request> = (0..200).map(|n| request(n * 577 % 60_000)).collect();
    let mut to_send = requests.iter().peekable();
    let mut answers = requests.iter().map(answer);
    let mut left = requests.len();
    while left > 0 {
        while let Some(request) = to_send.peek() {
            match ours.queue(request) {
                Ok(()) => drop(to_send.next()),
                Err(SendError::Full { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let flush = ours.run().unwrap();
        while let Some(answered) = ours.try_recv().unwrap() {
            assert!(Some(answered) == answers.next());
            left -= 1;
        }
        if left > 0 && (!flush.is_done() || to_send.peek().is_none()) {
            poll.poll(&mut events, Some(HANG)).unwrap();
            assert!(!events.is_empty(), "{left} answers are missing, {flush:?}");
        }
    }
    assert_eq!(ours.finish().unwrap(), Flush::Done);
    assert_eq!(answering.join().unwrap(), requests.len());
}

#[test]
fn both_refuse_the_same_lengths() {
    // Their bound applies to the whole frame, and so does ours.
    let max = INITIAL;
    let fitting = (0..max).rev().map(request).find(|request| prost::Message::encoded_len(request) == max - 8).unwrap();
    let larger: Request = RequestType::SaveState("s".repeat(max - 8 - 3 + 1)).into();
    let (mut ours, mut theirs) = pair_of(Capacity::fixed(max), max);
    ours.send(&fitting).unwrap();
    assert!(theirs.read_message_blocking_timeout(Some(HANG)).unwrap() == fitting);
    assert!(matches!(ours.send(&larger), Err(SendError::TooLarge { max: 16_376, .. })));

    let (mut ours, mut theirs) = pair_of(Capacity::fixed(MAX), max);
    ours.send(&larger).unwrap();
    let rejected = theirs.read_message_blocking_timeout(Some(HANG)).unwrap_err();
    assert!(matches!(rejected, ChannelError::MessageTooLarge { .. }), "{rejected}");

    let (mut ours, mut theirs) = pair_of(Capacity::fixed(max), MAX);
    theirs.write_message(&response(ResponseStatus::Ok, "x".repeat(max))).unwrap();
    let rejected = ours.recv_timeout(HANG).unwrap_err();
    assert!(
        matches!(rejected, RecvError::Malformed { .. }) && rejected.is_peer_fault() && !rejected.peer_usable(),
        "{rejected}"
    );
}

#[test]
fn a_length_below_eight_is_rejected_by_both() {
    for said in 0_u64..8 {
        let (here, mut there) = UnixStream::pair().unwrap();
        there.write_all(&said.to_le_bytes()).unwrap();
        let mut theirs: Theirs = theirs(here, MAX);
        let rejected = theirs.read_message_blocking_timeout(Some(HANG)).unwrap_err();
        assert!(matches!(rejected, ChannelError::MessageLengthUnderDelimiter { .. }), "{rejected}");

        let (here, mut there) = UnixStream::pair().unwrap();
        there.write_all(&said.to_le_bytes()).unwrap();
        let rejected = Ours::from_stream(here).recv_timeout(HANG).unwrap_err();
        assert!(matches!(rejected, RecvError::Malformed { .. }), "{rejected}");
    }
}

#[test]
fn a_client_of_ours_reads_until_their_worker_is_done() {
    let (mut ours, mut theirs) = pair();
    let working = thread::spawn(move || {
        let request = theirs.read_message().unwrap();
        for step in 1..=3 {
            theirs.write_message(&response(ResponseStatus::Processing, format!("step {step}"))).unwrap();
        }
        theirs.write_message(&answer(&request)).unwrap();
    });
    ours.send(&request(5)).unwrap();
    let mut heard = Vec::new();
    let last = loop {
        let response = ours.recv_timeout(Duration::from_secs(2)).unwrap();
        match response.status() {
            ResponseStatus::Processing => heard.push(response.message),
            ResponseStatus::Ok | ResponseStatus::Failure => break response,
        }
    };
    assert_eq!((heard.len(), last), (3, answer(&request(5))));
    working.join().unwrap();
}

#[test]
fn a_timeout_of_ours_is_kept_where_theirs_is_ten_times_as_long() {
    let timeout = Duration::from_millis(10);
    let (mut ours, mut theirs) = pair();
    let begun = Instant::now();
    assert!(matches!(theirs.read_message_blocking_timeout(Some(timeout)), Err(ChannelError::TimeoutReached(_))));
    let their_wait = begun.elapsed();
    let begun = Instant::now();
    assert!(matches!(ours.recv_timeout(timeout), Err(RecvError::TimedOut { .. })));
    let our_wait = begun.elapsed();
    println!("a timeout of {timeout:?} took {our_wait:?}, and {their_wait:?} with theirs");
    assert!(our_wait >= timeout && their_wait >= 8 * timeout, "{our_wait:?}, {their_wait:?}");
}

/// Their channel in an edge-triggered loop: answers every request until the end, and returns how many there were.
fn their_loop(mut channel: Theirs) -> JoinHandle<usize> {
    channel.nonblocking().unwrap();
    thread::spawn(move || {
        let mut poll = Poll::new().unwrap();
        poll.registry().register(&mut channel, Token(0), Interest::READABLE | Interest::WRITABLE).unwrap();
        let mut events = Events::with_capacity(4);
        let mut answered = 0;
        let mut waiting = std::collections::VecDeque::new();
        loop {
            poll.poll(&mut events, Some(HANG)).unwrap();
            assert!(!events.is_empty(), "the other side is silent");
            for event in &events {
                let mut ready = Ready::EMPTY;
                if event.is_readable() {
                    ready.insert(Ready::READABLE);
                }
                if event.is_writable() {
                    ready.insert(Ready::WRITABLE);
                }
                channel.handle_events(ready);
            }
            // Until a round changes nothing: one call of their `run` does one thing of each kind.
            loop {
                let before = (answered, waiting.len(), channel.back_buf.available_data());
                let ran = channel.run();
                while let Ok(request) = channel.read_message() {
                    waiting.push_back(answer(&request));
                }
                while let Some(reply) = waiting.front()
                    && channel.write_message(reply).is_ok()
                {
                    waiting.pop_front();
                    answered += 1;
                }
                if matches!(ran, Err(ChannelError::NoByteToRead)) && waiting.is_empty() {
                    return answered;
                }
                if before == (answered, waiting.len(), channel.back_buf.available_data()) {
                    break;
                }
            }
        }
    })
}

/// Our channel in the same loop.
fn our_loop(mut channel: Channel<Response, Request, NonBlocking, Prost>) -> JoinHandle<usize> {
    thread::spawn(move || {
        let mut poll = Poll::new().unwrap();
        let descriptor = channel.as_fd().as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&descriptor), Token(0), Interest::READABLE | Interest::WRITABLE)
            .unwrap();
        let mut events = Events::with_capacity(4);
        let mut answered = 0;
        loop {
            poll.poll(&mut events, Some(HANG)).unwrap();
            assert!(!events.is_empty(), "the other side is silent");
            for event in &events {
                let ready = Readiness { readable: event.is_readable(), writable: event.is_writable() };
                let _ = channel.on_readiness(ready).unwrap();
            }
            loop {
                match channel.try_recv() {
                    Ok(Some(request)) => {
                        // Only one request is in flight here, so there is room for its reply.
                        let _ = channel.try_send(&answer(&request)).unwrap();
                        answered += 1;
                    }
                    Ok(None) => break,
                    Err(RecvError::Ended) => return answered,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    })
}
