//! Tests against a real server: TALLYBOOK_SERVER names it, `make test` runs them on each.

#![allow(clippy::expect_used, clippy::unwrap_used)] // what goes wrong here is the verdict of a test

mod audit;
mod blocks;
mod commands;
mod counters;
mod defrag;
mod documents;
mod fence;
mod golden;
mod harness;
mod hostile;
mod load;
mod operators;
mod payload;
mod persistence;
mod planted;
mod replication;
mod selftest;
mod shards;
mod tidy;
mod turmoil;
mod workload;
