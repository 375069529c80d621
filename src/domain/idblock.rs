//! An allocator of id ranges.
//!
//! Inside, ids are ordinals: how many ids lie between `START` and this one. Position and mark are
//! ordinals too, so nothing but the first and the last step of a request knows START and INCREMENT.
//!
//! ```text
//!   id        START            START + INCREMENT         ...      the last one up to MAX
//!   ordinal   0                1                         ...      capacity - 1
//!             |---- handed out ----|-- to be handed out --|
//!                               position                 mark <= capacity
//! ```
//!
//! `mark` is stored and replicated: no id at or above it was ever handed out. `position` is what this
//! process will hand out next; it lives in memory, and begins at the mark wherever a value is loaded,
//! imported or copied. With FENCE OFF the two move together, so each reservation is persisted.

use crate::audit::{BlockChange, Entry, Log, Retention};
use crate::decision::{Decision, Form};
use crate::effect::{BlockCreated, BlockEffect, Reserved, Stamp};
use crate::environment::Environment;
use crate::error::{Error, Kind};
use crate::stored::{Stored, Tag, log_sections, push_log_section, section};
use crate::wire::{Corrupt, Reader, put_i64, put_u64};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// `IDBLOCK.CREATE`.
#[derive(Debug, Clone, Copy)]
pub struct Create {
    /// An existing allocator is no error.
    pub nx: bool,
    /// First id.
    pub start: i64,
    /// Distance between ids, at least 1.
    pub increment: u64,
    /// Last id that may be handed out.
    pub max: i64,
    /// The log, if it is to have one.
    pub log: Option<Retention>,
}

/// `IDBLOCK.RESERVE`.
#[derive(Debug, Clone, Copy)]
pub struct Reserve<'a> {
    /// How many ids.
    pub count: u64,
    /// How few will do.
    pub at_least: u64,
    /// What for, for the log. Empty: not said.
    pub note: &'a [u8],
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

/// The ids that a sequence can ever have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    start: i64,
    increment: u64,
    max: i64,
    capacity: u64,
}

impl Range {
    /// A range of at least one id and at most 2^64 - 1.
    pub fn new(start: i64, increment: u64, max: i64) -> Result<Self, Error> {
        if start > max {
            return Err(Error::RangeEmpty { start, max });
        }
        let steps = max.abs_diff(start).checked_div(increment).ok_or(Error::OutOfRange {
            what: "increment",
            min: 1,
            max: i64::MAX,
            got: 0,
        })?;
        let capacity = steps.checked_add(1).ok_or(Error::RangeTooWide)?;
        Ok(Range { start, increment, max, capacity })
    }

    /// The id of an ordinal, if there is one.
    pub fn id(&self, ordinal: u64) -> Option<i64> {
        let offset = i128::from(ordinal).checked_mul(i128::from(self.increment))?;
        let id = i128::from(self.start).checked_add(offset)?;
        i64::try_from(id).ok().filter(|_| ordinal < self.capacity)
    }

    /// The run of `count` ids from `first` on, if it lies inside.
    fn block(&self, reserved: Reserved) -> Option<Block> {
        let Reserved { first, count } = reserved;
        let last = reserved.end()?.checked_sub(1).filter(|_| count > 0)?;
        Some(Block { first: self.id(first)?, last: self.id(last)?, increment: self.increment, count })
    }
}

/// What is saved, replicated, copied and digested.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    uid: [u8; 16],
    range: Range,
    mark: u64,
    created_ms: u64,
    log: Option<Log<BlockChange>>,
}

/// What only this process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Live {
    position: u64,
}

/// An allocator.
#[derive(Debug, Clone)]
pub struct IdBlock {
    kept: Kept,
    live: Live,
}

impl IdBlock {
    fn new(kept: Kept) -> Self {
        let live = Live { position: kept.mark };
        IdBlock { kept, live }
    }

    /// The ids that the sequence can have.
    pub fn range(&self) -> Range {
        self.kept.range
    }

    /// The log, where there is one.
    pub fn log(&self) -> Option<&Log<BlockChange>> {
        self.kept.log.as_ref()
    }

