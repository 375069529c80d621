//! What a request comes to. Each function here looks at a counter that it cannot change, refuses or
//! answers, or says in an effect what is to change.

use super::{Add, Alter, Commit, Counter, Create, ExpiryOption, HoldRequest, IncrEx, Release, Set};
use crate::bounds::Bounds;
use crate::decision::{Decision, Form};
use crate::effect::{Changed, CounterCreated, CounterEffect, Expiry, Setup, Stamp};
use crate::environment::{Caller, Environment, Moment};
use crate::error::{Error, Kind, Side};
use crate::hold::{Found, Hold, Resolution, Sums};
use crate::limits::{HOLD_ID_BITS, SHARD_COUNT_MAX, TOKEN_LIMITS_DEFAULT};
use crate::retry::{Envelope, Repeatable, pin, replay};
use crate::shards::Shards;
use crate::wire::{Corrupt, Reader, put_i64};

type Decided<'a, R> = Result<Decision<CounterEffect<'a>, R>, Error>;

/// The reply of INCREX: the value, none where the key is missing, and what was added to it.
pub type Applied = (Option<i64>, i64);

impl Repeatable for Applied {
    fn put(&self, out: &mut impl Extend<u8>) {
        let (value, applied) = *self;
        put_i64(out, value.unwrap_or(0));
        put_i64(out, applied);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok((Some(reader.i64()?), reader.i64()?))
    }
}

/// Several increments of one counter in one command. Each is decided on as if those before it had
/// been applied.
#[derive(Debug)]
pub struct Adding<'c> {
    counter: Option<&'c Counter>,
    value: i64,
    begun: bool,
}

impl<'c> Adding<'c> {
    /// Nothing is added yet.
    pub fn to(counter: Option<&'c Counter>) -> Self {
        Adding { counter, value: counter.map_or(0, Counter::value), begun: false }
    }

    /// Adds `delta`. A missing counter starts at 0; adding 0 changes nothing.
    pub fn decide<'a>(
        &mut self,
        delta: i64,
        envelope: &Envelope<'a>,
        environment: &'a impl Environment,
    ) -> Decided<'a, i64> {
        let is_plain = self.counter.is_some_and(Counter::is_plain);
        let value = match self.value.checked_add(delta) {
            // Nothing but 64 bits is in its way.
            Some(value) if is_plain => value,
            _ => self.admitted(delta, environment)?,
        };
        if delta == 0 {
            return Ok(Decision::Unchanged(value));
        }
        let mut effect = CounterEffect { changed: Some(Changed::Added(delta)), ..CounterEffect::default() };
        self.value = value;
        let first = !std::mem::replace(&mut self.begun, true);
        if is_plain && envelope.token.is_none() && envelope.note.is_empty() {
            return Ok(Decision::Changed { effect, reply: value, form: Form::Request });
        }
        dress(self.counter, &mut effect, envelope.note, environment);
        if !first {
            (effect.setup, effect.due) = (None, false);
        }
        Ok(Decision::Changed { effect, reply: value, form: Form::Effect })
    }

    /// The value with `delta`, if bounds and holds leave room for it.
    fn admitted(&self, delta: i64, environment: &impl Environment) -> Result<i64, Error> {
        let value = i128::from(self.value).saturating_add(i128::from(delta));
        let held = self.counter.map_or(Sums::default(), |counter| counter.held_now(environment));
        self.counter.map_or(Bounds::NONE, Counter::bounds).admit(value, held)?;
        Ok(self.value.saturating_add(delta))
    }
}

