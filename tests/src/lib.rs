//! Harnesses for tests that need a real peer.
