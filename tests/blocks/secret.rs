//! The secret of codes: whoever sees a command, its slow log or the server's words must not see it. DUMP, RDB, AOF
//! and the replication stream contain it.

use crate::harness::*;

const SECRET: &str = "correct-horse-battery-staple";
const REDACTED: &str = "(redacted)";

/// Both nodes, and what passes by on them.
struct Onlooker {
    pair: Pair,
    client: Client,
    monitors: [Client; 2],
}

impl Onlooker {
    fn new() -> Self {
        let pair = Pair::start();
        let monitors = [&pair.primary, &pair.replica].map(|server| {
            let mut client = server.connect();
            client.ok("CONFIG SET slowlog-log-slower-than 0");
            client.ok("CONFIG SET slowlog-max-len 1000");
            let _only_valkey = client.call("CONFIG SET commandlog-request-larger-than 0");
            let mut monitor = server.connect();
            monitor.ok("MONITOR");
            monitor
        });
        Self { client: pair.primary.connect(), monitors, pair }
    }

    /// What primary and replica let see of the commands since the last call.
    fn sight(&mut self) -> [String; 2] {
        self.pair.synced();
        let servers = [&self.pair.primary, &self.pair.replica];
        let mut sights = servers.map(seen_on);
        for (sight, (server, monitor)) in sights.iter_mut().zip(servers.into_iter().zip(&mut self.monitors)) {
            sight.push_str(&passed_by(server, monitor));
        }
        sights
    }

    /// The command shows in SLOWLOG and MONITOR, without its secret.
    #[track_caller]
    fn sees_no_secret(&mut self, command: &str) {
        let [primary, replica] = self.sight();
        assert_eq!([&primary, &replica].map(|sight| sight.contains(SECRET)), [false; 2], "secret in `{command}`");
        assert!(primary.matches(REDACTED).count() >= 2, "`{command}` must show in SLOWLOG and MONITOR: {primary}");
    }
}

/// Logs and INFO.
fn seen_on(server: &Server) -> String {
    let mut client = server.connect();
    let mut seen = server.log();
    for command in [
        "SLOWLOG GET -1",
        "COMMANDLOG GET -1 large-request", // Valkey
        "COMMANDLOG GET -1 slow",
        "ACL LOG",
        "CLIENT LIST",
        "INFO everything",
        "IDBLOCK.INFO key",
        "IDBLOCK.LOG key - +",
    ] {
        if let Ok(reply) = client.call(command) {
            seen.push_str(&show(&reply));
        }
    }
    client.ok("SLOWLOG RESET");
    seen
}

/// The lines of MONITOR up to a marker.
fn passed_by(server: &Server, monitor: &mut Client) -> String {
    server.connect().text("ECHO end-of-the-show");
    let mut lines = String::new();
    while !lines.contains("end-of-the-show") {
        lines.push_str(&show(&monitor.receive().expect("a line of MONITOR")));
        lines.push('\n');
    }
    lines
}

#[test]
fn the_secret_of_an_allocator_is_seen_nowhere() {
    let mut onlooker = Onlooker::new();
    for command in
        ["IDBLOCK.CREATE key CODES 7 SECRET {} FENCE OFF", "idblock.create key FENCE off nx secret {} codes 7"]
    {
        onlooker.client.int("DEL key");
        onlooker.client.ok(command.replace("{}", SECRET));
        onlooker.client.value("IDBLOCK.CODES key 5");
        onlooker.sees_no_secret(command);
    }
}

/// A refused command is logged like any other.
#[test]
fn the_secret_of_a_refused_creation_is_seen_nowhere() {
    let mut onlooker = Onlooker::new();
    onlooker.client.ok("IDBLOCK.CREATE key CODES 7 FENCE OFF");
    onlooker.client.ok("SET text 1");
    let long = format!("CREATE new CODES 7 SECRET {}", [SECRET; 10].join("-"));
    for refused in [
        "CREATE key CODES 7 SECRET {}",
        "CREATE key NX CODES 7 SECRET {}",
        "CREATE text CODES 7 SECRET {}",
        "CREATE new SECRET {}",
        "CREATE new CODES 99 SECRET {}",
        "CREATE new CODES 7 CLOCK 5 SECRET {}",
        "CREATE new CODES 7 SECRET {} ALPHABET aa",
        "CREATE new CODES 7 SECRET {} START 2 MAX 1",
        "CREATE new CODES 7 SECRET {} SECRET other",
        "CREATE new CODES 7 SECRET {} BOGUS",
        "CREATE new CODES 7 SECRET {} START x",
        "CREATE new CODES 7 BOGUS SECRET {}",
        &long,
    ] {
        let reply = onlooker.client.call(format!("IDBLOCK.{}", refused.replace("{}", SECRET)));
        assert!(reply.is_err() || reply == Ok(redis::Value::Nil), "{refused}: {reply:?}");
        onlooker.sees_no_secret(refused);
    }
}

#[test]
fn the_secret_of_a_transaction_is_seen_nowhere() {
    let mut onlooker = Onlooker::new();
    onlooker.client.ok("MULTI");
    onlooker.client.text(format!("IDBLOCK.CREATE key CODES 7 FENCE OFF SECRET {SECRET}"));
    assert_eq!(onlooker.client.show("EXEC"), "[OK]");
    onlooker.sees_no_secret("EXEC");
}

/// The script itself shows; the command that it sends shows without the secret.
#[test]
fn the_secret_that_a_script_puts_together_is_seen_nowhere() {
    let mut onlooker = Onlooker::new();
    let script = "return redis.call('IDBLOCK.CREATE', KEYS[1], 'CODES', 7, 'SECRET', ARGV[1] .. ARGV[2])";
    let (half, other) = SECRET.split_at(SECRET.len() / 2);
    onlooker.client.ok(["EVAL", script, "1", "key", half, other]);
    let [primary, replica] = onlooker.sight();
    assert_eq!([&primary, &replica].map(|sight| sight.contains(SECRET)), [false; 2]);
    assert!(primary.contains(REDACTED), "MONITOR must show the command: {primary}");
}

/// Without this the tests above would pass on an onlooker who is blind.
#[test]
fn an_onlooker_sees_what_is_no_secret() {
    let mut onlooker = Onlooker::new();
    onlooker.client.ok("IDBLOCK.CREATE key CODES 7 FENCE OFF");
    onlooker.client.value(format!("IDBLOCK.CODES key 5 NOTE {SECRET}"));
    let [primary, replica] = onlooker.sight();
    assert!(primary.matches(SECRET).count() >= 3, "SLOWLOG, MONITOR and LOG must show a note: {primary}");
    assert!(replica.contains(SECRET), "a note is seen in the log of the replica");
}
