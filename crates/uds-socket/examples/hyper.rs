//! A hyper server on a Unix socket, with the identity of each peer and a graceful shutdown.
//!
//! It is its own client, and ends by itself.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{convert::Infallible, error::Error};

use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{Request, Response, body::Bytes, service::service_fn};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use uds_socket::{
    Bind, Connect,
    serve::{
        ConnectionLimits, Incoming,
        hyper::{Connector, serve},
    },
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("app.sock");

    let incoming = Incoming::new(Bind::path(&path).listen()?, ConnectionLimits::default());
    let handle = incoming.drain_handle();
    let server = tokio::spawn(serve(incoming, |peer| {
        let greeting = format!("hello, {peer}");
        service_fn(move |request: Request<_>| {
            let body = format!("{greeting}: {}\n", request.uri().path());
            async move { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body)))) }
        })
    }));

    let client = Client::builder(TokioExecutor::new()).build(Connector::new(Connect::path(&path)));
    for path in ["one", "two"] {
        let response = client.get(format!("http://localhost/{path}").parse()?).await?;
        print!("{}", String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()));
    }
    drop::<Client<_, Empty<Bytes>>>(client);

    handle.drain(); // in a service: on SIGTERM
    server.await??;
    println!("ended, {} connections accepted", handle.stats().listener.accepted);
    Ok(())
}
