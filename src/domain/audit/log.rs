//! The log: full chunks in a row, and the one that is being written.
//!
//! ```text
//!   sealed:  [gone] [gone] [kept] [kept] [kept] ... [kept]    open: [...]
//!             freed by and by   ^ cut
//! ```
//!
//! Every command must take constant time, yet a lowered bound, or one entry after a long silence
//! under a bound by age, can put 40,000 chunks past it at once. So dropping has two steps. The cut is
//! moved, by binary search, since every chunk knows how much of the log has gone by at its end: from
//! then on nothing before it is seen, counted or stored. The memory is freed by the appends that
//! follow, a few chunks each, which is more than they add. What was cut never comes back, also
//! when the bound is raised, so a replica that loaded only the kept part stays the same.
//!
//! The chunk that is being written is always kept.
//!
//! Sealed chunks are shared between copies: they never change, and COPY of a large log costs a
//! counter a chunk.
//!
//! Rejected: freeing all at once (a stall), freeing a few and showing the rest until then (the
//! bound would not hold), a thread that frees (this crate has none, and the server need not wait
//! for one), a linked list or a tree of chunks (a row with a binary search is smaller, and growing
//! it moves 64 bytes for each 256 entries).

mod stored;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::chunk::{Decoder, Encoder};
use super::entry::{Change, Entry, EntryId};
use super::retention::{Behind, Retention};
use crate::environment::Moment;
use crate::memory::{BlockSize, Mover};
use crate::wire::Corrupt;

/// Chunks that an append frees: more than the one it can add.
const SWEPT_BY_APPEND: usize = 4;
/// Chunks that a change of the bounds frees, well below a millisecond.
const SWEPT_BY_BOUNDS: usize = 1024;
/// What an atomically counted allocation has before its bytes.
const COUNTS: usize = 2 * size_of::<usize>();

/// How much was ever appended, up to some point.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    len: u64,
    bytes: u64,
}

/// A chunk that takes no more entries, and the state of the log at its end.
#[derive(Debug, Clone)]
struct Sealed<R> {
    bytes: Arc<[u8]>,
    last: EntryId,
    running: R,
    total: Total,
}

/// The audit log of one key.
pub struct Log<C: Change> {
    retention: Retention,
    last_id: EntryId,
    sealed: VecDeque<Sealed<C::Running>>,
    /// Chunks at the front that are gone but not yet freed.
    cut: usize,
    /// Up to the cut.
    gone: Total,
    /// Up to the end.
    total: Total,
    /// Empty only if nothing is kept.
    open: Encoder<C>,
}

impl<C: Change> Log<C> {
    /// An empty log.
    pub fn new(retention: Retention) -> Self {
        Log {
            retention,
            last_id: EntryId::MIN,
            sealed: VecDeque::new(),
            cut: 0,
            gone: Total::default(),
            total: Total::default(),
            open: Encoder::new(),
        }
    }

    /// The bounds.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// Entries that are kept.
    pub fn len(&self) -> u64 {
        self.total.len.saturating_sub(self.gone.len)
    }

    /// Whether no entry is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Encoded bytes that are kept.
    pub fn bytes(&self) -> u64 {
        self.total.bytes.saturating_sub(self.gone.bytes)
    }

    /// The last id ever given, 0-0 if none. It stays when its entry is dropped.
    pub fn last_id(&self) -> EntryId {
        self.last_id
    }

    /// The id of the oldest entry that is kept.
    pub fn first_id(&self) -> Option<EntryId> {
        let chunk = self.chunk(self.cut).filter(|chunk| !chunk.is_empty())?;
        Decoder::<C>::new(chunk).ok().map(|decoder| decoder.last())
    }

