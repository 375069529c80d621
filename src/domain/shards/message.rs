//! What the nodes of a cluster ask each other. Nothing in a message is trusted: what is not exactly of
//! this form is dropped.
//!
//! ```text
//!   message   = version (1), question or answer
//!   question  = 1, number (8), database u64, name: bytes, shards u64, which
//!   answer    = 2, number (8), 0 = of all, 1 = of some, claim*
//!   which     = 0                   all parts of which the node owns the slot
//!               1, distance u64 *   these, also where the slot is only arriving
//!   claim     = distance u64, 0 = absent
//!               distance u64, 1 = value, i64
//!               distance u64, 2 = moving, node (40)
//!               distance u64, 3 = another type
//! ```
//!
//! A part is the number of a shard, or the number of shards for the counter itself. Parts come in order; the
//! first distance is the part, each later one is how far the part lies beyond the one before, from 1.
//!
//! `views`, 4 shards, all: `01 01 <8> | 00 | 05 views | 04 | 00`. Answered with 7 in shard 1, and no shard 3:
//! `01 02 <8> | 00 | 01 01 0e | 02 00`.

use super::{Claim, NodeId, Part, Shards};
use crate::limits::SHARDED_NAME_LEN_MAX;
use crate::wire::{Corrupt, Reader, put_bytes, put_i64, put_u64};

const VERSION: u8 = 1;
const QUESTION: u8 = 1;
const ANSWER: u8 = 2;
const ALL: u8 = 0;
const SOME: u8 = 1;
const ABSENT: u8 = 0;
const VALUE: u8 = 1;
const MOVING: u8 = 2;
const ALIEN: u8 = 3;

/// What is asked for, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All parts of which the node owns the slot.
    All,
    /// These parts, also where their slot is still arriving.
    These(Vec<Part>),
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What its answer is known by.
    pub number: u64,
    /// The database.
    pub database: u64,
    /// The counter.
    pub name: Vec<u8>,
    /// How many shards it has.
    pub shards: Shards,
    /// Which parts.
    pub which: Which,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The number of the question.
    pub number: u64,
    /// Whether the question was for all parts.
    pub of_all: bool,
    /// What the node says, in the order of the parts.
    pub claims: Vec<(Part, Claim)>,
}

/// Anything that comes over the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A question.
    Ask(Ask),
    /// An answer.
    Answer(Answer),
}

impl Ask {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, QUESTION];
        out.extend(self.number.to_le_bytes());
        put_u64(&mut out, self.database);
        put_bytes(&mut out, &self.name);
        put_u64(&mut out, self.shards.count().into());
        match &self.which {
            Which::All => out.push(ALL),
            Which::These(parts) => {
                out.push(SOME);
                let mut before = None;
                parts.iter().for_each(|part| put_part(&mut before, *part, &mut out));
            }
        }
        out
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let number = u64::from_le_bytes(reader.array()?);
        let (database, name) = (reader.u64()?, reader.bytes(SHARDED_NAME_LEN_MAX)?.to_vec());
        let shards = Shards::new(reader.u64()?).ok_or(Corrupt("no such number of shards"))?;
        let which = match reader.u8()? {
            ALL => Which::All,
            SOME => Which::These(take_parts(reader, shards.itself())?),
            _ => return Err(Corrupt("unknown kind of question")),
        };
        Ok(Ask { number, database, name, shards, which })
    }
}

impl Answer {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, ANSWER];
        out.extend(self.number.to_le_bytes());
        out.push(if self.of_all { ALL } else { SOME });
        let mut before = None;
        for (part, claim) in &self.claims {
            put_part(&mut before, *part, &mut out);
            match claim {
                Claim::Absent => out.push(ABSENT),
                Claim::Value(value) => {
                    out.push(VALUE);
                    put_i64(&mut out, *value);
                }
                Claim::Moving(NodeId(node)) => {
                    out.push(MOVING);
                    out.extend(node);
                }
                Claim::Alien => out.push(ALIEN),
            }
        }
        out
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let number = u64::from_le_bytes(reader.array()?);
        let of_all = match reader.u8()? {
            ALL => true,
            SOME => false,
            _ => return Err(Corrupt("unknown kind of answer")),
        };
        let (mut claims, mut before) = (Vec::new(), None);
        while !reader.is_empty() {
            let part = take_part(&mut before, Part(u16::MAX), reader)?;
            let claim = match reader.u8()? {
                ABSENT => Claim::Absent,
                VALUE => Claim::Value(reader.i64()?),
                MOVING => Claim::Moving(NodeId(reader.array()?)),
                ALIEN => Claim::Alien,
                _ => return Err(Corrupt("unknown kind of claim")),
            };
            claims.push((part, claim));
        }
        Ok(Answer { number, of_all, claims })
    }
}

impl Message {
    /// Reads what came over the bus.
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Corrupt("unknown version of a message"));
        }
        let message = match reader.u8()? {
            QUESTION => Message::Ask(Ask::take(&mut reader)?),
            ANSWER => Message::Answer(Answer::take(&mut reader)?),
            _ => return Err(Corrupt("unknown kind of message")),
        };
        reader.finish()?;
        Ok(message)
    }
}

fn put_part(before: &mut Option<Part>, part: Part, out: &mut Vec<u8>) {
    put_u64(out, part.0.wrapping_sub(before.map_or(0, |before| before.0)).into());
    *before = Some(part);
}

fn take_part(before: &mut Option<Part>, last: Part, reader: &mut Reader<'_>) -> Result<Part, Corrupt> {
    let distance = u16::try_from(reader.u64()?).map_err(|_| Corrupt("no such part"))?;
    let part = match before {
        None => Some(distance),
        Some(_) if distance == 0 => return Err(Corrupt("a part twice")),
        Some(before) => before.0.checked_add(distance),
    };
    let part = part.map(Part).filter(|part| *part <= last).ok_or(Corrupt("no such part"))?;
    *before = Some(part);
    Ok(part)
}

fn take_parts(reader: &mut Reader<'_>, last: Part) -> Result<Vec<Part>, Corrupt> {
    let (mut parts, mut before) = (Vec::new(), None);
    while !reader.is_empty() {
        parts.push(take_part(&mut before, last, reader)?);
    }
    Ok(parts)
}
