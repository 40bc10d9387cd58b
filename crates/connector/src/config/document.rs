//! Reading TOML so that every complaint names its line, and an unknown key its nearest match.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// Names further apart than this are not offered as a match.
const NEAR: f64 = 0.7;

/// Where in the file something stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    line: usize,
}

impl Place {
    fn of(text: &str, span: &Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or_default();
        Self { line: before.matches('\n').count() + 1 }
    }

    pub(super) fn error(self, message: &str) -> ConfigError {
        ConfigError::Line { line: self.line, message: message.to_owned() }
    }
}

/// A table of the file.
#[derive(Debug)]
pub(super) struct Section<'a> {
    text: &'a str,
    name: String,
    table: &'a DeTable<'a>,
}

/// Parses `text` and hands over its tables, which must be among `known`.
pub(super) fn sections(
    text: &str,
    known: &[&str],
    mut take: impl FnMut(Section<'_>) -> Result<(), ConfigError>,
) -> Result<(), ConfigError> {
    let parsed = DeTable::parse(text).map_err(|error| {
        let place = Place::of(text, &error.span().unwrap_or_default());
        place.error(error.message())
    })?;
    let root = Section { text, name: String::new(), table: parsed.get_ref() };
    root.only(known)?;
    for name in root.keys() {
        take(root.section(name)?)?;
    }
    Ok(())
}

impl<'a> Section<'a> {
    /// The table's name, without those around it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The keys in it.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.table.keys().map(|key| key.get_ref().as_ref())
    }

    /// Refuses keys other than these.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), ConfigError> {
        let unknown = self.table.keys().find(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(unknown) = unknown else { return Ok(()) };
        let key = unknown.get_ref().as_ref();
        let place = Place::of(self.text, &unknown.span());
        let within =
            if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
        let nearest = known
            .iter()
            .map(|known| (strsim::jaro_winkler(known, key), known))
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .filter(|(likeness, _)| *likeness >= NEAR);
        let hint = match nearest {
            Some((_, nearest)) => format!("did you mean `{nearest}`?"),
            None => format!("the keys here are {}", known.join(", ")),
        };
        let key = key.escape_debug();
        Err(place.error(&format!("unknown key `{key}`{within}; {hint}")))
    }

    /// A table within this one.
    pub(super) fn section(&self, key: &str) -> Result<Section<'a>, ConfigError> {
        let name =
            if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        match self.value(key) {
            Some((DeValue::Table(table), _)) => Ok(Section { text: self.text, name, table }),
            Some((_, place)) => Err(place.error(&format!("`{key}` is a table: write [{name}]"))),
            None => Err(Place { line: 1 }.error(&format!("the table [{name}] is missing"))),
        }
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<(&'a str, Place)>, ConfigError> {
        match self.value(key) {
            None => Ok(None),
            Some((DeValue::String(text), place)) => Ok(Some((text.as_ref(), place))),
            Some((_, place)) => Err(place.error(&format!("`{key}` is a text in quotes"))),
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<(&'a str, Place)>>, ConfigError> {
        let wrong = |place: Place| place.error(&format!("`{key}` is a list of texts in quotes"));
        let items = match self.value(key) {
            None => return Ok(None),
            Some((DeValue::Array(items), _)) => items,
            Some((_, place)) => return Err(wrong(place)),
        };
        let texts = items.iter().map(|item| {
            let place = Place::of(self.text, &item.span());
            match item.get_ref() {
                DeValue::String(text) => Ok((text.as_ref(), place)),
                _ => Err(wrong(place)),
            }
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// Yes or no.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        match self.value(key) {
            None => Ok(None),
            Some((DeValue::Boolean(flag), _)) => Ok(Some(*flag)),
            Some((_, place)) => Err(place.error(&format!("`{key}` is true or false"))),
        }
    }

    fn value(&self, key: &str) -> Option<(&'a DeValue<'a>, Place)> {
        let value = self.table.get(key)?;
        Some((value.get_ref(), Place::of(self.text, &value.span())))
    }
}
