//! How much of a log is kept: a property of the key, stored with it.
//!
//! ```text
//!   retention = bounds (1 byte: 1 = entries, 2 = age, 4 = bytes)
//!               each bound that is there, u64, in this order
//! ```
//!
//! A log is trimmed by whole chunks: one that is full is dropped as soon as each bound would still
//! be reached without it. So a log keeps at least what it is bound to, and at most one chunk
//! more. Time is the entries' own, never a clock's: replicas drop the same chunks.

use crate::wire::{Corrupt, Reader, put_u64};

/// Bounds of a log. The tightest counts; without any a log grows for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Entries.
    pub len_max: Option<u64>,
    /// Milliseconds between the newest entry and the oldest.
    pub age_max_ms: Option<u64>,
    /// Encoded bytes.
    pub bytes_max: Option<u64>,
}

/// What lies behind a chunk: all that retention asks about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    /// Entries from the chunk's end to that of the log.
    pub len: u64,
    /// Milliseconds likewise.
    pub age_ms: u64,
    /// Bytes likewise.
    pub bytes: u64,
}

impl Retention {
    /// Whether a chunk is past a bound that what lies behind it fills alone.
    #[inline]
    pub(super) fn drops(&self, behind: Behind) -> bool {
        self.len_max.is_some_and(|max| behind.len >= max)
            || self.age_max_ms.is_some_and(|max| behind.age_ms > max)
            || self.bytes_max.is_some_and(|max| behind.bytes >= max)
    }

    fn bounds(&self) -> [Option<u64>; 3] {
        [self.len_max, self.age_max_ms, self.bytes_max]
    }

    /// A bound by its name in any case, and that name as it is written.
    pub fn bound_mut(&mut self, name: &[u8]) -> Option<(&'static str, &mut Option<u64>)> {
        match name.to_ascii_uppercase().as_slice() {
            b"MAXLEN" => Some(("MAXLEN", &mut self.len_max)),
            b"MAXAGE" => Some(("MAXAGE", &mut self.age_max_ms)),
            b"MAXBYTES" => Some(("MAXBYTES", &mut self.bytes_max)),
            _ => None,
        }
    }

    /// Appends it.
    pub fn put(&self, out: &mut Vec<u8>) {
        let bit = |bound: Option<u64>, bit: u8| if bound.is_some() { bit } else { 0 };
        out.push(bit(self.len_max, 1) | bit(self.age_max_ms, 2) | bit(self.bytes_max, 4));
        for bound in self.bounds().into_iter().flatten() {
            put_u64(out, bound);
        }
    }

    /// Reads what [`Retention::put`] wrote.
    pub fn take(input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let bounds = input.u8()?;
        if bounds > 7 {
            return Err(Corrupt("unknown bound of a log"));
        }
        let mut bound = |bit: u8| if bounds & bit != 0 { input.u64().map(Some) } else { Ok(None) };
        Ok(Retention { len_max: bound(1)?, age_max_ms: bound(2)?, bytes_max: bound(4)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bounds_come_back() {
        let values = [None, Some(0), Some(300), Some(u64::MAX)];
        for len_max in values {
            for age_max_ms in values {
                for bytes_max in values {
                    let retention = Retention { len_max, age_max_ms, bytes_max };
                    let mut out = Vec::new();
                    retention.put(&mut out);
                    let mut reader = Reader::new(&out);
                    assert_eq!(Retention::take(&mut reader), Ok(retention));
                    assert!(reader.is_empty());
                    for cut in 0..out.len() {
                        assert!(Retention::take(&mut Reader::new(&out[..cut])).is_err());
                    }
                }
            }
        }
        assert!(Retention::take(&mut Reader::new(&[8, 0, 0, 0])).is_err());
    }

    #[test]
    fn a_bound_has_a_name() {
        let mut retention = Retention::default();
        assert_eq!(
            retention.bound_mut(b"maxlen").map(|(name, bound)| (name, bound.replace(5))),
            Some(("MAXLEN", None))
        );
        assert_eq!(retention, Retention { len_max: Some(5), ..Retention::default() });
        assert_eq!(retention.bound_mut(b"MAXWEIGHT"), None);
    }

    #[test]
    fn golden() {
        let mut out = Vec::new();
        Retention { len_max: Some(300), age_max_ms: None, bytes_max: Some(5) }.put(&mut out);
        assert_eq!(out, [0x05, 0xac, 0x02, 0x05]);
    }

    #[test]
    fn each_bound_drops_at_its_edge() {
        let none = Retention::default();
        let behind = |len, age_ms, bytes| Behind { len, age_ms, bytes };
        assert!(!none.drops(behind(u64::MAX, u64::MAX, u64::MAX)));
        let len = Retention { len_max: Some(10), ..none };
        assert!(!len.drops(behind(9, 99, 99)) && len.drops(behind(10, 0, 0)));
        let age = Retention { age_max_ms: Some(10), ..none };
        assert!(!age.drops(behind(99, 10, 99)) && age.drops(behind(0, 11, 0)));
        let bytes = Retention { bytes_max: Some(10), ..none };
        assert!(!bytes.drops(behind(99, 99, 9)) && bytes.drops(behind(0, 0, 10)));
    }
}
