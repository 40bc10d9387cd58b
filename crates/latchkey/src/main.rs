//! The latchkey program.
fn main() {}
