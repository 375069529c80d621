//! The bytes of a log: chunks of up to 256 entries, each an append-only string that can be read
//! without the ones before it.
//!
//! ```text
//!   chunk    = id of the first entry: ms u64, seq u64
//!              running state before it (counter: its value; id block: its next ordinal)
//!              entry*
//!
//!              7   6   5   4   3      2     1     0
//!   entry    = [ op code    ] [note] [who] [seq] [time]       one byte, the head
//!              time:  milliseconds since the entry before, u64, at least 1
//!              seq:   u64, at least 1 more than the lowest possible (*)
//!              change, as its op code says                    counter.rs, block.rs
//!              who:   user name, client name                  else both as in the entry before
//!              note:  note name                               else no note
//!
//!   name     = 0                       none (not for a note)
//!            | 1, bytes                a new one: the next number, from 0
//!            | 2 + number, u64         one of this chunk's
//!
//!   (*) the lowest possible seq is 0 with a time, else one more than that of the entry before. The
//!       first entry has the id of the chunk, and neither time nor seq. Before it, who is nobody.
//! ```
//!
//! A counter at 100; alice adds 5 from web-1 for order 7, then twice 1, after 3 ms and at once; then
//! bob, whose client has no name, sets 0 a second later:
//!
//! ```text
//!   80 d0 95 ff bc 31 | 00 | c8 01                   1700000000000-0, value 100
//!   0c | 0a | 01 05 a l i c e  01 05 w e b - 1 | 01 07 o r d e r   7      incr +5 = 105
//!   01 | 03 | 02                                     3 ms later: incr +1 = 106
//!   00 | 02                                          the same ms, seq 1: incr +1 = 107
//!   15 | e8 07 | 00 | 01 03 b o b  00                1000 ms later: set 0, who is new
//! ```
//!
//! A chunk is full at 256 entries, or when it has no room left for the longest possible entry. So
//! whether an entry begins a new chunk depends on the chunk alone, nothing that was written is ever
//! taken back, and equal entries always make equal chunks. A loader decodes each entry, encodes it
//! anew and compares, so a log has exactly one stored form: digests can be taken over it.
//!
//! Rejected: a length at the end of each entry, to read backwards (a byte an entry; the reverse reader
//! decodes a whole chunk instead); one dictionary for the whole log (it would have to be trimmed
//! together with it); the hash table of names as a part of the chunk (it can be made again).

use super::entry::{CHANGE_LEN_MAX, Change, Entry, EntryId};
use super::names::{Name, Names, hash_of};
use crate::environment::Caller;
use crate::limits::NAME_LEN_MAX;
use crate::memory::{BlockSize, Mover};
use crate::wire::{Corrupt, Reader, put_u64};

/// Bytes of a chunk.
pub(super) const CHUNK_BYTES_MAX: usize = 8192;
/// Entries of a chunk.
pub(super) const CHUNK_LEN_MAX: u16 = 256;
/// Bytes of the longest entry: head, time, seq, change, three names with their marks and lengths.
const ENTRY_BYTES_MAX: usize = 1 + 10 + 10 + CHANGE_LEN_MAX + 3 * (1 + 2 + NAME_LEN_MAX);

const TIME: u8 = 1;
const SEQ: u8 = 2;
const WHO: u8 = 4;
const NOTE: u8 = 8;

const NO_NAME: u64 = 0;
const NEW_NAME: u64 = 1;
const FIRST_NAME: u64 = 2;

/// Writes a chunk.
#[derive(Debug, Clone)]
pub(super) struct Encoder<C: Change> {
    bytes: Vec<u8>,
    len: u16,
    /// The state after the last entry. `None` where the chunk is empty.
    running: Option<C::Running>,
    last: EntryId,
    user: Name,
    client: Name,
    names: Names,
}

impl<C: Change> Encoder<C> {
    pub(super) fn new() -> Self {
        Encoder {
            bytes: Vec::new(),
            len: 0,
            running: None,
            last: EntryId::MIN,
            user: Name::default(),
            client: Name::default(),
            names: Names::default(),
        }
    }

    /// Begins another chunk in the same memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.len = 0;
        self.running = None;
        self.user = Name::default();
        self.client = Name::default();
        self.names.clear();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn running(&self) -> Option<C::Running> {
        self.running
    }

    /// The last id that was written, also in a chunk before this one.
    pub(super) fn last(&self) -> EntryId {
        self.last
    }

