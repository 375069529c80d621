//! Effects that nobody decided on: what a state refuses leaves it as it was, what it takes leaves it
//! one that can be stored and loaded.

use super::{random_block_effect, random_counter_effect};
use crate::counter::Counter;
use crate::effect::{Payload, decode};
use crate::idblock::IdBlock;
use crate::simulation::{Value, World, execute, loaded, scale, sections, seed};
use crate::wire::put_u64;

const EFFECTS_A_KEY: u64 = 300;

type Draw = fn(&World, bool, bool) -> Vec<u8>;

/// Throws effects at a key. Gives how many it took and how many it refused.
fn throw<T: Value>(world: &mut World, mut key: Option<T>, draw: Draw, logs: impl Fn(&T) -> bool) -> (u64, u64) {
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..EFFECTS_A_KEY {
        world.go_on();
        let bytes = draw(world, key.is_none(), key.as_ref().is_some_and(&logs));
        let Ok(Payload::Effect(effect)) = decode::<T::Effect<'_>>(&bytes) else { continue };
        let before = key.as_ref().map(sections);
        match execute(&mut key, &effect) {
            Ok(()) => taken += 1,
            Err(_) => {
                refused += 1;
                assert_eq!(key.as_ref().map(sections), before, "refused, but not without a trace: {effect:?}");
            }
        }
        if world.once_in(8) {
            check_loads(key.as_ref(), &effect);
        }
    }
    (taken, refused)
}

fn check_loads<T: Value>(key: Option<&T>, last: &T::Effect<'_>) {
    let Some(value) = key else { return };
    match loaded::<T>(&sections(value)) {
        Ok(again) => assert_eq!(sections(&again), sections(value)),
        Err(why) => panic!("{why}: {value:?} after {last:?}"),
    }
}

#[test]
fn a_counter_refuses_an_effect_without_a_trace() {
    let (seed, mut sum) = (seed(), (0, 0));
    for round in 0..scale(400, 20_000) {
        let mut world = World::new(seed.wrapping_add(round));
        let logs = |counter: &Counter| counter.log().is_some();
        let (taken, refused) = throw::<Counter>(&mut world, None, random_counter_effect, logs);
        sum = (sum.0 + taken, sum.1 + refused);
    }
    println!("{} taken, {} refused", sum.0, sum.1);
    assert!(sum.0 > 10_000 && sum.1 > 10_000, "{sum:?}");
}

#[test]
fn an_allocator_refuses_an_effect_without_a_trace() {
    let (seed, mut sum) = (seed(), (0, 0));
    for round in 0..scale(400, 20_000) {
        let mut world = World::new(seed.wrapping_add(round));
        let logs = |block: &IdBlock| block.log().is_some();
        let (taken, refused) = throw::<IdBlock>(&mut world, None, random_block_effect, logs);
        sum = (sum.0 + taken, sum.1 + refused);
    }
    println!("{} taken, {} refused", sum.0, sum.1);
    assert!(sum.0 > 10_000 && sum.1 > 10_000, "{sum:?}");
}

/// A payload from elsewhere may have used up the ids of its log but for a few.
#[test]
fn a_log_at_its_last_ids_refuses_without_a_trace() {
    let seed = seed();
    for left in 0..8 {
        let mut head = vec![7, 0];
        put_u64(&mut head, i64::MAX.unsigned_abs());
        put_u64(&mut head, u64::MAX - left);
        for round in 0..20 {
            let Ok(counter) = loaded::<Counter>(&[vec![1, 0], vec![3, 3, 99, 100], head.clone()]) else { continue };
            let mut world = World::new(seed.wrapping_add(round));
            throw(&mut world, Some(counter), random_counter_effect, |counter| counter.log().is_some());
        }
    }
}
