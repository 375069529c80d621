//! What the nodes of a cluster ask each other. Nothing in a message is trusted: what is not exactly of
//! this form is dropped.
//!
//! ```text
//!   message   = version (1), question or answer
//!   question  = 1, number (8), database u64, name: bytes, shards u64, which
//!   answer    = 2, number (8), 0 = of all, 1 = of some, how many nodes u64, node (40) *, claim*
//!   which     = 0                   all parts
//!               1, distance u64 *   these, and what is only arriving counts as the node's own
//!   claim     = distance u64, 0 = absent
//!               distance u64, 1 = value, i64
//!               distance u64, 2 = moving, node
//!               distance u64, 3 = another type
//!               distance u64, 4 = elsewhere, node
//!               distance u64, 5 = nowhere
//!   node      = u64, which of those that the answer begins with
//! ```
//!
//! A part is the number of a shard, or the number of shards for the counter itself. Parts come in order; the
//! first distance is the part, each later one is how far the part lies beyond the one before, from 1.
//!
//! `views`, 4 shards, all: `01 01 <8> | 00 | 05 views | 04 | 00`. Answered with 7 in shard 1, no shard 3, and the
//! others with another node: `01 02 <8> | 00 | 01 <40> | 00 04 00 | 01 01 0e | 01 04 00 | 01 00 | 01 04 00`.

use super::{Claim, NodeId, Part, Shards};
use crate::limits::{SHARD_COUNT_MAX, SHARDED_NAME_LEN_MAX};
use crate::wire::{Corrupt, Reader, put_bytes, put_i64, put_u64};
use std::collections::{BTreeMap, BTreeSet};

const VERSION: u8 = 1;
const QUESTION: u8 = 1;
const ANSWER: u8 = 2;
const ALL: u8 = 0;
const SOME: u8 = 1;
const ABSENT: u8 = 0;
const VALUE: u8 = 1;
const MOVING: u8 = 2;
const ALIEN: u8 = 3;
const ELSEWHERE: u8 = 4;
const NOWHERE: u8 = 5;

/// A claim names one node at most.
const NAMES_MAX: u16 = SHARD_COUNT_MAX + 1;

/// What is asked for, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All parts.
    All,
    /// These parts; what is still arriving at the node counts as its own.
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
        let names: BTreeSet<NodeId> = self.claims.iter().filter_map(|(_, claim)| claim.node()).collect();
        put_u64(&mut out, names.len().try_into().unwrap_or(u64::MAX));
        names.iter().for_each(|NodeId(name)| out.extend(name));
        let names: BTreeMap<NodeId, u64> = names.into_iter().zip(0..).collect();
        let mut before = None;
        for (part, claim) in &self.claims {
            put_part(&mut before, *part, &mut out);
            out.push(claim.kind());
            if let Claim::Value(value) = claim {
                put_i64(&mut out, *value);
            }
            if let Some(index) = claim.node().and_then(|node| names.get(&node)) {
                put_u64(&mut out, *index);
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
        let count = u16::try_from(reader.u64()?).ok().filter(|count| *count <= NAMES_MAX);
        let count = count.ok_or(Corrupt("too many nodes"))?;
        let names = (0..count).map(|_| reader.array().map(NodeId)).collect::<Result<Vec<_>, _>>()?;
        let name = |index: u64| usize::try_from(index).ok().and_then(|index| names.get(index).copied());
        let node = |reader: &mut Reader<'_>| name(reader.u64()?).ok_or(Corrupt("no such node"));
        let (mut claims, mut before) = (Vec::new(), None);
        while !reader.is_empty() {
            let part = take_part(&mut before, Part(SHARD_COUNT_MAX), reader)?;
            let claim = match reader.u8()? {
                ABSENT => Claim::Absent,
                VALUE => Claim::Value(reader.i64()?),
                MOVING => Claim::Moving(node(reader)?),
                ALIEN => Claim::Alien,
                ELSEWHERE => Claim::Elsewhere(node(reader)?),
                NOWHERE => Claim::Nowhere,
                _ => return Err(Corrupt("unknown kind of claim")),
            };
            claims.push((part, claim));
        }
        Ok(Answer { number, of_all, claims })
    }
}

impl Claim {
    fn kind(self) -> u8 {
        match self {
            Claim::Absent => ABSENT,
            Claim::Value(_) => VALUE,
            Claim::Moving(_) => MOVING,
            Claim::Alien => ALIEN,
            Claim::Elsewhere(_) => ELSEWHERE,
            Claim::Nowhere => NOWHERE,
        }
    }

    /// The node that it names.
    fn node(self) -> Option<NodeId> {
        if let Claim::Moving(node) | Claim::Elsewhere(node) = self { Some(node) } else { None }
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
