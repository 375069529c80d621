//! What is known of each part of a total, and the total.

use super::{Claim, NodeId, Part, Shards};
use crate::error::Error;

/// What is known of each part. The nodes are not told apart on a server that is not in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    shards: Shards,
    parts: Vec<Option<(Option<NodeId>, Claim)>>,
}

impl Tally {
    /// Nothing is known.
    pub fn new(shards: Shards) -> Self {
        Tally { shards, parts: shards.parts().map(|_| None).collect() }
    }

    /// What one server alone says.
    pub fn local(shards: Shards, node: Option<NodeId>, claims: &[(Part, Claim)]) -> Self {
        let mut tally = Tally::new(shards);
        for (part, claim) in claims {
            if !matches!(claim, Claim::Moving(_) | Claim::Elsewhere(_) | Claim::Nowhere) {
                tally.set(*part, node, *claim);
            }
        }
        tally
    }

    pub(super) fn set(&mut self, part: Part, node: Option<NodeId>, claim: Claim) {
        if let Some(place) = self.parts.get_mut(usize::from(part.0)) {
            *place = Some((node, claim));
        }
    }

    /// What is known of a part.
    pub fn part(&self, part: Part) -> Option<(Option<NodeId>, Claim)> {
        self.parts.get(usize::from(part.0)).copied().flatten()
    }

    /// How many shards are known.
    pub fn got(&self) -> u16 {
        let itself = usize::from(self.shards.count());
        let known = self.parts.iter().take(itself).filter(|part| part.is_some()).count();
        u16::try_from(known).unwrap_or(u16::MAX)
    }

    /// Whether everything is known, the counter itself too.
    pub fn is_whole(&self) -> bool {
        self.parts.iter().all(Option::is_some)
    }

    /// How many shards there are.
    pub fn shards(&self) -> Shards {
        self.shards
    }

    /// The one of the two that knows more; of equals the second.
    pub fn or_better(self, other: Tally) -> Tally {
        let known = |tally: &Tally| tally.parts.iter().filter(|part| part.is_some()).count();
        if known(&self) > known(&other) { self } else { other }
    }

    /// The total; with `partial`, of what is known.
    pub fn total(&self, partial: bool) -> Result<i64, Error> {
        let claims = || self.parts.iter().flatten().map(|(_, claim)| *claim);
        if !partial && claims().any(|claim| claim == Claim::Alien) {
            return Err(Error::WrongType);
        }
        if !partial && !self.is_whole() {
            return Err(Error::Partial { got: self.got(), of: self.shards.count() });
        }
        let value = |claim| if let Claim::Value(value) = claim { i128::from(value) } else { 0 };
        let got = claims().map(value).fold(0i128, i128::saturating_add);
        i64::try_from(got).map_err(|_| Error::Overflow { got, held: false })
    }
}
