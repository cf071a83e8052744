//! Spans say which request took how long, and no secret.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fmt::{self, Write as _},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::with_default,
};
use zk_client::{Client, ErrorCode};
use zk_proto::{Data, Record as _, Stat};

use crate::server::{connect, soon};

/// Writes down every span and event, with its fields.
#[derive(Debug, Clone, Default)]
struct Notebook(Arc<Mutex<String>>);

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // How long it took is not for the test to know.
        let value: &dyn fmt::Debug = if field.name() == "latency_us" { &"…" } else { value };
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Notebook {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("zk_client")
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        let mut text = self.0.lock().unwrap();
        text.push_str("span");
        span.record(&mut Fields(&mut text));
        text.push('\n');
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, values: &span::Record<'_>) {
        let mut text = self.0.lock().unwrap();
        text.push_str("record");
        values.record(&mut Fields(&mut text));
        text.push('\n');
    }

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap();
        text.push_str("event");
        event.record(&mut Fields(&mut text));
        text.push('\n');
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

#[test]
fn a_request_is_a_span_with_its_number_and_its_path_and_no_secret() {
    let notebook = Notebook::default();
    with_default(notebook.clone(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (zk, mut server) = connect(Client::builder(), 60_000).await;
            let proved = zk.add_auth("digest", b"user:hunter2");
            server.request().await;
            server.reply(-4, 0, b"").await;
            soon(proved).await.unwrap();
            let (first, second) = (zk.get("/a"), zk.get("/b"));
            let (xid, ..) = server.request().await;
            server.reply(xid, 0, &Data { data: Some(b"hunter2"), stat: Stat::default() }.to_bytes()).await;
            soon(first).await.unwrap();
            let (xid, ..) = server.request().await;
            server.reply(xid, -101, b"").await;
            assert_eq!(soon(second).await.unwrap_err().code(), Some(ErrorCode::NoNode));
        });
    });
    let text = notebook.0.lock().unwrap().clone();
    for line in [
        "span operation=\"get\" path=\"/a\"\nrecord xid=1\n",
        "event message=answered latency_us=\"…\"\n",
        "event message=failed latency_us=\"…\" error=get \"/b\": the node does not exist\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("hunter2") && !text.contains("104, 117, 110"), "{text}");
}
