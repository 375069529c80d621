//! `idblock--`: an allocator of id ranges.

use crate::host::{Handle, ValueType};
use std::ffi::CStr;
use tallybook_domain::effect::BlockEffect;
use tallybook_domain::error::Kind;
use tallybook_domain::idblock::IdBlock;
use tallybook_domain::wire::Corrupt;

static HANDLE: Handle = Handle::new();

impl ValueType for IdBlock {
    const NAME: &'static CStr = c"idblock--";
    const ENCODING: i32 = 0;
    const KIND: Kind = Kind::IdBlock;
    const EFFECT_COMMAND: &'static CStr = c"idblock.effect";
    type Effect<'a> = BlockEffect<'a>;

    fn handle() -> &'static Handle {
        &HANDLE
    }

    fn create(effect: &BlockEffect<'_>) -> Result<Self, Corrupt> {
        IdBlock::create(effect)
    }

    fn apply(&mut self, effect: &BlockEffect<'_>) -> Result<(), Corrupt> {
        IdBlock::apply(self, effect)
    }

    fn event(effect: &BlockEffect<'_>) -> &'static CStr {
        match effect {
            BlockEffect { created: Some(_), .. } => c"idblock.create",
            BlockEffect { reserved: Some(_), .. } => c"idblock.reserve",
            _ => c"idblock.next",
        }
    }

    fn copy(&self, database: u32, name: &[u8]) -> Self {
        IdBlock::copy(self, database, name)
    }

    fn memory(&self) -> usize {
        IdBlock::memory(self)
    }

    fn allocations(&self) -> usize {
        IdBlock::allocations(self)
    }
}