impl Counter {
    /// Decides on an increment.
    pub fn decide_add<'a>(
        counter: Option<&Counter>,
        request: &Add,
        envelope: &Envelope<'a>,
        environment: &'a impl Environment,
    ) -> Decided<'a, i64> {
        if let Some(reply) = replay(counter.and_then(Counter::tokens), envelope.token, request, environment)? {
            return Ok(Decision::Unchanged(reply));
        }
        let mut decided = Adding::to(counter).decide(request.delta, envelope, environment);
        if let Ok(Decision::Changed { effect, reply, form }) = &mut decided {
            effect.pinned = pin(envelope.token, request, reply);
            if counter.is_some_and(|counter| counter.implies(effect)) {
                *form = Form::Request;
            }
        }
        decided
    }

    /// Whether the request and what is stored say all that the effect does: it happens at the moment of the
    /// change before it, which is when whoever obeys executes the request. Where a slot is imported by Redis 8.4
    /// nobody can tell that he obeys, and his own clock must not end a hold.
    fn implies(&self, effect: &CounterEffect<'_>) -> bool {
        let caller = effect.stamp.as_ref().map_or(Caller::default(), Stamp::caller);
        let moment = Some(Moment { at_ms: effect.at_ms, caller });
        effect.setup.is_none() && self.holds().is_none() && self.moment() == moment
    }

    /// Decides on an INCREX. `expires_ms` is when the key expires so far.
    pub fn decide_increx<'a>(
        counter: Option<&Counter>,
        expires_ms: Option<u64>,
        request: &IncrEx,
        envelope: &Envelope<'a>,
        environment: &'a impl Environment,
    ) -> Decided<'a, Applied> {
        if let Some(reply) = replay(counter.and_then(Counter::tokens), envelope.token, request, environment)? {
            return Ok(Decision::Unchanged(reply));
        }
        let before = counter.map_or(0, Counter::value);
        let refused = match (counter, request.exists) {
            (None, Some(true)) => Some((None, 0)),
            (Some(_), Some(false)) => Some((Some(before), 0)),
            _ => None,
        };
        let held = counter.map_or(Sums::default(), |counter| counter.held_now(environment));
        let room = room(counter.map_or(Bounds::NONE, Counter::bounds), request.bounds, held);
        let after = match (refused, target(before, request, room)) {
            (Some(refused), _) => return Ok(Decision::Unchanged(refused)),
            (None, None) => return Ok(Decision::Unchanged((Some(before), 0))),
            (None, Some(after)) => after,
        };
        let step = i128::from(after).saturating_sub(i128::from(before));
        let delta = i64::try_from(step).map_err(|_| Error::StepTooWide(step))?;
        let expiry = match request.expiry {
            Some(ExpiryOption::Set(_)) if request.enx && expires_ms.is_some() => None,
            Some(ExpiryOption::Set(when)) => Some(when.at_ms(environment.now_ms())),
            _ => None,
        };
        let expiry = match request.expiry {
            Some(ExpiryOption::Persist) => expires_ms.map(|_| Expiry::Never),
            _ => expiry.filter(|&at_ms| expires_ms != Some(at_ms)).map(Expiry::At),
        };
        let reply = (Some(after), delta);
        if delta == 0 && (expiry.is_none() || counter.is_none()) {
            return Ok(Decision::Unchanged(reply));
        }
        let changed = Some(Changed::Added(delta));
        let mut effect = CounterEffect { changed, expiry, ..CounterEffect::default() };
        dress(counter, &mut effect, envelope.note, environment);
        effect.pinned = pin(envelope.token, request, &reply);
        Ok(Decision::Changed { effect, reply, form: Form::Effect })
    }

    /// Decides on a SET. The reply tells whether the value is now the one asked for.
    pub fn decide_set<'a>(
        counter: Option<&Counter>,
        request: &Set<'a>,
        environment: &'a impl Environment,
    ) -> Decided<'a, bool> {
        if request.exists.is_some_and(|exists| exists != counter.is_some()) {
            return Ok(Decision::Unchanged(false));
        }
        if let Some(counter) = counter {
            if counter.value == request.value {
                return Ok(Decision::Unchanged(true));
            }
            counter.bounds().admit(request.value.into(), counter.held_now(environment))?;
        }
        let mut effect = CounterEffect { changed: Some(Changed::Set(request.value)), ..CounterEffect::default() };
        dress(counter, &mut effect, request.note, environment);
        Ok(Decision::Changed { effect, reply: true, form: Form::Effect })
    }

    /// Decides on a creation. The reply tells whether a counter was made.
    pub fn decide_create<'a>(
        counter: Option<&Counter>,
        request: &Create,
        environment: &'a impl Environment,
    ) -> Decided<'a, bool> {
        match counter {
            Some(_) if request.nx => return Ok(Decision::Unchanged(false)),
            Some(_) => return Err(Error::BusyKey(Kind::Counter)),
            None if request.shards.is_some() && request.bounds != Bounds::NONE => return Err(Error::ShardsBounded),
            None => request.bounds.admit(request.initial.into(), Sums::default())?,
        }
        let retention = request.options.log.unwrap_or_else(|| environment.log_default());
        let effect = CounterEffect {
            at_ms: environment.now_ms(),
            setup: Some(Box::new(Setup {
                created: Some(CounterCreated { initial: request.initial, explicitly: true }),
                bounds: Some(request.bounds).filter(|bounds| *bounds != Bounds::NONE),
                log: retention.map(Some),
                limits: request.options.token_limits(TOKEN_LIMITS_DEFAULT),
                shards: request.shards,
            })),
            stamp: retention.map(|_| Stamp::new(b"", environment)),
            ..CounterEffect::default()
        };
        Ok(Decision::Changed { effect, reply: true, form: Form::Effect })
    }

    /// Decides on a change of options. What stays the same is no change.
    pub fn decide_alter<'a>(&self, request: &Alter, environment: &'a impl Environment) -> Decided<'a, ()> {
        let stand = self.bounds();
        let bounds = Bounds::new(request.lower.unwrap_or(stand.lower()), request.upper.unwrap_or(stand.upper()))?;
        bounds.admit(self.value.into(), self.held_now(environment))?;
        if request.shards.or(self.shards()).is_some() && bounds != Bounds::NONE {
            return Err(Error::ShardsBounded);
        }
        self.admit_shards(request.shards)?;
        let retention = self.log().map(|log| log.retention());
        let setup = Setup {
            created: None,
            bounds: Some(bounds).filter(|bounds| *bounds != stand),
            log: request.options.log.filter(|log| *log != retention),
            limits: request.options.token_limits(self.token_limits()),
            shards: request.shards.filter(|shards| self.shards() != Some(*shards)),
        };
        if setup == Setup::default() {
            return Ok(Decision::Unchanged(()));
        }
        let mut effect = CounterEffect { setup: Some(Box::new(setup)), ..CounterEffect::default() };
        dress(Some(self), &mut effect, b"", environment);
        Ok(Decision::Changed { effect, reply: (), form: Form::Effect })
    }

    /// What a shard holds would be lost to the total.
    fn admit_shards(&self, shards: Option<Shards>) -> Result<(), Error> {
        match (shards, self.shards()) {
            (Some(shards), Some(stand)) if shards < stand => Err(Error::OutOfRange {
                what: "SHARDS",
                min: stand.count().into(),
                max: SHARD_COUNT_MAX.into(),
                got: shards.count().into(),
            }),
            _ => Ok(()),
        }
    }

    /// Decides on setting an amount aside, as if it and all others were applied already: what is held
    /// can always be committed. The reply is the id of the hold.
    pub fn decide_hold<'a>(
        &self,
        request: &HoldRequest,
        envelope: &Envelope<'a>,
        environment: &'a impl Environment,
    ) -> Decided<'a, u64> {
        if let Some(reply) = replay(self.tokens(), envelope.token, request, environment)? {
            return Ok(Decision::Unchanged(reply));
        }
        let (amount, now_ms) = (request.amount, environment.now_ms());
        let side = if amount < 0 { Side::Lower } else { Side::Upper };
        let bound = if amount < 0 { self.bounds().lower() } else { self.bounds().upper() };
        if bound.is_none() {
            return Err(Error::HoldUnbounded(side));
        }
        let deadline_ms = request.until.at_ms(now_ms);
        if deadline_ms <= now_ms {
            return Err(Error::DeadlinePast);
        }
        self.bounds().admit(self.value.into(), self.held_now(environment).with(amount))?;
        if self.holds().is_some_and(|holds| !holds.has_room(now_ms)) {
            return Err(Error::TooManyHolds);
        }
        let id = self.draw_id(environment).ok_or(Error::Internal)?;
        let changed = Some(Changed::Held(Hold { id, amount, deadline_ms }));
        let mut effect = CounterEffect { changed, ..CounterEffect::default() };
        dress(Some(self), &mut effect, envelope.note, environment);
        effect.pinned = pin(envelope.token, request, &id);
        Ok(Decision::Changed { effect, reply: id, form: Form::Effect })
    }

    /// An id that nothing known goes by. A collision is one in billions, so a few draws will do.
    fn draw_id(&self, environment: &impl Environment) -> Option<u64> {
        let free = |id: u64| self.holds().map_or(id != 0, |holds| holds.can_name(id));
        (0..8).map(|_| environment.random_u64() >> u64::BITS.saturating_sub(HOLD_ID_BITS)).find(|&id| free(id))
    }

    /// Decides on applying a hold, or a part of it. The reply is the value after it.
    pub fn decide_commit<'a>(&self, request: &Commit<'a>, environment: &'a impl Environment) -> Decided<'a, i64> {
        let hold = match self.find(request.id, environment.now_ms()) {
            Found::Pending(hold) => hold,
            Found::Resolved(Resolution::Committed { amount, value, whole })
                if request.amount.map_or(whole, |wanted| wanted == amount) =>
            {
                return Ok(Decision::Unchanged(value));
            }
            found => return Err(unresolvable(found)),
        };
        let amount = request.amount.unwrap_or(hold.amount);
        if amount == 0 || amount.signum() != hold.amount.signum() || amount.abs_diff(0) > hold.amount.abs_diff(0) {
            return Err(Error::CommitTooMuch { held: hold.amount, got: amount });
        }
        let after = self.value.saturating_add(amount);
        let changed = Some(Changed::Committed { id: hold.id, amount });
        let mut effect = CounterEffect { changed, ..CounterEffect::default() };
        dress(Some(self), &mut effect, request.note, environment);
        Ok(Decision::Changed { effect, reply: after, form: Form::Effect })
    }

    /// Decides on giving a hold back.
    pub fn decide_release<'a>(&self, request: &Release, environment: &'a impl Environment) -> Decided<'a, ()> {
        let id = match self.find(request.id, environment.now_ms()) {
            Found::Pending(hold) => hold.id,
            Found::Resolved(Resolution::Released) => return Ok(Decision::Unchanged(())),
            found => return Err(unresolvable(found)),
        };
        let mut effect = CounterEffect { changed: Some(Changed::Released { id }), ..CounterEffect::default() };
        dress(Some(self), &mut effect, b"", environment);
        Ok(Decision::Changed { effect, reply: (), form: Form::Effect })
    }

    fn find(&self, id: u64, now_ms: u64) -> Found {
        self.holds().map_or(Found::Unknown, |holds| holds.find(id, now_ms, self.memory_ms()))
    }

    /// What is held, without what is past its deadline. The clock is asked only where there are holds.
    pub(super) fn held_now(&self, environment: &impl Environment) -> Sums {
        self.holds().map_or(Sums::default(), |holds| holds.sums(environment.deadline_ms()))
    }
}

