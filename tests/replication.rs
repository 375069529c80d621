//! What replicas get, and that they come to the same: whatever their clock, their configuration and their way of
//! joining.

use crate::harness::*;
use crate::payload::Payload;
use redis::Value;

/// A time after every time of a test.
const LATE: u64 = 9_999_999_999_999;

/// What a command replicates, if that is one effect: command, key, and the payload.
struct Replicated {
    command: String,
    payload: Vec<u8>,
    at: u64,
}

/// Executes a command, later than all before it, and returns what it replicated.
#[track_caller]
fn replicated(stream: &mut ReplicationStream, client: &mut Client, command: impl Command) -> Replicated {
    let past = now(client);
    wait_until("the clock goes on", PATIENCE, || now(client) > past);
    let before = now(client);
    client.value(command);
    let mut commands = stream.next_commands();
    assert_eq!(commands.len(), 1, "commands replicated");
    let payload = commands[0].pop().expect("a payload");
    let at = Payload::time_of(&payload);
    assert!(at == 0 || (before..=now(client)).contains(&at), "{at} must be the time of the command");
    let command = commands[0].iter().map(|word| String::from_utf8_lossy(word)).collect::<Vec<_>>().join(" ");
    Replicated { command, payload, at }
}

impl Replicated {
    #[track_caller]
    fn is(&self, command: &str, payload: impl Fn(Payload) -> Payload) {
        assert_eq!(self.command, command);
        let expected = payload(Payload::at(self.at)).into_bytes();
        assert_eq!(self.payload.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{command}");
    }
}

fn now(client: &mut Client) -> u64 {
    let words: Vec<u64> = client.list("TIME").iter().map(|word| show(word).replace('"', "").parse().unwrap()).collect();
    words[0] * 1000 + words[1] / 1000
}

#[test]
fn a_plain_counter_replicates_the_command_itself() {
    let server = Server::start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR key");
    let mut stream = ReplicationStream::attach(&server);
    for command in ["SCOUNTER.INCR key", "SCOUNTER.INCR key 5", "scounter.decr key -7", "SCOUNTER.DECR key"] {
        client.int(command);
        assert_eq!(stream.next_lines(), [command]);
    }
}

#[test]
fn what_depends_on_more_replicates_what_was_decided() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("CLIENT SETNAME web-1");
    let mut stream = ReplicationStream::attach(&server);
    let mut replicated = |command: &str| replicated(&mut stream, &mut client, command);
    let me: [&[u8]; 3] = [b"default", b"web-1", b""];
    let why: [&[u8]; 3] = [b"default", b"web-1", b"why"];

    replicated("SCOUNTER.INCR key 5").is("scounter.effect key", |p| p.counter(0, false).added(5));
    replicated("SCOUNTER.CREATE bare INITIAL -7").is("scounter.effect bare", |p| p.counter(-7, true));
    replicated("SCOUNTER.CREATE bounded INITIAL 7 LBOUND -5 UBOUND 100")
        .is("scounter.effect bounded", |p| p.counter(7, true).bounds(-5, 100));
    replicated("SCOUNTER.INCR bounded 5").is("scounter.effect bounded", |p| p.added(5));
    replicated("SCOUNTER.CREATE logged LOG MAXLEN 10")
        .is("scounter.effect logged", |p| p.counter(0, true).log_of(10).stamp(me));
    replicated("SCOUNTER.INCR logged 5").is("scounter.effect logged", |p| p.added(5).stamp(me));
    replicated("SCOUNTER.DECR logged 5 NOTE why").is("scounter.effect logged", |p| p.added(-5).stamp(why));

    replicated("IDBLOCK.CREATE ids START 100 INCREMENT 10 FENCE OFF");
    replicated("IDBLOCK.RESERVE ids 5 NOTE why").is("idblock.effect ids", |p| p.reserved(0, 5).stamp(why));
    replicated("IDBLOCK.NEXT ids").is("idblock.effect ids", |p| p.raised(6));
    replicated("IDBLOCK.CREATE quiet LOG OFF FENCE OFF");
    replicated("IDBLOCK.RESERVE quiet 5").is("idblock.effect quiet", |p| p.reserved(0, 5));
}

