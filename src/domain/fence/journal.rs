//! The journal: what a node must not forget, whatever becomes of its dataset.
//!
//! ```text
//!   file     header, record*
//!   header   "TALLYFNC", version (1 byte), length of the body (4, little endian), body, CRC-32 of all that (4)
//!   body     the primary of an orphan: bytes, empty for none; electable nodes, heirs: count u64, bytes each;
//!            whether the set was whole (1)
//!   record   uid (16), mark (8, little endian), kind (1), exponent (1), 2 zero bytes, CRC-32 of these 28 (4)
//!            exponent: a raise from this mark that goes no further than 2 to that is written once
//!            kind 0: this node raised or executed the mark; kind 1: ids below it were handed out here;
//!            kind 2: its marks are worth nothing
//! ```
//!
//! Records are appended: one for each raise, and one when it has become safe here. The highest of an
//! allocator tells its mark. A header is never changed in place: where the set changes, or records
//! have piled up, a whole new file takes the place of the old one. So a write that was cut short can
//! only be that of a record.
//!
//! What such a write may have lost is one raise. One that goes about as far as the one before it is written
//! once, and who reads a damaged end begins so much higher; one that goes further is written twice, one
//! after the other, so that one of them is whole.

use super::marks::Known;
use super::{Electable, Fence, Marks, Uid};
use crate::wire::{Corrupt, Reader};
use std::collections::BTreeSet;

const MAGIC: &[u8; 8] = b"TALLYFNC";
const VERSION: u8 = 1;

/// Bytes of a record.
pub const RECORD_LEN: usize = 32;

/// Where in a record its checksum begins.
const SUMMED_LEN: usize = 28;

/// What a record says of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This node raised it, or executed it.
    Mark,
    /// Ids below it were handed out here.
    Claim,
    /// It says nothing about ids in use.
    Doubt,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Mark => 0,
            Kind::Claim => 1,
            Kind::Doubt => 2,
        }
    }
}

/// Whether all records could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Damage {
    /// They could.
    #[default]
    None,
    /// The last write was cut short or garbled: one raise may be missing, and the marks are so much higher.
    End,
    /// More than that: any number of raises may be missing, so no mark is worth anything.
    Inside,
}

/// A journal that was read.
#[derive(Debug, Default)]
pub struct Journal {
    /// Who must acknowledge.
    pub electable: Electable,
    /// The marks.
    pub marks: Marks,
    /// Marks below which ids were handed out here.
    pub claims: Marks,
    /// Allocators whose marks are worth nothing.
    pub doubted: BTreeSet<Uid>,
    /// Whether that is all there was.
    pub damage: Damage,
}

/// What is to be written when a node that knows these marks raises or executes another one.
pub fn raise(marks: &Marks, uid: &Uid, mark: u64) -> Vec<u8> {
    let record = record(uid, marks.raised(uid, mark), Kind::Mark);
    record.repeat(if marks.is_leap(uid, mark) { 2 } else { 1 })
}

/// What is to be written when ids below a mark are handed out here from now on.
pub fn claim(uid: &Uid, mark: u64) -> [u8; RECORD_LEN] {
    record(uid, Known { mark, exponent: 0 }, Kind::Claim)
}

fn record(uid: &Uid, known: Known, kind: Kind) -> [u8; RECORD_LEN] {
    let mut record = [0; RECORD_LEN];
    let (summed, sum) = record.split_at_mut(SUMMED_LEN);
    let (name, rest) = summed.split_at_mut(uid.len());
    name.copy_from_slice(uid);
    let fields = known.mark.to_le_bytes().into_iter().chain([kind.byte(), known.exponent]);
    rest.iter_mut().zip(fields).for_each(|(place, byte)| *place = byte);
    sum.copy_from_slice(&crc32fast::hash(summed).to_le_bytes());
    record
}

