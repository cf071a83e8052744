//! What a protocol must define so that its replies can be matched to its requests.

use std::{error::Error as StdError, fmt, hash::Hash};

use bytes::{Bytes, BytesMut};

/// A protocol of requests and replies on one connection.
///
/// A request and its reply take four steps, always in this order:
///
/// | step | method | where it runs | what it does |
/// |---|---|---|---|
/// | encode | [`Call::encode`] | in the call, under the lock | writes the request and returns its [`Ticket`] |
/// | classify | [`classify`](Self::classify) | in the driver, under the lock | reads only enough of a frame to find the request it answers |
/// | settle | [`settle`](Self::settle) | in the driver, under the lock | updates the session's state, for every reply |
/// | decode | [`Call::decode`] | in the caller's future, outside every lock | reads the whole reply |
///
/// The implementor may hold state: a counter of request numbers, the highest transaction seen, what the peer granted.
/// Only the first three steps change that state, so it does not depend on whether a caller still waits for its reply.
pub trait Protocol {
    /// A queue in which replies come in the order of their requests; `()` for a protocol with one queue.
    type Lane: Copy + Eq + Hash + fmt::Debug;
    /// What a request and its reply have in common on the wire: a number, or `()` if there is nothing.
    type Tag: Clone + Eq + Hash + fmt::Debug;
    /// What to remember of a request in order to settle and decode its reply.
    type Context;
    /// What the peer sends without a request.
    type Event;
    /// What is wrong with a frame, or with a request.
    type Error: StdError + 'static;

    /// Whether a reply over the limit can be skipped.
    ///
    /// With `Some`, such a reply is skipped as it arrives, without being stored, and fails only its own call, with
    /// [`Error::ReplyTooLarge`](crate::Error::ReplyTooLarge). With `None`, the default, it ends the connection. `Some`
    /// needs a framing that declares the length of a frame in front.
    const SKIP: Option<Skip> = None;

    /// Finds out which request a frame answers. Called once for every frame that arrives; of a skipped frame it sees
    /// the first [`head`](Skip::head) bytes.
    ///
    /// # Errors
    /// If not even that can be read. Then the connection ends, because it is unknown which call has lost its reply.
    fn classify(&mut self, frame: &[u8]) -> Result<ClassOf<Self>, Self::Error>;

    /// Applies a matched reply to the state of the session. Called once for every reply, even if its call was
    /// cancelled, its deadline has passed, or the reply was skipped for its size. It may leave in `context` what
    /// decoding needs.
    ///
    /// # Errors
    /// If the session cannot continue after this reply. Then the connection ends.
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
    /// The longest reply to skip, in bytes. A longer one ends the connection.
    pub max: u64,
}

/// A request, tied to the type of its reply.
pub trait Call {
    /// The protocol this request belongs to.
    type Protocol: Protocol;
    /// What a caller gets.
    type Reply;

    /// Appends the request's payload to `frame`; the framing adds what surrounds it. The bytes already in `frame`
    /// belong to other requests, so only append.
    ///
    /// # Errors
    /// If the request cannot be expressed in this protocol. Then the appended bytes are discarded.
    fn encode(
        &self,
        protocol: &mut Self::Protocol,
        frame: &mut BytesMut,
    ) -> Result<TicketOf<Self::Protocol>, ErrorOf<Self::Protocol>>;

    /// Decodes the reply, with the context of its request. Runs in the caller's future.
    ///
    /// The frame shares the block of memory in which it arrived. Copy what is small and kept for long.
    ///
    /// # Errors
    /// If the reply makes no sense for this request. Only this call fails: the frame was matched, so later replies
    /// still match.
    fn decode(context: ContextOf<Self::Protocol>, frame: Bytes) -> Result<Self::Reply, ErrorOf<Self::Protocol>>;
}

/// How a reply finds its request.
///
/// Use a [`Lane`](Self::Lane) if replies come in the order of the requests, and a [`Tag`](Self::Tag) if they come in
/// any order. Both are found in constant time, however many calls are pending. Do not make a lane per request: that
/// works, but it is a more expensive tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<Lane, Tag> {
    /// In order: the reply answers the oldest unanswered request of this lane, which must carry this tag.
    Lane {
        /// The queue.
        lane: Lane,
        /// What request and reply are tagged with. A mismatch is the peer's fault.
        tag: Tag,
    },
    /// In any order: the reply answers the request with this tag. Only one request at a time may have it.
    Tag(Tag),
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class<Lane, Tag, Event> {
    /// The reply to a request.
    Reply(Route<Lane, Tag>),
    /// Something that answers no request.
    Event(Event),
}

/// What is kept of a request until its reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket<Lane, Tag, Context> {
    /// How its reply is matched.
    pub route: Route<Lane, Tag>,
    /// What is needed to settle and decode its reply.
    pub context: Context,
}

/// A reply that was matched to its request, as [`Protocol::settle`] sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched<'a> {
    /// The complete reply.
    Whole(&'a [u8]),
    /// The beginning of a reply that was skipped because it is over the limit.
    Skipped {
        /// The first [`head`](Skip::head) bytes.
        head: &'a [u8],
        /// Bytes of the whole reply.
        len: u64,
    },
}

impl<'a> Matched<'a> {
    /// The bytes that are there: the complete reply, or its beginning.
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
