//! What a key of either type keeps beside its value: when it was made, its log, its tokens.

use crate::audit::{Change, Log, Retention};
use crate::effect::{Pinned, Stamp};
use crate::environment::Moment;
use crate::idempotency::{Limits, Tokens};
use crate::info::{Extent, Field, Fields};
use crate::limits::TOKEN_LIMITS_DEFAULT;
use crate::memory::{BlockSize, Mover};
use crate::stored::{Tag, section};
use crate::wire::{Corrupt, Reader, put_u64};

/// Created, log and tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger<C: Change> {
    created_ms: Option<u64>,
    log: Option<Log<C>>,
    tokens: Option<Tokens>,
}

/// The parts of an effect that concern the ledger.
#[derive(Debug, Clone, Copy)]
pub struct Posting<'e, 'a> {
    /// When it was decided on.
    pub at_ms: u64,
    /// New retention of the log, or `Some(None)`: no log any more.
    pub log: Option<&'e Option<Retention>>,
    /// New limits of the tokens.
    pub limits: Option<&'e Limits>,
    /// The entry that it leaves.
    pub stamp: Option<&'e Stamp<'a>>,
    /// The token that stands for it.
    pub pinned: Option<&'e Pinned<'a>>,
}

impl<C: Change> Default for Ledger<C> {
    fn default() -> Self {
        Ledger { created_ms: None, log: None, tokens: None }
    }
}

impl<C: Change> Ledger<C> {
    /// The ledger of a key that CREATE makes.
    pub fn created(at_ms: u64) -> Self {
        Ledger { created_ms: Some(at_ms), ..Ledger::default() }
    }

    /// The log, where there is one.
    pub fn log(&self) -> Option<&Log<C>> {
        self.log.as_ref()
    }

    /// The tokens, where there ever were any.
    pub fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// The limits of the tokens.
    pub fn token_limits(&self) -> Limits {
        self.tokens().map_or(TOKEN_LIMITS_DEFAULT, Tokens::limits)
    }

    /// Whether a change leaves anything in it.
    pub fn is_idle(&self) -> bool {
        self.log.is_none() && self.tokens.is_none()
    }

