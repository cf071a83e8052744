//! An axum server on a Unix socket with admission, connection limits, the caller's identity and a graceful shutdown.
//!
//! It is its own client, and ends by itself.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;

use axum::{Router, extract::ConnectInfo, routing::get};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use uds_socket::{
    Admit, Bind, Connect, Peer,
    serve::{ConnectionLimits, Incoming, hyper::Connector},
};

async fn greet(ConnectInfo(peer): ConnectInfo<Peer>) -> String {
    format!("hello, user {} with process {:?}", peer.uid(), peer.pid())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("app.sock");

    let listener = Bind::path(&path).admit(Admit::own()).listen()?;
    let incoming = Incoming::new(listener, ConnectionLimits { total: 256, per_uid: 32 });
    let handle = incoming.drain_handle();
    let app = Router::new().route("/", get(greet)).into_make_service_with_connect_info::<Peer>();
    let server = axum::serve(incoming, app).with_graceful_shutdown(handle.ended());
    let server = tokio::spawn(async move { server.await });

    let client = Client::builder(TokioExecutor::new()).build(Connector::new(Connect::path(&path)));
    let response = client.get("http://localhost/".parse()?).await?;
    let text = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&text));
    drop::<Client<_, Empty<Bytes>>>(client);

    handle.drain(); // in a service: on SIGTERM
    server.await??;
    println!("ended, {} connections accepted", handle.stats().listener.accepted);
    match handle.failure() {
        Some(reason) => Err(reason.into()), // the listener broke: exit with an error, to be started again
        None => Ok(()),
    }
}
