//! The stored form of a value: tagged sections.
//!
//! ```text
//!   section = tag (1 byte), body (to the end of the section)
//!
//!   tag  section        counter             id block
//!    1   core           value               uid, start, increment, max, mark, fence
//!    2   created        time of CREATE      time of CREATE
//!    3   bounds         lower, upper        -
//!    4   tokens         limits, counts      the same
//!    5   token segment  80 a section, oldest first
//!    6   holds          256 a section       -
//!    7   log            retention, last id  the same
//!    8   log chunk      one a section, oldest first
//!    9   clock          -                   bits, epoch
//!   10   codes          -                   length, alphabet, secret
//!   11   shards         how many            -
//! ```
//!
//! An absent section means the default, so a plain counter is its core alone. What can grow comes in
//! sections of a few kilobytes. RDB keeps each section as one string, the highest bit of the
//! tag set in the last; an AOF rewrite and a slot migration put as many as fit into one restoring
//! command; DEBUG DIGEST hashes them in order.
//!
//! Rejected: one encoded blob a value (a log of millions of entries would be copied whole to be
//! saved), and fields in fixed order (a later version could not leave one out).

use crate::wire::{Corrupt, Reader};

/// What a section holds. Its byte is part of the stored format, and below 0x80.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// What every value of its type has.
    Core,
    /// When CREATE made it.
    Created,
    /// The bounds of a counter.
    Bounds,
    /// Limits of the tokens, and how many there were.
    Tokens,
    /// Some of the tokens.
    TokenSegment,
    /// Some of the holds.
    Holds,
    /// Retention and last id of the log.
    Log,
    /// One chunk of the log.
    LogChunk,
    /// Ids that carry the time.
    Clock,
    /// Ids that have codes.
    Codes,
    /// How many shards a counter has.
    Shards,
}

impl Tag {
    const ALL: [Tag; 11] = [
        Tag::Core,
        Tag::Created,
        Tag::Bounds,
        Tag::Tokens,
        Tag::TokenSegment,
        Tag::Holds,
        Tag::Log,
        Tag::LogChunk,
        Tag::Clock,
        Tag::Codes,
        Tag::Shards,
    ];

    /// The byte that stands for it.
    pub fn byte(self) -> u8 {
        match self {
            Tag::Core => 1,
            Tag::Created => 2,
            Tag::Bounds => 3,
            Tag::Tokens => 4,
            Tag::TokenSegment => 5,
            Tag::Holds => 6,
            Tag::Log => 7,
            Tag::LogChunk => 8,
            Tag::Clock => 9,
            Tag::Codes => 10,
            Tag::Shards => 11,
        }
    }

    /// Splits a section into its tag and its body.
    pub fn split(section: &[u8]) -> Result<(Tag, Reader<'_>), Corrupt> {
        let mut reader = Reader::new(section);
        let byte = reader.u8()?;
        let tag = Tag::ALL.into_iter().find(|tag| tag.byte() == byte).ok_or(Corrupt("unknown section"))?;
        Ok((tag, reader))
    }
}

/// A value that is made of sections. Whatever is loaded comes through here and is checked here,
/// wherever it came from: a file, another server, an attacker. It is valid after each section, so
/// that it can come in several parts.
pub trait Stored: Sized {
    /// Calls `each` with every section, the core first.
    fn sections(&self, each: &mut dyn FnMut(Vec<u8>));

    /// The value of which only the core is known yet.
    fn from_core(section: &[u8]) -> Result<Self, Corrupt>;

    /// Adds a section behind the core. After an error the value is not to be used.
    fn push_section(&mut self, section: &[u8]) -> Result<(), Corrupt>;
}

/// Makes a value from its sections, each of which may fail to arrive.
pub fn load<T, S, E>(sections: impl IntoIterator<Item = Result<S, E>>) -> Result<T, E>
where
    T: Stored,
    S: AsRef<[u8]>,
    E: From<Corrupt>,
{
    let mut sections = sections.into_iter();
    let core = sections.next().ok_or(Corrupt("no core section"))??;
    let mut value = T::from_core(core.as_ref())?;
    for section in sections {
        value.push_section(section?.as_ref())?;
    }
    Ok(value)
}

/// Bytes that the sections of a plain value do not exceed.
const SHORT: usize = 32;

/// One section: its tag, then what `body` appends.
pub fn section(tag: Tag, body: impl FnOnce(&mut Vec<u8>), each: &mut dyn FnMut(Vec<u8>)) {
    let mut section = Vec::with_capacity(SHORT);
    section.push(tag.byte());
    body(&mut section);
    each(section);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_is_its_own_and_leaves_the_highest_bit_free() {
        let mut bytes = Tag::ALL.map(Tag::byte).to_vec();
        bytes.sort_unstable();
        bytes.dedup();
        assert_eq!(bytes.len(), Tag::ALL.len());
        assert!(bytes.iter().all(|byte| *byte < 0x80));
    }
}
