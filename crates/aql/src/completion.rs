//! What may be written at a place of a query, for whoever is writing one.
//!
//! Invariant: what is offered parses. Where the text before the replaced part is the beginning of
//! some query, so it is with any offered item in that part's place (the greatest length of a query
//! aside); and an offered value or `)` that leaves nothing open makes it a whole query. Any text and any place will do, also broken
//! ones: then the parser goes on somewhere, and so does this.
//!
//! The names that only an inventory knows come from the caller: [`sought`] says which are worth
//! looking up, and [`complete`] offers those that fit of what was found.

use std::collections::HashSet;

use crate::{
    MAX_BYTES,
    ast::{Field, FieldName, Kind, Operator},
    diagnostic::{Span, is_line_break},
    evaluate::{RISK_WORDS, STATUSES, status_word},
    lexer::{TokenKind, closing, is_sign, is_word, tokens},
    place::{self, Place},
    print::value as written,
};

/// The most known keys and values that are offered at once.
pub const MAX_KNOWN: usize = 50;

/// Names that an inventory knows, as far as the caller may see them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Keys of fields that take one.
    pub keys: Vec<KnownKey>,
    /// Values of the field that [`sought`] named.
    pub values: Vec<KnownValue>,
}

/// A key that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// Of which field.
    pub field: FieldName,
    /// The key.
    pub key: String,
}

/// A value that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownValue {
    /// The value.
    pub text: String,
    /// What tells it from others, such as the name that an id belongs to.
    pub detail: Option<String>,
}

/// What to look up for a place. Letter case does not count in `prefix`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sought {
    /// Keys of these fields.
    pub keys_of: Vec<FieldName>,
    /// Values of this field.
    pub values_of: Option<Field>,
    /// What the keys or the values begin with.
    pub prefix: String,
}

/// What may be written at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completions {
    /// The part of the text that an item takes the place of; empty where nothing is begun.
    pub replace: Span,
    /// The items, the likely ones first; each text once.
    pub items: Vec<Completion>,
}

/// Something that may be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The text, quoted and escaped where it has to be.
    pub text: String,
    /// What it is.
    pub kind: CompletionKind,
    /// What it means, or which one it is.
    pub detail: Option<String>,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompletionKind {
    /// A field, with its key where a known one is offered.
    Field,
    /// A key in brackets.
    Key,
    /// An operator.
    Operator,
    /// A value.
    Value,
    /// `and`, `or` or `not`.
    Word,
    /// A parenthesis, a bracket or a comma.
    Sign,
}

impl CompletionKind {
    /// As the API names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Key => "key",
            Self::Operator => "operator",
            Self::Value => "value",
            Self::Word => "word",
            Self::Sign => "sign",
        }
    }
}

/// What to look up before [`complete`] at this place. `cursor` is a place in bytes: beyond the
/// text it means the end, within a character the character's beginning.
pub fn sought(text: &str, cursor: usize) -> Sought {
    let Some(spot) = Spot::of(text, cursor) else { return Sought::default() };
    let prefix = spot.begun.text.clone();
    match spot.place {
        Place::Condition { .. } => Sought {
            keys_of: keyed().filter(|name| begins(name.as_str(), &prefix)).collect(),
            ..Sought::default()
        },
        Place::Bracket(name) if prefix.is_empty() => {
            Sought { keys_of: vec![name], ..Sought::default() }
        }
        Place::Key(Some(name)) => Sought { keys_of: vec![name], prefix, ..Sought::default() },
        Place::Value(field) => {
            let field = field.filter(|field| closed_set(field.name).is_none());
            Sought { prefix, values_of: field, ..Sought::default() }
        }
        _ => Sought::default(),
    }
}

/// What may be written at this place; see [`sought`] for `cursor`. `known` may hold more than was
/// sought.
pub fn complete(text: &str, cursor: usize, known: &Known) -> Completions {
    let Some(spot) = Spot::of(text, cursor) else {
        let at = text.floor_char_boundary(cursor);
        return Completions { replace: Span { start: at, end: at }, items: Vec::new() };
    };
    let mut offer = Offer { begun: &spot.begun, items: Vec::new(), texts: HashSet::new() };
    offer.at(&spot.place, spot.is_before_bracket(text), known);
    let Offer { mut items, .. } = offer;
    let replace = spot.replaced(text);
    let rest = text.len() - (replace.end - replace.start);
    let next = text.get(replace.end..).and_then(|rest| rest.chars().next());
    for item in &mut items {
        if let (Some(last), Some(next)) = (item.text.chars().last(), next)
            && (is_word(last) && is_word(next) || is_sign(last) && is_sign(next))
        {
            // Without it the two would be read as one.
            item.text.push(' ');
        }
    }
    items.retain(|item| rest + item.text.len() <= MAX_BYTES);
    Completions { replace, items }
}

/// What is written already of what is to be completed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Begun {
    kind: BegunKind,
    /// Without quotes and escapes.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BegunKind {
    Nothing,
    Word,
    Sign,
    /// A value that the closing quote would end.
    Quoted(char),
}

