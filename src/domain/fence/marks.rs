//! The highest mark of each allocator that this node has raised or executed.
//!
//! Allocators come and go, and their marks must outlive them: a dump of a deleted key may be restored.
//! But not for ever: there are two generations, and when the younger one is full it becomes the older
//! one, and what was not raised since then is forgotten. A living allocator is raised again long before.

use super::Uid;
use crate::limits::JOURNAL_MARKS_MAX;
use std::collections::HashMap;

/// How far a raise may go that is written once, as long as none was seen: 2 to this.
const EXPONENT_FIRST: u8 = 10;

/// A mark, and how far from it a raise may be that is written to the journal once only: 2 to the exponent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The mark.
    pub mark: u64,
    /// What became usual of late; it grows slowly, so that one leap does not make leaps usual.
    pub exponent: u8,
}

impl Known {
    fn reach(self) -> u64 {
        1_u64.checked_shl(self.exponent.into()).unwrap_or(u64::MAX)
    }
}

/// Marks by allocator.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    young: HashMap<Uid, Known>,
    old: HashMap<Uid, Known>,
}

impl Marks {
    fn known(&self, uid: &Uid) -> Option<Known> {
        self.young.get(uid).or_else(|| self.old.get(uid)).copied()
    }

    /// The mark of an allocator, if one is known.
    pub fn get(&self, uid: &Uid) -> Option<u64> {
        self.known(uid).map(|known| known.mark)
    }

    /// What there is to be known once it is raised.
    pub fn raised(&self, uid: &Uid, mark: u64) -> Known {
        let Some(known) = self.known(uid) else { return Known { mark, exponent: EXPONENT_FIRST } };
        let Some(span @ 1..) = mark.checked_sub(known.mark) else { return known };
        let needed = u8::try_from(u64::BITS.saturating_sub(span.saturating_sub(1).leading_zeros())).unwrap_or(u8::MAX);
        Known { mark, exponent: needed.min(known.exponent.saturating_add(1)) }
    }

    /// Whether a raise goes further than who reads a damaged journal would expect.
    pub fn is_leap(&self, uid: &Uid, mark: u64) -> bool {
        self.known(uid).is_none_or(|known| mark.saturating_sub(known.mark) > known.reach())
    }

    /// A mark never falls.
    pub fn raise(&mut self, uid: Uid, mark: u64) {
        self.put(uid, self.raised(&uid, mark));
    }

    /// As it stood in the journal, behind what stood there before.
    pub(super) fn put(&mut self, uid: Uid, known: Known) {
        if self.get(&uid).is_some_and(|mark| mark > known.mark) {
            return;
        }
        if !self.young.contains_key(&uid) && self.young.len() >= JOURNAL_MARKS_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(uid, known);
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
        self.all().map(|(uid, known)| (uid, known.mark))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (Uid, Known)> {
        let old = self.old.iter().filter(|(uid, _)| !self.young.contains_key(*uid));
        old.chain(&self.young).map(|(uid, known)| (*uid, *known))
    }

    /// Each mark so much higher as a raise may have gone that a damaged journal has lost.
    pub(super) fn skip(&mut self) {
        for known in self.young.values_mut().chain(self.old.values_mut()) {
            known.mark = known.mark.saturating_add(known.reach());
        }
    }
}
