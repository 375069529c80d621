//! A counter as sections.

use super::{Counter, Extras};
use crate::bounds::Bounds;
use crate::shards::Shards;
use crate::stored::{Stored, Tag, section};
use crate::wire::{Corrupt, put_i64, put_u64};

impl Stored for Counter {
    fn sections(&self, each: &mut dyn FnMut(Vec<u8>)) {
        section(Tag::Core, |out| put_i64(out, self.value), each);
        let Some(extras) = &self.extras else { return };
        if extras.bounds != Bounds::NONE {
            section(Tag::Bounds, |out| extras.bounds.put(out), each);
        }
        if let Some(shards) = extras.shards {
            section(Tag::Shards, |out| put_u64(out, shards.count().into()), each);
        }
        for holds in extras.holds.sections() {
            section(Tag::Holds, |out| out.extend(holds), each);
        }
        extras.ledger.sections(each);
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
        let value = i128::from(self.value);
        let extras = self.extras_mut();
        match tag {
            Tag::Bounds if extras.is_begun() && extras.bounds == Bounds::NONE => {
                let bounds = Bounds::take(&mut body)?;
                bounds.admit(value, extras.holds.sums(0)).map_err(|_| OUTSIDE)?;
                if bounds == Bounds::NONE {
                    return Err(Corrupt("bounds that bound nothing"));
                }
                extras.bounds = bounds;
                body.finish()?;
            }
            Tag::Shards if extras.is_begun() && extras.bounds == Bounds::NONE => {
                extras.shards = Some(Shards::new(body.u64()?).ok_or(Corrupt("no such number of shards"))?);
                body.finish()?;
            }
            Tag::Holds if extras.ledger.is_new() => {
                extras.holds.push_section(body.rest())?;
                extras.bounds.admit(value, extras.holds.sums(0)).map_err(|_| OUTSIDE)?;
            }
            _ => return extras.ledger.push_section(tag, body),
        }
        Ok(())
    }
}

impl Extras {
    /// Whether nothing has come yet but what comes first: bounds or shards.
    fn is_begun(&self) -> bool {
        self.shards.is_none() && self.holds.is_empty() && self.ledger.is_new()
    }
}

const OUTSIDE: Corrupt = Corrupt("the value with its holds lies outside of its bounds");
