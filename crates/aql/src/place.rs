//! What may stand at the end of an unfinished text: a walk over its tokens that follows the
//! grammar and, where the text is wrong, finds back into it as the parser does.
//!
//! Invariants: one step a token, so the walk takes linear time; where the text up to here is the
//! beginning of some query, so it is with whatever the place says may follow.

use crate::{
    MAX_DEPTH,
    ast::{Field, FieldName, Operator},
    lexer::{Token, TokenKind},
    parser::joint_of,
};

/// What may come next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A condition; and, unless nesting is at its deepest, `(` or `not`.
    Condition { may_nest: bool },
    /// The bracket of a field that takes a key.
    Bracket(FieldName),
    /// The key within brackets, with the bracket that closes them; of no field if the name before
    /// them is wrong.
    Key(Option<FieldName>),
    /// The bracket after a key.
    BracketEnd,
    /// An operator; of no field if what stands before it is wrong.
    Operator(Option<Field>),
    /// The parenthesis that opens a list.
    List,
    /// A value.
    Value(Option<Field>),
    /// After a value of a list: a comma, or the end of the list.
    ListNext,
    /// After a condition: `and`, `or`, and `)` where one is open.
    Joint { may_close: bool },
    /// Nothing that would make sense of the text.
    Nowhere,
}

/// The place after these tokens of `text`.
pub(crate) fn after(text: &str, tokens: &[Token]) -> Place {
    let mut walk = Walk { levels: Vec::new(), state: State::Condition };
    for token in tokens {
        let word = text.get(token.span.start..token.span.end).unwrap_or_default();
        walk.step(&token.kind, word);
    }
    walk.place()
}

/// What a level of nesting was opened by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Parenthesis,
    Not,
}

/// Where in the grammar the walk is. A field is `None` where it is wrong.
#[derive(Debug, Clone)]
enum State {
    Condition,
    /// After a field's name.
    Name(Option<FieldName>),
    Key(Option<FieldName>),
    BracketEnd(Option<Field>),
    Operator(Option<Field>),
    /// After `not` where an operator is: somebody means `not_in`.
    SplitOperator(Option<Field>),
    List(Option<Field>),
    Value {
        field: Option<Field>,
        in_list: bool,
    },
    ListNext(Option<Field>),
    Joint,
    /// The condition makes no sense; so many parentheses have been opened since.
    Lost(usize),
    /// Nested too deep: the parser reads no further either.
    GivenUp,
}

struct Walk {
    /// What is open, outermost first; never more than [`MAX_DEPTH`].
    levels: Vec<Level>,
    state: State,
}

impl Walk {
    fn place(self) -> Place {
        match self.state {
            State::Condition => Place::Condition { may_nest: self.levels.len() < MAX_DEPTH },
            State::Name(Some(name)) if name.takes_key() => Place::Bracket(name),
            State::Name(name) => Place::Operator(name.map(|name| Field { name, key: None })),
            State::Key(name) => Place::Key(name.filter(|name| name.takes_key())),
            State::BracketEnd(_) => Place::BracketEnd,
            State::Operator(field) => Place::Operator(field),
            State::List(_) => Place::List,
            State::Value { field, .. } => Place::Value(field),
            State::ListNext(_) => Place::ListNext,
            State::Joint => Place::Joint { may_close: self.levels.contains(&Level::Parenthesis) },
            State::SplitOperator(_) | State::Lost(_) | State::GivenUp => Place::Nowhere,
        }
    }

    /// Takes one token. A token that ends what was unfinished before it is looked at again for
    /// what it means after that; each such turn leads nearer to [`State::Lost`], which takes all.
    fn step(&mut self, kind: &TokenKind, word: &str) {
        for _ in 0..4 {
            let state = std::mem::replace(&mut self.state, State::GivenUp);
            let (next, is_taken) = self.next(state, kind, word);
            self.state = next;
            if is_taken {
                return;
            }
        }
    }

