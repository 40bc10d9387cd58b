//! The same laws for as long as somebody wants to wait: `cargo xtask fuzz-aql` runs them where no
//! fuzzer is installed, and a soak run runs them for ten minutes.
//!
//! Each round has a seed of its own, which a failure names. `LATCHKEY_AQL_SEED` is the first, and
//! `LATCHKEY_AQL_SECONDS` says for how long others follow; without it there is one round, so the
//! seed alone repeats what failed.

use std::{
    env,
    time::{Duration, Instant},
};

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::{
    builders::{expr, nearly},
    laws,
};

/// How long a soak run goes on, in seconds.
const SOAK: u64 = 600;
/// How many texts a round tries of each kind.
const TEXTS: u32 = 256;

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// One round: the laws on texts that follow from the seed.
fn round(seed: u64) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: TEXTS, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let query = expr().prop_map(|expr| latchkey_aql::Query { expr }.format());
    let text = prop_oneof![2 => nearly(), 1 => query, 1 => any::<String>()];
    let verdict = runner.run(&(text, any::<prop::sample::Index>()), |(text, place)| {
        let cursor = place.index(text.len() + 1);
        laws::reading(&text)
            .and_then(|()| laws::printing(&text))
            .and_then(|()| laws::completing(&text, cursor))
            .map_err(TestCaseError::fail)
    });
    if let Err(error) = verdict {
        panic!("seed {seed} of the laws of AQL:\n{error}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the length of a run is in real time")]
fn the_laws_hold_for_as_long_as_is_asked_for() {
    let soak = env::var_os("LATCHKEY_TEST_SOAK").map_or(0, |_| SOAK);
    let wanted = Duration::from_secs(number("LATCHKEY_AQL_SECONDS").unwrap_or(soak));
    let first = number("LATCHKEY_AQL_SEED").unwrap_or(0);
    let started = Instant::now();
    let mut seed = first;
    loop {
        round(seed);
        seed += 1;
        if started.elapsed() >= wanted {
            break;
        }
    }
    println!("the laws of AQL hold in {} rounds of {TEXTS} texts", seed - first);
}
