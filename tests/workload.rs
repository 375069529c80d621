//! A random workload of everything, and then the question whether primary, replica, RDB and AOF agree.
//!
//! To add a command, add its line to `COMMANDS`.

use crate::harness::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// How often, and what. A word in braces is drawn anew each time, see `Generator::word`.
const COMMANDS: &[(u32, &str)] = &[
    (60, "SCOUNTER.INCR {counter}"),
    (60, "SCOUNTER.INCR {counter} {delta}"),
    (30, "SCOUNTER.DECR {counter} {delta}"),
    (60, "SCOUNTER.INCR {counter} {delta} NOTE {note}"),
    (60, "SCOUNTER.INCR {counter} {delta} IDMP producer {token}"),
    (20, "SCOUNTER.DECR {counter} 5 IDMP producer {token} NOTE {note}"),
    (20, "SCOUNTER.INCREX {counter} BYINT {delta} LBOUND -100 UBOUND 400 SATURATE NOTE {note}"),
    (20, "SCOUNTER.INCREX {counter} BYINT {delta} UBOUND 400 PX 10000000 ENX IDMP producer {token}"),
    (10, "SCOUNTER.INCREX {counter} PX {soon}"),
    (10, "SCOUNTER.INCREX {counter} XX PERSIST"),
    (20, "SCOUNTER.MINCR {counter} {delta} {counter} {delta} {counter} {delta}"),
    (20, "SCOUNTER.SET {counter} {delta} GET NOTE {note}"),
    (10, "SCOUNTER.SET {counter} {delta} NX"),
    (10, "SCOUNTER.CREATE {counter} NX"),
    (15, "SCOUNTER.CREATE {counter} NX INITIAL 5 LBOUND -50 UBOUND 500"),
    (15, "SCOUNTER.CREATE {counter} NX LOG MAXLEN {count}"),
    (15, "SCOUNTER.CREATE {counter} NX UBOUND 5000 LOG MAXAGE {count} LOG MAXBYTES 5000"),
    (15, "SCOUNTER.CREATE {counter} NX LBOUND -5000 UBOUND 5000 IDMP-MAXSIZE 5 IDMP-DURATION 1"),
    (10, "SCOUNTER.CREATE {counter}"),
    (10, "SCOUNTER.ALTER {counter} LBOUND -5000 UBOUND 5000 LOG MAXLEN {count}"),
    (5, "SCOUNTER.ALTER {counter} LBOUND NONE LOG OFF IDMP-MAXSIZE {count}"),
    (20, "SCOUNTER.HOLD {counter} {delta} PX {soon}"),
    (60, "SCOUNTER.HOLD {counter} {delta} PX 10000000 NOTE {note}"),
    (20, "SCOUNTER.HOLD {counter} {delta} EX 1000 IDMP producer {token}"),
    (30, "SCOUNTER.COMMIT {holder} {hold}"),
    (20, "SCOUNTER.COMMIT {holder} {hold} 1 NOTE {note}"),
    (20, "SCOUNTER.RELEASE {holder} {hold}"),
    (10, "SCOUNTER.GET {counter}"),
    (10, "SCOUNTER.MGET {key} {key}"),
    (10, "SCOUNTER.INFO {counter}"),
    (10, "SCOUNTER.HOLDS {counter}"),
    (10, "SCOUNTER.LOG {counter} + - COUNT 5 REV"),
    (30, "IDBLOCK.CREATE {allocator} NX FENCE OFF"),
    (15, "IDBLOCK.CREATE {allocator} NX START {delta} INCREMENT {count} MAX 100000 FENCE OFF LOG MAXLEN {count}"),
    (10, "IDBLOCK.CREATE {allocator} NX FENCE OFF LOG OFF"),
    (10, "IDBLOCK.CREATE {allocator} NX CLOCK 12 FENCE OFF"),
    (10, "IDBLOCK.CREATE {allocator} NX CODES 4 FENCE OFF IDMP-MAXSIZE 5 IDMP-DURATION 1"),
    (60, "IDBLOCK.RESERVE {allocator} {count}"),
    (60, "IDBLOCK.RESERVE {allocator} {count} ATLEAST 1 NOTE {note}"),
    (30, "IDBLOCK.RESERVE {allocator} 50 IDMP producer {token}"),
    (60, "IDBLOCK.NEXT {allocator}"),
    (20, "IDBLOCK.NEXT {allocator} IDMP producer {token}"),
    (20, "IDBLOCK.CODES {allocator} 5"),
    (10, "IDBLOCK.ADVANCE {allocator} {count}"),
    (10, "IDBLOCK.WHO {allocator} {count}"),
    (10, "IDBLOCK.INFO {allocator}"),
    (10, "IDBLOCK.LOG {allocator} - + COUNT 5"),
    (15, "COPY {key} {key}"),
    (15, "COPY {key} {key} REPLACE"),
    (10, "COPY {key} {key} DB 1 REPLACE"),
    (15, "RENAME {key} {key}"),
    (10, "MOVE {key} 1"),
    (2, "SWAPDB 0 1"),
    (15, "DEL {key}"),
    (10, "UNLINK {key} {key}"),
    (10, "PEXPIRE {key} {soon}"),
    (10, "PEXPIRE {key} 10000000"),
    (5, "PERSIST {key}"),
    (15, "RESTORE {key} 0 {dump} REPLACE"),
    (5, "RESTORE {key} {soon} {dump} REPLACE"),
    // Refused, always or mostly.
    (5, "SCOUNTER.INCR {allocator}"),
    (5, "SCOUNTER.INCR {counter} 9223372036854775807"),
    (5, "SCOUNTER.INCR {counter} nonsense"),
    (5, "SCOUNTER.CREATE {key} LBOUND 5 UBOUND 4"),
    (5, "IDBLOCK.RESERVE {key} 2147483647 NOTE"),
    (5, "IDBLOCK.NEXT {key}"),
];

