//! PDF: a reader finds the text that was put in, on pages that say which they are.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use jiff::Timestamp;
use latchkey_reports::{
    Column,
    pdf::{About, MOST_ROWS, PdfError, Table},
};
use lopdf::{Document, Object};
use proptest::prelude::*;

fn about(title: &str) -> About {
    About {
        title: title.to_owned(),
        lines: vec!["From 2026-01-01 to 2026-02-01 (UTC)".to_owned()],
        made_at: Timestamp::from_second(1_800_000_000).unwrap(),
    }
}

fn file(title: &str, columns: usize, rows: &[Vec<String>]) -> Document {
    let columns = (1..=columns).map(|n| Column::new(format!("column {n}"), 2)).collect();
    let mut table = Table::new(about(title), columns).unwrap();
    for row in rows {
        table.row(row).unwrap();
    }
    Document::load_mem(&table.finish().unwrap()).unwrap()
}

/// The text of one page as a reader would copy it.
fn text(file: &Document, page: u32) -> String {
    file.extract_text(&[page]).unwrap()
}

/// A text without blanks and line breaks, which a cell that wraps has where its lines end.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[test]
fn every_page_repeats_the_headings_and_says_which_it_is() {
    let rows: Vec<Vec<String>> =
        (0..200).map(|n| vec![format!("row {n}"), "b".to_owned(), "c".to_owned()]).collect();
    let file = file("Access of the month", 3, &rows);
    let pages = file.get_pages().len();
    assert!(pages > 3, "{pages} pages");
    let mut seen = String::new();
    for page in 1..=u32::try_from(pages).unwrap() {
        let text = squeezed(&text(&file, page));
        assert!(text.contains("column1") && text.contains("column3"), "page {page}: {text}");
        assert!(text.contains(&format!("Page{page}of{pages}")), "page {page}: {text}");
        assert!(text.contains("Accessofthemonth"), "page {page}: {text}");
        seen.push_str(&text);
    }
    for row in 0..200 {
        assert!(seen.contains(&format!("row{row}")), "row {row} is missing");
    }
    assert!(squeezed(&text(&file, 1)).contains("From2026-01-01to2026-02-01(UTC)"));
}

#[test]
fn long_cells_wrap_and_lose_nothing() {
    let long = "Because the nightly import of orders failed and has to be run again. ".repeat(60);
    let word = "x".repeat(500);
    let file = file("Long", 4, &[vec![long.clone(), word.clone()], vec!["after".to_owned()]]);
    let pages: Vec<u32> = file.get_pages().keys().copied().collect();
    let all: String = pages.iter().map(|page| squeezed(&text(&file, *page))).collect();
    let letters = |text: &str, c: char| text.chars().filter(|other| *other == c).count();
    assert!(letters(&all, 'x') >= 500);
    assert!(all.contains("after"));
    let cell: String = pages.iter().map(|page| text(&file, *page)).collect();
    assert!(letters(&cell, 'B') >= 60);
}

#[test]
fn other_alphabets_are_copied_as_they_are() {
    let row = vec!["Łukasz Ångström".to_owned(), "Ελένη".to_owned(), "Николай".to_owned()];
    let found = squeezed(&text(&file("Names", 3, std::slice::from_ref(&row)), 1));
    for name in &row {
        assert!(found.contains(&squeezed(name)), "{name}: {found}");
    }
}

#[test]
fn characters_that_the_font_lacks_are_still_said() {
    let file = file("Names", 2, &[vec!["東京 😀 prod".to_owned(), "x".to_owned()]]);
    let said = actual_texts(&file);
    assert!(said.iter().any(|text| text == "東京 😀 prod"), "{said:?}");
}

/// What the file says beside the drawn text.
fn actual_texts(file: &Document) -> Vec<String> {
    let mut found = Vec::new();
    for page in file.get_pages().values() {
        let content = file.get_and_decode_page_content(*page).unwrap();
        for operand in content.operations.iter().flat_map(|operation| &operation.operands) {
            if let Object::Dictionary(dictionary) = operand
                && let Ok(text) = dictionary.get(b"ActualText")
            {
                found.push(lopdf::decode_text_string(text).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_file_is_tagged_and_has_a_title_and_a_language() {
    let file = file("Access", 2, &[vec!["a".to_owned(), String::new()]]);
    let catalog = file.catalog().unwrap();
    assert!(catalog.get(b"StructTreeRoot").is_ok());
    assert_eq!(catalog.get(b"Lang").unwrap().as_str().unwrap(), b"en");
    let marked = catalog.get(b"MarkInfo").unwrap().as_dict().unwrap();
    assert!(marked.get(b"Marked").unwrap().as_bool().unwrap());
    let roles = structure_roles(&file);
    for role in ["H1", "P", "Table", "THead", "TBody"] {
        assert_eq!(roles.iter().filter(|found| *found == role).count(), 1, "{role}: {roles:?}");
    }
    for (role, count) in [("TR", 2), ("TH", 2), ("TD", 2)] {
        assert_eq!(roles.iter().filter(|found| *found == role).count(), count, "{role}: {roles:?}");
    }
}

fn structure_roles(file: &Document) -> Vec<String> {
    file.objects
        .values()
        .filter_map(|object| object.as_dict().ok())
        .filter(|object| {
            object.get(b"Type").and_then(Object::as_name).is_ok_and(|n| n == b"StructElem")
        })
        .filter_map(|object| object.get(b"S").and_then(Object::as_name).ok())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect()
}

#[test]
fn a_report_without_rows_says_so() {
    let file = file("Nothing", 12, &[]);
    assert_eq!(file.get_pages().len(), 1);
    assert!(squeezed(&text(&file, 1)).contains("Therearenorows."));
}

#[test]
fn e06_markup_is_text_and_nothing_is_a_link_or_a_script() {
    let attacks = [
        "<script>alert(1)</script>",
        "https://evil.example/",
        "(Tj) /JS (app.alert) ]>> endstream",
        "\u{202e}gpj.exe\u{0}\u{7}",
        "[click](javascript:alert(1))",
    ];
    let rows: Vec<Vec<String>> = attacks.iter().map(|text| vec![(*text).to_owned()]).collect();
    let file = file("<b>Bold</b> & co", 1, &rows);
    let found = squeezed(&text(&file, 1));
    assert!(found.contains("<script>alert(1)</script>") && found.contains("<b>Bold</b>&co"));
    assert!(found.contains("gpj.exe"), "{found}");
    for object in file.objects.values() {
        let Ok(dictionary) = object.as_dict() else { continue };
        for key in ["JS", "URI", "AA", "OpenAction", "Annots", "EmbeddedFiles"] {
            assert!(!dictionary.has(key.as_bytes()), "{key}");
        }
    }
}

#[test]
fn more_rows_than_anybody_reads_are_refused() {
    let mut table = Table::new(about("Many"), vec![Column::new("a", 1)]).unwrap();
    for _ in 0..MOST_ROWS {
        table.row(&["x"]).unwrap();
    }
    assert!(matches!(table.row(&["x"]), Err(PdfError::TooManyRows)));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_people_write_becomes_a_file(
        title in any::<String>(),
        rows in prop::collection::vec(prop::collection::vec(any::<String>(), 0..5), 0..6),
    ) {
        let file = file(&title, 4, &rows);
        prop_assert!(!file.get_pages().is_empty());
    }
}
