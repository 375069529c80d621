//! The harness itself, tested on servers without the module.

use crate::harness::*;

fn plain() -> Builder {
    Server::builder().without_module()
}

#[test]
fn a_server_answers_in_either_protocol() {
    let server = plain().start();
    assert_eq!(server.connect().text("PING"), "PONG");
    server.connect().value("HSET h field 5");
    assert_eq!(server.connect().show("HGETALL h"), r#"["field", "5"]"#);
    assert_eq!(server.connect_resp3().show("HGETALL h"), r#"{"field": "5"}"#);
    server.connect().nil("GET nothing");
}

#[test]
fn errors_come_back_verbatim() {
    let server = plain().start();
    let mut client = server.connect();
    client.ok("SET key word");
    assert_eq!(client.error("INCR key"), "ERR value is not an integer or out of range");
    assert_eq!(client.error("LPUSH key 1"), "WRONGTYPE Operation against a key holding the wrong kind of value");
    for line in ["BOUND upper bound 10, got 11", "ERR  two  spaces", "MOVED and more"] {
        let script = format!("return redis.error_reply('{line}')");
        assert_eq!(client.error(["EVAL", script.as_str(), "0"]), line);
    }
    assert_eq!(client.call("MULTI").as_ref().map(show), Ok("OK".to_owned()));
    assert_eq!(client.text("INCR key"), "QUEUED");
    assert_eq!(client.show("EXEC"), "[(error) ERR value is not an integer or out of range]");
}

#[test]
fn commands_are_sent_as_written() {
    let server = plain().start();
    let mut client = server.connect();
    let (key, value) = (String::from("a key"), b"\x00\xff\r\n");
    client.ok(args!["SET", &key, value]);
    assert_eq!(client.bytes(args!["GET", key]), value);
    client.ok(args!["SET", "n", -5]);
    let replies = client.pipeline(["INCR n", "INCR a b", "GET n"]);
    assert_eq!(replies[0].as_ref().map(show), Ok("-4".to_owned()));
    assert_eq!(replies[1], Err("ERR wrong number of arguments for 'incr' command".to_owned()));
    assert_eq!(replies[2].as_ref().map(show), Ok("\"-4\"".to_owned()));
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut server = plain().durable().start();
    let before = |server: &Server| (server.connect().text("GET key"), server.digests());
    server.connect().ok("SET key 1 EX 1000");
    server.rewrite_aof();
    server.connect().ok("SET key 2 KEEPTTL");
    let expected = before(&server);
    server.kill();
    server.restart();
    assert_eq!(before(&server), expected);
    server.load_aof();
    server.reload();
    server.save_in_background();
    server.stop();
    server.restart();
    assert_eq!(before(&server), expected);
}

#[test]
fn data_may_outlive_its_server() {
    let first = plain().durable().start();
    first.connect().ok("SET key 1");
    let second = plain().durable().in_dir(first.dir()).start();
    assert_eq!(second.connect().text("GET key"), "1");
}

#[test]
fn a_paused_server_keeps_its_connections() {
    let server = plain().start();
    let mut client = server.connect();
    server.pause();
    assert!(!server.is_running());
    client.send("PING").unwrap();
    server.resume();
    assert_eq!(client.receive().as_ref().map(show), Ok("PONG".to_owned()));
}

#[test]
fn a_bad_configuration_refuses_to_start() {
    assert!(plain().config("no-such-setting", 1).refuses_to_start().contains("no-such-setting"));
}

#[test]
fn an_alarm_in_the_log_fails_the_test() {
    let server = plain().start();
    server.connect().value(["DEBUG", "LOG", "thread 'main' panicked at src"]);
    let verdict = std::thread::spawn(move || drop(server)).join();
    let message = *verdict.expect_err("an alarm").downcast::<String>().unwrap();
    assert!(message.starts_with("alarm in the server's log:"), "{message}");
}

#[test]
fn an_expected_crash_is_no_failure() {
    let mut server = plain().expect_in_log("Guru Meditation").start();
    let lost = server.connect().call("DEBUG PANIC").unwrap_err();
    assert!(lost.starts_with("DISCONNECTED"), "{lost}");
    assert!(!server.exit().success());
}

#[test]
fn a_pair_syncs_and_so_does_a_replica_of_the_replica() {
    let pair = Pair::start_with(plain(), plain().config("appendonly", "yes"));
    let third = plain().replica_of(&pair.replica).start();
    let mut client = pair.primary.connect();
    client.pipeline((0..1000).map(|number| format!("SET key{number} {number} EX 1000")));
    client.ok("SELECT 3");
    client.ok("SET other 1");
    pair.assert_same("key7");
    pair.assert_same_keyspace();
    assert_eq!(pair.primary.digests().len(), 1001);
    synced(&pair.replica, &third);
    assert_same_digests(&pair.primary.digests(), &third.digests());
}

#[test]
#[should_panic(expected = "1 keys differ:\ndatabase 0 key b")]
fn a_difference_is_named() {
    let (left, right) = (plain().start(), plain().start());
    left.connect().ok("MSET a 1 b 2");
    right.connect().ok("MSET a 1 b 3");
    assert_same_digests(&left.digests(), &right.digests());
}

#[test]
fn the_stream_shows_exactly_what_replicas_get() {
    let server = plain().start();
    server.connect().ok("SET before 1");
    let mut stream = ReplicationStream::attach(&server);
    assert!(stream.next_commands().is_empty());
    server.connect().ok(args!["SET", "key", b"\x00"]);
    assert_eq!(stream.next_lines(), [r"SET key \x00"]);
    let mut client = server.connect();
    client.pipeline(["MULTI", "INCR n", "INCR n", "EXEC"]);
    assert_eq!(stream.next_lines(), ["MULTI", "INCR n", "INCR n", "EXEC"]);
    assert!(stream.next_commands().is_empty());
    client.ok("SET key 2");
    assert_eq!(stream.next_lines(), ["SET key 2"]);
    stream.acknowledge();
    assert_eq!(client.int("WAIT 1 0"), 1);
}

#[test]
fn events_come_in_order() {
    let server = plain().start();
    let mut events = Events::listen(&server);
    server.connect().ok("SET key 1");
    server.connect().int("DEL key");
    let event = |name: &str| (name.to_owned(), "key".to_owned());
    let seen: Vec<_> = events.drain().into_iter().filter(|(name, _)| name != "new").collect();
    assert_eq!(seen, [event("set"), event("del")]);
    assert!(events.drain().is_empty());
}

#[test]
fn a_cluster_forms_and_heals() {
    let mut cluster = Cluster::start_with(3, 1, plain());
    for key in ["a", "b", "c", "views{17}"] {
        assert_eq!(cluster.call(["SET", key, "1"]).as_ref().map(show), Ok("OK".to_owned()));
        assert_eq!(cluster.node_for(key).connect().text(["GET", key]), "1");
    }
    assert_eq!(cluster.owner_of_slot(0), Some(0));
    cluster.node_mut(0).kill();
    wait_until("the replica takes over", PATIENCE, || cluster.owner_of_slot(0) == Some(3));
    cluster.node_mut(0).restart();
    cluster.ready();
    assert_eq!(cluster.owner_of_slot(0), Some(3));
}

#[test]
fn the_seed_holds_for_the_whole_run() {
    assert_eq!(seed(), seed());
}
