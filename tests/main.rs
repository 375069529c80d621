//! Tests against a real server: TALLYBOOK_SERVER names it, `make test` runs them on each.

mod harness;
mod selftest;
