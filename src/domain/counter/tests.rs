//! What a counter must do: rules in tables, a million random commands against a plain model, and
//! what becomes of its stored form.

// Arithmetic that overflows fails a test, as it should.
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

mod fields;
mod mincr;
mod model;
mod random;
mod subject;
mod tables;
