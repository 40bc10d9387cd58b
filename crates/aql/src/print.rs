//! From the tree back to text: on one line by `Display`, or laid out by [`Query::format`].
//!
//! Invariant: what is printed parses to the same tree.

use std::fmt::{self, Write as _};

use crate::ast::{Condition, Expr, Field, Query};

/// The widest line that the layout leaves whole, in characters.
const WIDTH: usize = 80;
/// What a level is indented by.
const INDENT: &str = "  ";

/// A value as it is written: quoted, with the quote and the backslash escaped.
pub(crate) fn value(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            written.push('\\');
        }
        written.push(character);
    }
    written.push('"');
    written
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expr.fmt(f)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition(condition) => condition.fmt(f),
            Self::Not(inner) if inner.is_compound() => write!(f, "not ({inner})"),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::And(parts) | Self::Or(parts) => {
                for (at, part) in parts.iter().enumerate() {
                    if at > 0 {
                        write!(f, " {} ", self.joint())?;
                    }
                    if self.encloses(part) { write!(f, "({part})")? } else { part.fmt(f)? }
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.field, self.operator.as_str())?;
        let values: Vec<String> = self.values.iter().map(|text| value(text)).collect();
        let values = values.join(", ");
        if self.operator.takes_list() { write!(f, "({values})") } else { f.write_str(&values) }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_str())?;
        self.key.as_deref().map_or(Ok(()), |key| write!(f, "[{}]", value(key)))
    }
}

impl Expr {
    fn is_compound(&self) -> bool {
        matches!(self, Self::And(_) | Self::Or(_))
    }

    /// The word between the parts.
    fn joint(&self) -> &'static str {
        if matches!(self, Self::Or(_)) { "or" } else { "and" }
    }

    /// Whether `part` needs parentheses within this. An `and` within an `or` does not; anything
    /// else that is compound would be read differently without.
    fn encloses(&self, part: &Self) -> bool {
        match self {
            Self::Or(_) => matches!(part, Self::Or(_)),
            _ => part.is_compound(),
        }
    }
}

impl Query {
    /// The query laid out: on one line if it fits, otherwise a line for each part.
    pub fn format(&self) -> String {
        let mut text = String::new();
        lay_out(&self.expr, "", 0, &mut text);
        text
    }
}

/// Writes `expr` at `level`, after `lead` (such as `and `), without a line break at the end.
fn lay_out(expr: &Expr, lead: &str, level: usize, text: &mut String) {
    let indent = INDENT.repeat(level);
    let line = expr.to_string();
    if indent.len() + lead.len() + line.chars().count() <= WIDTH {
        let _ = write!(text, "{indent}{lead}{line}");
        return;
    }
    match expr {
        Expr::And(parts) | Expr::Or(parts) => {
            for (at, part) in parts.iter().enumerate() {
                let joint = format!("{} ", expr.joint());
                let lead = if at == 0 { lead } else { joint.as_str() };
                if at > 0 {
                    text.push('\n');
                }
                // An `and` within an `or` is told apart by parentheses once it takes lines.
                let fits = part.to_string().chars().count() + indent.len() + lead.len() <= WIDTH;
                if expr.encloses(part) {
                    enclose(part, lead, level, text);
                } else if part.is_compound() && !fits {
                    lay_out_inner(part, lead, level, text);
                } else {
                    lay_out(part, lead, level, text);
                }
            }
        }
        Expr::Not(inner) if inner.is_compound() => {
            enclose(inner, &format!("{lead}not "), level, text);
        }
        Expr::Not(inner) => lay_out(inner, &format!("{lead}not "), level, text),
        Expr::Condition(condition) if condition.operator.takes_list() => {
            let Condition { field, operator, values } = condition;
            let _ = writeln!(text, "{indent}{lead}{field} {} (", operator.as_str());
            for (at, one) in values.iter().enumerate() {
                let comma = if at + 1 < values.len() { "," } else { "" };
                let _ = writeln!(text, "{indent}{INDENT}{}{comma}", value(one));
            }
            let _ = write!(text, "{indent})");
        }
        Expr::Condition(_) => {
            let _ = write!(text, "{indent}{lead}{line}");
        }
    }
}

/// An `and` without parentheses of its own, whose further lines are indented.
fn lay_out_inner(expr: &Expr, lead: &str, level: usize, text: &mut String) {
    let Expr::And(parts) = expr else { return lay_out(expr, lead, level, text) };
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        let (lead, level) = if at == 0 { (lead, level) } else { ("and ", level + 1) };
        if expr.encloses(part) {
            enclose(part, lead, level, text);
        } else {
            lay_out(part, lead, level, text);
        }
    }
}

fn enclose(expr: &Expr, lead: &str, level: usize, text: &mut String) {
    let indent = INDENT.repeat(level);
    let line = format!("{indent}{lead}({expr})");
    if line.chars().count() <= WIDTH {
        text.push_str(&line);
        return;
    }
    let _ = writeln!(text, "{indent}{lead}(");
    lay_out(expr, "", level + 1, text);
    let _ = write!(text, "\n{indent})");
}
