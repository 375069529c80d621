//! What must hold for any log: random entries against plain models.

// Arithmetic that overflows fails a test, as it should.
#![allow(clippy::arithmetic_side_effects)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::{BlockChange, Change, CounterChange, CounterOp, Entry, EntryId, Log, Retention};

mod keeping;

/// An entry that owns its names.
#[derive(Debug, Clone, PartialEq)]
struct Owned<C> {
    id: EntryId,
    change: C,
    names: [Vec<u8>; 3],
}

impl<C: Change> Owned<C> {
    fn entry(&self) -> Entry<'_, C> {
        let [user, client, note] = &self.names;
        Entry { id: self.id, change: self.change, user, client, note }
    }
}

/// Random numbers, of which an entry is made in the light of the one before it.
#[derive(Debug, Clone)]
struct Seed {
    clock: (u8, u64, u64),
    change: (u8, u64),
    names: [(u8, u8); 3],
}

fn seeds(len_max: usize) -> impl Strategy<Value = Vec<Seed>> {
    let seed = (any::<(u8, u64, u64)>(), any::<(u8, u64)>(), any::<[(u8, u8); 3]>())
        .prop_map(|(clock, change, names)| Seed { clock, change, names });
    vec(seed, 0..len_max)
}

impl Seed {
    /// Mostly what a clock gives, sometimes any id after the last one.
    fn id(&self, last: EntryId) -> EntryId {
        let (kind, ms, seq) = self.clock;
        match kind {
            0 => EntryId { ms: last.ms.saturating_add(ms >> 20), seq },
            1..=9 => EntryId { ms: last.ms, seq: last.seq.saturating_add(1 + seq % 1000) },
            10..=90 => EntryId { ms: last.ms, seq: last.seq.saturating_add(1) },
            _ => EntryId { ms: last.ms.saturating_add(1 + ms % 200), seq: 0 },
        }
    }

    /// None, one of a few, or a long one of many.
    fn names(&self) -> [Vec<u8>; 3] {
        self.names.map(|(kind, n)| match kind {
            0..=80 => vec![],
            81..=230 => format!("name-{}", n % 20).into_bytes(),
            _ => vec![n; usize::from(n)],
        })
    }

    fn counter(&self, value: i64) -> CounterChange {
        let (kind, n) = self.change;
        let op = CounterOp::ALL[usize::from(kind % 8)];
        let amount = match kind / 8 {
            0 => n.cast_signed(),
            1 => i64::MIN,
            2 => i64::MAX,
            _ => (n % 201).cast_signed() - 100,
        };
        let (delta, value) = match op {
            CounterOp::Alter => (0, value),
            CounterOp::Hold | CounterOp::Release | CounterOp::HoldExpired => (i128::from(amount), value),
            CounterOp::Set => (i128::from(amount) - i128::from(value), amount),
            _ => match value.checked_add(amount) {
                Some(after) => (i128::from(amount), after),
                None => (0, value),
            },
        };
        // Now and then, something in between was not logged.
        let unlogged = if n % 61 == 0 { value / 2 } else { value };
        CounterChange { op, delta: if unlogged == value { delta } else { 0 }, value: unlogged }
    }

    fn block(&self, next: u64) -> BlockChange {
        let (kind, n) = self.change;
        let first = next.saturating_add(if kind < 20 { n % 5000 } else { 0 });
        let count = (if kind == 255 { n } else { n % 300 }).min(u64::MAX - first);
        match kind % 10 {
            0 => BlockChange::Create,
            1 => BlockChange::Advance { first, count },
            _ => BlockChange::Reserve { first, count },
        }
    }
}

/// The entries that the seeds stand for, until ids are used up.
fn grow<C: Change, S: Copy>(seeds: &[Seed], state: S, next: impl Fn(&Seed, S) -> (C, S)) -> Vec<Owned<C>> {
    let (mut entries, mut last, mut state) = (Vec::new(), EntryId::MIN, state);
    for seed in seeds {
        let id = seed.id(last);
        if id <= last {
            break;
        }
        let (change, after) = next(seed, state);
        entries.push(Owned { id, change, names: seed.names() });
        (last, state) = (id, after);
    }
    entries
}

fn counters(len_max: usize) -> impl Strategy<Value = Vec<Owned<CounterChange>>> {
    let next = |seed: &Seed, value| {
        let change = seed.counter(value);
        (change, change.value)
    };
    seeds(len_max).prop_map(move |seeds| grow(&seeds, 0i64, next))
}

