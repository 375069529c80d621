//! Retries: a request with a token that is known gets the reply of the first attempt.

use crate::effect::Pinned;
use crate::environment::Environment;
use crate::error::Error;
use crate::idempotency::{Fingerprint, Remembered, Token, Tokens};
use crate::wire::{Corrupt, Reader, put_i64, put_u64};
use smallvec::SmallVec;

/// What a change carries besides itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Envelope<'a> {
    /// By which a retry is known.
    pub token: Option<Token<'a>>,
    /// Why, for the log. Empty: not said.
    pub note: &'a [u8],
}

/// A request that a token can stand for.
pub trait Verb {
    /// What tells it from another request: command and arguments, but not the note.
    fn fingerprint(&self) -> Fingerprint;
}

/// A reply that can be given again.
pub trait Repeatable: Sized {
    /// Appends it, at most 255 bytes.
    fn put(&self, out: &mut impl Extend<u8>);
    /// Reads what `put` wrote.
    fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt>;
}

impl Repeatable for i64 {
    fn put(&self, out: &mut impl Extend<u8>) {
        put_i64(out, *self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        reader.i64()
    }
}

impl Repeatable for u64 {
    fn put(&self, out: &mut impl Extend<u8>) {
        put_u64(out, *self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        reader.u64()
    }
}

/// The reply to the first attempt, if this is a retry.
pub fn replay<R: Repeatable>(
    tokens: Option<&Tokens>,
    token: Option<Token<'_>>,
    verb: &impl Verb,
    environment: &impl Environment,
) -> Result<Option<R>, Error> {
    let (Some(tokens), Some(token)) = (tokens, token) else { return Ok(None) };
    match tokens.find(&token, environment.now_ms()) {
        None => Ok(None),
        Some(Remembered { fingerprint, .. }) if fingerprint != verb.fingerprint() => Err(Error::TokenMismatch),
        Some(Remembered { reply, .. }) => {
            let mut reader = Reader::new(reply);
            R::take(&mut reader).map(Some).map_err(|_| Error::Internal)
        }
    }
}

/// The token as the effect of the first attempt carries it.
pub fn pin<'a, R: Repeatable>(token: Option<Token<'a>>, verb: &impl Verb, reply: &R) -> Option<Pinned<'a>> {
    token.map(|token| {
        let mut bytes = SmallVec::new();
        reply.put(&mut bytes);
        Pinned { token, fingerprint: verb.fingerprint(), reply: bytes }
    })
}
