//! Everything that may be replicated, as data.
//!
//! A client's command decides; what it decided is an effect; only effects change a stored value.
//! Replicas, the AOF and the importer of a slot execute effects and decide nothing; where they get the
//! request instead, it comes to the same effect by what is stored alone.
//!
//! ```text
//!   effect   = version (1), 0, when (u64: Unix time in ms on the primary), part*
//!   first    = version (1), 1, sections: bytes each          the sections of a value that begins here
//!   more     = version (1), 2, sections: bytes each          more of them
//!   part     = tag (1 byte), body
//!
//!   tag  part        body
//!    1   created     counter: initial i64, 1 = by CREATE, 0 = by a write in passing
//!                    id block: uid (16), start i64, increment u64, max i64,
//!                    flags (1 = clock, 2 = codes), each as in its section; fence, as in the core
//!    2   bounds      flags (1 = lower, 2 = upper), i64 each
//!    3   log         0 = off; 1 = on, then the retention
//!    4   limits      of tokens: duration u64, count u64
//!    5   shards      how many, u64                                  counter
//!    8   due         nothing: holds past their deadline have expired
//!    9   added       delta i64                                      counter
//!   10   set         value i64                                      counter
//!   11   held        id u64, amount i64, deadline u64               counter
//!   12   committed   id u64, amount i64                             counter
//!   13   released    id u64                                         counter
//!   16   reserved    first u64, count u64                           id block
//!   17   raised      mark u64                                       id block
//!   18   advanced    mark u64                                       id block
//!   19   low         nothing: nine tenths of the range are used     id block
//!   20   codes       nothing: the reservation was handed out as codes  id block
//!   21   windowed    mark u64, drawn u64: the mark rises to the first, ids below the second are handed out
//!   24   stamp       user, client, note: bytes each
//!   25   token       producer, token: bytes each; fingerprint (6), reply: bytes
//!   26   expiry      0 = none any more; else Unix time in ms, u64
//! ```
//!
//! They get it where it says all of the effect together with the value: INCR or DECR of a plain counter, or
//! at the moment of the change before it, by the same caller, as those of a hot counter are (`Moment`).
//!
//! The time of an effect is the time of everything in it: of the log entry, of the token, of what
//! expires. The id of an entry follows from it and from the last id, which is the same on every node.
//!
//! Parts come in the order of their tags, each at most once. A version, a tag or a byte too many
//! that is not known is an error: an effect that is only half understood would let two nodes drift
//! apart in silence. So a body needs no length before it.
//!
//! `INCR views 5` on a counter with a log, by alice: `01 00 <ms> | 09 0a | 18 05 alice 00 00`.

mod block;
mod counter;
#[cfg(test)]
mod tests;

pub use block::{BlockCreated, BlockEffect, BlockSetup, Reserved};
pub use counter::{Changed, CounterCreated, CounterEffect, Setup};

use crate::audit::{Change, Entry, Log, Retention};
use crate::environment::{Caller, Environment};
use crate::idempotency::{Fingerprint, Limits, REPLY_LEN_MAX, Token};
use crate::limits::NAME_LEN_MAX;
use crate::wire::{Corrupt, Reader, put_bytes, put_u64};
use smallvec::SmallVec;

const VERSION: u8 = 1;

/// Tags of the parts.
mod tag {
    pub const CREATED: u8 = 1;
    pub const BOUNDS: u8 = 2;
    pub const LOG: u8 = 3;
    pub const LIMITS: u8 = 4;
    pub const SHARDS: u8 = 5;
    pub const DUE: u8 = 8;
    pub const ADDED: u8 = 9;
    pub const SET: u8 = 10;
    pub const HELD: u8 = 11;
    pub const COMMITTED: u8 = 12;
    pub const RELEASED: u8 = 13;
    pub const RESERVED: u8 = 16;
    pub const RAISED: u8 = 17;
    pub const ADVANCED: u8 = 18;
    pub const LOW: u8 = 19;
    pub const CODES: u8 = 20;
    pub const WINDOWED: u8 = 21;
    pub const STAMP: u8 = 24;
    pub const TOKEN: u8 = 25;
    pub const EXPIRY: u8 = 26;
}

