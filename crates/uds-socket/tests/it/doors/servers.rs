//! What a handler learns about its peer, under each server; and the connector's errors.

use std::convert::Infallible;

use axum::{Router, extract::ConnectInfo, routing::get};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{Response, body::Bytes, service::service_fn};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::timeout;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use uds_socket::{
    Bind, Connect, ConnectError, Peer,
    serve::{
        ConnectionLimits, Incoming,
        hyper::{Connector, serve},
    },
};

use super::LONG;

/// The body of `GET /` by way of the connector.
async fn fetch(connector: Connector) -> String {
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let response = client.get("http://anything/".parse().unwrap()).await.unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn ourselves() -> String {
    Peer::of(std::os::unix::net::UnixStream::pair().unwrap().0).unwrap().to_string()
}

#[tokio::test]
async fn axum_tells_a_handler_who_is_calling() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let incoming = Incoming::new(Bind::path(&path).listen().unwrap(), ConnectionLimits::default());
    let handle = incoming.drain_handle();
    let app = Router::new().route("/", get(|ConnectInfo(peer): ConnectInfo<Peer>| async move { peer.to_string() }));
    let server = axum::serve(incoming, app.into_make_service_with_connect_info::<Peer>());
    assert_eq!(server.local_addr().unwrap().to_string(), ourselves());
    let server = server.with_graceful_shutdown(handle.ended());
    let server = tokio::spawn(async move { server.await });
    assert_eq!(fetch(Connector::new(Connect::path(&path))).await, ourselves());
    handle.drain();
    timeout(LONG, server).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn hyper_makes_a_service_for_each_peer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let incoming = Incoming::new(Bind::path(&path).listen().unwrap(), ConnectionLimits::default());
    let handle = incoming.drain_handle();
    let server = tokio::spawn(serve(incoming, |peer| {
        let peer = peer.to_string();
        service_fn(move |_| {
            let peer = peer.clone();
            async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(peer))) }
        })
    }));
    assert_eq!(fetch(Connector::new(Connect::path(&path))).await, ourselves());
    handle.drain();
    timeout(LONG, server).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn tonic_tells_a_handler_who_is_calling() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let incoming = Incoming::new(Bind::path(&path).listen().unwrap(), ConnectionLimits::default());
    let handle = incoming.drain_handle();
    let (_reporter, service) = tonic_health::server::health_reporter();
    let service = tonic::service::interceptor::InterceptedService::new(service, |request: Request<()>| {
        let peer = request.extensions().get::<Peer>().map(Peer::to_string);
        Err::<Request<()>, _>(Status::permission_denied(peer.unwrap_or_default()))
    });
    let server = Server::builder().add_service(service);
    let server = tokio::spawn(server.serve_with_incoming_shutdown(incoming.into_stream(), handle.ended()));
    let connector = Connector::new(Connect::path(&path));
    let channel = Endpoint::from_static("http://anything").connect_with_connector(connector).await.unwrap();
    let status = HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(status.message(), ourselves());
    handle.drain();
    timeout(LONG, server).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_client_is_told_what_is_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let connector = Connector::new(Connect::path(directory.path().join("missing.sock")));
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let error = client.get("http://anything/".parse().unwrap()).await.unwrap_err();
    let ours = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<ConnectError>());
    assert!(matches!(ours, Some(ConnectError::NotThere { .. })), "{error:?}");
}
