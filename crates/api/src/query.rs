//! Query parameters: arrays are repeated keys, several values mean "or".
//!
//! Parameters nobody asked for are ignored, as unknown members of a body are. A parameter that
//! takes one value and is given twice is refused rather than half read.

use std::{collections::BTreeMap, fmt};

use aide::{
    OperationInput,
    generate::GenContext,
    openapi::{Operation, Response as ResponseDoc, StatusCode as Code},
    operation::{ParamLocation, add_parameters, parameters_from_schema},
};
use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use percent_encoding::percent_decode_str;
use schemars::JsonSchema;
use serde::{
    Deserialize,
    de::{self, DeserializeOwned, IntoDeserializer, Visitor, value::MapDeserializer},
    forward_to_deserialize_any,
};

use crate::error::{ApiError, documented};

/// The query parameters of an operation that is no list.
#[derive(Debug)]
pub struct Query<T>(pub T);

/// The `{id}` of a path.
#[derive(Debug)]
pub struct Id(pub String);

/// Several places of a path.
#[derive(Debug)]
pub struct Places<T>(pub T);

/// Parameters by name, each with its values in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameters(BTreeMap<String, Vec<String>>);

impl Parameters {
    /// Reads a query string.
    pub(crate) fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            parameters.entry(name).or_default().push(value);
        }
        Ok(Self(parameters))
    }

    /// Takes a parameter that has one value.
    pub(crate) fn take_one(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let Some(values) = self.0.remove(name) else { return Ok(None) };
        match <[String; 1]>::try_from(values) {
            Ok([value]) => Ok(Some(value)),
            Err(_) => Err(ApiError::field(name, "is given more than once")),
        }
    }

    /// Reads the parameters into a struct whose lists are `#[serde(default)]`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        let entries = self.0.iter().map(|(name, values)| (name.as_str(), Values { name, values }));
        T::deserialize(MapDeserializer::new(entries)).map_err(|error: Refused| match error.field {
            Some(field) => ApiError::field(field, error.message),
            None => match error.message.strip_prefix("missing field `") {
                Some(rest) => ApiError::field(rest.trim_end_matches('`'), "is required"),
                None => ApiError::bad_request(error.message),
            },
        })
    }
}

fn decode(text: &str) -> Result<String, ApiError> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced)
        .decode_utf8()
        .map_err(|_| ApiError::bad_request("the query string is not UTF-8"))?;
    if decoded.contains('\0') {
        return Err(ApiError::bad_request("the query string holds a zero character"));
    }
    Ok(decoded.into_owned())
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Parameters::parse(parts.uri.query().unwrap_or_default())?.read().map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Places(IdPlace { id }) = Places::from_request_parts(parts, state).await?;
        Ok(Self(id))
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Places<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if parts.uri.path().contains("%00") {
            return Err(ApiError::bad_request("the path holds a zero character"));
        }
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(places)| Self(places))
            .map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

#[derive(Deserialize, JsonSchema)]
struct IdPlace {
    /// Id of the object.
    id: String,
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        document::<T>(ctx, operation, ParamLocation::Query);
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<Code>, ResponseDoc)> {
        vec![documented(ctx, 400, "A parameter is malformed or breaks a rule.")]
    }
}

impl OperationInput for Id {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        document::<IdPlace>(ctx, operation, ParamLocation::Path);
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        _: &mut Operation,
    ) -> Vec<(Option<Code>, ResponseDoc)> {
        vec![documented(ctx, 404, "No object with this id, or none that the caller may see.")]
    }
}

impl<T: JsonSchema> OperationInput for Places<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        document::<T>(ctx, operation, ParamLocation::Path);
    }

    fn inferred_early_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<Code>, ResponseDoc)> {
        let mut answers = Id::inferred_early_responses(ctx, operation);
        answers.push(documented(ctx, 400, "A part of the path is malformed."));
        answers
    }
}

