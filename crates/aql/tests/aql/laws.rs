//! What holds for every text, said once: the property tests try it on texts that are nearly
//! queries, the long run on more of them, and the fuzz targets on whatever a fuzzer finds.

use latchkey_aql::{
    Completion, CompletionKind, Diagnostic, FieldName, Known, KnownKey, KnownValue, MAX_DEPTH,
    MAX_DIAGNOSTICS, Severity, complete, parse, parse_with_warnings, sought,
};

/// Whether a law holds; otherwise what breaks it.
pub type Verdict = Result<(), String>;

macro_rules! hold {
    ($holds:expr, $($said:tt)+) => {
        if !$holds {
            return Err(format!($($said)+));
        }
    };
}

/// Reading says yes, or no with reasons that have a place in the text and can be shown.
pub fn reading(text: &str) -> Verdict {
    let findings = match parse_with_warnings(text) {
        Ok(parsed) => parsed.warnings,
        Err(faults) => {
            hold!(!faults.is_empty(), "refused without a reason: {text:?}");
            faults
        }
    };
    hold!(findings.len() <= MAX_DIAGNOSTICS, "{} findings: {text:?}", findings.len());
    findings.iter().try_for_each(|finding| has_a_place(finding, text))
}

fn has_a_place(finding: &Diagnostic, text: &str) -> Verdict {
    let end = finding.offset + finding.length;
    hold!(text.get(finding.offset..end).is_some(), "{finding:?} is not in {text:?}");
    let before = text.get(..finding.offset).unwrap_or_default();
    hold!(finding.line >= before.split('\n').count(), "{finding:?} in {text:?}");
    let most = before.chars().count() + 1;
    hold!((1..=most).contains(&finding.column), "{finding:?} in {text:?}");
    hold!(!finding.message.is_empty(), "{finding:?} in {text:?}");
    let drawn = finding.draw(Severity::Error, text);
    hold!(drawn.contains('^'), "no mark in {drawn:?}");
    let is_hostile = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}');
    hold!(!drawn.contains(is_hostile), "a terminal would obey {drawn:?}");
    hold!(drawn.lines().count() <= 6, "a finding of many lines: {drawn:?}");
    Ok(())
}

/// What is printed means the same, and printing it again changes nothing.
pub fn printing(text: &str) -> Verdict {
    let Ok(query) = parse(text) else { return Ok(()) };
    for printed in [query.to_string(), query.format()] {
        // Quotes and blanks that were left out may be what it is too long by.
        if printed.len() > latchkey_aql::MAX_BYTES {
            continue;
        }
        hold!(parse(&printed).as_ref() == Ok(&query), "{text:?} is printed as {printed:?}");
    }
    let laid_out = query.format();
    if let Ok(again) = parse(&laid_out) {
        hold!(again.format() == laid_out, "the layout is not settled: {laid_out:?}");
    }
    Ok(())
}

/// Names that an inventory may know: common ones, and ones that are hard to write.
pub fn known() -> Known {
    let texts = [
        "prod",
        "Prod",
        "prod-eu",
        "env",
        "shop/public/orders",
        "CORP\\user",
        "say \"hi\"",
        "\\",
        "ends\\",
        "",
        "größe",
        "two\nlines",
        "a\rb",
        "(",
        "and",
        "\u{1b}[2J",
    ];
    let keys = FieldName::ALL.iter().filter(|name| name.takes_key()).flat_map(|name| {
        texts.into_iter().map(|key| KnownKey { field: *name, key: key.to_owned() })
    });
    let value = |text: &str| KnownValue { text: text.to_owned(), detail: None };
    Known { keys: keys.collect(), values: texts.into_iter().map(value).collect() }
}

/// What is offered at a place takes the place of something there, and parses.
pub fn completing(text: &str, cursor: usize) -> Verdict {
    sought(text, cursor);
    let offered = complete(text, cursor, &known());
    let (start, end) = (offered.replace.start, offered.replace.end);
    let cut = text.floor_char_boundary(cursor);
    hold!(start <= cut && cut <= end, "{start}..{end} is not at {cut} of {text:?}");
    let (Some(before), Some(begun), Some(after)) =
        (text.get(..start), text.get(start..end), text.get(end..))
    else {
        return Err(format!("{start}..{end} cuts a character of {text:?}"));
    };
    hold!(!begun.contains(['\n', '\r']) || begun.contains(']'), "{begun:?} of {text:?}");
    let is_beginning = begins_a_query(before);
    let is_whole = parse(text).is_ok();
    for (at, item) in offered.items.iter().enumerate() {
        let said = || format!("{:?} at {cut} of {text:?}, with {begun:?} replaced", item.text);
        let repeated = offered.items.iter().skip(at + 1).any(|other| other.text == item.text);
        hold!(!repeated, "twice: {}", said());
        let applied = format!("{before}{}", item.text);
        if is_beginning {
            hold!(goes_on(&applied, item), "does not parse: {}", said());
        }
        let is_quoted = matches!(item.kind, CompletionKind::Value | CompletionKind::Key)
            && begun.starts_with('"');
        if is_whole && is_quoted {
            hold!(parse(&format!("{applied}{after}")).is_ok(), "breaks the query: {}", said());
        }
    }
    Ok(())
}

/// Whether the text with an item at its end is the beginning of a query.
fn goes_on(applied: &str, item: &Completion) -> bool {
    let ways: &[&str] = match (item.kind, item.text.trim_end()) {
        (_, text) if text.ends_with("[\"") => &["x\"]=\"x\""],
        // A bare name that takes a key is offered where its bracket stands already.
        (CompletionKind::Field, _) => &["=\"x\"", "[\"x\"]=\"x\""],
        (CompletionKind::Key, _) | (CompletionKind::Sign, "]") => &["=\"x\""],
        (CompletionKind::Operator, _) => &["\"x\"", "(\"x\")"],
        (CompletionKind::Word, _) => &[" resource=\"x\""],
        (CompletionKind::Sign, "(") => &["resource=\"x\"", "\"x\""],
        (CompletionKind::Sign, ",") => &["\"x\""],
        (CompletionKind::Value | CompletionKind::Sign, _) => &[""],
    };
    ways.iter().any(|way| closes(&format!("{applied}{way}")))
}

/// Whether some query begins with this text, which ends where a token does.
fn begins_a_query(text: &str) -> bool {
    let ways = [
        "",
        " resource=\"x\"",
        "=\"x\"",
        "\"x\"",
        "(\"x\")",
        "[\"x\"]=\"x\"",
        "\"x\"]=\"x\"",
        "]=\"x\"",
    ];
    ways.iter().any(|way| closes(&format!("{text}{way}")))
}

/// Whether it is a query once what is open is closed.
fn closes(text: &str) -> bool {
    // A list is one more than the groups around it.
    let open = text.matches('(').count().min(MAX_DEPTH + 1);
    (0..=open).any(|count| parse(&format!("{text}{}", ")".repeat(count))).is_ok())
}
