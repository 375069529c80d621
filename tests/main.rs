//! Tests against a real server: TALLYBOOK_SERVER names it, `make test` runs them on each.

mod commands;
mod harness;
mod hostile;
mod load;
mod payload;
mod persistence;
mod replication;
mod selftest;
mod workload;
