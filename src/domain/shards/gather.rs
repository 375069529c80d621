//! One round of asking. Each node is asked once about all parts, and answers at some moment within the round: with
//! what it has, zeros included, where it owns the slot and would acknowledge a write to it just then; else with
//! the node that owns it by its account. The answers make a total when every node has answered and, for each
//! part, exactly one of them claims it and all others name that one as its owner.
//!
//! Why that is enough. Let Y acknowledge an increment of a part before the round began, and X be the one whose
//! claim is accepted. The claim has the increment if X had it at that moment, or got the part later from whoever
//! had. What could lack it is the claim of a former owner that has not heard of its loss: X lost the part, and
//! then Y had it. Now,
//!
//! ```text
//!   a slot was handed on     Y is asked, and still owns it: then there are two claims, which is none. Or Y has
//!                            handed it on: then it names the next one, not X
//!   a failover               a majority of primaries marked X as failed before they voted. Those of them that
//!                            are asked name nobody, or the new owner
//!   CLUSTER FAILOVER         X lets nobody write from before the vote until it has heard of it, so X claims nothing
//! ```
//!
//! So the total holds what it must, if the asking node knows of Y, has not marked it as failed, and no slot goes
//! from X to another node and back to X within one round. Not seen is a promotion that nobody was asked about
//! (CLUSTER FAILOVER FORCE and TAKEOVER) before one of the asked nodes has heard of it: one message.
//! A node that does not answer at all, such as one that was stopped in between, keeps the round open.
//!
//! ```text
//!   absent    zero: no key, in a slot that stays
//!   moving    no zero: the slot is on its way to another node, and keys are moved one by one. That node is
//!             asked again, after this answer, and that answer counts, whatever it said before
//! ```
//!
//! What does not fit is torn, and asked for anew in another round: it takes the nodes a few messages to agree.

use super::{Answer, Claim, NodeId, Part, Shards, Tally};
use std::collections::BTreeMap;

/// An answer that nobody asked for, or to another question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign;

/// How a round stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody has not answered yet.
    Open,
    /// The total is whole.
    Whole,
    /// It has to be asked for anew.
    Torn,
}

/// Whom to ask for which parts.
pub type Orders = Vec<(NodeId, Vec<Part>)>;

/// One round.
#[derive(Debug)]
pub struct Gather {
    shards: Shards,
    /// Whether each has answered.
    nodes: BTreeMap<NodeId, bool>,
    claims: Vec<Claims>,
    /// Those that were asked again, for which parts, and whether they have answered.
    importers: BTreeMap<NodeId, (Vec<Part>, bool)>,
    /// Whether somebody is to be asked again, and was not yet.
    has_fresh_orders: bool,
}

/// Who claims a part, and whom the others name, as far as it matters: the third changes nothing any more.
#[derive(Debug, Clone, Copy, Default)]
struct Claims {
    first: Option<(NodeId, Claim)>,
    second: Option<(NodeId, Claim)>,
    is_crowded: bool,
    /// Whom those name that do not claim it.
    named: [Option<NodeId>; 2],
    /// What the importer said when it was asked again.
    imported: Option<Claim>,
}

/// What the claims on a part come to.
enum Finding {
    Settled(NodeId, Claim),
    AskAgain(NodeId),
    Torn,
}

impl Claims {
    fn add(&mut self, node: NodeId, claim: Claim) {
        match (claim, self.first, self.second) {
            (Claim::Nowhere, ..) => self.is_crowded = true,
            (Claim::Elsewhere(owner), ..) => self.name(owner),
            (_, None, _) => self.first = Some((node, claim)),
            (_, _, None) => self.second = Some((node, claim)),
            _ => self.is_crowded = true,
        }
    }

    fn name(&mut self, owner: NodeId) {
        match self.named {
            [Some(one), _] | [_, Some(one)] if one == owner => {}
            [None, _] => self.named[0] = Some(owner),
            [_, None] => self.named[1] = Some(owner),
            _ => self.is_crowded = true,
        }
    }

    /// Whether nobody names any other owner than these.
    fn is_named(&self, owners: &[NodeId]) -> bool {
        self.named.iter().flatten().all(|named| owners.contains(named))
    }

