//! Accepting connections, for listeners with and without a runtime.

mod accepted;
mod queue;
mod stats;

pub(crate) use self::queue::Queue;
pub use self::{
    accepted::{Acceptable, Accepted},
    stats::AcceptStats,
};
