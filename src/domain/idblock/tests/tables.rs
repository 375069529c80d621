//! The rules of IDBLOCK, one table each.

use super::{PLAIN, commit, created};
use crate::audit::EntryId;
use crate::environment::Environment;
use crate::error::{Error, Kind};
use crate::idblock::{Block, Clock, Create, IdBlock, Reserve};
use crate::idempotency::Token;
use crate::permutation::Alphabet;
use crate::retry::Envelope;
use crate::simulation::{Pair, World, loaded, sections};
use std::collections::HashSet;

const EPOCH_MS: u64 = 1_704_067_200_000;

fn reserve(pair: &mut Pair<IdBlock>, count: u64, at_least: u64, world: &World) -> Result<Block, Error> {
    let (block, request) = (pair.primary.clone().unwrap(), Reserve { count, at_least, codes: false });
    let decision = block.decide_reserve(&request, &Envelope::default(), world)?;
    Ok(commit(pair, decision).0)
}

fn next(pair: &mut Pair<IdBlock>, world: &World) -> Result<i64, Error> {
    let block = pair.primary.clone().unwrap();
    let decision = block.decide_next(&Envelope::default(), world)?;
    Ok(commit(pair, decision).0)
}

fn clocked(bits: u8, start: i64, increment: u64) -> (Pair<IdBlock>, World) {
    let mut world = World::new(0);
    world.set_clock(EPOCH_MS + 1_000);
    let clock = Clock::new(bits, EPOCH_MS);
    (created(&Create { clock, start, increment, ..PLAIN }, &world).unwrap(), world)
}

/// When it is after the epoch, and which id comes next; 2 bits, START 7, INCREMENT 10.
#[test]
fn ids_with_a_clock_never_lie_below_it_and_always_rise() {
    let (mut pair, mut world) = clocked(2, 7, 10);
    for (after_ms, ordinal, when_ms) in [
        (1_000, 4_000, 1_000),
        (1_000, 4_001, 1_000),
        (1_000, 4_002, 1_000),
        (1_000, 4_003, 1_000),
        // The millisecond is used up: the carry runs into the next.
        (1_000, 4_004, 1_001),
        (1_001, 4_005, 1_001),
        (1_002, 4_008, 1_002),
        // It steps back, also to before the epoch.
        (900, 4_009, 1_002),
        (0, 4_010, 1_002),
        (-5_000, 4_011, 1_002),
        (-5_000, 4_012, 1_003),
        (1_003, 4_013, 1_003),
        (9_000, 36_000, 9_000),
    ] {
        world.set_clock(EPOCH_MS.saturating_add_signed(after_ms));
        let id = next(&mut pair, &world).unwrap();
        assert_eq!(id, 7 + 10 * ordinal, "{after_ms}");
        assert_eq!(pair.replica.as_ref().unwrap().when(id), Some(Some(EPOCH_MS + when_ms)));
        // A restart between any two changes nothing.
        pair.primary = Some(loaded(&sections(pair.primary.as_ref().unwrap())).unwrap());
    }
    assert_eq!(pair.primary.unwrap().when(7 + 10 * 36_000 + 1), Some(None), "no id of this sequence");
}

#[test]
fn a_reservation_carries_over_milliseconds() {
    let (mut pair, world) = clocked(2, 0, 1);
    let block = reserve(&mut pair, 10, 10, &world).unwrap();
    assert_eq!((block.first, block.last), (4_000, 4_009));
    assert_eq!(next(&mut pair, &world), Ok(4_010));
    assert_eq!(pair.primary.unwrap().when(4_010), Some(Some(EPOCH_MS + 1_002)));
}

/// uid-generator#100 went negative at the end of its layout.
#[test]
fn a_layout_ends_in_an_error() {
    for (bits, start, increment) in [(22, 0, 1), (22, 1, 1), (12, -5, 1_024), (0, i64::MAX - 100_000, 7)] {
        let (mut pair, mut world) = clocked(bits, start, increment);
        let capacity = pair.primary.as_ref().unwrap().range().capacity();
        let last_ms = EPOCH_MS + ((capacity - 1) >> bits);
        let first_of_last = ((capacity - 1) >> bits) << bits;
        world.set_clock(last_ms);
        let left = capacity - first_of_last;
        let exhausted = |want, left| Err(Error::Exhausted { want, max: i64::MAX, left });
        assert_eq!(reserve(&mut pair, left + 1, left + 1, &world), exhausted(left + 1, left), "{bits} {start}");
        let block = reserve(&mut pair, left + 1, 1, &world).unwrap();
        assert!(block.count == left && block.first <= block.last && block.last > i64::MAX - increment.cast_signed());
        for now_ms in [0, last_ms, last_ms + 1, u64::MAX] {
            world.set_clock(now_ms);
            assert_eq!(next(&mut pair, &world), exhausted(1, 0).map(|block: Block| block.first));
        }
        // Who comes too late for the first time gets nothing either.
        let (mut late, mut world) = clocked(bits, start, increment);
        world.set_clock(last_ms + 1);
        assert_eq!(next(&mut late, &world), Err(Error::Exhausted { want: 1, max: i64::MAX, left: 0 }));
    }
}

