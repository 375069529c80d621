//! The rules of a counter again, as plainly as they can be said: lists that are searched from end to
//! end, and numbers that are wide enough.

use crate::audit::{CounterChange, CounterOp, Retention};
use crate::bounds::Bounds;
use crate::counter::{Alter, Create, ExpiryOption, HoldRequest, IncrEx, When};
use crate::environment::{Caller, Environment};
use crate::error::{Error, Kind, Side};
use crate::idempotency::Limits;
use crate::options::KeyOptions;
use crate::shards::Shards;
use crate::simulation::{LogModel, TokenModel};

const MIN: i128 = i64::MIN as i128;
const MAX: i128 = i64::MAX as i128;

/// A command, and the words that come with it.
#[derive(Clone, Debug)]
pub struct Call {
    pub verb: Verb,
    pub token: Option<u64>,
    pub note: &'static [u8],
}

#[derive(Clone, Copy, Debug)]
pub enum Verb {
    Incr(i64),
    Decr(i64),
    IncrEx(IncrEx),
    Set { value: i64, exists: Option<bool> },
    Create(Create),
    Alter(Alter),
    Hold(HoldRequest),
    Commit { id: u64, amount: Option<i64> },
    Release { id: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reply {
    Value(i64),
    Applied(Option<i64>, i64),
    Done(bool),
    /// Of a new hold: any number that names no other one.
    Id(u64),
}

/// What a command comes to: its reply, and whether anything changed.
pub type Outcome = Result<(Reply, bool), Error>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Pending,
    Ended { how: How, at_ms: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Committed { amount: i64, value: i64 },
    Released,
    Expired,
}

impl How {
    fn error(self) -> Error {
        Error::HoldResolved(match self {
            How::Committed { .. } => "committed",
            How::Released => "released",
            How::Expired => "expired",
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Hold {
    id: u64,
    amount: i64,
    deadline_ms: u64,
    state: State,
}

impl Hold {
    fn is_pending(&self, now_ms: u64) -> bool {
        self.state == State::Pending && now_ms < self.deadline_ms
    }

    /// How it ended and when, if it has.
    fn end(&self, now_ms: u64) -> Option<(How, u64)> {
        match self.state {
            State::Ended { how, at_ms } => Some((how, at_ms)),
            State::Pending => (now_ms >= self.deadline_ms).then_some((How::Expired, self.deadline_ms)),
        }
    }
}

/// A counter.
#[derive(Clone, Debug)]
pub struct Model {
    pub value: i128,
    pub lower: Option<i64>,
    pub upper: Option<i64>,
    pub shards: Option<Shards>,
    pub created_ms: Option<u64>,
    pub log: Option<LogModel<CounterChange>>,
    pub tokens: TokenModel<String, Reply>,
    holds: Vec<Hold>,
}

/// A key that may hold a counter, and when it expires.
#[derive(Debug, Default)]
pub struct Key {
    pub counter: Option<Model>,
    pub expires_ms: Option<u64>,
}

impl Key {
    /// What `call` comes to. A new hold is to be called `new_id`.
    pub fn execute(&mut self, call: &Call, new_id: u64, world: &impl Environment) -> Outcome {
        let now_ms = world.now_ms();
        let words = format!("{:?}", call.verb);
        let known = call.token.and_then(|token| self.counter.as_ref()?.tokens.find(token, now_ms));
        match known {
            Some((first, _)) if first != words => return Err(Error::TokenMismatch),
            Some((_, reply)) => return Ok((reply, false)),
            None => {}
        }
        let mut turn = Turn { key: self, now_ms, caller: world.caller(), note: call.note, log: world.log_default() };
        let (reply, changed) = turn.decide(&call.verb, new_id)?;
        if let (true, Some(token), Some(counter)) = (changed, call.token, &mut self.counter) {
            counter.tokens.remember(token, words, reply, now_ms);
        }
        Ok((reply, changed))
    }

    /// At its time a key is gone.
    pub fn expire(&mut self, now_ms: u64) -> bool {
        let gone = self.expires_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if gone {
            *self = Key::default();
        }
        gone
    }
}

impl Model {
    fn new(value: i64) -> Self {
        let tokens = TokenModel::new(Limits::DEFAULT);
        Model {
            value: value.into(),
            lower: None,
            upper: None,
            shards: None,
            created_ms: None,
            log: None,
            tokens,
            holds: Vec::new(),
        }
    }

    fn pending(&self, now_ms: u64) -> impl Iterator<Item = &Hold> {
        self.holds.iter().filter(move |hold| hold.is_pending(now_ms))
    }

    /// Pending holds: id, amount, deadline.
    pub fn list(&self, now_ms: u64) -> Vec<(u64, i64, u64)> {
        let mut all: Vec<_> = self.pending(now_ms).map(|hold| (hold.id, hold.amount, hold.deadline_ms)).collect();
        all.sort_by_key(|&(id, _, deadline_ms)| (deadline_ms, id));
        all
    }

    /// All ids of which anything is known.
    pub fn ids(&self) -> Vec<u64> {
        self.holds.iter().map(|hold| hold.id).collect()
    }

    /// What is held down, as a number from 0 on, and up.
    pub fn held(&self, now_ms: u64) -> (i128, i128) {
        let amounts: Vec<i128> = self.pending(now_ms).map(|hold| hold.amount.into()).collect();
        (
            -amounts.iter().filter(|amount| **amount < 0).sum::<i128>(),
            amounts.iter().filter(|amount| **amount > 0).sum(),
        )
    }

    fn memory_ms(&self) -> u64 {
        self.tokens.limits.duration_ms()
    }

    /// A hold that is pending, or why it is not.
    fn hold(&self, id: u64, now_ms: u64) -> Result<Hold, Option<How>> {
        let hold = self.holds.iter().find(|hold| hold.id == id).ok_or(None)?;
        match hold.end(now_ms) {
            None => Ok(*hold),
            Some((how, at_ms)) if now_ms < at_ms + self.memory_ms() => Err(Some(how)),
            Some(_) => Err(None),
        }
    }

    /// Whether the value may be `value`, also once all that is held would be applied.
    fn admit(&self, value: i128, (down, up): (i128, i128)) -> Result<(), Error> {
        let (low, high, held) = (value - down, value + up, down > 0 || up > 0);
        if low < MIN || high > MAX {
            return Err(Error::Overflow { got: if low < MIN { low } else { high }, held });
        }
        match (self.lower, self.upper) {
            (Some(bound), _) if low < bound.into() => Err(Error::Bound { side: Side::Lower, bound, got: low, held }),
            (_, Some(bound)) if high > bound.into() => Err(Error::Bound { side: Side::Upper, bound, got: high, held }),
            _ => Ok(()),
        }
    }

    fn end(&mut self, id: u64, how: How, at_ms: u64) {
        self.holds.iter_mut().filter(|hold| hold.id == id).for_each(|hold| hold.state = State::Ended { how, at_ms });
    }

    /// Lets go of what has been remembered for long enough.
    fn forget(&mut self, now_ms: u64, memory_ms: u64) {
        let is_old = |hold: &Hold| hold.end(now_ms).is_some_and(|(_, at_ms)| now_ms >= at_ms + memory_ms);
        self.holds.retain(|hold| !is_old(hold));
    }

    fn set_log(&mut self, retention: Option<Retention>) {
        match (retention, &mut self.log) {
            (None, log) => *log = None,
            (Some(retention), Some(log)) => log.set_retention(retention),
            (Some(retention), log) => *log = Some(LogModel::new(retention)),
        }
    }
}

/// One command in its turn.
struct Turn<'a> {
    key: &'a mut Key,
    now_ms: u64,
    caller: Caller<'a>,
    note: &'static [u8],
    log: Option<Retention>,
}

impl Turn<'_> {
    fn decide(&mut self, verb: &Verb, new_id: u64) -> Outcome {
        match *verb {
            Verb::Incr(delta) => self.add(delta),
            Verb::Decr(delta) => self.add(-delta),
            Verb::IncrEx(request) => self.increx(&request),
            Verb::Set { value, exists } => self.set(value, exists),
            Verb::Create(request) => self.create(&request),
            Verb::Alter(request) => self.alter(&request),
            Verb::Hold(request) => self.hold(&request, new_id),
            Verb::Commit { id, amount } => self.commit(id, amount),
            Verb::Release { id } => self.release(id),
        }
    }

    fn value(&self) -> i128 {
        self.key.counter.as_ref().map_or(0, |counter| counter.value)
    }

    fn standing(&self) -> Result<&Model, Error> {
        self.key.counter.as_ref().ok_or(Error::NoKey(Kind::Counter))
    }

    /// Whether the value may be this now.
    fn admit(&self, value: i128) -> Result<(), Error> {
        match &self.key.counter {
            Some(counter) => counter.admit(value, counter.held(self.now_ms)),
            None => Model::new(0).admit(value, (0, 0)),
        }
    }

    /// Something happens to the counter, which begins with that if it does not stand. What is past
    /// its deadline has fallen back before.
    fn write(&mut self, change: impl FnOnce(&mut Model) -> Option<(CounterOp, i128)>) {
        let (now_ms, log) = (self.now_ms, self.log);
        let counter = self.key.counter.get_or_insert_with(|| {
            let mut counter = Model::new(0);
            counter.set_log(log);
            counter
        });
        let mut due: Vec<Hold> = counter.holds.clone();
        due.retain(|hold| hold.state == State::Pending && hold.deadline_ms <= now_ms);
        due.sort_by_key(|hold| (hold.deadline_ms, hold.id));
        let (before, memory_ms) = (counter.value, counter.memory_ms());
        let change = change(counter);
        for hold in &due {
            counter.end(hold.id, How::Expired, hold.deadline_ms);
            Self::note(counter, now_ms, CounterOp::HoldExpired, hold.amount.into(), before, [b""; 3]);
        }
        counter.forget(now_ms, memory_ms);
        if let Some((op, delta)) = change {
            let value = counter.value;
            Self::note(counter, now_ms, op, delta, value, [self.caller.user, self.caller.client, self.note]);
        }
    }

    fn note(counter: &mut Model, now_ms: u64, op: CounterOp, delta: i128, value: i128, names: [&[u8]; 3]) {
        let value = i64::try_from(value).expect("a value of 64 bits");
        if let Some(log) = &mut counter.log {
            log.write(now_ms, CounterChange { op, delta, value }, names);
        }
    }

    fn add(&mut self, delta: i64) -> Outcome {
        let after = self.value() + i128::from(delta);
        self.admit(after)?;
        if delta != 0 {
            self.write(|counter| {
                counter.value = after;
                Some((CounterOp::Incr, delta.into()))
            });
        }
        Ok((Reply::Value(i64::try_from(after).unwrap()), delta != 0))
    }

    /// The native rules, with stored bounds and holds as further bounds.
    fn increx(&mut self, request: &IncrEx) -> Outcome {
        let before = self.value();
        let shown = i64::try_from(before).unwrap();
        match (self.key.counter.is_some(), request.exists) {
            (false, Some(true)) => return Ok((Reply::Applied(None, 0), false)),
            (true, Some(false)) => return Ok((Reply::Applied(Some(shown), 0), false)),
            _ => {}
        }
        let (low, high) = self.room(request.bounds);
        let wanted = before + i128::from(request.by);
        let after = match wanted {
            _ if (low..=high).contains(&wanted) => wanted,
            _ if !request.saturate || low > high => return Ok((Reply::Applied(Some(shown), 0), false)),
            _ if wanted < low => low,
            _ => high,
        };
        let applied = after - before;
        if !(MIN..=MAX).contains(&applied) {
            return Err(Error::StepTooWide(applied));
        }
        let reply = Reply::Applied(Some(i64::try_from(after).unwrap()), i64::try_from(applied).unwrap());
        let expires_ms = self.expiry(request);
        let lives_on = self.key.counter.is_some() && expires_ms != self.key.expires_ms;
        if applied == 0 && !lives_on {
            return Ok((reply, false));
        }
        self.key.expires_ms = expires_ms;
        self.write(|counter| {
            counter.value = after;
            Some((CounterOp::Incr, applied))
        });
        Ok((reply, true))
    }

    /// The least and the greatest value that the call may lead to.
    fn room(&self, call: Bounds) -> (i128, i128) {
        let (mut low, mut high) = (call.lower().map_or(MIN, i128::from), call.upper().map_or(MAX, i128::from));
        if let Some(counter) = &self.key.counter {
            let (down, up) = counter.held(self.now_ms);
            low = low.max(counter.lower.map_or(MIN, i128::from) + down);
            high = high.min(counter.upper.map_or(MAX, i128::from) - up);
        }
        (low, high)
    }

    fn expiry(&self, request: &IncrEx) -> Option<u64> {
        match (request.expiry, self.key.expires_ms) {
            (None, stands) => stands,
            (Some(ExpiryOption::Persist), _) => None,
            (Some(ExpiryOption::Set(_)), Some(stands)) if request.enx => Some(stands),
            (Some(ExpiryOption::Set(When::In(ms))), _) => Some(self.now_ms + ms),
            (Some(ExpiryOption::Set(When::At(ms))), _) => Some(ms),
        }
    }

    fn set(&mut self, value: i64, exists: Option<bool>) -> Outcome {
        let stands = self.key.counter.is_some();
        if exists.is_some_and(|exists| exists != stands) {
            return Ok((Reply::Done(false), false));
        }
        let before = self.value();
        if stands && before == value.into() {
            return Ok((Reply::Done(true), false));
        }
        self.admit(value.into())?;
        self.write(|counter| {
            counter.value = value.into();
            Some((CounterOp::Set, i128::from(value) - before))
        });
        Ok((Reply::Done(true), true))
    }

    fn create(&mut self, request: &Create) -> Outcome {
        if self.key.counter.is_some() {
            return if request.nx { Ok((Reply::Done(false), false)) } else { Err(Error::BusyKey(Kind::Counter)) };
        }
        if request.shards.is_some() && request.bounds != Bounds::NONE {
            return Err(Error::ShardsBounded);
        }
        let mut counter = Model::new(request.initial);
        counter.shards = request.shards;
        (counter.lower, counter.upper) = (request.bounds.lower(), request.bounds.upper());
        counter.admit(request.initial.into(), (0, 0))?;
        counter.created_ms = Some(self.now_ms);
        counter.set_log(request.options.log.unwrap_or(self.log));
        set_limits(&mut counter, &request.options, self.now_ms);
        self.key.counter = Some(counter);
        self.write(|_| Some((CounterOp::Create, request.initial.into())));
        Ok((Reply::Done(true), true))
    }

    fn alter(&mut self, request: &Alter) -> Outcome {
        let stand = self.standing()?;
        let (lower, upper) = (request.lower.unwrap_or(stand.lower), request.upper.unwrap_or(stand.upper));
        if let (Some(lower), Some(upper)) = (lower, upper)
            && lower > upper
        {
            return Err(Error::BoundsCrossed { lower, upper });
        }
        let bounded = Model { lower, upper, ..stand.clone() };
        bounded.admit(stand.value, stand.held(self.now_ms))?;
        let shards = request.shards.or(stand.shards);
        match (shards, stand.shards) {
            (Some(_), _) if lower.or(upper).is_some() => return Err(Error::ShardsBounded),
            (Some(new), Some(old)) if new < old => {
                let (min, got) = (old.count().into(), new.count().into());
                return Err(Error::OutOfRange { what: "SHARDS", min, max: 1024, got });
            }
            _ => {}
        }
        let limits = limits(stand.tokens.limits, &request.options);
        let retention = stand.log.as_ref().map(LogModel::retention);
        let log = request.options.log.unwrap_or(retention);
        let stands = (stand.lower, stand.upper, stand.shards, stand.tokens.limits, retention);
        let same = (lower, upper, shards, limits, log) == stands;
        if !same {
            let now_ms = self.now_ms;
            self.write(|counter| {
                (counter.lower, counter.upper, counter.shards) = (lower, upper, shards);
                counter.set_log(log);
                set_limits(counter, &request.options, now_ms);
                Some((CounterOp::Alter, 0))
            });
        }
        Ok((Reply::Done(true), !same))
    }

    fn hold(&mut self, request: &HoldRequest, new_id: u64) -> Outcome {
        let (counter, amount) = (self.standing()?, request.amount);
        let (side, bound) = if amount < 0 { (Side::Lower, counter.lower) } else { (Side::Upper, counter.upper) };
        if bound.is_none() {
            return Err(Error::HoldUnbounded(side));
        }
        let deadline_ms = request.until.at_ms(self.now_ms);
        if deadline_ms <= self.now_ms {
            return Err(Error::DeadlinePast);
        }
        let (down, up) = counter.held(self.now_ms);
        let wide = i128::from(amount);
        counter.admit(counter.value, (down + (-wide).max(0), up + wide.max(0)))?;
        assert!(new_id > 0 && new_id < 1 << 53, "{new_id}");
        assert!(counter.holds.iter().all(|hold| hold.id != new_id), "{new_id} names another hold");
        self.write(|counter| {
            counter.holds.push(Hold { id: new_id, amount, deadline_ms, state: State::Pending });
            Some((CounterOp::Hold, wide))
        });
        Ok((Reply::Id(new_id), true))
    }

    fn commit(&mut self, id: u64, part: Option<i64>) -> Outcome {
        let counter = self.standing()?;
        let hold = match counter.hold(id, self.now_ms) {
            Ok(hold) => hold,
            Err(Some(how @ How::Committed { amount, value })) => {
                let whole = counter.holds.iter().find(|hold| hold.id == id).map(|hold| hold.amount);
                let same = part.or(whole) == Some(amount);
                return if same { Ok((Reply::Value(value), false)) } else { Err(how.error()) };
            }
            Err(how) => return Err(how.map_or(Error::NoHold, How::error)),
        };
        let amount = part.unwrap_or(hold.amount);
        let parts = if hold.amount < 0 { hold.amount..=-1 } else { 1..=hold.amount };
        if !parts.contains(&amount) {
            return Err(Error::CommitTooMuch { held: hold.amount, got: amount });
        }
        let after = counter.value + i128::from(amount);
        let (value, now_ms) = (i64::try_from(after).expect("what is held can be committed"), self.now_ms);
        self.write(|counter| {
            counter.value = after;
            counter.end(id, How::Committed { amount, value }, now_ms);
            Some((CounterOp::Commit, amount.into()))
        });
        Ok((Reply::Value(value), true))
    }

    fn release(&mut self, id: u64) -> Outcome {
        let hold = match self.standing()?.hold(id, self.now_ms) {
            Ok(hold) => hold,
            Err(Some(How::Released)) => return Ok((Reply::Done(true), false)),
            Err(how) => return Err(how.map_or(Error::NoHold, How::error)),
        };
        let now_ms = self.now_ms;
        self.write(|counter| {
            counter.end(id, How::Released, now_ms);
            Some((CounterOp::Release, hold.amount.into()))
        });
        Ok((Reply::Done(true), true))
    }
}

fn limits(stand: Limits, options: &KeyOptions) -> Limits {
    let duration_ms = options.token_duration_ms.unwrap_or(stand.duration_ms());
    Limits::new(duration_ms, options.token_count_max.unwrap_or(stand.count_max())).expect("limits that can be")
}

fn set_limits(counter: &mut Model, options: &KeyOptions, now_ms: u64) {
    let limits = limits(counter.tokens.limits, options);
    if limits != counter.tokens.limits {
        counter.tokens.set_limits(limits, now_ms);
    }
}
