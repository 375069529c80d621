#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::type_complexity)]

use super::*;
use crate::memory::AS_ASKED;
use proptest::prelude::*;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use std::collections::{HashMap, VecDeque};

const FP: Fingerprint = Fingerprint([1, 2, 3, 4, 5, 6]);

fn store(duration_ms: u64, count_max: u64) -> Tokens {
    Tokens::new(Limits::new(duration_ms, count_max).unwrap())
}

fn token<'a>(producer: &'a [u8], token: &'a [u8]) -> Token<'a> {
    Token::new(producer, token).unwrap()
}

fn stored(tokens: &Tokens) -> (Vec<u8>, Vec<Vec<u8>>) {
    (tokens.head(), tokens.sections().collect())
}

fn load((head, sections): &(Vec<u8>, Vec<Vec<u8>>)) -> Result<Tokens, Corrupt> {
    let mut tokens = Tokens::from_head(head)?;
    for section in sections {
        tokens.push_section(section)?;
    }
    Ok(tokens)
}

impl Tokens {
    /// Checks, then remembers, as every caller does.
    fn post(&mut self, token: &Token<'_>, fp: Fingerprint, reply: &[u8], at_ms: u64) -> Result<(), Corrupt> {
        self.check(token, reply, at_ms)?;
        self.remember(token, fp, reply, at_ms);
        Ok(())
    }
}

/// The rules again, as plainly as they can be said.
struct Model {
    limits: Limits,
    latest_ms: u64,
    dropped_early: u64,
    by_age: VecDeque<(Vec<u8>, Vec<u8>)>,
    known: HashMap<(Vec<u8>, Vec<u8>), (u64, Fingerprint, Vec<u8>)>,
}

impl Model {
    fn new(limits: Limits) -> Self {
        Model { limits, latest_ms: 0, dropped_early: 0, by_age: VecDeque::new(), known: HashMap::new() }
    }

    fn is_live(&self, at_ms: u64, now_ms: u64) -> bool {
        u128::from(now_ms.max(self.latest_ms)) < u128::from(at_ms) + u128::from(self.limits.duration_ms)
    }

    fn find(&self, producer: &[u8], token: &[u8], now_ms: u64) -> Option<(Fingerprint, &[u8])> {
        let (at_ms, fingerprint, reply) = self.known.get(&(producer.to_vec(), token.to_vec()))?;
        self.is_live(*at_ms, now_ms).then_some((*fingerprint, reply))
    }

    fn tracked(&self, now_ms: u64) -> u64 {
        self.known.values().filter(|(at_ms, ..)| self.is_live(*at_ms, now_ms)).count() as u64
    }

    fn drop_oldest(&mut self) {
        let oldest = self.by_age.pop_front().unwrap();
        self.known.remove(&oldest).unwrap();
    }

    fn expire(&mut self, now_ms: u64) {
        self.latest_ms = self.latest_ms.max(now_ms);
        while self.by_age.front().is_some_and(|oldest| !self.is_live(self.known[oldest].0, now_ms)) {
            self.drop_oldest();
        }
    }

    fn make_room(&mut self) {
        while self.by_age.len() as u64 > self.limits.count_max {
            self.drop_oldest();
            self.dropped_early += 1;
        }
    }

    fn remember(&mut self, producer: &[u8], token: &[u8], fp: Fingerprint, reply: &[u8], at_ms: u64) -> bool {
        if self.find(producer, token, at_ms).is_some() || reply.len() > 255 {
            return false;
        }
        self.expire(at_ms);
        let key = (producer.to_vec(), token.to_vec());
        self.by_age.push_back(key.clone());
        self.known.insert(key, (self.latest_ms, fp, reply.to_vec()));
        self.make_room();
        true
    }

    fn set_limits(&mut self, limits: Limits, now_ms: u64) {
        self.expire(now_ms);
        self.limits = limits;
        self.expire(now_ms);
        self.make_room();
    }

    fn check(&self, tokens: &Tokens, now_ms: u64) {
        assert_eq!(tokens.limits(), self.limits);
        assert_eq!(tokens.dropped_early(), self.dropped_early);
        assert_eq!(tokens.tracked(now_ms), self.tracked(now_ms));
    }