/// Two clients, a log, tokens, notes and a bound: what a change says that the one before it did not is told as an effect,
/// everything else as the request.
#[test]
fn what_happens_at_the_moment_of_the_change_before_replicates_the_request() {
    let [primary, replica] = [("", "yes"), ("MAXLEN 7", "no")].map(|(log, preamble)| {
        let server = Server::builder().durable().config("tallybook.log-default", format!("\"{log}\""));
        server.config("aof-use-rdb-preamble", preamble)
    });
    let pair = Pair::start_with(primary, replica);
    let mut clients = [("alice", "web-1"), ("bob", "")].map(|(user, name)| {
        let mut client = pair.primary.connect();
        client.ok(format!("ACL SETUSER {user} on nopass allkeys +@all"));
        client.ok(format!("AUTH {user} any"));
        client.ok(args!["CLIENT", "SETNAME", name]);
        client
    });
    clients[0].ok("SCOUNTER.CREATE logged UBOUND 1000000 LOG MAXLEN 700 IDMP-MAXSIZE 300");
    clients[0].ok("SCOUNTER.CREATE held LBOUND 0 INITIAL 1000 LOG MAXLEN 700");
    let mut stream = ReplicationStream::attach(&pair.primary);
    let mut seen = std::collections::BTreeSet::new();
    let mut round = 0;
    wait_until("each was told in both forms", PATIENCE, || {
        round += 1;
        let requests = (0..40).flat_map(|number| {
            [
                format!("SCOUNTER.INCR logged {number} IDMP worker-{} {}", number % 2, round * 40 + number),
                "SCOUNTER.DECR logged 2 NOTE why".to_owned(),
                format!("SCOUNTER.INCR held {number}"),
                format!("SCOUNTER.HOLD held -1 PX {}", 1 + number % 3),
                format!("SCOUNTER.INCR once 3 IDMP worker-1 {}", round * 40 + number),
                format!("SCOUNTER.INCR once 3 IDMP worker-1 {}", round * 40 + number),
            ]
        });
        clients[round % 2].pipeline(requests);
        seen.extend(heads(&mut stream));
        let told =
            |key| ["scounter.effect", "SCOUNTER.INCR"].iter().all(|form| seen.contains(&format!("{form} {key}")));
        round >= 20 && ["logged", "once"].into_iter().all(told) && seen.contains("SCOUNTER.DECR logged")
    });
    assert!(!seen.contains("SCOUNTER.INCR held"), "a hold ends by the clock of the primary");
    pair.assert_same_keyspace();
    let before = pair.primary.digests();
    for server in [&pair.primary, &pair.replica] {
        server.load_aof();
        assert_same_digests(&before, &server.digests());
    }
}

#[test]
fn an_entry_has_the_time_of_its_effect() {
    let server = Server::start();
    let mut client = server.connect();
    let mut stream = ReplicationStream::attach(&server);
    let created = replicated(&mut stream, &mut client, "SCOUNTER.CREATE key LOG MAXLEN 10");
    assert!(client.show("SCOUNTER.LOG key - +").contains(&format!("\"{}-0\"", created.at)));
    let created = replicated(&mut stream, &mut client, "IDBLOCK.CREATE ids FENCE OFF");
    assert!(client.show("IDBLOCK.LOG ids - +").contains(&format!("\"{}-0\"", created.at)));
}

