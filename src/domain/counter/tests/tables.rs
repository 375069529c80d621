//! The rules of SCOUNTER, one table each.

mod holds;
mod increx;
mod tokens;

use super::model::{Reply, Verb};
use super::subject::Subject;
use crate::bounds::Bounds;
use crate::counter::{Alter, Create, ExpiryOption, HoldRequest, IncrEx, When};
use crate::error::{Error, Side};
use crate::limits::{HOLD_COUNT_MAX, TOKEN_LIMITS_DEFAULT};
use crate::options::KeyOptions;
use crate::simulation::World;

const MIN: i64 = i64::MIN;
const MAX: i64 = i64::MAX;
const NOW_MS: u64 = 1_800_000_000_000;
const BY_ONE: IncrEx = IncrEx { by: 1, bounds: Bounds::NONE, saturate: false, expiry: None, enx: false, exists: None };

/// A counter that CREATE made, or a missing key.
fn subject(initial: Option<i64>, lower: Option<i64>, upper: Option<i64>) -> Subject {
    let mut subject = Subject::new(World::new(0));
    if let Some(initial) = initial {
        let bounds = Bounds::new(lower, upper).unwrap();
        let create = Create { nx: false, initial, bounds, shards: None, options: KeyOptions::default() };
        subject.at(NOW_MS, Verb::Create(create)).unwrap();
    }
    subject
}

fn value(subject: &Subject) -> Option<i64> {
    subject.pair.check();
    subject.pair.primary.as_ref().map(|counter| counter.value())
}

fn id(reply: Result<Reply, Error>) -> u64 {
    match reply {
        Ok(Reply::Id(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn hold(amount: i64, ms: u64) -> Verb {
    Verb::Hold(HoldRequest { amount, until: When::In(ms) })
}

fn commit(id: u64) -> Verb {
    Verb::Commit { id, amount: None }
}

fn bound(side: Side, bound: i64, got: i128, held: bool) -> Error {
    Error::Bound { side, bound, got, held }
}