    fn check_records(&self, tokens: &Tokens) {
        assert_eq!(tokens.log.iter().count(), self.by_age.len());
        for (record, (producer, token)) in tokens.log.iter().zip(&self.by_age) {
            let (at_ms, fingerprint, reply) = &self.known[&(producer.clone(), token.clone())];
            assert_eq!((tokens.producers.name(record.producer), record.token), (&producer[..], &token[..]));
            assert_eq!((record.at_ms, record.fingerprint, record.reply), (*at_ms, *fingerprint, &reply[..]));
        }
    }
}

/// What must hold inside, whatever happened.
fn check_inside(tokens: &Tokens) {
    let held = tokens.log.live() + tokens.log.dead();
    let by_name = tokens.producers.allocations();
    assert!(by_name as u64 <= held + 2 + 65, "no name outlives its records: {by_name} for {held}");
    for record in tokens.log.iter() {
        let name = tokens.producers.name(record.producer);
        assert!(tokens.find(&token(name, record.token), tokens.latest_ms).is_some(), "every live record is found");
    }
}

#[test]
fn limits_and_tokens_have_bounds() {
    for (duration_ms, count_max, fits) in [
        (0, 1, false),
        (1, 0, false),
        (1, 1, true),
        (u64::MAX, COUNT_MAX - 1, true),
        (u64::MAX, COUNT_MAX, true),
        (1, COUNT_MAX + 1, false),
        (1, u64::MAX, false),
    ] {
        assert_eq!(Limits::new(duration_ms, count_max).is_some(), fits, "{duration_ms} {count_max}");
    }
    for (len, fits) in [(0, false), (1, true), (254, true), (255, true), (256, false)] {
        let bytes = vec![7; len];
        assert_eq!(Token::new(&bytes, b"t").is_some(), fits, "producer of {len}");
        assert_eq!(Token::new(b"p", &bytes).is_some(), fits, "token of {len}");
    }
}

#[test]
fn a_token_is_gone_exactly_when_its_time_is_over() {
    for (duration_ms, at_ms) in [(1, 0), (1, 1), (300_000, 1_800_000_000_000), (1, u64::MAX - 1), (u64::MAX, 0)] {
        let mut tokens = store(duration_ms, 10);
        tokens.post(&token(b"p", b"t"), FP, b"5", at_ms).unwrap();
        let end_ms = at_ms + duration_ms;
        for (now_ms, live) in [(0, true), (at_ms, true), (end_ms - 1, true), (end_ms, false), (u64::MAX, false)] {
            let expected = live.then_some(Remembered { fingerprint: FP, reply: b"5" });
            assert_eq!(tokens.find(&token(b"p", b"t"), now_ms), expected, "{duration_ms} {at_ms} {now_ms}");
            assert_eq!(tokens.tracked(now_ms), u64::from(live));
            assert_eq!(tokens.clone().post(&token(b"p", b"t"), FP, b"6", now_ms).is_err(), live);
        }
    }
    let mut tokens = store(u64::MAX, 10);
    tokens.post(&token(b"p", b"t"), FP, b"5", 1).unwrap();
    assert!(tokens.find(&token(b"p", b"t"), u64::MAX).is_some(), "an end past 64 bits never comes");
}

#[test]
fn producer_and_token_do_not_run_together() {
    let mut tokens = store(1000, 10);
    tokens.post(&token(b"ab", b"c"), FP, b"1", 5).unwrap();
    assert_eq!(tokens.find(&token(b"a", b"bc"), 5), None);
    assert_eq!(tokens.find(&token(b"ab", b"d"), 5), None);
    tokens.post(&token(b"a", b"bc"), FP, b"2", 5).unwrap();
    assert_eq!(tokens.find(&token(b"ab", b"c"), 5).unwrap().reply, b"1");
    assert_eq!(tokens.find(&token(b"a", b"bc"), 5).unwrap().reply, b"2");
}