const EFFECT: u8 = 0;
const FIRST: u8 = 1;
const MORE: u8 = 2;

/// What goes into the log beside the change itself: the primary's time, and who and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The ACL user.
    pub user: &'a [u8],
    /// The name of the client.
    pub client: &'a [u8],
    /// The note given with the command.
    pub note: &'a [u8],
}

impl<'a> Stamp<'a> {
    /// The stamp of what the server does by itself.
    pub const NOBODY: Stamp<'static> = Stamp { user: b"", client: b"", note: b"" };

    /// The stamp of the one who sent the command.
    pub fn new(note: &'a [u8], environment: &'a impl Environment) -> Self {
        let caller = environment.caller();
        Stamp { user: caller.user, client: caller.client, note }
    }

    /// The one who sent the command.
    pub fn caller(&self) -> Caller<'a> {
        Caller { user: self.user, client: self.client }
    }

    /// The entry of a change that is made at `at_ms`.
    pub fn entry<C: Change>(&self, log: &Log<C>, at_ms: u64, change: C) -> Result<Entry<'a, C>, Corrupt> {
        let id = log.next_id(at_ms).ok_or(Corrupt("no more ids of log entries"))?;
        Ok(Entry { id, change, user: self.user, client: self.client, note: self.note })
    }
}

/// A token that is to be remembered with the change it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned<'a> {
    /// What the client named its call by.
    pub token: Token<'a>,
    /// What the call was.
    pub fingerprint: Fingerprint,
    /// What it was answered.
    pub reply: SmallVec<[u8; 24]>,
}

/// What becomes of the expiry of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// It expires at this Unix time in milliseconds.
    At(u64),
    /// It does not expire any more.
    Never,
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
        sections: Sections<'a>,
    },
}

/// Sections one after the other, each read when it is asked for: a list of them could take many times the room of the
/// bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sections<'a>(Reader<'a>);

impl<'a> Iterator for Sections<'a> {
    type Item = Result<&'a [u8], Corrupt>;

    fn next(&mut self) -> Option<Self::Item> {
        let section = (!self.0.is_empty()).then(|| self.0.bytes(usize::MAX))?;
        if section.is_err() {
            self.0 = Reader::new(&[]); // nothing can be read behind it
        }
        Some(section)
    }
}

/// The parts of an effect of one type.
pub trait Effect<'a>: Sized {
    /// An effect of this time, without parts.
    fn at(at_ms: u64) -> Self;

    /// When it was decided on, in Unix milliseconds.
    fn at_ms(&self) -> u64;

    /// Appends the parts, in the order of their tags.
    fn put_parts(&self, out: &mut Vec<u8>);

    /// Reads the part that `tag` announced.
    fn take_part(&mut self, tag: u8, reader: &mut Reader<'a>) -> Result<(), Corrupt>;

    /// The entry that it leaves in the log.
    fn stamp_mut(&mut self) -> Option<&mut Stamp<'a>>;

    /// What becomes of the expiry of the key, if anything does.
    fn expiry(&self) -> Option<Expiry>;
}

/// The bytes of an effect.
pub fn encode<'a>(effect: &impl Effect<'a>, out: &mut Vec<u8>) {
    out.extend([VERSION, EFFECT]);
    put_u64(out, effect.at_ms());
    effect.put_parts(out);
}

