//! The same commands by other callers: transactions, scripts, restricted users, a server that is out of memory.

use crate::harness::*;

#[test]
fn a_transaction_carries_out_what_it_queued() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("CLIENT SETNAME web-1");
    client.ok("SCOUNTER.CREATE key UBOUND 10 LOG MAXLEN 10");
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    let commands = ["SCOUNTER.INCR key 10", "SCOUNTER.INCR key", "IDBLOCK.RESERVE ids 5", "SCOUNTER.DECR key"];
    client.ok("MULTI");
    commands.iter().for_each(|command| assert_eq!(client.text(*command), "QUEUED"));
    let bound = "(error) BOUND value must be at most 10, got 11";
    assert_eq!(client.show("EXEC"), format!("[10, {bound}, [1, 5, 1, 5], 9]"));
    assert_eq!(client.show("SCOUNTER.LOG key - +").matches("web-1").count(), 3);
}

#[test]
fn a_discarded_transaction_changes_nothing() {
    let server = Server::start();
    let mut client = server.connect();
    client.pipeline(["MULTI", "SCOUNTER.INCR key", "IDBLOCK.CREATE ids", "DISCARD"]);
    assert_eq!(client.int("DBSIZE"), 0);
}

#[test]
fn a_script_gets_the_same_replies() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    for (call, reply) in [
        ("'SCOUNTER.INCR', 'key', 5", "5"),
        ("'SCOUNTER.GET', 'key'", "5"),
        ("'SCOUNTER.GET', 'missing'", "nil"),
        ("'IDBLOCK.RESERVE', 'ids', 5", "[1, 5, 1, 5]"),
        ("'SCOUNTER.CREATE', 'new', 'UBOUND', 3", "OK"),
    ] {
        assert_eq!(client.show(["EVAL", &format!("return redis.call({call})"), "0"]), reply, "{call}");
    }
    let script = "return redis.pcall('SCOUNTER.INCR', 'new', 4)['err']";
    assert_eq!(client.text(["EVAL", script, "0"]), "BOUND value must be at most 3, got 4");
}

