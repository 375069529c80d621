//! One form for each effect, and an error for everything else.

use super::{random_block_effect, random_counter_effect, reencoded};
use crate::audit::Retention;
use crate::bounds::Bounds;
use crate::effect::{
    BlockCreated, BlockEffect, BlockSetup, Changed, CounterCreated, CounterEffect, Effect, Expiry, Payload, Pinned,
    Reserved, Setup, Stamp, decode, encode, encode_restored,
};
use crate::hold::Hold;
use crate::idblock::{Clock, Policy};
use crate::idempotency::{Fingerprint, Limits, Token};
use crate::permutation::{Alphabet, Codes};
use crate::shards::Shards;
use crate::simulation::{World, scale, seed};
use std::fmt::Debug;

const STAMP: Stamp<'static> = Stamp { user: b"alice", client: b"", note: b"why" };

fn pinned() -> Option<Pinned<'static>> {
    let fingerprint = Fingerprint::from_bytes([1, 2, 3, 4, 5, 6]);
    Some(Pinned { token: Token::new(b"p", b"tok").unwrap(), fingerprint, reply: vec![10].into() })
}

/// Each part of a counter's effect, and its bytes behind version, kind and the time 300.
fn counter_parts() -> Vec<(CounterEffect<'static>, Vec<u8>)> {
    let none = || CounterEffect { at_ms: 300, ..CounterEffect::default() };
    let setup = |setup| CounterEffect { setup: Some(Box::new(setup)), ..none() };
    let changed = |changed| CounterEffect { changed: Some(changed), ..none() };
    let created = |initial, explicitly| {
        setup(Setup { created: Some(CounterCreated { initial, explicitly }), ..Setup::default() })
    };
    let bounds = |lower, upper| setup(Setup { bounds: Some(Bounds::new(lower, upper).unwrap()), ..Setup::default() });
    let log = |log| setup(Setup { log: Some(log), ..Setup::default() });
    let retention = Retention { len_max: Some(300), ..Retention::default() };
    let mut ends = vec![9];
    ends.extend([0xff; 9]);
    ends.push(1);
    vec![
        (created(-1, true), vec![1, 1, 1]),
        (created(0, false), vec![1, 0, 0]),
        (bounds(None, None), vec![2, 0]),
        (bounds(Some(-1), None), vec![2, 1, 1]),
        (bounds(None, Some(1)), vec![2, 2, 2]),
        (bounds(Some(-1), Some(1)), vec![2, 3, 1, 2]),
        (log(None), vec![3, 0]),
        (log(Some(Retention::default())), vec![3, 1, 0]),
        (log(Some(retention)), vec![3, 1, 1, 0xac, 2]),
        (setup(Setup { limits: Limits::new(300, 5), ..Setup::default() }), vec![4, 0xac, 2, 5]),
        (setup(Setup { shards: Shards::new(300), ..Setup::default() }), vec![5, 0xac, 2]),
        (CounterEffect { due: true, ..none() }, vec![8]),
        (changed(Changed::Added(5)), vec![9, 10]),
        (changed(Changed::Added(i64::MIN)), ends),
        (changed(Changed::Set(-3)), vec![10, 5]),
        (changed(Changed::Held(Hold { id: 300, amount: -7, deadline_ms: 9 })), vec![11, 0xac, 2, 13, 9]),
        (changed(Changed::Committed { id: 300, amount: -7 }), vec![12, 0xac, 2, 13]),
        (changed(Changed::Released { id: 300 }), vec![13, 0xac, 2]),
        (CounterEffect { stamp: Some(STAMP), ..none() }, b"\x18\x05alice\x00\x03why".to_vec()),
        (CounterEffect { pinned: pinned(), ..none() }, b"\x19\x01p\x03tok\x01\x02\x03\x04\x05\x06\x01\x0a".to_vec()),
        (CounterEffect { expiry: Some(Expiry::Never), ..none() }, vec![26, 0]),
        (CounterEffect { expiry: Some(Expiry::At(300)), ..none() }, vec![26, 0xac, 2]),
    ]
}

/// The same of an allocator.
fn block_parts() -> Vec<(BlockEffect<'static>, Vec<u8>)> {
    let none = || BlockEffect { at_ms: 300, ..BlockEffect::default() };
    let setup = |setup: BlockSetup| BlockEffect { setup: Some(Box::new(setup)), ..none() };
    let codes = Codes::new(2, Alphabet::new(b"ab").unwrap(), b"key").unwrap();
    let fenced = |clock, codes, fence| {
        let created = BlockCreated { uid: [7; 16], start: -1, increment: 3, max: 1, clock, codes, fence };
        setup(BlockSetup { created: Some(created), ..BlockSetup::default() })
    };
    let created = |clock, codes| fenced(clock, codes, Policy::Off);
    let core = [&[1][..], &[7; 16], &[1, 3, 2]].concat();
    vec![
        (created(None, None), [&core[..], &[0, 0]].concat()),
        (fenced(None, None, Policy::Auto), [&core[..], &[0, 1]].concat()),
        (fenced(None, None, Policy::Fixed(300)), [&core[..], &[0, 2, 0xac, 2]].concat()),
        (created(Clock::new(4, 300), None), [&core[..], &[1, 4, 0xac, 2, 0]].concat()),
        (created(None, Some(codes)), [&core[..], b"\x02\x01\x02\x02ab\x03key\x00"].concat()),
        (setup(BlockSetup { log: Some(None), ..BlockSetup::default() }), vec![3, 0]),
        (setup(BlockSetup { limits: Limits::new(300, 5), ..BlockSetup::default() }), vec![4, 0xac, 2, 5]),
        (BlockEffect { reserved: Some(Reserved { first: 300, count: 9 }), ..none() }, vec![16, 0xac, 2, 9]),
        (BlockEffect { raised: Some(300), ..none() }, vec![17, 0xac, 2]),
        (BlockEffect { advanced: Some(300), ..none() }, vec![18, 0xac, 2]),
        (BlockEffect { low: true, ..none() }, vec![19]),
        (BlockEffect { codes: true, ..none() }, vec![20]),
        (BlockEffect { windowed: Some((300, 9)), ..none() }, vec![21, 0xac, 2, 9]),
        (BlockEffect { stamp: Some(STAMP), ..none() }, b"\x18\x05alice\x00\x03why".to_vec()),
        (BlockEffect { pinned: pinned(), ..none() }, b"\x19\x01p\x03tok\x01\x02\x03\x04\x05\x06\x01\x0a".to_vec()),
    ]
}

