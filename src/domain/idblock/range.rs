//! Ids and ordinals.

use crate::effect::Reserved;
use crate::error::Error;
use crate::retry::Repeatable;
use crate::wire::{Corrupt, Reader, put_i64, put_u64};

/// The ids that a sequence can ever have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    start: i64,
    increment: u64,
    max: i64,
    capacity: u64,
}

/// A run of ids, as the caller gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The first id.
    pub first: i64,
    /// The last id.
    pub last: i64,
    /// Distance between ids.
    pub increment: u64,
    /// How many ids.
    pub count: u64,
}

impl Repeatable for Block {
    fn put(&self, out: &mut impl Extend<u8>) {
        put_i64(out, self.first);
        put_i64(out, self.last);
        put_u64(out, self.increment);
        put_u64(out, self.count);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Block { first: reader.i64()?, last: reader.i64()?, increment: reader.u64()?, count: reader.u64()? })
    }
}

impl Range {
    /// A range of at least one id and at most 2^64 - 1.
    pub fn new(start: i64, increment: u64, max: i64) -> Result<Self, Error> {
        if start > max {
            return Err(Error::RangeEmpty { start, max });
        }
        let no_increment = Error::OutOfRange { what: "INCREMENT", min: 1, max: i64::MAX, got: 0 };
        let steps = max.abs_diff(start).checked_div(increment).ok_or(no_increment)?;
        let capacity = steps.checked_add(1).ok_or(Error::RangeTooWide)?;
        Ok(Range { start, increment, max, capacity })
    }

    /// This range, ended after `count` ids at the latest.
    pub fn up_to(self, count: u64) -> Self {
        let last = count.checked_sub(1).and_then(|last| self.id(last));
        match last {
            Some(max) if count < self.capacity => Range { max, capacity: count, ..self },
            _ => self,
        }
    }

    /// The first id.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Distance between ids.
    pub fn increment(&self) -> u64 {
        self.increment
    }

    /// What no id lies above.
    pub fn max(&self) -> i64 {
        self.max
    }

    /// How many ids there can be.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The id of an ordinal, if there is one.
    pub fn id(&self, ordinal: u64) -> Option<i64> {
        let offset = ordinal.checked_mul(self.increment).filter(|_| ordinal < self.capacity)?;
        self.start.checked_add_unsigned(offset)
    }

    /// The ordinal of an id, if it is one of this sequence.
    pub fn ordinal(&self, id: i64) -> Option<u64> {
        let ordinal = self.ordinals_up_to(id).checked_sub(1)?;
        (self.id(ordinal) == Some(id)).then_some(ordinal)
    }

    /// How many ids of this sequence do not lie above `id`.
    pub fn ordinals_up_to(&self, id: i64) -> u64 {
        if id < self.start {
            return 0;
        }
        let steps = id.abs_diff(self.start).checked_div(self.increment).unwrap_or(0);
        steps.saturating_add(1).min(self.capacity)
    }

    /// A run of ids, if all of it lies inside.
    pub fn block(&self, reserved: Reserved) -> Option<Block> {
        let Reserved { first, count } = reserved;
        let last = reserved.end()?.checked_sub(1).filter(|_| count > 0)?;
        Some(Block { first: self.id(first)?, last: self.id(last)?, increment: self.increment, count })
    }
}
