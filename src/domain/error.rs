//! Everything that can be refused, and the one place where it becomes words.
//!
//! A text is `<CODE> <what must hold>, got <value>`. Clients may match the code. No byte that a
//! client sent is ever repeated in it, except as a number.

use std::fmt;

/// Which of the two kinds of key a refusal speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `scounter-`
    Counter,
    /// `idblock--`
    IdBlock,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Not an entry id.
    NotAnEntryId,
    /// The lower bound lies above the upper one.
    BoundsCrossed {
        /// Lower bound.
        lower: i64,
        /// Upper bound.
        upper: i64,
    },
    /// A value of an option that this version does not know.
    FenceUnknown,
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
        got: i64,
    },
    /// The change would take the value past 64 bits.
    Overflow {
        /// The value before.
        value: i64,
        /// What was to be added.
        delta: i64,
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
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Error::*;
        match *self {
            WrongType => f.write_str("WRONGTYPE Operation against a key holding the wrong kind of value"),
            Syntax => f.write_str("ERR syntax error"),
            Arity => f.write_str("ERR wrong number of arguments"),
            NotAnInteger(what) => write!(f, "ERR {what} must be a signed 64-bit integer"),
            OutOfRange { what, min, max, got } => write!(f, "ERR {what} must be from {min} to {max}, got {got}"),
            TooLong { what, max, got } => write!(f, "ERR {what} must be at most {max} bytes, got {got}"),
            NotAnEntryId => f.write_str("ERR entry id must be -, +, ms or ms-seq, with ( before it to exclude it"),
            BoundsCrossed { lower, upper } => {
                write!(f, "ERR lower bound must not lie above the upper bound {upper}, got {lower}")
            }
            FenceUnknown => f.write_str("ERR fence must be OFF in this version"),
            RangeTooWide => {
                write!(f, "ERR range from START to MAX must hold at most {} ids, got {}", u64::MAX, 1u128 << 64)
            }
            RangeEmpty { start, max } => write!(f, "ERR START must not lie above MAX {max}, got {start}"),
            Effect(why) => write!(f, "ERR effect must fit the state of the key: {why}"),
            Internal => f.write_str("ERR internal error, see the server log"),
            BusyKey(Kind::Counter) => f.write_str("BUSYKEY key must not exist, got a counter"),
            BusyKey(Kind::IdBlock) => f.write_str("BUSYKEY key must not exist, got an allocator"),
            NoKey(Kind::Counter) => f.write_str("NOKEY counter must exist"),
            NoKey(Kind::IdBlock) => {
                f.write_str("NOKEY allocator must exist: IDBLOCK.CREATE it, with START above every id already in use")
            }
            Bound { side: Side::Lower, bound, got } => write!(f, "BOUND value must be at least {bound}, got {got}"),
            Bound { side: Side::Upper, bound, got } => write!(f, "BOUND value must be at most {bound}, got {got}"),
            Overflow { value, delta } => {
                let sum = i128::from(value).saturating_add(i128::from(delta));
                write!(f, "OVERFLOW value must fit 64 bits, got {sum}")
            }
            Exhausted { want, max, left } => {
                write!(f, "EXHAUSTED sequence must have {want} ids left up to {max}, got {left}")
            }
        }
    }
}

impl std::error::Error for Error {}
