//! A counter: a signed 64-bit value, and what may be stored beside it.
//!
//! ```text
//!   mod.rs        what a counter is, and how an effect changes it
//!   request.rs    what can be asked of it
//!   decide.rs     what a request comes to: a refusal, a reply, or an effect
//!   info.rs       what SCOUNTER.INFO tells
//!   stored.rs     its sections
//! ```
//!
//! A plain counter is two words. Everything else lives behind one pointer, so that a million plain
//! counters do not pay for features that they do not use.

mod decide;
mod info;
mod request;
mod stored;
#[cfg(test)]
mod tests;

pub use decide::{Adding, Applied};
pub use request::{Add, Alter, Commit, Create, ExpiryOption, HoldRequest, IncrEx, Release, Set, When};

use crate::audit::{CounterChange, CounterOp, Log};
use crate::bounds::Bounds;
use crate::effect::{Changed, CounterEffect, Stamp};
use crate::environment::Moment;
use crate::hold::{Hold, Holds, Resolution, Sums};
use crate::idempotency::{Limits, Tokens};
use crate::info::Extent;
use crate::ledger::{Ledger, Posting};
use crate::limits::TOKEN_LIMITS_DEFAULT;
use crate::memory::{BlockSize, Mover};
use crate::shards::Shards;
use crate::wire::Corrupt;

/// A counter.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    value: i64,
    extras: Option<Box<Extras>>,
}

/// What a plain counter does not have.
#[derive(Debug, Clone, PartialEq, Default)]
struct Extras {
    bounds: Bounds,
    shards: Option<Shards>,
    holds: Holds,
    ledger: Ledger<CounterChange>,
}

/// What an effect comes to on this counter, worked out before anything is changed.
struct Outcome {
    op: CounterOp,
    before: i64,
    value: i64,
    /// What was added, set aside or given back.
    amount: i64,
    /// The hold that ends with it.
    resolved: Option<Hold>,
}

impl Outcome {
    /// As the log has it.
    fn change(&self) -> CounterChange {
        let delta = match self.op {
            CounterOp::Set => i128::from(self.value).saturating_sub(i128::from(self.before)),
            _ => i128::from(self.amount),
        };
        CounterChange { op: self.op, delta, value: self.value }
    }
}

impl Counter {
    fn plain(value: i64) -> Self {
        Counter { value, extras: None }
    }

    /// The value.
    pub fn value(&self) -> i64 {
        self.value
    }

    /// The bounds that every write must keep.
    pub fn bounds(&self) -> Bounds {
        self.extras.as_ref().map_or(Bounds::NONE, |extras| extras.bounds)
    }

    /// Its shards, where it was declared to have some.
    pub fn shards(&self) -> Option<Shards> {
        self.extras.as_ref().and_then(|extras| extras.shards)
    }

    /// The log, where there is one.
    pub fn log(&self) -> Option<&Log<CounterChange>> {
        self.extras.as_ref().and_then(|extras| extras.ledger.log())
    }

