//! What a command answers, on standard output. Everything else goes to standard error.

use std::io::{ErrorKind, Write};

use serde_json::Value;

use crate::fault::Fault;

/// Prints one JSON object on one line, the last of the output.
pub(crate) fn object(value: &Value) -> Result<(), Fault> {
    text(&format!("{value}\n"))
}

/// Prints text as it is.
pub(crate) fn text(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has seen enough, as in `latchkey openapi | head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Fault::new(format!("cannot write the answer: {error}"))),
    }
}