    /// The ids of a logged reservation.
    pub fn ids(&self, change: &BlockChange) -> Option<(i64, i64)> {
        let (first, count) = change.ordinals()?;
        let block = self.range().block(Reserved { first, count })?;
        Some((block.first, block.last))
    }

    /// Decides on a creation. The reply tells whether an allocator was made.
    pub fn decide_create<'a>(
        block: Option<&IdBlock>,
        request: &Create,
        environment: &'a impl Environment,
    ) -> Result<Decision<BlockEffect<'a>, bool>, Error> {
        match block {
            Some(_) if request.nx => return Ok(Decision::Unchanged(false)),
            Some(_) => return Err(Error::BusyKey(Kind::IdBlock)),
            None => {}
        }
        let &Create { start, increment, max, .. } = request;
        Range::new(start, increment, max)?;
        let created = BlockCreated { uid: environment.random(), start, increment, max, at_ms: environment.now_ms() };
        let effect = BlockEffect {
            created: Some(created),
            log: request.log.map(Some),
            stamp: request.log.map(|_| Stamp::new(None::<&Log<BlockChange>>, b"", environment)),
            ..BlockEffect::default()
        };
        Ok(Decision::Changed { effect, reply: true, form: Form::Effect })
    }

    /// Decides on a reservation: one contiguous run, of `count` ids or, where fewer are left, of at
    /// least `at_least`.
    pub fn decide_reserve<'a>(
        &self,
        request: &Reserve<'a>,
        environment: &'a impl Environment,
    ) -> Result<Decision<BlockEffect<'a>, Block>, Error> {
        let (reserved, reply) = self.take(request.count, request.at_least)?;
        let stamp = self.log().map(|log| Stamp::new(Some(log), request.note, environment));
        let effect = BlockEffect { reserved: Some(reserved), stamp, ..BlockEffect::default() };
        Ok(Decision::Changed { effect, reply, form: Form::Effect })
    }

    /// Decides on a single id. It leaves no entry in the log.
    pub fn decide_next(&self) -> Result<Decision<BlockEffect<'static>, i64>, Error> {
        let (reserved, block) = self.take(1, 1)?;
        let effect = BlockEffect { raised: reserved.end(), ..BlockEffect::default() };
        Ok(Decision::Changed { effect, reply: block.first, form: Form::Effect })
    }

    fn take(&self, count: u64, at_least: u64) -> Result<(Reserved, Block), Error> {
        let first = self.live.position;
        let left = self.range().capacity.saturating_sub(first);
        let exhausted = Error::Exhausted { want: at_least, max: self.range().max, left };
        if left < at_least {
            return Err(exhausted);
        }
        let reserved = Reserved { first, count: count.min(left) };
        Ok((reserved, self.range().block(reserved).ok_or(exhausted)?))
    }

    /// The allocator that an effect makes where none stood.
    pub fn create(effect: &BlockEffect<'_>) -> Result<Self, Corrupt> {
        let created = effect.created.ok_or(Corrupt("the allocator does not exist"))?;
        let range = Range::new(created.start, created.increment, created.max).map_err(|_| Corrupt("no such range"))?;
        let kept = Kept { uid: created.uid, range, mark: 0, created_ms: created.at_ms, log: None };
        let mut block = IdBlock::new(kept);
        block.change(effect)?;
        Ok(block)
    }

    /// Applies an effect to an allocator that stands. On an error nothing was changed.
    pub fn apply(&mut self, effect: &BlockEffect<'_>) -> Result<(), Corrupt> {
        if effect.created.is_some() {
            return Err(Corrupt("the allocator exists already"));
        }
        self.change(effect)
    }

    fn change(&mut self, effect: &BlockEffect<'_>) -> Result<(), Corrupt> {
        let end = effect.reserved.and_then(|reserved| reserved.end());
        let mark = self.kept.mark.max(effect.raised.unwrap_or(0)).max(end.unwrap_or(0));
        if mark > self.range().capacity {
            return Err(Corrupt("the mark would pass the end of the sequence"));
        }
        if effect.reserved.is_some_and(|reserved| self.range().block(reserved).is_none()) {
            return Err(Corrupt("the reservation lies outside of the sequence"));
        }
        let will_log = effect.log.map_or(self.log().is_some(), |log| log.is_some());
        if effect.stamp.is_some() && !will_log {
            return Err(Corrupt("a log entry where there is no log"));
        }
        let last = self.log().map(Log::last_id).filter(|_| effect.log.is_none());
        if effect.stamp.is_some_and(|stamp| last.is_some_and(|last| stamp.id <= last)) {
            return Err(Corrupt("the log entry would not be the newest"));
        }
        // From here on the change must succeed.
        self.kept.mark = mark;
        self.live.position = mark;
        if let Some(log) = effect.log {
            self.kept.log = log.map(Log::new);
        }
        let (Some(Stamp { id, user, client, note }), Some(log)) = (effect.stamp, &mut self.kept.log) else {
            return Ok(());
        };
        let change = match effect.reserved {
            Some(Reserved { first, count }) => BlockChange::Reserve { first, count },
            None => BlockChange::Create,
        };
        log.append(&Entry { id, change, user, client, note })
    }

    /// The allocator that a COPY makes: it begins where this one may have come to, and it is another
    /// one. Its uid is a keyed hash, so that primary and replicas come to the same.
    pub fn copy(&self, database: u32, name: &[u8]) -> Self {
        let mut hasher = SipHasher13::new_with_key(&self.kept.uid);
        hasher.write_u32(database.to_le());
        hasher.write_u64(self.kept.mark.to_le());
        hasher.write(name);
        let uid = hasher.finish128().as_bytes();
        IdBlock::new(Kept { uid, ..self.kept.clone() })
    }

    /// Bytes on the heap, the allocator itself included.
    pub fn memory(&self) -> usize {
        size_of::<Self>().saturating_add(self.log().map_or(0, Log::memory))
    }

    /// How many pieces there are to free.
    pub fn allocations(&self) -> usize {
        self.log().map_or(1, Log::allocations)
    }
}

