//! The effects of counters.

use super::{
    Effect, Expiry, Pinned, Stamp, put_expiry, put_limits, put_log, put_pinned, put_stamp, tag, take_expiry,
    take_limits, take_log, take_pinned, take_stamp,
};
use crate::audit::Retention;
use crate::bounds::Bounds;
use crate::hold::Hold;
use crate::idempotency::Limits;
use crate::shards::Shards;
use crate::wire::{Corrupt, Reader, put_i64, put_u64};

/// A counter comes into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterCreated {
    /// Its first value.
    pub initial: i64,
    /// Whether by `SCOUNTER.CREATE`, or by a write in passing.
    pub explicitly: bool,
}

/// What happened to the value of a counter, or to what is held of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// This was added to the value.
    Added(i64),
    /// The value became this.
    Set(i64),
    /// An amount was set aside.
    Held(Hold),
    /// An amount of a hold went into the value; the rest of it went back.
    Committed {
        /// The hold.
        id: u64,
        /// How much of it.
        amount: i64,
    },
    /// A hold went back.
    Released {
        /// The hold.
        id: u64,
    },
}

/// How a counter is made or altered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setup {
    /// The counter comes into being.
    pub created: Option<CounterCreated>,
    /// New bounds.
    pub bounds: Option<Bounds>,
    /// New retention of the log, or `Some(None)`: no log any more.
    pub log: Option<Option<Retention>>,
    /// New limits of its tokens.
    pub limits: Option<Limits>,
    /// How many shards it has from now on.
    pub shards: Option<Shards>,
}

/// One effect on one counter. The parts are applied in this order. What is rare is behind a pointer:
/// an increment makes an effect, and hands it on, for each call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CounterEffect<'a> {
    /// When it was decided on, in Unix milliseconds.
    pub at_ms: u64,
    /// How it is made or altered.
    pub setup: Option<Box<Setup>>,
    /// Holds that are past their deadline have expired.
    pub due: bool,
    /// What happened.
    pub changed: Option<Changed>,
    /// The entry that it leaves in the log. There is one exactly where there is a log.
    pub stamp: Option<Stamp<'a>>,
    /// The token that stands for it.
    pub pinned: Option<Pinned<'a>>,
    /// What becomes of the expiry of the key.
    pub expiry: Option<Expiry>,
}

impl CounterEffect<'_> {
    /// The counter comes into being.
    pub fn created(&self) -> Option<CounterCreated> {
        self.setup.as_ref().and_then(|setup| setup.created)
    }

    /// New retention of the log, or `Some(None)`: no log any more.
    pub fn log(&self) -> Option<Option<Retention>> {
        self.setup.as_ref().and_then(|setup| setup.log)
    }

    fn setup_mut(&mut self) -> &mut Setup {
        self.setup.get_or_insert_default()
    }

    /// Whether a plain counter stays one.
    pub(crate) fn concerns_value_only(&self) -> bool {
        let held = matches!(self.changed, Some(Changed::Held(_)));
        let plain = self.setup.as_ref().is_none_or(|setup| {
            let Setup { created: _, bounds, log, limits, shards } = &**setup;
            bounds.is_none() && log.flatten().is_none() && limits.is_none() && shards.is_none()
        });
        plain && self.stamp.is_none() && self.pinned.is_none() && !held
    }
}

