//! One round of asking. Each node answers once for all parts of which it owns the slot, zeros included, at some
//! moment within the round. The answers make a total when every node has answered and each part came
//! from exactly one of them.
//!
//! Why that is enough: ownership is handed from node to node. An increment that was acknowledged before the
//! round began is in the value of whoever owned its part then, and of whoever came after. Let X be the one
//! that claimed the part. If another node Y owned it later, Y did not say so, so Y was asked before it
//! took over, and whatever Y acknowledged came after the round began. A former owner that has not heard of
//! its loss still claims the part, but then so does its heir, and two claims are none. A node that does not
//! answer at all, such as one that was stopped in between, keeps the round open.
//!
//! ```text
//!   absent    zero: no key, in a slot that stays
//!   moving    no zero: the slot is on its way to another node, and keys are moved one by one. That node is
//!             asked again, after this answer, and that answer counts, whatever it said before
//! ```
//!
//! What does not fit is torn, and asked for anew in another round: a part that nobody claims has just
//! changed hands, one that two nodes claim is about to be settled by the cluster.

use super::{Answer, Claim, NodeId, Part, Shards, Tally};
use std::collections::BTreeMap;

/// An answer that nobody asked for.
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

/// Who claims a part, as far as it matters: of three claims, the third changes nothing any more.
#[derive(Debug, Clone, Copy, Default)]
struct Claims {
    first: Option<(NodeId, Claim)>,
    second: Option<(NodeId, Claim)>,
    is_crowded: bool,
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
        match (self.first, self.second) {
            (None, _) => self.first = Some((node, claim)),
            (_, None) => self.second = Some((node, claim)),
            _ => self.is_crowded = true,
        }
    }

    fn finding(&self) -> Finding {
        let (leaving, other) = match (self.first, self.second) {
            _ if self.is_crowded => return Finding::Torn,
            (Some((from, Claim::Moving(to))), other) => ((from, to), other),
            (other, Some((from, Claim::Moving(to)))) => ((from, to), other),
            (Some((node, claim)), None) => return Finding::Settled(node, claim),
            _ => return Finding::Torn,
        };
        let (from, to) = leaving;
        // Besides the one that it leaves, only the one that it goes to may speak of it, and not of a third.
        let fits = other.is_none_or(|(node, claim)| node == to && !matches!(claim, Claim::Moving(_)));
        match self.imported {
            _ if !fits || from == to => Finding::Torn,
            None => Finding::AskAgain(to),
            Some(Claim::Moving(_)) => Finding::Torn,
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

    /// A node has answered. Whoever is to be asked again follows. A second answer changes nothing.
    pub fn heard(&mut self, node: NodeId, answer: &Answer) -> Result<Orders, Foreign> {
        if answer.claims.iter().any(|(part, _)| *part > self.shards.itself()) {
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