#[test]
fn the_oldest_makes_room_and_is_counted() {
    for count_max in [1u64, 2, 3, 100] {
        let mut tokens = store(1000, count_max);
        for i in 0..count_max + 2 {
            tokens.post(&token(b"p", &i.to_le_bytes()), FP, b"", 7).unwrap();
            assert_eq!(tokens.dropped_early(), (i + 1).saturating_sub(count_max));
            assert_eq!(tokens.tracked(7), (i + 1).min(count_max));
        }
        for i in 0..count_max + 2 {
            assert_eq!(tokens.find(&token(b"p", &i.to_le_bytes()), 7).is_some(), i >= 2, "{i} of {count_max}");
        }
        // Expiry makes room first, and that is not early.
        tokens.post(&token(b"p", b"late"), FP, b"", 1007).unwrap();
        assert_eq!((tokens.dropped_early(), tokens.tracked(1007)), (2, 1));
    }
}

#[test]
fn a_clock_that_steps_back_makes_nobody_younger() {
    let mut tokens = store(100, 10);
    tokens.post(&token(b"p", b"a"), FP, b"", 1000).unwrap();
    tokens.post(&token(b"p", b"b"), FP, b"", 400).unwrap();
    assert_eq!(tokens.log.iter().map(|record| record.at_ms).collect::<Vec<_>>(), [1000, 1000]);
    assert_eq!(tokens.tracked(1099), 2);
    assert_eq!(tokens.tracked(1100), 0);
    tokens.post(&token(b"p", b"c"), FP, b"", 1100).unwrap();
    assert_eq!(tokens.tracked(0), 1, "what was seen to expire stays gone when the clock steps back");
    assert_eq!(tokens.find(&token(b"p", b"a"), 1000), None);
}

#[test]
fn a_live_token_is_refused_and_nothing_changes() {
    let mut tokens = store(100, 1);
    tokens.post(&token(b"p", b"a"), FP, b"1", 1000).unwrap();
    let before = stored(&tokens);
    assert!(tokens.post(&token(b"p", b"a"), FP, b"1", 1099).is_err());
    assert!(tokens.post(&token(b"p", b"b"), FP, &[0; 256], 5000).is_err());
    assert_eq!(stored(&tokens), before);
    tokens.post(&token(b"p", b"b"), FP, &[0; 255], 1001).unwrap();
    assert_eq!(tokens.find(&token(b"p", b"b"), 1001).unwrap().reply, [0; 255]);
}

#[test]
fn an_expired_token_that_still_lies_there_is_replaced() {
    let mut tokens = store(100, 1000);
    for i in 0u64..50 {
        tokens.post(&token(b"p", &i.to_le_bytes()), FP, b"old", 1).unwrap();
    }
    tokens.post(&token(b"p", b"keeps the others from going at once"), FP, b"", 100).unwrap();
    for i in (0u64..50).rev() {
        tokens.post(&token(b"p", &i.to_le_bytes()), FP, b"new", 150).unwrap();
        assert!(i < 49 || tokens.log.dead() > 30, "some still lie there");
    }
    assert_eq!((tokens.log.live(), tokens.dropped_early()), (51, 0));
    assert!(tokens.log.dead() < SWEEP_MIN);
    for i in 0u64..50 {
        assert_eq!(tokens.find(&token(b"p", &i.to_le_bytes()), 150).unwrap().reply, b"new", "{i}");
    }
    assert_eq!(load(&stored(&tokens)).unwrap(), tokens);
}

#[test]
fn limits_change_without_bringing_anything_back() {
    let mut tokens = store(100, 10);
    for i in 0u64..10 {
        tokens.post(&token(b"p", &i.to_le_bytes()), FP, b"", i * 10).unwrap();
    }
    tokens.set_limits(Limits::new(1000, 10).unwrap(), 120);
    assert_eq!((tokens.tracked(120), tokens.dropped_early()), (7, 0), "0, 10 and 20 had expired before");
    tokens.set_limits(Limits::new(1000, 3).unwrap(), 120);
    assert_eq!((tokens.tracked(120), tokens.dropped_early()), (3, 4));
    tokens.set_limits(Limits::new(40, 3).unwrap(), 120);
    assert_eq!((tokens.tracked(120), tokens.dropped_early()), (1, 4), "a shorter duration is no early drop");
    tokens.set_limits(Limits::new(1000, 3).unwrap(), 0);
    assert_eq!(tokens.tracked(0), 1);
}