    /// The tokens, where there ever were any.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.extras.as_ref().and_then(|extras| extras.ledger.tokens())
    }

    /// When and by whom it was changed last, where it keeps that.
    pub fn moment(&self) -> Option<Moment<'_>> {
        self.extras.as_ref().and_then(|extras| extras.ledger.moment())
    }

    /// The holds, where there ever were any.
    pub fn holds(&self) -> Option<&Holds> {
        self.extras.as_ref().map(|extras| &extras.holds).filter(|holds| !holds.is_empty())
    }

    fn token_limits(&self) -> Limits {
        self.tokens().map_or(TOKEN_LIMITS_DEFAULT, Tokens::limits)
    }

    /// For how long a resolution of a hold is remembered.
    fn memory_ms(&self) -> u64 {
        self.token_limits().duration_ms()
    }

    /// Whether nothing but the value takes part in an increment.
    fn is_plain(&self) -> bool {
        self.extras.as_ref().is_none_or(|extras| {
            let Extras { bounds, holds, ledger, shards: _ } = &**extras;
            *bounds == Bounds::NONE && holds.is_empty() && ledger.is_idle()
        })
    }

    fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// The counter that an effect makes where none stood.
    pub fn create(effect: &CounterEffect<'_>) -> Result<Self, Corrupt> {
        let created = effect.created().ok_or(Corrupt("the counter does not exist"))?;
        let mut counter = Counter::plain(created.initial);
        if created.explicitly {
            counter.extras_mut().ledger = Ledger::created(effect.at_ms);
        }
        counter.change(effect)?;
        Ok(counter)
    }

    /// Applies an effect to a counter that stands. On an error nothing was changed.
    pub fn apply(&mut self, effect: &CounterEffect<'_>) -> Result<(), Corrupt> {
        if effect.created().is_some() {
            return Err(Corrupt("the counter exists already"));
        }
        self.change(effect)
    }

    fn change(&mut self, effect: &CounterEffect<'_>) -> Result<(), Corrupt> {
        let outcome = self.outcome(effect)?;
        if self.extras.is_none() && effect.concerns_value_only() {
            // Nothing but 64 bits is in its way.
            self.value = outcome.value;
            return Ok(());
        }
        self.check_rules(effect, &outcome)?;
        let change = outcome.change();
        let (at_ms, setup) = (effect.at_ms, effect.setup.as_ref());
        let (log, limits) = setup.map_or((None, None), |setup| (setup.log.as_ref(), setup.limits.as_ref()));
        let posting = Posting { at_ms, log, limits, stamp: effect.stamp.as_ref(), pinned: effect.pinned.as_ref() };
        self.check_ledger(&posting, change)?;

        // From here on the change must succeed.
        self.value = outcome.value;
        let extras = self.extras_mut();
        extras.bounds = new_bounds(effect).unwrap_or(extras.bounds);
        extras.shards = new_shards(effect).or(extras.shards);
        let memory_ms = extras.ledger.token_limits().duration_ms();
        extras.ledger.set_options(&posting);
        if effect.due {
            for hold in extras.holds.expire(at_ms) {
                let delta = hold.amount.into();
                let expired = CounterChange { op: CounterOp::HoldExpired, delta, value: outcome.before };
                extras.ledger.append(effect.stamp.as_ref().map(|_| &Stamp::NOBODY), at_ms, expired)?;
            }
        }
        if limits.is_some() {
            extras.holds.forget_all(at_ms, memory_ms);
        } else {
            extras.holds.sweep(at_ms, memory_ms);
        }
        extras.ledger.append(effect.stamp.as_ref(), at_ms, change)?;
        extras.ledger.pin(effect.pinned.as_ref(), at_ms);
        change_holds(&mut extras.holds, effect, outcome.value)
    }

    /// There is an entry exactly where there is a log.
    fn check_ledger(&self, posting: &Posting<'_, '_>, change: CounterChange) -> Result<(), Corrupt> {
        let will_log = posting.log.map_or(self.log().is_some(), Option::is_some);
        if posting.stamp.is_some() != will_log {
            return Err(Corrupt("a log entry exactly where there is a log"));
        }
        match &self.extras {
            Some(extras) => extras.ledger.check(posting, change),
            None => Ledger::default().check(posting, change),
        }
    }

    /// What an effect comes to, where it fits what stands. Whether the rules hold afterwards, `check_rules` says.
    fn outcome(&self, effect: &CounterEffect<'_>) -> Result<Outcome, Corrupt> {
        const WIDE: Corrupt = Corrupt("the value would pass 64 bits");
        const NO_HOLD: Corrupt = Corrupt("no such hold is pending");
        let pending = |id| {
            let hold = self.holds().and_then(|holds| holds.get(id)).ok_or(NO_HOLD)?;
            if effect.due && hold.deadline_ms <= effect.at_ms { Err(NO_HOLD) } else { Ok(hold) }
        };
        let before = self.value;
        let (op, value, amount, resolved) = match effect.changed {
            None if effect.created().is_some() => (CounterOp::Create, before, before, None),
            None => (CounterOp::Alter, before, 0, None),
            Some(Changed::Added(delta)) => (CounterOp::Incr, before.checked_add(delta).ok_or(WIDE)?, delta, None),
            Some(Changed::Set(value)) => (CounterOp::Set, value, 0, None),
            Some(Changed::Held(hold)) => (CounterOp::Hold, before, hold.amount, None),
            Some(Changed::Committed { id, amount }) => {
                let hold = pending(id)?;
                if amount == 0
                    || amount.signum() != hold.amount.signum()
                    || amount.abs_diff(0) > hold.amount.abs_diff(0)
                {
                    return Err(Corrupt("more committed than was held"));
                }
                (CounterOp::Commit, before.checked_add(amount).ok_or(WIDE)?, amount, Some(hold))
            }
            Some(Changed::Released { id }) => {
                let hold = pending(id)?;
                (CounterOp::Release, before, hold.amount, Some(hold))
            }
        };
        Ok(Outcome { op, before, value, amount, resolved })
    }

    /// Bounds, holds and shards allow what an effect comes to. A counter that is plain, and stays so, has none.
    fn check_rules(&self, effect: &CounterEffect<'_>, outcome: &Outcome) -> Result<(), Corrupt> {
        // Without `due` every hold that is stored still counts.
        let now_ms = if effect.due { effect.at_ms } else { 0 };
        let held = self.sums(now_ms);
        let mut held = outcome.resolved.map_or(held, |hold| held.without(hold.amount));
        if let Some(Changed::Held(hold)) = effect.changed {
            let admits = |holds: &Holds| holds.admits(hold, now_ms);
            if !self.extras.as_ref().map_or_else(|| admits(&Holds::default()), |extras| admits(&extras.holds)) {
                return Err(Corrupt("no room for this hold"));
            }
            held = held.with(hold.amount);
        }
        let bounds = new_bounds(effect).unwrap_or(self.bounds());
        let shards = new_shards(effect).or(self.shards());
        if shards < self.shards() {
            return Err(Corrupt("fewer shards than before"));
        }
        if shards.is_some() && bounds != Bounds::NONE {
            return Err(Corrupt("shards beside bounds"));
        }
        bounds.admit(i128::from(outcome.value), held).map_err(|_| Corrupt("the value would pass a bound"))
    }

    fn sums(&self, now_ms: u64) -> Sums {
        self.holds().map_or(Sums::default(), |holds| holds.sums(now_ms))
    }

    /// What it has of what is summed up over a server.
    pub fn extent(&self) -> Extent {
        let Some(extras) = &self.extras else { return Extent::default() };
        Extent { holds: u64::try_from(extras.holds.stored()).unwrap_or(u64::MAX), ..extras.ledger.extent() }
    }

    /// Bytes on the heap, the counter itself included.
    pub fn memory(&self, block: BlockSize) -> usize {
        let extras = self.extras.as_ref().map_or(0, |extras| {
            let Extras { holds, ledger, .. } = &**extras;
            block(size_of::<Extras>()).saturating_add(holds.memory(block)).saturating_add(ledger.memory(block))
        });
        extras.saturating_add(block(size_of::<Self>()))
    }

    /// Lets what it owns move, as far as that can.
    pub fn relocate(&mut self, mover: &mut impl Mover) {
        if let Some(extras) = &mut self.extras {
            mover.boxed(extras);
            extras.ledger.relocate(mover);
        }
    }

    /// How many pieces there are to free.
    pub fn allocations(&self) -> usize {
        self.extras.as_ref().map_or(1, |extras| {
            extras.ledger.allocations().saturating_add(extras.holds.allocations()).saturating_add(2)
        })
    }
}

fn new_bounds(effect: &CounterEffect<'_>) -> Option<Bounds> {
    effect.setup.as_ref().and_then(|setup| setup.bounds)
}

fn new_shards(effect: &CounterEffect<'_>) -> Option<Shards> {
    effect.setup.as_ref().and_then(|setup| setup.shards)
}

fn change_holds(holds: &mut Holds, effect: &CounterEffect<'_>, value: i64) -> Result<(), Corrupt> {
    match effect.changed {
        Some(Changed::Held(hold)) => holds.add(hold),
        Some(Changed::Committed { id, amount }) => {
            let whole = holds.get(id).is_some_and(|hold| hold.amount == amount);
            holds.resolve(id, Resolution::Committed { amount, value, whole }, effect.at_ms)
        }
        Some(Changed::Released { id }) => holds.resolve(id, Resolution::Released, effect.at_ms),
        _ => Ok(()),
    }
}