/// Documents the members of `T` as parameters, without leaving `T` among the schemas.
pub(crate) fn document<T: JsonSchema>(
    ctx: &mut GenContext,
    operation: &mut Operation,
    location: ParamLocation,
) {
    let schema = T::json_schema(&mut ctx.schema);
    let parameters = parameters_from_schema(ctx, schema, location);
    add_parameters(ctx, operation, parameters);
}

/// The values of one parameter, as a deserializer.
struct Values<'a> {
    name: &'a str,
    values: &'a [String],
}

/// Why a parameter was refused.
#[derive(Debug)]
struct Refused {
    field: Option<String>,
    message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl de::Error for Refused {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self { field: None, message: message.to_string() }
    }
}

impl<'a> Values<'a> {
    fn refuse(&self, message: impl Into<String>) -> Refused {
        Refused { field: Some(self.name.to_owned()), message: message.into() }
    }

    fn one(&self) -> Result<&'a str, Refused> {
        match self.values {
            [value] => Ok(value),
            _ => Err(self.refuse("is given more than once")),
        }
    }

    fn number<N: std::str::FromStr>(&self) -> Result<N, Refused> {
        let text = self.one()?;
        text.parse().map_err(|_| self.refuse(format!("{text:?} is no whole number in range")))
    }
}

macro_rules! numbers {
    ($($method:ident $visit:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
            visitor.$visit(self.number()?)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Values<'_> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_str(self.one()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_some(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.one()? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            other => Err(self.refuse(format!("{other:?} is neither true nor false"))),
        }
    }

    numbers!(
        deserialize_i32 visit_i32, deserialize_i64 visit_i64,
        deserialize_u32 visit_u32, deserialize_u64 visit_u64
    );

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        let one_by_one = self
            .values
            .iter()
            .map(|value| Values { name: self.name, values: std::slice::from_ref(value) });
        visitor.visit_seq(de::value::SeqDeserializer::new(one_by_one))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        let word: de::value::StrDeserializer<'_, Refused> = self.one()?.into_deserializer();
        let read = de::Deserializer::deserialize_enum(word, name, variants, visitor);
        read.map_err(|error| self.refuse(error.message))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct map struct identifier
    }
}

impl<'a> IntoDeserializer<'_, Refused> for Values<'a> {
    type Deserializer = Values<'a>;

    fn into_deserializer(self) -> Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Filters {
        #[serde(default)]
        status: Vec<String>,
        name: Option<String>,
        skip: Option<i32>,
    }

    fn read(query: &str) -> Result<Filters, String> {
        let parameters = Parameters::parse(query)
            .map_err(|error| error.body())
            .map_err(|body| serde_json::to_string(&body).unwrap())?;
        parameters.read().map_err(|error| serde_json::to_string(&error.body()).unwrap())
    }

    #[test]
    fn lists_are_repeated_keys_and_never_split_at_commas() {
        let filters = read("status=A&status=B,C&name=%2Aprod%2A&skip=5&unknown=1").unwrap();
        assert_eq!(
            filters,
            Filters {
                status: vec!["A".into(), "B,C".into()],
                name: Some("*prod*".into()),
                skip: Some(5)
            }
        );
    }

    #[test]
    fn a_single_value_given_twice_is_refused_by_name() {
        let text = read("name=a&name=b").unwrap_err();
        assert!(text.contains(r#""field":"name""#), "{text}");
    }

    #[test]
    fn a_number_that_is_none_is_refused_by_name() {
        for bad in ["x", "1.5", "1e3", "99999999999", ""] {
            let text = read(&format!("skip={bad}")).unwrap_err();
            assert!(text.contains(r#""field":"skip""#), "{bad}: {text}");
        }
    }

    #[test]
    fn zero_characters_and_broken_utf8_are_refused() {
        assert!(read("name=a%00b").unwrap_err().contains("zero character"));
        assert!(read("name=%ff").unwrap_err().contains("UTF-8"));
    }
}
