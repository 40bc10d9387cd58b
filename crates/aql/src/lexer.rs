//! From text to tokens. It goes on after an error, so that one answer names them all: a value in
//! the wrong quotes is still a value.

use std::{iter::Peekable, str::CharIndices};

use crate::diagnostic::{Span, is_line_break, quoted};

/// A part of the text with a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Span,
    /// False for a value without its closing quote.
    pub(crate) is_closed: bool,
}

impl Token {
    fn new(kind: TokenKind, span: Span) -> Self {
        Self { kind, span, is_closed: true }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Anything that is no other token: fields, operators, `and`.
    Word,
    /// A value, without its quotes and escapes.
    Text(String),
    /// A run of `=`, `!`, `<`, `>`, `~`, `&` and `|`.
    Sign,
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    Comma,
    /// After everything; its span is empty.
    End,
}

/// What is wrong with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// The tokens of `text`, the last one being [`TokenKind::End`], and what is wrong with them.
pub(crate) fn tokens(text: &str) -> (Vec<Token>, Vec<Fault>) {
    let mut lexer =
        Lexer { rest: text.char_indices().peekable(), tokens: Vec::new(), faults: Vec::new() };
    while let Some((at, character)) = lexer.rest.next() {
        lexer.token(at, character);
    }
    let end = Span { start: text.len(), end: text.len() };
    lexer.tokens.push(Token::new(TokenKind::End, end));
    (lexer.tokens, lexer.faults)
}

struct Lexer<'t> {
    rest: Peekable<CharIndices<'t>>,
    tokens: Vec<Token>,
    faults: Vec<Fault>,
}

/// The character that closes a value which `opening` opened. Only `"` is right; the others are
/// known so that the rest of the text still makes sense.
pub(crate) fn closing(opening: char) -> Option<char> {
    match opening {
        '"' | '\'' | '`' => Some(opening),
        '“' | '”' | '„' => Some('”'),
        '‘' | '’' => Some('’'),
        _ => None,
    }
}

pub(crate) fn is_sign(character: char) -> bool {
    matches!(character, '=' | '!' | '<' | '>' | '~' | '&' | '|')
}

pub(crate) fn is_word(character: char) -> bool {
    let other = character.is_whitespace() || is_sign(character) || closing(character).is_some();
    !other && !matches!(character, '(' | ')' | '[' | ']' | ',')
}

impl Lexer<'_> {
    fn token(&mut self, at: usize, character: char) {
        let end = at + character.len_utf8();
        let single = match character {
            '(' => Some(TokenKind::Open),
            ')' => Some(TokenKind::Close),
            '[' => Some(TokenKind::OpenBracket),
            ']' => Some(TokenKind::CloseBracket),
            ',' => Some(TokenKind::Comma),
            _ => None,
        };
        if let Some(kind) = single {
            self.tokens.push(Token::new(kind, Span { start: at, end }));
        } else if let Some(close) = closing(character) {
            self.value(at, character, close);
        } else if is_sign(character) {
            let end = self.run(end, is_sign);
            self.tokens.push(Token::new(TokenKind::Sign, Span { start: at, end }));
        } else if !character.is_whitespace() {
            let end = self.run(end, is_word);
            self.tokens.push(Token::new(TokenKind::Word, Span { start: at, end }));
        }
    }

    /// Goes on while `belongs`; returns the end.
    fn run(&mut self, mut end: usize, belongs: fn(char) -> bool) -> usize {
        while let Some((at, character)) = self.rest.next_if(|(_, character)| belongs(*character)) {
            end = at + character.len_utf8();
        }
        end
    }

    /// A value, up to its closing quote or the end of the line. `\"` and `\\` stand for the
    /// quote and the backslash; before anything else a backslash is itself.
    fn value(&mut self, start: usize, open: char, close: char) {
        let mut value = String::new();
        let mut end = start + open.len_utf8();
        let mut closed = false;
        while let Some((at, character)) = self.rest.next_if(|(_, next)| !is_line_break(*next)) {
            end = at + character.len_utf8();
            if character == close {
                closed = true;
                break;
            }
            if character == '\\'
                && let Some((at, escaped)) =
                    self.rest.next_if(|(_, next)| *next == close || *next == '\\')
            {
                end = at + escaped.len_utf8();
                value.push(escaped);
                continue;
            }
            value.push(character);
        }
        let span = Span { start, end };
        if open != '"' {
            let hint = closed.then(|| format!("write {}", quoted(&crate::print::value(&value))));
            self.fault(span, "values are written in straight double quotes", hint);
        }
        if !closed {
            let ends_line = self.rest.peek().is_some();
            let message = if ends_line {
                "a value cannot go over the end of a line"
            } else {
                "this value has no closing quote"
            };
            self.fault(span, message, Some(format!("close it with {}", quoted("\""))));
        }
        self.tokens.push(Token { kind: TokenKind::Text(value), span, is_closed: closed });
    }

    fn fault(&mut self, span: Span, message: &str, hint: Option<String>) {
        self.faults.push(Fault { span, message: message.to_owned(), hint });
    }
}
