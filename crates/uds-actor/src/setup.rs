//! Starting an actor, for any kind of socket.

use std::sync::Arc;

use tokio::{sync::watch, task::unconstrained};

use crate::{
    Peer,
    control::Control,
    driver::{Driver, Ends},
    inbox::Inbox,
    outbox::Outbox,
    outlet::Outlet,
    receiver::Receiver,
    requests::{Handles, Requests},
    sender::Sender,
    settings::Settings,
    task::Task,
};

/// Makes the queues and the handles, and spawns a task with the driver on the current runtime.
///
/// # Panics
///
/// Outside a tokio runtime with time enabled.
pub(crate) fn spawn<D: Driver>(
    driver: D,
    queue: D::Queue,
    peer: Option<Peer>,
    settings: Settings,
) -> (Sender, Receiver, Control) {
    let requests = Arc::new(Requests::default());
    let handles = Arc::new(Handles(Arc::clone(&requests)));
    let ends = Ends {
        outbox: Arc::new(Outbox::new(queue, settings.overflow, Arc::clone(&requests))),
        inbox: Arc::new(Inbox::new(settings.inbox_bytes)),
    };
    let (telling, told) = watch::channel(None);
    let task = Task::new(driver, &ends, &requests, settings, telling);
    // The task has its own budget, in bytes. With tokio's, it would mistake an exhausted budget for an idle socket.
    tokio::spawn(unconstrained(task.run()));
    let sender = Sender::new(ends.outbox as Arc<dyn Outlet>, Arc::clone(&handles));
    let receiver = Receiver::new(Arc::clone(&ends.inbox), Arc::clone(&handles));
    (sender, receiver, Control::new(requests, ends.inbox, told, peer, handles))
}