    /// The next state, and whether the token was taken.
    fn next(&mut self, state: State, kind: &TokenKind, word: &str) -> (State, bool) {
        match state {
            State::Condition => (self.condition(kind, word), true),
            State::Name(name) if *kind == TokenKind::OpenBracket => (State::Key(name), true),
            State::Name(name) => {
                let name = name.filter(|name| !name.takes_key());
                (State::Operator(name.map(|name| Field { name, key: None })), false)
            }
            State::Key(name) => match kind {
                TokenKind::Text(key) => {
                    let name = name.filter(|name| name.takes_key());
                    let field = name.map(|name| Field { name, key: Some(key.clone()) });
                    (State::BracketEnd(field), true)
                }
                _ => (State::BracketEnd(None), *kind == TokenKind::Word),
            },
            State::BracketEnd(field) => match kind {
                TokenKind::CloseBracket => (State::Operator(field), true),
                _ => (State::Operator(None), false),
            },
            State::Operator(field) => operator(field, kind, word),
            State::SplitOperator(field) => match word {
                "in" => (State::List(field), true),
                "contains" => (State::Value { field, in_list: false }, true),
                _ => (State::Lost(0), false),
            },
            State::List(field) => match kind {
                TokenKind::Open => (State::Value { field, in_list: true }, true),
                _ => (State::Lost(0), false),
            },
            State::Value { field, in_list: false } => match kind {
                TokenKind::Text(_) => (self.done(), true),
                TokenKind::Word if joint_of(kind, word).is_none() => (self.done(), true),
                TokenKind::Open => (State::Value { field, in_list: true }, true),
                _ => (self.done(), false),
            },
            State::Value { field, in_list: true } => match kind {
                TokenKind::Text(_) => (State::ListNext(field), true),
                TokenKind::Word if joint_of(kind, word).is_none() => (State::ListNext(field), true),
                TokenKind::Comma => (State::Value { field, in_list: true }, true),
                TokenKind::Close => (self.done(), true),
                _ => (State::Lost(1), false),
            },
            State::ListNext(field) => match kind {
                TokenKind::Comma => (State::Value { field, in_list: true }, true),
                TokenKind::Text(_) => (State::ListNext(field), true),
                TokenKind::Close => (self.done(), true),
                _ => (State::Lost(1), false),
            },
            State::Joint => match kind {
                TokenKind::Close => (self.close(), true),
                _ if joint_of(kind, word).is_some() => (State::Condition, true),
                TokenKind::Word | TokenKind::Open => (State::Condition, false),
                TokenKind::Sign if word == "!" => (State::Condition, false),
                _ => (State::Lost(0), true),
            },
            State::Lost(opened) => (self.lost(opened, kind, word), true),
            State::GivenUp => (State::GivenUp, true),
        }
    }

    fn condition(&mut self, kind: &TokenKind, word: &str) -> State {
        match kind {
            TokenKind::Open => self.open(Level::Parenthesis),
            TokenKind::Close => self.close(),
            TokenKind::Sign if word == "!" => self.open(Level::Not),
            TokenKind::Word if word.eq_ignore_ascii_case("not") => self.open(Level::Not),
            _ if joint_of(kind, word).is_some() => {
                self.leave_nots();
                State::Condition
            }
            TokenKind::Word => State::Name(FieldName::parse(word)),
            _ => State::Lost(0),
        }
    }

    fn lost(&mut self, opened: usize, kind: &TokenKind, word: &str) -> State {
        match kind {
            TokenKind::Open => State::Lost(opened + 1),
            TokenKind::Close => match opened.checked_sub(1) {
                Some(opened) => State::Lost(opened),
                None => self.close(),
            },
            _ if opened == 0 && joint_of(kind, word).is_some() => {
                self.leave_nots();
                State::Condition
            }
            _ => State::Lost(opened),
        }
    }

    fn open(&mut self, level: Level) -> State {
        if self.levels.len() == MAX_DEPTH {
            return State::GivenUp;
        }
        self.levels.push(level);
        State::Condition
    }

    /// After a whole condition.
    fn done(&mut self) -> State {
        self.leave_nots();
        State::Joint
    }

    /// After a `)`, which may close nothing.
    fn close(&mut self) -> State {
        self.leave_nots();
        self.levels.pop();
        self.done()
    }

    /// A `not` ends with what it is about.
    fn leave_nots(&mut self) {
        while self.levels.last() == Some(&Level::Not) {
            self.levels.pop();
        }
    }
}

/// What follows an operator, also one that is written wrong but clear.
fn operator(field: Option<Field>, kind: &TokenKind, word: &str) -> (State, bool) {
    let found = match kind {
        _ if joint_of(kind, word).is_some() => None,
        TokenKind::Word if word.eq_ignore_ascii_case("not") => {
            return (State::SplitOperator(field), true);
        }
        TokenKind::Word => Operator::parse(&word.to_ascii_lowercase()),
        TokenKind::Sign => match word {
            "=" | "==" => Some(Operator::Equals),
            "!=" | "<>" | "!==" | "=!" => Some(Operator::NotEquals),
            _ => None,
        },
        _ => None,
    };
    match found {
        Some(operator) if operator.takes_list() => (State::List(field), true),
        Some(_) => (State::Value { field, in_list: false }, true),
        None => (State::Lost(0), false),
    }
}
