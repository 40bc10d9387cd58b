//! What time it is at the server. Ends of access are said on the server's clock; this machine's
//! may be wrong, and may jump. Each answer bounds the server's time from both sides: it was made
//! after the call was sent and before the answer came in.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::clock::Clock;

/// The server's time at one instant of this process.
#[derive(Debug, Clone, Copy)]
struct Sample {
    server: Timestamp,
    monotonic: Duration,
    offset: SignedDuration,
}

/// When a call was sent, on this process's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent(pub(crate) Duration);

/// The connector's estimate of the server's clock.
#[derive(Debug)]
pub(crate) struct ServerClock {
    clock: Arc<dyn Clock>,
    /// The offset that a former process of this folder measured.
    former: SignedDuration,
    sample: Mutex<Option<Sample>>,
}

impl ServerClock {
    /// An estimate that starts from a former process's.
    pub(crate) fn new(clock: Arc<dyn Clock>, former: SignedDuration) -> Self {
        Self { clock, former, sample: Mutex::new(None) }
    }

    /// A call is about to be sent.
    pub(crate) fn sent(&self) -> Sent {
        Sent(self.clock.monotonic())
    }

    /// The server's time came in a prompt answer.
    pub(crate) fn heard(&self, sent: Sent, server: Timestamp) {
        let monotonic = self.clock.monotonic();
        let on_the_way = monotonic.saturating_sub(sent.0);
        self.set(monotonic, later(server, on_the_way / 2));
    }

    /// The server's time came in an answer that the server may have made at any time since the
    /// call: it only corrects an estimate that cannot be right.
    pub(crate) fn heard_late(&self, sent: Sent, server: Timestamp) {
        let monotonic = self.clock.monotonic();
        let latest = later(server, monotonic.saturating_sub(sent.0));
        let estimate = self.now();
        let possible = estimate.clamp(server, latest.max(server));
        if possible != estimate {
            self.set(monotonic, possible);
        }
    }

    /// The server's time now, as far as is known.
    pub(crate) fn now(&self) -> Timestamp {
        match self.sample() {
            Some(sample) => self.by_monotonic(&sample),
            None => shifted(self.clock.now(), self.former),
        }
    }

    /// The server's time now at the latest: what is due by it may be looked at. A wall clock
    /// that was set forward, and a machine that slept, count.
    pub(crate) fn latest(&self) -> Timestamp {
        match self.sample() {
            Some(sample) => {
                self.by_monotonic(&sample).max(shifted(self.clock.now(), sample.offset))
            }
            None => self.now(),
        }
    }

    /// The server's time now at the earliest: what is over by it is over.
    pub(crate) fn earliest(&self) -> Timestamp {
        match self.sample() {
            Some(sample) => {
                self.by_monotonic(&sample).min(shifted(self.clock.now(), sample.offset))
            }
            None => self.now(),
        }
    }

    /// The server's time minus this machine's.
    pub(crate) fn offset(&self) -> SignedDuration {
        self.now().duration_since(self.clock.now())
    }

    fn set(&self, monotonic: Duration, server: Timestamp) {
        let offset = server.duration_since(self.clock.now());
        let mut sample = self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        *sample = Some(Sample { server, monotonic, offset });
    }

    fn sample(&self) -> Option<Sample> {
        *self.sample.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_monotonic(&self, sample: &Sample) -> Timestamp {
        later(sample.server, self.clock.monotonic().saturating_sub(sample.monotonic))
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn shifted(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
