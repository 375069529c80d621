//! `idblock--`: an allocator of id ranges.

use crate::host::{Handle, ValueType};
use std::ffi::CStr;
use tallybook_domain::effect::BlockEffect;
use tallybook_domain::error::Kind;
use tallybook_domain::fence::Uid;
use tallybook_domain::idblock::{Asked, IdBlock, Issued, Next};
use tallybook_domain::info::Extent;
use tallybook_domain::memory::{BlockSize, Mover};
use tallybook_domain::retry::Verb;
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

    fn events(effect: &BlockEffect<'_>) -> [Option<&'static CStr>; 2] {
        let event = match effect {
            effect if effect.created().is_some() => Some(c"idblock.create"),
            BlockEffect { codes: true, .. } => Some(c"idblock.codes"),
            BlockEffect { reserved: Some(_), .. } => Some(c"idblock.reserve"),
            BlockEffect { advanced: Some(_), .. } => Some(c"idblock.advance"),
            // Under a fence, what is told to nobody else.
            BlockEffect { issued: Some(Issued { count: 1.., asked, .. }), .. } => match asked {
                Asked::Reserve => Some(c"idblock.reserve"),
                Asked::Codes => Some(c"idblock.codes"),
                Asked::Next => Some(c"idblock.next"),
            },
            // What others know by its token alone.
            BlockEffect { pinned: Some(pinned), .. } if pinned.fingerprint != Next.fingerprint() => {
                Some(c"idblock.reserve")
            }
            // A mark that rises ahead of need, or an ADVANCE to where it stands.
            BlockEffect { raised: None, pinned: None, .. } => None,
            _ => Some(c"idblock.next"),
        };
        [event, effect.low.then_some(c"idblock.low")]
    }

    fn warning(effect: &BlockEffect<'_>) -> Option<&'static str> {
        effect.low.then_some("nine tenths of its ids are used; see IDBLOCK.INFO")
    }

    fn mark(&self) -> Option<(Uid, u64)> {
        self.fenced_mark().map(|mark| (*self.uid(), mark))
    }

    fn stood_by(&self, effect: &BlockEffect<'_>) -> Option<(Uid, Option<u64>, u64)> {
        let Issued { raise, count, position, .. } = effect.issued?;
        let (uid, mark) = self.mark()?;
        (raise.is_some() || count == 0).then_some((uid, raise.map(|_| mark), position))
    }

    fn is_kept_ahead(&self) -> bool {
        self.is_kept()
    }

    fn id_below(&self, ordinal: u64) -> Option<i64> {
        self.range().id(ordinal.checked_sub(1)?)
    }

    fn catch_up(&mut self, mark: u64) {
        IdBlock::catch_up(self, mark);
    }

    fn copy(&self, database: u32, name: &[u8]) -> Self {
        IdBlock::copy(self, database, name)
    }

    fn extent(&self) -> Extent {
        IdBlock::extent(self)
    }

    fn memory(&self, block: BlockSize) -> usize {
        IdBlock::memory(self, block)
    }

    fn allocations(&self) -> usize {
        IdBlock::allocations(self)
    }

    fn relocate(&mut self, mover: &mut impl Mover) {
        IdBlock::relocate(self, mover);
    }
}
