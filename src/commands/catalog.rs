//! What the server is told of each command. The syntax line is the one of docs/COMMANDS.md.

use super::syntax::parse;
use crate::host::{Access, Command, Keys};

/// One key, the first argument.
const fn key(access: Access) -> Keys {
    Keys { first: 1, last: 1, step: 1, access }
}

/// A key and something else, over and over.
const PAIRS: Keys = Keys { first: 1, last: -1, step: 2, access: Access::Apply };

/// No key at all.
const NO_KEYS: Keys = Keys { first: 0, last: 0, step: 0, access: Access::Read };

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
    /// Changes as much as it is asked to.
    WriteMany,
    /// Changes a key in constant time and frees rather than fills: works when memory is full.
    Relief,
    /// Reads in constant time.
    Read,
    /// Reads in time that grows with what is asked for.
    Scan,
    /// Reads on other nodes too, and may wait for them.
    Gather,
    /// Applies what another node decided.
    Effect,
    /// Shows or changes how this server works.
    Admin,
    /// Takes note of what its primary announces.
    Announcement,
}

impl Class {
    fn flags(&self) -> (&'static str, &'static str) {
        match self {
            Class::Write => ("write deny-oom fast", "write fast"),
            Class::WriteMany => ("write deny-oom", "write"),
            Class::Relief => ("write fast", "write fast"),
            Class::Read => ("readonly fast", "read fast"),
            Class::Scan => ("readonly", "read"),
            Class::Gather => ("readonly blocking", "read blocking"),
            Class::Effect => ("write admin deny-script no-monitor no-slowlog", "write admin dangerous"),
            Class::Admin => ("admin deny-script allow-stale", "admin dangerous"),
            Class::Announcement => ("admin deny-script no-monitor no-slowlog", "admin dangerous"),
        }
    }
}

impl Row {
    /// The row as the server wants it; with our own ACL category where the server has one for us.
    pub fn command(&self, category: bool) -> Command {
        let (arguments, arity) = parse(self.syntax);
        let (flags, categories) = self.class.flags();
        // Whoever may count and draw ids is not meant to write other nodes' decisions.
        let categories = if category && !matches!(self.class, Class::Effect | Class::Announcement) {
            format!("{categories} tallybook")
        } else {
            categories.to_owned()
        };
        let Row { name, summary, complexity, keys, .. } = *self;
        Command { name, summary, complexity, since: "0.1.0", flags, categories, keys, arity, arguments }
    }
}

/// SCOUNTER.INCR
pub const SCOUNTER_INCR: Row = Row {
    name: "scounter.incr",
    syntax: "key [delta] [IDMP producer token] [NOTE text]",
    summary: "Adds to a counter, 1 unless said. A missing counter starts at 0.",
    complexity: "O(1)",
    class: Class::Write,
    keys: key(Access::Update),
};

/// SCOUNTER.DECR
pub const SCOUNTER_DECR: Row = Row {
    name: "scounter.decr",
    syntax: "key [delta] [IDMP producer token] [NOTE text]",
    summary: "Subtracts from a counter, 1 unless said. A missing counter starts at 0.",
    ..SCOUNTER_INCR
};

