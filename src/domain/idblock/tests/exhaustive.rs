//! Every small sequence against the list of its ids. (issue 4)

use super::{PLAIN, created};
use crate::decision::Decision;
use crate::effect::{BlockEffect, Payload, decode, encode};
use crate::error::Error;
use crate::idblock::{Block, Create, IdBlock, Reserve};
use crate::retry::Envelope;
use crate::simulation::{World, scale};

#[derive(Clone, Copy, Debug)]
enum Op {
    Reserve { count: u64, at_least: u64 },
    Next,
    Advance(i64),
}

/// A sequence, and the ids that it still has.
#[derive(Clone)]
struct Model {
    increment: u64,
    max: i64,
    left: Vec<i64>,
}

impl Model {
    fn new(request: &Create<'_>) -> Self {
        let (first, last) = (i128::from(request.start), i128::from(request.max));
        let ids = (first..=last).step_by(usize::try_from(request.increment).unwrap());
        Model { increment: request.increment, max: request.max, left: ids.map(|id| id.try_into().unwrap()).collect() }
    }

    fn take(&mut self, count: u64, at_least: u64) -> Result<Block, Error> {
        let left = self.left.len() as u64;
        if left < at_least {
            return Err(Error::Exhausted { want: at_least, max: self.max, left });
        }
        let taken: Vec<i64> = self.left.drain(..usize::try_from(count.min(left)).unwrap()).collect();
        let (first, last) = (taken[0], taken[taken.len() - 1]);
        Ok(Block { first, last, increment: self.increment, count: taken.len() as u64 })
    }

    fn execute(&mut self, op: Op) -> Result<Option<Block>, Error> {
        match op {
            Op::Reserve { count, at_least } => self.take(count, at_least).map(Some),
            Op::Next => self.take(1, 1).map(Some),
            Op::Advance(id) => {
                self.left.retain(|left| *left > id);
                Ok(None)
            }
        }
    }
}

/// What `op` comes to, with the effect as it is read on another node.
fn execute(block: &mut IdBlock, op: Op, world: &World) -> Result<Option<Block>, Error> {
    let envelope = Envelope::default();
    match op {
        Op::Reserve { count, at_least } => {
            let decision = block.decide_reserve(&Reserve { count, at_least, codes: false }, &envelope, world)?;
            Ok(Some(apply(block, decision)))
        }
        Op::Next => {
            let decision = block.decide_next(&envelope, world)?;
            let id = apply(block, decision);
            Ok(Some(Block { first: id, last: id, increment: block.range().increment(), count: 1 }))
        }
        Op::Advance(id) => {
            let decision = block.decide_advance(id, world)?;
            apply(block, decision);
            Ok(None)
        }
    }
}

fn apply<R>(block: &mut IdBlock, decision: Decision<BlockEffect<'_>, R>) -> R {
    match decision {
        Decision::Unchanged(reply) => reply,
        Decision::Changed { effect, reply, .. } => {
            let mut bytes = Vec::new();
            encode(&effect, &mut bytes);
            let Ok(Payload::Effect(effect)) = decode(&bytes) else { panic!("{effect:?}") };
            block.apply(&effect).unwrap();
            reply
        }
        Decision::Wait { .. } => panic!("without a fence nobody waits"),
    }
}

/// Every sequence of `depth` operations more. Gives how many there were.
fn explore(block: &IdBlock, model: &Model, ops: &[Op], depth: u32, world: &World) -> u64 {
    if depth == 0 {
        return 1;
    }
    let mut paths = 0;
    for &op in ops {
        let (mut block, mut model) = (block.clone(), model.clone());
        let range = block.range();
        assert_eq!(execute(&mut block, op, world), model.execute(op), "{op:?} on {range:?}");
        paths += explore(&block, &model, ops, depth - 1, world);
    }
    paths
}

#[test]
fn every_small_sequence_agrees_with_the_list_of_its_ids() {
    let (world, depth, mut paths) = (World::new(0), scale(3, 5), 0);
    for base in [i64::MIN, i64::MIN + 1, -3, 0, 1, i64::MAX - 5, i64::MAX - 4] {
        for span in 0..=4 {
            for increment in [1, 2, 3, 4, 5, i64::MAX.cast_unsigned()] {
                let request = Create { start: base, max: base + span, increment, ..PLAIN };
                let block = created(&request, &world).unwrap().primary.unwrap();
                let near = (-2..=span + 1).map(|step| Op::Advance(base.saturating_add(step)));
                let mut ops: Vec<Op> = near.chain([i64::MIN, i64::MAX].map(Op::Advance)).chain([Op::Next]).collect();
                let counts = (1..=4).flat_map(|count| (1..=count).map(move |at_least| (count, at_least)));
                ops.extend(counts.map(|(count, at_least)| Op::Reserve { count, at_least }));
                paths += explore(&block, &Model::new(&request), &ops, depth, &world);
            }
        }
    }
    println!("{paths} sequences of {depth} operations");
}

#[test]
fn a_sequence_begins_and_ends_where_it_is_told() {
    let world = World::new(0);
    for (start, increment, max, capacity) in [
        (i64::MIN, 1, i64::MIN, Some(1)),
        (i64::MIN, 1, i64::MAX - 1, Some(u64::MAX)),
        (i64::MIN + 1, 1, i64::MAX, Some(u64::MAX)),
        (i64::MIN, 2, i64::MAX, Some(1 << 63)),
        (i64::MIN, i64::MAX as u64, i64::MAX, Some(3)),
        (i64::MAX, 1, i64::MAX, Some(1)),
        (0, 7, 6, Some(1)),
        (0, 7, 7, Some(2)),
        (i64::MIN, 1, i64::MAX, None),
        (1, 1, 0, None),
        (i64::MAX, 1, i64::MIN, None),
    ] {
        let pair = created(&Create { start, increment, max, ..PLAIN }, &world);
        let Some(capacity) = capacity else {
            assert!(matches!(pair, Err(Error::RangeTooWide | Error::RangeEmpty { .. })), "{start} {increment} {max}");
            continue;
        };
        let mut block = pair.unwrap().primary.unwrap();
        assert_eq!(block.range().capacity(), capacity, "{start} {increment} {max}");
        assert_eq!(execute(&mut block, Op::Next, &world).unwrap().unwrap().first, start);
        let last = block.range().id(capacity - 1).unwrap();
        assert!(last <= max && i128::from(last) + i128::from(increment) > max.into());
        execute(&mut block, Op::Advance(last.saturating_sub(1)), &world).unwrap();
        let left = u64::from(capacity > 1);
        let error = Err(Error::Exhausted { want: left + 1, max, left });
        assert_eq!(execute(&mut block, Op::Reserve { count: 9, at_least: left + 1 }, &world), error);
        if left == 1 {
            let block = execute(&mut block, Op::Reserve { count: 9, at_least: 1 }, &world).unwrap().unwrap();
            assert_eq!((block.first, block.last, block.count), (last, last, 1));
        }
        assert_eq!(execute(&mut block, Op::Next, &world), Err(Error::Exhausted { want: 1, max, left: 0 }));
    }
}
