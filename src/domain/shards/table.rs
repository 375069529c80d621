//! Who owns what, as one node sees it: what CLUSTER NODES says, as far as a total depends on it.
//!
//! ```text
//!   id address flags primary ping pong epoch link slots..
//!   07c3.. 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5460 5462 [93->-e7d1..] [77-<-e7d1..]
//! ```
//!
//! A node shows slots on the move in its own row only: `[93->-node]` leaves for that node, `[77-<-node]` arrives.

use super::NodeId;
use std::collections::BTreeMap;

/// What a node knows of itself and of the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    me: NodeId,
    /// Whose slots this node serves: its own, or its primary's.
    served: NodeId,
    /// First and last slot of each run, in order, and who owns it; nobody, where that one is marked as failed.
    runs: Vec<(u16, u16, Option<NodeId>)>,
    leaving: BTreeMap<u16, NodeId>,
    arriving: BTreeMap<u16, NodeId>,
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    id: NodeId,
    is_asked: bool,
}

/// A row of CLUSTER NODES.
struct Row<'a> {
    id: NodeId,
    flags: &'a str,
    primary: Option<NodeId>,
    slots: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let mut words = line.split(' ');
        let id = NodeId::new(words.next()?.as_bytes())?;
        let (_address, flags, primary) = (words.next()?, words.next()?, words.next()?);
        let slots = words.skip(4).collect();
        Some(Row { id, flags, primary: NodeId::new(primary.as_bytes()), slots })
    }

    fn is(&self, flag: &str) -> bool {
        self.flags.split(',').any(|found| found == flag)
    }
}

impl Table {
    /// Reads the answer of CLUSTER NODES; nothing where it does not name the node itself.
    pub fn read(text: &str) -> Option<Self> {
        let rows: Vec<Row<'_>> = text.lines().filter_map(Row::read).collect();
        let mine = rows.iter().find(|row| row.is("myself"))?;
        let owner = |row: &Row<'_>| (!row.is("fail")).then_some(row.id);
        let owned = |row: &Row<'_>| {
            let (owner, runs) = (owner(row), row.slots.iter().filter_map(|word| run(word)));
            runs.map(|(first, last)| (first, last, owner)).collect::<Vec<_>>()
        };
        let mut runs: Vec<_> = rows.iter().flat_map(owned).collect();
        runs.sort_unstable();
        let moves = |sign: &str| mine.slots.iter().filter_map(|word| on_the_move(word, sign)).collect();
        let is_asked = |row: &Row<'_>| {
            row.is("master") && !["myself", "fail", "handshake", "noaddr"].into_iter().any(|flag| row.is(flag))
        };
        Some(Table {
            me: mine.id,
            served: mine.primary.unwrap_or(mine.id),
            runs,
            leaving: moves("->-"),
            arriving: moves("-<-"),
            nodes: rows.iter().map(|row| Node { id: row.id, is_asked: is_asked(row) }).collect(),
        })
    }

    /// This node.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// Whether this node is a primary.
    pub fn is_primary(&self) -> bool {
        self.served == self.me
    }

    /// Whether the slot is this node's, or its primary's.
    pub fn owns(&self, slot: u16) -> bool {
        self.owner(slot) == Some(self.served)
    }

    /// Whose the slot is, unless that one is marked as failed.
    pub fn owner(&self, slot: u16) -> Option<NodeId> {
        let behind = self.runs.partition_point(|(first, ..)| *first <= slot);
        let (_, last, owner) = self.runs.get(behind.checked_sub(1)?)?;
        owner.filter(|_| slot <= *last)
    }

    /// Where the slot is on its way to.
    pub fn leaving(&self, slot: u16) -> Option<NodeId> {
        self.leaving.get(&slot).copied()
    }

    /// Whether the slot is on its way to this node.
    pub fn is_arriving(&self, slot: u16) -> bool {
        self.arriving.contains_key(&slot)
    }

    /// The other primaries that are not marked as failed.
    pub fn asked(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().filter(|node| node.is_asked).map(|node| node.id)
    }

    /// Those, and this node.
    pub fn all(&self) -> impl Iterator<Item = NodeId> + use<> {
        let nodes: Vec<NodeId> = self.asked().chain([self.me]).collect();
        nodes.into_iter()
    }

    /// Whether this is a node of the cluster.
    pub fn knows(&self, id: NodeId) -> bool {
        self.nodes.iter().any(|node| node.id == id)
    }
}

/// `0-5460` or `5462`.
fn run(word: &str) -> Option<(u16, u16)> {
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// `[93->-e7d1..]` with the sign `->-`.
fn on_the_move(word: &str, sign: &str) -> Option<(u16, NodeId)> {
    let (slot, node) = word.strip_prefix('[')?.strip_suffix(']')?.split_once(sign)?;
    Some((slot.parse().ok()?, NodeId::new(node.as_bytes())?))
}
