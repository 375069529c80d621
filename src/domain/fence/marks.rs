//! The highest mark of each allocator that this node has raised or executed.
//!
//! Allocators come and go, and their marks must outlive them: a dump of a deleted key may be restored.
//! But not for ever: there are two generations, and when the younger one is full it becomes the older
//! one, and what was not raised since then is forgotten. A living allocator is raised again long before.

use super::Uid;
use crate::limits::JOURNAL_MARKS_MAX;
use std::collections::HashMap;

/// Marks by allocator.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    young: HashMap<Uid, u64>,
    old: HashMap<Uid, u64>,
}

impl Marks {
    /// The mark of an allocator, if one is known.
    pub fn get(&self, uid: &Uid) -> Option<u64> {
        self.young.get(uid).or_else(|| self.old.get(uid)).copied()
    }

    /// A mark never falls.
    pub fn raise(&mut self, uid: Uid, mark: u64) {
        let known = self.get(&uid).unwrap_or(0);
        if !self.young.contains_key(&uid) && self.young.len() >= JOURNAL_MARKS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(uid, mark.max(known));
    }

    /// How many there are, at most: one of both generations counts twice.
    pub fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// All of them, older ones first.
    pub fn iter(&self) -> impl Iterator<Item = (Uid, u64)> {
        let old = self.old.iter().filter(|(uid, _)| !self.young.contains_key(*uid));
        old.chain(&self.young).map(|(uid, mark)| (*uid, *mark))
    }

    /// Each mark so much higher, for what a damaged journal may have lost.
    pub fn skip(&mut self, count: u64) {
        for mark in self.young.values_mut().chain(self.old.values_mut()) {
            *mark = mark.saturating_add(count);
        }
    }
}
