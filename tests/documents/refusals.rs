//! Every error that docs/COMMANDS.md lists is provoked, and every error that the sources can say is listed.

use super::{Document, source};
use crate::harness::*;
use tallybook_domain::limits::HOLD_COUNT_MAX;

/// A text in which what stands in angle brackets varies.
struct Shape {
    text: String,
    fixed: Vec<String>,
}

impl Shape {
    fn new(text: &str) -> Self {
        let (mut fixed, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('<') {
            fixed.push(before.to_owned());
            rest = after.split_once('>').expect("a closing bracket").1;
        }
        fixed.push(rest.to_owned());
        Shape { text: text.to_owned(), fixed }
    }

    /// Whether an error is of this shape: the fixed parts, and something in between.
    fn fits(&self, error: &str) -> bool {
        let Some(mut rest) = error.strip_prefix(&self.fixed[0]) else { return false };
        let (last, middle) =
            self.fixed[1..].split_last().map_or((None, &[][..]), |(last, middle)| (Some(last), middle));
        for part in middle {
            let Some(at) = rest.find(part.as_str()).filter(|at| *at > 0) else { return false };
            rest = &rest[at + part.len()..];
        }
        last.map_or(rest.is_empty(), |last| rest.len() > last.len() && rest.ends_with(last.as_str()))
    }
}

fn shapes() -> Vec<Shape> {
    Document::read("docs/COMMANDS.md").section("Errors").column("error").iter().map(|text| Shape::new(text)).collect()
}

const SETUP: [&str; 13] = [
    "SET text x",
    "SCOUNTER.CREATE bounded LBOUND 0 UBOUND 10",
    "SCOUNTER.INCR bounded 5 IDMP me 1",
    "SCOUNTER.CREATE held INITIAL 5 LBOUND 0 UBOUND 10",
    "SCOUNTER.HOLD held 5 EX 1000",
    "SCOUNTER.HOLD held -5 EX 1000",
    "SCOUNTER.CREATE highest INITIAL 9223372036854775806 UBOUND 9223372036854775807",
    "SCOUNTER.HOLD highest 1 EX 1000",
    "SCOUNTER.CREATE lowest INITIAL -9223372036854775808",
    "SCOUNTER.INCR plain",
    "IDBLOCK.CREATE ids MAX 10",
    "IDBLOCK.CREATE coded CODES 3",
    "IDBLOCK.CREATE timed CLOCK 12",
];

const REFUSED: [&str; 52] = [
    "SCOUNTER.INCR text",
    "IDBLOCK.NEXT plain",
    "SCOUNTER.INFO missing",
    "IDBLOCK.NEXT missing",
    "SCOUNTER.CREATE plain",
    "IDBLOCK.CREATE ids",
    "SCOUNTER.DECR bounded 6",
    "SCOUNTER.INCR bounded 6",
    "SCOUNTER.DECR held",
    "SCOUNTER.INCR held",
    "SCOUNTER.DECR lowest",
    "SCOUNTER.INCR highest",
    "SCOUNTER.INCREX lowest LBOUND 9223372036854775807 SATURATE",
    "IDBLOCK.RESERVE ids 11",
    "SCOUNTER.INCR bounded 6 IDMP me 1",
    "SCOUNTER.RELEASE held 7",
    "SCOUNTER.INCR plain 1 2",
    "SCOUNTER.INCR plain NOTE",
    "IDBLOCK.CREATE new EPOCH 1",
    "SCOUNTER.GET",
    "SCOUNTER.INCR plain x",
    "SCOUNTER.DECR plain -9223372036854775808",
    "IDBLOCK.RESERVE ids 0",
    "IDBLOCK.CODES coded 1000001",
    "SCOUNTER.CREATE new LBOUND 2 UBOUND 1",
    "SCOUNTER.CREATE new LBOUND 1 SHARDS 4",
    "SCOUNTER.CREATE {new} SHARDS 4",
    "SCOUNTER.INCREX plain ENX",
    "SCOUNTER.INCREX plain BYFLOAT 1",
    "SCOUNTER.INFO plain nothing",
    "SCOUNTER.HOLD plain -1 EX 5",
    "SCOUNTER.HOLD plain 1 EX 5",
    "SCOUNTER.HOLD plain 0 EX 5",
    "SCOUNTER.HOLD held 1 PXAT 5",
    "SCOUNTER.LOG plain x +",
    "IDBLOCK.CREATE new FENCE MAYBE",
    "IDBLOCK.FENCE FORGET 127.0.0.1:1",
    "IDBLOCK.ELECTABLE x",
    "IDBLOCK.CREATE new CLOCK 1 EPOCH 4000000000000",
    "IDBLOCK.CREATE new START 2 MAX 1",
    "IDBLOCK.CREATE new START -9223372036854775808",
    "IDBLOCK.CREATE new CLOCK 1 CODES 2",
    "IDBLOCK.CREATE new CLOCK 1 MAX 2",
    "IDBLOCK.CREATE new CODES 11",
    "IDBLOCK.CREATE new CODES 2 ALPHABET a",
    "IDBLOCK.CREATE new CODES 2 ALPHABET ab\u{7f}",
    "IDBLOCK.CREATE new CODES 2 ALPHABET aba",
    "IDBLOCK.ENCODE ids 1",
    "IDBLOCK.DECODE timed 1",
    "IDBLOCK.CODES ids 1",
    "IDBLOCK.WHEN ids 1",
    "SCOUNTER.EFFECT plain x",
];

/// What takes more than words.
fn refused_besides(client: &mut Client) -> Vec<String> {
    let long = "x".repeat(256);
    client.ok("SCOUNTER.CREATE other INITIAL 5 LBOUND 0");
    let hold = client.int("SCOUNTER.HOLD other -1 EX 1000");
    let resolved = client.int("SCOUNTER.HOLD other -1 EX 1000");
    client.ok(args!["SCOUNTER.RELEASE", "other", resolved]);
    vec![
        client.error(["SCOUNTER.INCR", "plain", "NOTE", &long]),
        client.error(["SCOUNTER.INCR", "plain", "IDMP", &long, "1"]),
        client.error(["SCOUNTER.INCR", "plain", "IDMP", "me", ""]),
        client.error(["IDBLOCK.CREATE", "new", "CODES", "2", "SECRET", ""]),
        client.error(args!["SCOUNTER.COMMIT", "other", hold, -2]),
        client.error(args!["SCOUNTER.COMMIT", "other", resolved]),
        too_many_holds(client),
        partial(),
        not_permitted(client),
    ]
}

/// What a fence refuses: without enough replicas, on a replica, and where the journal is gone.
fn refused_by_fences() -> Vec<String> {
    let pair = Pair::start_with(Server::builder(), Server::builder().config("replica-read-only", "no"));
    let (mut primary, mut replica) = (pair.primary.connect(), pair.replica.connect());
    let node = format!("127.0.0.1:{}", pair.replica.port());
    primary.ok("IDBLOCK.CREATE ids");
    wait_until("the replica counts", PATIENCE, || primary.show("IDBLOCK.FENCE").contains(&node));
    pair.synced();
    primary.ok("CONFIG SET tallybook.fence-replicas 2");
    let mut server = Server::builder().durable().start();
    server.connect().ok("IDBLOCK.CREATE ids");
    server.kill();
    std::fs::remove_file(server.dir().join("tallybook-0.fence")).expect("a journal");
    server.restart();
    vec![
        primary.error("IDBLOCK.RESERVE ids 1000"),
        primary.error(["IDBLOCK.FENCE", "FORGET", &node]),
        replica.error(["IDBLOCK.FENCE", "FORGET", &node]),
        replica.error("IDBLOCK.NEXT ids"),
        server.connect().error("IDBLOCK.NEXT ids"),
    ]
}

/// A transaction waits for nobody.
fn partial() -> String {
    let cluster = Cluster::start(2, 0);
    let mut client = cluster.node_for("spread").connect();
    client.ok("SCOUNTER.CREATE spread SHARDS 64");
    client.pipeline(["MULTI", "SCOUNTER.TOTAL spread", "EXEC"]).pop().map_or_else(String::new, |reply| {
        let replies = show(&reply.expect("replies"));
        replies.trim_matches(['[', ']']).trim_start_matches("(error) ").to_owned()
    })
}

fn not_permitted(client: &mut Client) -> String {
    client.ok("ACL SETUSER reader on nopass %R~sharded +@all");
    client.ok("SCOUNTER.CREATE sharded SHARDS 1");
    client.ok("AUTH reader any");
    let error = client.error("SCOUNTER.TOTAL sharded");
    client.ok("AUTH default any");
    error
}

fn too_many_holds(client: &mut Client) -> String {
    client.ok(args!["SCOUNTER.CREATE", "crowded", "UBOUND", HOLD_COUNT_MAX + 1]);
    let hold = ["SCOUNTER.HOLD", "crowded", "1", "EX", "1000"];
    for _ in 0..HOLD_COUNT_MAX / 1000 {
        client.pipeline((0..1000).map(|_| hold)).into_iter().for_each(|reply| drop(reply.expect("a hold")));
    }
    client.error(hold)
}

#[test]
fn every_documented_error_comes_in_these_words() {
    let server = Server::start();
    let mut client = server.connect();
    SETUP.iter().for_each(|command| drop(client.value(*command)));
    let mut errors: Vec<String> = REFUSED.iter().map(|command| client.error(*command)).collect();
    errors.extend(refused_besides(&mut client));
    errors.extend(refused_by_fences());
    let shapes = shapes();
    for error in &errors {
        let fitting: Vec<&str> =
            shapes.iter().filter(|shape| shape.fits(error)).map(|shape| shape.text.as_str()).collect();
        assert_eq!(fitting.len(), 1, "`{error}` is documented as {fitting:?}");
    }
    let silent = shapes.iter().filter(|shape| !errors.iter().any(|error| shape.fits(error)));
    let silent: Vec<&str> = silent.map(|shape| shape.text.as_str()).collect();
    assert_eq!(silent, ["ERR internal error, see the server log"], "documented, but never provoked");
}

/// The words of a text in the sources, without what is put in.
fn fixed_parts(literal: &str) -> Vec<&str> {
    literal.split('{').flat_map(|part| part.split_once('}').map_or(Some(part), |(_, rest)| Some(rest))).collect()
}

fn literals(path: &str, from: &str) -> Vec<String> {
    let text = source(path);
    let (_, display) = text.split_once(from).expect("where errors become words");
    let (display, _) = display.split_once("\n}\n").expect("the end of it");
    display.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_error_of_the_sources_is_documented() {
    let shapes = shapes();
    let is_whole = |text: &String| text.contains(' ') && text.starts_with(|first: char| first.is_ascii_uppercase());
    let errors = literals("src/domain/error.rs", "impl fmt::Display for Error").into_iter().filter(is_whole);
    let codes = literals("src/domain/permutation.rs", "impl fmt::Display for CodesError");
    let whole: Vec<String> = errors.filter(|text| text != "ERR {error}").chain(codes).collect();
    assert!(whole.len() > 40, "only {} texts found", whole.len());
    for text in &whole {
        let listed = shapes.iter().any(|shape| {
            let mut rest = shape.text.as_str();
            fixed_parts(text).into_iter().all(|part| match rest.split_once(part) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
        });
        assert!(listed || text == "ERR wrong number of arguments", "`{text}` is not documented");
    }
}
