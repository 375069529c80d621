//! What this server counts for `INFO tallybook`, but for totals over a cluster: those are counted in bus.rs.

use super::value_type::ValueType;
use std::sync::atomic::{AtomicU64, Ordering};
use tallybook_domain::error::Kind;
use tallybook_domain::info::Extent;

/// A number.
pub struct Count(AtomicU64);

impl Count {
    const fn new() -> Self {
        Count(AtomicU64::new(0))
    }

    /// One more, on the main thread: a command should not pay for more than that.
    pub fn one(&self) {
        self.0.store(self.get().wrapping_add(1), Ordering::Relaxed);
    }

    /// Changes it by the difference, on any thread.
    pub fn changes(&self, from: u64, to: u64) {
        if from != to {
            self.0.fetch_add(to.wrapping_sub(from), Ordering::Relaxed);
        }
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Commands that were answered.
pub static DONE: Count = Count::new();
/// Commands that were refused.
pub static REFUSED: Count = Count::new();
/// Commands whose clients had to wait for a mark.
pub static STALLED: Count = Count::new();
/// Those among them that waited for too long.
pub static TIMED_OUT: Count = Count::new();
/// Defects of the module that were caught.
pub static PANICS: Count = Count::new();

/// The values that there are, also those that the server has not freed yet.
pub static COUNTERS: Count = Count::new();
/// The same for allocators.
pub static ALLOCATORS: Count = Count::new();
/// What they hold together.
pub static HOLDS: Count = Count::new();
/// Tokens that are remembered.
pub static TOKENS: Count = Count::new();
/// Bytes of all logs.
pub static LOG_BYTES: Count = Count::new();
/// Ids that takeovers cost.
pub static IDS_LOST: Count = Count::new();

/// A value came into being.
pub fn came<T: ValueType>(value: &T) {
    keys::<T>().changes(0, 1);
    changed(Extent::default(), value.extent());
}

/// A value is about to be freed.
pub fn goes<T: ValueType>(value: &T) {
    keys::<T>().changes(1, 0);
    changed(value.extent(), Extent::default());
}

/// A value was changed.
pub fn changed(from: Extent, to: Extent) {
    HOLDS.changes(from.holds, to.holds);
    TOKENS.changes(from.tokens, to.tokens);
    LOG_BYTES.changes(from.log_bytes, to.log_bytes);
    IDS_LOST.changes(0, to.ids_lost.saturating_sub(from.ids_lost));
}

fn keys<T: ValueType>() -> &'static Count {
    match T::KIND {
        Kind::Counter => &COUNTERS,
        Kind::IdBlock => &ALLOCATORS,
    }
}
