//! What a primary tells its followers.
//!
//! ```text
//!   announcement   version (1), electable nodes: count u64, bytes each; marks: (uid (16), mark u64)*
//! ```
//!
//! The marks are those that the primary knows of and its dataset does not, as a rule none: a follower
//! that may issue has to know them too.

use super::Uid;
use super::electable::{put_nodes, take_nodes};
use crate::wire::{Corrupt, Reader, put_u64};
use std::collections::{BTreeMap, BTreeSet};

const VERSION: u8 = 1;

/// The electable set of a primary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcement {
    /// Its members.
    pub nodes: BTreeSet<String>,
    /// Marks that the dataset of the primary does not have.
    pub ahead: BTreeMap<Uid, u64>,
}

impl Announcement {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_nodes(&self.nodes, &mut out);
        for (uid, mark) in &self.ahead {
            out.extend(uid);
            put_u64(&mut out, *mark);
        }
        out
    }

    /// Reads what `encode` wrote. Nothing in it is trusted.
    pub fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Corrupt("unknown version of an electable set"));
        }
        let (nodes, mut ahead) = (take_nodes(&mut reader)?, BTreeMap::new());
        while !reader.is_empty() {
            ahead.insert(reader.array()?, reader.u64()?);
        }
        Ok(Announcement { nodes, ahead })
    }
}
