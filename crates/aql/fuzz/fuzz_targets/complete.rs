//! What is offered at any place of any text parses. The first two bytes say which place.
#![no_main]

#[expect(dead_code, reason = "each target tries one of the laws")]
#[path = "../../tests/aql/laws.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: (u16, &str)| {
    let (cursor, text) = input;
    if let Err(broken) = laws::completing(text, usize::from(cursor)) {
        panic!("{broken}");
    }
});