impl<'a> Effect<'a> for CounterEffect<'a> {
    fn at(at_ms: u64) -> Self {
        CounterEffect { at_ms, ..CounterEffect::default() }
    }

    fn at_ms(&self) -> u64 {
        self.at_ms
    }

    fn put_parts(&self, out: &mut Vec<u8>) {
        if let Some(setup) = &self.setup {
            put_setup(setup, out);
        }
        if self.due {
            out.push(tag::DUE);
        }
        put_changed(self.changed, out);
        put_stamp(self.stamp.as_ref(), out);
        put_pinned(self.pinned.as_ref(), out);
        put_expiry(self.expiry, out);
    }

    fn take_part(&mut self, tag: u8, reader: &mut Reader<'a>) -> Result<(), Corrupt> {
        match tag {
            tag::CREATED => {
                let initial = reader.i64()?;
                let explicitly = match reader.u8()? {
                    0 => false,
                    1 => true,
                    _ => return Err(Corrupt("created by CREATE or in passing")),
                };
                self.setup_mut().created = Some(CounterCreated { initial, explicitly });
            }
            tag::BOUNDS => self.setup_mut().bounds = Some(Bounds::take(reader)?),
            tag::LOG => self.setup_mut().log = Some(take_log(reader)?),
            tag::LIMITS => self.setup_mut().limits = Some(take_limits(reader)?),
            tag::SHARDS => self.setup_mut().shards = Some(take_shards(reader)?),
            tag::DUE => self.due = true,
            tag::ADDED..=tag::RELEASED if self.changed.is_some() => return Err(Corrupt("two changes in one effect")),
            tag::ADDED..=tag::RELEASED => self.changed = Some(take_changed(tag, reader)?),
            tag::STAMP => self.stamp = Some(take_stamp(reader)?),
            tag::TOKEN => self.pinned = Some(take_pinned(reader)?),
            tag::EXPIRY => self.expiry = Some(take_expiry(reader)?),
            _ => return Err(Corrupt("unknown part of a counter's effect")),
        }
        Ok(())
    }

    fn stamp_mut(&mut self) -> Option<&mut Stamp<'a>> {
        self.stamp.as_mut()
    }

    fn expiry(&self) -> Option<Expiry> {
        self.expiry
    }
}

fn put_setup(setup: &Setup, out: &mut Vec<u8>) {
    if let Some(created) = &setup.created {
        out.push(tag::CREATED);
        put_i64(out, created.initial);
        out.push(u8::from(created.explicitly));
    }
    if let Some(bounds) = &setup.bounds {
        out.push(tag::BOUNDS);
        bounds.put(out);
    }
    put_log(setup.log, out);
    put_limits(setup.limits, out);
    if let Some(shards) = setup.shards {
        out.push(tag::SHARDS);
        put_u64(out, shards.count().into());
    }
}

fn take_shards(reader: &mut Reader<'_>) -> Result<Shards, Corrupt> {
    Shards::new(reader.u64()?).ok_or(Corrupt("no such number of shards"))
}

fn put_changed(changed: Option<Changed>, out: &mut Vec<u8>) {
    match changed {
        None => {}
        Some(Changed::Added(delta)) => {
            out.push(tag::ADDED);
            put_i64(out, delta);
        }
        Some(Changed::Set(value)) => {
            out.push(tag::SET);
            put_i64(out, value);
        }
        Some(Changed::Held(Hold { id, amount, deadline_ms })) => {
            out.push(tag::HELD);
            put_u64(out, id);
            put_i64(out, amount);
            put_u64(out, deadline_ms);
        }
        Some(Changed::Committed { id, amount }) => {
            out.push(tag::COMMITTED);
            put_u64(out, id);
            put_i64(out, amount);
        }
        Some(Changed::Released { id }) => {
            out.push(tag::RELEASED);
            put_u64(out, id);
        }
    }
}

fn take_changed(tag: u8, reader: &mut Reader<'_>) -> Result<Changed, Corrupt> {
    Ok(match tag {
        tag::ADDED => Changed::Added(reader.i64()?),
        tag::SET => Changed::Set(reader.i64()?),
        tag::HELD => {
            let (id, amount) = (reader.u64()?, reader.i64()?);
            Changed::Held(Hold { id, amount, deadline_ms: reader.time_ms()? })
        }
        tag::COMMITTED => Changed::Committed { id: reader.u64()?, amount: reader.i64()? },
        tag::RELEASED => Changed::Released { id: reader.u64()? },
        _ => return Err(Corrupt("unknown change of a counter")),
    })
}
