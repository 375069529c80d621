//! What a primary tells its followers.
//!
//! ```text
//!   announcement   version (1), 0 = not the whole set, 1 = the whole set (1), nodes: count u64, bytes each;
//!                  marks; positions; doubted
//!   marks          count u64, (uid (16), mark u64)*       positions      the same
//!   doubted        count u64, uid*
//! ```
//!
//! An orphan announces what it knows, which makes nobody able to issue: it asks whether a follower has
//! anything against it, and tells of doubts. `marks` are all that the primary knows, whether its dataset has
//! them or not: a follower that may issue has to know them too. `positions` say of the
//! allocators that the primary has begun to issue how far it has come at least: a follower that has handed
//! out ids itself compares. `doubted` are those whose marks are worth nothing, as a rule none.

use super::Uid;
use super::electable::{put_nodes, take_nodes};
use crate::wire::{Corrupt, Reader, put_u64};
use std::collections::{BTreeMap, BTreeSet};

const VERSION: u8 = 1;

/// The electable set of a primary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcement {
    /// Whether these are all.
    pub is_whole: bool,
    /// Its members.
    pub nodes: BTreeSet<String>,
    /// The marks that the primary knows.
    pub marks: BTreeMap<Uid, u64>,
    /// How far the primary has come in its present term.
    pub positions: BTreeMap<Uid, u64>,
    /// Allocators whose marks are worth nothing, with this primary or with whoever follows it.
    pub doubted: BTreeSet<Uid>,
}

impl Announcement {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.is_whole)];
        put_nodes(&self.nodes, &mut out);
        for ordinals in [&self.marks, &self.positions] {
            put_u64(&mut out, u64::try_from(ordinals.len()).unwrap_or(u64::MAX));
            for (uid, ordinal) in ordinals {
                out.extend(uid);
                put_u64(&mut out, *ordinal);
            }
        }
        put_u64(&mut out, u64::try_from(self.doubted.len()).unwrap_or(u64::MAX));
        self.doubted.iter().for_each(|uid| out.extend(uid));
        out
    }

    /// Reads what `encode` wrote. Nothing in it is trusted.
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Corrupt("unknown version of an electable set"));
        }
        let is_whole = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Corrupt("a set is whole or not")),
        };
        let nodes = take_nodes(&mut reader)?;
        let (marks, positions) = (take_ordinals(&mut reader)?, take_ordinals(&mut reader)?);
        let doubted = (0..reader.u64()?).map(|_| reader.array()).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Announcement { is_whole, nodes, marks, positions, doubted })
    }
}

/// What is not there ends it, so a count needs no bound.
fn take_ordinals(reader: &mut Reader<'_>) -> Result<BTreeMap<Uid, u64>, Corrupt> {
    (0..reader.u64()?).map(|_| Ok((reader.array()?, reader.u64()?))).collect()
}
