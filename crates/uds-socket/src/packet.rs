//! Sockets that carry separate messages: one send is one receive.
//!
//! [`Seqpacket`] is a connection: accepted, ordered, with an end and the peer's identity. Datagrams have no connection:
//! [`BoundDatagram`] receives under a name from any number of senders; tokio's
//! [`UnixDatagram`](tokio::net::UnixDatagram), from [`Connect::connect_datagram`](crate::Connect::connect_datagram),
//! sends.
//!
//! [`Socket`] is what all of them have in common, for a task that owns one (`uds_actor::packet::Actor`).

mod bound;
mod datagram;
mod seqpacket;
mod socket;

pub use self::{
    bound::BoundDatagram,
    seqpacket::Seqpacket,
    socket::{Received, Semantics, Socket, TwoWay},
};