/// Those whose every call is refused.
const ALWAYS_REFUSED: [&str; 3] = ["nonsense", "LBOUND 5 UBOUND 4", "NOTE"];

const COUNTERS: u32 = 30;
const ALLOCATORS: u32 = 15;
const TOKENS: u32 = 200;
/// Commands between two looks at the server.
const BATCH: usize = 500;
const SOON_MS: u32 = 30;

struct Generator {
    chance: StdRng,
    dumps: Vec<Vec<u8>>,
    /// Counters and the ids of their holds.
    holds: Vec<(Vec<u8>, Vec<u8>)>,
    /// The one of `{holder} {hold}`.
    hold: usize,
}

impl Generator {
    /// The number of a line, and a command made from it.
    fn command(&mut self) -> (usize, Vec<Vec<u8>>) {
        let total = COMMANDS.iter().map(|(weight, _)| weight).sum();
        let mut drawn = self.chance.random_range(0..total);
        let line = COMMANDS.iter().position(|&(weight, _)| {
            let found = drawn < weight;
            drawn = drawn.wrapping_sub(weight);
            found
        });
        let line = line.expect("a line of the table");
        (line, COMMANDS[line].1.split(' ').map(|word| self.word(word)).collect())
    }

    fn word(&mut self, word: &str) -> Vec<u8> {
        let chance = &mut self.chance;
        let text = match word {
            "{key}" if chance.random_ratio(2, 3) => return self.word("{counter}"),
            "{key}" => return self.word("{allocator}"),
            "{counter}" => format!("counter-{}", chance.random_range(0..COUNTERS)),
            "{allocator}" => format!("allocator-{}", chance.random_range(0..ALLOCATORS)),
            "{holder}" if self.holds.is_empty() => return self.word("{counter}"),
            "{holder}" => {
                self.hold = chance.random_range(0..self.holds.len());
                return self.holds[self.hold].0.clone();
            }
            "{hold}" if self.holds.is_empty() => "1".to_owned(),
            "{hold}" => return self.holds[self.hold].1.clone(),
            "{token}" => format!("token-{}", chance.random_range(0..TOKENS)),
            "{delta}" => chance.random_range(-100..100).to_string(),
            "{count}" => chance.random_range(1..300).to_string(),
            "{soon}" => chance.random_range(1..SOON_MS).to_string(),
            "{note}" => return (0..chance.random_range(1..40)).map(|_| chance.random()).collect(),
            "{dump}" if self.dumps.is_empty() => "nothing dumped yet".to_owned(),
            "{dump}" => return self.dumps[chance.random_range(0..self.dumps.len())].clone(),
            word => word.to_owned(),
        };
        text.into_bytes()
    }

