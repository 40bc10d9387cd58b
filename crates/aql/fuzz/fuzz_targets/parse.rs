//! Any text gets an answer whose places lie in it and that a terminal may show.
#![no_main]

#[expect(dead_code, reason = "each target tries one of the laws")]
#[path = "../../tests/aql/laws.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(broken) = laws::reading(text) {
        panic!("{broken}");
    }
});