#[test]
fn what_has_all_expired_frees_its_memory_at_once() {
    let mut tokens = store(100, 100_000);
    let mut id = 0u64;
    for _ in 0..20_000 {
        id += 1;
        tokens.post(&token(&(id % 500).to_le_bytes(), &id.to_le_bytes()), FP, b"12", id / 1000).unwrap();
    }
    assert!(tokens.memory(AS_ASKED) > 20_000 * 20);
    tokens.post(&token(b"p", b"t"), FP, b"12", 500).unwrap();
    assert!(tokens.memory(AS_ASKED) < 1000, "{} bytes for one token", tokens.memory(AS_ASKED));
    assert!(tokens.allocations() < 20);
    assert_eq!(tokens.log.dead(), 0);
}

#[test]
fn a_trickle_after_a_flood_frees_the_memory() {
    let mut tokens = store(1_000, 100_000);
    for id in 0u64..100_000 {
        tokens.post(&token(b"worker-7", &u128::from(id).to_le_bytes()), FP, b"1234", 0).unwrap();
    }
    for id in 0u64..1_000 {
        tokens.post(&token(b"worker-7", &id.to_le_bytes()), FP, b"1234", id * 100).unwrap();
    }
    assert!(tokens.log.dead() < SWEEP_MIN);
    assert!(tokens.memory(AS_ASKED) < 4096 + 1000, "{} bytes for 10 tokens", tokens.memory(AS_ASKED));
}

#[test]
fn the_stored_form_is_the_drawn_one() {
    let mut tokens = store(1000, 10);
    tokens.post(&token(b"w", b"abc"), FP, &[5], 300).unwrap();
    tokens.post(&token(b"w", b"def"), Fingerprint([10, 11, 12, 13, 14, 15]), &[6], 302).unwrap();
    let head = [0xe8, 0x07, 0x0a, 0x00, 0xae, 0x02];
    let section = [
        0xac, 0x02, 0x00, 0x01, 0x77, 0x03, 0x61, 0x62, 0x63, 1, 2, 3, 4, 5, 6, 0x01, 0x05, //
        0x02, 0x00, 0x03, 0x64, 0x65, 0x66, 10, 11, 12, 13, 14, 15, 0x01, 0x06,
    ];
    assert_eq!(stored(&tokens), (head.to_vec(), vec![section.to_vec()]));
    let loaded = load(&(head.to_vec(), vec![section.to_vec()])).unwrap();
    assert_eq!(loaded, tokens);
    assert_eq!(loaded.find(&token(b"w", b"def"), 302).unwrap().reply, [6]);
}

/// Computed by an implementation of SipHash-2-4 of our own, checked against the vectors of its paper.
#[test]
fn fingerprints_stay_the_same_for_ever() {
    let parts: &[&[u8]] = &[b"SCOUNTER.INCR", b"views", b"5"];
    assert_eq!(Fingerprint::of(parts).to_bytes(), [0xc0, 0x13, 0x4f, 0xed, 0x8b, 0xad]);
    assert_eq!(Fingerprint::of(&[]).to_bytes(), [0xf2, 0xa0, 0x37, 0xb1, 0x21, 0xc3]);
    assert_eq!(Fingerprint::of(&[b""]).to_bytes(), [0x5f, 0x6c, 0xc6, 0x5b, 0x0c, 0x91]);
    assert_ne!(Fingerprint::of(&[b"ab", b"c"]), Fingerprint::of(&[b"a", b"bc"]));
    assert_eq!(Fingerprint::from_bytes(FP.to_bytes()), FP);
}

