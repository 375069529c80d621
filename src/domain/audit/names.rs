//! The dictionary of the chunk that is being written: which names it has defined, and a hash table
//! to find one again. Where a name lies and which number it has follows from the bytes of the chunk
//! alone. The table only speeds up finding it, and is neither stored nor compared.
//!
//! Rejected: a `HashMap` with owned keys (an allocation a name), and looking through all names (with
//! 100 of them that is longer than everything else about an entry).

use crate::limits::NAME_LEN_MAX;
use crate::memory::BlockSize;
use crate::wire::put_bytes;

/// Where a name lies in its chunk.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Name {
    at: u16,
    len: u8,
    /// A part of the hash: names that differ mostly differ here, and need not be looked at.
    tag: u8,
}

impl Name {
    /// Its bytes.
    #[inline]
    pub(super) fn of(self, chunk: &[u8]) -> &[u8] {
        chunk.get(usize::from(self.at)..).and_then(|rest| rest.get(..usize::from(self.len))).unwrap_or_default()
    }

    /// Whether `text` is its text.
    #[inline]
    pub(super) fn is(self, text: &[u8], chunk: &[u8]) -> bool {
        // An empty slice may have no address, and some processors take 50 ns and more to compare
        // no bytes at an address that is none (a masked load that would fault).
        usize::from(self.len) == text.len() && (text.is_empty() || self.of(chunk) == text)
    }
}

/// Names by number, and numbers by hash.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    names: Vec<Name>,
    /// Number + 1, or 0 for none; open addressing. A power of two, more than twice the names.
    slots: Vec<u16>,
}

const SLOTS_MIN: usize = 16;
const _: () = assert!(NAME_LEN_MAX == 255, "a name's length is one byte");

impl Names {
    /// Forgets the names and keeps the memory: another chunk begins.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.slots.fill(0);
    }

    /// The name with this text and its number, if `chunk` has defined it. `hash` is the text's.
    #[inline]
    pub(super) fn find(&self, text: &[u8], hash: u64, chunk: &[u8]) -> Option<(usize, Name)> {
        for slot in probe(hash, self.slots.len()) {
            let number = usize::from(*self.slots.get(slot)?).checked_sub(1)?;
            let name = *self.names.get(number)?;
            if name.tag == tag(hash) && name.is(text, chunk) {
                return Some((number, name));
            }
        }
        None
    }

    /// Defines a name that is not there yet: appends length and text to `chunk`.
    pub(super) fn define(&mut self, text: &[u8], hash: u64, chunk: &mut Vec<u8>) -> Name {
        put_bytes(chunk, text);
        let at = u16::try_from(chunk.len().saturating_sub(text.len())).unwrap_or(u16::MAX);
        let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
        let name = Name { at, len, tag: tag(hash) };
        self.names.push(name);
        if self.slots.len() <= self.names.len().saturating_mul(2) {
            self.slots.clear();
            self.slots.resize(self.names.len().saturating_mul(4).next_power_of_two().max(SLOTS_MIN), 0);
            for (place, name) in self.names.iter().enumerate() {
                enter(&mut self.slots, hash_of(name.of(chunk)), place);
            }
        } else {
            enter(&mut self.slots, hash, self.names.len().saturating_sub(1));
        }
        name
    }

    /// Heap bytes as allocated.
    pub(super) fn memory(&self, block: BlockSize) -> usize {
        let names = block(self.names.capacity().saturating_mul(size_of::<Name>()));
        names.saturating_add(block(self.slots.capacity().saturating_mul(size_of::<u16>())))
    }

    /// Heap allocations.
    pub(super) fn allocations(&self) -> usize {
        usize::from(self.names.capacity() > 0).saturating_add(usize::from(self.slots.capacity() > 0))
    }
}

/// The slots in which a name with this hash may be, in order. `slots` is a power of two or 0.
#[inline]
fn probe(hash: u64, slots: usize) -> impl Iterator<Item = usize> {
    let mask = slots.wrapping_sub(1);
    let start = usize::try_from(hash & 0xffff).unwrap_or(0);
    (0..slots).map(move |step| start.wrapping_add(step) & mask)
}

/// Puts a number into the first free slot.
fn enter(slots: &mut [u16], hash: u64, number: usize) {
    let free = probe(hash, slots.len()).find(|&slot| slots.get(slot) == Some(&0));
    if let Some(slot) = free.and_then(|slot| slots.get_mut(slot)) {
        *slot = u16::try_from(number.saturating_add(1)).unwrap_or(0);
    }
}

#[inline]
fn tag(hash: u64) -> u8 {
    hash.to_le_bytes()[7]
}

/// Multiply to 128 bits and fold, a word at a time; the last word overlaps the one before it. Who
/// writes notes that collide makes an append look through the names of one chunk, 768 at most: no
/// reason for a keyed hash.
#[inline]
pub(super) fn hash_of(text: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| {
        let wide = u128::from(hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let [low, high] = [wide, wide >> 64].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0));
        low ^ high
    };
    let (words, rest) = text.as_chunks::<8>();
    let hash = words.iter().fold(!0, |hash, &word| mix(hash, u64::from_le_bytes(word)));
    let last = match (text.last_chunk::<8>(), text.first_chunk::<4>(), text.last_chunk::<4>()) {
        (Some(&last), ..) => u64::from_le_bytes(last),
        (None, Some(&first), Some(&last)) => {
            u64::from(u32::from_le_bytes(first)) << 32 | u64::from(u32::from_le_bytes(last))
        }
        _ => rest.iter().fold(1, |word, &byte| word << 8 | u64::from(byte)),
    };
    mix(hash, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_its_text_and_numbered_in_order() {
        let (mut names, mut chunk) = (Names::default(), Vec::new());
        let texts: Vec<Vec<u8>> = (0..768u32).map(|n| format!("{n}").into_bytes()).collect();
        for round in 0..2 {
            for (number, text) in texts.iter().enumerate() {
                assert!(names.find(text, hash_of(text), &chunk).is_none(), "round {round}");
                assert_eq!(names.define(text, hash_of(text), &mut chunk).of(&chunk), text);
                for (number, text) in texts.iter().enumerate().take(number + 1).step_by(97) {
                    let (found, name) = names.find(text, hash_of(text), &chunk).unwrap();
                    assert_eq!((found, name.of(&chunk)), (number, &text[..]));
                }
            }
            names.clear();
            chunk.clear();
        }
    }

    /// Names that differ in one place only, as names do. A table that piles them up is slow, not wrong.
    #[test]
    fn names_of_a_kind_spread_over_the_slots() {
        for kind in ["", "u", "user-", "client-number-", "the order of a customer whose name is long: "] {
            let slots = |n: u32| probe(hash_of(format!("{kind}{n}").as_bytes()), 2048).next().unwrap();
            let used: std::collections::HashSet<usize> = (1000..1768).map(slots).collect();
            assert!(used.len() > 550, "{kind}: {}", used.len()); // 641 expected
        }
    }

    #[test]
    fn a_longest_name_is_found_again() {
        let (mut names, mut chunk) = (Names::default(), Vec::new());
        for text in [&[7; NAME_LEN_MAX][..], &[7; NAME_LEN_MAX - 1], &[0], &[0, 0]] {
            names.define(text, hash_of(text), &mut chunk);
            assert_eq!(names.find(text, hash_of(text), &chunk).unwrap().1.of(&chunk), text);
        }
    }
}
