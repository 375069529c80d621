//! Several increments in one command: each as if those before it had been applied, all or none.

use super::random::any_counter;
use crate::counter::{Add, Adding, Counter};
use crate::decision::Decision;
use crate::environment::Environment;
use crate::error::Error;
use crate::retry::Envelope;
use crate::simulation::{Pair, World, scale, seed};

/// What the same increments come to in commands of their own.
fn one_by_one(counter: Option<Counter>, deltas: &[i64], world: &World) -> Result<(Vec<i64>, Option<Counter>), Error> {
    let (mut pair, mut replies) = (Pair { primary: counter.clone(), replica: counter }, Vec::new());
    for &delta in deltas {
        let before = pair.primary.clone();
        let request = Add { delta, decr: false };
        let decision = Counter::decide_add(before.as_ref(), &request, &Envelope::default(), world)?;
        replies.push(*decision.reply().unwrap());
        if let Decision::Changed { effect, .. } = decision {
            pair.commit(&effect);
        }
    }
    Ok((replies, pair.primary))
}

fn at_once(counter: Option<Counter>, deltas: &[i64], world: &World) -> Result<(Vec<i64>, Option<Counter>), Error> {
    let mut adding = Adding::to(counter.as_ref());
    let decisions: Vec<_> =
        deltas.iter().map(|&delta| adding.decide(delta, &Envelope::default(), world)).collect::<Result<_, _>>()?;
    let replies = decisions.iter().map(|decision| *decision.reply().unwrap()).collect();
    let mut pair = Pair { primary: counter.clone(), replica: counter.clone() };
    for decision in &decisions {
        if let Decision::Changed { effect, .. } = decision {
            pair.commit(effect);
        }
    }
    pair.check();
    Ok((replies, pair.primary))
}

#[test]
fn many_increments_in_one_are_as_many_one_by_one() {
    let (seed, mut refused) = (seed(), 0);
    for round in 0..scale(2_000, 200_000) {
        let mut world = World::new(seed.wrapping_add(round));
        let counter = (round % 4 != 0).then(|| any_counter(seed.wrapping_add(round), round % 60));
        world.log_default = (round % 3 == 0).then(Default::default);
        world.set_clock(world.now_ms() + world.below(100_000));
        let draw = |_| world.pick(&[0, 1, -1, 5, -20, 30, i64::MAX, i64::MIN, i64::MAX / 2]);
        let deltas: Vec<i64> = (0..1 + world.below(4)).map(draw).collect();
        let (apart, together) = (one_by_one(counter.clone(), &deltas, &world), at_once(counter, &deltas, &world));
        refused += u32::from(apart.is_err());
        assert_eq!(together, apart, "{deltas:?}");
    }
    assert!(refused > 100, "{refused}");
}
