//! What the server is told of each command. The syntax line is the one of docs/COMMANDS.md.

use super::syntax::parse;
use crate::host::{Access, Command, Keys};

/// One key, the first argument.
const fn key(access: Access) -> Keys {
    Keys { first: 1, last: 1, step: 1, access }
}

/// A key and something else, over and over.
const PAIRS: Keys = Keys { first: 1, last: -1, step: 2, access: Access::Apply };

/// A row of the catalog.
pub struct Row {
    name: &'static str,
    syntax: &'static str,
    summary: &'static str,
    complexity: &'static str,
    class: Class,
    keys: Keys,
}

/// What kind of command it is: flags and ACL categories follow.
enum Class {
    /// Changes a key in constant time, and may need memory for it.
    Write,
    /// Reads in constant time.
    Read,
    /// Reads in time that grows with what is asked for.
    Scan,
    /// Applies what another node decided.
    Effect,
}

impl Class {
    fn flags(&self) -> (&'static str, &'static str) {
        match self {
            Class::Write => ("write deny-oom fast", "write fast"),
            Class::Read => ("readonly fast", "read fast"),
            Class::Scan => ("readonly", "read"),
            Class::Effect => ("write admin deny-script", "write admin dangerous"),
        }
    }
}

impl Row {
    /// The row as the server wants it; with our own ACL category where the server has one for us.
    pub fn command(&self, category: bool) -> Command {
        let (arguments, arity) = parse(self.syntax);
        let (flags, categories) = self.class.flags();
        let categories = if category { format!("{categories} tallybook") } else { categories.to_owned() };
        let Row { name, summary, complexity, keys, .. } = *self;
        Command { name, summary, complexity, since: "0.1.0", flags, categories, keys, arity, arguments }
    }
}

/// SCOUNTER.INCR
pub const SCOUNTER_INCR: Row = Row {
    name: "scounter.incr",
    syntax: "key [delta] [NOTE text]",
    summary: "Adds to a counter, 1 unless said. A missing counter starts at 0.",
    complexity: "O(1)",
    class: Class::Write,
    keys: key(Access::Update),
};

/// SCOUNTER.DECR
pub const SCOUNTER_DECR: Row = Row {
    name: "scounter.decr",
    syntax: "key [delta] [NOTE text]",
    summary: "Subtracts from a counter, 1 unless said. A missing counter starts at 0.",
    ..SCOUNTER_INCR
};

/// SCOUNTER.GET
pub const SCOUNTER_GET: Row = Row {
    name: "scounter.get",
    syntax: "key",
    summary: "Returns the value of a counter.",
    complexity: "O(1)",
    class: Class::Read,
    keys: key(Access::Read),
};

/// SCOUNTER.CREATE
pub const SCOUNTER_CREATE: Row = Row {
    name: "scounter.create",
    syntax: "key [NX] [INITIAL n] [LBOUND n] [UBOUND n] [LOG MAXLEN n|LOG MAXAGE ms|LOG MAXBYTES n|LOG OFF ..]",
    summary: "Creates a counter with bounds that every later change must keep, and with an audit log.",
    complexity: "O(1)",
    class: Class::Write,
    keys: key(Access::Insert),
};

/// SCOUNTER.LOG
pub const SCOUNTER_LOG: Row = Row {
    name: "scounter.log",
    syntax: "key start end [COUNT n] [REV]",
    summary: "Returns the entries of a counter's audit log between two ids.",
    complexity: "O(log(N)+M) with N the entries of the log and M those returned",
    class: Class::Scan,
    keys: key(Access::Read),
};

/// SCOUNTER.EFFECT
pub const SCOUNTER_EFFECT: Row = Row {
    name: "scounter.effect",
    syntax: "key effect [key effect ..]",
    summary: "Applies what a primary decided on a counter. For replication, AOF and slot migration.",
    complexity: "O(N) with N the size of the effects",
    class: Class::Effect,
    keys: PAIRS,
};

/// IDBLOCK.CREATE
pub const IDBLOCK_CREATE: Row = Row {
    name: "idblock.create",
    syntax: "key [NX] [START n] [INCREMENT n] [MAX n] [FENCE OFF] \
             [LOG MAXLEN n|LOG MAXAGE ms|LOG MAXBYTES n|LOG OFF ..]",
    summary: "Creates an allocator of id ranges.",
    ..SCOUNTER_CREATE
};

/// IDBLOCK.RESERVE
pub const IDBLOCK_RESERVE: Row = Row {
    name: "idblock.reserve",
    syntax: "key count [ATLEAST n] [NOTE text]",
    summary: "Hands out a contiguous run of ids that nobody else will get.",
    complexity: "O(1)",
    class: Class::Write,
    keys: key(Access::Update),
};

/// IDBLOCK.NEXT
pub const IDBLOCK_NEXT: Row = Row {
    name: "idblock.next",
    syntax: "key",
    summary: "Hands out a single id, without a log entry.",
    ..IDBLOCK_RESERVE
};

/// IDBLOCK.LOG
pub const IDBLOCK_LOG: Row = Row {
    name: "idblock.log",
    summary: "Returns the entries of an allocator's audit log between two ids.",
    ..SCOUNTER_LOG
};

/// IDBLOCK.EFFECT
pub const IDBLOCK_EFFECT: Row = Row {
    name: "idblock.effect",
    summary: "Applies what a primary decided on an allocator. For replication, AOF and slot migration.",
    ..SCOUNTER_EFFECT
};
