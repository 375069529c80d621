//! What must hold for whatever a decoder makes of any bytes: it refuses them, or the value has exactly the form that
//! was read, and goes on as any other does.

use std::collections::BTreeSet;
use tallybook_domain::audit::{Change, EntryId, Log, Retention};
use tallybook_domain::counter::{Add, Commit, Counter, HoldRequest, When};
use tallybook_domain::decision::Decision;
use tallybook_domain::effect::{self, BlockEffect, CounterEffect, Effect, Payload};
use tallybook_domain::environment::{Caller, Environment};
use tallybook_domain::error::Error;
use tallybook_domain::fence::{Announcement, Fence, Standing, Uid, journal};
use tallybook_domain::idblock::{Create, IdBlock, Policy, Reserve};
use tallybook_domain::idempotency::Token;
use tallybook_domain::limits::WINDOW_MAX_DEFAULT;
use tallybook_domain::memory::AS_ASKED;
use tallybook_domain::options::KeyOptions;
use tallybook_domain::retry::Envelope;
use tallybook_domain::shards::{Gather, Message, NodeId, Shards};
use tallybook_domain::stored::{self, Stored, Tag};
use tallybook_domain::wire::{Corrupt, Reader};

/// A type of value, as a decoder makes it.
pub trait Value: Stored + Clone {
    /// Its effects.
    type Effect<'a>: Effect<'a>;
    /// The value that an effect makes.
    fn create(effect: &Self::Effect<'_>) -> Result<Self, Corrupt>;
    /// Changes it.
    fn apply(&mut self, effect: &Self::Effect<'_>) -> Result<(), Corrupt>;
    /// Asks it everything, and goes on as clients would.
    fn live(&self);
}

impl Value for Counter {
    type Effect<'a> = CounterEffect<'a>;

    fn create(effect: &CounterEffect<'_>) -> Result<Self, Corrupt> {
        Counter::create(effect)
    }

    fn apply(&mut self, effect: &CounterEffect<'_>) -> Result<(), Corrupt> {
        Counter::apply(self, effect)
    }

    fn live(&self) {
        let _ = (self.info(&World), self.memory(AS_ASKED), self.allocations());
        read(self.log());
        for delta in [1, -1, i64::MAX] {
            let request = Add { delta, decr: false };
            follow(self, Counter::decide_add(Some(self), &request, &envelope(), &World));
        }
        let hold = HoldRequest { amount: 1, until: When::In(1000) };
        follow(self, self.decide_hold(&hold, &envelope(), &World));
        let first = self.holds().and_then(|holds| holds.pending(NOW_MS).next().map(|hold| hold.id));
        if let Some(id) = first {
            follow(self, self.decide_commit(&Commit { id, amount: None, note: b"" }, &World));
        }
    }
}

impl Value for IdBlock {
    type Effect<'a> = BlockEffect<'a>;

    fn create(effect: &BlockEffect<'_>) -> Result<Self, Corrupt> {
        IdBlock::create(effect)
    }

    fn apply(&mut self, effect: &BlockEffect<'_>) -> Result<(), Corrupt> {
        IdBlock::apply(self, effect)
    }

    fn live(&self) {
        let _ = (self.info(&World), self.memory(AS_ASKED), self.allocations());
        read(self.log());
        for id in [i64::MIN, -1, 0, 1, i64::MAX] {
            let _ = (self.who(id), self.when(id));
            if let Some(codes) = self.codes() {
                let code = u64::try_from(id).ok().and_then(|ordinal| codes.encode(ordinal));
                assert!(code.is_none_or(|code| codes.decode(code.as_bytes()) == u64::try_from(id).ok()));
            }
        }
        for count in [1, 1000, u32::MAX.into()] {
            let request = Reserve { count, at_least: 1, codes: false };
            follow(self, self.decide_reserve(&request, &envelope(), &World));
        }
        follow(self, self.decide_next(&envelope(), &World));
        follow(self, self.decide_advance(i64::MAX / 2, &World));
    }
}

/// Applies what was decided, which must be possible.
fn follow<'a, T: Value, R>(value: &T, decision: Result<Decision<T::Effect<'a>, R>, Error>) {
    let effect = match decision {
        Ok(Decision::Changed { effect, .. }) => Some(effect),
        Ok(Decision::Wait { effect, .. }) => effect,
        _ => None,
    };
    if let Some(effect) = effect {
        let mut after = value.clone();
        after.apply(&effect).expect("what was decided applies");
        check(&after);
    }
}

/// Reads all of a log, forwards and backwards.
fn read<C: Change>(log: Option<&Log<C>>) {
    let Some(log) = log else { return };
    let all = || log.range(EntryId::MIN, EntryId { ms: u64::MAX, seq: u64::MAX });
    assert!(all().map(|entry| entry.id).is_sorted_by(|a, b| a < b));
    assert_eq!(all().count(), all().rev().count());
}

/// The stored form of a value.
fn sections<T: Value>(value: &T) -> Vec<Vec<u8>> {
    let mut sections = Vec::new();
    value.sections(&mut |section| sections.push(section));
    sections
}

/// The stored form of a value, which makes the same value.
fn check<T: Value>(value: &T) -> Vec<Vec<u8>> {
    let form = sections(value);
    let again: T = stored::load(form.iter().map(Ok::<_, Corrupt>)).expect("what was stored can be loaded");
    assert_eq!(form, sections(&again));
    form
}

/// Sections, each behind its length, as a dump or an AOF brings them.
pub fn stored<T: Value>(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let mut sections = Vec::new();
    while !reader.is_empty() {
        let Ok(section) = reader.bytes(usize::MAX) else { return };
        sections.push(section);
    }
    if let Ok(value) = stored::load::<T, _, Corrupt>(sections.iter().map(Ok)) {
        assert_eq!(check(&value), sections, "another form than the one that was read");
        value.live();
    }
}

/// Behind the core of this value, a head and what belongs to it: pieces, each behind its length.
pub fn pieces<T: Value>(core: &T, head: Tag, piece: Tag, bytes: &[u8]) {
    let core = check(core).swap_remove(0);
    let mut value = T::from_core(&core).expect("a core");
    let (mut reader, mut tag) = (Reader::new(bytes), head);
    while let Ok(body) = reader.bytes(usize::MAX) {
        if value.push_section(&[&[tag.byte()], body].concat()).is_err() {
            return;
        }
        tag = piece;
        if reader.is_empty() {
            break;
        }
    }
    check(&value);
    value.live();
}

/// A counter of which only the value is known.
pub fn a_counter() -> Counter {
    let request = Add { delta: 5, decr: false };
    let Ok(Decision::Changed { effect, .. }) = Counter::decide_add(None, &request, &Envelope::default(), &World) else {
        panic!("an increment of a missing counter")
    };
    Counter::create(&effect).expect("a counter")
}

/// An allocator that has handed out nothing.
pub fn an_id_block() -> IdBlock {
    let request = Create {
        nx: false,
        start: 1,
        increment: 1,
        max: i64::MAX,
        clock: None,
        codes: None,
        fence: Policy::Off,
        options: KeyOptions::default(),
    };
    let Ok(Decision::Changed { effect, .. }) = IdBlock::decide_create(None, &request, &World) else {
        panic!("a creation")
    };
    IdBlock::create(&effect).expect("an allocator")
}

/// Payloads of effect commands, each behind its length, one after the other on one key.
pub fn effects<T: Value>(bytes: &[u8]) {
    let (mut reader, mut key, mut form) = (Reader::new(bytes), None::<T>, Vec::new());
    while let Ok(payload) = reader.bytes(usize::MAX) {
        let outcome = match (effect::decode::<T::Effect<'_>>(payload), &mut key) {
            (Err(_), _) => continue,
            (Ok(Payload::Effect(effect)), Some(value)) => value.apply(&effect),
            (Ok(Payload::Effect(effect)), None) => T::create(&effect).map(|value| key = Some(value)),
            (Ok(Payload::Restored { sections, .. }), _) => stored::load(sections).map(|value| key = Some(value)),
        };
        match &key {
            Some(value) if outcome.is_ok() => form = check(value),
            Some(value) => assert!(sections(value) == form, "what was refused has changed something"),
            None => assert!(outcome.is_err(), "applied, but there is no key"),
        }
        if reader.is_empty() {
            break;
        }
    }
    if let Some(value) = key {
        value.live();
    }
}

const NOW_MS: u64 = 1_800_000_000_000;

/// A journal whose checksums are right, whatever else is wrong with it; and an announcement of its set.
pub fn journal(bytes: &[u8]) {
    let read = |bytes: &[u8]| journal::decode(bytes).ok().map(Fence::new);
    let Some(fence) = read(&summed(bytes)) else { return };
    let again = read(&journal::encode(&fence)).expect("what was written can be read");
    assert_eq!(records(&fence), records(&again));
    let announced = fence.announcement().encode();
    assert_eq!(Announcement::decode(&announced).map(|set| set.encode()), Ok(announced));
}

/// A journal's records, whose order says nothing, and its header in pieces.
fn records(fence: &Fence) -> BTreeSet<Vec<u8>> {
    journal::encode(fence).rchunks(journal::RECORD_LEN).map(<[u8]>::to_vec).collect()
}

/// The bytes, with the checksums that belong to them.
fn summed(bytes: &[u8]) -> Vec<u8> {
    let mut out = [b"TALLYFNC\x01".as_slice(), bytes].concat();
    let Some(len) = out.get(9..13).map(|len| u32::from_le_bytes([len[0], len[1], len[2], len[3]])) else { return out };
    let mut start = 13 + (len % 512) as usize;
    out[9..13].copy_from_slice(&(len % 512).to_le_bytes());
    let mut begin = 0;
    while let Some(sum) = out.get(begin..start).map(crc32fast::hash).filter(|_| start + 4 <= out.len()) {
        out[start..start + 4].copy_from_slice(&sum.to_le_bytes());
        (begin, start) = (start + 4, start + 4 + journal::RECORD_LEN - 4);
    }
    out
}

/// An announcement as a primary sends it, and what a replica makes of it.
pub fn announcement(bytes: &[u8]) {
    let Ok(set) = Announcement::decode(bytes) else { return };
    assert_eq!(Announcement::decode(&set.encode()).map(|set| set.encode()), Ok(set.encode()));
    let mut fence = Fence::default();
    fence.became_replica("primary:1");
    let _ = fence.told(&set, &["primary:1"], &["me:1".to_owned()]);
    fence.became_primary();
    let _ = (fence.waits_for(), fence.whom());
}

/// A message of the cluster bus, and a round of asking that it answers.
pub fn bus_message(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else { return };
    let again = match &message {
        Message::Ask(ask) => ask.encode(),
        Message::Answer(answer) => answer.encode(),
    };
    assert_eq!(Message::decode(&again), Ok(message.clone()));
    let Message::Answer(answer) = message else { return };
    let nodes = [NodeId([b'a'; NodeId::LEN]), NodeId([b'b'; NodeId::LEN])];
    let mut gather = Gather::new(Shards::new(64).expect("a number of shards"), nodes);
    for node in nodes {
        let _ = gather.heard(node, &answer);
    }
    let _ = (gather.verdict(), gather.tally().total(true), gather.unanswered());
}

/// A caller, a token, a note.
fn envelope() -> Envelope<'static> {
    Envelope { token: Token::new(b"producer", b"token"), note: b"note" }
}

/// A lone primary at one moment.
struct World;

impl Environment for World {
    fn now_ms(&self) -> u64 {
        NOW_MS
    }

    fn is_replica(&self) -> bool {
        false
    }

    fn caller(&self) -> Caller<'_> {
        Caller { user: b"alice", client: b"web-1" }
    }

    fn random(&self) -> [u8; 16] {
        [7; 16]
    }

    fn random_u64(&self) -> u64 {
        7 << 11
    }

    fn log_default(&self) -> Option<Retention> {
        None
    }

    fn standing(&self) -> Standing {
        Fence::default().standing(WINDOW_MAX_DEFAULT.unsigned_abs())
    }

    fn known_mark(&self, _: &Uid) -> Option<u64> {
        None
    }

    fn is_doubted(&self, _: &Uid) -> bool {
        false
    }

    fn parked(&self, _: &Uid) -> u64 {
        0
    }

    fn whom(&self) -> String {
        String::new()
    }
}
