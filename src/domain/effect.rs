//! Everything that may be replicated, as data.
//!
//! A client's command decides; what it decided is an effect; only effects change a stored value.
//! Replicas, the AOF and the importer of a slot execute effects and decide nothing.
//!
//! ```text
//!   effect  = version (1), part*
//!   part    = tag (1 byte), body
//!
//!   tag  part       body
//!    1   created    counter: initial i64, time of CREATE (u64, 0 = none)
//!                   id block: uid (16), start i64, increment u64, max i64, time of CREATE
//!    2   bounds     flags (1 = lower, 2 = upper), i64 each
//!    3   log        0 = off; else the retention
//!    8   added      delta i64                           counter
//!   16   reserved   first u64, count u64                id block
//!   17   raised     mark u64                            id block
//!   24   stamp      id: ms u64, seq u64; user, client, note: bytes each
//!   32   restored   first (1 byte), then sections: bytes each
//! ```
//!
//! Parts come in the order of their tags, each at most once. A version, a tag or a byte too many
//! that is not known is an error: an effect that is only half understood would let two nodes drift
//! apart in silence. So a body needs no length before it.
//!
//! `INCR views 5` on a counter with a log, by alice: `01 | 08 0a | 18 <ms> 00 05 alice 00 00`.

use crate::audit::{Change, EntryId, Log, Retention};
use crate::bounds::Bounds;
use crate::environment::Environment;
use crate::limits::NAME_LEN_MAX;
use crate::wire::{Corrupt, Reader, put_bytes, put_i64, put_u64};

const VERSION: u8 = 1;

/// Tags of the parts.
mod tag {
    pub const CREATED: u8 = 1;
    pub const BOUNDS: u8 = 2;
    pub const LOG: u8 = 3;
    pub const ADDED: u8 = 8;
    pub const RESERVED: u8 = 16;
    pub const RAISED: u8 = 17;
    pub const STAMP: u8 = 24;
    pub const RESTORED: u8 = 32;
}

/// What goes into the log beside the change itself: the primary's time, and who and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The id of the entry.
    pub id: EntryId,
    /// The ACL user.
    pub user: &'a [u8],
    /// The name of the client.
    pub client: &'a [u8],
    /// The note given with the command.
    pub note: &'a [u8],
}

impl<'a> Stamp<'a> {
    /// The stamp of an entry that is made now. Where there is no log yet, it is the first of one.
    pub fn new<C: Change>(log: Option<&Log<C>>, note: &'a [u8], environment: &'a impl Environment) -> Self {
        let (now_ms, caller) = (environment.now_ms(), environment.caller());
        // Ids end where no clock gets to; one more would be refused when it is applied.
        let id = log.map_or(Some(EntryId { ms: now_ms, seq: 0 }), |log| log.next_id(now_ms)).unwrap_or(EntryId::MAX);
        Stamp { id, user: caller.user, client: caller.client, note }
    }
}

/// A counter comes into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterCreated {
    /// Its first value.
    pub initial: i64,
    /// Unix time of `SCOUNTER.CREATE` in milliseconds; none where a write made it in passing.
    pub at_ms: Option<u64>,
}

/// One effect on one counter. The parts are applied in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CounterEffect<'a> {
    /// The counter comes into being.
    pub created: Option<CounterCreated>,
    /// New bounds.
    pub bounds: Option<Bounds>,
    /// New retention of the log, or `Some(None)`: no log any more.
    pub log: Option<Option<Retention>>,
    /// This was added to the value.
    pub added: Option<i64>,
    /// The entry that it leaves in the log. There is one exactly where there is a log.
    pub stamp: Option<Stamp<'a>>,
}

/// An allocator comes into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockCreated {
    /// Its identity, drawn once.
    pub uid: [u8; 16],
    /// First id.
    pub start: i64,
    /// Distance between ids.
    pub increment: u64,
    /// Last id that may be handed out.
    pub max: i64,
    /// Unix time of `IDBLOCK.CREATE` in milliseconds.
    pub at_ms: u64,
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

/// One effect on one allocator. The parts are applied in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockEffect<'a> {
    /// The allocator comes into being.
    pub created: Option<BlockCreated>,
    /// New retention of the log, or `Some(None)`: no log.
    pub log: Option<Option<Retention>>,
    /// A reservation. The mark rises to its end, if it is not there yet.
    pub reserved: Option<Reserved>,
    /// The mark rises to here. A mark never falls.
    pub raised: Option<u64>,
    /// The entry that it leaves in the log.
    pub stamp: Option<Stamp<'a>>,
}

/// What one effect command carries for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload<'a, E> {
    /// A change that a command decided on.
    Effect(E),
    /// Stored sections, as an AOF rewrite and a slot migration write them.
    Restored {
        /// Whether these are the first of their value.
        first: bool,
        /// The sections, in order.
        sections: Vec<&'a [u8]>,
    },
}

/// The parts of an effect of one type.
pub trait Effect<'a>: Default {
    /// Appends the parts, in the order of their tags.
    fn put_parts(&self, out: &mut Vec<u8>);

    /// Reads the part that `tag` announced.
    fn take_part(&mut self, tag: u8, reader: &mut Reader<'a>) -> Result<(), Corrupt>;

    /// The entry that it leaves in the log.
    fn stamp_mut(&mut self) -> Option<&mut Stamp<'a>>;
}

/// The bytes of an effect.
pub fn encode<'a>(effect: &impl Effect<'a>, out: &mut Vec<u8>) {
    out.push(VERSION);
    effect.put_parts(out);
}

/// The bytes of a restoring command.
pub fn encode_restored(first: bool, sections: &[Vec<u8>], out: &mut Vec<u8>) {
    out.extend([VERSION, tag::RESTORED, u8::from(first)]);
    for section in sections {
        put_bytes(out, section);
    }
}

