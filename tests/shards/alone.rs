//! A server by itself: the same commands, the same answers.

use crate::harness::*;
use redis::Value;
use tallybook_domain::shards::slot;

#[test]
fn a_server_by_itself_adds_up_at_once() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.error("SCOUNTER.TOTAL views"), "NOKEY counter must exist");
    assert_eq!(client.error("SCOUNTER.SHARDS views"), "NOKEY counter must exist");
    client.ok("SCOUNTER.CREATE views INITIAL 5");
    assert_eq!((client.int("SCOUNTER.TOTAL views"), client.show("SCOUNTER.SHARDS views")), (5, "[]".to_owned()));
    client.ok("SCOUNTER.ALTER views SHARDS 3");
    assert_eq!(client.int("SCOUNTER.TOTAL views"), 5);
    client.int("SCOUNTER.INCR views{0} 10");
    client.int("SCOUNTER.INCR views{2} -3");
    client.int("SCOUNTER.INCR views{3} 1000");
    for options in ["", " MAXAGE 5", " TIMEOUT 1", " PARTIAL TIMEOUT 60000 maxage 0"] {
        assert_eq!(client.int(format!("SCOUNTER.TOTAL views{options}")), 12, "{options}");
    }
    let slots = [0, 2].map(|shard| slot(format!("views{{{shard}}}").as_bytes()));
    let rows = client.show("SCOUNTER.SHARDS views");
    assert!(rows.starts_with(&format!(r#"[["views{{0}}", 10, {}, nil], ["views{{1}}", nil, "#, slots[0])), "{rows}");
    assert!(rows.ends_with(&format!(r#"["views{{2}}", -3, {}, nil]]"#, slots[1])), "{rows}");
    client.ok("SCOUNTER.ALTER views SHARDS 4");
    assert_eq!(client.int("SCOUNTER.TOTAL views"), 1012);
    assert_eq!(client.show(["EVAL", "return redis.call('SCOUNTER.TOTAL', KEYS[1])", "1", "views"]), "1012");
    assert_eq!(client.error("SCOUNTER.ALTER views SHARDS 3"), "ERR SHARDS must be from 4 to 1024, got 3");
    assert_eq!(client.int("SCOUNTER.INFO views shards"), 4);
    client.ok("DEBUG RELOAD");
    assert_eq!((client.int("SCOUNTER.INFO views shards"), client.int("SCOUNTER.TOTAL views")), (4, 1012));
}

#[test]
fn what_does_not_fit_is_refused() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE views SHARDS 2");
    for (command, error) in [
        ("SCOUNTER.CREATE new SHARDS 0", "ERR SHARDS must be from 1 to 1024, got 0"),
        ("SCOUNTER.CREATE new SHARDS 1025", "ERR SHARDS must be from 1 to 1024, got 1025"),
        ("SCOUNTER.CREATE new SHARDS 2 SHARDS 2", "ERR syntax error"),
        ("SCOUNTER.CREATE n{w SHARDS 2", "ERR key must not contain { to have SHARDS"),
        ("SCOUNTER.CREATE new UBOUND 9 SHARDS 2", "ERR counter must have no bounds to have SHARDS"),
        ("SCOUNTER.ALTER views LBOUND 0", "ERR counter must have no bounds to have SHARDS"),
        ("SCOUNTER.TOTAL views TIMEOUT 0", "ERR TIMEOUT must be from 1 to 60000, got 0"),
        ("SCOUNTER.TOTAL views PARTIAL PARTIAL", "ERR syntax error"),
        ("SCOUNTER.TOTAL views MAXAGE", "ERR syntax error"),
    ] {
        assert_eq!(client.error(command), error, "{command}");
    }
    assert_eq!(client.int("DBSIZE"), 1);
    client.int("SCOUNTER.INCR views{0} 9223372036854775807");
    client.int("SCOUNTER.INCR views{1} 1");
    assert_eq!(client.error("SCOUNTER.TOTAL views"), "OVERFLOW value must fit 64 bits, got 9223372036854775808");
    client.ok("SET views{0} text");
    assert!(client.error("SCOUNTER.TOTAL views").starts_with("WRONGTYPE "));
    assert_eq!(client.int("SCOUNTER.TOTAL views PARTIAL"), 1);
}

/// What rules allow is remembered; that they have changed is seen at once.
#[test]
fn a_permission_that_is_taken_away_is_gone_at_once() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE views SHARDS 2");
    let denied = Err("NOPERM user must be allowed to read the key and all its shards".to_owned());
    let rules = |name: &str, keys: &str| format!("ACL SETUSER {name} reset on nopass +@all {keys}");
    client.ok(rules("one", "~views*"));
    client.ok(rules("two", "~views ~views{0}"));
    let [mut one, mut two] = ["one", "two"].map(|name| {
        let mut connection = server.connect();
        connection.ok(["AUTH", name, "any"]);
        connection
    });
    let whole = Ok(Value::Int(0));
    for _ in 0..3 {
        assert_eq!(one.call("SCOUNTER.TOTAL views"), whole);
        assert_eq!(two.call("SCOUNTER.TOTAL views"), denied);
    }
    let log = client.show("ACL LOG");
    assert!(log.contains("views{1}") && log.contains("two"), "{log}");
    client.ok("SCOUNTER.CREATE other SHARDS 2");
    assert!(one.call("SCOUNTER.TOTAL other").is_err_and(|error| error.starts_with("NOPERM ")));
    client.ok("ACL SETUSER one resetkeys ~views ~views{0}");
    assert_eq!(one.call("SCOUNTER.TOTAL views"), denied);
    client.ok("ACL SETUSER one ~views{1}");
    assert_eq!(one.call("SCOUNTER.TOTAL views"), whole);
    client.ok("SCOUNTER.ALTER views SHARDS 3");
    assert_eq!(one.call("SCOUNTER.TOTAL views"), denied, "one shard more");
    // Another user of the same name.
    client.ok("ACL SETUSER one ~views*");
    assert_eq!(one.call("SCOUNTER.TOTAL views"), whole);
    assert_eq!(client.int("ACL DELUSER one"), 1);
    client.ok(rules("one", "~views"));
    let mut again = server.connect();
    again.ok("AUTH one any");
    assert_eq!(again.call("SCOUNTER.TOTAL views"), denied);
    // More users and counters than are remembered.
    for number in 0..200 {
        client.ok(rules(&format!("u{number}"), &format!("~views* ~x{number}")));
        client.ok(format!("AUTH u{number} any"));
        assert_eq!(client.call("SCOUNTER.TOTAL views"), whole);
        client.ok("AUTH default any");
    }
}

#[test]
fn a_total_is_told_to_those_who_may_read_every_shard() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE views SHARDS 2");
    client.int("SCOUNTER.INCR views{1} 7");
    let denied = "NOPERM user must be allowed to read the key and all its shards";
    for (rules, expected) in
        [("%R~views %R~views{0}", Err(denied)), ("%R~views %W~views{*}", Err(denied)), ("%R~views*", Ok(7))]
    {
        client.ok(format!("ACL SETUSER reader reset on nopass +@all {rules}"));
        let mut reader = server.connect();
        reader.ok("AUTH reader any");
        match expected {
            Ok(total) => assert_eq!(reader.int("SCOUNTER.TOTAL views"), total),
            Err(error) => {
                assert_eq!(reader.error("SCOUNTER.TOTAL views"), error, "{rules}");
                assert_eq!(reader.error("SCOUNTER.SHARDS views"), error, "{rules}");
                let script = "return redis.pcall('SCOUNTER.TOTAL', 'views')['err']";
                assert_eq!(reader.text(["EVAL", script, "0"]), error, "{rules}");
            }
        }
    }
}
