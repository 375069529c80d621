//! The records of the tokens in the order of their age: byte strings of 4 KiB, appended to at the
//! back, swept from the front.
//!
//! ```text
//!   swept          live_from                        end
//!     |  dead ...    |  live ...                     |
//!   +-v-----------+--v----------+-------------+------v------+
//!   | segment     | segment     | segment     | segment     |
//!   +-------------+-------------+-------------+-------------+
//!   ^ first
//!
//!   record, in a segment that remembers the time of its first record as base_ms
//!     age        varint   at_ms - base_ms
//!     tag        varint   producer number << 3 | r
//!     token len  1 byte   1 to 255
//!     token
//!     fingerprint 6 bytes
//!     reply len  1 byte   only where r is 7; below that r is the length
//!     reply
//! ```
//!
//! An address is the place of a record as one u32: the number of its segment times 4096 plus the
//! offset in it, counted over the whole life of the log and wrapping, so that it stays valid while
//! segments in front of it go. The time is told from the segment's first record, not from the record
//! before: a lookup lands in the middle and reads one record only.
//!
//! Dead records cannot be found any more; they are only memory that waits for its turn to be freed.

use super::{Fingerprint, to_u64, to_usize};
use crate::memory::{BlockSize, Mover};
use crate::wire::{Corrupt, Reader, put_u64};
use std::collections::VecDeque;

/// Bytes of a full segment. A power of two, and far above the longest record (535 bytes).
const SEGMENT_LEN: u32 = 4096;

/// So many segments have distinct addresses.
const SEGMENT_COUNT_MAX: usize = 1 << 20;

/// From this reply length on, the length has a byte of its own.
const REPLY_LEN_SPELLED: u64 = 7;

/// One remembered token, its producer by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub at_ms: u64,
    pub producer: u32,
    pub token: &'a [u8],
    pub fingerprint: Fingerprint,
    pub reply: &'a [u8],
}

#[derive(Debug, Clone)]
struct Segment {
    base_ms: u64,
    /// Live records in here, known for the segments from `live_from` on.
    live: u32,
    bytes: Vec<u8>,
}

impl Segment {
    /// The record at `offset` and the offset after it; `None` at the end.
    fn record(&self, offset: usize) -> Option<(Record<'_>, usize)> {
        let rest = self.bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let mut reader = Reader::new(rest);
        let record = read(&mut reader, self.base_ms).ok()?;
        Some((record, self.bytes.len().checked_sub(reader.rest().len())?))
    }
}

fn read<'a>(reader: &mut Reader<'a>, base_ms: u64) -> Result<Record<'a>, Corrupt> {
    let at_ms = base_ms.saturating_add(reader.u64()?);
    let tag = reader.u64()?;
    let token_len = reader.u8()?;
    let token = reader.take(usize::from(token_len))?;
    let fingerprint = Fingerprint::read(reader)?;
    let reply_len = match tag & REPLY_LEN_SPELLED {
        REPLY_LEN_SPELLED => usize::from(reader.u8()?),
        short => to_usize(short),
    };
    let producer = u32::try_from(tag >> 3).map_err(|_| Corrupt("producer number past 32 bits"))?;
    Ok(Record { at_ms, producer, token, fingerprint, reply: reader.take(reply_len)? })
}

/// Where the live records would begin, and what lies between there and where they begin now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Front {
    address: u32,
    /// Records passed on the way.
    pub passed: u64,
    passed_in_segment: u32,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    segments: VecDeque<Segment>,
    /// Address of the first byte of the first segment.
    first: u32,
    swept: u32,
    live_from: u32,
    live: u64,
    dead: u64,
    newest_ms: u64,
}

impl Log {
    /// A log that has a long life behind it: addresses wrap soon.
    #[cfg(test)]
    pub(super) fn starting_at(segment: u32) -> Log {
        let first = segment.wrapping_mul(SEGMENT_LEN);
        Log { first, swept: first, live_from: first, ..Log::default() }
    }

    pub(super) fn live(&self) -> u64 {
        self.live
    }

    pub(super) fn dead(&self) -> u64 {
        self.dead
    }

    /// Time of the newest record; 0 when there is none.
    pub(super) fn newest_ms(&self) -> u64 {
        self.newest_ms
    }

    /// Whether another record might need an address that is taken.
    pub(super) fn is_full(&self) -> bool {
        self.segments.len() >= SEGMENT_COUNT_MAX
    }

    pub(super) fn is_live(&self, address: u32) -> bool {
        address.wrapping_sub(self.first) >= self.live_from.wrapping_sub(self.first)
    }