#[test]
fn a_script_has_a_user_and_no_client() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("ACL SETUSER alice on nopass allkeys +@all");
    client.ok("AUTH alice any");
    client.ok("CLIENT SETNAME web-1");
    let script = "redis.call('SCOUNTER.CREATE', KEYS[1], 'LOG', 'MAXLEN', 5)
                  return redis.call('SCOUNTER.INCR', KEYS[1], 5, 'NOTE', 'why')";
    assert_eq!(client.int(["EVAL", script, "1", "key"]), 5);
    let entries = client.show("SCOUNTER.LOG key - +");
    assert_eq!(entries.matches(r#""user", "alice""#).count(), 2, "{entries}");
    assert!(!entries.contains("client"), "{entries}");
}

/// The server makes the functions' interpreter anew when they are flushed, with a client that it does not list.
#[test]
fn a_function_has_the_user_of_its_caller_also_after_a_flush() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key SHARDS 4 LOG MAXLEN 5");
    client.ok("ACL SETUSER alice on nopass +@all ~key");
    let library = "#!lua name=lib
        redis.register_function('incr', function(keys) return redis.call('SCOUNTER.INCR', keys[1]) end)
        redis.register_function('total', function(keys) return redis.call('SCOUNTER.TOTAL', keys[1]) end)";
    for count in 1..4 {
        client.value(["FUNCTION", "LOAD", library]);
        let mut alice = server.connect();
        alice.ok("AUTH alice any");
        assert_eq!(alice.int("FCALL incr 1 key"), count);
        assert!(alice.error("FCALL total 1 key").starts_with("NOPERM "), "the shards are others' keys");
        let entries = client.show("SCOUNTER.LOG key - +");
        assert_eq!(entries.matches(r#""user", "alice""#).count(), usize::try_from(count).expect("few"), "{entries}");
        assert_eq!(client.int("FCALL total 1 key"), count);
        client.ok("FUNCTION FLUSH SYNC");
    }
}

#[test]
fn a_script_that_only_reads_may_read() {
    let server = Server::start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR key 5");
    assert_eq!(client.int(["EVAL_RO", "return redis.call('SCOUNTER.GET', 'key')", "0"]), 5);
    assert!(client.error(["EVAL_RO", "return redis.call('SCOUNTER.INCR', 'key')", "0"]).contains("read-only"));
    assert_eq!(client.int("SCOUNTER.GET key"), 5);
}

#[test]
fn a_user_needs_permission_for_the_key() {
    let server = Server::start();
    let mut client = server.connect();
    client.value("SCOUNTER.INCR key");
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    client.ok("ACL SETUSER reader on nopass %R~* +@all");
    client.ok("ACL SETUSER writer on nopass %W~* +@all");
    for (user, command, allowed) in [
        ("reader", "SCOUNTER.GET key", true),
        ("reader", "SCOUNTER.LOG key - +", true),
        ("reader", "IDBLOCK.LOG ids - +", true),
        ("reader", "SCOUNTER.INCR key", false),
        ("reader", "SCOUNTER.DECR key", false),
        ("reader", "SCOUNTER.CREATE new", false),
        ("reader", "IDBLOCK.CREATE new", false),
        ("reader", "IDBLOCK.NEXT ids", false),
        ("reader", "IDBLOCK.RESERVE ids 5", false),
        ("writer", "SCOUNTER.GET key", false),
        ("writer", "SCOUNTER.LOG key - +", false),
        ("writer", "SCOUNTER.INCR key", false), // its reply tells the value
        ("writer", "IDBLOCK.NEXT ids", false),
        ("writer", "SCOUNTER.CREATE created", true),
        ("writer", "IDBLOCK.CREATE made", true),
    ] {
        client.ok(["AUTH", user, "any"]);
        let outcome = client.call(command);
        match outcome {
            Ok(_) => assert!(allowed, "{user}: {command}"),
            Err(error) => assert!(!allowed && error.starts_with("NOPERM "), "{user}: {command}: {error}"),
        }
    }
}

#[test]
fn effects_can_be_taken_from_a_user() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("ACL SETUSER app on nopass allkeys +@all -scounter.effect -idblock.effect");
    client.ok("AUTH app any");
    for command in ["SCOUNTER.EFFECT key effect", "IDBLOCK.EFFECT key effect"] {
        assert!(client.error(command).starts_with("NOPERM "), "{command}");
    }
    assert_eq!(client.int("SCOUNTER.INCR key"), 1);
}

#[test]
fn without_memory_one_may_read_and_no_more() {
    let server = Server::start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR key 5");
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    client.ok("CONFIG SET maxmemory 1");
    for command in ["SCOUNTER.INCR key", "SCOUNTER.CREATE new", "IDBLOCK.NEXT ids", "IDBLOCK.CREATE new"] {
        assert!(client.error(command).starts_with("OOM "), "{command}");
    }
    assert_eq!(client.int("SCOUNTER.GET key"), 5);
    assert_eq!(client.show("SCOUNTER.LOG key - +"), "[]");
}

#[test]
fn a_cached_value_is_forgotten_when_it_changes() {
    let server = Server::start();
    let (mut writer, mut reader) = (server.connect(), server.connect_resp3());
    writer.ok("SCOUNTER.CREATE key UBOUND 1");
    reader.ok("CLIENT TRACKING ON");
    let told = |reader: &mut Client| {
        reader.int("SCOUNTER.GET key"); // and pushes that came before its reply
        reader.take_pushes().len()
    };
    assert_eq!(told(&mut reader), 0);
    writer.int("SCOUNTER.INCR key 0");
    writer.error("SCOUNTER.INCR key 2");
    assert_eq!(told(&mut reader), 0);
    writer.int("SCOUNTER.INCR key");
    assert_eq!(told(&mut reader), 1);
}