    /// Commands on their way: one by one, as a transaction, or in a script, which has a line of its own for nobody.
    fn batch(&mut self) -> Vec<(Option<usize>, Vec<Vec<u8>>)> {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            let several = self.chance.random_range(1..6);
            match self.chance.random_range(0..10) {
                0 => {
                    batch.push((None, args!["MULTI"]));
                    batch.extend((0..several).map(|_| (None, self.command().1)));
                    batch.push((None, if several == 5 { args!["DISCARD"] } else { args!["EXEC"] }));
                }
                1 => {
                    let mut script = args!["EVAL", SCRIPT, 0];
                    for command in (0..several).map(|_| self.command().1) {
                        script.push(command.len().into_bytes());
                        script.extend(command);
                    }
                    batch.push((None, script));
                }
                _ => {
                    let (line, command) = self.command();
                    batch.push((Some(line), command));
                }
            }
        }
        batch
    }

    /// Values to be restored from now on, beside some older ones; holds to be resolved.
    fn look_at(&mut self, client: &mut Client) {
        self.holds.clear();
        for _ in 0..10 {
            let counter = self.word("{counter}");
            let holds = client.call(args!["SCOUNTER.HOLDS", &counter]).map(|holds| numbers(&holds));
            self.holds.extend(holds.unwrap_or_default().into_iter().take(20).map(|hold| (counter.clone(), hold)));
        }
        self.dumps.truncate(20);
        for _ in 0..20 {
            let dump = client.value(args!["DUMP", self.word("{key}")]);
            if let redis::Value::BulkString(dump) = dump {
                self.dumps.insert(0, dump);
            }
        }
    }
}

/// The first of each entry.
fn numbers(holds: &redis::Value) -> Vec<Vec<u8>> {
    let redis::Value::Array(entries) = holds else { return Vec::new() };
    let first = |entry: &redis::Value| match entry {
        redis::Value::Array(parts) => parts.first().map(|id| show(id).into_bytes()),
        _ => None,
    };
    entries.iter().filter_map(first).collect()
}

/// Executes its arguments: the number of words of a command, its words, the next number.
const SCRIPT: &str = "
    local at = 1
    while at <= #ARGV do
        local last = at + tonumber(ARGV[at])
        redis.pcall(unpack(ARGV, at + 1, last))
        at = last + 1
    end";

/// Whether nothing is about to expire any more, and what has expired is gone: KEYS hides it before it is, a digest does
/// not.
fn is_settled(client: &mut Client) -> bool {
    (0..2).all(|database| {
        client.ok(["SELECT", &database.to_string()]);
        let keys = client.list("KEYS *");
        if usize::try_from(client.int("DBSIZE")) != Ok(keys.len()) {
            return false;
        }
        let left = client.pipeline(keys.iter().map(|key| ["PTTL".to_owned(), show(key).replace('"', "")]));
        left.into_iter().all(|left| !matches!(left, Ok(redis::Value::Int(0..=1_000_000))))
    })
}

#[test]
fn primary_replica_rdb_and_aof_agree_after_anything() {
    let persistent = || Server::builder().config("appendonly", "yes").config("appendfsync", "no");
    let on_primary = persistent().config("tallybook.log-default", "\"MAXLEN 50\"");
    let pair = Pair::start_with(on_primary, persistent());
    let mut generator =
        Generator { chance: StdRng::seed_from_u64(seed()), dumps: Vec::new(), holds: Vec::new(), hold: 0 };
    let mut client = pair.primary.connect();
    client.ok("CLIENT SETNAME workload");
    let mut accepted = vec![0u32; COMMANDS.len()];
    for _ in 0..scale(20_000, 200_000) / BATCH {
        let batch = generator.batch();
        let replies = client.pipeline(batch.iter().map(|(_, command)| command));
        for ((line, _), reply) in batch.iter().zip(replies) {
            match (line, reply) {
                (Some(line), Ok(_)) => accepted[*line] += 1,
                (_, Err(error)) if error.starts_with("DISCONNECTED") => panic!("{error}"),
                _ => {}
            }
        }
        generator.look_at(&mut client);
    }
    for ((_, line), accepted) in COMMANDS.iter().zip(accepted) {
        let refused = ALWAYS_REFUSED.iter().any(|end| line.ends_with(end));
        assert_eq!(accepted == 0, refused, "`{line}` was accepted {accepted} times");
    }
    wait_until("what was to expire has expired", PATIENCE, || is_settled(&mut client));
    pair.assert_same_keyspace();
    let expected = pair.primary.digests();
    assert!(expected.len() > 20, "{} keys are left", expected.len());

    for server in [&pair.primary, &pair.replica] {
        server.load_aof();
        assert_same_digests(&expected, &server.digests());
        server.reload();
        assert_same_digests(&expected, &server.digests());
        for preamble in ["yes", "no"] {
            server.connect().ok(["CONFIG", "SET", "aof-use-rdb-preamble", preamble]);
            server.rewrite_aof();
            server.load_aof();
            assert_same_digests(&expected, &server.digests());
        }
    }
}