/// The only fence there is so far: each reservation is persisted.
const FENCE_OFF: u8 = 0;

impl Stored for IdBlock {
    fn sections(&self, each: &mut dyn FnMut(&[u8])) {
        let Kept { uid, range, mark, created_ms, log } = &self.kept;
        let core = |out: &mut Vec<u8>| {
            out.extend(uid);
            put_i64(out, range.start);
            put_u64(out, range.increment);
            put_i64(out, range.max);
            put_u64(out, *mark);
            out.push(FENCE_OFF);
        };
        section(Tag::Core, core, each);
        section(Tag::Created, |out| put_u64(out, *created_ms), each);
        log_sections(log.as_ref(), each);
    }

    fn from_core(core: &[u8]) -> Result<Self, Corrupt> {
        let (tag, mut body) = Tag::split(core)?;
        if tag != Tag::Core {
            return Err(Corrupt("the first section is not the core"));
        }
        let uid = body.array()?;
        let range = take_range(&mut body)?;
        let mark = body.u64()?;
        if mark > range.capacity {
            return Err(Corrupt("the mark lies past the end of the sequence"));
        }
        if body.u8()? != FENCE_OFF {
            return Err(Corrupt("unknown kind of fence"));
        }
        body.finish()?;
        Ok(IdBlock::new(Kept { uid, range, mark, created_ms: 0, log: None }))
    }

    fn push_section(&mut self, section: &[u8]) -> Result<(), Corrupt> {
        let (tag, mut body) = Tag::split(section)?;
        match tag {
            Tag::Created if self.kept.created_ms == 0 => self.kept.created_ms = body.u64()?,
            Tag::Log | Tag::LogChunk => return push_log_section(&mut self.kept.log, tag, body.rest()),
            _ => return Err(Corrupt("a section that an allocator does not have, or has already")),
        }
        body.finish()
    }
}

fn take_range(body: &mut Reader<'_>) -> Result<Range, Corrupt> {
    let (start, increment, max) = (body.i64()?, body.u64()?, body.i64()?);
    Range::new(start, increment, max).map_err(|_| Corrupt("no such range"))
}
