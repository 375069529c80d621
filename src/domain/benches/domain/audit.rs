//! What an entry of the audit log costs: to append, to read, to load.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use tallybook_domain::audit::{CounterChange, CounterOp, Entry, EntryId, Log, Retention};

const LEN: usize = 100_000;

/// Who calls.
#[derive(Debug, Clone, Copy)]
enum Callers {
    Nobody,
    One,
    /// Each entry by one of 50 users from one of 50 clients, in random order.
    Fifty,
    /// As above, and each with a note of its own.
    Noted,
}

use Callers::{Fifty, Nobody, Noted, One};

struct Sample {
    id: EntryId,
    change: CounterChange,
    user: &'static [u8],
    client: &'static [u8],
    note: Vec<u8>,
}

impl Sample {
    fn entry(&self) -> Entry<'_, CounterChange> {
        Entry { id: self.id, change: self.change, user: self.user, client: self.client, note: &self.note }
    }
}

/// Increments within 100, 1 to 50 ms apart.
fn samples(callers: Callers) -> Vec<Sample> {
    let (mut ms, mut value, mut state) = (1_700_000_000_000, 0i64, 0x2545_f491_4f6c_dd1du64);
    let names = |kind: &str| -> Vec<&'static [u8]> {
        (0..50).map(|n| &*format!("{kind}-{n:02}").into_bytes().leak()).collect()
    };
    let (users, clients) = (names("user"), names("client"));
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from((state >> 20) % below).unwrap()
    };
    let sample = |n: usize| {
        ms += 1 + u64::try_from(random(50)).unwrap();
        let delta = i64::try_from(random(201)).unwrap() - 100;
        value += delta;
        let change = CounterChange { op: CounterOp::Incr, delta: i128::from(delta), value };
        let (user, client): (&[u8], &[u8]) = match callers {
            Nobody => (b"", b""),
            One => (users[0], clients[0]),
            Fifty | Noted => (users[random(50)], clients[random(50)]),
        };
        let note = if matches!(callers, Noted) { format!("order {n}").into_bytes() } else { Vec::new() };
        Sample { id: EntryId { ms, seq: 0 }, change, user, client, note }
    };
    (0..LEN).map(sample).collect()
}

fn log_of(samples: &[Sample], retention: Retention) -> Log<CounterChange> {
    let mut log = Log::new(retention);
    samples.iter().for_each(|sample| log.append(&sample.entry()).unwrap());
    log
}

#[divan::bench(args = [Nobody, One, Fifty, Noted])]
fn append(bencher: Bencher, callers: Callers) {
    let samples = samples(callers);
    bencher.counter(ItemsCount::new(LEN)).bench(|| log_of(black_box(&samples), Retention::default()));
}

#[divan::bench(args = [Nobody, Fifty])]
fn append_bounded(bencher: Bencher, callers: Callers) {
    let (samples, bounds) = (samples(callers), Retention { len_max: Some(10_000), ..Retention::default() });
    bencher.counter(ItemsCount::new(LEN)).bench(|| log_of(black_box(&samples), bounds));
}

#[divan::bench(args = [Nobody, Fifty])]
fn range_all(bencher: Bencher, callers: Callers) {
    let log = log_of(&samples(callers), Retention::default());
    bencher.counter(ItemsCount::new(LEN)).bench(|| log.range(EntryId::MIN, EntryId::MAX).map(black_box).count());
}

/// One entry somewhere in the middle: a binary search and half a chunk.
#[divan::bench(args = [Nobody, Fifty])]
fn range_one(bencher: Bencher, callers: Callers) {
    let samples = samples(callers);
    let log = log_of(&samples, Retention::default());
    let at = samples[LEN / 2].id;
    bencher.bench(|| log.range(black_box(at), black_box(at)).next().map(|entry| entry.id));
}

#[divan::bench(args = [Nobody, Fifty])]
fn load(bencher: Bencher, callers: Callers) {
    let log = log_of(&samples(callers), Retention::default());
    let (head, chunks): (Vec<u8>, Vec<Vec<u8>>) = (log.head(), log.chunks().map(<[u8]>::to_vec).collect());
    bencher.counter(ItemsCount::new(LEN)).bench(|| {
        let mut log = Log::<CounterChange>::from_head(&head).unwrap();
        chunks.iter().for_each(|chunk| log.push_chunk(chunk).unwrap());
        log
    });
}

/// A copy of the whole log, sealed chunks shared.
#[divan::bench]
fn copy(bencher: Bencher) {
    let log = log_of(&samples(Nobody), Retention::default());
    bencher.bench(|| log.clone());
}

/// A bound that puts nearly all of it past: what one command does at most.
#[divan::bench]
fn lower_bound(bencher: Bencher) {
    let log = log_of(&samples(Nobody), Retention::default());
    let (head, chunks): (Vec<u8>, Vec<Vec<u8>>) = (log.head(), log.chunks().map(<[u8]>::to_vec).collect());
    let fresh = || {
        let mut log = Log::<CounterChange>::from_head(&head).unwrap();
        chunks.iter().for_each(|chunk| log.push_chunk(chunk).unwrap());
        log
    };
    bencher
        .with_inputs(fresh)
        .bench_refs(|log| log.set_retention(Retention { len_max: Some(1), ..Retention::default() }));
}
