//! The effects of id blocks.

use super::{
    Effect, Expiry, Pinned, Stamp, put_limits, put_log, put_pinned, put_stamp, tag, take_limits, take_log, take_pinned,
    take_stamp,
};
use crate::audit::Retention;
use crate::idblock::{Clock, Issued, Policy};
use crate::idempotency::Limits;
use crate::permutation::Codes;
use crate::wire::{Corrupt, Reader, put_i64, put_u64};

/// Flags of a new allocator.
const CLOCK: u8 = 1;
const CODES: u8 = 2;

/// An allocator comes into being.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockCreated {
    /// Its identity, drawn once.
    pub uid: [u8; 16],
    /// First id.
    pub start: i64,
    /// Distance between ids.
    pub increment: u64,
    /// Last id that may be handed out.
    pub max: i64,
    /// Ids that carry the time.
    pub clock: Option<Clock>,
    /// Ids that have codes.
    pub codes: Option<Codes>,
    /// How its ids are kept from being handed out twice.
    pub fence: Policy,
}

/// How an allocator is made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockSetup {
    /// The allocator comes into being.
    pub created: Option<BlockCreated>,
    /// New retention of the log, or `Some(None)`: no log.
    pub log: Option<Option<Retention>>,
    /// New limits of its tokens.
    pub limits: Option<Limits>,
}

/// A run of ids, as ordinals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// The first.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Reserved {
    /// The ordinal behind the last one.
    pub fn end(&self) -> Option<u64> {
        self.first.checked_add(self.count)
    }
}

/// One effect on one allocator. The parts are applied in this order. What is rare is behind a pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockEffect<'a> {
    /// When it was decided on, in Unix milliseconds.
    pub at_ms: u64,
    /// How it is made.
    pub setup: Option<Box<BlockSetup>>,
    /// A reservation. The mark rises to its end, if it is not there yet.
    pub reserved: Option<Reserved>,
    /// The mark rises to here. A mark never falls.
    pub raised: Option<u64>,
    /// The sequence went past an id from elsewhere: the mark rises to here, and nothing was handed out.
    pub advanced: Option<u64>,
    /// Nine tenths of the range are used from now on.
    pub low: bool,
    /// The reservation was handed out as codes.
    pub codes: bool,
    /// Under a fence: the mark rises to the first, and the ids below the second are handed out.
    pub windowed: Option<(u64, u64)>,
    /// What only this process knows: it is no part of the bytes.
    pub issued: Option<Issued>,
    /// The entry that it leaves in the log.
    pub stamp: Option<Stamp<'a>>,
    /// The token that stands for it.
    pub pinned: Option<Pinned<'a>>,
}

impl BlockEffect<'_> {
    /// The allocator comes into being.
    pub fn created(&self) -> Option<&BlockCreated> {
        self.setup.as_ref().and_then(|setup| setup.created.as_ref())
    }

    fn setup_mut(&mut self) -> &mut BlockSetup {
        self.setup.get_or_insert_default()
    }
}

impl<'a> Effect<'a> for BlockEffect<'a> {
    fn at(at_ms: u64) -> Self {
        BlockEffect { at_ms, ..BlockEffect::default() }
    }

    fn at_ms(&self) -> u64 {
        self.at_ms
    }

    fn put_parts(&self, out: &mut Vec<u8>) {
        if let Some(setup) = &self.setup {
            if let Some(created) = &setup.created {
                put_created(created, out);
            }
            put_log(setup.log, out);
            put_limits(setup.limits, out);
        }
        if let Some(reserved) = &self.reserved {
            out.push(tag::RESERVED);
            put_u64(out, reserved.first);
            put_u64(out, reserved.count);
        }
        if let Some(mark) = self.raised {
            out.push(tag::RAISED);
            put_u64(out, mark);
        }
        if let Some(mark) = self.advanced {
            out.push(tag::ADVANCED);
            put_u64(out, mark);
        }
        if self.low {
            out.push(tag::LOW);
        }
        if self.codes {
            out.push(tag::CODES);
        }
        if let Some((mark, drawn)) = self.windowed {
            out.push(tag::WINDOWED);
            put_u64(out, mark);
            put_u64(out, drawn);
        }
        put_stamp(self.stamp.as_ref(), out);
        put_pinned(self.pinned.as_ref(), out);
    }

    fn take_part(&mut self, tag: u8, reader: &mut Reader<'a>) -> Result<(), Corrupt> {
        match tag {
            tag::CREATED => self.setup_mut().created = Some(take_created(reader)?),
            tag::LOG => self.setup_mut().log = Some(take_log(reader)?),
            tag::LIMITS => self.setup_mut().limits = Some(take_limits(reader)?),
            tag::RESERVED => self.reserved = Some(Reserved { first: reader.u64()?, count: reader.u64()? }),
            tag::RAISED => self.raised = Some(reader.u64()?),
            tag::ADVANCED => self.advanced = Some(reader.u64()?),
            tag::LOW => self.low = true,
            tag::CODES => self.codes = true,
            tag::WINDOWED => self.windowed = Some((reader.u64()?, reader.u64()?)),
            tag::STAMP => self.stamp = Some(take_stamp(reader)?),
            tag::TOKEN => self.pinned = Some(take_pinned(reader)?),
            _ => return Err(Corrupt("unknown part of an allocator's effect")),
        }
        Ok(())
    }

    fn stamp_mut(&mut self) -> Option<&mut Stamp<'a>> {
        self.stamp.as_mut()
    }

    fn expiry(&self) -> Option<Expiry> {
        None
    }
}

fn put_created(created: &BlockCreated, out: &mut Vec<u8>) {
    out.push(tag::CREATED);
    out.extend(created.uid);
    put_i64(out, created.start);
    put_u64(out, created.increment);
    put_i64(out, created.max);
    let clock = if created.clock.is_some() { CLOCK } else { 0 };
    let codes = if created.codes.is_some() { CODES } else { 0 };
    out.push(clock | codes);
    if let Some(clock) = created.clock {
        clock.put(out);
    }
    if let Some(codes) = &created.codes {
        codes.put(out);
    }
    created.fence.put(out);
}

fn take_created(reader: &mut Reader<'_>) -> Result<BlockCreated, Corrupt> {
    let uid = reader.array()?;
    let (start, increment, max) = (reader.i64()?, reader.u64()?, reader.i64()?);
    let flags = reader.u8()?;
    if flags & !(CLOCK | CODES) != 0 {
        return Err(Corrupt("unknown flags of a new allocator"));
    }
    let clock = if flags & CLOCK != 0 { Some(Clock::take(reader)?) } else { None };
    let codes = if flags & CODES != 0 { Some(Codes::take(reader)?) } else { None };
    Ok(BlockCreated { uid, start, increment, max, clock, codes, fence: Policy::take(reader)? })
}