    /// When and by whom the key was changed last: by its log, or where it has none, when by its tokens.
    pub fn moment(&self) -> Option<Moment<'_>> {
        let by_tokens = |tokens: &Tokens| Moment { at_ms: tokens.latest_ms(), ..Moment::default() };
        self.log.as_ref().map_or_else(|| self.tokens().map(by_tokens), Log::moment)
    }

    /// Whether `post` would succeed with this change.
    pub fn check(&self, posting: &Posting<'_, '_>, change: C) -> Result<(), Corrupt> {
        let &Posting { at_ms, log, stamp, pinned, .. } = posting;
        let will_log = log.map_or(self.log.is_some(), Option::is_some);
        if stamp.is_some() && !will_log {
            return Err(Corrupt("a log entry where there is no log"));
        }
        if let (Some(stamp), Some(log)) = (stamp, &self.log) {
            log.check(&stamp.entry(log, at_ms, change)?)?;
        }
        match (pinned, self.tokens()) {
            (Some(pinned), Some(tokens)) => tokens.check(&pinned.token, &pinned.reply, at_ms),
            (Some(pinned), None) => Tokens::new(TOKEN_LIMITS_DEFAULT).check(&pinned.token, &pinned.reply, at_ms),
            (None, _) => Ok(()),
        }
    }

    /// Takes over new options.
    pub fn set_options(&mut self, posting: &Posting<'_, '_>) {
        match (posting.log, &mut self.log) {
            (None, _) => {}
            (Some(None), log) => *log = None,
            (Some(Some(retention)), Some(log)) => log.set_retention(*retention),
            (Some(Some(retention)), log) => *log = Some(Log::new(*retention)),
        }
        if let Some(limits) = posting.limits {
            self.tokens_mut().set_limits(*limits, posting.at_ms);
        }
    }

    /// Writes an entry, where there is a log.
    pub fn append(&mut self, stamp: Option<&Stamp<'_>>, at_ms: u64, change: C) -> Result<(), Corrupt> {
        match (stamp, &mut self.log) {
            (Some(stamp), Some(log)) => log.append(&stamp.entry(log, at_ms, change)?),
            _ => Ok(()),
        }
    }

    /// Remembers a token.
    pub fn pin(&mut self, pinned: Option<&Pinned<'_>>, at_ms: u64) {
        if let Some(pinned) = pinned {
            self.tokens_mut().remember(&pinned.token, pinned.fingerprint, &pinned.reply, at_ms);
        }
    }

    fn tokens_mut(&mut self) -> &mut Tokens {
        self.tokens.get_or_insert_with(|| Tokens::new(TOKEN_LIMITS_DEFAULT))
    }

    /// Its sections.
    pub fn sections(&self, each: &mut dyn FnMut(Vec<u8>)) {
        if let Some(created_ms) = self.created_ms {
            section(Tag::Created, |out| put_u64(out, created_ms), each);
        }
        if let Some(tokens) = &self.tokens {
            section(Tag::Tokens, |out| out.extend(tokens.head()), each);
            for segment in tokens.sections() {
                section(Tag::TokenSegment, |out| out.extend(segment), each);
            }
        }
        if let Some(log) = &self.log {
            section(Tag::Log, |out| out.extend(log.head()), each);
            for chunk in log.chunks() {
                section(Tag::LogChunk, |out| out.extend(chunk), each);
            }
        }
    }

    /// Whether none of its sections has come yet.
    pub fn is_new(&self) -> bool {
        self.created_ms.is_none() && self.is_idle()
    }

    /// Reads one of its sections. They come in their order.
    pub fn push_section(&mut self, tag: Tag, mut body: Reader<'_>) -> Result<(), Corrupt> {
        match (tag, &mut self.tokens, &mut self.log) {
            (Tag::Created, None, None) if self.created_ms.is_none() => {
                self.created_ms = Some(body.u64()?);
                return body.finish();
            }
            (Tag::Tokens, tokens @ None, None) => *tokens = Some(Tokens::from_head(body.rest())?),
            (Tag::TokenSegment, Some(tokens), None) => tokens.push_section(body.rest())?,
            (Tag::Log, _, log @ None) => *log = Some(Log::from_head(body.rest())?),
            (Tag::LogChunk, _, Some(log)) => log.push_chunk(body.rest())?,
            _ => return Err(Corrupt("a section that such a key does not have, or has already")),
        }
        Ok(())
    }

    /// Its fields of INFO.
    pub fn info(&self, now_ms: u64, fields: &mut Fields) {
        let (limits, log, tokens) = (self.token_limits(), self.log(), self.tokens());
        let retention = log.map(Log::retention).unwrap_or_default();
        fields.extend([
            Field::int("idmp-duration", limits.duration_ms() / 1000),
            Field::int("idmp-maxsize", limits.count_max()),
            Field::int("tokens-tracked", tokens.map_or(0, |tokens| tokens.tracked(now_ms))),
            Field::int("tokens-dropped-early", tokens.map_or(0, Tokens::dropped_early)),
            Field::maybe("log-length", log.map(Log::len)),
            Field::maybe("log-bytes", log.map(Log::bytes)),
            Field::maybe("log-maxlen", retention.len_max),
            Field::maybe("log-maxage", retention.age_max_ms),
            Field::maybe("log-maxbytes", retention.bytes_max),
            Field::maybe("created", self.created_ms),
            Field::maybe("changed", log.map(|log| log.last_id().ms)),
        ]);
    }

    /// What it has of what is summed up over a server.
    pub fn extent(&self) -> Extent {
        let (tokens, log_bytes) = (self.tokens().map_or(0, Tokens::stored), self.log().map_or(0, Log::bytes));
        Extent { tokens, log_bytes, ..Extent::default() }
    }

    /// Bytes on the heap.
    pub fn memory(&self, block: BlockSize) -> usize {
        let log = self.log().map_or(0, |log| log.memory(block));
        log.saturating_add(self.tokens().map_or(0, |tokens| tokens.memory(block)))
    }

    /// Lets what it owns move.
    pub fn relocate(&mut self, mover: &mut impl Mover) {
        if let Some(log) = &mut self.log {
            log.relocate(mover);
        }
        if let Some(tokens) = &mut self.tokens {
            tokens.relocate(mover);
        }
    }

    /// Pieces to free.
    pub fn allocations(&self) -> usize {
        self.log().map_or(0, Log::allocations).saturating_add(self.tokens().map_or(0, Tokens::allocations))
    }
}
