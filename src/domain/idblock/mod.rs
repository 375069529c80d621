//! An allocator of id ranges.
//!
//! ```text
//!   mod.rs        what an allocator is, and how an effect changes it
//!   range.rs      ids and ordinals
//!   clock.rs      ordinals that carry the time
//!   rate.rs       how fast ids go
//!   window.rs     which ids this process may hand out by itself
//!   request.rs    what can be asked of it
//!   decide.rs     what a request comes to: a refusal, a reply, or an effect
//!   info.rs       what IDBLOCK.INFO tells
//!   stored.rs     its sections
//! ```
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
//! imported or copied. With FENCE OFF the two move together, so each reservation is persisted. Under a
//! fence the mark is far ahead, and `drawn` is stored beside it: ids below it are known to be handed out.

mod clock;
mod decide;
mod info;
mod range;
mod rate;
mod request;
mod stored;
#[cfg(test)]
mod tests;
mod window;

pub use clock::Clock;
pub use range::{Block, Range};
pub use request::{Create, Next, Reserve};
pub use window::{Asked, Issued, Policy};

use crate::audit::{BlockChange, Entry, Log};
use crate::effect::{BlockEffect, Reserved};
use crate::fence::Uid;
use crate::idempotency::Tokens;
use crate::info::Extent;
use crate::ledger::{Ledger, Posting};
use crate::memory::{BlockSize, Mover};
use crate::permutation::Codes;
use crate::wire::Corrupt;
use rate::Rate;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;
use window::Window;

/// What is saved, replicated, copied and digested.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    uid: Uid,
    range: Range,
    mark: u64,
    drawn: u64,
    fence: Policy,
    clock: Option<Clock>,
    codes: Option<Box<Codes>>,
    ledger: Ledger<BlockChange>,
}

/// What only this process knows.
#[derive(Debug, Clone)]
struct Volatile {
    window: Window,
    rate: Rate,
}

/// An allocator.
#[derive(Debug, Clone)]
pub struct IdBlock {
    kept: Kept,
    volatile: Volatile,
}

impl IdBlock {
    fn new(kept: Kept) -> Self {
        let volatile = Volatile { window: Window::at(kept.mark), rate: Rate::default() };
        IdBlock { kept, volatile }
    }

    /// The ids that the sequence can have.
    pub fn range(&self) -> Range {
        self.kept.range
    }

    /// Its identity, drawn once.
    pub fn uid(&self) -> &Uid {
        &self.kept.uid
    }

    /// Its mark, if it has a fence.
    pub fn fenced_mark(&self) -> Option<u64> {
        (self.kept.fence != Policy::Off).then_some(self.kept.mark)
    }

    /// It is older than what this node knows.
    pub fn catch_up(&mut self, mark: u64) {
        self.kept.mark = self.kept.mark.max(mark).min(self.range().capacity());
    }

    /// How the codes of its ids are made, if it has any.
    pub fn codes(&self) -> Option<&Codes> {
        self.kept.codes.as_deref()
    }

    /// The log, where there is one.
    pub fn log(&self) -> Option<&Log<BlockChange>> {
        self.kept.ledger.log()
    }

    fn tokens(&self) -> Option<&Tokens> {
        self.kept.ledger.tokens()
    }

    /// The ids of a logged reservation.
    pub fn ids(&self, change: &BlockChange) -> Option<(i64, i64)> {
        let (first, count) = change.ordinals()?;
        let block = self.range().block(Reserved { first, count })?;
        Some((block.first, block.last))
    }

