//! `SCOUNTER.LOG` and `IDBLOCK.LOG`: what an entry says, and which entries a range holds. For the latter XRANGE is the
//! judge: a stream gets the same ids, and both must return the same ones.

use super::witness::Witness;
use crate::harness::*;
use crate::payload::{Payload, with_entries};
use redis::Value;

/// The fields of every entry, without its id.
fn fields(client: &mut Client, command: impl Command) -> Vec<String> {
    let entries = client.list(command);
    let fields = |entry: Value| match entry {
        Value::Array(parts) if parts.len() == 2 => show(&parts[1]).replace('"', ""),
        other => panic!("an id and fields must come, got {}", show(&other)),
    };
    entries.into_iter().map(fields).collect()
}

#[test]
fn an_entry_says_what_who_and_why() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key INITIAL 100 LOG MAXLEN 10");
    client.int("SCOUNTER.INCR key 5");
    client.ok("CLIENT SETNAME web-1");
    client.int("SCOUNTER.INCR key 5 NOTE order-7");
    client.int("SCOUNTER.DECR key");
    let expected = [
        "[op, create, delta, 100, value, 100, user, default]",
        "[op, incr, delta, 5, value, 105, user, default]",
        "[op, incr, delta, 5, value, 110, user, default, client, web-1, note, order-7]",
        "[op, incr, delta, -1, value, 109, user, default, client, web-1]",
    ];
    assert_eq!(fields(&mut client, "SCOUNTER.LOG key - +"), expected);
    assert_eq!(fields(&mut server.connect_resp3(), "SCOUNTER.LOG key - +"), expected);
}

#[test]
fn an_entry_of_an_allocator_says_which_ids() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE key START 100 INCREMENT 10 FENCE OFF");
    client.value("IDBLOCK.RESERVE key 3 NOTE import");
    client.int("IDBLOCK.NEXT key");
    client.value("IDBLOCK.RESERVE key 1");
    let expected = [
        "[op, create, user, default]",
        "[op, reserve, first, 100, last, 120, user, default, note, import]",
        "[op, reserve, first, 140, last, 140, user, default]",
    ];
    assert_eq!(fields(&mut client, "IDBLOCK.LOG key - +"), expected);
    assert_eq!(fields(&mut server.connect_resp3(), "IDBLOCK.LOG key - +"), expected);
}

#[test]
fn the_user_is_the_one_who_is_logged_in() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("ACL SETUSER alice on nopass allkeys +@all");
    client.ok("AUTH alice any");
    client.ok("SCOUNTER.CREATE key LOG MAXLEN 10");
    client.ok("AUTH default any");
    client.int("SCOUNTER.INCR key");
    assert_eq!(
        fields(&mut client, "SCOUNTER.LOG key - +"),
        ["[op, create, delta, 0, value, 0, user, alice]", "[op, incr, delta, 1, value, 1, user, default]"]
    );
}

#[test]
fn a_note_is_any_bytes() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key LOG MAXLEN 100");
    let all: Vec<u8> = (0..=255).collect();
    let notes = [&all[..255], &all[1..], &[0], &[0xff; 255], b"\r\n", b"NOTE", "z\u{df}\u{1f600}".as_bytes()];
    for note in notes {
        client.int(args!["SCOUNTER.INCR", "key", "NOTE", note]);
        let entry = client.list("SCOUNTER.LOG key + - COUNT 1 REV");
        let Value::Array(parts) = &entry[0] else { panic!("an entry must come") };
        let Value::Array(fields) = &parts[1] else { panic!("fields must come") };
        assert_eq!(fields[fields.len() - 2..], [b"note".to_vec(), note.to_vec()].map(Value::BulkString));
    }
    client.int(["SCOUNTER.INCR", "key", "NOTE", ""]);
    assert!(!client.show("SCOUNTER.LOG key + - COUNT 1 REV").contains("note"));
}

#[test]
fn ids_increase_strictly() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key LOG MAXLEN 5000");
    client.pipeline((0..2000).map(|_| "SCOUNTER.INCR key"));
    let entries = ids(&client.value("SCOUNTER.LOG key - +"));
    assert_eq!(entries.len(), 2001);
    let numbers: Vec<(u64, u64)> = entries
        .iter()
        .map(|id| id.split_once('-').map(|(ms, seq)| (ms.parse().unwrap(), seq.parse().unwrap())).expect("ms-seq"))
        .collect();
    assert!(numbers.is_sorted_by(|before, after| before < after));
}

#[test]
fn the_log_keeps_its_bound_and_little_more() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key LOG MAXLEN 100");
    client.pipeline((0..3000).map(|_| "SCOUNTER.INCR key"));
    let entries = client.list("SCOUNTER.LOG key - +");
    assert!((100..=100 + 256).contains(&entries.len()), "{} entries", entries.len());
    assert!(fields(&mut client, "SCOUNTER.LOG key + - COUNT 1 REV")[0].contains("value, 3000"));
}

#[test]
fn a_log_that_is_off_has_no_entries() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids FENCE OFF LOG OFF");
    client.value("IDBLOCK.RESERVE ids 5 NOTE why");
    client.ok("SCOUNTER.CREATE counter LOG OFF");
    client.value("SCOUNTER.INCR counter 5 NOTE why");
    assert_eq!(client.show("IDBLOCK.LOG ids - +"), "[]");
    assert_eq!(client.show("SCOUNTER.LOG counter - +"), "[]");
}

