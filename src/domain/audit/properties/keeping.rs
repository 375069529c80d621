//! What a log keeps and drops, what it holds in memory, and what it refuses.

use crate::memory::AS_ASKED;
use std::collections::VecDeque;

use super::*;

/// Where chunks begin, told by a log that never drops any.
fn chunk_starts(entries: &[Owned<CounterChange>]) -> Vec<EntryId> {
    let log = log_of(entries, Retention::default());
    let first = |chunk: &[u8]| {
        let mut alone = Log::<CounterChange>::from_head(&log.head()).unwrap();
        alone.push_chunk(chunk).unwrap();
        alone.first_id().unwrap()
    };
    log.chunks().map(first).collect()
}

/// Chunks of entries, from the front of which some are dropped.
#[derive(Default)]
struct Model {
    chunks: VecDeque<(Vec<Owned<CounterChange>>, u64)>,
}

impl Model {
    fn trim(&mut self, bounds: Retention) {
        let len = |chunks: &VecDeque<(Vec<_>, _)>| chunks.iter().map(|(entries, _)| entries.len()).sum::<usize>();
        let bytes = |chunks: &VecDeque<(Vec<_>, u64)>| chunks.iter().map(|&(_, bytes)| bytes).sum::<u64>();
        while self.chunks.len() > 1 {
            let newest = self.chunks.back().unwrap().0.last().unwrap().id.ms;
            let (first, first_bytes) = self.chunks.front().unwrap();
            let rest = u64::try_from(len(&self.chunks) - first.len()).unwrap();
            let by_len = bounds.len_max.is_some_and(|max| rest >= max);
            let by_bytes = bounds.bytes_max.is_some_and(|max| bytes(&self.chunks) - first_bytes >= max);
            let by_age = bounds.age_max_ms.is_some_and(|max| newest - first.last().unwrap().id.ms > max);
            if !(by_len || by_bytes || by_age) {
                break;
            }
            self.chunks.pop_front();
        }
    }
}

