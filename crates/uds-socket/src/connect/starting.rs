//! A server between `bind(2)` and `listen(2)`: its name is visible, but connections are refused.
//!
//! No server can make the two calls one step. The time between them is some ten microseconds, or a time slice of the
//! scheduler on a busy machine. The kernel can distinguish this state from a dead server: a lookup finds the bound
//! socket.

use std::time::Duration;

use socket_file::{Answer, Found, GRACE, Question};

use crate::address::Address;

/// How long to wait for such a server without a deadline.
pub(super) const START: Duration = Duration::from_millis(200);

/// Whether a socket is bound to the address and may be about to listen. If its file is older, its server has another
/// reason not to listen.
pub(super) fn is_starting(address: &Address) -> bool {
    match address {
        Address::Path(path) => {
            // A connection follows a link, so we examine the file behind it.
            let Ok(path) = path.canonicalize() else { return false };
            let Ok(Found::Socket(socket)) = Found::open(&path) else { return false };
            socket.facts().age() < GRACE && socket.ask(&path, Question::Lookup).0 == Answer::Bound
        }
        // The kernel looks up an abstract name together with the type, so nothing distinguishes such a socket from a
        // missing one.
        Address::Abstract(_) | Address::Systemd(_) => false,
    }
}
