//! Rounds of asking for one counter, until one of them makes a total; and who waits for that.
//!
//! Those that ask at the same time share a round, but a round tells nothing of what was acknowledged after
//! it began: who comes later waits for the next one, unless an answer of that age is good enough.

use super::{Gather, NodeId, Shards, Tally};

/// How long a torn round is left alone at first, and how long at most: handing over a slot takes a few
/// exchanges between two nodes.
const PAUSE_MS_MIN: u64 = 2;
const PAUSE_MS_MAX: u64 = 32;

/// How long a node may take to answer before it is asked again: a message can be lost with its link.
const PATIENCE_MS: u64 = 100;

/// Whether what began then may be that old. Where the clock was set back, nobody knows.
pub fn is_fresh(began_ms: u64, age_max_ms: u64, now_ms: u64) -> bool {
    now_ms.checked_sub(began_ms).is_some_and(|age_ms| age_ms <= age_max_ms)
}

/// One that waits.
pub trait Waiter {
    /// How old an answer may be for it, in milliseconds.
    fn age_max_ms(&self) -> Option<u64>;
}

/// What is asked about one counter.
#[derive(Debug)]
pub struct Inquiry<W> {
    round: Option<Round>,
    joined: Vec<W>,
    later: Vec<W>,
    /// What earlier rounds came to know.
    known: Option<Tally>,
    pause_ms: u64,
    due_ms: u64,
}

#[derive(Debug)]
struct Round {
    number: u64,
    began_ms: u64,
    gather: Gather,
}

impl<W> Default for Inquiry<W> {
    fn default() -> Self {
        Inquiry { round: None, joined: Vec::new(), later: Vec::new(), known: None, pause_ms: 0, due_ms: 0 }
    }
}

impl<W: Waiter> Inquiry<W> {
    /// One more waits, from now on.
    pub fn join(&mut self, waiter: W, now_ms: u64) {
        let began_ms = self.round.as_ref().map(|round| round.began_ms);
        match (waiter.age_max_ms(), began_ms) {
            (Some(max_ms), Some(began_ms)) if is_fresh(began_ms, max_ms, now_ms) => self.joined.push(waiter),
            _ => self.later.push(waiter),
        }
    }

    /// Whoever fits waits no longer.
    pub fn leave(&mut self, is_gone: impl Fn(&W) -> bool) {
        self.joined.retain(|waiter| !is_gone(waiter));
        self.later.retain(|waiter| !is_gone(waiter));
    }

    /// All that wait.
    pub fn waiters(&self) -> impl Iterator<Item = &W> {
        self.joined.iter().chain(&self.later)
    }

    /// Whether nobody waits.
    pub fn is_idle(&self) -> bool {
        self.joined.is_empty() && self.later.is_empty()
    }

    /// Whether a round is to begin now.
    pub fn wants_round(&self, now_ms: u64) -> bool {
        self.round.is_none() && !self.is_idle() && now_ms >= self.due_ms
    }

    /// When it is to be looked at again.
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// Whether an open round has waited for so long that nodes are to be asked again.
    pub fn is_late(&self, now_ms: u64) -> bool {
        self.round.is_some() && now_ms >= self.due_ms
    }

    /// They were asked again.
    pub fn waits_on(&mut self, now_ms: u64) {
        self.due_ms = now_ms.saturating_add(PATIENCE_MS);
    }

    /// A round begins. All that wait wait for it.
    pub fn begin(&mut self, number: u64, shards: Shards, nodes: impl IntoIterator<Item = NodeId>, now_ms: u64) {
        self.remember();
        self.joined.append(&mut self.later);
        self.round = Some(Round { number, began_ms: now_ms, gather: Gather::new(shards, nodes) });
        self.waits_on(now_ms);
    }

    /// The round of this number, if it is under way.
    pub fn gather(&mut self, number: u64) -> Option<&mut Gather> {
        self.round.as_mut().filter(|round| round.number == number).map(|round| &mut round.gather)
    }

    /// The round that is under way, and its number.
    pub fn current(&self) -> Option<(u64, &Gather)> {
        self.round.as_ref().map(|round| (round.number, &round.gather))
    }

    /// The round has made a total: that, when it began, and who waited for it.
    pub fn take_whole(&mut self) -> Option<(Tally, u64, Vec<W>)> {
        let round = self.round.take()?;
        (self.known, self.pause_ms, self.due_ms) = (None, 0, 0);
        Some((round.gather.tally(), round.began_ms, std::mem::take(&mut self.joined)))
    }

    /// The round is torn, and another one is to follow soon.
    pub fn put_off(&mut self, now_ms: u64) {
        self.remember();
        self.pause_ms = self.pause_ms.saturating_mul(2).clamp(PAUSE_MS_MIN, PAUSE_MS_MAX);
        self.due_ms = now_ms.saturating_add(self.pause_ms);
    }

    fn remember(&mut self) {
        let Some(round) = self.round.take() else { return };
        let latest = round.gather.tally();
        self.known = Some(match self.known.take().filter(|known| known.shards() == latest.shards()) {
            Some(known) => known.or_better(latest),
            None => latest,
        });
    }

    /// What is known for one that can wait no longer.
    pub fn known(&self, shards: Shards) -> Tally {
        let latest = self.round.as_ref().map(|round| round.gather.tally());
        let known = [self.known.clone(), latest].into_iter().flatten().filter(|tally| tally.shards() == shards);
        known.reduce(Tally::or_better).unwrap_or_else(|| Tally::new(shards))
    }
}
