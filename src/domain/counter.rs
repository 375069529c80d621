//! A counter: a signed 64-bit value, and what may be stored beside it.
//!
//! A plain counter is two words. Everything else lives behind one pointer, so that a million plain
//! counters do not pay for features that they do not use.

use crate::audit::{CounterChange, CounterOp, Entry, Log, Retention};
use crate::bounds::Bounds;
use crate::decision::{Decision, Form};
use crate::effect::{CounterCreated, CounterEffect, Stamp};
use crate::environment::Environment;
use crate::error::{Error, Kind};
use crate::stored::{Stored, Tag, log_sections, push_log_section, section};
use crate::wire::{Corrupt, put_i64, put_u64};

/// `SCOUNTER.INCR` and `SCOUNTER.DECR`: add `delta`.
#[derive(Debug, Clone, Copy)]
pub struct Add<'a> {
    /// What to add.
    pub delta: i64,
    /// Why, for the log. Empty: not said.
    pub note: &'a [u8],
}

/// `SCOUNTER.CREATE`.
#[derive(Debug, Clone, Copy)]
pub struct Create {
    /// An existing counter is no error.
    pub nx: bool,
    /// The first value.
    pub initial: i64,
    /// The bounds.
    pub bounds: Bounds,
    /// The log, if it is to have one. Not said: as configured.
    pub log: Option<Option<Retention>>,
}

/// A counter.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    value: i64,
    extras: Option<Box<Extras>>,
}

/// What a plain counter does not have.
#[derive(Debug, Clone, PartialEq, Default)]
struct Extras {
    created_ms: Option<u64>,
    bounds: Bounds,
    log: Option<Log<CounterChange>>,
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

    /// The log, where there is one.
    pub fn log(&self) -> Option<&Log<CounterChange>> {
        self.extras.as_ref().and_then(|extras| extras.log.as_ref())
    }

    /// Whether nothing but the value takes part in an increment.
    fn is_plain(&self) -> bool {
        self.extras.as_ref().is_none_or(|extras| extras.bounds == Bounds::NONE && extras.log.is_none())
    }

    fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }

    /// Decides on an increment. A missing counter starts at 0; adding 0 changes nothing.
    pub fn decide_add<'a>(
        counter: Option<&Counter>,
        request: &Add<'a>,
        environment: &'a impl Environment,
    ) -> Result<Decision<CounterEffect<'a>, i64>, Error> {
        let before = counter.map_or(0, Counter::value);
        let delta = request.delta;
        let after = before.checked_add(delta).ok_or(Error::Overflow { value: before, delta })?;
        counter.map_or(Bounds::NONE, Counter::bounds).admit(after)?;
        if delta == 0 {
            return Ok(Decision::Unchanged(before));
        }
        let mut effect = CounterEffect { added: Some(delta), ..CounterEffect::default() };
        let Some(counter) = counter else {
            effect.created = Some(CounterCreated { initial: 0, at_ms: None });
            effect.log = environment.log_default().map(Some);
            effect.stamp = effect.log.map(|_| Stamp::new(None::<&Log<CounterChange>>, request.note, environment));
            return Ok(Decision::Changed { effect, reply: after, form: Form::Effect });
        };
        effect.stamp = counter.log().map(|log| Stamp::new(Some(log), request.note, environment));
        let form = if counter.is_plain() && request.note.is_empty() { Form::Request } else { Form::Effect };
        Ok(Decision::Changed { effect, reply: after, form })
    }

    /// Decides on a creation. The reply tells whether a counter was made.
    pub fn decide_create<'a>(
        counter: Option<&Counter>,
        request: &Create,
        environment: &'a impl Environment,
    ) -> Result<Decision<CounterEffect<'a>, bool>, Error> {
        match counter {
            Some(_) if request.nx => return Ok(Decision::Unchanged(false)),
            Some(_) => return Err(Error::BusyKey(Kind::Counter)),
            None => request.bounds.admit(request.initial)?,
        }
        let retention = request.log.unwrap_or_else(|| environment.log_default());
        let effect = CounterEffect {
            created: Some(CounterCreated { initial: request.initial, at_ms: Some(environment.now_ms()) }),
            bounds: Some(request.bounds).filter(|bounds| *bounds != Bounds::NONE),
            log: retention.map(Some),
            added: None,
            stamp: retention.map(|_| Stamp::new(None::<&Log<CounterChange>>, b"", environment)),
        };
        Ok(Decision::Changed { effect, reply: true, form: Form::Effect })
    }

    /// The counter that an effect makes where none stood.
    pub fn create(effect: &CounterEffect<'_>) -> Result<Self, Corrupt> {
        let created = effect.created.ok_or(Corrupt("the counter does not exist"))?;
        let mut counter = Counter::plain(created.initial);
        if created.at_ms.is_some() {
            counter.extras_mut().created_ms = created.at_ms;
        }
        counter.change(effect)?;
        Ok(counter)
    }

    /// Applies an effect to a counter that stands. On an error nothing was changed.
    pub fn apply(&mut self, effect: &CounterEffect<'_>) -> Result<(), Corrupt> {
        if effect.created.is_some() {
            return Err(Corrupt("the counter exists already"));
        }
        self.change(effect)
    }

    fn change(&mut self, effect: &CounterEffect<'_>) -> Result<(), Corrupt> {
        let delta = effect.added.unwrap_or(0);
        let value = self.value.checked_add(delta).ok_or(Corrupt("the value would pass 64 bits"))?;
        let bounds = effect.bounds.unwrap_or(self.bounds());
        bounds.admit(value).map_err(|_| Corrupt("the value would pass a bound"))?;
        let will_log = effect.log.map_or(self.log().is_some(), |log| log.is_some());
        if will_log != effect.stamp.is_some() {
            return Err(Corrupt("a log entry exactly where there is a log"));
        }
        let last = self.log().map(Log::last_id).filter(|_| effect.log.is_none());
        if effect.stamp.is_some_and(|stamp| last.is_some_and(|last| stamp.id <= last)) {
            return Err(Corrupt("the log entry would not be the newest"));
        }
        // From here on the change must succeed.
        self.value = value;
        if let Some(bounds) = effect.bounds {
            self.extras_mut().bounds = bounds;
        }
        if let Some(log) = effect.log {
            self.extras_mut().log = log.map(Log::new);
        }
        let Some(stamp) = effect.stamp else { return Ok(()) };
        let op = if effect.added.is_some() { CounterOp::Incr } else { CounterOp::Create };
        let delta = if effect.added.is_some() { delta } else { value };
        let change = CounterChange { op, delta: i128::from(delta), value };
        let Stamp { id, user, client, note } = stamp;
        let log = self.extras.as_mut().and_then(|extras| extras.log.as_mut());
        log.map_or(Ok(()), |log| log.append(&Entry { id, change, user, client, note }))
    }

    /// Bytes on the heap, the counter itself included.
    pub fn memory(&self) -> usize {
        let log = self.log().map_or(0, Log::memory);
        let extras = self.extras.as_ref().map_or(0, |_| size_of::<Extras>());
        size_of::<Self>().saturating_add(extras).saturating_add(log)
    }

    /// How many pieces there are to free.
    pub fn allocations(&self) -> usize {
        self.log().map_or(1, Log::allocations)
    }
}

impl Stored for Counter {
    fn sections(&self, each: &mut dyn FnMut(&[u8])) {
        section(Tag::Core, |out| put_i64(out, self.value), each);
        let Some(extras) = &self.extras else { return };
        if let Some(created_ms) = extras.created_ms {
            section(Tag::Created, |out| put_u64(out, created_ms), each);
        }
        if extras.bounds != Bounds::NONE {
            section(Tag::Bounds, |out| extras.bounds.put(out), each);
        }
        log_sections(extras.log.as_ref(), each);
    }

    fn from_core(core: &[u8]) -> Result<Self, Corrupt> {
        let (tag, mut body) = Tag::split(core)?;
        if tag != Tag::Core {
            return Err(Corrupt("the first section is not the core"));
        }
        let counter = Counter::plain(body.i64()?);
        body.finish()?;
        Ok(counter)
    }

    fn push_section(&mut self, section: &[u8]) -> Result<(), Corrupt> {
        let (tag, mut body) = Tag::split(section)?;
        let value = self.value;
        let extras = self.extras_mut();
        match tag {
            Tag::Created if extras.created_ms.is_none() => extras.created_ms = Some(body.u64()?),
            Tag::Bounds if extras.bounds == Bounds::NONE => {
                let bounds = Bounds::take(&mut body)?;
                bounds.admit(value).map_err(|_| Corrupt("the value lies outside of its bounds"))?;
                extras.bounds = bounds;
            }
            Tag::Log | Tag::LogChunk => return push_log_section(&mut extras.log, tag, body.rest()),
            _ => return Err(Corrupt("a section that a counter does not have, or has already")),
        }
        body.finish()
    }
}