    /// The logged reservation that holds an id.
    pub fn who(&self, id: i64) -> Option<Entry<'_, BlockChange>> {
        self.log()?.holder(self.range().ordinal(id)?)
    }

    /// When an id was handed out, in Unix milliseconds. `None` for what is no id of this sequence.
    pub fn when(&self, id: i64) -> Option<Option<u64>> {
        let clock = self.kept.clock?;
        Some(self.range().ordinal(id).map(|ordinal| clock.when(ordinal)))
    }

    /// The allocator that an effect makes where none stood.
    pub fn create(effect: &BlockEffect<'_>) -> Result<Self, Corrupt> {
        let created = effect.created().ok_or(Corrupt("the allocator does not exist"))?;
        if created.clock.is_some() && created.codes.is_some() {
            return Err(Corrupt("a clock excludes codes"));
        }
        let codes = created.codes.clone().map(Box::new);
        let range = Range::new(created.start, created.increment, created.max).map_err(|_| Corrupt("no such range"))?;
        let range = codes.as_ref().map_or(range, |codes| range.up_to(codes.space()));
        let ledger = Ledger::created(effect.at_ms);
        let (uid, fence, clock) = (created.uid, created.fence, created.clock);
        let mut block = IdBlock::new(Kept { uid, range, mark: 0, drawn: 0, fence, clock, codes, ledger });
        block.change(effect)?;
        Ok(block)
    }

    /// Applies an effect to an allocator that stands. On an error nothing was changed.
    pub fn apply(&mut self, effect: &BlockEffect<'_>) -> Result<(), Corrupt> {
        if effect.created().is_some() {
            return Err(Corrupt("the allocator exists already"));
        }
        self.change(effect)
    }

    fn change(&mut self, effect: &BlockEffect<'_>) -> Result<(), Corrupt> {
        if effect.reserved.is_some_and(|reserved| self.range().block(reserved).is_none()) {
            return Err(Corrupt("the reservation lies outside of the sequence"));
        }
        let is_off = self.kept.fence == Policy::Off;
        if is_off && effect.windowed.is_some() || !is_off && effect.raised.is_some() {
            return Err(Corrupt("a mark of another kind of fence"));
        }
        let end = effect.reserved.and_then(|reserved| reserved.end());
        let (top, known) = effect.windowed.unwrap_or((0, 0));
        let reached = [end, effect.raised, effect.advanced].into_iter().flatten().fold(0, u64::max);
        let mark = self.kept.mark.max(top).max(reached);
        if mark > self.range().capacity() {
            return Err(Corrupt("the mark would pass the end of the sequence"));
        }
        let before = self.kept.drawn.max(known);
        if before > mark {
            return Err(Corrupt("ids handed out above the mark"));
        }
        let change = match (effect.reserved, effect.created()) {
            (Some(Reserved { first, count }), _) => BlockChange::Reserve { first, count },
            (None, Some(_)) => BlockChange::Create,
            (None, None) => {
                let count = effect.advanced.unwrap_or(before).saturating_sub(before);
                BlockChange::Advance { first: before, count }
            }
        };
        let (at_ms, setup) = (effect.at_ms, effect.setup.as_ref());
        let (log, limits) = setup.map_or((None, None), |setup| (setup.log.as_ref(), setup.limits.as_ref()));
        let posting = Posting { at_ms, log, limits, stamp: effect.stamp.as_ref(), pinned: effect.pinned.as_ref() };
        let logged = effect.reserved.is_some() || effect.advanced.is_some();
        if logged && self.log().is_some() && effect.stamp.is_none() {
            return Err(Corrupt("no log entry where there is a log"));
        }
        self.kept.ledger.check(&posting, change)?;

        // From here on the change must succeed.
        let single = u64::from(effect.raised.is_some());
        let count = effect.issued.map_or(single, |issued| issued.count);
        self.volatile.rate.count(effect.reserved.map_or(count, |reserved| reserved.count), at_ms);
        self.kept.mark = mark;
        self.kept.drawn = if is_off { mark } else { before.max(reached) };
        match &effect.issued {
            Some(issued) => self.volatile.window.issue(issued, mark, at_ms),
            None if is_off => self.volatile.window.set_position(mark),
            None => {}
        }
        self.kept.ledger.set_options(&posting);
        self.kept.ledger.append(effect.stamp.as_ref(), at_ms, change)?;
        self.kept.ledger.pin(effect.pinned.as_ref(), at_ms);
        Ok(())
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

    /// What it has of what is summed up over a server.
    pub fn extent(&self) -> Extent {
        Extent { ids_lost: self.volatile.window.lost(), ..self.kept.ledger.extent() }
    }

    /// Bytes on the heap, the allocator itself included.
    pub fn memory(&self, block: BlockSize) -> usize {
        let codes = |codes: &Codes| block(size_of::<Codes>()).saturating_add(block(codes.heap_bytes()));
        block(size_of::<Self>())
            .saturating_add(self.codes().map_or(0, codes))
            .saturating_add(self.kept.ledger.memory(block))
            .saturating_add(block(self.volatile.window.heap_bytes()))
    }

    /// Lets what it owns move, as far as that can.
    pub fn relocate(&mut self, mover: &mut impl Mover) {
        if let Some(codes) = &mut self.kept.codes {
            mover.boxed(codes);
        }
        self.kept.ledger.relocate(mover);
    }

    /// How many pieces there are to free.
    pub fn allocations(&self) -> usize {
        self.kept.ledger.allocations().saturating_add(3)
    }
}