/// The commands of the stream without their payloads.
fn heads(stream: &mut ReplicationStream) -> Vec<String> {
    let lines = stream.next_lines();
    lines.iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_transaction_stays_one() {
    let server = Server::start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR key");
    let mut stream = ReplicationStream::attach(&server);
    client.pipeline(["MULTI", "SCOUNTER.INCR key 5", "SCOUNTER.INCR new", "SCOUNTER.INCR key x", "EXEC"]);
    assert_eq!(heads(&mut stream), ["MULTI", "SCOUNTER.INCR key", "scounter.effect new", "EXEC"]);
    client.pipeline(["MULTI", "SCOUNTER.INCR key x", "SCOUNTER.INCR key 0", "EXEC"]);
    assert_eq!(heads(&mut stream), [""; 0]);
}

#[test]
fn a_script_replicates_its_effects() {
    let server = Server::start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR key");
    let mut stream = ReplicationStream::attach(&server);
    let script = "redis.call('SCOUNTER.INCR', 'key', 5); redis.pcall('SCOUNTER.INCR', 'key', 'x')
                  return redis.call('SCOUNTER.INCR', 'new')";
    assert_eq!(client.int(["EVAL", script, "0"]), 1);
    assert_eq!(heads(&mut stream), ["MULTI", "SCOUNTER.INCR key", "scounter.effect new", "EXEC"]);
}

/// Writes of every kind that depends on time, chance, caller or configuration.
fn traffic(server: &Server) {
    let mut client = server.connect();
    client.ok("ACL SETUSER alice on nopass allkeys +@all");
    client.ok("AUTH alice any");
    client.ok("CLIENT SETNAME web-1");
    for command in [
        "SCOUNTER.INCR plain 5",
        "SCOUNTER.INCR plain 5",
        "SCOUNTER.CREATE logged INITIAL 5 LOG MAXLEN 100 LOG MAXAGE 100000",
        "SCOUNTER.INCR logged 5 NOTE why",
        "SCOUNTER.CREATE bounded UBOUND 100",
        "SCOUNTER.INCR bounded 100",
        "IDBLOCK.CREATE ids FENCE OFF",
        "IDBLOCK.RESERVE ids 5 NOTE why",
        "IDBLOCK.NEXT ids",
        "COPY ids other-ids",
        "COPY logged logged DB 3",
        "PEXPIRE plain 1000000",
        "RENAME bounded unbounded",
    ] {
        client.value(command);
    }
    client.value(["EVAL", "return redis.call('SCOUNTER.INCR', 'logged', 1)", "0"]);
    client.pipeline(["MULTI", "SCOUNTER.INCR logged", "IDBLOCK.NEXT other-ids", "MOVE unbounded 2", "EXEC"]);
    client.error("SCOUNTER.INCR logged x");
}

#[test]
fn a_replica_is_the_same_whatever_its_own_settings() {
    for (on_primary, on_replica) in [("MAXLEN 100", ""), ("", "MAXLEN 100")] {
        let setting = |text: &str| Server::builder().config("tallybook.log-default", format!("\"{text}\""));
        let pair = Pair::start_with(setting(on_primary), setting(on_replica));
        traffic(&pair.primary);
        pair.assert_same_keyspace();
        let entries = pair.replica.connect().list("SCOUNTER.LOG plain - +").len();
        assert_eq!(entries, if on_primary.is_empty() { 0 } else { 2 });
    }
}

#[test]
fn a_replica_that_lags_keeps_the_times_of_the_primary() {
    let pair = Pair::start();
    pair.replica.pause();
    traffic(&pair.primary);
    pair.primary.connect().ok("DEBUG SLEEP 0.02"); // the replica executes all of it later
    pair.replica.resume();
    pair.assert_same_keyspace();
    for command in ["SCOUNTER.LOG logged - +", "IDBLOCK.LOG ids - +"] {
        let entries = pair.primary.connect().show(command);
        assert_eq!(pair.replica.connect().show(command), entries, "{command}");
        assert!(entries.contains("alice") && entries.contains("web-1") && entries.contains("why"), "{entries}");
    }
}

#[test]
fn a_replica_of_a_replica_is_the_same() {
    let pair = Pair::start();
    let third = Server::builder().replica_of(&pair.replica).start();
    traffic(&pair.primary);
    pair.assert_same_keyspace();
    synced(&pair.replica, &third);
    assert_same_digests(&pair.primary.digests(), &third.digests());
}

#[test]
fn a_replica_that_joins_late_is_the_same() {
    for (diskless, load) in [("no", "disabled"), ("yes", "disabled"), ("yes", "swapdb")] {
        let primary = Server::builder().port().config("repl-diskless-sync", diskless).start();
        traffic(&primary);
        let replica = Server::builder().config("repl-diskless-load", load).replica_of(&primary).start();
        let pair = Pair { primary, replica };
        pair.assert_same_keyspace();
        pair.primary.connect().int("SCOUNTER.INCR logged 5 NOTE later");
        pair.assert_same_keyspace();
    }
}

#[test]
fn a_replica_that_takes_over_continues() {
    let pair = Pair::start();
    traffic(&pair.primary);
    pair.synced();
    let mut client = pair.replica.connect();
    assert!(client.error("SCOUNTER.INCR plain").starts_with("READONLY "));
    client.ok("REPLICAOF NO ONE");
    assert_eq!(client.int("SCOUNTER.INCR plain"), 11);
    assert_eq!(client.int("IDBLOCK.NEXT ids"), 7);
    assert_eq!(client.int("SCOUNTER.INCR logged"), 13);
    assert_eq!(client.list("SCOUNTER.LOG logged - +").len(), 5);
}

#[test]
fn an_expired_counter_is_gone_on_both_sides() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.pipeline(["SCOUNTER.INCR key 5", "PEXPIRE key 1"]);
    wait_until("the key has expired", PATIENCE, || client.show("SCOUNTER.GET key") == "nil");
    client.int("SCOUNTER.INCR key 7");
    client.int("SCOUNTER.INCR key 7");
    pair.assert_same_keyspace();
    assert_eq!(pair.replica.connect().int("SCOUNTER.GET key"), 14);
}

