//! What may be written next in a query, with the names that the inventory knows: for whoever
//! writes one.
//!
//! Invariant: bounded work. Only what the place in the query asks for is looked up, and of that no
//! more than is offered.

use latchkey_aql::{
    Completions, Field, FieldName, Known, KnownKey, KnownValue, MAX_KNOWN, complete, sought,
};
use latchkey_store::{Facts, Name, Named, Tx};

use crate::{App, actor::Actor, authorization::Operation, error::AppError};

/// Where somebody is writing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompleteQuery {
    /// The text so far; it need not be a query.
    pub query: String,
    /// The place, in bytes from the beginning; `None` for the end.
    pub cursor: Option<usize>,
}

/// Says what may be written at a place of a query. A text that is no query, or too long to be
/// one, is no error here.
pub async fn complete_access_scope(
    app: &App,
    actor: &Actor,
    command: &CompleteQuery,
) -> Result<Completions, AppError> {
    actor.require(Operation::CompleteAccessScope)?;
    let text = command.query.as_str();
    let cursor = command.cursor.unwrap_or(text.len());
    let sought = sought(text, cursor);
    let mut known = Known::default();
    if !sought.keys_of.is_empty() || sought.values_of.is_some() {
        known = app
            .store()
            .read(async |tx| -> Result<Known, AppError> {
                let mut known = Known::default();
                for field in &sought.keys_of {
                    known.keys.extend(keys(tx, *field, &sought.prefix).await?);
                }
                if let Some(field) = &sought.values_of {
                    known.values = values(tx, field, &sought.prefix).await?;
                }
                Ok(known)
            })
            .await?;
    }
    Ok(complete(text, cursor, &known))
}

/// How many names are looked up.
fn most() -> u32 {
    u32::try_from(MAX_KNOWN).unwrap_or(u32::MAX)
}

async fn keys(tx: &mut Tx, field: FieldName, prefix: &str) -> Result<Vec<KnownKey>, AppError> {
    let Source::Facts(facts) = source(field) else { return Ok(Vec::new()) };
    let keys = tx.find_fact_keys(facts, prefix, most()).await?;
    Ok(keys.into_iter().map(|key| KnownKey { field, key }).collect())
}

async fn values(tx: &mut Tx, field: &Field, prefix: &str) -> Result<Vec<KnownValue>, AppError> {
    match source(field.name) {
        Source::Names(named) => {
            let found = tx.find_names(named, prefix, most()).await?;
            let value = |Name { text, detail }| KnownValue { text, detail };
            Ok(found.into_iter().map(value).collect())
        }
        Source::Facts(facts) => {
            let key = field.key.as_deref().unwrap_or_default();
            let values = tx.find_fact_values(facts, key, prefix, most()).await?;
            Ok(values.into_iter().map(|text| KnownValue { text, detail: None }).collect())
        }
        Source::Nothing => Ok(Vec::new()),
    }
}

/// Where what a field can hold is known.
enum Source {
    Names(Named),
    Facts(Facts),
    /// The language knows it, or nobody does.
    Nothing,
}

fn source(field: FieldName) -> Source {
    match field {
        FieldName::Resource => Source::Names(Named::Resource),
        FieldName::ResourceType => Source::Names(Named::ResourceType),
        FieldName::ResourceName => Source::Names(Named::ResourceName),
        FieldName::ResourcePath => Source::Names(Named::ResourcePath),
        FieldName::ResourceSourceId => Source::Names(Named::ResourceSourceId),
        FieldName::Permission => Source::Names(Named::Permission),
        FieldName::PermissionName => Source::Names(Named::PermissionName),
        FieldName::Integration | FieldName::IntegrationName => Source::Names(Named::Integration),
        FieldName::ResourceTag => Source::Facts(Facts::Tags),
        FieldName::ResourceContext => Source::Facts(Facts::Context),
        // Discovery finds neither tags nor facts of permissions.
        FieldName::PermissionTag
        | FieldName::PermissionContext
        | FieldName::ResourceStatus
        | FieldName::ResourceRiskLevel
        | FieldName::PermissionRiskLevel => Source::Nothing,
    }
}
