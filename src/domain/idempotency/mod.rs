//! Idempotency tokens: what a key remembers of the calls that changed it, so that a retry gets the
//! reply of the first attempt and changes nothing.
//!
//! A token is a pair of byte strings, producer and token. With it are kept the fingerprint of the
//! command and its arguments, by which a reuse for something else is told from a retry, and the bytes
//! of the reply, which mean nothing here. A token lives for `duration_ms`, and no more than
//! `count_max` live at once over all producers: the oldest makes room.
//!
//! Design
//! - What lives is decided by the calls alone. Times come by argument and only move forward here
//!   (`latest_ms`), so that age is order; a token is gone for good once a call has seen it expire or
//!   has dropped it. Nodes that apply the same calls hold equal stores, byte for byte (stored.rs).
//! - What is gone is freed later, a few records a call, or all of it where nothing else is left: `log.rs`
//!   keeps the records, oldest first, and two marks in them, up to where they are swept and from where they
//!   live. When a mark moves over whole segments it does not read them. The sweeping is invisible: nothing
//!   looks behind the second mark.
//! - A record is about 30 bytes, its place in the hash table 8: `index.rs` holds addresses only and reads
//!   the keys back from the log. Producers are few and long: they are named by number (`producers.rs`).
//!
//! Rejected: a map from token to reply beside a queue of tokens (each token twice, 150 bytes); a
//! queue per producer (oldest first over all would need a heap); expiry by timer (a replica must not
//! decide by its own clock); dropping from the front as the stored truth (a store that was saved and
//! loaded in between would drop at another moment).

mod index;
mod log;
mod producers;
mod stored;
#[cfg(test)]
mod tests;

use crate::limits::{NAME_LEN_MAX, TOKEN_COUNT_MAX};
use crate::memory::{BlockSize, Mover};
use crate::wire::{Corrupt, Reader};
use index::{Index, Key};
use log::{Log, Record};
use producers::Producers;
use siphasher::sip::SipHasher24;
use std::fmt;
use std::hash::Hasher;

/// Longest reply, in bytes.
pub const REPLY_LEN_MAX: usize = 255;

/// Highest `count_max`: so many of the longest records still have distinct 32-bit addresses.
pub const COUNT_MAX: u64 = TOKEN_COUNT_MAX.unsigned_abs();

/// Dead records swept by one call: at least, at most, and one of so many in between. Fewer than the
/// least wait for each other, as the misses of the cache that each costs overlap then; the share keeps
/// a trickle of calls from holding on to the memory of a flood; the most keeps the call short (about
/// 50 us).
const SWEEP_MIN: u64 = 16;
const SWEEP_MAX: u64 = 512;
const SWEEP_SHARE: u64 = 64;

/// Where nothing lives any more, all is freed at once, unless so many producers make that long.
const PRODUCERS_FREED_MAX: usize = 1024;

/// For how long and how many tokens are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    duration_ms: u64,
    count_max: u64,
}

impl Limits {
    /// Five minutes, a hundred thousand tokens.
    pub const DEFAULT: Limits = Limits { duration_ms: 300_000, count_max: 100_000 };

    /// `None` unless `duration_ms` is at least 1 and `count_max` is from 1 to [`COUNT_MAX`].
    pub fn new(duration_ms: u64, count_max: u64) -> Option<Limits> {
        (duration_ms >= 1 && (1..=COUNT_MAX).contains(&count_max)).then_some(Limits { duration_ms, count_max })
    }

    /// How long a token lives.
    pub fn duration_ms(&self) -> u64 {
        self.duration_ms
    }

    /// How many live at once, over all producers.
    pub fn count_max(&self) -> u64 {
        self.count_max
    }

    /// Tokens of this time and before are gone at `now_ms`: one is gone exactly `duration_ms` after it.
    fn expired_until(&self, now_ms: u64) -> Option<u64> {
        now_ms.checked_sub(self.duration_ms)
    }
}

/// What a client names its call by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    producer: &'a [u8],
    token: &'a [u8],
}

impl<'a> Token<'a> {
    /// `None` unless both are of 1 to 255 bytes.
    pub fn new(producer: &'a [u8], token: &'a [u8]) -> Option<Self> {
        let fits = |bytes: &[u8]| (1..=NAME_LEN_MAX).contains(&bytes.len());
        (fits(producer) && fits(token)).then_some(Token { producer, token })
    }