    /// When and by whom the last entry was made, if one is kept.
    pub fn moment(&self) -> Option<Moment<'_>> {
        (!self.open.is_empty()).then(|| Moment { at_ms: self.last_id.ms, caller: self.open.who() })
    }

    /// The id for an entry at `now_ms`: after the last one also where the clock stands or steps
    /// back. `None` when ids are used up, which no clock gets to.
    pub fn next_id(&self, now_ms: u64) -> Option<EntryId> {
        if now_ms > self.last_id.ms { Some(EntryId { ms: now_ms, seq: 0 }) } else { self.last_id.successor() }
    }

    /// Whether [`Log::append`] would take an entry: not one that is not after the last, contradicts
    /// itself, goes back behind the state so far or has too long a name.
    pub fn check(&self, entry: &Entry<'_, C>) -> Result<(), Corrupt> {
        self.enter(entry).map(|_| ())
    }

    /// Appends an entry, in constant time. What [`Log::check`] refuses changes nothing.
    pub fn append(&mut self, entry: &Entry<'_, C>) -> Result<(), Corrupt> {
        let running = self.enter(entry)?;

        // From here on the append must succeed.
        if !self.open.takes(running) {
            self.seal();
        }
        self.write(entry, running);
        self.last_id = entry.id;
        self.trim();
        self.sweep(SWEPT_BY_APPEND);
        Ok(())
    }

    /// Changes the bounds. What is past them is gone at once.
    pub fn set_retention(&mut self, retention: Retention) {
        self.retention = retention;
        self.trim();
        self.sweep(SWEPT_BY_BOUNDS);
    }

    /// The entries from `start` to `end`, both inclusive, from either side. It finds the chunks by
    /// binary search, and decodes one when it gets there.
    pub fn range(&self, start: EntryId, end: EntryId) -> impl DoubleEndedIterator<Item = Entry<'_, C>> {
        let from = self.sealed.partition_point(|chunk| chunk.last < start).max(self.cut);
        let to = self.sealed.partition_point(|chunk| chunk.last < end);
        (from..=to).flat_map(move |index| {
            let entries = self.entries(index).skip_while(move |entry| entry.id < start);
            entries.take_while(move |entry| entry.id <= end).collect::<Vec<_>>()
        })
    }

    /// The state behind the last entry.
    pub(super) fn running(&self) -> Option<C::Running> {
        self.open.running()
    }

    /// The entries of the first kept chunk at whose end the state is one that is `reached`.
    pub(super) fn chunk_reaching(&self, reached: impl Fn(C::Running) -> bool) -> impl Iterator<Item = Entry<'_, C>> {
        self.entries(self.sealed.partition_point(|chunk| !reached(chunk.running)).max(self.cut))
    }

    /// Heap bytes, as allocated.
    pub fn memory(&self, block: BlockSize) -> usize {
        let row = block(self.sealed.capacity().saturating_mul(size_of::<Sealed<C::Running>>()));
        let held = |chunk: &Sealed<_>| chunk.bytes.len().saturating_add(COUNTS).next_multiple_of(size_of::<usize>());
        let chunks = self.sealed.iter().fold(0, |sum: usize, chunk| sum.saturating_add(block(held(chunk))));
        row.saturating_add(chunks).saturating_add(self.open.memory(block))
    }

    /// Lets the chunk that is being written move.
    pub fn relocate(&mut self, mover: &mut impl Mover) {
        self.open.relocate(mover);
    }

    /// Heap allocations: the effort of freeing it.
    pub fn allocations(&self) -> usize {
        let row = usize::from(self.sealed.capacity() > 0);
        row.saturating_add(self.sealed.len()).saturating_add(self.open.allocations())
    }

    #[inline]
    fn enter(&self, entry: &Entry<'_, C>) -> Result<C::Running, Corrupt> {
        if entry.id <= self.last_id {
            return Err(Corrupt("log entry not after the last one"));
        }
        entry.check_names()?;
        entry.change.enter(self.open.running())
    }

    fn write(&mut self, entry: &Entry<'_, C>, running: C::Running) {
        let before = self.open.bytes().len();
        self.open.write(entry, running);
        let written = self.open.bytes().len().saturating_sub(before);
        self.total.len = self.total.len.saturating_add(1);
        self.total.bytes = self.total.bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
    }

    /// Ends the chunk that is being written. Its bytes move to where they fit exactly, the memory
    /// they were written in serves the next one.
    fn seal(&mut self) {
        let Some(running) = self.open.running() else { return };
        let bytes = Arc::from(self.open.bytes());
        self.sealed.push_back(Sealed { bytes, last: self.open.last(), running, total: self.total });
        self.open.clear();
    }

    fn drops(&self, chunk: &Sealed<C::Running>) -> bool {
        self.retention.drops(Behind {
            len: self.total.len.saturating_sub(chunk.total.len),
            age_ms: self.open.last().ms.saturating_sub(chunk.last.ms),
            bytes: self.total.bytes.saturating_sub(chunk.total.bytes),
        })
    }

    fn trim(&mut self) {
        if self.sealed.get(self.cut).is_some_and(|chunk| self.drops(chunk)) {
            self.cut_before(self.sealed.partition_point(|chunk| self.drops(chunk)));
        }
    }

    fn cut_before(&mut self, index: usize) {
        if let Some(chunk) = index.checked_sub(1).and_then(|last| self.sealed.get(last)) {
            self.gone = chunk.total;
            self.cut = index;
        }
    }

    /// Frees some of what was cut, and the row once it is mostly empty.
    fn sweep(&mut self, chunks_max: usize) {
        for _ in 0..self.cut.min(chunks_max) {
            self.sealed.pop_front();
            self.cut = self.cut.saturating_sub(1);
        }
        if self.sealed.capacity() / 4 > self.sealed.len() {
            self.sealed.shrink_to(self.sealed.len().saturating_mul(2));
        }
    }

    /// The bytes of a chunk, counting those that are gone; behind the sealed ones the open one.
    fn chunk(&self, index: usize) -> Option<&[u8]> {
        match self.sealed.get(index) {
            Some(chunk) => Some(&chunk.bytes),
            None => (index == self.sealed.len()).then(|| self.open.bytes()),
        }
    }

    fn entries(&self, index: usize) -> impl Iterator<Item = Entry<'_, C>> {
        let mut decoder = self.chunk(index).and_then(|chunk| Decoder::new(chunk).ok());
        std::iter::from_fn(move || decoder.as_mut()?.entry().ok()?)
    }
}

/// A copy without what is gone.
impl<C: Change> Clone for Log<C> {
    fn clone(&self) -> Self {
        Log {
            retention: self.retention,
            last_id: self.last_id,
            sealed: self.sealed.iter().skip(self.cut).cloned().collect(),
            cut: 0,
            gone: self.gone,
            total: self.total,
            open: self.open.clone(),
        }
    }
}

impl<C: Change> fmt::Debug for Log<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        list.entry(&self.retention).entry(&self.last_id);
        list.entries(self.range(EntryId::MIN, EntryId::MAX)).finish()
    }
}
