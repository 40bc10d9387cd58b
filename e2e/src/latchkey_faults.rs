//! The program `latchkey` with faults on demand; see `latchkey::faults`.

use std::process::ExitCode;

fn main() -> ExitCode {
    latchkey::main(latchkey::faults::surroundings())
}