fn with_head(part: &[u8]) -> Vec<u8> {
    [&[1, 0, 0xac, 2], part].concat()
}

fn check_part<'a, E: Effect<'a> + PartialEq + Debug>(effect: &E, bytes: &'a [u8]) {
    let mut out = Vec::new();
    encode(effect, &mut out);
    assert_eq!(out, bytes, "{effect:?}");
    let Ok(Payload::Effect(decoded)) = decode::<E>(bytes) else { panic!("{effect:?}") };
    assert_eq!(&decoded, effect);
}

#[test]
fn every_part_has_its_bytes() {
    for (effect, part) in counter_parts() {
        check_part(&effect, &with_head(&part));
    }
    for (effect, part) in block_parts() {
        check_part(&effect, &with_head(&part));
    }
}

/// Whatever is cut off or flipped: what still decodes is an effect in its own form.
fn damage(bytes: &[u8]) {
    let check = |damaged: &[u8]| {
        for again in [reencoded::<CounterEffect<'_>>(damaged), reencoded::<BlockEffect<'_>>(damaged)] {
            assert!(again.is_err() || again.as_deref() == Ok(damaged), "{damaged:?} {again:?}");
        }
    };
    (0..bytes.len()).for_each(|len| check(&bytes[..len]));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check(&flipped);
    }
}

#[test]
fn damaged_bytes_are_an_error_or_another_effect() {
    let parts =
        counter_parts().into_iter().map(|(_, part)| part).chain(block_parts().into_iter().map(|(_, part)| part));
    parts.for_each(|part| damage(&with_head(&part)));
    let mut restored = Vec::new();
    encode_restored(true, &[vec![1, 4], vec![3, 1, 0]], &mut restored);
    damage(&restored);
    let mut world = World::new(seed());
    for _ in 0..scale(2_000, 200_000) {
        world.go_on();
        damage(&random_counter_effect(&world, world.once_in(2), world.once_in(2)));
        damage(&random_block_effect(&world, world.once_in(2), world.once_in(2)));
    }
}

#[test]
fn what_is_not_known_is_refused() {
    let bytes = with_head(&[9, 10]);
    assert!(decode::<CounterEffect<'_>>(&bytes).is_ok());
    for version in (0..=255).filter(|version| *version != 1) {
        let other = [&[version], &bytes[1..]].concat();
        assert!(decode::<CounterEffect<'_>>(&other).is_err(), "version {version}");
    }
    for kind in 3..=255 {
        let other = [&[1, kind], &bytes[2..]].concat();
        assert!(decode::<CounterEffect<'_>>(&other).is_err(), "kind {kind}");
    }
    let (counter, block) = ([1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 24, 25, 26], [1, 3, 4, 16, 17, 18, 19, 20, 21, 24, 25]);
    for tag in 0..=255 {
        // Behind an unknown tag nothing that follows helps.
        for body in [&[][..], &[0], &[0, 0], &[0; 64], &[1; 64]] {
            let bytes = with_head(&[&[tag], body].concat());
            assert!(counter.contains(&tag) || decode::<CounterEffect<'_>>(&bytes).is_err(), "tag {tag}");
            assert!(block.contains(&tag) || decode::<BlockEffect<'_>>(&bytes).is_err(), "tag {tag}");
        }
    }
}

#[test]
fn parts_come_in_order_and_once() {
    for parts in [
        &[][..],
        &[9, 10, 9, 10],
        &[9, 10, 10, 5],
        &[9, 10, 8],
        &[8, 8],
        &[26, 0, 9, 10],
        &[9, 10, 0],
        &[2, 3, 2, 1],
        &[4, 0, 5],
        &[4, 5, 0],
        &[26, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
        &[3, 2],
        &[1, 0, 2],
    ] {
        assert!(decode::<CounterEffect<'_>>(&with_head(parts)).is_err(), "{parts:?}");
    }
    for parts in [&[][..], &[16, 0, 1, 16, 1, 1], &[17, 5, 16, 0, 1], &[19, 19]] {
        assert!(decode::<BlockEffect<'_>>(&with_head(parts)).is_err(), "{parts:?}");
    }
    assert!(decode::<CounterEffect<'_>>(&[]).is_err());
}