/// Adds to an effect what every change carries: when and by whom, holds that have expired meanwhile,
/// and for a key that is missing what makes the counter.
fn dress<'a>(
    counter: Option<&Counter>,
    effect: &mut CounterEffect<'a>,
    note: &'a [u8],
    environment: &'a impl Environment,
) {
    effect.at_ms = environment.now_ms();
    if counter.is_none() {
        let created = Some(CounterCreated { initial: 0, explicitly: false });
        let log = environment.log_default().map(Some);
        effect.setup = Some(Box::new(Setup { created, log, ..Setup::default() }));
    }
    effect.due = counter.and_then(Counter::holds).is_some_and(|holds| holds.any_due(effect.at_ms));
    let will_log = effect.log().map_or(counter.is_some_and(|counter| counter.log().is_some()), |log| log.is_some());
    effect.stamp = will_log.then(|| Stamp::new(note, environment));
}

fn unresolvable(found: Found) -> Error {
    match found {
        Found::Resolved(Resolution::Committed { .. }) => Error::HoldResolved("committed"),
        Found::Resolved(Resolution::Released) => Error::HoldResolved("released"),
        Found::Resolved(Resolution::Expired) => Error::HoldResolved("expired"),
        Found::Pending(_) | Found::Unknown => Error::NoHold,
    }
}

/// The smallest and the largest value that stored bounds, the bounds of a call, what is held and 64
/// bits leave.
fn room(stored: Bounds, call: Bounds, held: Sums) -> (i128, i128) {
    let wide = |bound: Option<i64>, otherwise: i64| i128::from(bound.unwrap_or(otherwise));
    let low = wide(stored.lower(), i64::MIN).saturating_sub(held.down);
    let high = wide(stored.upper(), i64::MAX).saturating_sub(held.up);
    (low.max(wide(call.lower(), i64::MIN)), high.min(wide(call.upper(), i64::MAX)))
}

/// The value that an INCREX goes to, if it may go anywhere.
fn target(before: i64, request: &IncrEx, (low, high): (i128, i128)) -> Option<i64> {
    let wanted = i128::from(before).saturating_add(i128::from(request.by));
    let reached = if request.saturate && low <= high { wanted.clamp(low, high) } else { wanted };
    i64::try_from(reached).ok().filter(|_| low <= reached && reached <= high)
}
