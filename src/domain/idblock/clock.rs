//! Ordinals that carry the time: `milliseconds since EPOCH << bits | counter`.
//!
//! An ordinal is never below the clock, and the next one is always one more at least: when the clock
//! steps back the sequence goes on from where it was, and when the counter of a millisecond is used up
//! the carry runs into the next. Both fall out of `max(position, clock)`.

use super::Range;
use crate::error::Error;
use crate::limits::CLOCK_BITS_MAX;
use crate::wire::{Corrupt, Reader, put_u64};

/// The layout of a time-sortable id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    bits: u32,
    epoch_ms: u64,
}

impl Clock {
    /// A layout with this many bits for the counter.
    pub fn new(bits: u8, epoch_ms: u64) -> Option<Self> {
        (bits <= CLOCK_BITS_MAX).then_some(Clock { bits: bits.into(), epoch_ms })
    }

    /// Bits of the counter.
    pub fn bits(&self) -> u8 {
        u8::try_from(self.bits).unwrap_or(u8::MAX)
    }

    /// The time that counts as 0, in Unix milliseconds.
    pub fn epoch_ms(&self) -> u64 {
        self.epoch_ms
    }

    /// Appends it: the bits in one byte, then the epoch.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(self.bits());
        put_u64(out, self.epoch_ms);
    }

    /// Reads what `put` wrote.
    pub fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Clock::new(reader.u8()?, reader.u64()?).ok_or(Corrupt("no such layout of ids"))
    }

    /// Refuses a layout that cannot tell the present time: not begun yet, or past its end.
    pub fn check(&self, range: Range, now_ms: u64) -> Result<(), Error> {
        if self.epoch_ms > now_ms {
            return Err(Error::EpochAhead);
        }
        let left = range.capacity().saturating_sub(self.ordinal(now_ms));
        if left == 0 { Err(Error::Exhausted { want: 1, max: range.max(), left }) } else { Ok(()) }
    }

    /// The first ordinal of a millisecond.
    pub fn ordinal(&self, now_ms: u64) -> u64 {
        self.span(now_ms.saturating_sub(self.epoch_ms))
    }

    /// How many ordinals lie within so many milliseconds.
    pub fn span(&self, ms: u64) -> u64 {
        ms.saturating_mul(1u64 << self.bits.min(63))
    }

    /// The Unix millisecond of an ordinal.
    pub fn when(&self, ordinal: u64) -> u64 {
        self.epoch_ms.saturating_add(ordinal >> self.bits.min(63))
    }
}
