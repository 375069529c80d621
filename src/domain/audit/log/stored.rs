//! The stored form of a log: a head, and each chunk as it is.
//!
//! ```text
//!   head   = retention, last id: ms u64, seq u64         05 ac 02 05 | 80 d0 95 ff bc 31 | 00
//!   chunk  = chunk.rs
//! ```
//!
//! Loading takes nothing on trust: each entry is decoded, checked as if it was appended, and encoded
//! anew, and the bytes must come out the same. So what loads is what some sequence of appends would
//! have made, apart from what retention dropped before it, and there is one form for it. There is no
//! version: an unknown bound, operation or flag is an error, and the section around it has a tag.

use super::super::chunk::{CHUNK_BYTES_MAX, Decoder};
use super::super::entry::{Change, EntryId};
use super::super::retention::Retention;
use super::Log;
use crate::wire::{Corrupt, Reader, put_u64};

/// No clock gets there, and what counts on from here never gets past 63 bits.
const LAST_ID_MAX: EntryId = EntryId { ms: i64::MAX.cast_unsigned(), seq: i64::MAX.cast_unsigned() };

impl<C: Change> Log<C> {
    /// The stored form, first part: the bounds and the last id (ms u64, seq u64).
    pub fn head(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.retention.put(&mut out);
        put_u64(&mut out, self.last_id.ms);
        put_u64(&mut out, self.last_id.seq);
        out
    }

    /// The stored form, the rest: the chunks, oldest first.
    pub fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let open = Some(self.open.bytes()).filter(|bytes| !bytes.is_empty());
        self.sealed.iter().skip(self.cut).map(|chunk| &*chunk.bytes).chain(open)
    }

    /// The empty log that [`Log::head`] describes.
    pub fn from_head(head: &[u8]) -> Result<Self, Corrupt> {
        let mut input = Reader::new(head);
        let retention = Retention::take(&mut input)?;
        let last_id = EntryId { ms: input.u64()?, seq: input.u64()? };
        input.finish()?;
        if last_id > LAST_ID_MAX {
            return Err(Corrupt("no more ids of log entries"));
        }
        Ok(Log { last_id, ..Log::new(retention) })
    }

    /// Adds the next chunk of the stored form. After an error the log is not to be used.
    pub fn push_chunk(&mut self, chunk: &[u8]) -> Result<(), Corrupt> {
        if chunk.len() > CHUNK_BYTES_MAX {
            return Err(Corrupt("log chunk longer than its limit"));
        }
        let mut decoder = Decoder::<C>::new(chunk)?;
        if self.open.takes(decoder.running()) {
            return Err(Corrupt("log chunk behind one that has room"));
        }
        let so_far = self.open.running();
        self.seal();
        loop {
            let running = decoder.running();
            let Some(entry) = decoder.entry()? else { break };
            let so_far = if self.open.is_empty() { so_far.unwrap_or(running) } else { running };
            if entry.change.enter(Some(so_far))? != running {
                return Err(Corrupt("log entry that does not follow"));
            }
            if entry.id <= self.open.last() || entry.id > self.last_id {
                return Err(Corrupt("log entry out of order"));
            }
            if !self.open.is_empty() && !self.open.takes(running) {
                return Err(Corrupt("log chunk with too many entries"));
            }
            self.write(&entry, running);
        }
        if self.open.bytes() != chunk {
            return Err(Corrupt("log chunk not in its one form"));
        }
        if self.sealed.front().is_some_and(|front| self.drops(front)) {
            return Err(Corrupt("log past its bounds"));
        }
        Ok(())
    }
}

/// Equal if their stored forms are.
impl<C: Change> PartialEq for Log<C> {
    fn eq(&self, other: &Self) -> bool {
        self.retention == other.retention && self.last_id == other.last_id && self.chunks().eq(other.chunks())
    }
}
