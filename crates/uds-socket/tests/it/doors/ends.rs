//! How serving ends: drained, or because the listener broke.

use std::convert::Infallible;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;

use http_body_util::Full;
use hyper::{Response, body::Bytes, service::service_fn};
use rustix::net::{Shutdown, shutdown};
use tokio::net::UnixStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tonic::transport::Endpoint;
use tonic_health::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use uds_socket::{
    AcceptError, Bind, Connect,
    serve::{
        ConnectionLimits, DrainHandle, Incoming,
        hyper::{Connector, serve},
    },
};

use super::child::{BODY, app};
use super::{LONG, ask, is_complete};

/// An `Incoming` whose listener is broken already.
fn broken(path: &Path) -> Incoming {
    let listener = Bind::path(path).listen().unwrap();
    shutdown(listener.as_fd(), Shutdown::Read).unwrap();
    Incoming::new(listener, ConnectionLimits::default())
}

#[track_caller]
fn broke(handle: &DrainHandle) {
    assert!(matches!(handle.failure().as_deref(), Some(AcceptError { .. })), "{:?}", handle.failure());
}

#[tokio::test]
async fn axum_ends_when_the_listener_is_broken_and_the_reason_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let incoming = broken(&directory.path().join("x.sock"));
    let handle = incoming.drain_handle();
    let server = axum::serve(incoming, app()).with_graceful_shutdown(handle.ended());
    timeout(LONG, async { server.await }).await.expect("it ends").unwrap();
    broke(&handle);
}

#[tokio::test]
async fn tonic_ends_when_the_listener_is_broken_and_the_reason_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let incoming = broken(&directory.path().join("x.sock"));
    let handle = incoming.drain_handle();
    let (_reporter, service) = tonic_health::server::health_reporter();
    let server = tonic::transport::Server::builder().add_service(service);
    timeout(LONG, server.serve_with_incoming(incoming.into_stream())).await.expect("it ends").unwrap();
    broke(&handle);
}

#[tokio::test]
async fn hyper_ends_when_the_listener_is_broken_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let incoming = broken(&directory.path().join("x.sock"));
    let service = |_: &_| service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    let error: Arc<AcceptError> = timeout(LONG, serve(incoming, service)).await.expect("it ends").unwrap_err();
    assert!(matches!(*error, AcceptError { .. }), "{error:?}");
}

/// hyper drops a connection that it has not begun to read when it is told to end. Those that waited in the queue when draining
/// began are answered even so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_in_the_queue_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = directory.path().join(format!("{round}.sock"));
        let incoming = Incoming::new(Bind::path(&path).listen().unwrap(), ConnectionLimits::default());
        let handle = incoming.drain_handle();
        let clients: Vec<_> = (0..20)
            .map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap())
            .map(|stream| spawn_blocking(|| super::ask_on(stream)))
            .collect();
        handle.drain();
        let server = axum::serve(incoming, app()).with_graceful_shutdown(handle.ended());
        timeout(LONG, async { server.await }).await.expect("it ends").unwrap();
        for client in clients {
            let answer = client.await.unwrap().unwrap();
            assert!(is_complete(&answer), "{answer:?}");
        }
        assert!(handle.failure().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hyper_answers_what_is_under_way_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let incoming = Incoming::new(Bind::path(&path).listen().unwrap(), ConnectionLimits::default());
    let handle = incoming.drain_handle();
    let (arrived, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let release = Arc::new(tokio::sync::Semaphore::new(0));
    let server = tokio::spawn(serve(incoming, {
        let release = Arc::clone(&release);
        move |_| {
            let (arrived, release) = (arrived.clone(), Arc::clone(&release));
            service_fn(move |_| {
                let (arrived, release) = (arrived.clone(), Arc::clone(&release));
                async move {
                    arrived.send(()).unwrap();
                    drop(release.acquire().await);
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(BODY)))
                }
            })
        }
    }));
    let client = spawn_blocking({
        let path = path.clone();
        move || ask(&path)
    });
    requests.recv().await.unwrap();
    handle.drain();
    handle.ended().await;
    assert!(UnixStream::connect(&path).await.is_err(), "the name is taken back");
    assert!(!server.is_finished(), "a request is under way");
    release.add_permits(1);
    assert!(is_complete(&client.await.unwrap().unwrap()));
    timeout(LONG, server).await.expect("it ends").unwrap().unwrap();
    timeout(LONG, handle.closed()).await.expect("nothing is left open");
}

/// A call that streams is under way for as long as its client wants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tonic_continues_a_call_that_is_under_way_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let incoming = Incoming::new(Bind::path(&path).listen().unwrap(), ConnectionLimits::default());
    let handle = incoming.drain_handle();
    let (reporter, service) = tonic_health::server::health_reporter();
    let server = tonic::transport::Server::builder().add_service(service);
    let server = tokio::spawn(server.serve_with_incoming_shutdown(incoming.into_stream(), handle.ended()));

    let connector = Connector::new(Connect::path(&path));
    let channel = Endpoint::from_static("http://anything").connect_with_connector(connector).await.unwrap();
    let mut client = HealthClient::new(channel);
    let mut call = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let mut status = async || timeout(LONG, call.message()).await.expect("a message").unwrap().unwrap().status();
    assert_eq!(status().await, ServingStatus::Serving.into());

    handle.drain();
    handle.ended().await;
    assert!(UnixStream::connect(&path).await.is_err(), "the name is taken back");
    reporter.set_service_status("", ServingStatus::NotServing).await;
    assert_eq!(status().await, ServingStatus::NotServing.into(), "the call goes on");
    assert!(!server.is_finished(), "a call is under way");

    drop((call, client));
    timeout(LONG, server).await.expect("it ends").unwrap().unwrap();
    timeout(LONG, handle.closed()).await.expect("nothing is left open");
}

#[tokio::test]
async fn an_incoming_that_is_dropped_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let mut incoming = Incoming::new(Bind::path(&path).listen().unwrap(), ConnectionLimits::default());
    let handle = incoming.drain_handle();
    let client = Connect::path(&path).connect().await.unwrap();
    let connection = incoming.accept().await.unwrap();
    drop(incoming);
    timeout(LONG, handle.ended()).await.expect("no connection comes any more");
    assert!(timeout(std::time::Duration::from_millis(50), handle.closed()).await.is_err(), "one is open");
    drop((connection, client));
    timeout(LONG, handle.closed()).await.expect("none is open");
    assert!(handle.failure().is_none());
}
