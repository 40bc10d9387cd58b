//! The program `latchkey`.

use std::process::ExitCode;

use latchkey::surroundings::Surroundings;

fn main() -> ExitCode {
    latchkey::main(Surroundings::of_the_machine())
}
