//! Slots move key by key, writers go on, and a round is under way: what it accepts lies between what was
//! acknowledged when it began and what was attempted when it ended.

use super::*;
use crate::simulation::{World, scale, seed};
use std::collections::BTreeSet;

/// One shard's slot on three nodes: who owns it by whose account, and where the key is.
#[derive(Clone, Default)]
struct Slot {
    owner: usize,
    /// What each node believes: itself the owner.
    believes: [bool; 3],
    leaving: Option<usize>,
    values: [Option<i64>; 3],
}

impl Slot {
    fn of(owner: usize) -> Self {
        let mut slot = Slot { owner, ..Slot::default() };
        slot.believes[owner] = true;
        slot
    }

    /// A writer that follows redirections.
    fn add(&mut self) {
        let node = match self.leaving {
            Some(to) if self.values[self.owner].is_none() => to,
            _ => self.owner,
        };
        *self.values[node].get_or_insert(0) += 1;
    }

    /// One step of a move from node to node. `knows` is what a node that lost the slot takes time to learn.
    fn step(&mut self, world: &World) {
        match self.leaving {
            None if self.believes.iter().filter(|believes| **believes).count() == 1 => {
                self.leaving = Some((self.owner + 1 + world.below(2) as usize) % 3);
            }
            None => self.believes = std::array::from_fn(|node| node == self.owner),
            Some(to) => match self.values[self.owner].take() {
                Some(value) => self.values[to] = Some(value),
                None => {
                    self.owner = to;
                    self.believes[to] = true;
                    self.leaving = None;
                }
            },
        }
    }

    fn claim(&self, node: usize, which: bool) -> Option<Claim> {
        let here = self.values[node].map(Value);
        // The former owner still has the slot marked as leaving until it hears of the new one.
        let leaving = self.leaving.or((node != self.owner).then_some(self.owner));
        match self.believes[node] {
            true => Some(here.or(leaving.map(|to| Moving(NODES[to]))).unwrap_or(Absent)),
            false if !which && self.leaving == Some(node) => Some(here.unwrap_or(Absent)),
            false => None,
        }
    }
}

const NODES: [NodeId; 3] = [A, B, C];

fn claims(slots: &[Slot], node: usize, parts: Option<&[Part]>) -> Answer {
    let part = |index: usize| Part(u16::try_from(index).unwrap());
    let asked = |index: &usize| parts.is_none_or(|parts| parts.contains(&part(*index)));
    let claims = (0..slots.len()).filter(asked);
    let claims = claims.filter_map(|index| Some((part(index), slots[index].claim(node, parts.is_none())?)));
    Answer { number: 7, of_all: parts.is_none(), claims: claims.collect() }
}

fn index_of(node: NodeId) -> usize {
    NODES.iter().position(|known| *known == node).unwrap()
}

/// One round while everything moves. The verdict, the total, and the sums before and after.
fn round(slots: &mut [Slot], world: &World) -> Option<(i64, i64, i64)> {
    let sum = |slots: &[Slot]| slots.iter().flat_map(|slot| slot.values).flatten().sum::<i64>();
    let before = sum(slots);
    let mut gather = Gather::new(shards(slots.len() as u64 - 1), NODES);
    let mut moved = BTreeSet::new();
    while gather.verdict() == Verdict::Open {
        for _ in 0..world.below(6) {
            let index = world.below(slots.len() as u64) as usize;
            match world.below(3) {
                0 => slots[index].add(),
                // A slot is handed over once in a round at most.
                _ if slots[index].leaving.is_some() && slots[index].values[slots[index].owner].is_none() => {
                    if moved.insert(index) {
                        slots[index].step(world);
                    }
                }
                _ => slots[index].step(world),
            }
        }
        let unanswered = gather.unanswered();
        let (node, parts) = &unanswered[world.below(unanswered.len() as u64) as usize];
        gather.heard(*node, &claims(slots, index_of(*node), parts.as_deref())).unwrap();
    }
    let total = gather.tally().total(false);
    (gather.verdict() == Verdict::Whole).then(|| (before, total.unwrap(), sum(slots)))
}

#[test]
fn an_accepted_total_lies_between_what_was_acknowledged_and_what_was_attempted() {
    let world = World::new(seed());
    let (mut accepted, mut torn) = (0, 0);
    for _ in 0..scale(20_000, 2_000_000) {
        let mut slots: Vec<Slot> = (0..4).map(|index| Slot::of(index % 3)).collect();
        for _ in 0..world.below(8) {
            let index = world.below(4) as usize;
            if world.once_in(2) { slots[index].add() } else { slots[index].step(&world) }
        }
        match round(&mut slots, &world) {
            Some((before, total, after)) => {
                assert!((before..=after).contains(&total), "{before} {total} {after}");
                accepted += 1;
            }
            None => torn += 1,
        }
    }
    assert!(accepted > 1_000 && torn > 100, "{accepted} accepted, {torn} torn");
}
