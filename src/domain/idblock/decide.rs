//! What a request comes to. Each function here looks at an allocator that it cannot change, refuses
//! or answers, or says in an effect what is to change.

use super::{Block, Create, IdBlock, Next, Range, Reserve};
use crate::decision::{Decision, Form};
use crate::effect::{BlockCreated, BlockEffect, Reserved, Stamp};
use crate::environment::Environment;
use crate::error::{Error, Kind};
use crate::limits::{LOW_DENOMINATOR, LOW_NUMERATOR, TOKEN_LIMITS_DEFAULT};
use crate::permutation::Codes;
use crate::retry::{Envelope, pin, replay};

type Decided<'a, R> = Result<Decision<BlockEffect<'a>, R>, Error>;

impl IdBlock {
    /// Decides on a creation. The reply tells whether an allocator was made.
    pub fn decide_create<'a>(
        block: Option<&IdBlock>,
        request: &Create<'_>,
        environment: &'a impl Environment,
    ) -> Decided<'a, bool> {
        match block {
            Some(_) if request.nx => return Ok(Decision::Unchanged(false)),
            Some(_) => return Err(Error::BusyKey(Kind::IdBlock)),
            None => {}
        }
        let &Create { start, increment, max, clock, .. } = request;
        let range = Range::new(start, increment, max)?;
        if let Some(clock) = clock {
            clock.check(range, environment.now_ms())?;
        }
        let codes = match request.codes {
            None => None,
            Some((length, alphabet, Some(secret))) => Some(Codes::new(length, alphabet, secret)?),
            Some((length, alphabet, None)) => {
                let drawn = [environment.random(), environment.random()];
                Some(Codes::new(length, alphabet, drawn.as_flattened())?)
            }
        };
        let log = request.options.log.unwrap_or(Some(crate::limits::BLOCK_LOG_DEFAULT));
        let effect = BlockEffect {
            at_ms: environment.now_ms(),
            created: Some(Box::new(BlockCreated { uid: environment.random(), start, increment, max, clock, codes })),
            log: log.map(Some),
            limits: request.options.token_limits(TOKEN_LIMITS_DEFAULT),
            stamp: log.map(|_| Stamp::new(b"", environment)),
            ..BlockEffect::default()
        };
        Ok(Decision::Changed { effect, reply: true, form: Form::Effect })
    }

    /// Decides on a reservation: one contiguous run, of `count` ids or, where fewer are left, of at
    /// least `at_least`.
    pub fn decide_reserve<'a>(
        &self,
        request: &Reserve,
        envelope: &Envelope<'a>,
        environment: &'a impl Environment,
    ) -> Decided<'a, Block> {
        if request.codes && self.codes().is_none() {
            return Err(Error::NoCodes);
        }
        if let Some(reply) = replay(self.tokens(), envelope.token, request, environment)? {
            return Ok(Decision::Unchanged(reply));
        }
        let at_ms = environment.now_ms();
        let (reserved, reply) = self.take(request.count, request.at_least, at_ms)?;
        let stamp = self.log().map(|_| Stamp::new(envelope.note, environment));
        let pinned = pin(envelope.token, request, &reply);
        let (low, codes) = (self.becomes_low(reserved), request.codes);
        let effect =
            BlockEffect { at_ms, reserved: Some(reserved), stamp, pinned, low, codes, ..BlockEffect::default() };
        Ok(Decision::Changed { effect, reply, form: Form::Effect })
    }

    /// Decides on a single id. It leaves no entry in the log.
    pub fn decide_next<'a>(&self, envelope: &Envelope<'a>, environment: &'a impl Environment) -> Decided<'a, i64> {
        if let Some(reply) = replay(self.tokens(), envelope.token, &Next, environment)? {
            return Ok(Decision::Unchanged(reply));
        }
        let at_ms = environment.now_ms();
        let (reserved, block) = self.take(1, 1, at_ms)?;
        let pinned = pin(envelope.token, &Next, &block.first);
        let low = self.becomes_low(reserved);
        let effect = BlockEffect { at_ms, raised: reserved.end(), pinned, low, ..BlockEffect::default() };
        Ok(Decision::Changed { effect, reply: block.first, form: Form::Effect })
    }

    /// Decides on going past an id that came from elsewhere. Never backwards.
    pub fn decide_advance<'a>(&self, id: i64, environment: &'a impl Environment) -> Decided<'a, ()> {
        let mark = self.range().ordinals_up_to(id);
        if mark <= self.volatile.position {
            return Ok(Decision::Unchanged(()));
        }
        let effect = BlockEffect {
            at_ms: environment.now_ms(),
            advanced: Some(mark),
            low: self.becomes_low(Reserved { first: mark, count: 0 }),
            stamp: self.log().map(|_| Stamp::new(b"", environment)),
            ..BlockEffect::default()
        };
        Ok(Decision::Changed { effect, reply: (), form: Form::Effect })
    }

    /// What would be handed out next.
    pub(super) fn next_ordinal(&self, now_ms: u64) -> u64 {
        let clock = self.kept.clock.map_or(0, |clock| clock.ordinal(now_ms));
        self.volatile.position.max(clock)
    }

    fn take(&self, count: u64, at_least: u64, now_ms: u64) -> Result<(Reserved, Block), Error> {
        let first = self.next_ordinal(now_ms);
        let left = self.range().capacity().saturating_sub(first);
        let exhausted = Error::Exhausted { want: at_least, max: self.range().max(), left };
        if left < at_least {
            return Err(exhausted);
        }
        let reserved = Reserved { first, count: count.min(left) };
        Ok((reserved, self.range().block(reserved).ok_or(exhausted)?))
    }

    fn becomes_low(&self, reserved: Reserved) -> bool {
        !self.is_low(self.volatile.position) && reserved.end().is_some_and(|end| self.is_low(end))
    }

    /// Whether nine tenths of the range lie before an ordinal.
    pub(super) fn is_low(&self, ordinal: u64) -> bool {
        let used = u128::from(ordinal).saturating_mul(LOW_DENOMINATOR);
        used >= u128::from(self.range().capacity()).saturating_mul(LOW_NUMERATOR)
    }
}
