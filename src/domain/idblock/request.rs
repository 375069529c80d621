//! What can be asked of an allocator.

use super::{Clock, Policy};
use crate::idempotency::Fingerprint;
use crate::options::KeyOptions;
use crate::permutation::Alphabet;
use crate::retry::Verb;

/// `IDBLOCK.CREATE`.
#[derive(Debug, Clone)]
pub struct Create<'a> {
    /// An existing allocator is no error.
    pub nx: bool,
    /// First id.
    pub start: i64,
    /// Distance between ids, at least 1.
    pub increment: u64,
    /// Last id that may be handed out.
    pub max: i64,
    /// Ids that carry the time.
    pub clock: Option<Clock>,
    /// Ids that have codes: length, alphabet, and the secret unless it is to be drawn.
    pub codes: Option<(u64, Alphabet, Option<&'a [u8]>)>,
    /// How its ids are kept from being handed out twice.
    pub fence: Policy,
    /// Log and tokens.
    pub options: KeyOptions,
}

/// `IDBLOCK.RESERVE` and `IDBLOCK.CODES`.
#[derive(Debug, Clone, Copy)]
pub struct Reserve {
    /// How many ids.
    pub count: u64,
    /// How few will do.
    pub at_least: u64,
    /// Whether the caller wants codes. A retry must want the same.
    pub codes: bool,
}

impl Verb for Reserve {
    fn fingerprint(&self) -> Fingerprint {
        let name: &[u8] = if self.codes { b"codes" } else { b"reserve" };
        Fingerprint::of(&[name, &self.count.to_be_bytes(), &self.at_least.to_be_bytes()])
    }
}

/// `IDBLOCK.NEXT`.
#[derive(Debug, Clone, Copy)]
pub struct Next;

impl Verb for Next {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&[b"next"])
    }
}