    /// User and client of the last entry in this chunk.
    pub(super) fn who(&self) -> Caller<'_> {
        Caller { user: self.user.of(&self.bytes), client: self.client.of(&self.bytes) }
    }

    /// Whether an entry that is written against `running` belongs into this chunk.
    #[inline]
    pub(super) fn takes(&self, running: C::Running) -> bool {
        let roomy = self.len < CHUNK_LEN_MAX && self.bytes.len() <= CHUNK_BYTES_MAX.saturating_sub(ENTRY_BYTES_MAX);
        roomy && self.running == Some(running)
    }

    /// Appends an entry, written against `running`. It begins the chunk if that is empty; else the
    /// chunk takes it and its id comes after the last.
    #[inline]
    pub(super) fn write(&mut self, entry: &Entry<'_, C>, mut running: C::Running) {
        let id = entry.id;
        let (time, seq) = if self.is_empty() {
            put_u64(&mut self.bytes, id.ms);
            put_u64(&mut self.bytes, id.seq);
            C::put_running(running, &mut self.bytes);
            (0, 0)
        } else if id.ms == self.last.ms {
            (0, id.seq.saturating_sub(self.last.seq).saturating_sub(1))
        } else {
            (id.ms.saturating_sub(self.last.ms), id.seq)
        };
        let who = !self.user.is(entry.user, &self.bytes) || !self.client.is(entry.client, &self.bytes);

        let mut head = entry.change.op() << 4;
        for (there, flag) in [(time > 0, TIME), (seq > 0, SEQ), (who, WHO), (!entry.note.is_empty(), NOTE)] {
            head |= if there { flag } else { 0 };
        }
        self.bytes.push(head);
        if time > 0 {
            put_u64(&mut self.bytes, time);
        }
        if seq > 0 {
            put_u64(&mut self.bytes, seq);
        }
        entry.change.encode(&mut running, &mut self.bytes);
        if who {
            self.user = self.name(entry.user);
            self.client = self.name(entry.client);
        }
        if !entry.note.is_empty() {
            self.name(entry.note);
        }
        self.running = Some(running);
        self.last = id;
        self.len = self.len.saturating_add(1);
    }

    fn name(&mut self, text: &[u8]) -> Name {
        if text.is_empty() {
            put_u64(&mut self.bytes, NO_NAME);
            return Name::default();
        }
        let hash = hash_of(text);
        if let Some((number, name)) = self.names.find(text, hash, &self.bytes) {
            put_u64(&mut self.bytes, u64::try_from(number).unwrap_or(u64::MAX).saturating_add(FIRST_NAME));
            return name;
        }
        put_u64(&mut self.bytes, NEW_NAME);
        self.names.define(text, hash, &mut self.bytes)
    }

    /// Heap bytes as allocated.
    pub(super) fn memory(&self, block: BlockSize) -> usize {
        block(self.bytes.capacity()).saturating_add(self.names.memory(block))
    }

    pub(super) fn relocate(&mut self, mover: &mut impl Mover) {
        mover.bytes(&mut self.bytes);
    }

    /// Heap allocations.
    pub(super) fn allocations(&self) -> usize {
        usize::from(self.bytes.capacity() > 0).saturating_add(self.names.allocations())
    }
}

/// Reads a chunk, entry by entry. What it accepts is safe to use; that it is in the one right form
/// only encoding it again can tell.
#[derive(Debug)]
pub(super) struct Decoder<'a, C: Change> {
    input: Reader<'a>,
    first: Option<EntryId>,
    last: EntryId,
    running: C::Running,
    user: &'a [u8],
    client: &'a [u8],
    names: Vec<&'a [u8]>,
}

impl<'a, C: Change> Decoder<'a, C> {
    pub(super) fn new(chunk: &'a [u8]) -> Result<Self, Corrupt> {
        let mut input = Reader::new(chunk);
        let first = EntryId { ms: input.u64()?, seq: input.u64()? };
        let running = C::take_running(&mut input)?;
        Ok(Decoder { input, first: Some(first), last: first, running, user: &[], client: &[], names: Vec::new() })
    }

    /// The last id that was read, or that of the entry to come in a chunk that was not begun.
    pub(super) fn last(&self) -> EntryId {
        self.last
    }

    /// The state after the last entry that was read.
    pub(super) fn running(&self) -> C::Running {
        self.running
    }