/// A whole file.
pub fn encode(fence: &Fence) -> Vec<u8> {
    let mut body = Vec::new();
    fence.electable.put(&mut body);
    let mut out = MAGIC.to_vec();
    out.push(VERSION);
    out.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(body);
    out.extend(crc32fast::hash(&out).to_le_bytes());
    for (kind, marks) in [(Kind::Mark, &fence.marks), (Kind::Claim, &fence.claims)] {
        marks.all().for_each(|(uid, known)| out.extend(record(&uid, known, kind)));
    }
    fence.doubted.iter().for_each(|uid| out.extend(record(uid, Known { mark: 0, exponent: 0 }, Kind::Doubt)));
    out
}

/// Whether a file may be replaced by a journal: it is one, or nothing.
pub fn is_ours(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.starts_with(MAGIC)
}

/// Reads a file. An error is that of the header: nothing of the file can be used then.
pub fn decode(bytes: &[u8]) -> Result<Journal, Corrupt> {
    let mut reader = Reader::new(bytes);
    if reader.array::<8>()? != *MAGIC {
        return Err(Corrupt("not a journal"));
    }
    if reader.u8()? != VERSION {
        return Err(Corrupt("unknown version of a journal"));
    }
    let len = usize::try_from(u32::from_le_bytes(reader.array()?)).map_err(|_| Corrupt("length past memory"))?;
    let body = reader.take(len)?;
    let summed = bytes.len().saturating_sub(reader.rest().len());
    if bytes.get(..summed).map(crc32fast::hash) != Some(u32::from_le_bytes(reader.array()?)) {
        return Err(Corrupt("checksum of a journal's header"));
    }
    let mut body = Reader::new(body);
    let electable = Electable::take(&mut body)?;
    body.finish()?;
    let mut journal = Journal { electable, ..Journal::default() };
    journal.damage = journal.take_records(reader.rest());
    if journal.damage == Damage::Inside {
        journal.marks = Marks::default();
    }
    if journal.damage == Damage::End {
        journal.marks.skip();
        // What was lost may have been a claim.
        journal.marks.iter().for_each(|(uid, mark)| journal.claims.raise(uid, mark));
    }
    Ok(journal)
}

impl Journal {
    /// What there is to be known of one that cannot be read.
    pub fn unreadable() -> Self {
        let mut electable = Electable::default();
        electable.orphan(super::NOBODY);
        Journal { electable, damage: Damage::Inside, ..Journal::default() }
    }

    fn take_records(&mut self, bytes: &[u8]) -> Damage {
        let mut records = bytes.chunks(RECORD_LEN);
        while let Some(chunk) = records.next() {
            match decode_record(chunk) {
                Some((uid, known, Kind::Mark)) => self.marks.put(uid, known),
                Some((uid, _, Kind::Doubt)) => _ = self.doubted.insert(uid),
                Some((uid, known, Kind::Claim)) => self.claims.put(uid, known),
                None => return end_or_inside(records),
            }
        }
        Damage::None
    }
}

fn decode_record(chunk: &[u8]) -> Option<(Uid, Known, Kind)> {
    let (summed, sum) = chunk.split_at_checked(SUMMED_LEN)?;
    if sum != crc32fast::hash(summed).to_le_bytes() {
        return None;
    }
    let mut reader = Reader::new(summed);
    let (uid, mark) = (reader.array().ok()?, u64::from_le_bytes(reader.array().ok()?));
    let (kind, exponent) = (reader.u8().ok()?, reader.u8().ok()?);
    [Kind::Mark, Kind::Claim, Kind::Doubt]
        .into_iter()
        .find(|known| known.byte() == kind)
        .map(|kind| (uid, Known { mark, exponent }, kind))
}

/// A bad record that is followed by nothing, or by room that was never written, was the last one.
fn end_or_inside<'a>(mut rest: impl Iterator<Item = &'a [u8]>) -> Damage {
    let is_blank = |chunk: &[u8]| chunk.iter().all(|&byte| byte == 0);
    if rest.all(is_blank) { Damage::End } else { Damage::Inside }
}