#[test]
fn what_would_be_stored_differently_is_corrupt() {
    let head = |duration_ms, count_max, latest_ms| {
        let mut out = Vec::new();
        [duration_ms, count_max, 0, latest_ms].iter().for_each(|&value| crate::wire::put_u64(&mut out, value));
        out
    };
    // Age, producer number, name if spelled, token; fingerprint and reply are always fine.
    let record = |age: u8, number: u8, name: Option<&[u8]>, token: &[u8]| {
        let mut out = vec![age, number];
        name.iter().for_each(|name| crate::wire::put_bytes(&mut out, name));
        crate::wire::put_bytes(&mut out, token);
        out.extend([1, 2, 3, 4, 5, 6, 0]);
        out
    };
    let w = Some(&b"w"[..]);
    let good = [record(5, 0, w, b"a"), record(0, 0, None, b"b"), record(0, 1, Some(b"v"), b"b")].concat();
    let eighty = (0..80u8).map(|i| record(0, 0, (i == 0).then_some(b"w"), &[i])).collect::<Vec<_>>();
    let more = record(0, 0, w, b"more");
    let cases: Vec<(&str, Vec<u8>, Vec<Vec<u8>>, bool)> = vec![
        ("good", head(10, 3, 5), vec![good.clone()], true),
        ("at its last millisecond", head(10, 3, 14), vec![good.clone()], true),
        ("expired", head(10, 3, 15), vec![good.clone()], false),
        ("from the future", head(10, 3, 4), vec![good.clone()], false),
        ("too many", head(10, 2, 5), vec![good.clone()], false),
        ("no duration", head(0, 3, 5), vec![], false),
        ("no room", head(10, 0, 5), vec![], false),
        ("too much room", head(10, COUNT_MAX + 1, 5), vec![], false),
        ("left over", head(10, 3, 5), vec![[&good[..], &[0]].concat()], false),
        ("head left over", [&head(10, 3, 5)[..], &[0]].concat(), vec![], false),
        ("empty section", head(10, 3, 5), vec![vec![]], false),
        ("twice", head(10, 3, 5), vec![[record(5, 0, w, b"a"), record(0, 0, None, b"a")].concat()], false),
        ("spelled twice", head(10, 3, 5), vec![[record(5, 0, w, b"a"), record(0, 1, w, b"b")].concat()], false),
        ("number skipped", head(10, 3, 5), vec![record(5, 1, w, b"a")], false),
        ("no producer", head(10, 3, 5), vec![record(5, 0, Some(b""), b"a")], false),
        ("no token", head(10, 3, 5), vec![record(5, 0, w, b"")], false),
        ("long token", head(10, 3, 5), vec![record(5, 0, w, &[0; 256])], false),
        ("longest token", head(10, 3, 5), vec![record(5, 0, w, &[0; 255])], true),
        ("time past 64 bits", head(10, 3, u64::MAX), vec![[&[0xff; 9][..], &[1, 0]].concat()], false),
        ("full section", head(10, 100, 5), vec![eighty.concat()], true),
        ("full section and one", head(10, 100, 5), vec![eighty.concat(), more.clone()], true),
        ("section not full", head(10, 100, 5), vec![eighty[..79].concat(), more.clone()], false),
        ("section overfull", head(10, 100, 5), vec![[&eighty.concat()[..], &record(0, 0, None, b"m")].concat()], false),
        ("older section", head(10, 9, 5), vec![[record(5, 0, w, b"a")].concat(), record(4, 0, w, b"b")], false),
    ];
    for (name, head, sections, fits) in cases {
        let loaded = load(&(head.clone(), sections.clone()));
        assert_eq!(loaded.is_ok(), fits, "{name}: {loaded:?}");
        if let Ok(tokens) = loaded {
            assert_eq!(stored(&tokens), (head, sections), "{name}");
        }
    }
    let mut tokens = store(10, 200);
    for i in 0..80u8 {
        tokens.post(&token(b"w", &[i]), FP, b"", 5).unwrap();
    }
    assert!(tokens.push_section(&record(4, 0, w, b"older")).is_err());
    assert!(tokens.push_section(&record(5, 0, w, b"as old")).is_ok());
}

