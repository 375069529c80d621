//! `scounter-`: a counter.

use crate::host::{Handle, ValueType};
use std::ffi::CStr;
use tallybook_domain::counter::Counter;
use tallybook_domain::effect::{Changed, CounterEffect};
use tallybook_domain::error::Kind;
use tallybook_domain::info::Extent;
use tallybook_domain::memory::{BlockSize, Mover};
use tallybook_domain::wire::Corrupt;

static HANDLE: Handle = Handle::new();

impl ValueType for Counter {
    const NAME: &'static CStr = c"scounter-";
    const ENCODING: i32 = 0;
    const KIND: Kind = Kind::Counter;
    const EFFECT_COMMAND: &'static CStr = c"scounter.effect";
    type Effect<'a> = CounterEffect<'a>;

    fn handle() -> &'static Handle {
        &HANDLE
    }

    fn create(effect: &CounterEffect<'_>) -> Result<Self, Corrupt> {
        Counter::create(effect)
    }

    fn apply(&mut self, effect: &CounterEffect<'_>) -> Result<(), Corrupt> {
        Counter::apply(self, effect)
    }

    fn events(effect: &CounterEffect<'_>) -> [Option<&'static CStr>; 2] {
        let event = match effect.changed {
            Some(Changed::Added(_)) => c"scounter.incr",
            Some(Changed::Set(_)) => c"scounter.set",
            Some(Changed::Held(_)) => c"scounter.hold",
            Some(Changed::Committed { .. }) => c"scounter.commit",
            Some(Changed::Released { .. }) => c"scounter.release",
            None if effect.created().is_some() => c"scounter.create",
            None => c"scounter.alter",
        };
        [effect.due.then_some(c"scounter.hold-expired"), Some(event)]
    }

    fn copy(&self, _database: u32, _name: &[u8]) -> Self {
        self.clone()
    }

    fn extent(&self) -> Extent {
        Counter::extent(self)
    }

    fn memory(&self, block: BlockSize) -> usize {
        Counter::memory(self, block)
    }

    fn allocations(&self) -> usize {
        Counter::allocations(self)
    }

    fn relocate(&mut self, mover: &mut impl Mover) {
        Counter::relocate(self, mover);
    }
}
