//! Slots move key by key, writers go on, and a round is under way: what it accepts lies between what was
//! acknowledged when it began and what was attempted when it ended.

use super::*;
use crate::simulation::{World, scale, seed};
use std::collections::BTreeSet;

/// One shard's slot on three nodes: who owns it by whose account, and where the key is.
#[derive(Clone, Default)]
struct Slot {
    owner: usize,
    /// Whom each node takes for the owner.
    named: [usize; 3],
    /// Where each node has the slot leave for; a former owner has it so until it hears of the new one.
    leaving: [Option<usize>; 3],
    values: [Option<i64>; 3],
    /// Who has owned it in this round.
    owners: BTreeSet<usize>,
}

impl Slot {
    fn of(owner: usize) -> Self {
        Slot { owner, named: [owner; 3], owners: BTreeSet::from([owner]), ..Slot::default() }
    }

    /// A writer that follows redirections.
    fn add(&mut self) {
        let node = match self.leaving[self.owner] {
            Some(to) if self.values[self.owner].is_none() => to,
            _ => self.owner,
        };
        *self.values[node].get_or_insert(0) += 1;
    }

    /// One step of a move from node to node, or one node hears who the owner is.
    fn step(&mut self, world: &World) {
        let any = world.below(3) as usize;
        match self.leaving[self.owner] {
            _ if world.once_in(3) => {
                self.named[any] = self.owner;
                if any != self.owner {
                    self.leaving[any] = None;
                }
            }
            // A node that takes itself for the owner cannot import. What comes back within a round is not seen.
            None if self.named[any] != any && !self.owners.contains(&any) => self.leaving[self.owner] = Some(any),
            None => {}
            Some(to) => match self.values[self.owner].take() {
                Some(value) => self.values[to] = Some(value),
                None => {
                    (self.owner, self.named[to], self.leaving[to]) = (to, to, None);
                    self.owners.insert(to);
                }
            },
        }
    }

    fn claim(&self, node: usize, is_asked_again: bool) -> Claim {
        let here = self.values[node].map(Value);
        let is_arriving = self.leaving[self.owner] == Some(node);
        match self.named[node] == node {
            true => here.or(self.leaving[node].map(|to| Moving(NODES[to]))).unwrap_or(Absent),
            false if is_asked_again && is_arriving => here.unwrap_or(Absent),
            false => Elsewhere(NODES[self.named[node]]),
        }
    }
}

const NODES: [NodeId; 3] = [A, B, C];

fn claims(slots: &[Slot], node: usize, parts: Option<&[Part]>) -> Answer {
    let part = |index: usize| Part(u16::try_from(index).unwrap());
    let asked = |index: &usize| parts.is_none_or(|parts| parts.contains(&part(*index)));
    let claims = (0..slots.len()).filter(asked);
    let claims = claims.map(|index| (part(index), slots[index].claim(node, parts.is_some())));
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
    slots.iter_mut().for_each(|slot| slot.owners = BTreeSet::from([slot.owner]));
    while gather.verdict() == Verdict::Open {
        for _ in 0..world.below(6) {
            let index = world.below(slots.len() as u64) as usize;
            if world.once_in(3) { slots[index].add() } else { slots[index].step(world) }
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
        for _ in 0..world.below(16) {
            slots.iter_mut().for_each(|slot| slot.owners.clear());
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
