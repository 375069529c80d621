//! Everything that can be refused, and the one place where it becomes words.
//!
//! A text is `<CODE> <what must hold>, got <value>`. Clients may match the code. No byte that a
//! client sent is ever repeated in it, except as a number.

use crate::fence::Wait;
use crate::limits::{HOLD_COUNT_MAX, WINDOW_MAX_MAX};
use crate::permutation::CodesError;
use std::fmt;

/// Which of the two kinds of key a refusal speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `scounter-`
    Counter,
    /// `idblock--`
    IdBlock,
}

impl Kind {
    fn with_article(self) -> &'static str {
        match self {
            Kind::Counter => "a counter",
            Kind::IdBlock => "an allocator",
        }
    }
}

/// Which end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The smallest value allowed.
    Lower,
    /// The largest value allowed.
    Upper,
}

/// A refusal. Nothing was changed, created, replicated or announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The key holds another type.
    WrongType,
    /// An option that does not exist, stands twice, or lacks its value.
    Syntax,
    /// The command was called with too few or too many arguments.
    Arity,
    /// Not a signed 64-bit integer.
    NotAnInteger(&'static str),
    /// An integer outside of what this argument may be.
    OutOfRange {
        /// The argument.
        what: &'static str,
        /// Its smallest value.
        min: i64,
        /// Its largest value.
        max: i64,
        /// What was given.
        got: i64,
    },
    /// A byte string longer than this argument may be.
    TooLong {
        /// The argument.
        what: &'static str,
        /// Bytes allowed.
        max: usize,
        /// Bytes given.
        got: usize,
    },
    /// A byte string that may not be empty, or is longer than this argument may be.
    BadLength {
        /// The argument.
        what: &'static str,
        /// Bytes given.
        got: usize,
    },
    /// A hold in a direction that has no bound.
    HoldUnbounded(Side),
    /// A hold of nothing.
    NothingHeld,
    /// A deadline that has passed.
    DeadlinePast,
    /// An amount of a hold that is zero, larger, or of the other sign.
    CommitTooMuch {
        /// What is held.
        held: i64,
        /// What was to be committed.
        got: i64,
    },
    /// More holds than a counter may have.
    TooManyHolds,
    /// INCREX BYFLOAT.
    NoFloats,
    /// ENX without an expiry to set.
    EnxWithoutExpiry,
    /// The step that SATURATE would take does not fit 64 bits.
    StepTooWide(i128),
    /// Codes of an allocator that has none.
    NoCodes,
    /// The time of an id of an allocator that has no clock.
    NoClock,
    /// A clock that starts in the future.
    EpochAhead,
    /// Options that do not go together.
    Excludes(&'static str, &'static str),
    /// Codes that cannot be.
    Codes(CodesError),
    /// INFO of a field that there is not.
    UnknownField,
    /// Not an entry id.
    NotAnEntryId,
    /// The lower bound lies above the upper one.
    BoundsCrossed {
        /// Lower bound.
        lower: i64,
        /// Upper bound.
        upper: i64,
    },
    /// A fence that is neither AUTO nor OFF nor a window.
    FenceUnknown,
    /// The ids are not safe yet.
    Unfenced(Box<Wait>),
    /// The allocator came with a dataset from elsewhere.
    UnfencedOrigin,
    /// A replica was asked for ids.
    UnfencedReplica,
    /// A node that is not electable cannot be forgotten.
    ForgetUnknown,
    /// A node that follows cannot be forgotten.
    ForgetOnline,
    /// An electable set that did not come from a primary.
    NotFromClient,
    /// A sequence of more ids than an ordinal can count.
    RangeTooWide,
    /// The first id lies above the last.
    RangeEmpty {
        /// First id.
        start: i64,
        /// Last id.
        max: i64,
    },
    /// An effect that cannot be applied: it did not come from this module, or states differ.
    Effect(&'static str),
    /// A defect of the module, caught before it could reach the server.
    Internal,
    /// A key stands where one was to be created.
    BusyKey(Kind),
    /// There is no such key, and the command creates none.
    NoKey(Kind),
    /// The change would take the value past a bound.
    Bound {
        /// Which bound.
        side: Side,
        /// The bound.
        bound: i64,
        /// What the value would have become.
        got: i128,
        /// Whether that counts holds.
        held: bool,
    },
    /// The change would take the value past 64 bits.
    Overflow {
        /// What the value would have become.
        got: i128,
        /// Whether that counts holds.
        held: bool,
    },
    /// The sequence does not hold as many ids any more.
    Exhausted {
        /// How many ids there must be at least.
        want: u64,
        /// The last id of the sequence.
        max: i64,
        /// How many are left.
        left: u64,
    },
    /// The token was used for something else.
    TokenMismatch,
    /// Shards of a counter that has bounds, or bounds of one that has shards.
    ShardsBounded,
    /// Shards of a key that has a hash tag already.
    ShardsTagged,
    /// Not every shard is known.
    Partial {
        /// How many are.
        got: u16,
        /// How many there are.
        of: u16,
    },
    /// The caller may not read what is asked for.
    NotPermitted,
    /// There is no such hold, or none that is remembered.
    NoHold,
    /// The hold ended in another way: committed, released or expired.
    HoldResolved(&'static str),
}

/// Ids from -2^63 to 2^63-1.
const IDS: u128 = 1 << 64;

fn with_holds(held: bool) -> &'static str {
    if held { " with all pending holds" } else { "" }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Error::*;
        match self {
            WrongType => f.write_str("WRONGTYPE Operation against a key holding the wrong kind of value"),
            Syntax => f.write_str("ERR syntax error"),
            Arity => f.write_str("ERR wrong number of arguments"),
            NotAnInteger(what) => write!(f, "ERR {what} must be a signed 64-bit integer"),
            OutOfRange { what, min, max, got } => write!(f, "ERR {what} must be from {min} to {max}, got {got}"),
            TooLong { what, max, got } => write!(f, "ERR {what} must be at most {max} bytes, got {got}"),
            BadLength { what, got } => write!(f, "ERR {what} must be 1 to 255 bytes, got {got}"),
            HoldUnbounded(Side::Lower) => f.write_str("ERR lower bound must be set to hold a negative amount"),
            HoldUnbounded(Side::Upper) => f.write_str("ERR upper bound must be set to hold a positive amount"),
            NothingHeld => f.write_str("ERR amount must not be 0"),
            DeadlinePast => f.write_str("ERR deadline must lie in the future"),
            CommitTooMuch { held, got } => {
                write!(f, "ERR amount must be a part of the {held} held, of the same sign, got {got}")
            }
            TooManyHolds => write!(f, "ERR pending holds must be at most {HOLD_COUNT_MAX} a key"),
            NoFloats => f.write_str("ERR increment must be given by BYINT: counters hold integers, not floats"),
            EnxWithoutExpiry => f.write_str("ERR ENX flag requires an expiration"),
            StepTooWide(got) => write!(f, "OVERFLOW applied increment must fit 64 bits, got {got}"),
            NoCodes => f.write_str("ERR allocator must have been created with CODES"),
            NoClock => f.write_str("ERR allocator must have been created with CLOCK"),
            EpochAhead => f.write_str("ERR EPOCH must not lie in the future"),
            Excludes(one, other) => write!(f, "ERR {one} must come without {other}"),
            Codes(error) => write!(f, "ERR {error}"),
            UnknownField => f.write_str("ERR field must be one of those that INFO lists"),
            NotAnEntryId => f.write_str("ERR entry id must be -, +, ms or ms-seq, with ( before it to exclude it"),
            BoundsCrossed { lower, upper } => {
                write!(f, "ERR lower bound must not lie above the upper bound {upper}, got {lower}")
            }
            FenceUnknown => write!(f, "ERR FENCE must be AUTO, OFF or a window from 1 to {WINDOW_MAX_MAX}"),
            Unfenced(wait) => wait.fmt(f),
            UnfencedOrigin => {
                f.write_str("UNFENCED ids in use must be known, and this server cannot tell: IDBLOCK.ADVANCE past them")
            }
            UnfencedReplica => f.write_str("UNFENCED ids must come from a primary, got a replica"),
            ForgetUnknown => f.write_str("ERR node must be one of those that IDBLOCK.FENCE lists"),
            ForgetOnline => f.write_str("ERR node must be gone to be forgotten, got one that follows"),
            NotFromClient => f.write_str("ERR an electable set must come from a primary, got an ordinary client"),
            RangeTooWide => write!(f, "ERR range from START to MAX must hold at most {} ids, got {IDS}", u64::MAX),
            RangeEmpty { start, max } => write!(f, "ERR START must not lie above MAX {max}, got {start}"),
            Effect(why) => write!(f, "ERR effect must fit the state of the key: {why}"),
            Internal => f.write_str("ERR internal error, see the server log"),
            BusyKey(kind) => write!(f, "BUSYKEY key must not exist, got {}", kind.with_article()),
            NoKey(Kind::Counter) => f.write_str("NOKEY counter must exist"),
            NoKey(Kind::IdBlock) => f.write_str(
                "NOKEY allocator must exist: IDBLOCK.CREATE it (if lost: as it was, then ADVANCE past every id in use)",
            ),
            Bound { side, bound, got, held } => {
                let side = if *side == Side::Lower { "at least" } else { "at most" };
                write!(f, "BOUND value{} must be {side} {bound}, got {got}", with_holds(*held))
            }
            Overflow { got, held } => write!(f, "OVERFLOW value{} must fit 64 bits, got {got}", with_holds(*held)),
            Exhausted { want, max, left } => {
                write!(f, "EXHAUSTED ids left up to {max} must be at least {want}, got {left}")
            }
            TokenMismatch => {
                f.write_str("IDMPMISMATCH token must come with the command and arguments of its first use")
            }
            ShardsBounded => f.write_str("ERR counter must have no bounds to have SHARDS"),
            ShardsTagged => f.write_str("ERR key must not contain { to have SHARDS"),
            Partial { got, of } => write!(f, "PARTIAL got {got} of {of} shards"),
            NotPermitted => f.write_str("NOPERM user must be allowed to read the key and all its shards"),
            NoHold => f.write_str("NOHOLD hold must be pending, got an id that is unknown or forgotten"),
            HoldResolved(how) => write!(f, "HOLDRESOLVED hold must be pending, got one that is {how}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<CodesError> for Error {
    fn from(error: CodesError) -> Self {
        Error::Codes(error)
    }
}