#[test]
fn a_layout_must_hold_the_present() {
    let mut world = World::new(0);
    let create = |world: &World| created(&Create { clock: Clock::new(22, EPOCH_MS), start: 0, ..PLAIN }, world).err();
    let lasts_ms = 1 << (63 - 22);
    for (now_ms, refusal) in [
        (EPOCH_MS - 1, Some(Error::EpochAhead)),
        (EPOCH_MS, None),
        (EPOCH_MS + lasts_ms - 1, None),
        (EPOCH_MS + lasts_ms, Some(Error::Exhausted { want: 1, max: i64::MAX, left: 0 })),
    ] {
        world.set_clock(now_ms);
        assert_eq!(create(&world), refusal, "{now_ms}");
    }
}

#[test]
fn a_sequence_of_codes_ends_with_its_space() {
    let world = World::new(0);
    for (length, alphabet, space) in [(1, &b"ab"[..], 2), (3, b"01", 8), (2, b"0123456789", 100)] {
        let codes = Some((length, Alphabet::new(alphabet).unwrap(), None));
        for (start, increment) in [(0, 1), (-7, 3)] {
            let mut pair = created(&Create { codes, start, increment, ..PLAIN }, &world).unwrap();
            let block = reserve(&mut pair, space, space, &world).unwrap();
            assert_eq!((block.first, block.last), (start, start + (space as i64 - 1) * increment as i64));
            assert!(matches!(next(&mut pair, &world), Err(Error::Exhausted { left: 0, max, .. }) if max == block.last));
            let allocator = pair.replica.as_ref().unwrap();
            let all: HashSet<Vec<u8>> = (0..space).map(|n| allocator.codes().unwrap().encode(n).unwrap()).collect();
            assert_eq!(all.len() as u64, space, "every code once");
        }
        // A shorter sequence ends where it would.
        let mut pair = created(&Create { codes, start: 1, max: 1, ..PLAIN }, &world).unwrap();
        assert_eq!((next(&mut pair, &world), next(&mut pair, &world).is_err()), (Ok(1), true));
    }
    let request = Reserve { count: 1, at_least: 1, codes: true };
    let plain = created(&PLAIN, &world).unwrap().primary.unwrap();
    assert_eq!(plain.decide_reserve(&request, &Envelope::default(), &world).err(), Some(Error::NoCodes));
}

#[test]
fn a_lost_reply_burns_no_block() {
    let (world, mut pair) = (World::new(0), created(&PLAIN, &World::new(0)).unwrap());
    let envelope = Envelope { token: Token::new(b"p", b"t"), note: b"" };
    let ask = |pair: &mut Pair<IdBlock>, count, at_least| {
        let (block, request) = (pair.primary.clone().unwrap(), Reserve { count, at_least, codes: false });
        let decision = block.decide_reserve(&request, &envelope, &world)?;
        Ok(commit(pair, decision))
    };
    let (block, changed) = ask(&mut pair, 10, 5).unwrap();
    assert!(changed && (block.first, block.last) == (1, 10));
    assert_eq!(ask(&mut pair, 10, 5), Ok((block, false)), "the same again");
    std::mem::swap(&mut pair.primary, &mut pair.replica);
    assert_eq!(ask(&mut pair, 10, 5), Ok((block, false)), "also after a failover");
    for (count, at_least) in [(10, 10), (10, 4), (9, 5)] {
        assert_eq!(ask(&mut pair, count, at_least), Err(Error::TokenMismatch));
    }
    let block = pair.primary.clone().unwrap();
    assert_eq!(block.decide_next(&envelope, &world).err(), Some(Error::TokenMismatch));
    assert_eq!(next(&mut pair, &world), Ok(11));
}

#[test]
fn an_allocator_is_created_once() {
    let world = World::new(0);
    let block = created(&PLAIN, &world).unwrap().primary.unwrap();
    let again = |nx| IdBlock::decide_create(Some(&block), &Create { nx, ..PLAIN }, &world);
    assert_eq!(again(false).err(), Some(Error::BusyKey(Kind::IdBlock)));
    assert_eq!(again(true).unwrap().reply(), Some(&false));
    let other = created(&PLAIN, &world).unwrap().primary.unwrap();
    assert_ne!(block.kept.uid, other.kept.uid);
}

#[test]
fn only_a_reservation_has_a_holder() {
    let mut request = PLAIN;
    request.options.log = None;
    let (world, mut pair) = (World::new(0), created(&request, &World::new(0)).unwrap());
    let first = reserve(&mut pair, 10, 10, &world).unwrap();
    let single = next(&mut pair, &world).unwrap();
    let block = pair.primary.clone().unwrap();
    commit(&mut pair, block.decide_advance(20, &world).unwrap());
    let second = reserve(&mut pair, 5, 5, &world).unwrap();
    assert_eq!((first.last, single, second.first), (10, 11, 21));
    let replica = pair.replica.unwrap();
    for id in -1..30 {
        let expected = [first, second].into_iter().find(|block| (block.first..=block.last).contains(&id));
        let found = replica.who(id).map(|entry| replica.ids(&entry.change).unwrap());
        assert_eq!(found, expected.map(|block| (block.first, block.last)), "{id}");
    }
    let entries = replica.log().unwrap().range(EntryId::MIN, EntryId::MAX);
    let names: Vec<_> = entries.map(|entry| (entry.change.name(), entry.id.ms)).collect();
    let now_ms = world.now_ms();
    assert_eq!(names, ["create", "reserve", "advance", "reserve"].map(|name| (name, now_ms)));
}
