//! The electable set: which nodes could take over, so that each of them must acknowledge a mark.

use crate::wire::{Corrupt, Reader, put_bytes, put_u64};
use std::collections::BTreeSet;

/// The most nodes that an announcement may name. Nobody has so many replicas; nobody should make us
/// believe it.
const MEMBERS_MAX: u64 = 1024;

/// The longest name of a node: a host name, a colon and a port.
const NODE_LEN_MAX: usize = 300;

/// What became of the wish to forget a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// It does not count any more.
    Gone,
    /// It did not count.
    Unknown,
    /// It follows at this moment, and would count again at once.
    Online,
}

/// The nodes that could take over from this one, by the address under which they follow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Electable {
    members: BTreeSet<String>,
    orphan_of: Option<String>,
    /// Those that may issue after it, or beside it, as far as this node knew when it was a primary.
    heirs: BTreeSet<String>,
    /// Whether it knew all of the set when it last was a primary.
    was_whole: bool,
    /// Whether this node has issued, or has followed anybody who has, since it has a journal.
    has_begun: bool,
    /// The primary that it follows, where that has not begun either.
    follows: Option<String>,
}

impl Electable {
    /// Those who must acknowledge.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(String::as_str)
    }

    /// The primary whose dataset this node has without knowing who else does.
    pub fn orphan_of(&self) -> Option<&str> {
        self.orphan_of.as_deref()
    }

    /// This node issues, or is about to: if it has never followed anybody, nobody else can have its marks.
    /// Returns as `bequeath`.
    pub(super) fn begin(&mut self) -> bool {
        self.has_begun = true;
        self.bequeath()
    }

    /// A follower acknowledged. Returns whether it did not count before.
    pub(super) fn count(&mut self, node: &str) -> bool {
        self.has_begun = true;
        !self.members.contains(node) && self.members.insert(node.to_owned())
    }

    /// This node follows another one from now on. What it knew stays true, but a node whose journal is new knows nothing
    /// once there is something to know.
    pub(super) fn follow(&mut self, primary: &str) {
        self.follows = Some(primary.to_owned());
    }

    /// This node is a primary: whatever allocators come, by its clients, are its own.
    pub(super) fn follow_nobody(&mut self) {
        self.follows = None;
    }

    /// It follows, with a dataset that has no allocator: nobody else can have issued one that is made here.
    pub(super) fn begin_anew(&mut self, primary: &str) {
        self.members.clear();
        (self.orphan_of, self.has_begun) = (None, false);
        self.follow(primary);
    }

    /// There is no mark in the journal: whoever is followed may have issued what comes.
    pub(super) fn has_nothing_to_lose(&mut self, is_so: bool) {
        self.has_begun &= !is_so;
    }

    /// There is a mark now. Returns whether that says something that must not be forgotten.
    pub(super) fn has_something_to_lose(&mut self) -> bool {
        let primary = self.follows.take_if(|_| !self.has_begun);
        primary.as_deref().inspect(|primary| self.orphan(primary)).is_some()
    }

    /// This node has the dataset of `primary` now, and does not know who else has. After that of a third one its word is
    /// worth nothing any more.
    pub fn orphan(&mut self, primary: &str) {
        self.was_whole &= self.orphan_of.as_deref().is_none_or(|former| former == primary);
        self.members.clear();
        (self.orphan_of, self.has_begun) = (Some(primary.to_owned()), true);
    }

    /// The primary of this node announced a set that this node is not in. It may have issued since this one did, so the
    /// word of this one is worth nothing any more.
    pub(super) fn passed_over(&mut self, primary: &str) {
        self.orphan(primary);
        self.was_whole = false;
    }

    /// The primary of this node announced its set. It says something to those in it alone.
    pub(super) fn told(&mut self, set: &BTreeSet<String>, me: &[String]) -> bool {
        let is_named = set.iter().any(|node| me.contains(node));
        if is_named {
            let members = set.iter().filter(|node| !me.contains(node)).cloned().collect();
            *self = Electable { members, has_begun: true, ..Electable::default() };
        }
        is_named
    }

    pub(super) fn forget(&mut self, node: &str) -> Forgotten {
        self.heirs.remove(node);
        if self.members.remove(node) { Forgotten::Gone } else { Forgotten::Unknown }
    }

    /// The primary of an orphan needs not be waited for.
    pub(super) fn adopt(&mut self) -> Forgotten {
        self.orphan_of = None;
        Forgotten::Gone
    }

    /// This node is a primary, and each of the members may issue, or may once it hears that it is one.
    /// Returns whether that must not be forgotten.
    pub(super) fn bequeath(&mut self) -> bool {
        let (known, was_whole) = (self.heirs.len(), self.was_whole);
        self.was_whole = self.orphan_of.is_none();
        self.heirs.extend(self.members.iter().cloned());
        self.heirs.len() > known || was_whole && !self.was_whole
    }

    /// Whether its word is worth anything to an orphan of its own dataset, by one of its names: not where the dataset
    /// that it has by now is that of a third one.
    pub(super) fn can_vouch(&self, orphan: &[&str]) -> bool {
        self.was_whole && self.orphan_of.as_deref().is_none_or(|primary| orphan.contains(&primary))
    }

    /// Those whom this node has told that they may issue, and whom a primary does not count.
    pub(super) fn heirs_beside(&self, set: &BTreeSet<String>, primary: &[&str], me: &[String]) -> Vec<String> {
        let is_beside =
            |heir: &&String| !set.contains(*heir) && !primary.contains(&heir.as_str()) && !me.contains(heir);
        self.heirs.iter().filter(is_beside).cloned().collect()
    }

    /// An operator answers for the heirs. Returns whether there are any.
    pub(super) fn disinherit(&mut self) -> bool {
        !std::mem::take(&mut self.heirs).is_empty()
    }

    /// What was learned before the journal could be read counts too.
    pub(super) fn merge(&mut self, journal: &Electable) {
        self.members.extend(journal.members.iter().cloned());
        self.heirs.extend(journal.heirs.iter().cloned());
        self.orphan_of = self.orphan_of.take().or_else(|| journal.orphan_of.clone());
        self.has_begun |= journal.has_begun;
        self.was_whole &= journal.was_whole;
    }

    /// Appends it for the journal: the primary of an orphan, or nothing, then members and heirs.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.orphan_of.as_deref().unwrap_or_default().as_bytes());
        put_nodes(&self.members, out);
        put_nodes(&self.heirs, out);
        out.push(u8::from(self.was_whole));
    }

    /// Reads what `put` wrote.
    pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let orphan_of = Some(take_node(reader)?).filter(|primary| !primary.is_empty());
        let (members, heirs) = (take_nodes(reader)?, take_nodes(reader)?);
        let was_whole = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Corrupt("a set is whole or not")),
        };
        Ok(Electable { orphan_of, members, heirs, was_whole, has_begun: true, follows: None })
    }
}

/// Appends a number of nodes, and each of them.
pub(super) fn put_nodes(nodes: &BTreeSet<String>, out: &mut Vec<u8>) {
    put_u64(out, u64::try_from(nodes.len()).unwrap_or(u64::MAX));
    nodes.iter().for_each(|node| put_bytes(out, node.as_bytes()));
}

/// Reads what `put_nodes` wrote.
pub(super) fn take_nodes(reader: &mut Reader<'_>) -> Result<BTreeSet<String>, Corrupt> {
    let count = reader.u64()?;
    if count > MEMBERS_MAX {
        return Err(Corrupt("more electable nodes than there can be"));
    }
    (0..count).map(|_| take_node(reader)).collect()
}

fn take_node(reader: &mut Reader<'_>) -> Result<String, Corrupt> {
    let bytes = reader.bytes(NODE_LEN_MAX)?.to_vec();
    String::from_utf8(bytes).map_err(|_| Corrupt("the name of a node is no text"))
}