#[test]
fn a_range_must_be_one() {
    let mut witness = Witness::after(&["SCOUNTER.CREATE counter LOG MAXLEN 5", "IDBLOCK.CREATE ids FENCE OFF"]);
    for key in ["SCOUNTER.LOG counter", "IDBLOCK.LOG ids", "SCOUNTER.LOG missing", "IDBLOCK.LOG missing"] {
        for (rest, error) in [
            ("- + COUNT", "ERR syntax error"),
            ("- + COUNT 1 COUNT 1", "ERR syntax error"),
            ("- + REV REV", "ERR syntax error"),
            ("- + BOGUS", "ERR syntax error"),
            ("- + COUNT -1", "ERR COUNT must be from 0 to 9223372036854775807, got -1"),
            ("- + COUNT x", "ERR COUNT must be a signed 64-bit integer"),
            ("x +", "ERR entry id must be -, +, ms or ms-seq, with ( before it to exclude it"),
            ("- 5-x", "ERR entry id must be -, +, ms or ms-seq, with ( before it to exclude it"),
        ] {
            witness.refuses(format!("{key} {rest}"), error);
        }
    }
}

/// Ends of a range that are worth a try.
const ENDS: [&str; 28] = [
    "-",
    "+",
    "0",
    "0-0",
    "0-1",
    "5",
    "5-0",
    "5-1",
    "5-2",
    "5-7",
    "(5",
    "(5-0",
    "(5-1",
    "(5-7",
    "6",
    "(6",
    "1700000000000",
    "(1700000000000-3",
    "18446744073709551615",
    "18446744073709551615-18446744073709551615",
    "(18446744073709551615-18446744073709551615",
    "(0-0",
    "18446744073709551616",
    "(-",
    "(+",
    "(",
    "5-",
    "-5",
];

#[test]
fn a_range_is_that_of_xrange() {
    let ids = [
        (0, 1),
        (5, 0),
        (5, 1),
        (5, 7),
        (6, 0),
        (7, u64::MAX),
        (1_700_000_000_000, 3),
        ((i64::MAX - 1).unsigned_abs(), u64::MAX),
    ];
    let mut judge = Judge::of(&ids);
    let counts = ["", "COUNT 0", "COUNT 1", "COUNT 3", "COUNT 9223372036854775807"];
    for start in ENDS {
        judge.compare(ENDS.iter().flat_map(|end| counts.map(|count| format!("{start} {end} {count}"))));
    }
}

/// The entries of one log lie in many chunks.
#[test]
fn a_long_range_is_that_of_xrange() {
    let mut judge = Judge::of(&[(1, 0)]);
    for number in 1..1500 {
        let at = || Payload::at(1 + number / 7); // so the id is 1 + number / 7, number % 7
        let (counter, allocator) = (at().added(1), at().reserved(number, 1));
        judge.client.ok(args!["SCOUNTER.EFFECT", "counter", counter.stamp([b""; 3]).into_bytes()]);
        judge.client.ok(args!["IDBLOCK.EFFECT", "ids", allocator.stamp([b""; 3]).into_bytes()]);
        judge.add_to_stream(&(1 + number / 7, number % 7));
    }
    let ends: Vec<String> = ["-", "+"].map(str::to_owned).into_iter().chain((0..220).step_by(61).map(end_at)).collect();
    for start in &ends {
        judge.compare(ends.iter().flat_map(|end| ["", "COUNT 300"].map(|count| format!("{start} {end} {count}"))));
    }
}

fn end_at(ms: u64) -> String {
    let open = if ms.is_multiple_of(2) { "(" } else { "" };
    format!("{open}{ms}-{}", ms % 7)
}

/// A counter, an allocator and a stream of the same ids.
struct Judge {
    _server: Server,
    client: Client,
}

impl Judge {
    fn of(ids: &[(u64, u64)]) -> Self {
        let server = Server::start();
        let mut judge = Judge { client: server.connect(), _server: server };
        let [counter, allocator] = with_entries(ids);
        judge.client.ok(args!["SCOUNTER.EFFECT", "counter", counter.into_bytes()]);
        judge.client.ok(args!["IDBLOCK.EFFECT", "ids", allocator.into_bytes()]);
        ids.iter().for_each(|id| judge.add_to_stream(id));
        judge
    }

    fn add_to_stream(&mut self, (ms, seq): &(u64, u64)) {
        self.client.text(format!("XADD stream {ms}-{seq} field value"));
    }

    /// Each range, in both directions, holds the same ids everywhere, or is an error everywhere.
    #[track_caller]
    fn compare(&mut self, ranges: impl Iterator<Item = String>) {
        let ranges: Vec<String> = ranges.collect();
        for (judge, reverse) in [("XRANGE", ""), ("XREVRANGE", "REV")] {
            let expected = self.ask(ranges.iter().map(|range| format!("{judge} stream {range}")));
            for key in ["SCOUNTER.LOG counter", "IDBLOCK.LOG ids"] {
                let got = self.ask(ranges.iter().map(|range| format!("{key} {range} {reverse}")));
                for ((range, expected), got) in ranges.iter().zip(&expected).zip(got) {
                    assert_eq!(got, *expected, "{key} {range} {reverse}");
                }
            }
        }
    }

    /// The ids that come back, or None for an error.
    fn ask(&mut self, commands: impl Iterator<Item = String>) -> Vec<Option<Vec<String>>> {
        self.client.pipeline(commands).into_iter().map(|reply| reply.ok().map(|value| ids(&value))).collect()
    }
}

/// The ids of entries.
fn ids(entries: &Value) -> Vec<String> {
    match entries {
        Value::Array(entries) => entries
            .iter()
            .map(|entry| match entry {
                Value::Array(parts) => show(&parts[0]).replace('"', ""),
                other => panic!("an entry must come, got {}", show(other)),
            })
            .collect(),
        _ => Vec::new(), // XRANGE with COUNT 0 answers nil
    }
}