    fn finding(&self) -> Finding {
        let (leaving, other) = match (self.first, self.second) {
            _ if self.is_crowded => return Finding::Torn,
            (Some((from, Claim::Moving(to))), other) => ((from, to), other),
            (other, Some((from, Claim::Moving(to)))) => ((from, to), other),
            (Some((node, claim)), None) if self.is_named(&[node]) => return Finding::Settled(node, claim),
            _ => return Finding::Torn,
        };
        let (from, to) = leaving;
        // Besides the one that it leaves, only the one that it goes to may speak of it, and not of a third.
        let fits = other.is_none_or(|(node, claim)| node == to && !matches!(claim, Claim::Moving(_)));
        match self.imported {
            _ if !fits || from == to || !self.is_named(&[from, to]) => Finding::Torn,
            None => Finding::AskAgain(to),
            Some(Claim::Moving(_) | Claim::Elsewhere(_) | Claim::Nowhere) => Finding::Torn,
            Some(claim) => Finding::Settled(to, claim),
        }
    }
}

impl Gather {
    /// A round that asks these nodes, the asking one among them.
    pub fn new(shards: Shards, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Gather {
            shards,
            nodes: nodes.into_iter().map(|node| (node, false)).collect(),
            claims: shards.parts().map(|_| Claims::default()).collect(),
            importers: BTreeMap::new(),
            has_fresh_orders: false,
        }
    }

    /// Whether these are the nodes that this round asks.
    pub fn asks(&self, nodes: impl IntoIterator<Item = NodeId>) -> bool {
        let nodes: std::collections::BTreeSet<NodeId> = nodes.into_iter().collect();
        self.nodes.keys().eq(nodes.iter())
    }

    /// A node has answered, about everything that it was asked about. Whoever is to be asked again follows. A second
    /// answer changes nothing.
    pub fn heard(&mut self, node: NodeId, answer: &Answer) -> Result<Orders, Foreign> {
        let told = || answer.claims.iter().map(|(part, _)| part);
        let fits = match (answer.of_all, self.importers.get(&node)) {
            (true, _) => told().copied().eq(self.shards.parts()),
            (false, importer) => importer.is_some_and(|(parts, _)| told().eq(parts)),
        };
        if !fits {
            return Err(Foreign);
        }
        let has_answered = match answer.of_all {
            true => self.nodes.get_mut(&node),
            false => self.importers.get_mut(&node).map(|(_, has_answered)| has_answered),
        };
        if std::mem::replace(has_answered.ok_or(Foreign)?, true) {
            return Ok(Orders::new());
        }
        for (part, claim) in &answer.claims {
            let Some(claims) = self.claims.get_mut(usize::from(part.0)) else { continue };
            match answer.of_all {
                true => claims.add(node, *claim),
                false => claims.imported = Some(*claim),
            }
        }
        if !self.importers.is_empty() || self.nodes.values().any(|has_answered| !has_answered) {
            return Ok(Orders::new());
        }
        Ok(self.ask_again())
    }

    /// All have answered: what is on the move is asked for where it goes.
    fn ask_again(&mut self) -> Orders {
        for (part, claims) in self.shards.parts().zip(&self.claims) {
            if let Finding::AskAgain(to) = claims.finding()
                && self.nodes.contains_key(&to)
            {
                self.importers.entry(to).or_default().0.push(part);
            }
        }
        self.has_fresh_orders = !self.importers.is_empty();
        self.importers.iter().map(|(node, (parts, _))| (*node, parts.clone())).collect()
    }

    /// How many shards it asks for.
    pub fn shards(&self) -> Shards {
        self.shards
    }

    /// Whether somebody is to be asked again, and was not yet.
    pub fn has_fresh_orders(&self) -> bool {
        self.has_fresh_orders
    }

    /// They have been asked.
    pub fn orders_are_out(&mut self) {
        self.has_fresh_orders = false;
    }

    /// Whom this round waits for: with parts, those that were asked again.
    pub fn unanswered(&self) -> Vec<(NodeId, Option<Vec<Part>>)> {
        let nodes = self.nodes.iter().filter(|(_, has_answered)| !**has_answered).map(|(node, _)| (*node, None));
        let importers = self.importers.iter().filter(|(_, (_, has_answered))| !has_answered);
        nodes.chain(importers.map(|(node, (parts, _))| (*node, Some(parts.clone())))).collect()
    }

    /// How it stands.
    pub fn verdict(&self) -> Verdict {
        let is_settled = |claims: &Claims| matches!(claims.finding(), Finding::Settled(..));
        if !self.unanswered().is_empty() {
            Verdict::Open
        } else if self.claims.iter().all(is_settled) {
            Verdict::Whole
        } else {
            Verdict::Torn
        }
    }

    /// What is known so far.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::new(self.shards);
        for (part, claims) in self.shards.parts().zip(&self.claims) {
            if let Finding::Settled(node, claim) = claims.finding() {
                tally.set(part, Some(node), claim);
            }
        }
        tally
    }
}
