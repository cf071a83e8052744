//! When to ping, and when to give a connection up.
//!
//! A server ends a session when it has not heard from the client for the granted timeout. The client therefore sends a
//! ping after it has sent nothing for a third of the timeout, or for ten seconds if that is shorter. A connection can
//! also be dead without any error being reported. The client gives it up when nothing has arrived for two thirds of the
//! timeout, which leaves one third to reach another server. Apache's own clients use the same figures.
//!
//! ```text
//!   0 ───────── 1/3 ───────── 2/3 ───────── 1 ──► timeout granted
//!    idle        ping           given up      the server may end the session
//! ```

use std::time::{Duration, Instant};

/// The longest time without sending anything, however long the session timeout is.
const LONGEST_IDLE: Duration = Duration::from_secs(10);

/// This many bytes within the read timeout count as a sign of life even if no frame is complete: a large reply may take
/// long on a slow line. A peer that trickles single bytes does not reach it.
const LIFE: u64 = 16 << 10;

/// The timers of one connection. It reads no clock: the caller passes the time.
#[derive(Debug, Clone)]
pub struct Keepalive {
    timeout: Duration,
    last_sent: Instant,
    last_received: Instant,
    /// Bytes that have arrived since the last complete frame.
    unfinished: u64,
    /// A ping is unanswered; a second one would tell the server nothing new.
    ping_pending: bool,
}

/// What the caller must do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Send a ping.
    Ping,
    /// Give the connection up: nothing has arrived for this long.
    GiveUp(Duration),
}

impl Keepalive {
    /// The timers of a connection whose session was granted just now.
    #[must_use]
    pub const fn new(timeout: Duration, now: Instant) -> Self {
        Self { timeout, last_sent: now, last_received: now, unfinished: 0, ping_pending: false }
    }

    /// The session's timeout as granted.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long nothing may arrive before the connection is given up: two thirds of the session's timeout.
    #[must_use]
    pub fn read_timeout(&self) -> Duration {
        self.timeout.saturating_mul(2).checked_div(3).unwrap_or_default()
    }

    /// How long we may send nothing: a third of the session's timeout, at most ten seconds.
    #[must_use]
    pub fn ping_interval(&self) -> Duration {
        self.timeout.checked_div(3).unwrap_or_default().min(LONGEST_IDLE)
    }

    /// Records that bytes were written to the connection.
    pub const fn handle_sent(&mut self, now: Instant) {
        self.last_sent = now;
    }

    /// Records that a complete frame arrived.
    pub const fn handle_received(&mut self, now: Instant) {
        self.last_received = now;
        self.unfinished = 0;
    }

    /// Records that this many more bytes arrived, of complete frames or not. 16 KiB or more count as a sign of life,
    /// like a complete frame.
    pub const fn handle_bytes(&mut self, bytes: u64, now: Instant) {
        self.unfinished = self.unfinished.saturating_add(bytes);
        if self.unfinished >= LIFE {
            self.handle_received(now);
        }
    }

    /// Records that the ping was answered.
    pub const fn handle_pong(&mut self) {
        self.ping_pending = false;
    }

    /// Returns what is due. A ping counts as sent from here on.
    ///
    /// Before you act on [`Due::GiveUp`], read from the socket once more and call this again: a frame may have arrived
    /// in the meantime.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Due> {
        let silence = now.saturating_duration_since(self.last_received);
        if silence >= self.read_timeout() {
            return Some(Due::GiveUp(silence));
        }
        let idle = now.saturating_duration_since(self.last_sent);
        if !self.ping_pending && idle >= self.ping_interval() {
            self.ping_pending = true;
            return Some(Due::Ping);
        }
        None
    }

    /// The latest time at which to call [`handle_timeout`](Self::handle_timeout) again.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let give_up = later(self.last_received, self.read_timeout());
        if self.ping_pending { give_up } else { give_up.min(later(self.last_sent, self.ping_interval())) }
    }
}

/// A timeout comes from a 32-bit number of milliseconds, and no clock is that close to its end.
fn later(instant: Instant, duration: Duration) -> Instant {
    instant.checked_add(duration).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_ping_is_due_after_a_third_of_silence_and_once() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(secs(9), start);
        assert_eq!(keepalive.poll_timeout(), start + secs(3));
        assert_eq!(keepalive.handle_timeout(start + secs(2)), None);
        assert_eq!(keepalive.handle_timeout(start + secs(3)), Some(Due::Ping));
        keepalive.handle_sent(start + secs(3));
        assert_eq!(keepalive.poll_timeout(), start + secs(6), "now only the answer matters");
        keepalive.handle_received(start + secs(5)); // not the reply to the ping
        assert_eq!(keepalive.handle_timeout(start + secs(6)), None, "a pending ping is not doubled");
        keepalive.handle_pong();
        assert_eq!(keepalive.handle_timeout(start + secs(6)), Some(Due::Ping));
    }

    #[test]
    fn requests_make_pings_unnecessary() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(secs(9), start);
        for second in 1..60 {
            let now = start + secs(second);
            keepalive.handle_sent(now);
            keepalive.handle_received(now);
            assert_eq!(keepalive.handle_timeout(now), None);
        }
    }

    #[test]
    fn silence_is_given_up_after_two_thirds_even_while_writes_succeed() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(secs(9), start);
        for second in 1..6 {
            keepalive.handle_sent(start + secs(second));
            assert_eq!(keepalive.handle_timeout(start + secs(second)), None);
        }
        assert_eq!(keepalive.handle_timeout(start + secs(6)), Some(Due::GiveUp(secs(6))));
    }

    #[test]
    fn a_large_frame_on_a_slow_line_is_life_and_drips_are_not() {
        let start = Instant::now();
        let mut slow = Keepalive::new(secs(9), start);
        let mut drips = slow.clone();
        for second in 1..60 {
            let now = start + secs(second);
            slow.handle_sent(now);
            slow.handle_bytes(4 << 10, now);
            assert_eq!(slow.handle_timeout(now), None, "16 KiB come in 4 s, and 6 are allowed");
        }
        drips.handle_bytes((16 << 10) - 1, start + secs(5));
        assert_eq!(drips.handle_timeout(start + secs(6)), Some(Due::GiveUp(secs(6))));
    }

    #[test]
    fn with_a_long_timeout_we_are_still_never_silent_for_more_than_ten_seconds() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(Duration::from_millis(i32::MAX as u64), start);
        assert_eq!(keepalive.poll_timeout(), start + secs(10));
        assert_eq!(keepalive.handle_timeout(start + secs(10)), Some(Due::Ping));
    }

    #[test]
    fn a_clock_that_stands_still_or_a_timeout_of_nothing_does_not_panic() {
        let start = Instant::now();
        let mut keepalive = Keepalive::new(Duration::ZERO, start);
        assert_eq!(keepalive.handle_timeout(start), Some(Due::GiveUp(Duration::ZERO)));
        let mut keepalive = Keepalive::new(Duration::MAX, start);
        assert_eq!(keepalive.handle_timeout(start), None);
        assert!(keepalive.poll_timeout() >= start);
    }
}
