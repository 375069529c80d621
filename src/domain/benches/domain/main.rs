//! What the parts of the domain cost by themselves: the audit log, codes, tokens.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench may panic")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a bench may panic")]

mod audit;
mod idempotency;
mod permutation;

fn main() {
    divan::main();
}
