//! The actor for byte streams. Frames go through a pump.

pub(crate) mod ancillary;
pub(crate) mod driver;
pub(crate) mod frames;
pub(crate) mod socket;