fn blocks(len_max: usize) -> impl Strategy<Value = Vec<Owned<BlockChange>>> {
    let next = |seed: &Seed, ordinal| {
        let change = seed.block(ordinal);
        (change, change.ordinals().map_or(ordinal, |(first, count)| first + count))
    };
    seeds(len_max).prop_map(move |seeds| grow(&seeds, 0u64, next))
}

fn log_of<C: Change>(entries: &[Owned<C>], retention: Retention) -> Log<C> {
    let mut log = Log::new(retention);
    entries.iter().for_each(|owned| log.append(&owned.entry()).unwrap());
    log
}

fn load<C: Change>(head: &[u8], chunks: &[Vec<u8>]) -> Result<Log<C>, crate::wire::Corrupt> {
    let mut log = Log::from_head(head)?;
    chunks.iter().try_for_each(|chunk| log.push_chunk(chunk))?;
    Ok(log)
}

fn stored<C: Change>(log: &Log<C>) -> (Vec<u8>, Vec<Vec<u8>>) {
    (log.head(), log.chunks().map(<[u8]>::to_vec).collect())
}

/// An id of an entry, next to one, or anything.
fn bound<C>(entries: &[Owned<C>], (kind, n): (u8, u64)) -> EntryId {
    let at = usize::try_from(n).unwrap().checked_rem(entries.len()).map_or(EntryId::MIN, |place| entries[place].id);
    match kind % 6 {
        0 => EntryId::MIN,
        1 => EntryId::MAX,
        2 => at.successor().unwrap_or(at),
        3 => at.predecessor().unwrap_or(at),
        4 => EntryId { ms: n, seq: n.rotate_left(7) },
        _ => at,
    }
}

fn ranges_agree<C: Change>(entries: &[Owned<C>], bounds: [(u8, u64); 2], ends: u64) {
    let log = log_of(entries, Retention::default());
    assert_eq!(log.len(), u64::try_from(entries.len()).unwrap());
    assert_eq!(log.is_empty(), entries.is_empty());
    assert_eq!(log.first_id(), entries.first().map(|owned| owned.id));
    assert_eq!(log.last_id(), entries.last().map_or(EntryId::MIN, |owned| owned.id));
    assert_eq!(log.bytes(), log.chunks().map(|chunk| u64::try_from(chunk.len()).unwrap()).sum::<u64>());
    assert!(log.chunks().all(|chunk| chunk.len() <= 8192));

    let [start, end] = bounds.map(|kind| bound(entries, kind));
    for (start, end) in [(start, end), (end, start), (start, EntryId::MAX), (EntryId::MIN, end), (start, start)] {
        let inside = entries.iter().filter(|owned| start <= owned.id && owned.id <= end);
        let expected: Vec<_> = inside.map(Owned::entry).collect();
        assert_eq!(log.range(start, end).collect::<Vec<_>>(), expected);
        assert!(log.range(start, end).rev().eq(expected.iter().rev().copied()));
        // From both ends in turn.
        let (mut range, mut front, mut back) = (log.range(start, end), Vec::new(), Vec::new());
        for turn in (0u32..).map(|turn| ends.rotate_left(turn) & 1) {
            let next = if turn == 0 { range.next() } else { range.next_back() };
            let Some(entry) = next else { break };
            if turn == 0 { &mut front } else { &mut back }.push(entry);
        }
        front.extend(back.into_iter().rev());
        assert_eq!(front, expected);
    }
}

/// A log that is stored and loaded, or copied, goes on as if nothing had been.
fn goes_on_alike<C: Change>(entries: &[Owned<C>], at: usize, retention: Retention) {
    let (before, after) = entries.split_at(at.checked_rem(entries.len() + 1).unwrap());
    let mut original = log_of(before, retention);
    let (head, chunks) = stored(&original);
    let mut loaded = load(&head, &chunks).unwrap();
    let mut copy = original.clone();
    for owned in after {
        for log in [&mut original, &mut loaded, &mut copy] {
            log.append(&owned.entry()).unwrap();
        }
    }
    for log in [&loaded, &copy] {
        assert_eq!(stored(log), stored(&original));
        assert_eq!(log, &original);
        assert_eq!((log.len(), log.bytes(), log.last_id()), (original.len(), original.bytes(), original.last_id()));
    }
}

/// Changed bytes either do not load, or are the stored form of what they load as. Both can be used.
fn survives<C: Change>(head: &[u8], chunks: &[Vec<u8>], change: C) -> bool {
    let Ok(mut log) = load::<C>(head, chunks) else { return false };
    assert_eq!(stored(&log), (head.to_vec(), chunks.to_vec()));
    assert_eq!(log.range(EntryId::MIN, EntryId::MAX).count(), usize::try_from(log.len()).unwrap());
    if let Some(id) = log.next_id(0) {
        let _ = log.append(&Entry { id, change, user: b"after", client: b"", note: b"" });
        let (head, chunks) = stored(&log);
        assert_eq!(load(&head, &chunks).as_ref(), Ok(&log));
    }
    true
}