    /// The producer.
    pub fn producer(&self) -> &'a [u8] {
        self.producer
    }

    /// The token within its producer.
    pub fn token(&self) -> &'a [u8] {
        self.token
    }
}

/// 48 bits of a hash of a command and its arguments. It is stored and replicated, so it is the same
/// in every version: SipHash-2-4 under a fixed key. Nobody gains by a collision but the client that
/// built it, whose call is then taken for its own retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 6]);

impl Fingerprint {
    /// Of the command and its arguments, each with its length before it, so that parts cannot run together.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = SipHasher24::new_with_key(b"tallybook tokens");
        for part in parts {
            hasher.write_u64(to_u64(part.len()));
            hasher.write(part);
        }
        let [a, b, c, d, e, f, ..] = hasher.finish().to_le_bytes();
        Fingerprint([a, b, c, d, e, f])
    }

    /// From what `to_bytes` gave.
    pub fn from_bytes(bytes: [u8; 6]) -> Self {
        Fingerprint(bytes)
    }

    /// For an effect that carries it.
    pub fn to_bytes(self) -> [u8; 6] {
        self.0
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        reader.take(6)?.try_into().map(Fingerprint).map_err(|_| Corrupt("cut short"))
    }
}

/// What is known of a call that was made before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered<'a> {
    /// Of the command and arguments then; another one now is a mismatch.
    pub fingerprint: Fingerprint,
    /// The reply then, as the caller encoded it.
    pub reply: &'a [u8],
}

/// The tokens of one key.
#[derive(Clone)]
pub struct Tokens {
    limits: Limits,
    latest_ms: u64,
    dropped_early: u64,
    log: Log,
    index: Index,
    producers: Producers,
}

