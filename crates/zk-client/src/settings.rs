//! The settings and limits of a client. [`Builder`](crate::Builder) documents each of them.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) session_timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) server_timeout: Duration,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) max_request: usize,
    pub(crate) max_reply: usize,
    pub(crate) max_outbox: usize,
    pub(crate) max_requests: usize,
    pub(crate) max_events: usize,
    pub(crate) fail_fast: bool,
    pub(crate) in_order: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            server_timeout: Duration::from_secs(3),
            request_timeout: None,
            max_request: 0xf_ffff,
            max_reply: 4 << 20,
            max_outbox: 16 << 20,
            max_requests: 1 << 16,
            max_events: 1 << 12,
            fail_fast: false,
            in_order: false,
        }
    }
}
