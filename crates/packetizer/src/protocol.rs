//! What a protocol says about itself so that its replies can be matched to its requests.

use std::{error::Error as StdError, fmt, hash::Hash};

use bytes::{Bytes, BytesMut};

/// A protocol of requests and replies on one connection.
///
/// A request and its reply take four steps, always in this order:
///
/// | step | method | where it runs | what it does |
/// |---|---|---|---|
/// | encode | [`Call::encode`] | in the call, under the lock | writes the request and returns its [`Ticket`] |
/// | classify | [`classify`](Self::classify) | in the driver, under the lock | reads only as much of a frame as says what it answers |
/// | settle | [`settle`](Self::settle) | in the driver, under the lock | moves the session's state, for every reply |
/// | decode | [`Call::decode`] | in the caller's future, outside of every lock | reads the whole reply |
///
/// The implementor may hold state: a counter of request numbers, the highest transaction seen, what the peer granted. That
/// state changes in the first three steps only, so it does not depend on whether a caller still waits for its reply.
pub trait Protocol {
    /// A queue in which replies come in the order of their requests; `()` for a protocol that has one.
    type Lane: Copy + Eq + Hash + fmt::Debug;
    /// What a request and its reply have in common on the wire: a number, or `()` where there is nothing.
    type Tag: Clone + Eq + Hash + fmt::Debug;
    /// What must be remembered of a request to settle and decode its reply.
    type Context;
    /// What the peer sends unasked.
    type Event;
    /// What is wrong with a frame, or with a request.
    type Error: StdError + 'static;

    /// Whether a reply over the limit can be skipped.
    ///
    /// With `Some`, such a reply is skipped as it arrives, without being stored, and fails its own call with
    /// [`Error::ReplyTooLarge`](crate::Error::ReplyTooLarge). With `None`, the default, it ends the connection. It takes
    /// effect where the framing says a frame's length in front.
    const SKIP: Option<Skip> = None;

    /// Says what a frame answers. Called once for every frame that arrives; of a skipped frame it sees the first
    /// [`head`](Skip::head) bytes.
    ///
    /// # Errors
    /// When not even that can be read. The connection is given up: it is not known which call has lost its reply.
    fn classify(&mut self, frame: &[u8]) -> Result<ClassOf<Self>, Self::Error>;

    /// Applies a matched reply to the state of the session: called once for every reply, also when its call was cancelled,
    /// its deadline has passed, or the reply was skipped for its size. It may leave in `context` what decoding needs.
    ///
    /// # Errors
    /// When the session cannot go on after this reply. The connection is given up.
    fn settle(&mut self, context: &mut Self::Context, reply: Matched<'_>) -> Result<(), Self::Error> {
        let _ = (context, reply);
        Ok(())
    }
}

/// How replies over the limit are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip {
    /// Bytes at the front of a reply that [`classify`](Protocol::classify) and [`settle`](Protocol::settle) need.
    pub head: usize,
    /// The longest reply to skip, in bytes: a longer one is not believed, and ends the connection.
    pub max: u64,
}

/// A request, tied to the type of its reply.
pub trait Call {
    /// The protocol this request belongs to.
    type Protocol: Protocol;
    /// What a caller gets.
    type Reply;

    /// Appends the request's payload to `frame`: the framing adds what surrounds it. What `frame` holds already belongs to
    /// other requests; only append.
    ///
    /// # Errors
    /// When the request cannot be expressed in this protocol. What was appended until then is taken back.
    fn encode(
        &self,
        protocol: &mut Self::Protocol,
        frame: &mut BytesMut,
    ) -> Result<TicketOf<Self::Protocol>, ErrorOf<Self::Protocol>>;

    /// Reads the reply, with the context that its request left behind. Runs in the caller's future.
    ///
    /// The frame shares the block of memory in which it arrived. Copy out what is small and kept for long.
    ///
    /// # Errors
    /// When the reply makes no sense as an answer to this request. Only this call fails: the frame was matched, so the
    /// replies behind it are still in step.
    fn decode(context: ContextOf<Self::Protocol>, frame: Bytes) -> Result<Self::Reply, ErrorOf<Self::Protocol>>;
}

/// How a reply finds its request.
///
/// Which to use follows from the protocol: a [`Lane`](Self::Lane) where replies come in the order of the requests, a
/// [`Tag`](Self::Tag) where they come in any order. Both are found in constant time, however many calls wait. Do not make a
/// lane per request: that works, and is a tag at a higher price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<Lane, Tag> {
    /// In order: the reply answers the oldest unanswered request of this lane, which must carry this tag.
    Lane {
        /// The queue.
        lane: Lane,
        /// What request and reply are tagged with; a mismatch is the peer's fault.
        tag: Tag,
    },
    /// In any order: the reply answers the request with this tag, of which there may be one at a time.
    Tag(Tag),
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class<Lane, Tag, Event> {
    /// The reply to a request.
    Reply(Route<Lane, Tag>),
    /// Something that was not asked for.
    Event(Event),
}

/// What a request leaves behind until its reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket<Lane, Tag, Context> {
    /// How its reply finds it.
    pub route: Route<Lane, Tag>,
    /// What is needed to settle and decode its reply.
    pub context: Context,
}

/// A reply that was matched to its request, as [`Protocol::settle`] sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// The front of one that was skipped because it is over the limit.
    Skipped {
        /// The first [`head`](Skip::head) bytes.
        head: &'a [u8],
        /// Bytes of the whole reply.
        len: u64,
    },
}

impl<'a> Matched<'a> {
    /// The bytes that are there: all, or the front.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Whole(bytes) | Self::Skipped { head: bytes, .. } => bytes,
        }
    }
}

/// The [`Class`] of a protocol.
pub type ClassOf<P> = Class<<P as Protocol>::Lane, <P as Protocol>::Tag, <P as Protocol>::Event>;

/// The [`Route`] of a protocol.
pub type RouteOf<P> = Route<<P as Protocol>::Lane, <P as Protocol>::Tag>;

/// The [`Ticket`] of a protocol.
pub type TicketOf<P> = Ticket<<P as Protocol>::Lane, <P as Protocol>::Tag, <P as Protocol>::Context>;

/// The context of a protocol.
pub type ContextOf<P> = <P as Protocol>::Context;

/// The error of a protocol.
pub type ErrorOf<P> = <P as Protocol>::Error;
