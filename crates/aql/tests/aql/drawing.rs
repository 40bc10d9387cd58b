//! Findings as a terminal shows them.

use latchkey_aql::{Diagnostic, Severity, columns, parse, shown};

/// The first thing that is wrong, drawn.
#[track_caller]
fn drawn(text: &str) -> String {
    match parse(text) {
        Ok(query) => panic!("{text} is {query:?}"),
        Err(faults) => faults[0].draw(Severity::Error, text),
    }
}

/// The line of the query as it is shown, and the columns in which it is marked.
#[track_caller]
fn line_and_marks(drawn: &str) -> (String, usize, usize) {
    let lines: Vec<&str> = drawn.lines().collect();
    let cut = |line: &str| line.split_once('|').unwrap().1[1..].to_owned();
    let (line, marks) = (cut(lines[3]), cut(lines[4]));
    let from = marks.find('^').unwrap();
    (line, from, from + marks.matches('^').count())
}

/// What of the line is marked, by columns of a terminal.
#[track_caller]
fn marked(drawn: &str) -> String {
    let (line, from, until) = line_and_marks(drawn);
    let mut column = 0;
    let mut part = String::new();
    for character in line.chars() {
        if (from..until).contains(&column) {
            part.push(character);
        }
        column += columns(&character.to_string());
    }
    part
}

#[test]
fn the_place_is_underlined_and_message_and_hint_stand_around_it() {
    let text = "resource_type = \"a\"\n  and resource_nmae contains \"größe\"";
    assert_eq!(
        drawn(text),
        "error: there is no field `resource_nmae`\n \
          --> line 2, column 7\n  \
           |\n\
         2 |   and resource_nmae contains \"größe\"\n  \
           |       ^^^^^^^^^^^^^\n  \
           = did you mean `resource_name`?\n"
    );
}

#[test]
fn what_is_missing_is_marked_where_it_is_missing() {
    let drawn = drawn("resource_type =");
    assert_eq!(line_and_marks(&drawn), ("resource_type =".to_owned(), 15, 16));
}

#[test]
fn a_line_break_within_the_place_ends_the_mark() {
    let drawn = drawn("resource in (\r\n)");
    assert_eq!(marked(&drawn), "(");
    assert_eq!(drawn.lines().count(), 6);
}

#[test]
fn a_long_line_is_cut_around_its_place() {
    let long = format!("resource = \"{}\" or xx = \"{}\"", "a".repeat(500), "b".repeat(500));
    let (line, ..) = line_and_marks(&drawn(&long));
    assert!(line.len() < 140 && line.starts_with('…') && line.ends_with('…'), "{line}");
    assert_eq!(marked(&drawn(&long)), "xx");
    let word = "x".repeat(500);
    let (line, from, until) = line_and_marks(&drawn(&word));
    assert!(columns(&line) < 70 && (from, until) == (0, 60), "{line}");
}

#[test]
fn the_mark_lies_below_its_place_after_tabs_and_wide_characters() {
    for before in
        ["\t\t", "resource = \"日本語\" and ", "resource = \"e\u{301}\" and ", "\u{1f600} = "]
    {
        let text = format!("{before}résource = \"a\"");
        let faults = parse(&text).unwrap_err();
        let fault = faults.iter().find(|fault| fault.message.contains("résource"));
        let fault = fault.unwrap_or(&faults[0]);
        let drawn = fault.draw(Severity::Warning, &text);
        assert!(drawn.starts_with("warning: "));
        if before.starts_with('\u{1f600}') {
            assert_eq!(marked(&drawn), "\u{1f600}");
        } else {
            assert_eq!(marked(&drawn), "résource", "{drawn}");
        }
    }
}

#[test]
fn e06_nothing_of_a_query_reaches_the_terminal_as_a_command() {
    let hostile = "\u{1b}[31mred\u{7}\u{9b}2J\u{202e}dlrow\u{200b}\u{2028}\u{feff}";
    let text = format!("resource = \"{hostile}\" and cølour\u{1b}[0m = \"{hostile}\"");
    let told = drawn(&text);
    let harmless = |text: &str| {
        !text.contains(|c: char| {
            c.is_control() && c != '\n' || "\u{202e}\u{200b}\u{2028}\u{feff}".contains(c)
        })
    };
    assert!(harmless(&told), "{told:?}");
    assert!(
        told.contains("\\u{1b}[31mred\\u{7}\\u{9b}2J\\u{202e}dlrow\\u{200b}\\u{2028}\\u{feff}")
    );
    assert_eq!(marked(&told), "cølour\\u{1b}");
    // Message and hint may come from anywhere.
    let finding = Diagnostic {
        offset: usize::MAX,
        length: 3,
        line: 1,
        column: 1,
        message: hostile.to_owned(),
        hint: Some(hostile.to_owned()),
    };
    assert!(harmless(&finding.draw(Severity::Error, "x")));
    assert_eq!(shown("a\tb\r\n"), "a\\u{9}b\\u{d}\\u{a}");
}