/// A place in a text.
struct Spot {
    place: Place,
    begun: Begun,
    /// Where `begun` begins.
    start: usize,
    cursor: usize,
}

impl Spot {
    /// `None` for a text that is too long to be a query.
    fn of(text: &str, cursor: usize) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let cursor = text.floor_char_boundary(cursor);
        let before = text.get(..cursor)?;
        let (mut tokens, _) = tokens(before);
        // The mark of the end.
        tokens.pop();
        let mut begun = Begun { kind: BegunKind::Nothing, text: String::new() };
        let mut start = cursor;
        if let Some(last) = tokens.pop_if(|last| last.span.end == cursor && is_begun(last, before))
        {
            start = last.span.start;
            let raw = before.get(start..).unwrap_or_default();
            begun = match last.kind {
                TokenKind::Text(content) => {
                    let close = raw.chars().next().and_then(closing).unwrap_or('"');
                    // Of a backslash that nothing follows yet it is not known what it will be.
                    let pending = usize::from(has_pending_backslash(raw));
                    let content = content.get(..content.len().saturating_sub(pending));
                    let text = content.unwrap_or_default().to_owned();
                    Begun { kind: BegunKind::Quoted(close), text }
                }
                TokenKind::Sign => Begun { kind: BegunKind::Sign, text: raw.to_owned() },
                _ => Begun { kind: BegunKind::Word, text: raw.to_owned() },
            };
        }
        Some(Self { place: place::after(before, &tokens), begun, start, cursor })
    }

    /// What an item takes the place of: what is begun, with the rest of it after the cursor.
    fn replaced(&self, text: &str) -> Span {
        let rest = text.get(self.cursor..).unwrap_or_default();
        let run = |belongs: fn(char) -> bool| rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        let mut length = match self.begun.kind {
            BegunKind::Nothing => 0,
            BegunKind::Word => run(is_word),
            BegunKind::Sign => run(is_sign),
            BegunKind::Quoted(close) => {
                let raw = text.get(self.start..self.cursor).unwrap_or_default();
                closing_quote(rest, close, has_pending_backslash(raw))
                    .unwrap_or_else(|| run(is_word))
            }
        };
        if matches!(self.place, Place::Key(_) | Place::Bracket(_))
            && self.begun.kind != BegunKind::Nothing
        {
            // The items close the bracket themselves.
            let after = rest.get(length..).unwrap_or_default();
            if let Some(further) = after.trim_start().strip_prefix(']') {
                length = rest.len() - further.len();
            }
        }
        Span { start: self.start, end: self.cursor + length }
    }

    /// Whether the bracket that a field with a key needs is there already.
    fn is_before_bracket(&self, text: &str) -> bool {
        let after = text.get(self.replaced(text).end..).unwrap_or_default();
        after.trim_start().starts_with('[')
    }
}

/// Whether a token before the cursor may still be written on.
fn is_begun(token: &crate::lexer::Token, before: &str) -> bool {
    match &token.kind {
        TokenKind::Word => true,
        // No operator is longer than these.
        TokenKind::Sign => {
            !matches!(before.get(token.span.start..token.span.end), Some("=" | "!="))
        }
        TokenKind::Text(_) => !token.is_closed,
        _ => false,
    }
}

/// Whether a value without its closing quote ends in a backslash that escapes what comes next.
fn has_pending_backslash(raw: &str) -> bool {
    raw.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1
}