/// A store with sections of every kind: many producers, several sections, several segments.
fn varied(seed: u64, count: u64) -> Tokens {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut tokens = store(10_000, count);
    for id in 0..count + 10 {
        let mut name = id.to_le_bytes().to_vec();
        name.resize(8 + rng.random_range(0..8), 0);
        let producer = vec![b'p'; rng.random_range(1..20)];
        let reply = vec![9; rng.random_range(0..12)];
        tokens.post(&token(&producer, &name), FP, &reply, id / 3).unwrap();
    }
    tokens
}

#[test]
fn flipped_and_cut_bytes_are_refused_or_make_a_sound_store() {
    let mut rng = StdRng::seed_from_u64(11);
    let (mut refused, mut accepted) = (0u32, 0u32);
    let whole = stored(&varied(5, 200));
    for _ in 0..20_000 {
        let mut bad = whole.clone();
        let part = rng.random_range(0..=bad.1.len());
        let bytes = if part == 0 { &mut bad.0 } else { &mut bad.1[part - 1] };
        let place = rng.random_range(0..bytes.len());
        match rng.random_range(0..4) {
            0 => bytes.truncate(place),
            1 => bytes[place] = rng.random(),
            2 => bytes.insert(place, rng.random()),
            _ => bytes[place] ^= 1 << rng.random_range(0..8),
        }
        match load(&bad) {
            Err(_) => refused += 1,
            Ok(mut tokens) => {
                accepted += 1;
                assert_eq!(stored(&tokens), bad, "what is accepted is stored the same again");
                check_inside(&tokens);
                let at_ms = rng.random_range(0..20_000);
                let _ = tokens.post(&token(b"fresh", b"fresh"), FP, b"1", at_ms);
                tokens.set_limits(Limits::new(5, 5).unwrap(), at_ms);
                check_inside(&tokens);
            }
        }
    }
    assert!(refused > 1000 && accepted > 1000, "both happen: {refused} refused, {accepted} accepted");
}

#[derive(Debug, Clone)]
enum Op {
    Remember { producer: u8, token: u8, long: bool, reply_len: u8, step_ms: i64 },
    Find { producer: u8, token: u8, step_ms: i64 },
    SetLimits { duration_ms: u64, count_max: u64 },
    Reload,
    Copy,
}

fn op() -> impl Strategy<Value = Op> {
    let reply_len = prop_oneof![6 => 0u8..9, 1 => 250u8..=255];
    let step_ms = || prop_oneof![12 => 0i64..4, 2 => -30i64..0, 2 => 0i64..80, 1 => 200i64..900];
    prop_oneof![
        40 => (0u8..4, 0u8..40, prop::bool::weighted(0.2), reply_len, step_ms())
            .prop_map(|(producer, token, long, reply_len, step_ms)| Op::Remember { producer, token, long, reply_len, step_ms }),
        8 => (0u8..4, 0u8..40, step_ms()).prop_map(|(producer, token, step_ms)| Op::Find { producer, token, step_ms }),
        1 => (1u64..300, 1u64..120).prop_map(|(duration_ms, count_max)| Op::SetLimits { duration_ms, count_max }),
        1 => Just(Op::Reload),
        1 => Just(Op::Copy),
    ]
}

fn spelled(number: u8, long: bool) -> Vec<u8> {
    vec![number + 1; if long { 255 - usize::from(number) } else { 1 + usize::from(number % 17) }]
}