/// Reads the payload of an effect command. Nothing in it is trusted.
pub fn decode<'a, E: Effect<'a>>(bytes: &'a [u8]) -> Result<Payload<'a, E>, Corrupt> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != VERSION {
        return Err(Corrupt("unknown version of an effect"));
    }
    if reader.rest().first() == Some(&tag::RESTORED) {
        return decode_restored(reader);
    }
    let mut effect = E::default();
    let mut last = 0;
    while !reader.is_empty() {
        let tag = reader.u8()?;
        if tag <= last {
            return Err(Corrupt("parts of an effect out of order"));
        }
        last = tag;
        effect.take_part(tag, &mut reader)?;
    }
    if last == 0 { Err(Corrupt("an effect without parts")) } else { Ok(Payload::Effect(effect)) }
}

fn decode_restored<'a, E>(mut reader: Reader<'a>) -> Result<Payload<'a, E>, Corrupt> {
    reader.u8()?;
    let first = match reader.u8()? {
        0 => false,
        1 => true,
        _ => return Err(Corrupt("neither first nor a later part of a value")),
    };
    let mut sections = Vec::new();
    while !reader.is_empty() {
        sections.push(reader.bytes(usize::MAX)?);
    }
    Ok(Payload::Restored { first, sections })
}

impl<'a> Effect<'a> for CounterEffect<'a> {
    fn put_parts(&self, out: &mut Vec<u8>) {
        if let Some(created) = &self.created {
            out.push(tag::CREATED);
            put_i64(out, created.initial);
            put_u64(out, created.at_ms.unwrap_or(0));
        }
        if let Some(bounds) = &self.bounds {
            out.push(tag::BOUNDS);
            bounds.put(out);
        }
        put_log(self.log, out);
        if let Some(delta) = self.added {
            out.push(tag::ADDED);
            put_i64(out, delta);
        }
        put_stamp(self.stamp.as_ref(), out);
    }

    fn take_part(&mut self, tag: u8, reader: &mut Reader<'a>) -> Result<(), Corrupt> {
        match tag {
            tag::CREATED => {
                let initial = reader.i64()?;
                let at_ms = Some(reader.u64()?).filter(|&ms| ms != 0);
                self.created = Some(CounterCreated { initial, at_ms });
            }
            tag::BOUNDS => self.bounds = Some(Bounds::take(reader)?),
            tag::LOG => self.log = Some(take_log(reader)?),
            tag::ADDED => self.added = Some(reader.i64()?),
            tag::STAMP => self.stamp = Some(take_stamp(reader)?),
            _ => return Err(Corrupt("unknown part of a counter's effect")),
        }
        Ok(())
    }

    fn stamp_mut(&mut self) -> Option<&mut Stamp<'a>> {
        self.stamp.as_mut()
    }
}

impl<'a> Effect<'a> for BlockEffect<'a> {
    fn put_parts(&self, out: &mut Vec<u8>) {
        if let Some(created) = &self.created {
            out.push(tag::CREATED);
            out.extend(created.uid);
            put_i64(out, created.start);
            put_u64(out, created.increment);
            put_i64(out, created.max);
            put_u64(out, created.at_ms);
        }
        put_log(self.log, out);
        if let Some(reserved) = &self.reserved {
            out.push(tag::RESERVED);
            put_u64(out, reserved.first);
            put_u64(out, reserved.count);
        }
        if let Some(mark) = self.raised {
            out.push(tag::RAISED);
            put_u64(out, mark);
        }
        put_stamp(self.stamp.as_ref(), out);
    }

    fn take_part(&mut self, tag: u8, reader: &mut Reader<'a>) -> Result<(), Corrupt> {
        match tag {
            tag::CREATED => {
                let uid = reader.array()?;
                let (start, increment, max) = (reader.i64()?, reader.u64()?, reader.i64()?);
                self.created = Some(BlockCreated { uid, start, increment, max, at_ms: reader.u64()? });
            }
            tag::LOG => self.log = Some(take_log(reader)?),
            tag::RESERVED => self.reserved = Some(Reserved { first: reader.u64()?, count: reader.u64()? }),
            tag::RAISED => self.raised = Some(reader.u64()?),
            tag::STAMP => self.stamp = Some(take_stamp(reader)?),
            _ => return Err(Corrupt("unknown part of an allocator's effect")),
        }
        Ok(())
    }

    fn stamp_mut(&mut self) -> Option<&mut Stamp<'a>> {
        self.stamp.as_mut()
    }
}

fn put_log(log: Option<Option<Retention>>, out: &mut Vec<u8>) {
    let Some(log) = log else { return };
    out.push(tag::LOG);
    match log {
        None => out.push(0),
        Some(retention) => retention.put(out),
    }
}

fn take_log(reader: &mut Reader<'_>) -> Result<Option<Retention>, Corrupt> {
    if reader.rest().first() == Some(&0) {
        reader.u8()?;
        return Ok(None);
    }
    Retention::take(reader).map(Some)
}

fn put_stamp(stamp: Option<&Stamp<'_>>, out: &mut Vec<u8>) {
    let Some(stamp) = stamp else { return };
    out.push(tag::STAMP);
    put_u64(out, stamp.id.ms);
    put_u64(out, stamp.id.seq);
    for name in [stamp.user, stamp.client, stamp.note] {
        put_bytes(out, name);
    }
}

fn take_stamp<'a>(reader: &mut Reader<'a>) -> Result<Stamp<'a>, Corrupt> {
    let id = EntryId { ms: reader.u64()?, seq: reader.u64()? };
    let mut name = || reader.bytes(NAME_LEN_MAX);
    Ok(Stamp { id, user: name()?, client: name()?, note: name()? })
}