    /// The next entry. `None` at the end.
    pub(super) fn entry(&mut self) -> Result<Option<Entry<'a, C>>, Corrupt> {
        if self.input.is_empty() {
            return Ok(None);
        }
        let head = self.input.u8()?;
        let has = |flag: u8| head & flag != 0;
        self.last = self.id(has(TIME), has(SEQ))?;
        let change = C::decode(head >> 4, &mut self.running, &mut self.input)?;
        if has(WHO) {
            self.user = self.name()?;
            self.client = self.name()?;
        }
        let note = if has(NOTE) { self.name()? } else { &[] };
        Ok(Some(Entry { id: self.last, change, user: self.user, client: self.client, note }))
    }

    fn id(&mut self, time: bool, seq: bool) -> Result<EntryId, Corrupt> {
        const WIDE: Corrupt = Corrupt("log entry id past 64 bits");
        let delta = if time { self.input.u64()? } else { 0 };
        let skip = if seq { self.input.u64()? } else { 0 };
        if let Some(first) = self.first.take() {
            return if time || seq { Err(Corrupt("log chunk with two first ids")) } else { Ok(first) };
        }
        let ms = self.last.ms.checked_add(delta).ok_or(WIDE)?;
        let lowest = if time { 0 } else { self.last.seq.checked_add(1).ok_or(WIDE)? };
        Ok(EntryId { ms, seq: lowest.checked_add(skip).ok_or(WIDE)? })
    }

    fn name(&mut self) -> Result<&'a [u8], Corrupt> {
        match self.input.u64()? {
            NO_NAME => Ok(&[]),
            NEW_NAME => {
                let name = self.input.bytes(NAME_LEN_MAX)?;
                self.names.push(name);
                Ok(name)
            }
            reference => {
                let number = usize::try_from(reference.saturating_sub(FIRST_NAME)).ok();
                let name = number.and_then(|number| self.names.get(number));
                name.copied().ok_or(Corrupt("log entry with a name that was not defined"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CounterChange, CounterOp};
    use super::*;

    fn change(op: CounterOp, delta: i128, value: i64) -> CounterChange {
        CounterChange { op, delta, value }
    }

    fn id(ms: u64, seq: u64) -> EntryId {
        EntryId { ms, seq }
    }

    #[test]
    fn golden() {
        const AT: u64 = 1_700_000_000_000;
        let [alice, web, bob]: [&[u8]; 3] = [b"alice", b"web-1", b"bob"];
        let entries = [
            (id(AT, 0), change(CounterOp::Incr, 5, 105), alice, web, &b"order 7"[..]),
            (id(AT + 3, 0), change(CounterOp::Incr, 1, 106), alice, web, b""),
            (id(AT + 3, 1), change(CounterOp::Incr, 1, 107), alice, web, b""),
            (id(AT + 1003, 0), change(CounterOp::Set, -107, 0), bob, b"", b""),
        ]
        .map(|(id, change, user, client, note)| Entry { id, change, user, client, note });
        let mut encoder = Encoder::new();
        for entry in &entries {
            encoder.write(entry, entry.change.enter(None).unwrap());
        }
        let bytes = [
            &[0x80, 0xd0, 0x95, 0xff, 0xbc, 0x31, 0x00, 0xc8, 0x01][..],
            b"\x0c\x0a\x01\x05alice\x01\x05web-1\x01\x07order 7",
            &[0x01, 0x03, 0x02],
            &[0x00, 0x02],
            b"\x15\xe8\x07\x00\x01\x03bob\x00",
        ];
        assert_eq!(encoder.bytes(), bytes.concat());
        let mut decoder = Decoder::<CounterChange>::new(encoder.bytes()).unwrap();
        for entry in entries {
            assert_eq!(decoder.entry(), Ok(Some(entry)));
        }
        assert_eq!(decoder.entry(), Ok(None));
    }

    #[test]
    fn a_chunk_of_the_longest_entries_stays_within_its_limits() {
        let name = |n: u8| [n; NAME_LEN_MAX];
        let mut encoder = Encoder::new();
        let mut last = 0;
        for n in 0..85 {
            // After the first, a time and a change of 10 bytes; with the second, a seq of 10 bytes.
            let id = if n == 0 { id(1, 0) } else { id(u64::MAX, u64::MAX - 85 + u64::from(n)) };
            let value = if n % 2 == 0 { i64::MAX } else { i64::MIN };
            let change = change(CounterOp::Set, i128::from(value) - i128::from(last), value);
            if n > 0 && !encoder.takes(last) {
                break;
            }
            let (user, client, note) = (name(3 * n), name(3 * n + 1), name(3 * n + 2));
            let before = encoder.bytes().len();
            encoder.write(&Entry { id, change, user: &user, client: &client, note: &note }, last);
            if n == 1 {
                assert_eq!(encoder.bytes().len() - before, 1 + 10 + 10 + 10 + 3 * (1 + 2 + NAME_LEN_MAX));
            }
            last = value;
        }
        let bytes = encoder.bytes().len();
        assert!(bytes <= CHUNK_BYTES_MAX && bytes > CHUNK_BYTES_MAX - ENTRY_BYTES_MAX, "{bytes}");
    }

    #[test]
    fn what_the_format_does_not_know_is_corrupt() {
        for (chunk, why) in [
            (&[1, 0, 0, 0x01, 1, 2][..], "a first entry with a time"),
            (&[1, 0, 0, 0x02, 1, 2], "a first entry with a seq"),
            (&[1, 0, 0, 0x80, 2], "an unknown op"),
            (&[1, 0, 0, 0x04, 2, 2, 0], "a name that was not defined"),
            (&[1, 0, 0, 0x04, 2, 1, 0xff, 0x01], "a name past the end"),
            (&[1, 0, 0, 0x04, 2, 1, 0x80, 0x02], "a name longer than its limit"),
            (&[1, 0, 0, 0x00], "an entry that is cut short"),
        ] {
            assert!(Decoder::<CounterChange>::new(chunk).unwrap().entry().is_err(), "{why}");
        }
    }
}
