//! What a listener accepts, and what happens while it does; for listeners with a runtime and without.

mod accepted;
mod queue;
mod stats;

pub(crate) use self::queue::Queue;
pub use self::{
    accepted::{Acceptable, Accepted},
    stats::AcceptStats,
};
