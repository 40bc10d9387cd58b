//! Faults on demand, for the test binary `latchkey-faults` alone: a place to crash or to freeze
//! at, and a clock that can be set while the process runs. Only under the feature `faults`, and
//! only for a program that asks for these surroundings; `latchkey` itself never does.
//!
//! - `LATCHKEY_FAULT_CRASH=POINT:N`: the process kills itself at the N-th pass of a crash point.
//! - `LATCHKEY_FAULT_PAUSE=POINT:N`: the process stops (SIGSTOP) there until it is continued.
//! - `LATCHKEY_FAULT_TRACE=FILE`: the names of the points that are passed, one a line.
//! - `LATCHKEY_FAULT_CLOCK=FILE`: the wall clock is off by the number of milliseconds in it.

use std::{
    fs::OpenOptions,
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{Clock, faults::CrashPoints};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    surroundings::Surroundings,
    system::{OsRng, SystemClock},
};

/// Surroundings with the faults that the environment asks for.
pub fn surroundings() -> Surroundings {
    let clock: Arc<dyn Clock> = match std::env::var_os("LATCHKEY_FAULT_CLOCK") {
        Some(file) => Arc::new(ShiftedClock { machine: SystemClock::start(), file: file.into() }),
        None => Arc::new(SystemClock::start()),
    };
    let orders =
        [("LATCHKEY_FAULT_CRASH", Signal::SIGKILL), ("LATCHKEY_FAULT_PAUSE", Signal::SIGSTOP)]
            .into_iter()
            .filter_map(|(variable, signal)| Order::parse(&std::env::var(variable).ok()?, signal))
            .collect();
    let trace = std::env::var_os("LATCHKEY_FAULT_TRACE").map(PathBuf::from);
    Surroundings::new(clock, Arc::new(OsRng), Arc::new(Orders { orders, trace }))
}

/// A wall clock that is off by what a file says at this moment.
#[derive(Debug)]
struct ShiftedClock {
    machine: SystemClock,
    file: PathBuf,
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        let off = std::fs::read_to_string(&self.file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .map_or(SignedDuration::ZERO, SignedDuration::from_millis);
        self.machine.now().saturating_add(off).unwrap_or(Timestamp::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic()
    }
}

/// What to do where.
#[derive(Debug)]
struct Orders {
    orders: Vec<Order>,
    trace: Option<PathBuf>,
}

#[derive(Debug)]
struct Order {
    point: String,
    passes_left: AtomicU64,
    signal: Signal,
}

impl Order {
    fn parse(text: &str, signal: Signal) -> Option<Self> {
        let (point, passes) = text.rsplit_once(':')?;
        let passes_left = AtomicU64::new(passes.parse().ok()?);
        Some(Self { point: point.to_owned(), passes_left, signal })
    }
}

impl CrashPoints for Orders {
    fn reached(&self, name: &'static str) {
        if let Some(file) = &self.trace {
            let opened = OpenOptions::new().create(true).append(true).open(file);
            // A trace that cannot be written shows in the test that reads it.
            let _ = opened.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
        }
        for order in self.orders.iter().filter(|order| order.point == name) {
            let before = order.passes_left.load(Ordering::SeqCst);
            if before > 0 && order.passes_left.fetch_sub(1, Ordering::SeqCst) == 1 {
                // SIGKILL does not return, SIGSTOP only when the process is continued.
                let _ = kill(Pid::this(), order.signal);
            }
        }
    }
}