/// The bytes of a restoring command.
pub fn encode_restored(first: bool, sections: &[Vec<u8>], out: &mut Vec<u8>) {
    out.extend([VERSION, if first { FIRST } else { MORE }]);
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
    match reader.u8()? {
        EFFECT => decode_parts(reader).map(Payload::Effect),
        FIRST => Ok(Payload::Restored { first: true, sections: Sections(reader) }),
        MORE => Ok(Payload::Restored { first: false, sections: Sections(reader) }),
        _ => Err(Corrupt("unknown kind of an effect")),
    }
}

fn decode_parts<'a, E: Effect<'a>>(mut reader: Reader<'a>) -> Result<E, Corrupt> {
    let mut effect = E::at(reader.time_ms()?);
    let mut last = 0;
    while !reader.is_empty() {
        let tag = reader.u8()?;
        if tag <= last {
            return Err(Corrupt("parts of an effect out of order"));
        }
        last = tag;
        effect.take_part(tag, &mut reader)?;
    }
    if last == 0 { Err(Corrupt("an effect without parts")) } else { Ok(effect) }
}

fn put_log(log: Option<Option<Retention>>, out: &mut Vec<u8>) {
    let Some(log) = log else { return };
    out.extend([tag::LOG, u8::from(log.is_some())]);
    if let Some(retention) = log {
        retention.put(out);
    }
}

fn take_log(reader: &mut Reader<'_>) -> Result<Option<Retention>, Corrupt> {
    match reader.u8()? {
        0 => Ok(None),
        1 => Retention::take(reader).map(Some),
        _ => Err(Corrupt("a log is on or off")),
    }
}

fn put_limits(limits: Option<Limits>, out: &mut Vec<u8>) {
    let Some(limits) = limits else { return };
    out.push(tag::LIMITS);
    put_u64(out, limits.duration_ms());
    put_u64(out, limits.count_max());
}

fn take_limits(reader: &mut Reader<'_>) -> Result<Limits, Corrupt> {
    Limits::new(reader.u64()?, reader.u64()?).ok_or(Corrupt("no such limits of tokens"))
}

fn put_stamp(stamp: Option<&Stamp<'_>>, out: &mut Vec<u8>) {
    let Some(stamp) = stamp else { return };
    out.push(tag::STAMP);
    for name in [stamp.user, stamp.client, stamp.note] {
        put_bytes(out, name);
    }
}

fn take_stamp<'a>(reader: &mut Reader<'a>) -> Result<Stamp<'a>, Corrupt> {
    let mut name = || reader.bytes(NAME_LEN_MAX);
    Ok(Stamp { user: name()?, client: name()?, note: name()? })
}

fn put_pinned(pinned: Option<&Pinned<'_>>, out: &mut Vec<u8>) {
    let Some(Pinned { token, fingerprint, reply }) = pinned else { return };
    out.push(tag::TOKEN);
    put_bytes(out, token.producer());
    put_bytes(out, token.token());
    out.extend(fingerprint.to_bytes());
    put_bytes(out, reply);
}

fn take_pinned<'a>(reader: &mut Reader<'a>) -> Result<Pinned<'a>, Corrupt> {
    let (producer, token) = (reader.bytes(NAME_LEN_MAX)?, reader.bytes(NAME_LEN_MAX)?);
    let token = Token::new(producer, token).ok_or(Corrupt("no such token"))?;
    let fingerprint = Fingerprint::from_bytes(reader.array()?);
    Ok(Pinned { token, fingerprint, reply: reader.bytes(REPLY_LEN_MAX)?.into() })
}

fn put_expiry(expiry: Option<Expiry>, out: &mut Vec<u8>) {
    let Some(expiry) = expiry else { return };
    out.push(tag::EXPIRY);
    match expiry {
        Expiry::Never => put_u64(out, 0),
        Expiry::At(ms) => put_u64(out, ms),
    }
}

fn take_expiry(reader: &mut Reader<'_>) -> Result<Expiry, Corrupt> {
    match reader.time_ms()? {
        0 => Ok(Expiry::Never),
        ms => Ok(Expiry::At(ms)),
    }
}
