//! An axum server in a separate process, over our listener or over tokio's.

use std::io::stdin;
use std::path::PathBuf;
use std::time::Duration;

use axum::{Router, routing::get};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use test_kit::process::say;
use uds_socket::{
    Admit, Bind, Mode,
    serve::{ConnectionLimits, DrainHandle, Incoming},
};

/// What it answers, after [`WORK`].
pub(crate) const BODY: &str = "the whole answer";
const WORK: Duration = Duration::from_millis(5);

/// Starts a server over ours in the current runtime.
pub(crate) fn serve_ours(path: PathBuf, limits: ConnectionLimits) -> Result<DrainHandle, uds_socket::BindError> {
    let listener = Bind::path(path).mode(Mode::new(0o666)).admit(Admit::own()).listen()?;
    let incoming = Incoming::new(listener, limits);
    let handle = incoming.drain_handle();
    let server = axum::serve(incoming, app()).with_graceful_shutdown(handle.ended());
    tokio::spawn(async move { server.await });
    Ok(handle)
}

pub(crate) fn app() -> Router {
    let answer = || async {
        tokio::time::sleep(WORK).await;
        BODY
    };
    Router::new().route("/", get(answer))
}

#[test]
#[ignore = "a process that other tests start"]
fn child_that_serves() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (words, mut said) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            let _ = words.send(line);
        }
    });
    runtime.block_on(async {
        while let Some(line) = said.recv().await {
            match line.split_once(' ').unwrap() {
                ("descriptors", number) => {
                    let maximum = getrlimit(Resource::Nofile).maximum;
                    setrlimit(Resource::Nofile, Rlimit { current: Some(number.parse().unwrap()), maximum }).unwrap();
                    say("done");
                }
                ("ours", path) => match serve_ours(path.into(), ConnectionLimits::default()) {
                    Ok(_) => say("serving"),
                    Err(error) => say(error),
                },
                ("tokio", path) => match tokio::net::UnixListener::bind(path) {
                    Ok(listener) => {
                        tokio::spawn(async move { axum::serve(listener, app()).await });
                        say("serving");
                    }
                    Err(error) => say(error),
                },
                other => panic!("{other:?}"),
            }
        }
    });
}
