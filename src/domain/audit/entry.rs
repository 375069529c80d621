//! Entries and their ids, and what a kind of change must be able to do.

use std::fmt;

use crate::limits::NAME_LEN_MAX;
use crate::wire::{Corrupt, Reader};

/// The id of an entry, `ms-seq`: Unix time in milliseconds on the primary, and a number that tells
/// entries of one millisecond apart. Strictly increasing within a log.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EntryId {
    /// Unix time in milliseconds.
    pub ms: u64,
    /// Counts from 0 within the millisecond.
    pub seq: u64,
}

impl EntryId {
    /// Before every entry: no entry has this id.
    pub const MIN: EntryId = EntryId { ms: 0, seq: 0 };
    /// Not before any entry.
    pub const MAX: EntryId = EntryId { ms: u64::MAX, seq: u64::MAX };

    /// The next id that there is. `None` after the greatest.
    pub fn successor(self) -> Option<EntryId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(EntryId { ms: self.ms, seq }),
            None => Some(EntryId { ms: self.ms.checked_add(1)?, seq: 0 }),
        }
    }

    /// The last id before this one. `None` before 0-0.
    pub fn predecessor(self) -> Option<EntryId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(EntryId { ms: self.ms, seq }),
            None => Some(EntryId { ms: self.ms.checked_sub(1)?, seq: u64::MAX }),
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// One change as the log tells it. An empty name is an absent one.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Entry<'a, C> {
    /// When.
    pub id: EntryId,
    /// What.
    pub change: C,
    /// Who: the name of the ACL user, at most [`NAME_LEN_MAX`] bytes.
    pub user: &'a [u8],
    /// From where: what the client called itself, at most [`NAME_LEN_MAX`] bytes.
    pub client: &'a [u8],
    /// Why: what the caller wants remembered, at most [`NAME_LEN_MAX`] bytes.
    pub note: &'a [u8],
}

impl<C> Entry<'_, C> {
    /// Whether each name fits.
    pub(super) fn check_names(&self) -> Result<(), Corrupt> {
        let fits = [self.user, self.client, self.note].iter().all(|name| name.len() <= NAME_LEN_MAX);
        if fits { Ok(()) } else { Err(Corrupt("name in a log entry longer than its limit")) }
    }
}

/// A kind of change that a log can hold.
///
/// A change is written against the state that the changes before it have left behind (a counter:
/// its value; an id block: its next ordinal), so what follows from that state costs no byte. Each
/// chunk says which state it starts from and can be read without the one before it.
pub trait Change: Copy + PartialEq + fmt::Debug {
    /// The state that runs along.
    type Running: Copy + PartialEq + fmt::Debug;

    /// The kind of the change, 0 to 15: half a byte of the entry.
    fn op(&self) -> u8;

    /// The state against which this change is to be written, where the log has got to `so_far`
    /// (`None`: it is empty). If they differ the change starts a chunk of its own. An error if the
    /// change contradicts itself, or cannot come after `so_far` in any way.
    fn enter(&self, so_far: Option<Self::Running>) -> Result<Self::Running, Corrupt>;

    /// Appends the change, at most 20 bytes (two of the longest varints), and moves `running` past it. `running`
    /// is what [`Change::enter`] said.
    fn encode(&self, running: &mut Self::Running, out: &mut Vec<u8>);

    /// Reads what [`Change::encode`] wrote.
    fn decode(op: u8, running: &mut Self::Running, input: &mut Reader<'_>) -> Result<Self, Corrupt>;

    /// Appends a state, at most 10 bytes: a chunk begins with it.
    fn put_running(running: Self::Running, out: &mut Vec<u8>);

    /// Reads what [`Change::put_running`] wrote.
    fn take_running(input: &mut Reader<'_>) -> Result<Self::Running, Corrupt>;
}

/// Bytes of a change without its kind.
pub(super) const CHANGE_LEN_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> EntryId {
        EntryId { ms, seq }
    }

    #[test]
    fn ids_have_neighbours() {
        for (before, after) in
            [(id(0, 0), id(0, 1)), (id(0, u64::MAX), id(1, 0)), (id(u64::MAX, u64::MAX - 1), EntryId::MAX)]
        {
            assert!(before < after);
            assert_eq!(before.successor(), Some(after));
            assert_eq!(after.predecessor(), Some(before));
        }
        assert_eq!(EntryId::MAX.successor(), None);
        assert_eq!(EntryId::MIN.predecessor(), None);
    }

    #[test]
    fn an_id_is_written_as_that_of_a_stream_entry() {
        assert_eq!(id(1_700_000_000_000, 3).to_string(), "1700000000000-3");
    }
}
