//! What crosses from node to node: its bytes, what damaged ones come to, and what happens where an
//! effect meets a state that it was not decided on.

// Arithmetic that overflows fails a test, as it should.
#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

mod bytes;
mod wrong_state;

use super::{Effect, Payload, decode, encode};
use crate::audit::Retention;
use crate::environment::Environment;
use crate::simulation::World;
use crate::wire::{Corrupt, put_bytes, put_i64, put_u64};

/// The bytes of an effect that are its own form, or why there is none. Never a panic.
fn reencoded<'a, E: Effect<'a>>(bytes: &'a [u8]) -> Result<Vec<u8>, Corrupt> {
    let mut out = Vec::new();
    match decode::<E>(bytes)? {
        Payload::Effect(effect) => encode(&effect, &mut out),
        Payload::Restored { first, sections } => {
            let sections: Vec<_> = sections.map(|section| section.map(<[u8]>::to_vec)).collect::<Result<_, _>>()?;
            super::encode_restored(first, &sections, &mut out);
        }
    }
    Ok(out)
}

/// A part that comes once in `times`.
fn part(world: &World, times: u64, tag: u8, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    if world.once_in(times) {
        out.push(tag);
        body(&mut out);
    }
    out
}

fn amount(world: &World) -> i64 {
    match world.below(30) {
        0 => world.bits().cast_signed(),
        1 => world.pick(&[i64::MIN, i64::MAX, 0]),
        _ => world.below(41).cast_signed() - 20,
    }
}

fn head(world: &World) -> Vec<u8> {
    let mut out = vec![1, 0];
    put_u64(&mut out, if world.once_in(500) { world.pick(&[0, i64::MAX.unsigned_abs()]) } else { world.now_ms() });
    out
}

fn put_retention(world: &World, out: &mut Vec<u8>) {
    let on = !world.once_in(4);
    out.push(u8::from(on));
    if on {
        let retention = Retention { len_max: world.pick(&[None, Some(20), Some(300)]), ..Retention::default() };
        retention.put(out);
    }
}

fn put_limits(world: &World, out: &mut Vec<u8>) {
    put_u64(out, world.pick(&[1, 50, 1_000, 300_000]));
    put_u64(out, world.pick(&[1, 5, 100_000]));
}

fn put_stamp(world: &World, out: &mut Vec<u8>) {
    for name in [world.caller().user, world.caller().client, world.pick(&[b"", b"why"])] {
        put_bytes(out, name);
    }
}

fn put_token(world: &World, out: &mut Vec<u8>) {
    put_bytes(out, world.pick(&[b"p", b"producer"]));
    put_bytes(out, &[1 + u8::try_from(world.below(20)).unwrap()]);
    out.extend([0, 1, 2, 3, 4, 5]);
    put_bytes(out, &[7; 3][..usize::try_from(world.below(4)).unwrap()]);
}

/// Any effect of a counter, often one that fits.
fn random_counter_effect(world: &World, missing: bool, logs: bool) -> Vec<u8> {
    let id = |out: &mut Vec<u8>| put_u64(out, if world.once_in(100) { world.bits() } else { world.below(60) });
    let parts = [
        part(world, if missing { 1 } else { 50 }, 1, |out| {
            put_i64(out, amount(world));
            out.push(u8::from(world.once_in(2)));
        }),
        part(world, if missing { 2 } else { 10 }, 2, |out| {
            out.push(3);
            put_i64(out, amount(world).saturating_sub(40));
            put_i64(out, amount(world).saturating_add(80));
        }),
        part(world, 15, 3, |out| put_retention(world, out)),
        part(world, 20, 4, |out| put_limits(world, out)),
        part(world, 20, 5, |out| put_u64(out, world.pick(&[0, 1, 7, 1_024, 1_025]))),
        part(world, 3, 8, |_| {}),
        match world.below(8) {
            0..3 => part(world, 1, 9, |out| put_i64(out, amount(world))),
            3 => part(world, 1, 10, |out| put_i64(out, amount(world))),
            4 | 5 => part(world, 1, 11, |out| {
                id(out);
                put_i64(out, amount(world));
                put_u64(out, world.now_ms().saturating_add_signed(world.below(300).cast_signed() - 50));
            }),
            6 => part(world, 1, 12, |out| {
                id(out);
                put_i64(out, amount(world));
            }),
            _ => part(world, 1, 13, id),
        },
        part(world, if logs { 1 } else { 8 }, 24, |out| put_stamp(world, out)),
        part(world, 4, 25, |out| put_token(world, out)),
        part(world, 20, 26, |out| put_u64(out, world.below(3))),
    ];
    [head(world), parts.concat()].concat()
}

/// Any effect of an allocator, often one that fits.
fn random_block_effect(world: &World, missing: bool, logs: bool) -> Vec<u8> {
    let ordinal = |out: &mut Vec<u8>| put_u64(out, if world.once_in(100) { world.bits() } else { world.below(1_000) });
    let parts = [
        part(world, if missing { 1 } else { 50 }, 1, |out| {
            out.extend([9; 16]);
            put_i64(out, amount(world));
            put_u64(out, world.below(4));
            put_i64(out, world.pick(&[900, i64::MAX]));
            let flags = world.pick(&[0, 0, 0, 1, 2, 3]);
            out.push(flags);
            if flags & 1 != 0 {
                out.push(u8::try_from(world.below(24)).unwrap());
                put_u64(out, world.pick(&[0, 1_704_067_200_000]));
            }
            if flags & 2 != 0 {
                out.extend([1, 2]);
                put_bytes(out, b"abcdefghijklmnop");
                put_bytes(out, b"secret");
            }
            out.extend(world.pick(&[&[0][..], &[0], &[1], &[2, 50]]));
        }),
        part(world, 15, 3, |out| put_retention(world, out)),
        part(world, 20, 4, |out| put_limits(world, out)),
        part(world, 2, 16, |out| {
            ordinal(out);
            put_u64(out, world.below(20));
        }),
        part(world, 4, 17, ordinal),
        part(world, 8, 18, ordinal),
        part(world, 10, 19, |_| {}),
        part(world, 10, 20, |_| {}),
        part(world, 4, 21, |out| {
            ordinal(out);
            ordinal(out);
        }),
        part(world, if logs { 1 } else { 8 }, 24, |out| put_stamp(world, out)),
        part(world, 4, 25, |out| put_token(world, out)),
    ];
    [head(world), parts.concat()].concat()
}