proptest! {
    // 600 runs of 400 to 500 operations: at least 240,000.
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// One store is never touched but by calls; its twin is saved, loaded and copied in between.
    #[test]
    fn the_store_does_what_the_model_says(ops in prop::collection::vec(op(), 400..500), start_ms in 0u64..2000) {
        let limits = Limits::new(100, 30).unwrap();
        let (mut model, mut primary, mut twin) = (Model::new(limits), Tokens::new(limits), Tokens::new(limits));
        let mut now_ms = start_ms;
        for op in ops {
            match op {
                Op::Remember { producer, token: number, long, reply_len, step_ms } => {
                    now_ms = now_ms.saturating_add_signed(step_ms);
                    let (producer, name) = (spelled(producer, long), spelled(number, false));
                    let fingerprint = Fingerprint::of(&[&[number, reply_len]]);
                    let reply = vec![number; usize::from(reply_len)];
                    let fits = model.remember(&producer, &name, fingerprint, &reply, now_ms);
                    let key = token(&producer, &name);
                    prop_assert_eq!(primary.post(&key, fingerprint, &reply, now_ms).is_ok(), fits);
                    prop_assert_eq!(twin.post(&key, fingerprint, &reply, now_ms).is_ok(), fits);
                }
                Op::Find { producer, token: number, step_ms } => {
                    let at_ms = now_ms.saturating_add_signed(step_ms);
                    for long in [false, true] {
                        let (producer, name) = (spelled(producer, long), spelled(number, false));
                        let found = primary.find(&token(&producer, &name), at_ms);
                        prop_assert_eq!(found.map(|found| (found.fingerprint, found.reply)), model.find(&producer, &name, at_ms));
                        prop_assert_eq!(twin.find(&token(&producer, &name), at_ms), found);
                    }
                    model.check(&primary, at_ms);
                }
                Op::SetLimits { duration_ms, count_max } => {
                    let limits = Limits::new(duration_ms, count_max).unwrap();
                    model.set_limits(limits, now_ms);
                    primary.set_limits(limits, now_ms);
                    twin.set_limits(limits, now_ms);
                }
                Op::Reload => twin = load(&stored(&primary)).unwrap(),
                Op::Copy => twin = twin.clone(),
            }
            model.check(&primary, now_ms);
            prop_assert_eq!(&primary, &twin);
        }
        model.check_records(&primary);
        check_inside(&primary);
        check_inside(&twin);
        prop_assert_eq!(stored(&primary), stored(&twin));
    }
}

/// The same at a size where segments come and go and the index is split, with floods, pauses and
/// thousands of producers, and where addresses wrap.
#[test]
fn large_stores_do_what_the_model_says() {
    for seed in 0..4u64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let limits = Limits::new(4_000, 6_000).unwrap();
        let (mut model, mut primary, mut twin) = (Model::new(limits), Tokens::new(limits), Tokens::new(limits));
        primary.log = Log::starting_at((1 << 20) - 300);
        let producers = [3u64, 200, 10_000, 10_000][seed as usize];
        let mut now_ms = 1_800_000_000_000u64;
        for i in 0..60_000u64 {
            now_ms = now_ms.saturating_add_signed(rng.random_range(-2..=3));
            if rng.random_ratio(1, 9_000) {
                now_ms += rng.random_range(2_000..5_000);
            }
            let producer = (rng.next_u64() % producers).to_le_bytes();
            let name = (rng.next_u64() % 20_000).to_be_bytes();
            let fingerprint = Fingerprint::of(&[&name]);
            let fits = model.remember(&producer, &name, fingerprint, &i.to_le_bytes(), now_ms);
            let key = token(&producer, &name);
            assert_eq!(primary.post(&key, fingerprint, &i.to_le_bytes(), now_ms).is_ok(), fits, "seed {seed}");
            assert_eq!(twin.post(&key, fingerprint, &i.to_le_bytes(), now_ms).is_ok(), fits, "seed {seed}");
            let found = primary.find(&key, now_ms).map(|found| (found.fingerprint, found.reply));
            assert_eq!(found, model.find(&producer, &name, now_ms), "seed {seed}");
            if rng.random_ratio(1, 8_000) {
                let limits = Limits::new(rng.random_range(1_000..6_000), rng.random_range(500..8_000)).unwrap();
                model.set_limits(limits, now_ms);
                primary.set_limits(limits, now_ms);
                twin.set_limits(limits, now_ms);
            }
            if i % 6_000 == 5_999 {
                model.check(&primary, now_ms);
                model.check_records(&primary);
                check_inside(&primary);
                assert_eq!(stored(&primary), stored(&twin), "seed {seed}");
                twin = load(&stored(&primary)).unwrap();
                check_inside(&twin);
            }
        }
    }
}

