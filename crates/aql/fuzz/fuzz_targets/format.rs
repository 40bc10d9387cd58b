//! A query that is printed means the same, and is printed so again.
#![no_main]

#[expect(dead_code, reason = "each target tries one of the laws")]
#[path = "../../tests/aql/laws.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(broken) = laws::printing(text) {
        panic!("{broken}");
    }
});
