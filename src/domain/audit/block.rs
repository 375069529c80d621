//! The changes of an id block, and whose reservation an ordinal belongs to.
//!
//! ```text
//!   running state        the next ordinal, u64
//!
//!   code  name           bytes
//!      0  create         none
//!      1  reserve        skip u64, count u64     first = running + skip, running = first + count
//!      2  advance        skip u64, count u64     the same
//! ```
//!
//! Ordinals count the ids since START. They never go back, so the skip needs no sign, and entries are
//! sorted by ordinal as they are by time: one binary search finds the entry that holds an ordinal. A
//! skip is what went without an entry: ids handed out one by one, and jumps of the mark.

use super::entry::{Change, Entry};
use super::log::Log;
use crate::wire::{Corrupt, Reader, put_u64};

/// One change of an id block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockChange {
    /// The allocator was made.
    Create,
    /// Ordinals were handed out.
    Reserve {
        /// The first of them.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Ordinals were passed over.
    Advance {
        /// The first of them.
        first: u64,
        /// How many.
        count: u64,
    },
}

impl BlockChange {
    /// As a log entry shows it.
    pub fn name(&self) -> &'static str {
        match self {
            BlockChange::Create => "create",
            BlockChange::Reserve { .. } => "reserve",
            BlockChange::Advance { .. } => "advance",
        }
    }

    /// First ordinal and count, where the change has them.
    pub fn ordinals(&self) -> Option<(u64, u64)> {
        match *self {
            BlockChange::Create => None,
            BlockChange::Reserve { first, count } | BlockChange::Advance { first, count } => Some((first, count)),
        }
    }

    /// Whether `ordinal` was handed out by this change.
    fn holds(&self, ordinal: u64) -> bool {
        let BlockChange::Reserve { first, count } = *self else { return false };
        ordinal.checked_sub(first).is_some_and(|place| place < count)
    }
}

impl Change for BlockChange {
    type Running = u64;

    fn op(&self) -> u8 {
        match self {
            BlockChange::Create => 0,
            BlockChange::Reserve { .. } => 1,
            BlockChange::Advance { .. } => 2,
        }
    }

    #[inline]
    fn enter(&self, so_far: Option<u64>) -> Result<u64, Corrupt> {
        let Some((first, count)) = self.ordinals() else { return Ok(so_far.unwrap_or(0)) };
        let running = so_far.unwrap_or(first);
        if first < running {
            return Err(Corrupt("logged ordinals go back"));
        }
        first.checked_add(count).ok_or(Corrupt("logged ordinals past 64 bits"))?;
        Ok(running)
    }

    #[inline]
    fn encode(&self, running: &mut u64, out: &mut Vec<u8>) {
        let Some((first, count)) = self.ordinals() else { return };
        put_u64(out, first.saturating_sub(*running)); // `enter` has seen that neither is cut off
        put_u64(out, count);
        *running = first.saturating_add(count);
    }

    #[inline]
    fn decode(op: u8, running: &mut u64, input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        const WIDE: Corrupt = Corrupt("logged ordinals past 64 bits");
        let mut ordinals = || {
            let first = running.checked_add(input.u64()?).ok_or(WIDE)?;
            let count = input.u64()?;
            *running = first.checked_add(count).ok_or(WIDE)?;
            Ok((first, count))
        };
        match op {
            0 => Ok(BlockChange::Create),
            1 => ordinals().map(|(first, count)| BlockChange::Reserve { first, count }),
            2 => ordinals().map(|(first, count)| BlockChange::Advance { first, count }),
            _ => Err(Corrupt("unknown change of an id block")),
        }
    }

    fn put_running(running: u64, out: &mut Vec<u8>) {
        put_u64(out, running);
    }

    fn take_running(input: &mut Reader<'_>) -> Result<u64, Corrupt> {
        input.u64()
    }
}

impl Log<BlockChange> {
    /// The ordinal behind the last logged one: 0 where none is.
    pub fn reached(&self) -> u64 {
        self.running().unwrap_or(0)
    }

    /// The reservation that holds `ordinal`, if it is logged and still kept.
    pub fn holder(&self, ordinal: u64) -> Option<Entry<'_, BlockChange>> {
        self.chunk_reaching(|next| next > ordinal).find(|entry| entry.change.holds(ordinal))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EntryId, Retention};
    use super::*;

    #[test]
    fn every_change_comes_back_at_the_boundaries() {
        for (change, before, after) in [
            (BlockChange::Create, 0, 0),
            (BlockChange::Create, u64::MAX, u64::MAX),
            (BlockChange::Reserve { first: 0, count: u64::MAX }, 0, u64::MAX),
            (BlockChange::Reserve { first: u64::MAX, count: 0 }, 0, u64::MAX),
            (BlockChange::Advance { first: 7, count: 1 }, 7, 8),
        ] {
            assert_eq!(change.enter(Some(before)), Ok(before));
            let (mut running, mut out) = (before, Vec::new());
            change.encode(&mut running, &mut out);
            assert_eq!(running, after);
            assert!(out.len() <= crate::audit::entry::CHANGE_LEN_MAX);
            let (mut running, mut input) = (before, Reader::new(&out));
            assert_eq!(BlockChange::decode(change.op(), &mut running, &mut input), Ok(change));
            assert_eq!(running, after);
            assert!(input.is_empty());
        }
    }

    #[test]
    fn what_goes_back_or_past_64_bits_is_refused() {
        assert!(BlockChange::Reserve { first: 4, count: 1 }.enter(Some(5)).is_err());
        assert!(BlockChange::Reserve { first: u64::MAX, count: 1 }.enter(Some(0)).is_err());
        for op in 1..=15 {
            assert!(BlockChange::decode(op, &mut { u64::MAX }, &mut Reader::new(&[1, 1])).is_err());
        }
    }

    #[test]
    fn an_ordinal_finds_the_reservation_that_holds_it() {
        let mut log = Log::new(Retention { len_max: Some(1000), ..Retention::default() });
        assert_eq!(log.holder(0), None, "empty");
        // Blocks of 10 from every 12th ordinal on; in between, ids without an entry and advances.
        for block in 0..2000u64 {
            let (first, id) = (block * 12, EntryId { ms: block + 1, seq: 0 });
            let reserve = BlockChange::Reserve { first, count: 10 };
            let advance = BlockChange::Advance { first: first + 11, count: 1 };
            log.append(&Entry { id, change: reserve, user: b"alice", client: b"", note: b"" }).unwrap();
            let id = EntryId { seq: 1, ..id };
            log.append(&Entry { id, change: advance, user: b"", client: b"", note: b"" }).unwrap();
        }
        let oldest = log.range(EntryId::MIN, EntryId::MAX).find_map(|entry| entry.change.ordinals()).unwrap().0;
        assert!(oldest > 12 * 1000);
        for ordinal in (0..2001 * 12).filter(|ordinal| ordinal % 100 < 24) {
            let found = log.holder(ordinal).and_then(|entry| entry.change.ordinals());
            let (block, place) = (ordinal / 12, ordinal % 12);
            let held = ordinal >= oldest && block < 2000 && place < 10;
            assert_eq!(found, held.then_some((block * 12, 10)), "{ordinal}");
        }
        assert_eq!(log.holder(u64::MAX), None);
    }
}
