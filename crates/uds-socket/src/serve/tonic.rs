//! tonic's requirements for a connection.

use tonic::transport::server::Connected;

use super::Connection;
use crate::peer::Peer;

/// A handler gets the peer with `request.extensions().get::<Peer>()`.
impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer().clone()
    }
}
