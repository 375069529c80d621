//! Those who follow now, and what each was sent.

use std::collections::{BTreeMap, BTreeSet};

/// A follower, as long as it is there.
#[derive(Debug, Clone, Copy, Default)]
struct Follower {
    acknowledged: u64,
    /// How many connections have its address. A new one beside a dead one is another follower.
    connections: usize,
    announced: Announced,
}

/// What a follower was sent. Whoever has acknowledged an announcement has nothing against this primary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Announced {
    /// Nothing since it came, or nothing that is still true.
    #[default]
    Nothing,
    /// An announcement, which has no place in the stream yet.
    Somewhere,
    /// The same; this is the offset behind it.
    Before(u64),
}

impl Follower {
    fn has_heard(&self) -> bool {
        matches!(self.announced, Announced::Before(offset) if self.acknowledged >= offset.max(1))
    }

    fn was_told(&self) -> bool {
        self.announced != Announced::Nothing
    }
}

/// Those who follow, by the address under which they do.
#[derive(Debug, Default)]
pub(super) struct Followers {
    present: BTreeMap<String, Follower>,
    /// Those that left after an announcement, and have not acknowledged one since.
    left: BTreeSet<String>,
}

impl Followers {
    /// These follow now. To be called at once when one has come or gone: a connection that took the place of
    /// another one has heard nothing yet, and must not pass for it. Of two of one address the later counts:
    /// the other one is dead, and the server may not even show it any more. So where one `has_come`, it may
    /// be any that has not acknowledged anything.
    pub fn meet(&mut self, followers: &[(String, u64)], has_come: bool) {
        let before = std::mem::take(&mut self.present);
        for (node, acknowledged) in followers {
            let follower = self.present.entry(node.clone()).or_default();
            follower.acknowledged = *acknowledged;
            follower.connections = follower.connections.saturating_add(1);
        }
        for (node, follower) in &mut self.present {
            let is_same = |before: &&Follower| {
                follower.connections <= before.connections
                    && follower.acknowledged >= before.acknowledged
                    && (follower.acknowledged > 0 || !has_come)
            };
            follower.announced = before.get(node).filter(is_same).map(|before| before.announced).unwrap_or_default();
            if follower.has_heard() {
                self.left.remove(node);
            }
        }
        let left = before.into_iter().filter(|(node, follower)| {
            follower.was_told() && !follower.has_heard() && !self.present.get(node).is_some_and(Follower::was_told)
        });
        self.left.extend(left.map(|(node, _)| node));
    }

    /// An announcement is sent to those that have not been told yet.
    pub fn tell(&mut self) {
        let untold = self.present.values_mut().filter(|follower| follower.announced == Announced::Nothing);
        untold.for_each(|follower| follower.announced = Announced::Somewhere);
    }

    /// Whether somebody has not been told yet.
    pub fn has_untold(&self) -> bool {
        self.present.values().any(|follower| follower.announced == Announced::Nothing)
    }

    /// The announcement that was sent last lies before this offset.
    pub fn told_before(&mut self, offset: u64) {
        let told = self.present.values_mut().filter(|follower| follower.announced == Announced::Somewhere);
        told.for_each(|follower| follower.announced = Announced::Before(offset));
    }

    /// What they were told is not true any more.
    pub fn tell_again(&mut self) {
        self.present.values_mut().for_each(|follower| follower.announced = Announced::Nothing);
    }

    /// Those that have nothing against this primary.
    pub fn agreed(&self) -> impl Iterator<Item = &str> {
        self.present.iter().filter(|(_, follower)| follower.has_heard()).map(|(node, _)| node.as_str())
    }

    /// Whether one has acknowledged an offset, and has nothing against this primary.
    pub fn has_acknowledged(&self, node: &str, target: u64) -> bool {
        self.present.get(node).is_some_and(|follower| follower.has_heard() && follower.acknowledged >= target)
    }

    /// What a node has acknowledged, if it follows.
    pub fn acknowledged(&self, node: &str) -> Option<u64> {
        self.present.get(node).map(|follower| follower.acknowledged)
    }

    /// Whether it left instead of acknowledging what it was told, the last time.
    pub fn has_left(&self, node: &str) -> bool {
        self.left.contains(node)
    }

    /// Addresses from which more than one connection comes.
    pub fn doubles(&self) -> impl Iterator<Item = &str> {
        self.present.iter().filter(|(_, follower)| follower.connections > 1).map(|(node, _)| node.as_str())
    }
}
