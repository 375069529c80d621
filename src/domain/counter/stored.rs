//! A counter as sections.

use super::Counter;
use crate::bounds::Bounds;
use crate::stored::{Stored, Tag, section};
use crate::wire::{Corrupt, put_i64};

impl Stored for Counter {
    fn sections(&self, each: &mut dyn FnMut(&[u8])) {
        section(Tag::Core, |out| put_i64(out, self.value), each);
        let Some(extras) = &self.extras else { return };
        if extras.bounds != Bounds::NONE {
            section(Tag::Bounds, |out| extras.bounds.put(out), each);
        }
        extras.holds.sections(&mut |holds| section(Tag::Holds, |out| out.extend(holds), each));
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
            Tag::Bounds if extras.bounds == Bounds::NONE && extras.holds.is_empty() && extras.ledger.is_new() => {
                let bounds = Bounds::take(&mut body)?;
                bounds.admit(value, extras.holds.sums(0)).map_err(|_| OUTSIDE)?;
                if bounds == Bounds::NONE {
                    return Err(Corrupt("bounds that bound nothing"));
                }
                extras.bounds = bounds;
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

const OUTSIDE: Corrupt = Corrupt("the value with its holds lies outside of its bounds");
