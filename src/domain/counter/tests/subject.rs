//! A counter on a primary and on its replica, asked as the commands ask it.

use super::model::{Call, Outcome, Reply, Verb};
use crate::audit::Retention;
use crate::counter::{Add, Commit, Counter, Release, Set};
use crate::decision::{Decision, Form};
use crate::effect::{CounterEffect, Effect, Expiry};
use crate::error::{Error, Kind};
use crate::idempotency::Token;
use crate::retry::Envelope;
use crate::simulation::{Pair, World, execute};

const PRODUCER: &[u8] = b"producer";

type Decided<'a> = Result<Decision<CounterEffect<'a>, Reply>, Error>;

/// A key on two nodes, and when it expires.
pub struct Subject {
    pub world: World,
    pub pair: Pair<Counter>,
    pub expires_ms: Option<u64>,
}

impl Subject {
    /// The key is missing.
    pub fn new(world: World) -> Self {
        Subject { world, pair: Pair::missing(), expires_ms: None }
    }

    /// The key is gone.
    pub fn vanish(&mut self) {
        (self.pair, self.expires_ms) = (Pair::missing(), None);
    }

    /// A call at `now_ms`, without token and note.
    pub fn at(&mut self, now_ms: u64, verb: Verb) -> Result<Reply, Error> {
        self.tokened(now_ms, None, verb)
    }

    /// A call at `now_ms` with a token.
    pub fn tokened(&mut self, now_ms: u64, token: Option<u64>, verb: Verb) -> Result<Reply, Error> {
        self.world.set_clock(now_ms);
        self.perform(&Call { verb, token, note: b"" }).map(|(reply, _)| reply)
    }

    /// Decides on a call and lets both nodes know.
    pub fn perform(&mut self, call: &Call) -> Outcome {
        let token = call.token.map(u64::to_le_bytes);
        let token = token.as_ref().map(|token| Token::new(PRODUCER, token).unwrap());
        let envelope = Envelope { token, note: call.note };
        let decision = decide(self.pair.primary.as_ref(), self.expires_ms, call, &envelope, &self.world)?;
        match decision {
            Decision::Unchanged(reply) => Ok((reply, false)),
            Decision::Changed { effect, reply, form } => {
                match effect.expiry() {
                    None => {}
                    Some(Expiry::At(at_ms)) => self.expires_ms = Some(at_ms),
                    Some(Expiry::Never) => self.expires_ms = None,
                }
                match form {
                    Form::Effect => self.pair.commit(&effect),
                    Form::Nowhere => panic!("a counter is never changed in secret"),
                    Form::Request => repeat(&mut self.pair, call, &envelope, &effect, &self.world),
                }
                Ok((reply, true))
            }
            Decision::Wait { .. } => panic!("a counter waits for nobody"),
        }
    }
}

/// The replica executes the request itself, at another time and under other settings, but for what its own value knows.
fn repeat(pair: &mut Pair<Counter>, call: &Call, envelope: &Envelope<'_>, effect: &CounterEffect<'_>, world: &World) {
    let mut elsewhere = World::new(world.bits());
    elsewhere.set_clock(world.bits() >> 1);
    elsewhere.log_default = Some(Retention::default());
    elsewhere.is_replica = world.once_in(2);
    if let Some(moment) = pair.replica.as_ref().and_then(Counter::moment) {
        elsewhere.stand_at(moment);
    }
    let decision = decide(pair.replica.as_ref(), None, call, envelope, &elsewhere).unwrap();
    let Decision::Changed { effect: repeated, form: Form::Request, .. } = decision else { panic!("{decision:?}") };
    assert_eq!(repeated, *effect, "{call:?}");
    execute(&mut pair.primary, effect).unwrap();
    execute(&mut pair.replica, &repeated).unwrap();
}

/// One call as a command's handler makes it.
fn decide<'a>(
    counter: Option<&Counter>,
    expires_ms: Option<u64>,
    call: &'a Call,
    envelope: &Envelope<'a>,
    world: &'a World,
) -> Decided<'a> {
    let standing = || counter.ok_or(Error::NoKey(Kind::Counter));
    let note = call.note;
    match call.verb {
        Verb::Incr(delta) => {
            Counter::decide_add(counter, &Add { delta, decr: false }, envelope, world).map(|d| answer(d, Reply::Value))
        }
        Verb::Decr(delta) => {
            let request = Add { delta: -delta, decr: true };
            Counter::decide_add(counter, &request, envelope, world).map(|d| answer(d, Reply::Value))
        }
        Verb::IncrEx(request) => Counter::decide_increx(counter, expires_ms, &request, envelope, world)
            .map(|d| answer(d, |(value, applied)| Reply::Applied(value, applied))),
        Verb::Set { value, exists } => {
            Counter::decide_set(counter, &Set { value, exists, note }, world).map(|d| answer(d, Reply::Done))
        }
        Verb::Create(request) => Counter::decide_create(counter, &request, world).map(|d| answer(d, Reply::Done)),
        Verb::Alter(request) => standing()?.decide_alter(&request, world).map(|d| answer(d, |()| Reply::Done(true))),
        Verb::Hold(request) => standing()?.decide_hold(&request, envelope, world).map(|d| answer(d, Reply::Id)),
        Verb::Commit { id, amount } => {
            standing()?.decide_commit(&Commit { id, amount, note }, world).map(|d| answer(d, Reply::Value))
        }
        Verb::Release { id } => {
            standing()?.decide_release(&Release { id }, world).map(|d| answer(d, |()| Reply::Done(true)))
        }
    }
}

fn answer<E, R>(decision: Decision<E, R>, shown: impl FnOnce(R) -> Reply) -> Decision<E, Reply> {
    match decision {
        Decision::Unchanged(reply) => Decision::Unchanged(shown(reply)),
        Decision::Changed { effect, reply, form } => Decision::Changed { effect, reply: shown(reply), form },
        Decision::Wait { effect, wait } => Decision::Wait { effect, wait },
    }
}
