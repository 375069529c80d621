//! What can be asked of a counter.

use crate::bounds::Bounds;
use crate::idempotency::Fingerprint;
use crate::options::KeyOptions;
use crate::retry::Verb;
use crate::shards::Shards;

/// A moment that a caller named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// So many milliseconds from now.
    In(u64),
    /// At this Unix time in milliseconds.
    At(u64),
}

impl When {
    /// As Unix time in milliseconds.
    pub fn at_ms(self, now_ms: u64) -> u64 {
        match self {
            When::In(ms) => now_ms.saturating_add(ms),
            When::At(ms) => ms,
        }
    }

    fn bytes(self) -> [u8; 9] {
        let (kind, ms) = match self {
            When::In(ms) => (1, ms),
            When::At(ms) => (2, ms),
        };
        let [a, b, c, d, e, f, g, h] = ms.to_be_bytes();
        [kind, a, b, c, d, e, f, g, h]
    }
}

/// `SCOUNTER.INCR` and `SCOUNTER.DECR`: add `delta`.
#[derive(Debug, Clone, Copy)]
pub struct Add {
    /// What to add.
    pub delta: i64,
    /// Whether the caller said it with DECR. A retry must say it the same way.
    pub decr: bool,
}

impl Verb for Add {
    fn fingerprint(&self) -> Fingerprint {
        let name: &[u8] = if self.decr { b"decr" } else { b"incr" };
        Fingerprint::of(&[name, &self.delta.to_be_bytes()])
    }
}

/// What INCREX is to do with the expiry of the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryOption {
    /// It expires then.
    Set(When),
    /// It does not expire any more.
    Persist,
}

/// `SCOUNTER.INCREX`, the words and rules of the native INCREX.
#[derive(Debug, Clone, Copy)]
pub struct IncrEx {
    /// What to add.
    pub by: i64,
    /// Bounds for this call.
    pub bounds: Bounds,
    /// Past a bound, stop at it instead of doing nothing.
    pub saturate: bool,
    /// What becomes of the expiry.
    pub expiry: Option<ExpiryOption>,
    /// Only where the key does not expire yet.
    pub enx: bool,
    /// `Some(false)`: NX, only a missing key. `Some(true)`: XX, only an existing one.
    pub exists: Option<bool>,
}

impl Verb for IncrEx {
    fn fingerprint(&self) -> Fingerprint {
        let IncrEx { by, bounds, saturate, expiry, enx, exists } = self;
        let mut bounds_bytes = Vec::new();
        bounds.put(&mut bounds_bytes);
        let expiry = match expiry {
            None => [0; 9],
            Some(ExpiryOption::Set(when)) => when.bytes(),
            Some(ExpiryOption::Persist) => [3; 9],
        };
        let flags = [u8::from(*saturate), u8::from(*enx), exists.map_or(2, u8::from)];
        Fingerprint::of(&[b"increx", &by.to_be_bytes(), &bounds_bytes, &flags, &expiry])
    }
}

/// `SCOUNTER.SET`.
#[derive(Debug, Clone, Copy)]
pub struct Set<'a> {
    /// The new value.
    pub value: i64,
    /// `Some(false)`: NX, only a missing key. `Some(true)`: XX, only an existing one.
    pub exists: Option<bool>,
    /// Why, for the log.
    pub note: &'a [u8],
}

/// `SCOUNTER.CREATE`.
#[derive(Debug, Clone, Copy)]
pub struct Create {
    /// An existing counter is no error.
    pub nx: bool,
    /// The first value.
    pub initial: i64,
    /// The bounds.
    pub bounds: Bounds,
    /// The shards.
    pub shards: Option<Shards>,
    /// Log and tokens.
    pub options: KeyOptions,
}

/// `SCOUNTER.ALTER`: what is not said stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alter {
    /// The lower bound: not said, none, or this.
    pub lower: Option<Option<i64>>,
    /// The upper bound: not said, none, or this.
    pub upper: Option<Option<i64>>,
    /// The shards, not fewer than there are.
    pub shards: Option<Shards>,
    /// Log and tokens.
    pub options: KeyOptions,
}

/// `SCOUNTER.HOLD`.
#[derive(Debug, Clone, Copy)]
pub struct HoldRequest {
    /// What to set aside, not 0.
    pub amount: i64,
    /// Until when.
    pub until: When,
}

impl Verb for HoldRequest {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&[b"hold", &self.amount.to_be_bytes(), &self.until.bytes()])
    }
}

/// `SCOUNTER.COMMIT`.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// The hold.
    pub id: u64,
    /// How much of it; all of it if not said.
    pub amount: Option<i64>,
    /// Why, for the log.
    pub note: &'a [u8],
}

/// `SCOUNTER.RELEASE`.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    /// The hold.
    pub id: u64,
}
