//! CSV: what is written is read back, and nothing in it is run.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use latchkey_reports::{Column, csv};
use proptest::prelude::*;

/// Reads a file with another reader's eyes.
fn read(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader =
        ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn cells() -> impl Strategy<Value = Vec<Vec<String>>> {
    let cell = prop_oneof![
        any::<String>(),
        "[ \t\r\n\u{a0}\u{200b}\u{feff}]{0,3}[=+@＝＋－＠-].{0,8}",
        "[\"',;\r\n\t=+@-]{0,6}",
    ];
    prop::collection::vec(prop::collection::vec(cell, 3), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(rows in cells()) {
        let expected: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| csv::shown_as_text(cell)).collect())
            .collect();
        prop_assert_eq!(read(&csv::rows(&rows).unwrap()), expected);
    }

    #[test]
    fn a_cell_is_changed_by_an_apostrophe_before_it_or_not_at_all(cell in any::<String>()) {
        let shown = csv::shown_as_text(&cell);
        let guarded = ["'", cell.as_str()].concat();
        prop_assert!(shown == cell || shown == guarded);
    }

    #[test]
    fn e06_no_cell_begins_like_a_formula(rows in cells()) {
        for cell in read(&csv::rows(&rows).unwrap()).iter().flatten() {
            let first = cell.chars().next().unwrap_or('x');
            prop_assert!(!"=+-@\t\r\n\0＝＋－＠".contains(first), "{cell:?}");
            let visible = cell.trim_start_matches(|c: char| {
                c.is_whitespace() || c.is_control() || "\u{200b}\u{feff}".contains(c)
            });
            let first = visible.chars().next().unwrap_or('x');
            prop_assert!(!"=+-@＝＋－＠".contains(first), "{cell:?}");
        }
    }

    #[test]
    fn a_file_in_pieces_is_the_same_file(rows in cells(), at in 0usize..8) {
        let at = at.min(rows.len());
        let whole = csv::rows(&rows).unwrap();
        let pieces = [csv::rows(&rows[..at]).unwrap(), csv::rows(&rows[at..]).unwrap()].concat();
        prop_assert_eq!(whole, pieces);
    }
}

#[test]
fn a_file_begins_with_its_headings() {
    let columns = [Column::new("request id", 1), Column::new("=cmd", 1)];
    let text = String::from_utf8(csv::head(&columns).unwrap()).unwrap();
    assert_eq!(text, "\"request id\",\"'=cmd\"\r\n");
}

#[test]
fn the_attacks_that_are_known_are_text() {
    for attack in [
        "=1+1",
        "+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =HYPERLINK(\"https://evil.example\",\"click\")",
        "=cmd|' /C calc'!A0",
        "＝1",
        "\u{feff}=1",
    ] {
        assert_eq!(csv::shown_as_text(attack), format!("'{attack}"));
    }
    for harmless in ["", "Ana", "a=b", "1-2", "'=1", "ana@example.com", " x"] {
        assert_eq!(csv::shown_as_text(harmless), harmless);
    }
}
