//! One hot counter over a whole cluster: `views SHARDS 64` has the shards `views{0}` .. `views{63}`,
//! ordinary counters that clients route to different slots, and so to different nodes.
//!
//! ```text
//!   mod.rs        how many shards, what they are called, what a node says of one
//!   slot.rs       the hash slot of a name
//!   table.rs      who owns what, as one node sees it
//!   message.rs    what nodes ask each other, and the bytes of it
//!   gather.rs     one round of asking: when its answers make a total
//!   inquiry.rs    rounds until it does, and who waits for it
//!   tally.rs      what is known of each shard, and the total
//! ```
//!
//! There is no index of shards and nothing that has to be kept in step with the keys: names are
//! computed, and every native feature works on each shard as on any key. So the total has to be
//! asked for, and an answer has to prove that it is whole.
//!
//! Rejected: shards that gossip their values (a total of unknown age, and traffic without readers), a
//! total that every write updates (the hot key again), and tags from a table that spread better (a
//! writer would need the table; 64 plain numbers spread well enough).

mod gather;
mod inquiry;
mod message;
mod slot;
mod table;
mod tally;
#[cfg(test)]
mod tests;

pub use gather::{Foreign, Gather, Orders, Verdict};
pub use inquiry::{Inquiry, Waiter, is_fresh};
pub use message::{Answer, Ask, Message, Which};
pub use slot::slot;
pub use table::Table;
pub use tally::Tally;

use crate::error::Error;
use crate::limits::{SHARD_COUNT_MAX, SHARDED_NAME_LEN_MAX};
use std::fmt;

/// How many shards a counter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shards(u16);

impl Shards {
    /// So many, if a counter may have them.
    pub fn new(count: u64) -> Option<Self> {
        u16::try_from(count).ok().filter(|count| (1..=SHARD_COUNT_MAX).contains(count)).map(Shards)
    }

    /// So many of the counter of this name.
    pub fn of(name: &[u8], count: i64) -> Result<Self, Error> {
        let (min, max) = (1, SHARD_COUNT_MAX.into());
        let shards = u64::try_from(count).ok().and_then(Shards::new);
        let shards = shards.ok_or(Error::OutOfRange { what: "SHARDS", min, max, got: count })?;
        if name.contains(&b'{') {
            return Err(Error::ShardsTagged);
        }
        if name.len() > SHARDED_NAME_LEN_MAX {
            return Err(Error::TooLong { what: "key", max: SHARDED_NAME_LEN_MAX, got: name.len() });
        }
        Ok(shards)
    }

    /// How many.
    pub fn count(self) -> u16 {
        self.0
    }

    /// All that a total is made of: the shards by their numbers, and last the counter itself.
    pub fn parts(self) -> impl Iterator<Item = Part> {
        (0..=self.0).map(Part)
    }

    /// The counter itself, as a part of its total.
    pub fn itself(self) -> Part {
        Part(self.0)
    }

    /// What a part is called.
    pub fn name(self, counter: &[u8], part: Part) -> Vec<u8> {
        if part == self.itself() { counter.to_vec() } else { [counter, format!("{{{}}}", part.0).as_bytes()].concat() }
    }
}

/// A part of a total: a shard, or the counter itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part(pub u16);

/// What the cluster calls a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub [u8; NodeId::LEN]);

impl Default for NodeId {
    fn default() -> Self {
        NodeId([b'0'; NodeId::LEN])
    }
}

impl NodeId {
    /// Letters of an id.
    pub const LEN: usize = 40;

    /// An id in its usual spelling.
    pub fn new(text: &[u8]) -> Option<Self> {
        text.try_into().ok().map(NodeId)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a node says of a part: the first four of one whose slot is its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// There is no such key, and there is none elsewhere.
    Absent,
    /// Its value.
    Value(i64),
    /// There is no such key here, and its slot is on its way to that node.
    Moving(NodeId),
    /// The key is there, and no counter.
    Alien,
    /// Its slot is that node's.
    Elsewhere(NodeId),
    /// Its slot is nobody's who could answer for it now.
    Nowhere,
}
