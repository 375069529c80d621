//! `tallybook.*`

use crate::harness::*;

const LOG_DEFAULT: &str = "tallybook.log-default";

fn shown(server: &Server) -> String {
    server.connect().show(["CONFIG", "GET", LOG_DEFAULT])
}

fn entries(client: &mut Client, create: &str) -> usize {
    client.value(create);
    let entries = client.list("SCOUNTER.LOG key - +").len();
    client.int("DEL key");
    entries
}

#[test]
fn counters_have_no_log_unless_the_default_says_so() {
    let server = Server::start();
    let mut client = server.connect();
    for (default, by_incr, by_create, by_create_off) in
        [("", 0, 0, 0), ("MAXLEN 10", 1, 1, 0), ("maxlen 10 MaxAge 1000 MAXBYTES 99", 1, 1, 0), ("", 0, 0, 0)]
    {
        client.ok(["CONFIG", "SET", LOG_DEFAULT, default]);
        assert_eq!(shown(&server), format!(r#"["{LOG_DEFAULT}", "{default}"]"#));
        assert_eq!(entries(&mut client, "SCOUNTER.INCR key"), by_incr, "{default}");
        assert_eq!(entries(&mut client, "SCOUNTER.CREATE key"), by_create, "{default}");
        assert_eq!(entries(&mut client, "SCOUNTER.CREATE key LOG OFF"), by_create_off, "{default}");
        assert_eq!(entries(&mut client, "SCOUNTER.CREATE key LOG MAXLEN 5"), 1, "{default}");
    }
}

#[test]
fn the_default_is_for_new_counters_only() {
    let server = Server::start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR key");
    client.ok(["CONFIG", "SET", LOG_DEFAULT, "MAXLEN 10"]);
    client.int("SCOUNTER.INCR key");
    assert_eq!(client.show("SCOUNTER.LOG key - +"), "[]");
}

#[test]
fn a_default_that_makes_no_sense_is_refused_with_the_reason() {
    let server = Server::builder().config(LOG_DEFAULT, "\"MAXLEN 7\"").start();
    let mut client = server.connect();
    for text in [
        "MAXLEN",
        "MAXLEN x",
        "MAXLEN 0",
        "MAXLEN -1",
        "MAXLEN +7",
        "MAXLEN 07",
        "MAXWEIGHT 5",
        "5",
        "MAXLEN 1 MAXLEN 1",
        "OFF 1",
    ] {
        let error = client.error(["CONFIG", "SET", LOG_DEFAULT, text]);
        let reason = "must be empty or OFF, or MAXLEN n, MAXAGE ms, MAXBYTES n, or several of these, each from 1";
        assert!(error.starts_with("ERR CONFIG SET failed") && error.ends_with(reason), "{text}: {error}");
        assert_eq!(shown(&server), format!(r#"["{LOG_DEFAULT}", "MAXLEN 7"]"#), "{text}");
    }
    client.error(["CONFIG", "SET", LOG_DEFAULT, "MAXLEN 9", "maxmemory", "nonsense"]);
    assert_eq!(shown(&server), format!(r#"["{LOG_DEFAULT}", "MAXLEN 7"]"#), "all or nothing");
    assert_eq!(entries(&mut client, "SCOUNTER.INCR key"), 1);
}

#[test]
fn a_server_does_not_start_with_a_bad_default() {
    let log = Server::builder().config(LOG_DEFAULT, "\"MAXLEN 0\"").refuses_to_start();
    assert!(log.contains(LOG_DEFAULT), "{log}");
    assert!(log.contains("each from 1"), "{log}");
}

#[test]
fn a_setting_survives_a_rewrite_of_the_configuration() {
    for text in ["MAXLEN 10", "", "MAXAGE 60000 MAXLEN 5"] {
        let first = Server::start();
        first.connect().ok(["CONFIG", "SET", LOG_DEFAULT, text]);
        first.connect().ok("CONFIG REWRITE");
        let file = std::fs::read_to_string(first.dir().join("server.conf")).unwrap();
        let line = file.lines().find_map(|line| line.strip_prefix("tallybook.log-default "));
        let second = Server::builder().config(LOG_DEFAULT, line.unwrap_or_default()).start();
        assert_eq!(shown(&second), shown(&first));
        assert_eq!(entries(&mut second.connect(), "SCOUNTER.INCR key"), usize::from(!text.is_empty()));
    }
}