impl Tokens {
    /// No tokens yet, and nothing allocated.
    pub fn new(limits: Limits) -> Self {
        Tokens {
            limits,
            latest_ms: 0,
            dropped_early: 0,
            log: Log::default(),
            index: Index::new(),
            producers: Producers::new(),
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Puts other limits in force. What has expired by `now_ms` under the old ones stays gone under a longer
    /// duration; what a smaller count leaves no room for is dropped early.
    pub fn set_limits(&mut self, limits: Limits, now_ms: u64) {
        self.advance(now_ms);
        self.limits = limits;
        self.advance(now_ms);
        self.drop_to_limit();
        self.sweep();
    }

    /// What `token` was used for, unless it is unknown or too old. `now_ms` never lies before a time seen earlier.
    pub fn find(&self, token: &Token<'_>, now_ms: u64) -> Option<Remembered<'_>> {
        let record = self.lookup(token)?;
        let expired = Some(record.at_ms) <= self.limits.expired_until(now_ms.max(self.latest_ms));
        (!expired).then_some(Remembered { fingerprint: record.fingerprint, reply: record.reply })
    }

    /// Whether there is room for `token` at `at_ms`, by [`remember`](Self::remember) or from its stored form. Corrupt: a
    /// token that [`find`](Self::find) finds at that time, because whoever decided had to replay it, and a reply above
    /// [`REPLY_LEN_MAX`] bytes.
    pub fn check(&self, token: &Token<'_>, reply: &[u8], at_ms: u64) -> Result<(), Corrupt> {
        if reply.len() > REPLY_LEN_MAX {
            return Err(Corrupt("reply of a token too long"));
        }
        if self.log.is_full() {
            return Err(Corrupt("tokens past their addresses"));
        }
        if self.find(token, at_ms).is_some() { Err(Corrupt("the token is known already")) } else { Ok(()) }
    }

    /// Remembers that `token`, which [`check`](Self::check) let pass, was used at `at_ms`, or at the latest time seen,
    /// whichever is later.
    pub fn remember(&mut self, token: &Token<'_>, fingerprint: Fingerprint, reply: &[u8], at_ms: u64) {
        debug_assert!(self.check(token, reply, at_ms).is_ok(), "remembered without a check");
        self.advance(at_ms);
        self.append(token, fingerprint, reply, self.latest_ms);
        self.drop_to_limit();
        self.sweep();
    }

    /// How many tokens `find` would find at `now_ms`.
    pub fn tracked(&self, now_ms: u64) -> u64 {
        let expired_until = self.limits.expired_until(now_ms.max(self.latest_ms));
        self.log.live().saturating_sub(self.log.front(|at_ms, _| Some(at_ms) <= expired_until).passed)
    }

    /// The latest time seen.
    pub fn latest_ms(&self) -> u64 {
        self.latest_ms
    }

    /// How many there are, those included that `find` does not find any more.
    pub fn stored(&self) -> u64 {
        self.log.live()
    }

    /// How many were dropped before their time, to make room.
    pub fn dropped_early(&self) -> u64 {
        self.dropped_early
    }

    /// Heap bytes as allocated.
    pub fn memory(&self, block: BlockSize) -> usize {
        [self.log.memory(block), self.index.memory(block), self.producers.memory(block)].iter().sum()
    }

    /// Lets the bytes of the tokens move.
    pub fn relocate(&mut self, mover: &mut impl Mover) {
        self.log.relocate(mover);
    }

    /// Heap allocations, for the effort of freeing them.
    pub fn allocations(&self) -> usize {
        [self.log.allocations(), self.index.allocations(), self.producers.allocations()].iter().sum()
    }

    /// The live record of `token`, whatever its age.
    fn lookup(&self, token: &Token<'_>) -> Option<Record<'_>> {
        let producer = self.producers.number(token.producer)?;
        let address = self.index.find((producer, token.token), |address| key_of(&self.log, address))?;
        self.log.record(address).filter(|_| self.log.is_live(address))
    }

    fn append(&mut self, token: &Token<'_>, fingerprint: Fingerprint, reply: &[u8], at_ms: u64) {
        let producer = self.producers.acquire(token.producer);
        let address = self.log.append(&Record { at_ms, producer, token: token.token, fingerprint, reply });
        // A dead record of the same token is in the way only here: the new one takes its place.
        self.index.put((producer, token.token), address, |address| key_of(&self.log, address));
    }

    /// Moves the time forward and lets go of what has expired by then.
    fn advance(&mut self, now_ms: u64) {
        self.latest_ms = self.latest_ms.max(now_ms);
        let expired_until = self.limits.expired_until(self.latest_ms);
        self.log.cut(self.log.front(|at_ms, _| Some(at_ms) <= expired_until));
        if self.log.live() == 0 && self.log.dead() > 0 && self.producers.len() <= PRODUCERS_FREED_MAX {
            self.log = Log::default();
            self.index.clear();
            self.producers.clear();
        }
    }

    fn drop_to_limit(&mut self) {
        let over = self.log.live().saturating_sub(self.limits.count_max);
        if over > 0 {
            self.log.cut(self.log.front(|_, passed| passed < over));
            self.dropped_early = self.dropped_early.saturating_add(over);
        }
    }

    fn sweep(&mut self) {
        if self.log.dead() < SWEEP_MIN {
            return;
        }
        for _ in 0..(self.log.dead() / SWEEP_SHARE).clamp(SWEEP_MIN, SWEEP_MAX) {
            let Some((address, record, after)) = self.log.oldest_dead() else { return };
            let producer = record.producer;
            self.index.remove((producer, record.token), address, |address| key_of(&self.log, address));
            self.producers.release(producer);
            self.log.sweep(after);
        }
    }
}

/// By what is stored: equal stores have equal stored forms.
impl PartialEq for Tokens {
    fn eq(&self, other: &Self) -> bool {
        self.head() == other.head() && self.log.live() == other.log.live() && self.sections().eq(other.sections())
    }
}

impl Eq for Tokens {}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens")
            .field("limits", &self.limits)
            .field("latest_ms", &self.latest_ms)
            .field("live", &self.log.live())
            .field("dropped_early", &self.dropped_early)
            .finish_non_exhaustive()
    }
}

fn key_of(log: &Log, address: u32) -> Option<Key<'_>> {
    log.record(address).map(|record| (record.producer, record.token))
}

/// Lossless: memory is at most 64 bits wide.
fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Lossless for what lies in memory.
fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
