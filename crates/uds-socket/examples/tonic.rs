//! A tonic server on a Unix socket: gRPC's health service, which answers only our own user.
//!
//! It is its own client, and ends by itself.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use tonic::{
    Request, Status,
    transport::{Endpoint, Server},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use uds_socket::{
    Bind, Connect, Peer,
    serve::{ConnectionLimits, Incoming, hyper::Connector},
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("grpc.sock");

    let incoming = Incoming::new(Bind::path(&path).listen()?, ConnectionLimits { total: 64, ..Default::default() });
    let handle = incoming.drain_handle();
    let (_reporter, service) = tonic_health::server::health_reporter();
    let service = tonic::service::interceptor::InterceptedService::new(service, |request: Request<()>| {
        match request.extensions().get::<Peer>() {
            Some(peer) if peer.pid() == Some(std::process::id()) => Ok(request),
            peer => Err(Status::permission_denied(format!("not for {peer:?}"))),
        }
    });
    let server = Server::builder().add_service(service);
    let server = tokio::spawn(server.serve_with_incoming_shutdown(incoming.into_stream(), handle.ended()));

    let channel =
        Endpoint::from_static("http://localhost").connect_with_connector(Connector::new(Connect::path(&path))).await?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
    println!("status {:?}", answer.into_inner().status());

    handle.drain(); // in a service: on SIGTERM
    server.await??;
    println!("ended, {} connections accepted", handle.stats().listener.accepted);
    Ok(())
}
