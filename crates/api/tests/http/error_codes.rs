//! The table of codes in the documentation is whole.

use std::{fs, path::Path};

use latchkey_app::error::codes;

#[test]
fn every_code_is_documented_with_its_status() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    let text = fs::read_to_string(file).unwrap();
    let app = codes::ALL.iter().map(|(code, kind)| (*code, kind.status()));
    let http = [("MethodNotAllowed", 405), ("PayloadTooLarge", 413)];
    for (code, status) in app.chain(http) {
        let row = format!("| `{code}` | {status} |");
        assert!(text.contains(&row), "docs/errors.md lacks the row {row}");
    }
}
