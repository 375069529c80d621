//! What an allocator must do: every small sequence against a list of ids, a million random operations
//! under a clock that jumps and steps back, and what becomes of its stored form.

// Arithmetic that overflows fails a test, as it should.
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

mod exhaustive;
mod fenced;
mod fields;
mod random;
mod tables;

use super::{Create, IdBlock, Policy};
use crate::decision::Decision;
use crate::effect::BlockEffect;
use crate::error::Error;
use crate::limits::{INCREMENT_DEFAULT, MAX_DEFAULT, START_DEFAULT};
use crate::options::KeyOptions;
use crate::simulation::{Pair, World};

/// What CREATE makes of no options but `LOG OFF`.
const PLAIN: Create<'static> = Create {
    nx: false,
    start: START_DEFAULT,
    increment: INCREMENT_DEFAULT.cast_unsigned(),
    max: MAX_DEFAULT,
    clock: None,
    codes: None,
    fence: Policy::Off,
    options: KeyOptions { log: Some(None), token_duration_ms: None, token_count_max: None },
};

/// An allocator on two nodes.
fn created(request: &Create<'_>, world: &World) -> Result<Pair<IdBlock>, Error> {
    let mut pair = Pair::missing();
    let decision = IdBlock::decide_create(None, request, world)?;
    assert!(commit(&mut pair, decision).0);
    Ok(pair)
}

/// Lets both nodes know what was decided. Gives the reply, and whether anything changed.
fn commit<R>(pair: &mut Pair<IdBlock>, decision: Decision<BlockEffect<'_>, R>) -> (R, bool) {
    match decision {
        Decision::Unchanged(reply) => (reply, false),
        Decision::Changed { effect, reply, .. } => {
            pair.commit(&effect);
            (reply, true)
        }
        Decision::Wait { .. } => panic!("without a fence nobody waits"),
    }
}
