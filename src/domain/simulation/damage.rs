//! What is stored, field by field, and damaged in every way.

use super::{World, loaded, sections};
use crate::stored::Stored;
use std::fmt::Debug;

/// Bits of a value up to which each one is flipped; of a larger value some are.
const BITS_MAX: usize = 20_000;

/// Cuts, flips, moves and repeats what is stored: the rest is refused, or it is a value with exactly that form.
pub fn check_damage<T: Stored + Debug>(value: &T, seed: u64) {
    let (world, stored) = (World::new(seed), sections(value));
    let check = |damaged: &[Vec<u8>]| {
        if let Ok(value) = loaded::<T>(damaged) {
            assert_eq!(sections(&value), damaged, "another form than that of {value:?}");
        }
    };
    check(&stored);
    let bits: usize = stored.iter().map(|section| section.len() * 8).sum();
    let due = || bits <= BITS_MAX || world.once_in((bits / 2_000) as u64);
    for at in 0..stored.len() {
        let mut damaged = stored.clone();
        damaged.remove(at);
        check(&damaged);
        let mut damaged = stored.clone();
        damaged.swap(at, at.saturating_sub(1));
        check(&damaged);
        damaged.insert(at, damaged[at].clone());
        check(&damaged);
        for len in (0..stored[at].len()).filter(|_| due()) {
            let mut damaged = stored.clone();
            damaged[at].truncate(len);
            check(&damaged);
        }
        for bit in (0..stored[at].len() * 8).filter(|_| due()) {
            let mut damaged = stored.clone();
            damaged[at][bit / 8] ^= 1 << (bit % 8);
            check(&damaged);
        }
    }
}

/// A field, its section, the byte of it that changes, and what it changes to.
pub type Field = (&'static str, usize, usize, u8);

/// The sections that say all there is to say make a value with exactly these sections; and so do they
/// with another byte in any one field.
pub fn check_fields<T: Stored>(whole: &[&[u8]], fields: &[Field]) {
    let whole: Vec<Vec<u8>> = whole.iter().map(|section| section.to_vec()).collect();
    assert_eq!(sections(&loaded::<T>(&whole).unwrap()), whole);
    for &(field, section, at, byte) in fields {
        let mut other = whole.clone();
        assert_ne!(other[section][at], byte, "{field}");
        other[section][at] = byte;
        let value = loaded::<T>(&other).unwrap_or_else(|why| panic!("{field}: {why}"));
        assert_eq!(sections(&value), other, "{field}");
    }
}