#[test]
fn equal_calls_make_equal_stored_forms() {
    let forms = [(); 2].map(|()| stored(&varied(3, 3_000)));
    assert_eq!(forms[0], forms[1]);
    assert!(forms[0].1.len() == 38 && forms[0].1.iter().all(|section| section.len() <= 65_536));
    assert_ne!(forms[0], stored(&varied(4, 3_000)));
}

#[test]
fn the_longest_records_fit_sections_and_segments() {
    let mut tokens = store(u64::MAX, 400);
    for id in 0..400u64 {
        let mut name = id.to_le_bytes().to_vec();
        name.resize(255, 7);
        tokens.post(&token(&name, &name), FP, &[3; 255], id << 54).unwrap();
    }
    let form = stored(&tokens);
    assert!(form.1.iter().all(|section| (60_000..=65_536).contains(&section.len())));
    assert_eq!(load(&form).unwrap(), tokens);
    check_inside(&tokens);
}

/// 16-byte tokens, replies of 2 to 6 bytes.
fn fill(tokens: &mut Tokens, rng: &mut StdRng, producers: u64, step_ms: u64, from: u64, to: u64) {
    for id in from..to {
        let mut name = [0; 16];
        rng.fill_bytes(&mut name);
        let producer = format!("worker-{}", id % producers);
        let reply = &[b'5'; 6][..rng.random_range(2..=6)];
        tokens.post(&token(producer.as_bytes(), &name), FP, reply, 1_800_000_000_000 + id * step_ms).unwrap();
    }
}

#[test]
fn a_token_costs_at_most_40_bytes() {
    let mut rng = StdRng::seed_from_u64(1);
    println!("{:>9} {:>9} {:>7} {:>14}", "tokens", "producers", "step ms", "bytes a token");
    for (producers, step_ms) in [(1, 1), (8, 3), (100, 3)] {
        let mut tokens = store(u64::MAX, COUNT_MAX);
        let mut from = 0;
        for to in [1, 10, 100, 1_000, 10_000, 30_000, 58_000, 70_000, 100_000, 115_000, 1_000_000] {
            if to == 1_000_000 && producers != 8 {
                continue;
            }
            fill(&mut tokens, &mut rng, producers, step_ms, from, to);
            from = to;
            let each = tokens.memory(AS_ASKED) as f64 / to as f64;
            println!("{to:>9} {producers:>9} {step_ms:>7} {each:>14.2}");
            // From 16 producers on a number may take two bytes.
            let each_max = if producers < 16 { 40.0 } else { 41.0 };
            assert!(to < 10_000 || each <= each_max, "{each} bytes at {to}");
        }
    }
}

#[test]
fn a_token_costs_no_more_when_old_ones_keep_going() {
    let mut rng = StdRng::seed_from_u64(2);
    println!("{:>9} {:>14}", "count_max", "bytes a token");
    for count_max in [20_000, 50_000, 70_000, 100_000] {
        let mut tokens = store(u64::MAX, count_max);
        let mut most = 0.0f64;
        for round in 0..12 {
            fill(&mut tokens, &mut rng, 8, 3, round * count_max / 4, (round + 1) * count_max / 4);
            if round >= 4 {
                most = most.max(tokens.memory(AS_ASKED) as f64 / count_max as f64);
            }
        }
        println!("{count_max:>9} {most:>14.2}");
        assert!(most <= 40.0, "{most} bytes at {count_max}");
    }
}

#[test]
fn a_hundred_thousand_producers_come_and_go() {
    let mut rng = StdRng::seed_from_u64(3);
    let mut tokens = store(u64::MAX, 100_000);
    let mut most = 0;
    for round in 0..4 {
        fill(&mut tokens, &mut rng, u64::MAX, 3, round * 50_000, (round + 1) * 50_000);
        most = most.max(tokens.memory(AS_ASKED));
    }
    println!("100,000 tokens of as many producers: {} bytes each", most / 100_000);
    assert!(most / 100_000 < 120);
    let names = tokens.producers.allocations();
    assert!((100_000..100_070).contains(&names), "{names} allocations for 100,000 names");
    let form = stored(&tokens);
    assert_eq!(load(&form).unwrap(), tokens);
}
