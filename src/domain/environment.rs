//! Time, chance, caller and configuration: all that a decision may know besides the value and the
//! request. They enter here and nowhere else, so a test can say what they are. A replica never asks: it
//! applies effects, or repeats a request at the moment that the value keeps.

use crate::audit::Retention;
use crate::error::Error;
use crate::fence::{Standing, Uid};
use crate::memory::{AS_ASKED, BlockSize};

/// Who sent a command. Empty where there is nobody to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caller<'a> {
    /// The name of the ACL user.
    pub user: &'a [u8],
    /// What the client called itself (`CLIENT SETNAME`).
    pub client: &'a [u8],
}

/// When a key was changed last, and by whom: what the key itself knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment<'a> {
    /// Unix time in milliseconds.
    pub at_ms: u64,
    /// Who sent the command.
    pub caller: Caller<'a>,
}

/// What is outside of a value. Each answer stays the same for the whole of one command, and is
/// looked up only when a decision needs it: a plain increment asks nothing.
pub trait Environment {
    /// Unix time in milliseconds.
    fn now_ms(&self) -> u64;
    /// Whether this server follows another one.
    fn is_replica(&self) -> bool;
    /// The time by which deadlines are judged. That is the primary's business: on a replica nothing
    /// is past its deadline until an effect says so, and this is 0.
    fn deadline_ms(&self) -> u64 {
        if self.is_replica() { 0 } else { self.now_ms() }
    }
    /// Who sent the command.
    fn caller(&self) -> Caller<'_>;
    /// 128 bits from a cryptographic generator.
    fn random(&self) -> [u8; 16];
    /// 64 bits more of it at each call.
    fn random_u64(&self) -> u64;
    /// What the allocator takes for blocks.
    fn block_size(&self) -> BlockSize {
        AS_ASKED
    }
    /// The log of a counter that nobody gave one (`tallybook.log-default`).
    fn log_default(&self) -> Option<Retention>;
    /// What the fence says at this moment.
    fn standing(&self) -> Standing;
    /// The highest mark of an allocator that this node knows of, whatever its value says.
    fn known_mark(&self, uid: &Uid) -> Option<u64>;
    /// Whether marks of an allocator say nothing here about ids in use.
    fn is_doubted(&self, uid: &Uid) -> bool;
    /// Why nothing can be said of a doubted one.
    fn doubt(&self) -> Error {
        Error::UnfencedOrigin
    }
    /// How many ids those wait for who wait for this allocator already.
    fn parked(&self, uid: &Uid) -> u64;
    /// How many of these are safe, and only have to be taken yet.
    fn owed(&self, _: &Uid) -> u64 {
        0
    }
    /// Whom a raise that is not safe yet waits for, in words.
    fn whom(&self) -> String;
}