#[test]
fn an_ordinary_caller_of_an_effect_is_named() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("ACL SETUSER mallory on nopass allkeys +@all");
    client.ok("AUTH mallory any");
    client.ok("CLIENT SETNAME laptop");
    client.ok("SCOUNTER.CREATE key LOG MAXLEN 10");
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    let stamped = |payload: Payload| payload.stamp([b"alice", b"web-1", b"why"]).into_bytes();
    client.ok(args!["SCOUNTER.EFFECT", "key", stamped(Payload::at(LATE).added(5))]);
    client.ok(args!["IDBLOCK.EFFECT", "ids", stamped(Payload::at(LATE).reserved(0, 5))]);
    pair.assert_same_keyspace();
    for server in [&pair.primary, &pair.replica] {
        for log in ["SCOUNTER.LOG key", "IDBLOCK.LOG ids"] {
            let entry = server.connect().show(format!("{log} 9999999999999 +"));
            assert!(entry.contains(r#""user", "mallory", "client", "laptop", "note", "why""#), "{entry}");
        }
    }
}

#[test]
fn an_effect_never_lowers_a_mark() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("IDBLOCK.CREATE ids FENCE OFF LOG OFF");
    client.ok(args!["IDBLOCK.EFFECT", "ids", Payload::at(1).raised(100).into_bytes()]);
    client.ok(args!["IDBLOCK.EFFECT", "ids", Payload::at(1).raised(50).into_bytes()]);
    client.ok(args!["IDBLOCK.EFFECT", "ids", Payload::at(1).reserved(10, 5).into_bytes()]);
    assert_eq!(client.int("IDBLOCK.NEXT ids"), 101);
    pair.assert_same_keyspace();
}

/// Effects that fit neither the format nor the state: key, payload.
fn effects_that_do_not_fit() -> Vec<(&'static str, Vec<u8>)> {
    let new = || Payload::at(LATE);
    let nobody: [&[u8]; 3] = [b""; 3];
    let too_long: [&[u8]; 3] = [b"", b"", &[b'n'; 256]];
    let cases = [
        // no effect at all
        ("SCOUNTER.EFFECT plain", new()),
        ("SCOUNTER.EFFECT plain", new().byte(99)),
        ("SCOUNTER.EFFECT plain", new().added(5).byte(0)),
        ("SCOUNTER.EFFECT plain", new().added(5).added(5)),
        ("SCOUNTER.EFFECT plain", new().added(5).bounds(0, 9)),
        ("SCOUNTER.EFFECT plain", new().byte(9)),
        ("SCOUNTER.EFFECT plain", new().byte(9).byte(0x80)),
        ("SCOUNTER.EFFECT plain", new().byte(9).byte(0x80).byte(0)),
        ("SCOUNTER.EFFECT plain", new().raised(5)),
        ("IDBLOCK.EFFECT ids", new().added(5)),
        ("IDBLOCK.EFFECT ids", new().byte(17)),
        // against the state of a counter
        ("SCOUNTER.EFFECT missing", new().added(5)),
        ("SCOUNTER.EFFECT plain", new().counter(0, false).added(5)),
        ("SCOUNTER.EFFECT plain", new().added(i64::MAX)),
        ("SCOUNTER.EFFECT plain", new().added(5).stamp(nobody)),
        ("SCOUNTER.EFFECT bounded", new().added(100)),
        ("SCOUNTER.EFFECT logged", new().added(5)),
        ("SCOUNTER.EFFECT logged", new().added(5).stamp(too_long)),
        ("SCOUNTER.EFFECT missing", new().counter(5, true).bounds(0, 4)),
        ("SCOUNTER.EFFECT missing", new().counter(1, true).log_of(5).added(i64::MAX).stamp(nobody)),
        // against the state of an allocator
        ("IDBLOCK.EFFECT missing", new().raised(5)),
        ("IDBLOCK.EFFECT ids", new().raised(u64::MAX)),
        ("IDBLOCK.EFFECT ids", new().reserved(0, u64::MAX)),
        ("IDBLOCK.EFFECT ids", new().reserved(u64::MAX, 2)),
        ("IDBLOCK.EFFECT ids", new().reserved(100, 0)),
        ("IDBLOCK.EFFECT ids", new().reserved(5, 100).stamp(nobody)), // behind what the log tells
        ("IDBLOCK.EFFECT quiet", new().reserved(100, 1).stamp(nobody)),
        // stored sections
        ("SCOUNTER.EFFECT missing", Payload::first(&[])),
        ("SCOUNTER.EFFECT missing", Payload::first(&[b"\x07\x00\x00\x00"])),
        ("SCOUNTER.EFFECT missing", Payload::first(&[b"\x01\x02", b"\xff"])),
        ("SCOUNTER.EFFECT missing", Payload::more(&[b"\x01\x02"])),
        ("SCOUNTER.EFFECT plain", Payload::first(&[b"\x01\x02"])),
        ("SCOUNTER.EFFECT plain", Payload::more(&[b"\x01\x02"])),
        ("SCOUNTER.EFFECT plain", Payload::more(&[b"\x03\x02\x64", b"\xff"])),
        ("SCOUNTER.EFFECT logged", Payload::more(&[b"\x08\x01\x01\x00\x00\x02"])),
        ("SCOUNTER.EFFECT plain", Payload::more(&[]).byte(5)),
        ("IDBLOCK.EFFECT missing", Payload::first(&[b"\x01\x02"])),
    ];
    let mut cases: Vec<_> = cases.into_iter().map(|(key, payload)| (key, payload.into_bytes())).collect();
    for text in [&b""[..], b"\x01", b"\x01\x00", b"\x01\x03\x02\x09\x0a", b"\x02\x00\x02\x09\x0a", b"effect"] {
        cases.push(("SCOUNTER.EFFECT plain", text.to_vec()));
    }
    cases
}

