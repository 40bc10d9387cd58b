//! What the index and the plain evaluators say is what the database says by SQL, over the same
//! rows: a third opinion that shares no code with the other two.
//!
//! Rows come and go as discovery makes them come and go, so there are resources that are gone,
//! tags that people set over discovered ones, and names with every odd character that a row can
//! hold. Each property is asked of both databases. `LATCHKEY_TEST_SOAK` asks many more cases.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "in tests a failure is a panic")]

#[path = "../store/fixtures.rs"]
#[expect(dead_code, reason = "these tests need only a part of the ground")]
mod fixtures;
#[path = "../../../inventory/tests/index/people.rs"]
#[expect(dead_code, reason = "people come from the database here")]
mod people;
#[path = "../../../inventory/tests/index/random.rs"]
#[expect(dead_code, reason = "these tests need only a part of what can be random")]
mod random;

mod case;
mod raw;
mod selections;
mod sql;
mod stored;
