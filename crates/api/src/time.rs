//! Times and lengths of time on the wire: RFC 3339 text in UTC on the public API, seconds with
//! nine digits on the client API, and durations as whole seconds that fit 32 bits.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

/// A point in time: RFC 3339 text in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub jiff::Timestamp);

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        Self(time)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "Point in time, RFC 3339 text in UTC.",
            "examples": ["2022-03-10T16:15:50Z"],
        })
    }
}

/// A point in time as a JSON number: Unix seconds with exactly nine digits of fraction. Some
/// clients split the number at the dot and read the right part as nanoseconds, so it is written
/// digit by digit and never as a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochSeconds(pub jiff::Timestamp);

impl From<jiff::Timestamp> for EpochSeconds {
    fn from(time: jiff::Timestamp) -> Self {
        Self(time)
    }
}

impl Serialize for EpochSeconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = self.0.as_nanosecond();
        let (seconds, fraction) =
            (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
        let number = RawValue::from_string(format!("{seconds}.{fraction:09}"));
        number.map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl JsonSchema for EpochSeconds {
    fn schema_name() -> Cow<'static, str> {
        "EpochSeconds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "format": "double",
            "description": "Unix time in seconds with nine digits after the dot.",
            "examples": [1_767_225_600.25],
        })
    }
}

/// A length of time that a caller asks for: whole seconds, 1 to 2,147,483,647.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationSec(i32);

impl DurationSec {
    /// The seconds.
    pub fn seconds(self) -> i64 {
        i64::from(self.0)
    }
}

impl<'de> Deserialize<'de> for DurationSec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;

        impl Seconds {
            fn take<E: de::Error>(
                number: Option<i32>,
                given: &dyn std::fmt::Display,
            ) -> Result<i32, E> {
                number.filter(|seconds| *seconds >= 1).ok_or_else(|| {
                    E::custom(format!(
                        "{given} is no whole number of seconds from 1 to {}",
                        i32::MAX
                    ))
                })
            }
        }

        impl de::Visitor<'_> for Seconds {
            type Value = i32;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a whole number of seconds from 1 to {}", i32::MAX)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<i32, E> {
                Self::take(i32::try_from(number).ok(), &number)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<i32, E> {
                Self::take(i32::try_from(number).ok(), &number)
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<i32, E> {
                Self::take(None, &number)
            }
        }

        deserializer.deserialize_i32(Seconds).map(Self)
    }
}

impl JsonSchema for DurationSec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "DurationSec".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "integer", "format": "int32", "minimum": 1})
    }
}

/// A stored length of time on the wire, whose numbers have 32 bits.
pub(crate) fn seconds32(seconds: i64) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Asked {
        duration_in_sec: Option<DurationSec>,
    }

    fn read(number: &str) -> Result<Option<i64>, String> {
        let body = format!(r#"{{"duration_in_sec": {number}}}"#);
        let asked = crate::body::parse::<Asked>(body.as_bytes());
        asked
            .map(|asked| asked.duration_in_sec.map(DurationSec::seconds))
            .map_err(|error| serde_json::to_string(&error.body()).unwrap())
    }

    #[test]
    fn durations_are_whole_seconds_that_fit() {
        assert_eq!(read("1"), Ok(Some(1)));
        assert_eq!(read("2147483647"), Ok(Some(2_147_483_647)));
        assert_eq!(read("null"), Ok(None));
        let bad = [
            "0",
            "-1",
            "-0.5",
            "1.5",
            "1e18",
            "1e400",
            "2147483648",
            "18446744073709551616",
            "\"1\"",
            "true",
        ];
        for number in bad {
            let text = read(number).unwrap_err();
            assert!(text.contains(r#""status":"400""#), "{number}: {text}");
        }
        for number in ["NaN", "Infinity", "-NaN", "+1"] {
            let text = read(number).unwrap_err();
            assert!(text.contains("malformed JSON at line 1"), "{number}: {text}");
        }
    }

    #[test]
    fn a_duration_that_does_not_fit_is_named() {
        let text = read("1e18").unwrap_err();
        assert!(text.contains(r#""field":"duration_in_sec""#), "{text}");
        assert!(text.contains("1000000000000000000 is no whole number of seconds"), "{text}");
    }

    #[test]
    fn epoch_seconds_have_nine_digits() {
        let half: jiff::Timestamp = "2023-11-14T22:13:20.5Z".parse().unwrap();
        assert_eq!(serde_json::to_string(&EpochSeconds(half)).unwrap(), "1700000000.500000000");
        let before: jiff::Timestamp = "1969-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(serde_json::to_string(&EpochSeconds(before)).unwrap(), "-1.000000000");
    }

    #[test]
    fn timestamps_are_utc_text() {
        let time: jiff::Timestamp = "2022-03-10T18:15:50+02:00".parse().unwrap();
        assert_eq!(serde_json::to_string(&Timestamp(time)).unwrap(), "\"2022-03-10T16:15:50Z\"");
    }
}