#[test]
fn an_effect_that_does_not_fit_is_refused() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    for command in [
        "SCOUNTER.INCR plain 5",
        "SCOUNTER.CREATE bounded UBOUND 10",
        "SCOUNTER.CREATE logged LOG MAXLEN 10",
        "SCOUNTER.INCR logged 5 NOTE why",
        "IDBLOCK.CREATE ids FENCE OFF",
        "IDBLOCK.RESERVE ids 10",
        "IDBLOCK.CREATE quiet LOG OFF FENCE OFF",
    ] {
        client.value(command);
    }
    let mut events = Events::listen(&pair.primary);
    let before = pair.primary.digests();
    for (command, payload) in effects_that_do_not_fit() {
        let (name, key) = command.split_once(' ').unwrap();
        let case = format!("{command} {}", payload.escape_ascii());
        let error = client.call(args!["WATCH", key]).and_then(|_| client.call(args![name, key, payload]));
        let error = error.map(|value| show(&value)).expect_err(&case);
        assert!(error.starts_with("ERR effect must fit the state of the key: "), "{case}: {error}");
        assert_eq!(pair.primary.digests(), before, "{case}");
        assert_eq!(events.drain(), [], "{case}");
        assert_ne!(client.pipeline(["MULTI", "EXEC"]).pop(), Some(Ok(Value::Nil)), "{case}");
    }
    client.int("SCOUNTER.INCR logged");
    client.value("IDBLOCK.RESERVE ids 5");
    pair.assert_same_keyspace();
}

#[test]
fn effects_on_several_keys_are_all_or_nothing() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    let create = |initial| Payload::at(1).counter(initial, true).into_bytes();
    client.ok(args!["SCOUNTER.EFFECT", "a", create(1), "b", create(2)]);
    assert_eq!((client.int("SCOUNTER.GET a"), client.int("SCOUNTER.GET b")), (1, 2));
    let add = || Payload::at(1).added(5).into_bytes();
    client.ok(args!["SCOUNTER.EFFECT", "a", add(), "b", add(), "a", add()]);
    assert_eq!((client.int("SCOUNTER.GET a"), client.int("SCOUNTER.GET b")), (11, 7));
    pair.assert_same_keyspace();

    let before = pair.primary.digests();
    client.ok("WATCH a");
    client.error(args!["SCOUNTER.EFFECT", "a", add(), "missing", add()]);
    client.error(args!["SCOUNTER.EFFECT", "a", add(), "b", "no effect"]);
    assert_eq!(pair.primary.digests(), before);
    assert_ne!(client.pipeline(["MULTI", "EXEC"]).pop(), Some(Ok(Value::Nil)));
    pair.assert_same_keyspace();
}