/// One byte of one section changed, cut off there, or something put in.
fn damaged(sections: &[Vec<u8>], (kind, at, byte): (u8, usize, u8)) -> Vec<Vec<u8>> {
    let mut sections = sections.to_vec();
    let place = at % sections.len();
    let section = &mut sections[place];
    let offset = (at >> 16) % (section.len() + 1);
    match kind % 5 {
        0 => section.truncate(offset),
        1 => section.insert(offset, byte),
        2 => drop(sections.remove(place)),
        3 if offset < section.len() => section[offset] ^= 1 << (byte % 8),
        _ if offset < section.len() => section[offset] = byte,
        _ => section.push(byte),
    }
    sections
}

const ADDED: CounterChange = CounterChange { op: CounterOp::Incr, delta: 1, value: 1 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_appended_is_what_a_range_gives(
        counters in counters(900), blocks in blocks(900), bounds: [(u8, u64); 2], ends: u64,
    ) {
        ranges_agree(&counters, bounds, ends);
        ranges_agree(&blocks, bounds, ends);
    }

    #[test]
    fn a_loaded_log_goes_on_with_the_same_bytes(
        counters in counters(900), blocks in blocks(900), at in 0usize..900, len_max in proptest::option::of(0u64..600),
        bytes_max in proptest::option::of(0u64..20_000), age_max_ms in proptest::option::of(0u64..100_000),
    ) {
        let retention = Retention { len_max, age_max_ms, bytes_max };
        goes_on_alike(&counters, at, retention);
        goes_on_alike(&blocks, at, retention);
    }

    #[test]
    fn damage_is_an_error_or_another_valid_log(
        counters in counters(700), blocks in blocks(700), damages in vec(any::<(u8, usize, u8)>(), 1..100),
    ) {
        let (head, chunks) = stored(&log_of(&counters, Retention { len_max: Some(300), ..Retention::default() }));
        for &damage in damages.iter().filter(|_| !chunks.is_empty()) {
            survives(&damaged(std::slice::from_ref(&head), damage).concat(), &chunks, ADDED);
            survives(&head, &damaged(&chunks, damage), ADDED);
        }
        let (head, chunks) = stored(&log_of(&blocks, Retention { bytes_max: Some(2000), ..Retention::default() }));
        for &damage in damages.iter().filter(|_| !chunks.is_empty()) {
            survives(&head, &damaged(&chunks, damage), BlockChange::Create);
        }
    }

    #[test]
    fn any_bytes_are_an_error_or_a_valid_log(head in vec(0u8..12, 0..10), chunk in vec(any::<u8>(), 0..60)) {
        survives(&head, std::slice::from_ref(&chunk), ADDED);
        survives(&head, &[chunk], BlockChange::Create);
    }
}

#[test]
fn each_bit_of_a_small_log_flipped_is_an_error_or_another_valid_log() {
    let text = |text: &str| text.as_bytes().to_vec();
    let entry = |ms, delta: i64, value, names: [&str; 3]| {
        let change = CounterChange { op: CounterOp::Incr, delta: i128::from(delta), value };
        Owned { id: EntryId { ms, seq: 0 }, change, names: names.map(text) }
    };
    let entries = [
        entry(1_700_000_000_000, 5, 105, ["alice", "web-1", "order 7"]),
        entry(1_700_000_000_003, 1, 106, ["alice", "web-1", ""]),
        entry(1_700_000_000_500, -200, -94, ["bob", "", "order 7"]),
    ];
    let (head, chunks) = stored(&log_of(&entries, Retention { len_max: Some(9), ..Retention::default() }));
    let (mut valid, mut flips) = (0, 0);
    for place in 0..chunks[0].len() {
        for bit in 0..8 {
            let mut chunk = chunks[0].clone();
            chunk[place] ^= 1 << bit;
            flips += 1;
            valid += u32::from(survives(&head, &[chunk], ADDED));
        }
        survives(&head, &[chunks[0][..place].to_vec()], ADDED);
    }
    for place in 0..head.len() {
        for bit in 0..8 {
            let mut head = head.clone();
            head[place] ^= 1 << bit;
            survives(&head, &chunks, ADDED);
        }
        assert!(!survives(&head[..place], &chunks, ADDED));
    }
    // Other names, other numbers: most of these are logs as well. Not all are.
    assert!(valid > 0 && valid < flips, "{valid} of {flips}");
}
