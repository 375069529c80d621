//! An allocator as sections.

use super::{Clock, IdBlock, Kept, Policy, Range};
use crate::ledger::Ledger;
use crate::permutation::Codes;
use crate::stored::{Stored, Tag, section};
use crate::wire::{Corrupt, put_i64, put_u64};

impl Stored for IdBlock {
    fn sections(&self, each: &mut dyn FnMut(Vec<u8>)) {
        let Kept { uid, range, mark, drawn, fence, clock, codes, ledger } = &self.kept;
        let core = |out: &mut Vec<u8>| {
            out.extend(uid);
            put_i64(out, range.start());
            put_u64(out, range.increment());
            put_i64(out, range.max());
            put_u64(out, *mark);
            fence.put(out);
            if *fence != Policy::Off {
                put_u64(out, *drawn);
            }
        };
        section(Tag::Core, core, each);
        if let Some(clock) = clock {
            section(Tag::Clock, |out| clock.put(out), each);
        }
        if let Some(codes) = codes {
            section(Tag::Codes, |out| codes.put(out), each);
        }
        ledger.sections(each);
    }

    fn from_core(core: &[u8]) -> Result<Self, Corrupt> {
        let (tag, mut body) = Tag::split(core)?;
        if tag != Tag::Core {
            return Err(Corrupt("the first section is not the core"));
        }
        let uid = body.array()?;
        let (start, increment, max) = (body.i64()?, body.u64()?, body.i64()?);
        let range = Range::new(start, increment, max).map_err(|_| Corrupt("no such range"))?;
        let mark = body.u64()?;
        if mark > range.capacity() {
            return Err(Corrupt("the mark lies past the end of the sequence"));
        }
        let fence = Policy::take(&mut body)?;
        let drawn = if fence == Policy::Off { mark } else { body.u64()? };
        if drawn > mark {
            return Err(Corrupt("ids handed out above the mark"));
        }
        body.finish()?;
        Ok(IdBlock::new(Kept { uid, range, mark, drawn, fence, clock: None, codes: None, ledger: Ledger::default() }))
    }

    fn push_section(&mut self, section: &[u8]) -> Result<(), Corrupt> {
        let (tag, mut body) = Tag::split(section)?;
        match tag {
            Tag::Clock if self.is_core() => {
                self.kept.clock = Some(Clock::take(&mut body)?);
                body.finish()
            }
            Tag::Codes if self.is_core() => {
                let codes = Codes::take(&mut body)?;
                if self.kept.range.capacity() > codes.space() {
                    return Err(Corrupt("the sequence does not end with its codes"));
                }
                self.kept.codes = Some(Box::new(codes));
                body.finish()
            }
            _ => {
                self.kept.ledger.push_section(tag, body)?;
                match self.log() {
                    Some(log) if log.reached() > self.kept.mark => Err(Corrupt("logged ids above the mark")),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl IdBlock {
    /// Whether nothing but the core has come yet. A clock excludes codes.
    fn is_core(&self) -> bool {
        self.kept.clock.is_none() && self.kept.codes.is_none() && self.kept.ledger.is_new()
    }
}