    pub(super) fn record(&self, address: u32) -> Option<Record<'_>> {
        let (index, offset) = self.place(address);
        Some(self.segments.get(index)?.record(offset)?.0)
    }

    /// Appends `record`, which is not older than the newest one, and gives its address.
    pub(super) fn append(&mut self, record: &Record<'_>) -> u32 {
        let reply_len = to_u64(record.reply.len());
        let tag = (u64::from(record.producer) << 3) | reply_len.min(REPLY_LEN_SPELLED);
        let longest = [10, 5, 1, record.token.len(), 6, 1, record.reply.len()].iter().sum::<usize>();
        let room = to_usize(u64::from(SEGMENT_LEN)).saturating_sub(longest);
        if self.segments.back().is_none_or(|last| last.bytes.len() > room) {
            // By an eighth: doubled, the table alone could cost half a byte a record.
            if self.segments.len() == self.segments.capacity() {
                self.segments.reserve_exact((self.segments.len() / 8).saturating_add(1));
            }
            self.segments.push_back(Segment { base_ms: record.at_ms, live: 0, bytes: Vec::new() });
        }
        let index = self.segments.len().saturating_sub(1);
        let mut offset = 0;
        if let Some(last) = self.segments.back_mut() {
            offset = last.bytes.len();
            // Powers of two: a key with few tokens stays small, a full segment has no slack. One with many
            // grows by a segment at once.
            let len = offset.saturating_add(longest);
            if len > last.bytes.capacity() {
                let capacity = if index > 1 { to_usize(u64::from(SEGMENT_LEN)) } else { len.next_power_of_two() };
                last.bytes.reserve_exact(capacity.saturating_sub(offset));
            }
            put_u64(&mut last.bytes, record.at_ms.saturating_sub(last.base_ms));
            put_u64(&mut last.bytes, tag);
            last.bytes.push(record.token.len().to_le_bytes()[0]);
            last.bytes.extend_from_slice(record.token);
            last.bytes.extend_from_slice(&record.fingerprint.to_bytes());
            if reply_len >= REPLY_LEN_SPELLED {
                last.bytes.push(record.reply.len().to_le_bytes()[0]);
            }
            last.bytes.extend_from_slice(record.reply);
            last.live = last.live.saturating_add(1);
        }
        self.live = self.live.saturating_add(1);
        self.newest_ms = record.at_ms;
        self.address(index, offset)
    }

    /// Passes the oldest live records for which `gone(at_ms, how many were passed before)` holds.
    /// What is gone must stay gone for a smaller time and a smaller count: whole segments are passed
    /// by a look at the record after them.
    pub(super) fn front(&self, gone: impl Fn(u64, u64) -> bool) -> Front {
        let (mut index, mut offset) = self.place(self.live_from);
        let mut passed = 0u64;
        let mut passed_in_segment = 0u32;
        while let Some(segment) = self.segments.get(index) {
            let next = self.segments.get(index.saturating_add(1));
            let passed_with_segment = passed.saturating_add(u64::from(segment.live));
            if next.is_none_or(|next| !gone(next.base_ms, passed_with_segment)) {
                while let Some((record, after)) = segment.record(offset)
                    && gone(record.at_ms, passed)
                {
                    passed = passed.saturating_add(1);
                    passed_in_segment = passed_in_segment.saturating_add(1);
                    offset = after;
                }
                if offset < segment.bytes.len() || next.is_none() {
                    break;
                }
            }
            passed = passed_with_segment;
            passed_in_segment = 0;
            offset = 0;
            index = index.saturating_add(1);
        }
        Front { address: self.address(index, offset), passed, passed_in_segment }
    }

    /// Everything in front of `front` is dead from now on.
    pub(super) fn cut(&mut self, front: Front) {
        self.live_from = front.address;
        self.live = self.live.saturating_sub(front.passed);
        self.dead = self.dead.saturating_add(front.passed);
        let (index, _) = self.place(front.address);
        if let Some(segment) = self.segments.get_mut(index) {
            segment.live = segment.live.saturating_sub(front.passed_in_segment);
        }
    }

    /// The oldest dead record, its address, and the offset to hand to `sweep`.
    pub(super) fn oldest_dead(&self) -> Option<(u32, Record<'_>, usize)> {
        if self.dead == 0 {
            return None;
        }
        let (index, offset) = self.place(self.swept);
        let (record, after) = self.segments.get(index)?.record(offset)?;
        Some((self.swept, record, after))
    }

    /// Frees the oldest dead record, which ends at `after` in the first segment.
    pub(super) fn sweep(&mut self, after: usize) {
        self.dead = self.dead.saturating_sub(1);
        self.swept = self.address(0, after);
        if self.segments.front().is_some_and(|segment| after >= segment.bytes.len()) {
            self.segments.pop_front();
            self.first = self.first.wrapping_add(SEGMENT_LEN);
            self.swept = self.first;
            if self.segments.len() < self.segments.capacity() / 4 {
                self.segments.shrink_to(self.segments.len().saturating_mul(2));
            }
        }
    }

    /// The live records, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let (mut index, mut offset) = self.place(self.live_from);
        std::iter::from_fn(move || {
            loop {
                let segment = self.segments.get(index)?;
                if let Some((record, after)) = segment.record(offset) {
                    offset = after;
                    return Some(record);
                }
                index = index.saturating_add(1);
                offset = 0;
            }
        })
    }

    /// Heap bytes.
    pub(super) fn memory(&self, block: BlockSize) -> usize {
        let row = block(self.segments.capacity().saturating_mul(size_of::<Segment>()));
        self.segments.iter().map(|segment| block(segment.bytes.capacity())).sum::<usize>().saturating_add(row)
    }

    pub(super) fn relocate(&mut self, mover: &mut impl Mover) {
        self.segments.iter_mut().for_each(|segment| mover.bytes(&mut segment.bytes));
    }

    pub(super) fn allocations(&self) -> usize {
        self.segments.len().saturating_add(usize::from(self.segments.capacity() > 0))
    }

    fn place(&self, address: u32) -> (usize, usize) {
        let distance = address.wrapping_sub(self.first);
        (to_usize(u64::from(distance / SEGMENT_LEN)), to_usize(u64::from(distance % SEGMENT_LEN)))
    }

    fn address(&self, index: usize, offset: usize) -> u32 {
        let distance = to_u64(index).wrapping_mul(u64::from(SEGMENT_LEN)).wrapping_add(to_u64(offset));
        let [a, b, c, d, ..] = distance.to_le_bytes();
        self.first.wrapping_add(u32::from_le_bytes([a, b, c, d]))
    }
}
