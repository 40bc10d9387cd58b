//! From tokens to the tree, by recursive descent with at most [`MAX_DEPTH`] levels.
//!
//! After an error the parser goes on where the next condition can begin. Each step consumes a
//! token or returns, so the whole takes time linear in the text.

use crate::{
    MAX_BYTES, MAX_DEPTH, MAX_DIAGNOSTICS, Parsed,
    ast::{Condition, Expr, Field, FieldName, Kind, Operator, Query},
    diagnostic::{Diagnostic, Span, quoted},
    evaluate::{RISK_WORDS, STATUSES, parse_risk, status_word},
    lexer::{Fault, Token, TokenKind, tokens},
    print::value as written,
    suggest::nearest,
};

const EXAMPLE: &str = "write a condition, such as resource_type = \"postgresql-table\"";

pub(crate) fn parse(text: &str) -> Result<Parsed, Vec<Diagnostic>> {
    if text.len() > MAX_BYTES {
        let start = text.floor_char_boundary(MAX_BYTES);
        let span = Span { start, end: text.len() };
        let message = format!("the query has {} bytes; the most is {MAX_BYTES}", text.len());
        let hint = Some("split it into several access scopes");
        return Err(vec![Diagnostic::new(text, span, &message, hint)]);
    }
    let (tokens, faults) = tokens(text);
    let mut parser =
        Parser { text, tokens, at: 0, depth: 0, stopped: false, faults, warnings: Vec::new() };
    let expr = parser.whole();
    let Parser { mut faults, warnings, .. } = parser;
    faults.sort_by_key(|fault| (fault.span.start, fault.span.end));
    let told = |faults: &[Fault]| {
        let told = |fault: &Fault| {
            Diagnostic::new(text, fault.span, &fault.message, fault.hint.as_deref())
        };
        faults.iter().take(MAX_DIAGNOSTICS).map(told).collect()
    };
    match expr {
        Some(expr) if faults.is_empty() => {
            Ok(Parsed { query: Query { expr }, warnings: told(&warnings) })
        }
        _ => Err(told(&faults)),
    }
}

struct Parser<'t> {
    text: &'t str,
    /// Never empty: the last is [`TokenKind::End`].
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Whether parsing was given up; what follows would be errors of our own.
    stopped: bool,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

/// A value with its place.
struct Value {
    text: String,
    span: Span,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joint {
    And,
    Or,
}

/// What joins conditions, in whatever spelling.
pub(crate) fn joint_of(kind: &TokenKind, word: &str) -> Option<Joint> {
    match kind {
        TokenKind::Word if word.eq_ignore_ascii_case("and") => Some(Joint::And),
        TokenKind::Word if word.eq_ignore_ascii_case("or") => Some(Joint::Or),
        TokenKind::Sign if matches!(word, "&&" | "&") => Some(Joint::And),
        TokenKind::Sign if matches!(word, "||" | "|") => Some(Joint::Or),
        _ => None,
    }
}

impl Joint {
    fn word(self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
        }
    }
}