/// SCOUNTER.INCREX
pub const SCOUNTER_INCREX: Row = Row {
    name: "scounter.increx",
    syntax: "key [BYINT n] [LBOUND n] [UBOUND n] [SATURATE] [EX s|PX ms|EXAT unix-time|PXAT unix-time|PERSIST] [ENX] \
             [NX|XX] [IDMP producer token] [NOTE text]",
    summary: "Adds to a counter within bounds and sets its expiry, as the native INCREX does.",
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

/// SCOUNTER.MGET
pub const SCOUNTER_MGET: Row = Row {
    name: "scounter.mget",
    syntax: "key [key ..]",
    summary: "Returns the values of several counters.",
    complexity: "O(N) with N the number of keys",
    class: Class::Read,
    keys: Keys { first: 1, last: -1, step: 1, access: Access::Read },
};

/// SCOUNTER.MINCR
pub const SCOUNTER_MINCR: Row = Row {
    name: "scounter.mincr",
    syntax: "key delta [key delta ..]",
    summary: "Adds to several counters at once, or to none of them.",
    complexity: "O(N) with N the number of keys",
    class: Class::WriteMany,
    keys: Keys { access: Access::Update, ..PAIRS },
};

/// SCOUNTER.SET
pub const SCOUNTER_SET: Row = Row {
    name: "scounter.set",
    syntax: "key value [NX|XX] [GET] [NOTE text]",
    summary: "Sets the value of a counter; everything else stays.",
    ..SCOUNTER_INCR
};

/// SCOUNTER.CREATE
pub const SCOUNTER_CREATE: Row = Row {
    name: "scounter.create",
    syntax: "key [NX] [INITIAL n] [LBOUND n] [UBOUND n] [SHARDS k] [IDMP-DURATION s] [IDMP-MAXSIZE n] \
             [LOG MAXLEN n|LOG MAXAGE ms|LOG MAXBYTES n|LOG OFF ..]",
    summary: "Creates a counter with bounds that every later change must keep, and with an audit log.",
    complexity: "O(1)",
    class: Class::Write,
    keys: key(Access::Insert),
};

/// SCOUNTER.ALTER
pub const SCOUNTER_ALTER: Row = Row {
    name: "scounter.alter",
    syntax: "key [LBOUND bound] [UBOUND bound] [SHARDS k] [IDMP-DURATION s] [IDMP-MAXSIZE n] \
             [LOG MAXLEN n|LOG MAXAGE ms|LOG MAXBYTES n|LOG OFF ..]",
    summary: "Changes bounds, shards, tokens or log of a counter.",
    complexity: "O(1)",
    class: Class::Relief,
    keys: key(Access::Update),
};

/// SCOUNTER.INFO
pub const SCOUNTER_INFO: Row = Row {
    name: "scounter.info",
    syntax: "key [field]",
    summary: "Returns all there is to know of a counter, or one field of it.",
    complexity: "O(N) with N the chunks of its log and tokens",
    class: Class::Scan,
    keys: key(Access::Read),
};

/// SCOUNTER.HOLD
pub const SCOUNTER_HOLD: Row = Row {
    name: "scounter.hold",
    syntax: "key amount <EX s|PX ms|EXAT unix-time|PXAT unix-time> [IDMP producer token] [NOTE text]",
    summary: "Sets an amount aside until it is committed, released or past its deadline.",
    complexity: "O(log(N)) with N the holds of the counter",
    ..SCOUNTER_INCR
};

/// SCOUNTER.COMMIT
pub const SCOUNTER_COMMIT: Row = Row {
    name: "scounter.commit",
    syntax: "key hold-id [amount] [NOTE text]",
    summary: "Applies a hold, or a part of it and gives back the rest.",
    class: Class::Relief,
    keys: key(Access::Update),
    ..SCOUNTER_HOLD
};

/// SCOUNTER.RELEASE
pub const SCOUNTER_RELEASE: Row = Row {
    name: "scounter.release",
    syntax: "key hold-id",
    summary: "Gives a hold back.",
    keys: key(Access::Apply),
    ..SCOUNTER_COMMIT
};

/// SCOUNTER.HOLDS
pub const SCOUNTER_HOLDS: Row = Row {
    name: "scounter.holds",
    syntax: "key [COUNT n]",
    summary: "Lists the pending holds of a counter, soonest deadline first.",
    complexity: "O(N) with N the holds returned",
    ..SCOUNTER_INFO
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

/// SCOUNTER.TOTAL
pub const SCOUNTER_TOTAL: Row = Row {
    name: "scounter.total",
    syntax: "key [MAXAGE ms] [TIMEOUT ms] [PARTIAL]",
    summary: "Returns the value of a counter and all its shards together, wherever they live.",
    complexity: "O(N) with N the number of shards",
    class: Class::Gather,
    keys: key(Access::Read),
};

/// SCOUNTER.SHARDS
pub const SCOUNTER_SHARDS: Row = Row {
    name: "scounter.shards",
    syntax: "key",
    summary: "Returns the shards of a counter: key, value, slot and node of each.",
    ..SCOUNTER_TOTAL
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
    syntax: "key [NX] [START n] [INCREMENT n] [MAX n] [CLOCK bits [EPOCH ms]] \
             [CODES length [ALPHABET text] [SECRET text]] [FENCE AUTO|FENCE n|FENCE OFF] [IDMP-DURATION s] [IDMP-MAXSIZE n] \
             [LOG MAXLEN n|LOG MAXAGE ms|LOG MAXBYTES n|LOG OFF ..]",
    summary: "Creates an allocator of id ranges.",
    ..SCOUNTER_CREATE
};

/// IDBLOCK.RESERVE
pub const IDBLOCK_RESERVE: Row = Row {
    name: "idblock.reserve",
    syntax: "key count [ATLEAST n] [IDMP producer token] [NOTE text]",
    summary: "Hands out a contiguous run of ids that nobody else will get.",
    complexity: "O(1)",
    class: Class::Write,
    keys: key(Access::Update),
};

/// IDBLOCK.NEXT
pub const IDBLOCK_NEXT: Row = Row {
    name: "idblock.next",
    syntax: "key [IDMP producer token]",
    summary: "Hands out a single id, without a log entry.",
    ..IDBLOCK_RESERVE
};

/// IDBLOCK.ADVANCE
pub const IDBLOCK_ADVANCE: Row = Row {
    name: "idblock.advance",
    syntax: "key id",
    summary: "Makes all later ids lie beyond one that came from elsewhere.",
    keys: key(Access::Apply),
    ..IDBLOCK_RESERVE
};

/// IDBLOCK.CODES
pub const IDBLOCK_CODES: Row = Row {
    name: "idblock.codes",
    summary: "Hands out ids as short codes that cannot be enumerated.",
    complexity: "O(N) with N the number of codes",
    class: Class::WriteMany,
    ..IDBLOCK_RESERVE
};

/// IDBLOCK.ENCODE
pub const IDBLOCK_ENCODE: Row = Row {
    name: "idblock.encode",
    syntax: "key id [id ..]",
    summary: "Returns the codes of ids.",
    complexity: "O(N) with N the number of ids",
    class: Class::Scan,
    keys: key(Access::Read),
};

/// IDBLOCK.DECODE
pub const IDBLOCK_DECODE: Row = Row {
    name: "idblock.decode",
    syntax: "key code [code ..]",
    summary: "Returns the ids of codes.",
    complexity: "O(N) with N the number of codes",
    ..IDBLOCK_ENCODE
};

/// IDBLOCK.WHEN
pub const IDBLOCK_WHEN: Row = Row {
    name: "idblock.when",
    syntax: "key id",
    summary: "Returns the time that a time-sortable id carries.",
    complexity: "O(1)",
    class: Class::Read,
    ..IDBLOCK_ENCODE
};

/// IDBLOCK.WHO
pub const IDBLOCK_WHO: Row = Row {
    name: "idblock.who",
    syntax: "key id",
    summary: "Returns the logged reservation that holds an id.",
    complexity: "O(log(N)) with N the entries of the log",
    class: Class::Read,
    ..IDBLOCK_ENCODE
};

/// IDBLOCK.INFO
pub const IDBLOCK_INFO: Row = Row {
    name: "idblock.info",
    summary: "Returns all there is to know of an allocator, or one field of it.",
    ..SCOUNTER_INFO
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

/// IDBLOCK.FENCE
pub const IDBLOCK_FENCE: Row = Row {
    name: "idblock.fence",
    syntax: "[FORGET node]",
    summary: "Shows which servers must acknowledge the marks of fenced allocators, or forgets one that is gone for good.",
    complexity: "O(N) with N the number of replicas",
    class: Class::Admin,
    keys: NO_KEYS,
};

/// IDBLOCK.ELECTABLE
pub const IDBLOCK_ELECTABLE: Row = Row {
    name: "idblock.electable",
    syntax: "set",
    summary: "Takes note of which servers could take over from the primary. For replication.",
    complexity: "O(N) with N the number of replicas",
    class: Class::Announcement,
    keys: NO_KEYS,
};
