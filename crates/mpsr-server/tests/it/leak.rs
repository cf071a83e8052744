//! A funnel that is dropped leaves nothing behind.

use std::{io::Write as _, os::unix::net::UnixStream as StdStream, time::Duration};

use frame_codec::Delimited;
use futures_util::{StreamExt as _, stream};
use mpsr_server::{Endpoint, Funnel, Membership};
use test_kit::soon::soon;
use tokio::net::UnixListener;
use uds_actor::{Address, Bind};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dropped_funnel_leaves_no_name_no_task_and_no_descriptor() {
    test_kit::alone!();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in.sock");
    let serving = dir.path().join("serving.sock");
    let server = StdStream::pair().unwrap(); // opens what the runtime opens once
    drop(server);
    let (tasks_before, open_before) = (tasks(), open());
    for round in 0..20 {
        let server = UnixListener::bind(&serving).unwrap();
        let member = Endpoint { address: Address::Path(serving.clone()), generation: 1 };
        let members = stream::iter([Membership::Joined(member)]).chain(stream::pending());
        let builder = Funnel::builder(Delimited::lines()).listen(Bind::path(&path)).members(members);
        let mut funnel = builder.start().await.unwrap();
        let clients: Vec<_> = (0..round * 10).map(|_| StdStream::connect(&path).unwrap()).collect();
        for mut client in &clients {
            client.write_all(b"a line\n").unwrap();
        }
        soon("the member", server.accept()).await.unwrap();
        soon("an event", funnel.next()).await.unwrap();
        drop((funnel, clients, server));
        std::fs::remove_file(&serving).unwrap();
        soon("all of it to go", async {
            while path.exists() || tasks() > tasks_before || open() > open_before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}
