//! What a request comes to. Each function here looks at an allocator that it cannot change, refuses
//! or answers, or says in an effect what is to change.

use super::window::{Growth, Stand};
use super::{Asked, Block, Create, IdBlock, Issued, Next, Policy, Range, Reserve};
use crate::decision::{Decision, Form};
use crate::effect::{BlockCreated, BlockEffect, BlockSetup, Reserved, Stamp};
use crate::environment::Environment;
use crate::error::{Error, Kind};
use crate::fence::Wait;
use crate::limits::{LOW_DENOMINATOR, LOW_NUMERATOR, TOKEN_LIMITS_DEFAULT, WINDOW_SHARE};
use crate::permutation::Codes;
use crate::retry::{Envelope, pin, replay};

type Decided<'a, R> = Result<Decision<BlockEffect<'a>, R>, Error>;

/// Ids that can be handed out now, or a wait until they can.
enum Taken {
    /// The ids.
    Now(Reserved, Block),
    /// Whether the mark has to be raised for it, and what to wait for.
    Later(bool, Box<Wait>),
}

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
        let &Create { start, increment, max, clock, fence, .. } = request;
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
        let created = BlockCreated { uid: environment.random(), start, increment, max, clock, codes, fence };
        let effect = BlockEffect {
            at_ms: environment.now_ms(),
            setup: Some(Box::new(BlockSetup {
                created: Some(created),
                log: log.map(Some),
                limits: request.options.token_limits(TOKEN_LIMITS_DEFAULT),
            })),
            stamp: log.map(|_| Stamp::new(b"", environment)),
            ..BlockEffect::default()
        };
        // The first window is raised with the allocator, so that its first user hardly waits.
        let made = IdBlock::create(&effect).map_err(|_| Error::Internal)?;
        let raise = match fence {
            Policy::Off => BlockEffect::default(),
            _ => made.raise(&made.stand(environment), 0, false, environment),
        };
        let effect = BlockEffect { windowed: raise.windowed, issued: raise.issued, ..effect };
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
            return if self.can_have_come(request, &reply) {
                Ok(Decision::Unchanged(reply))
            } else {
                Err(Error::Internal)
            };
        }
        let asked = if request.codes { Asked::Codes } else { Asked::Reserve };
        let mut effect = BlockEffect::default();
        let (reserved, reply) = match self.take(asked, [request.count, request.at_least], &mut effect, environment)? {
            Taken::Now(reserved, block) => (reserved, block),
            Taken::Later(raises, wait) => return Ok(Decision::Wait { effect: raises.then_some(effect), wait }),
        };
        effect.stamp = self.log().map(|_| Stamp::new(envelope.note, environment));
        effect.pinned = pin(envelope.token, request, &reply);
        // Under a fence a reservation is known to others by its log entry alone.
        effect.reserved = Some(reserved).filter(|_| effect.stamp.is_some() || self.kept.fence == Policy::Off);
        // Others hear that it was for codes where they hear of it at all.
        effect.codes = request.codes && (effect.reserved.is_some() || effect.pinned.is_some());
        let form = form(&effect);
        Ok(Decision::Changed { effect, reply, form })
    }

    /// Whether a reply to such a request can be this block: its codes are computed anew, and the token may have come from
    /// anybody.
    fn can_have_come(&self, request: &Reserve, block: &Block) -> bool {
        let first = self.range().ordinal(block.first);
        let whole = first.and_then(|first| self.range().block(Reserved { first, count: block.count }));
        whole == Some(*block) && block.count <= request.count
    }

    /// Decides on a single id. It leaves no entry in the log.
    pub fn decide_next<'a>(&self, envelope: &Envelope<'a>, environment: &'a impl Environment) -> Decided<'a, i64> {
        if let Some(reply) = replay(self.tokens(), envelope.token, &Next, environment)? {
            return Ok(Decision::Unchanged(reply));
        }
        let mut effect = BlockEffect::default();
        let (reserved, block) = match self.take(Asked::Next, [1, 1], &mut effect, environment)? {
            Taken::Now(reserved, block) => (reserved, block),
            Taken::Later(raises, wait) => return Ok(Decision::Wait { effect: raises.then_some(effect), wait }),
        };
        effect.pinned = pin(envelope.token, &Next, &block.first);
        effect.raised = reserved.end().filter(|_| self.kept.fence == Policy::Off);
        let form = form(&effect);
        Ok(Decision::Changed { effect, reply: block.first, form })
    }

    /// Decides on going past an id that came from elsewhere. Never backwards.
    pub fn decide_advance<'a>(&self, id: i64, environment: &'a impl Environment) -> Decided<'a, ()> {
        let target = self.range().ordinals_up_to(id);
        let advanced = |position, used| BlockEffect {
            at_ms: environment.now_ms(),
            advanced: (target > position).then_some(target),
            low: self.becomes_low(used, target),
            stamp: self.log().filter(|_| target > position).map(|_| Stamp::new(b"", environment)),
            ..BlockEffect::default()
        };
        if self.kept.fence == Policy::Off {
            let position = self.volatile.window.position();
            let changed = Decision::Changed { effect: advanced(position, position), reply: (), form: Form::Effect };
            return Ok(if target <= position { Decision::Unchanged(()) } else { changed });
        }
        let stand = self.stand_as_primary(environment)?;
        let effect = advanced(stand.position, self.known_used(&stand));
        let position = stand.position.max(target);
        if target <= stand.safe && !stand.is_doubted {
            // Whoever refuses to acknowledge until the allocator stands there has to hear of it, even if it always did.
            let windowed = effect.advanced.map(|_| (self.kept.mark, stand.position));
            let effect = BlockEffect { windowed, issued: Some(issued(&stand, position, 0)), ..effect };
            let form = form(&effect);
            return Ok(Decision::Changed { effect, reply: (), form });
        }
        // Later ids lie beyond it from now on; whether it stays so is answered once the mark is safe.
        let pending = stand.pending.iter().find(|(mark, _)| *mark >= target);
        if let Some((_, ticket)) = pending.filter(|_| effect.advanced.is_none()) {
            return Ok(Decision::Wait { effect: None, wait: Wait::until(*ticket, self.uid(), 0) });
        }
        let raise = self.raise(&stand, target, false, environment);
        let issued = raise.issued.map(|issued| Issued { position, ..issued });
        let wait = Wait::until(environment.standing().next, self.uid(), 0);
        Ok(Decision::Wait { effect: Some(BlockEffect { windowed: raise.windowed, issued, ..effect }), wait })
    }

    /// Decides on keeping the mark of a time-sortable allocator ahead of the clock while nobody asks. The
    /// reply tells whether that is still wanted: it was used in this term, and not long ago.
    pub fn decide_keep<'a>(&self, environment: &'a impl Environment) -> Decision<BlockEffect<'a>, bool> {
        let (standing, now_ms) = (environment.standing(), environment.now_ms());
        let stand = self.volatile.window.stand(standing.term, standing.granted);
        let wanted = stand.filter(|_| self.is_kept() && self.volatile.window.is_used(now_ms));
        let Some(stand) = wanted else { return Decision::Unchanged(false) };
        let now = self.kept.clock.map_or(0, |clock| clock.ordinal(now_ms));
        if !self.is_due(&stand, stand.position.max(now)) {
            return Decision::Unchanged(true);
        }
        let effect = self.raise(&stand, 0, false, environment);
        Decision::Changed { effect, reply: true, form: Form::Effect }
    }

    /// Whether the mark is to be kept ahead of the clock.
    pub fn is_kept(&self) -> bool {
        self.kept.clock.is_some() && self.kept.fence != Policy::Off
    }

    /// What would be handed out next.
    pub(super) fn next_ordinal(&self, environment: &impl Environment) -> u64 {
        let position = match self.kept.fence {
            Policy::Off => self.volatile.window.position(),
            _ => self.stand(environment).position,
        };
        self.not_below_clock(position, environment)
    }

    fn not_below_clock(&self, position: u64, environment: &impl Environment) -> u64 {
        self.kept.clock.map_or(position, |clock| clock.ordinal(environment.now_ms()).max(position))
    }

    /// Where it stands in the present term; at its mark, as far as this node knows, where the term is new.
    pub(super) fn stand(&self, environment: &impl Environment) -> Stand<'_> {
        let standing = environment.standing();
        let stand = self.volatile.window.stand(standing.term, standing.granted).unwrap_or_else(|| {
            let known = environment.known_mark(self.uid()).unwrap_or(0);
            let mark = self.kept.mark.max(known).min(self.range().capacity());
            self.volatile.window.beginning(standing.term, mark, self.not_below_clock(self.kept.drawn, environment))
        });
        let is_doubted = standing.has_doubts && environment.is_doubted(self.uid());
        Stand { is_doubted, owed: if standing.owes { environment.owed(self.uid()) } else { 0 }, ..stand }
    }

    fn stand_as_primary(&self, environment: &impl Environment) -> Result<Stand<'_>, Error> {
        if environment.is_replica() { Err(Error::UnfencedReplica) } else { Ok(self.stand(environment)) }
    }

    /// The size of the present window.
    pub(super) fn window_size(&self) -> u64 {
        match (self.kept.fence, self.kept.clock) {
            (Policy::Fixed(size), None) => size,
            (Policy::Fixed(ms), Some(clock)) => clock.span(ms),
            (_, Some(clock)) => clock.span(crate::limits::CLOCK_WINDOW_MS),
            (_, None) => self.volatile.window.size().min(self.window_max(u64::MAX)),
        }
    }

    /// The largest window, as far as a short range allows.
    fn window_max(&self, configured: u64) -> u64 {
        configured.min(self.range().capacity() / WINDOW_SHARE).max(1)
    }

    /// Takes a run of ids, and says in `effect` what has to change with it.
    fn take(
        &self,
        asked: Asked,
        [count, at_least]: [u64; 2],
        effect: &mut BlockEffect<'_>,
        environment: &impl Environment,
    ) -> Result<Taken, Error> {
        if self.kept.fence == Policy::Off {
            let position = self.volatile.window.position();
            let (reserved, block) = self.run(position, count, at_least, environment)?;
            effect.at_ms = environment.now_ms();
            effect.low = self.becomes_low(position, reserved.end().unwrap_or(u64::MAX));
            return Ok(Taken::Now(reserved, block));
        }
        let stand = self.stand_as_primary(environment)?;
        if stand.is_doubted {
            return Err(environment.doubt());
        }
        let (reserved, block) = self.run(stand.position, count, at_least, environment)?;
        Ok(self.take_fenced(&stand, (asked, reserved, block), effect, environment))
    }

    /// The run of ids that begins at a position, or at the clock.
    fn run(
        &self,
        position: u64,
        count: u64,
        at_least: u64,
        environment: &impl Environment,
    ) -> Result<(Reserved, Block), Error> {
        let first = self.not_below_clock(position, environment);
        let left = self.range().capacity().saturating_sub(first);
        let exhausted = || Error::Exhausted { want: at_least, max: self.range().max(), left };
        if left < at_least {
            return Err(exhausted());
        }
        let reserved = Reserved { first, count: count.min(left) };
        Ok((reserved, self.range().block(reserved).ok_or_else(exhausted)?))
    }

    /// Below what is safe, nobody is asked. The mark is raised when less than a window is left of it.
    fn take_fenced(
        &self,
        stand: &Stand<'_>,
        (asked, reserved, block): (Asked, Reserved, Block),
        effect: &mut BlockEffect<'_>,
        environment: &impl Environment,
    ) -> Taken {
        let end = reserved.end().unwrap_or(u64::MAX);
        if end.saturating_add(stand.owed) <= stand.safe {
            let taken = Stand { position: end, ..*stand };
            let raise = self.is_due(&taken, end).then(|| self.raise(&taken, 0, false, environment));
            let raised = raise.as_ref().and_then(|raise| raise.issued).and_then(|issued| issued.raise);
            effect.at_ms = environment.now_ms();
            effect.low = self.becomes_low(stand.position, end);
            effect.windowed = raise.and_then(|raise| raise.windowed);
            effect.issued = Some(Issued { asked, raise: raised, ..issued(&taken, end, reserved.count) });
            return Taken::Now(reserved, block);
        }
        // Those who wait already come first; meanwhile others may take all that is safe before, and the clock goes on.
        let standing = environment.standing();
        let gone_by = self.kept.clock.map_or(0, |clock| clock.span(standing.wait_ms).min(self.window_size()));
        let wanted = environment.parked(self.uid()).saturating_add(reserved.count).saturating_add(gone_by);
        let claimed = |before: u64| before.max(reserved.first).saturating_add(wanted).min(self.range().capacity());
        let before = std::iter::once(stand.safe).chain(stand.pending.iter().map(|(mark, _)| *mark));
        match stand.pending.iter().zip(before).find(|((mark, _), before)| *mark >= claimed(*before)) {
            Some(((_, ticket), _)) => Taken::Later(false, Wait::until(*ticket, self.uid(), reserved.count)),
            None => {
                *effect = self.raise(stand, claimed(0), true, environment);
                Taken::Later(true, Wait::until(standing.next, self.uid(), reserved.count))
            }
        }
    }

    /// Whether less than a window lies between `end` and the mark that was raised last; half a window
    /// where windows are time.
    fn is_due(&self, stand: &Stand<'_>, end: u64) -> bool {
        let size = if self.kept.clock.is_some() { self.window_size() / 2 } else { self.window_size() };
        stand.top < self.range().capacity() && stand.top.saturating_sub(end) < size
    }

    /// The effect that raises the mark by a window, and beyond `claimed`, also if others take all that was raised before.
    fn raise(
        &self,
        stand: &Stand<'_>,
        claimed: u64,
        stalled: bool,
        environment: &impl Environment,
    ) -> BlockEffect<'static> {
        let (now_ms, standing) = (environment.now_ms(), environment.standing());
        let growth = Growth { now_ms, size_max: self.window_max(standing.window_max), stalled };
        let size = self.volatile.window.next_size(self.kept.fence, self.kept.clock, stand, growth);
        let next = self.not_below_clock(stand.position, environment);
        let begin = if self.kept.clock.is_some() { next } else { stand.top };
        let windowed = begin.max(claimed).saturating_add(size);
        let overtaken = claimed.saturating_add(stand.top.saturating_sub(next));
        let mark = [windowed, overtaken, stand.top].into_iter().fold(self.kept.mark, u64::max);
        let mark = mark.min(self.range().capacity());
        BlockEffect {
            at_ms: now_ms,
            low: self.becomes_low(self.known_used(stand), stand.position),
            windowed: Some((mark, stand.position)),
            issued: Some(Issued { raise: Some((standing.next, size)), ..issued(stand, stand.position, 0) }),
            ..BlockEffect::default()
        }
    }

    /// Up to where ids are known to be used. At the beginning of a term, some between there and the mark are skipped.
    fn known_used(&self, stand: &Stand<'_>) -> u64 {
        if stand.has_begun { stand.position } else { self.kept.drawn }
    }

    fn becomes_low(&self, position: u64, end: u64) -> bool {
        !self.is_low(position) && self.is_low(end)
    }

    /// Whether nine tenths of the range lie before an ordinal.
    pub(super) fn is_low(&self, ordinal: u64) -> bool {
        let used = u128::from(ordinal).saturating_mul(LOW_DENOMINATOR);
        used >= u128::from(self.range().capacity()).saturating_mul(LOW_NUMERATOR)
    }
}

fn issued(stand: &Stand<'_>, position: u64, count: u64) -> Issued {
    let Stand { term, safe, lost, .. } = *stand;
    Issued { term, position, safe, count, asked: Asked::default(), raise: None, lost }
}

/// Ids below a safe mark are nobody's business but this process's, unless something else comes with them.
fn form(effect: &BlockEffect<'_>) -> Form {
    let told = effect.reserved.is_some() || effect.raised.is_some() || effect.windowed.is_some();
    if told || effect.pinned.is_some() { Form::Effect } else { Form::Nowhere }
}