/// Where the value that the cursor is in ends, from the cursor; `None` if it was left open. Of an
/// even number of quotes in the rest of the line each two belong together, so none is its own.
fn closing_quote(rest: &str, close: char, mut is_escaped: bool) -> Option<usize> {
    let mut first = None;
    let mut quotes = 0_usize;
    for (at, character) in rest.char_indices().take_while(|(_, c)| !is_line_break(*c)) {
        if character == close && !is_escaped {
            quotes += 1;
            first = first.or(Some(at + close.len_utf8()));
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    first.filter(|_| quotes % 2 == 1)
}

/// A name in quotes, with what tells it from others.
type Named<'k> = (&'k str, Option<&'k str>);

/// The items that fit what is begun.
struct Offer<'s> {
    begun: &'s Begun,
    items: Vec<Completion>,
    texts: HashSet<String>,
}

impl Offer<'_> {
    fn at(&mut self, place: &Place, is_before_bracket: bool, known: &Known) {
        match place {
            Place::Condition { may_nest } => {
                self.fields(is_before_bracket, known);
                if *may_nest {
                    self.word("not", "everything but what follows");
                    self.sign("(", "begins a group");
                }
            }
            Place::Bracket(name) => {
                let keys = known.keys.iter().filter(|known| known.field == *name);
                for KnownKey { key, .. } in keys.take(MAX_KNOWN).filter(|known| fits(&known.key)) {
                    self.spelled(format!("[{}]", written(key)), CompletionKind::Key, None);
                }
                self.spelled("[\"".to_owned(), CompletionKind::Sign, Some("begins a key"));
            }
            Place::Key(Some(name)) => {
                let keys = known.keys.iter().filter(|known| known.field == *name);
                for (key, _) in self.fitting(keys.map(|known| (known.key.as_str(), None))) {
                    self.push(format!("{}]", written(key)), CompletionKind::Key, None);
                }
            }
            Place::BracketEnd => self.sign("]", "ends the key"),
            Place::Operator(field) => {
                let kind = field.as_ref().map(|field| field.name.kind());
                for operator in Operator::ALL {
                    if !operator.needs_text() || kind == Some(Kind::Text) {
                        let text = operator.as_str().to_owned();
                        self.spelled(text, CompletionKind::Operator, Some(operator.about()));
                    }
                }
            }
            Place::List => self.sign("(", "begins the list"),
            Place::Value(field) => self.values(field.as_ref(), known),
            Place::ListNext => {
                self.sign(",", "goes on to another value");
                self.sign(")", "ends the list");
            }
            Place::Joint { may_close } => {
                self.word("and", "both have to hold");
                self.word("or", "one of the two has to hold");
                if *may_close {
                    self.sign(")", "ends the group");
                }
            }
            Place::Key(None) | Place::Nowhere => {}
        }
    }

    fn fields(&mut self, is_before_bracket: bool, known: &Known) {
        for name in FieldName::ALL {
            let (word, about) = (name.as_str(), Some(name.about()));
            if !name.takes_key() || is_before_bracket {
                self.spelled(word.to_owned(), CompletionKind::Field, about);
                continue;
            }
            let keys = known.keys.iter().filter(|known| known.field == *name);
            for KnownKey { key, .. } in keys.take(MAX_KNOWN).filter(|known| fits(&known.key)) {
                let text = format!("{word}[{}]", written(key));
                self.spelled(text, CompletionKind::Field, about);
            }
            self.spelled(format!("{word}[\""), CompletionKind::Field, about);
        }
    }

    fn values(&mut self, field: Option<&Field>, known: &Known) {
        let Some(field) = field else { return };
        let fitting = if let Some(words) = closed_set(field.name) {
            self.fitting(words.into_iter().map(|word| (word, None)))
        } else {
            let values = known.values.iter();
            self.fitting(values.map(|value| (value.text.as_str(), value.detail.as_deref())))
        };
        for (value, detail) in fitting {
            self.push(written(value), CompletionKind::Value, detail);
        }
    }

    /// Of names in quotes, with what tells them apart, those that begin as what is begun; those in
    /// the same letter case first.
    fn fitting<'k>(&self, known: impl Iterator<Item = Named<'k>>) -> Vec<Named<'k>> {
        if self.begun.kind == BegunKind::Sign {
            return Vec::new();
        }
        let begun = self.begun.text.as_str();
        let can = known.filter(|(name, _)| fits(name) && begins(name, begun));
        let (mut fitting, others): (Vec<_>, Vec<_>) =
            can.partition(|(name, _)| name.starts_with(begun));
        fitting.extend(others);
        fitting.truncate(MAX_KNOWN);
        fitting
    }

    fn word(&mut self, text: &str, about: &str) {
        self.spelled(text.to_owned(), CompletionKind::Word, Some(about));
    }

    fn sign(&mut self, text: &str, about: &str) {
        self.spelled(text.to_owned(), CompletionKind::Sign, Some(about));
    }

    /// What is written as it is, if it begins as what is begun.
    fn spelled(&mut self, text: String, kind: CompletionKind, detail: Option<&str>) {
        let is_quoted = matches!(self.begun.kind, BegunKind::Quoted(_));
        if !is_quoted && begins(&text, &self.begun.text) {
            self.push(text, kind, detail);
        }
    }

    fn push(&mut self, text: String, kind: CompletionKind, detail: Option<&str>) {
        if self.texts.insert(text.clone()) {
            self.items.push(Completion { text, kind, detail: detail.map(str::to_owned) });
        }
    }
}

/// The fields that take a key.
fn keyed() -> impl Iterator<Item = FieldName> {
    FieldName::ALL.iter().copied().filter(|name| name.takes_key())
}

/// Every value that a field can have and that selects something, where that is the language's own.
fn closed_set(field: FieldName) -> Option<Vec<&'static str>> {
    match field {
        FieldName::ResourceStatus => {
            let words = STATUSES.into_iter().map(status_word);
            // Deleted resources are never selected.
            Some(words.filter(|word| *word != "Deleted").collect())
        }
        FieldName::ResourceRiskLevel | FieldName::PermissionRiskLevel => Some(RISK_WORDS.to_vec()),
        _ => None,
    }
}

/// Whether a name can be written as a value at all.
fn fits(name: &str) -> bool {
    !name.contains(is_line_break)
}

/// Whether `text` begins with `begun`, letter case aside.
fn begins(text: &str, begun: &str) -> bool {
    let mut text = text.chars().flat_map(char::to_lowercase);
    begun.chars().flat_map(char::to_lowercase).all(|one| text.next() == Some(one))
}