impl Parser<'_> {
    fn kind(&self) -> &TokenKind {
        self.tokens.get(self.at).map_or(&TokenKind::End, |token| &token.kind)
    }

    fn span(&self) -> Span {
        let end = Span { start: self.text.len(), end: self.text.len() };
        self.tokens.get(self.at).map_or(end, |token| token.span)
    }

    /// The text of the next token.
    fn word(&self) -> &str {
        self.part(self.span())
    }

    fn part(&self, span: Span) -> &str {
        self.text.get(span.start..span.end).unwrap_or_default()
    }

    fn is_word(&self, words: &[&str]) -> bool {
        *self.kind() == TokenKind::Word && words.contains(&self.word())
    }

    fn is_word_at(&self, at: usize, words: &[&str]) -> bool {
        self.tokens.get(at).is_some_and(|token| {
            token.kind == TokenKind::Word && words.contains(&self.part(token.span))
        })
    }

    fn next(&mut self) -> Span {
        let span = self.span();
        self.at += 1;
        span
    }

    fn take(&mut self, kind: &TokenKind) -> Option<Span> {
        (self.kind() == kind && *kind != TokenKind::End).then(|| self.next())
    }

    fn fault(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        if self.stopped {
            return;
        }
        self.faults.push(Fault { span, message: message.into(), hint });
        if self.faults.len() >= MAX_DIAGNOSTICS {
            self.give_up();
        }
    }

    /// Goes to the end, silently.
    fn give_up(&mut self) {
        self.stopped = true;
        self.at = self.tokens.len().saturating_sub(1);
    }

    fn whole(&mut self) -> Option<Expr> {
        if *self.kind() == TokenKind::End {
            if self.faults.is_empty() {
                self.fault(Span { start: 0, end: 0 }, "the query is empty", Some(EXAMPLE.into()));
            }
            return None;
        }
        let mut whole = self.or();
        while *self.kind() != TokenKind::End {
            whole = None;
            if *self.kind() == TokenKind::Close {
                let span = self.next();
                self.fault(span, "this `)` closes nothing", Some("take it away".into()));
            } else {
                self.unexpected();
                self.next();
            }
            // A joint goes on with what was before; anything else begins anew.
            if self.joint().is_some() {
                self.next();
            }
            if *self.kind() != TokenKind::End {
                self.or();
            }
        }
        whole
    }

    fn unexpected(&mut self) {
        let (span, word) = (self.span(), quoted(self.word()));
        self.fault(span, format!("{word} does not belong here"), None);
    }

    fn or(&mut self) -> Option<Expr> {
        self.joined(Joint::Or)
    }

    /// Parts joined by `joint`. A list keeps going after a part that was wrong.
    fn joined(&mut self, joint: Joint) -> Option<Expr> {
        let mut parts = vec![self.part_of(joint)];
        loop {
            match self.joint() {
                Some(found) if found == joint => self.take_joint(found),
                // Two conditions side by side: the joint was forgotten.
                None if joint == Joint::And && self.begins_a_part() => {
                    let span = self.span();
                    let hint = "write `and` or `or` between two conditions";
                    self.fault(span, "a word is missing before this", Some(hint.into()));
                }
                _ => break,
            }
            parts.push(self.part_of(joint));
        }
        let parts: Vec<Expr> = parts.into_iter().collect::<Option<_>>()?;
        match (<[Expr; 1]>::try_from(parts), joint) {
            (Ok([one]), _) => Some(one),
            (Err(parts), Joint::Or) => Some(Expr::Or(parts)),
            (Err(parts), Joint::And) => Some(Expr::And(parts)),
        }
    }

    fn part_of(&mut self, joint: Joint) -> Option<Expr> {
        match joint {
            Joint::Or => self.joined(Joint::And),
            Joint::And => self.not(),
        }
    }

    /// Whether `and` or `or` comes next, in whatever spelling.
    fn joint(&self) -> Option<Joint> {
        joint_of(self.kind(), self.word())
    }

    fn take_joint(&mut self, joint: Joint) {
        let right = joint.word();
        if !self.is_word(&[right, &right.to_ascii_uppercase()]) {
            self.misspelled(right);
        }
        self.next();
    }

    /// Says that the next token is to be written as `right`.
    fn misspelled(&mut self, right: &str) {
        let (span, word) = (self.span(), quoted(self.word()));
        let message = format!("{word} is not written so");
        self.fault(span, message, Some(format!("did you mean `{right}`?")));
    }

    fn is_not(&self) -> bool {
        match self.kind() {
            TokenKind::Word => self.word().eq_ignore_ascii_case("not"),
            TokenKind::Sign => self.word() == "!",
            _ => false,
        }
    }

    fn begins_a_part(&self) -> bool {
        match self.kind() {
            TokenKind::Word => self.joint().is_none(),
            TokenKind::Open => true,
            TokenKind::Sign => self.is_not(),
            _ => false,
        }
    }

    fn not(&mut self) -> Option<Expr> {
        if !self.is_not() {
            return self.primary();
        }
        if !self.is_word(&["not", "NOT"]) {
            self.misspelled("not");
        }
        let span = self.next();
        let inner = self.deeper(span, Self::not);
        inner.map(|inner| Expr::Not(Box::new(inner)))
    }

    /// Runs `read` one level deeper, or gives up if that is too deep.
    fn deeper<T>(&mut self, span: Span, read: fn(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth == MAX_DEPTH {
            let message = format!("this is nested deeper than {MAX_DEPTH} levels");
            self.fault(span, message, Some("take parentheses or a `not` away".into()));
            self.give_up();
            return None;
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn primary(&mut self) -> Option<Expr> {
        match self.kind() {
            TokenKind::Open => {
                let open = self.next();
                self.enclosed(open)
            }
            TokenKind::Word if self.joint().is_none() => self.condition(),
            TokenKind::Word | TokenKind::Close | TokenKind::End => {
                let span = self.span();
                self.fault(span, "a condition is missing here", Some(EXAMPLE.into()));
                None
            }
            TokenKind::Text(_) => {
                let span = self.next();
                let hint = "write the field and the operator before it".to_owned();
                self.fault(span, "a condition begins with a field, not with a value", Some(hint));
                self.skip();
                None
            }
            _ if self.joint().is_some() => {
                let span = self.span();
                self.fault(span, "a condition is missing here", Some(EXAMPLE.into()));
                None
            }
            _ => {
                self.unexpected();
                self.next();
                self.skip();
                None
            }
        }
    }

    fn enclosed(&mut self, open: Span) -> Option<Expr> {
        if let Some(close) = self.take(&TokenKind::Close) {
            let hint = "write a condition inside, or take them away".to_owned();
            self.fault(open.to(close), "there is nothing between these parentheses", Some(hint));
            return None;
        }
        let inner = self.deeper(open, Self::or);
        if self.take(&TokenKind::Close).is_some() {
            return inner;
        }
        if *self.kind() == TokenKind::End {
            self.fault(open, "this `(` is not closed", Some("add a `)`".into()));
            return None;
        }
        self.unexpected();
        self.skip_to_close();
        None
    }

    /// Goes to where the next condition can begin: a joint or a `)` of this level, or the end.
    fn skip(&mut self) {
        let mut level = 0_usize;
        loop {
            match self.kind() {
                TokenKind::End => return,
                TokenKind::Open => level += 1,
                TokenKind::Close if level == 0 => return,
                TokenKind::Close => level -= 1,
                _ if level == 0 && self.joint().is_some() => return,
                _ => {}
            }
            self.next();
        }
    }

    /// Goes past the `)` of this level.
    fn skip_to_close(&mut self) {
        loop {
            self.skip();
            if self.take(&TokenKind::Close).is_some() || *self.kind() == TokenKind::End {
                return;
            }
            self.next();
        }
    }

    fn condition(&mut self) -> Option<Expr> {
        let (field, name_span) = self.field();
        let operator = self.operator(name_span);
        let Some((operator, operator_span)) = operator else {
            self.skip();
            return None;
        };
        if let Some(field) = &field
            && operator.needs_text()
            && field.name.kind() == Kind::Id
        {
            let message = format!(
                "`{}` does not work on `{}`, which is compared as a whole",
                operator.as_str(),
                field.name.as_str()
            );
            self.fault(operator_span, message, Some(instead_of(field.name)));
        }
        let values = if operator.takes_list() {
            self.list(operator, operator_span)
        } else {
            self.single(operator)
        };
        let (Some(field), Some(values)) = (field, values) else { return None };
        self.warn(&field, &values);
        let values = values.into_iter().map(|value| value.text).collect();
        Some(Expr::Condition(Condition { field, operator, values }))
    }

    /// A field with its key; `None` if it is none, with what was wrong said.
    fn field(&mut self) -> (Option<Field>, Span) {
        let span = self.next();
        let word = self.part(span).to_owned();
        let name = FieldName::parse(&word);
        if name.is_none() {
            let hint = meant_field(&word);
            self.fault(span, format!("there is no field {}", quoted(&word)), hint);
        }
        let Some(open) = self.take(&TokenKind::OpenBracket) else {
            if let Some(name) = name
                && name.takes_key()
            {
                let name = name.as_str();
                let hint = format!("write {name}[\"env\"], with the key that is meant");
                self.fault(span, format!("`{name}` needs a key in brackets"), Some(hint));
                return (None, span);
            }
            return (name.map(|name| Field { name, key: None }), span);
        };
        let key = self.key(open);
        let close = self.span();
        if self.take(&TokenKind::CloseBracket).is_none() {
            self.fault(open, "this `[` is not closed", Some("add a `]`".into()));
            return (None, span);
        }
        match name {
            Some(name) if !name.takes_key() => {
                let message = format!("`{}` takes no key", name.as_str());
                self.fault(open.to(close), message, Some("take the brackets away".into()));
                (None, span)
            }
            Some(name) => (key.map(|key| Field { name, key: Some(key) }), span),
            None => (None, span),
        }
    }

    /// What stands between brackets.
    fn key(&mut self, open: Span) -> Option<String> {
        match self.kind().clone() {
            TokenKind::Text(key) => {
                self.next();
                Some(key)
            }
            TokenKind::Word => {
                let span = self.next();
                let hint = format!("write [{}]", written(self.part(span)));
                self.fault(span, "a key is written in double quotes", Some(hint));
                None
            }
            _ => {
                self.fault(open, "a key is missing here", Some("write [\"key\"]".into()));
                None
            }
        }
    }

    /// The operator, also where it is misspelled but clear; what is wrong is said.
    fn operator(&mut self, field: Span) -> Option<(Operator, Span)> {
        let span = self.span();
        let word = self.word().to_owned();
        match self.kind() {
            TokenKind::Sign if self.joint().is_none() => self.sign(&word),
            TokenKind::Word if self.joint().is_none() => self.operator_word(&word),
            TokenKind::OpenBracket | TokenKind::CloseBracket | TokenKind::Comma => {
                self.unexpected();
                self.next();
                None
            }
            _ => {
                let field = quoted(self.part(field));
                let hint = "write an operator and a value, such as = \"prod\"".to_owned();
                self.fault(span, format!("an operator is missing after {field}"), Some(hint));
                None
            }
        }
    }

    fn sign(&mut self, word: &str) -> Option<(Operator, Span)> {
        let span = self.next();
        let (operator, message, hint) = match word {
            "=" => return Some((Operator::Equals, span)),
            "!=" => return Some((Operator::NotEquals, span)),
            "==" => (Some(Operator::Equals), not_written_so(word), "did you mean `=`?"),
            "<>" | "!==" | "=!" => {
                (Some(Operator::NotEquals), not_written_so(word), "did you mean `!=`?")
            }
            _ if word.contains('~') => (None, NO_REGEX.to_owned(), INSTEAD_OF_REGEX),
            _ if word.contains(['<', '>']) => (
                None,
                "values have no order, so they cannot be compared by size".to_owned(),
                "list the values, such as in (\"high\", \"critical\")",
            ),
            _ => (None, no_operator(word), "the operators are listed in the manual of AQL"),
        };
        self.fault(span, message, Some(hint.to_owned()));
        operator.map(|operator| (operator, span))
    }

    fn operator_word(&mut self, word: &str) -> Option<(Operator, Span)> {
        let span = self.next();
        if let Some(operator) = Operator::parse(word) {
            return Some((operator, span));
        }
        let lower = word.to_ascii_lowercase();
        if lower == "not" {
            for (rest, operator) in [("in", Operator::NotIn), ("contains", Operator::NotContains)] {
                if self.is_word(&[rest]) {
                    let span = span.to(self.next());
                    let message = format!("{} is one word", quoted(self.part(span)));
                    let hint = format!("did you mean `{}`?", operator.as_str());
                    self.fault(span, message, Some(hint));
                    return Some((operator, span));
                }
            }
        }
        let (message, hint) = match lower.as_str() {
            "is" => {
                let null = self.at + usize::from(self.is_word(&["not", "NOT"]));
                let span = if self.is_word_at(null, &["null", "NULL"]) {
                    self.at = null;
                    span.to(self.next())
                } else {
                    span
                };
                let hint = "a condition holds only where the key is there: starts_with \"\" asks \
                            for that, and not (…) for the others";
                self.fault(span, "there is no null to compare with", Some(hint.into()));
                return None;
            }
            "like" | "ilike" | "glob" => (
                "there are no patterns".to_owned(),
                Some("use contains, starts_with or ends_with".to_owned()),
            ),
            "matches" | "match" | "regex" | "regexp" | "rlike" => {
                (NO_REGEX.to_owned(), Some(INSTEAD_OF_REGEX.to_owned()))
            }
            _ => {
                let meant = nearest(word, Operator::ALL.iter().map(|one| one.as_str()));
                let operator = meant.and_then(Operator::parse);
                let hint = meant.map(|meant| format!("did you mean `{meant}`?"));
                self.fault(span, no_operator(word), hint);
                return operator.map(|operator| (operator, span));
            }
        };
        self.fault(span, message, hint);
        None
    }

    /// The one value of a condition.
    fn single(&mut self, operator: Operator) -> Option<Vec<Value>> {
        if *self.kind() == TokenKind::Open {
            let open = self.span();
            let list = self.list(operator, open);
            let hint = match operator {
                Operator::Equals => "use `in` for several values",
                Operator::NotEquals => "use `not_in` for several values",
                _ => "join several conditions with `or`",
            };
            let message = format!("`{}` takes one value without parentheses", operator.as_str());
            self.fault(open, message, Some(hint.to_owned()));
            return list.and(None);
        }
        self.value().map(|value| vec![value])
    }

    /// The values of a list. Read to its end also where something in it is wrong.
    fn list(&mut self, operator: Operator, operator_span: Span) -> Option<Vec<Value>> {
        let Some(open) = self.take(&TokenKind::Open) else {
            let hint = format!("write {} (\"a\", \"b\")", operator.as_str());
            let message = format!("`{}` needs a list in parentheses", operator.as_str());
            self.fault(operator_span, message, Some(hint));
            if matches!(self.kind(), TokenKind::Text(_)) {
                self.next();
            }
            self.skip();
            return None;
        };
        if let Some(close) = self.take(&TokenKind::Close) {
            let hint = "write at least one value".to_owned();
            self.fault(open.to(close), "the list is empty", Some(hint));
            return None;
        }
        let mut values = Vec::new();
        loop {
            let value = self.value();
            let is_lost = value.is_none();
            values.push(value);
            if self.take(&TokenKind::Close).is_some() {
                break;
            }
            if let Some(comma) = self.take(&TokenKind::Comma) {
                if self.take(&TokenKind::Close).is_some() {
                    self.fault(comma, "a value is missing after this comma", None);
                    return None;
                }
                continue;
            }
            match self.kind() {
                TokenKind::Text(_) => {
                    let span = self.span();
                    let hint = "write a comma between two values".to_owned();
                    self.fault(span, "a comma is missing before this", Some(hint));
                    values.push(None);
                }
                TokenKind::End => {
                    self.fault(open, "this list is not closed", Some("add a `)`".into()));
                    return None;
                }
                _ => {
                    if !is_lost {
                        self.unexpected();
                    }
                    self.skip_to_close();
                    return None;
                }
            }
        }
        values.into_iter().collect()
    }

    fn value(&mut self) -> Option<Value> {
        match self.kind().clone() {
            TokenKind::Text(text) => {
                let span = self.next();
                Some(Value { text, span })
            }
            TokenKind::Word if self.joint().is_none() => {
                let span = self.next();
                let word = self.part(span);
                let is_pattern = word.len() > 1 && word.starts_with('/') && word.ends_with('/');
                let (message, hint) = if is_pattern {
                    (NO_REGEX, INSTEAD_OF_REGEX.to_owned())
                } else {
                    ("a value is written in double quotes", format!("write {}", short(word)))
                };
                self.fault(span, message, Some(hint));
                None
            }
            _ => {
                let span = self.span();
                self.fault(span, "a value is missing here", Some("write \"value\"".into()));
                None
            }
        }
    }

    /// Says which values nothing can ever have.
    fn warn(&mut self, field: &Field, values: &[Value]) {
        for value in values {
            let (text, shown) = (value.text.as_str(), quoted(&value.text));
            let finding = match field.name {
                FieldName::ResourceStatus => {
                    let known =
                        STATUSES.iter().find(|one| status_word(**one).eq_ignore_ascii_case(text));
                    match known.map(|one| status_word(*one)) {
                        Some("Deleted") => {
                            Some(("deleted resources are never selected".to_owned(), None))
                        }
                        Some(_) => None,
                        None => Some((
                            format!("no resource ever has the status {shown}"),
                            Some("the statuses are Active and Error".to_owned()),
                        )),
                    }
                }
                FieldName::ResourceRiskLevel | FieldName::PermissionRiskLevel => {
                    let hint = nearest(text, RISK_WORDS).map_or_else(
                        || "the levels are low, medium, high and critical".to_owned(),
                        |meant| format!("did you mean \"{meant}\"?"),
                    );
                    let message = || format!("there is no risk level {shown}");
                    parse_risk(text).is_none().then(|| (message(), Some(hint)))
                }
                _ => None,
            };
            if let Some((message, hint)) = finding {
                self.warnings.push(Fault { span: value.span, message, hint });
            }
        }
    }
}

const NO_REGEX: &str = "there are no regular expressions";
const INSTEAD_OF_REGEX: &str = "use contains, starts_with or ends_with";

fn no_operator(word: &str) -> String {
    format!("there is no operator {}", quoted(word))
}

fn not_written_so(word: &str) -> String {
    format!("{} is not written so", quoted(word))
}

/// A value as it is to be written, unless it is too long for a hint.
fn short(word: &str) -> String {
    if word.chars().count() > 40 { "\"…\"".to_owned() } else { written(word) }
}

/// What somebody may have meant by a field that does not exist.
fn meant_field(word: &str) -> Option<String> {
    if let Some((name, key)) = word.split_once('.')
        && let Some(name) = FieldName::parse(name)
        && name.takes_key()
    {
        return Some(format!("did you mean {}[{}]?", name.as_str(), short(key)));
    }
    let meant = nearest(word, FieldName::ALL.iter().map(|name| name.as_str()))?;
    Some(format!("did you mean `{meant}`?"))
}

/// What to use instead of a text operator on a field that is compared as a whole.
fn instead_of(field: FieldName) -> String {
    let text = match field {
        FieldName::Resource => Some(FieldName::ResourceName),
        FieldName::Permission => Some(FieldName::PermissionName),
        FieldName::Integration => Some(FieldName::IntegrationName),
        _ => None,
    };
    match text {
        Some(text) => {
            format!("did you mean `{}`? Otherwise use =, !=, in or not_in", text.as_str())
        }
        None => "use =, !=, in or not_in".to_owned(),
    }
}