fn bounds() -> impl Strategy<Value = Retention> {
    let (len, bytes, age) = (0u64..600, 0u64..15_000, 0u64..60_000);
    let option = proptest::option::of;
    (option(len), option(age), option(bytes)).prop_map(|(len_max, age_max_ms, bytes_max)| Retention {
        len_max,
        age_max_ms,
        bytes_max,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_log_keeps_what_a_plain_row_of_chunks_keeps(
        entries in counters(1500), first in bounds(), changes in vec((0usize..1500, bounds()), 0..4),
    ) {
        let starts = chunk_starts(&entries);
        let (mut log, mut model, mut bounds) = (Log::new(first), Model::default(), first);
        for (place, owned) in entries.iter().enumerate() {
            if let Some((_, other)) = changes.iter().find(|&&(at, _)| at == place) {
                bounds = *other;
                log.set_retention(bounds);
                model.trim(bounds);
            }
            log.append(&owned.entry()).unwrap();
            if starts.contains(&owned.id) {
                model.chunks.push_back((Vec::new(), 0));
            }
            let last = model.chunks.back_mut().unwrap();
            last.0.push(owned.clone());
            last.1 = u64::try_from(log.chunks().last().unwrap().len()).unwrap();
            model.trim(bounds);

            let kept: usize = model.chunks.iter().map(|(entries, _)| entries.len()).sum();
            prop_assert_eq!(log.len(), u64::try_from(kept).unwrap());
            prop_assert_eq!(log.bytes(), model.chunks.iter().map(|&(_, bytes)| bytes).sum::<u64>());
            prop_assert_eq!(log.first_id(), Some(model.chunks[0].0[0].id));
            if let Some(max) = bounds.len_max {
                prop_assert!(log.len() < max.max(1) + 256);
            }
            if let Some(max) = bounds.bytes_max {
                prop_assert!(log.bytes() < max.max(1) + 8192);
            }
            if place % 64 == 0 || place + 1 == entries.len() {
                let kept: Vec<_> = model.chunks.iter().flat_map(|(entries, _)| entries).map(Owned::entry).collect();
                prop_assert_eq!(log.range(EntryId::MIN, EntryId::MAX).collect::<Vec<_>>(), kept);
                let (head, chunks) = stored(&log);
                prop_assert_eq!(&load::<CounterChange>(&head, &chunks).unwrap(), &log);
            }
        }
    }
}

/// The entry `n` of a steady stream.
fn steady(log: &Log<CounterChange>, n: u64, value: &mut i64) -> (EntryId, CounterChange) {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let delta = (mixed % 201).cast_signed() - 100;
    *value += delta;
    let id = log.next_id(log.last_id().ms.max(1_700_000_000_000) + 1 + mixed / 256 % 50).unwrap();
    (id, CounterChange { op: CounterOp::Incr, delta: i128::from(delta), value: *value })
}

fn stream(len: u64, retention: Retention, name: impl Fn(u64, &str) -> String) -> Log<CounterChange> {
    let (mut log, mut value) = (Log::new(retention), 0);
    for n in 0..len {
        let (id, change) = steady(&log, n, &mut value);
        let [user, client] = ["user", "client"].map(|kind| name(n, kind));
        log.append(&Entry { id, change, user: user.as_bytes(), client: client.as_bytes(), note: b"" }).unwrap();
    }
    log
}

/// `<kind>-00` to `<kind>-49` in random order.
fn one_of_50(n: u64, kind: &str) -> String {
    let mixed = (n * 2 + u64::from(kind == "user")).wrapping_mul(0xd6e8_feb8_6659_fd93);
    format!("{kind}-{:02}", (mixed >> 40) % 50)
}

#[test]
fn an_entry_costs_at_most_8_bytes_and_16_with_names() {
    const LEN: u64 = 100_000;
    let cost = |log: Log<CounterChange>| {
        assert_eq!(log.len(), LEN);
        u32::try_from(log.memory(AS_ASKED) * 100).unwrap() / u32::try_from(LEN).unwrap()
    };
    let plain = cost(stream(LEN, Retention::default(), |_, _| String::new()));
    let constant = cost(stream(LEN, Retention::default(), |_, kind| format!("{kind}-01")));
    let varied = cost(stream(LEN, Retention::default(), one_of_50));
    println!("hundredths of a byte an entry: plain {plain}, one caller {constant}, 50 users and 50 clients {varied}");
    assert!(plain <= 800 && constant <= 800 && varied <= 1600);
}

#[test]
fn memory_stays_bounded_while_a_bounded_log_runs() {
    let bounds = Retention { len_max: Some(10_000), ..Retention::default() };
    let log = stream(300_000, bounds, |_, _| String::new());
    assert!(log.len() < 10_256);
    assert!(log.memory(AS_ASKED) < 8 * 10_256, "{}", log.memory(AS_ASKED));
    assert!(log.allocations() < 60);
}

#[test]
fn a_lowered_bound_holds_at_once_and_frees_by_and_by() {
    let mut log = stream(600_000, Retention::default(), |_, _| String::new());
    let (full, whole) = (log.memory(AS_ASKED), log.allocations());
    let bounds = Retention { len_max: Some(100), ..Retention::default() };
    log.set_retention(bounds);
    assert!(log.len() < 356);
    assert_eq!(u64::try_from(log.range(EntryId::MIN, EntryId::MAX).count()).unwrap(), log.len());
    assert_eq!(log.range(EntryId::MIN, EntryId::MAX).next().map(|entry| entry.id), log.first_id());
    assert!(whole - log.allocations() <= 1024 && log.memory(AS_ASKED) < full);
    // A raised bound brings nothing back.
    let kept = log.len();
    log.set_retention(Retention::default());
    assert_eq!(log.len(), kept);
    assert!(log.clone().allocations() < 10, "a copy takes only what is kept");
    log.set_retention(bounds);
    let mut value = 0;
    for n in 0..1000 {
        let before = log.allocations();
        let (id, change) = steady(&log, n, &mut value);
        log.append(&Entry { id, change, user: b"", client: b"", note: b"" }).unwrap();
        assert!(before.saturating_sub(log.allocations()) <= 4);
    }
    assert!(log.allocations() < 10 && log.memory(AS_ASKED) < 10_000, "{log:?}");
}

#[test]
fn ids_increase_also_when_the_clock_steps_back() {
    let mut log = Log::new(Retention::default());
    let id = |ms, seq| EntryId { ms, seq };
    for (now, expected) in
        [(0, id(0, 1)), (5, id(5, 0)), (5, id(5, 1)), (3, id(5, 2)), (0, id(5, 3)), (6, id(6, 0)), (5, id(6, 1))]
    {
        let next = log.next_id(now).unwrap();
        assert_eq!(next, expected);
        log.append(&Entry { id: next, change: ADDED, user: b"", client: b"", note: b"" }).unwrap();
    }
    for (last, next) in [(id(9, u64::MAX), Some(id(10, 0))), (EntryId::MAX, None)] {
        log.append(&Entry { id: last, change: ADDED, user: b"", client: b"", note: b"" }).unwrap();
        assert_eq!(log.next_id(7), next);
    }
}

#[test]
fn a_refused_entry_changes_nothing() {
    let mut log = stream(10, Retention::default(), one_of_50);
    let (before, last) = (stored(&log), log.last_id());
    let next = last.successor().unwrap();
    let wide = CounterChange { op: CounterOp::Incr, delta: 1, value: i64::MIN };
    for (id, change, note) in [(last, ADDED, 0), (EntryId::MIN, ADDED, 0), (next, wide, 0), (next, ADDED, 256)] {
        let entry = Entry { id, change, user: b"", client: b"", note: &vec![b'x'; note] };
        assert!(log.check(&entry).is_err() && log.append(&entry).is_err());
        assert_eq!(stored(&log), before);
    }
    log.append(&Entry { id: next, change: ADDED, user: b"", client: b"", note: &[b'x'; 255] }).unwrap();
    let mut blocks = Log::new(Retention::default());
    let reserve = |first, count| BlockChange::Reserve { first, count };
    for (ms, change, fits) in [(1, reserve(5, 5), true), (2, reserve(9, 1), false), (2, reserve(10, 1), true)] {
        let entry = Entry { id: EntryId { ms, seq: 0 }, change, user: b"", client: b"", note: b"" };
        assert_eq!(blocks.check(&entry).is_ok(), fits);
        assert_eq!(blocks.append(&entry).is_ok(), fits);
    }
}

#[test]
fn sections_that_no_sequence_of_appends_makes_do_not_load() {
    let log = stream(600, Retention::default(), |_, _| String::new());
    let (head, chunks) = stored(&log);
    let bounded = |len_max| {
        let mut copy = log.clone();
        copy.set_retention(Retention { len_max: Some(len_max), ..Retention::default() });
        copy.head()
    };
    let loads = |head: &[u8], chunks: &[Vec<u8>]| load::<CounterChange>(head, chunks).is_ok();
    assert!(loads(&head, &chunks) && loads(&bounded(400), &chunks));
    assert!(!loads(&bounded(300), &chunks), "past its bounds");
    let [a, b, c] = [0, 1, 2].map(|place: usize| chunks[place].clone());
    assert!(loads(&head, &[b.clone(), c.clone()]), "the front may be gone");
    assert!(!loads(&head, &[a.clone(), a.clone()]), "twice");
    assert!(!loads(&head, &[b.clone(), a.clone()]), "out of order");
    assert!(!loads(&head, &[c, b.clone()]), "behind one with room");
    assert!(!loads(&head, &[[a.clone(), vec![0, 2]].concat()]), "257 entries");
    assert!(!loads(&head, &[vec![0; 8193]]) && !loads(&head, &[vec![]]), "too long, too short");
    assert!(!loads(&Log::<CounterChange>::new(Retention::default()).head(), &[a]), "after the last id");
}

#[test]
fn a_chunk_that_an_append_would_not_have_begun_does_not_load() {
    fn own<C: Change>(ms: u64, change: C) -> Vec<u8> {
        let entry = Entry { id: EntryId { ms, seq: 0 }, change, user: b"", client: b"", note: b"" };
        let mut log = Log::new(Retention::default());
        log.append(&entry).unwrap();
        log.chunks().next().unwrap().to_vec()
    }
    let mut head = Vec::new();
    Retention::default().put(&mut head);
    head.extend([9, 0]);
    let add = |delta, value| CounterChange { op: CounterOp::Incr, delta, value };
    for (second, loads) in [(add(1, 6), false), (add(1, 9), true)] {
        assert_eq!(load::<CounterChange>(&head, &[own(1, add(5, 5)), own(2, second)]).is_ok(), loads, "{second:?}");
    }
    let reserve = |first| BlockChange::Reserve { first, count: 5 };
    for second in [reserve(0), reserve(5), reserve(6)] {
        assert!(load::<BlockChange>(&head, &[own(1, reserve(0)), own(2, second)]).is_err(), "{second:?}");
    }
}
