//! Allocators at length. What each command answers by itself: `commands/idblock.rs`.
//!
//! ```text
//!   lost.rs        a key that is gone             exhausted.rs  a range that comes to its end
//!   explicit.rs    ids from elsewhere             crowd.rs      many clients at once
//!   tokens.rs      retries                        regions.rs    disjoint sequences, copies
//!   clock.rs       time-sortable ids              codes.rs      public codes
//!   secret.rs      who may see the secret         info.rs       INFO
//! ```

mod clock;
mod codes;
mod crowd;
mod exhausted;
mod explicit;
mod info;
mod lost;
mod regions;
mod secret;
mod tokens;

use crate::harness::*;
use redis::Value;

/// A reservation as the server answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: i64,
    last: i64,
    increment: i64,
    count: i64,
}

impl Run {
    /// Sends a RESERVE.
    #[track_caller]
    fn reserve(client: &mut Client, command: impl Command) -> Self {
        Self::read(&client.value(command))
    }

    #[track_caller]
    fn read(reply: &Value) -> Self {
        let numbers: Vec<i64> = match reply {
            Value::Array(items) => items.iter().filter_map(|item| redis::from_redis_value_ref(item).ok()).collect(),
            _ => Vec::new(),
        };
        match numbers.as_slice() {
            &[first, last, increment, count] => Self { first, last, increment, count },
            _ => panic!("first, last, increment and count must come, got {}", show(reply)),
        }
    }

    /// Its ids, by its first three numbers; the fourth must agree.
    #[track_caller]
    fn ids(&self) -> Vec<i64> {
        let step = usize::try_from(self.increment).expect("an increment from 1");
        let ids: Vec<i64> = (self.first..=self.last).step_by(step).collect();
        assert_eq!(ids.len() as i64, self.count, "{self:?}");
        assert_eq!(ids.last(), Some(&self.last), "{self:?}");
        ids
    }
}
