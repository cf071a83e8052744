//! What a protocol must say about itself so that its replies can be matched to its requests.

use std::error::Error as StdError;
use std::fmt;

/// A protocol of requests and replies on one connection.
///
/// The order of questions is fixed: [`Call::encode`] turns a request into a frame and a [`Ticket`];
/// [`classify`](Self::classify) reads only as much of an incoming frame as says whom it is for; then
/// [`decode`](Self::decode) reads it whole, with the context its request left behind — many protocols'
/// replies cannot be read without knowing what was asked.
///
/// The implementor may hold state (a counter of request numbers, the highest transaction seen). Every
/// incoming frame passes through `classify` exactly once, also those that nobody waits for any more.
pub trait Protocol {
    /// A queue in which replies come in the order of their requests. A protocol whose replies never
    /// overtake has one lane; one whose pings are answered out of turn has two.
    type Lane: Copy + Eq + fmt::Debug;
    /// What request and reply have in common on the wire: a number, or `()` where there is nothing.
    type Tag: Eq + fmt::Debug;
    /// What must be remembered of a request to read its reply.
    type Context;
    /// Any reply of this protocol.
    type Reply;
    /// What the peer says unasked.
    type Event;
    /// What is wrong with a frame, or with a request.
    type Error: StdError + 'static;

    /// Says whom a frame is for.
    ///
    /// # Errors
    /// When not even that can be read. The connection cannot be used after that: nobody knows which call
    /// has lost its reply.
    fn classify(&mut self, frame: &[u8]) -> Result<ClassOf<Self>, Self::Error>;

    /// Reads a reply, given what its request left behind.
    ///
    /// # Errors
    /// When the reply makes no sense as an answer to that request. Only that call fails: the frame was
    /// matched, so the replies behind it are still in step.
    fn decode(&mut self, context: Self::Context, frame: &[u8]) -> Result<Self::Reply, Self::Error>;
}

/// A request, tied to the type of its reply.
pub trait Call {
    /// The protocol this request belongs to.
    type Protocol: Protocol;
    /// What a caller gets.
    type Reply;

    /// Appends the request's frame (without any length prefix: that is the framing's) to `frame`.
    ///
    /// # Errors
    /// When the request cannot be said in this protocol. What was appended until then is taken back.
    fn encode(
        &self,
        protocol: &mut Self::Protocol,
        frame: &mut Vec<u8>,
    ) -> Result<TicketOf<Self::Protocol>, ErrorOf<Self::Protocol>>;

    /// Takes this call's reply out of the protocol's general one.
    ///
    /// # Panics
    /// May panic when `reply` is of another call's kind. That cannot be the peer's doing: which kind a
    /// reply has is decided by [`Protocol::decode`] from the context that [`encode`](Self::encode) gave.
    fn reply(reply: <Self::Protocol as Protocol>::Reply) -> Self::Reply;
}

/// Whom a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class<Lane, Tag, Event> {
    /// The reply to the oldest unanswered request of a lane, which must carry this tag.
    Reply {
        /// The queue.
        lane: Lane,
        /// What the oldest request in it must have been tagged with.
        tag: Tag,
    },
    /// Something nobody asked for.
    Event(Event),
}

/// What a request leaves behind until its reply comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket<Lane, Tag, Context> {
    /// The queue its reply will come in.
    pub lane: Lane,
    /// What its reply will be tagged with.
    pub tag: Tag,
    /// What is needed to read its reply.
    pub context: Context,
}

/// The [`Class`] of a protocol.
pub type ClassOf<P> = Class<<P as Protocol>::Lane, <P as Protocol>::Tag, <P as Protocol>::Event>;

/// The [`Ticket`] of a protocol.
pub type TicketOf<P> = Ticket<<P as Protocol>::Lane, <P as Protocol>::Tag, <P as Protocol>::Context>;

/// The error of a protocol.
pub type ErrorOf<P> = <P as Protocol>::Error;
