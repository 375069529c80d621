//! What reaches the disk, and what comes back from it: bit for bit, by every way there is.

use crate::harness::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Both types in all their shapes.
fn fill(server: &Server) {
    let mut client = server.connect();
    client.ok("CLIENT SETNAME web-1");
    for command in [
        "SCOUNTER.INCR plain 5",
        "SCOUNTER.INCR top 9223372036854775807",
        "SCOUNTER.INCR bottom -9223372036854775808",
        "SCOUNTER.CREATE created",
        "SCOUNTER.CREATE bounded INITIAL 5 LBOUND -5 UBOUND 500",
        "SCOUNTER.CREATE half-bounded LBOUND 0",
        "SCOUNTER.CREATE logged LOG MAXLEN 1000 LOG MAXAGE 10000000 LOG MAXBYTES 1000000",
        "SCOUNTER.CREATE fading",
        "PEXPIREAT fading 9999999999999",
        "IDBLOCK.CREATE ids FENCE OFF",
        "IDBLOCK.CREATE untouched START -5 INCREMENT 7 MAX 1000 FENCE OFF",
        "IDBLOCK.CREATE quiet FENCE OFF LOG OFF",
        "IDBLOCK.RESERVE quiet 100",
        "IDBLOCK.CREATE spent START 9223372036854775807 FENCE OFF",
        "IDBLOCK.NEXT spent",
        "SELECT 3",
        "SCOUNTER.INCR elsewhere 3",
        "SELECT 0",
    ] {
        client.value(command);
    }
    client.pipeline((0..700).map(|number| format!("SCOUNTER.INCR logged {number} NOTE note-{number}")));
    client.pipeline((1..700).map(|number| format!("IDBLOCK.RESERVE ids {number}")));
    client.int("IDBLOCK.NEXT ids");
}

#[test]
fn a_reload_changes_nothing() {
    let server = Server::start();
    fill(&server);
    let before = server.digests();
    server.reload();
    assert_same_digests(&before, &server.digests());
    server.reload();
    assert_same_digests(&before, &server.digests());
}

#[test]
fn the_aof_holds_everything() {
    let server = Server::builder().durable().start();
    fill(&server);
    let before = server.digests();
    server.load_aof();
    assert_same_digests(&before, &server.digests());
}

#[test]
fn a_rewritten_aof_holds_everything_with_and_without_preamble() {
    for preamble in ["yes", "no"] {
        let mut server = Server::builder().durable().config("aof-use-rdb-preamble", preamble).start();
        fill(&server);
        let before = server.digests();
        server.rewrite_aof();
        server.load_aof();
        assert_same_digests(&before, &server.digests());
        server.stop();
        server.restart();
        assert_same_digests(&before, &server.digests());
        server.connect().int("SCOUNTER.INCR logged 5 NOTE later");
        let before = server.digests();
        server.load_aof();
        assert_same_digests(&before, &server.digests());
    }
}

/// Notes of 200 bytes make the stored log ten times as large as what one restoring command holds.
#[test]
fn a_large_log_survives_a_rewrite_without_preamble() {
    const ENTRIES: usize = 50_000;
    let server = Server::builder().config("appendonly", "yes").config("aof-use-rdb-preamble", "no").start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE logged LOG MAXLEN 1000000");
    client.ok("IDBLOCK.CREATE ids FENCE OFF LOG MAXLEN 1000000");
    let note = "n".repeat(190);
    for batch in 0..ENTRIES / 1000 {
        let numbers = batch * 1000..(batch + 1) * 1000;
        let mut replies = client.pipeline(numbers.clone().map(|n| format!("SCOUNTER.INCR logged 1 NOTE {note}-{n}")));
        replies.extend(client.pipeline(numbers.map(|n| format!("IDBLOCK.RESERVE ids 5 NOTE {note}-{n}"))));
        assert!(replies.iter().all(Reply::is_ok));
    }
    let before = server.digests();
    server.rewrite_aof();
    let restoring = restoring_commands(&server);
    assert!(restoring.iter().all(|&(_, count)| count > 5), "{restoring:?}");
    server.load_aof();
    assert_same_digests(&before, &server.digests());
    assert_eq!(client.list("SCOUNTER.LOG logged - +").len(), ENTRIES + 1);
    assert_eq!(client.show("IDBLOCK.RESERVE ids 1"), format!("[{0}, {0}, 1, 1]", ENTRIES * 5 + 1));
}

/// How often each effect command stands in the rewritten AOF.
fn restoring_commands(server: &Server) -> Vec<(&'static str, usize)> {
    let files = std::fs::read_dir(server.dir().join("appendonlydir")).expect("a folder of AOF files");
    let base = files.filter_map(Result::ok).find(|file| file.file_name().to_string_lossy().contains(".base."));
    let bytes = std::fs::read(base.expect("a base file").path()).expect("a base file");
    let text = String::from_utf8_lossy(&bytes);
    ["scounter.effect", "idblock.effect"].map(|name| (name, text.matches(name).count())).to_vec()
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    for preamble in ["yes", "no"] {
        let mut server = Server::builder().durable().config("aof-use-rdb-preamble", preamble).start();
        server.connect().ok("SCOUNTER.CREATE logged LOG MAXLEN 1000000");
        server.connect().ok("IDBLOCK.CREATE ids FENCE OFF");
        let (mut rounds, mut highest_id) = (Vec::new(), 0);
        for round in 0..scale(3, 100) {
            let acknowledged = AtomicUsize::new(0);
            let ids = thread::scope(|scope| {
                let (client, acknowledged) = (server.connect(), &acknowledged);
                let writer = scope.spawn(|| write_until_disconnected(client, acknowledged));
                wait_until("there are writes", PATIENCE, || acknowledged.load(Ordering::Relaxed) > 50 + 70 * round);
                if round % 2 == 1 {
                    server.connect().value("BGREWRITEAOF");
                }
                server.kill();
                writer.join().expect("a writer")
            });
            assert!(ids.is_sorted_by(|before, after| before < after) && ids[0] > highest_id, "ids never repeat");
            highest_id = ids[ids.len() - 1];
            rounds.push(ids.len());
            server.restart();
            check_after_restart(&mut server.connect(), rounds.iter().sum(), rounds.len(), highest_id);
        }
    }
}

/// One after the other, so that at most one write of each kind has an unknown fate. Returns the ids that were handed
/// out.
fn write_until_disconnected(mut client: Client, acknowledged: &AtomicUsize) -> Vec<i64> {
    let mut ids = Vec::new();
    loop {
        let replies =
            ["SCOUNTER.INCR plain", "SCOUNTER.INCR logged 1 NOTE why", "IDBLOCK.NEXT ids"].map(|c| client.call(c));
        match replies {
            [Ok(_), Ok(_), Ok(redis::Value::Int(id))] => ids.push(id),
            _ => return ids,
        }
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

fn check_after_restart(client: &mut Client, acknowledged: usize, kills: usize, highest_id: i64) {
    let possible = i64::try_from(acknowledged).unwrap()..=i64::try_from(acknowledged + kills).unwrap();
    for counter in ["plain", "logged"] {
        let value = client.int(["SCOUNTER.GET", counter]);
        assert!(possible.contains(&value), "{counter} {value} must be in {possible:?}");
    }
    let entries = client.list("SCOUNTER.LOG logged - +").len();
    assert_eq!(i64::try_from(entries).unwrap(), client.int("SCOUNTER.GET logged") + 1);
    assert!(client.int("IDBLOCK.NEXT ids") > highest_id);
}

#[test]
fn a_position_continues_after_every_way_back() {
    let mut server = Server::builder().durable().start();
    server.connect().ok("IDBLOCK.CREATE ids START 10 INCREMENT 10 FENCE OFF");
    let mut last = 0;
    let mut continues = |server: &Server| {
        let run = server.connect().show("IDBLOCK.RESERVE ids 10");
        assert_eq!(run, format!("[{}, {}, 10, 10]", last + 10, last + 100));
        last += 100;
    };
    continues(&server);
    server.reload();
    continues(&server);
    server.load_aof();
    continues(&server);
    server.rewrite_aof();
    continues(&server);
    server.kill();
    server.restart();
    continues(&server);
    server.stop();
    server.restart();
    continues(&server);
}

#[test]
fn a_dump_restores_the_same_value() {
    let server = Server::start();
    fill(&server);
    let mut client = server.connect();
    client.int("PERSIST fading"); // the expiry of a key is not in its dump
    let keys: Vec<Vec<u8>> = server.digests().into_keys().filter(|(db, _)| *db == 0).map(|(_, key)| key).collect();
    assert!(keys.len() > 10);
    for key in keys {
        let dump = client.bytes(args!["DUMP", &key]);
        client.ok(args!["RESTORE", "restored", 0, &dump, "REPLACE"]);
        let name = key.escape_ascii();
        assert_eq!(server.digest_of("restored"), server.digest_of(&key), "{name}");
        assert_eq!(client.bytes("DUMP restored"), dump, "{name}");
    }
}

#[test]
fn a_dump_restores_on_another_server() {
    let (first, second) = (Server::start(), Server::start());
    fill(&first);
    for key in ["logged", "ids"] {
        let dump = first.connect().bytes(["DUMP", key]);
        second.connect().ok(args!["RESTORE", key, 0, dump]);
        assert_eq!(first.digest_of(key), second.digest_of(key), "{key}");
    }
    assert_eq!(second.connect().int("IDBLOCK.NEXT ids"), first.connect().int("IDBLOCK.NEXT ids"));
}

#[test]
fn a_copied_counter_is_equal_and_goes_its_own_way() {
    let pair = Pair::start();
    fill(&pair.primary);
    let mut client = pair.primary.connect();
    for key in ["plain", "bounded", "logged", "fading"] {
        assert_eq!(client.int(["COPY", key, "copy", "REPLACE"]), 1);
        assert_eq!(pair.primary.digest_of("copy"), pair.primary.digest_of(key), "{key}");
        client.int("SCOUNTER.INCR copy");
        assert_ne!(pair.primary.digest_of("copy"), pair.primary.digest_of(key), "{key}");
        assert_eq!(client.int(["COPY", key, key, "DB", "5"]), 1);
    }
    pair.assert_same_keyspace();
}

#[test]
fn a_copied_allocator_is_another_one_and_the_same_on_the_replica() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    client.value("IDBLOCK.RESERVE ids 10");
    for copy in ["COPY ids one", "COPY ids two", "COPY ids ids DB 5", "COPY ids one DB 5"] {
        assert_eq!(client.int(copy), 1);
    }
    pair.assert_same_keyspace();
    let digests = pair.primary.digests();
    let distinct: std::collections::BTreeSet<_> = digests.values().collect();
    assert_eq!(distinct.len(), 5, "every copy has a uid of its own: {digests:?}");
    assert_eq!(client.show("IDBLOCK.RESERVE one 5"), "[11, 15, 1, 5]");
    assert_eq!(client.show("IDBLOCK.RESERVE ids 5"), "[11, 15, 1, 5]");
    assert_eq!(client.list("IDBLOCK.LOG one - +").len(), 3);
}

#[test]
fn a_value_keeps_its_digest_wherever_it_is_moved() {
    let pair = Pair::start();
    fill(&pair.primary);
    let mut client = pair.primary.connect();
    for key in ["logged", "ids", "bounded"] {
        let digest = pair.primary.digest_of(key);
        client.ok(["RENAME", key, "renamed"]);
        assert_eq!(pair.primary.digest_of("renamed"), digest, "{key}");
        client.ok("SWAPDB 0 4");
        assert_eq!(client.int("EXISTS renamed"), 0);
        client.ok("SWAPDB 0 4");
        assert_eq!(client.int("MOVE renamed 7"), 1);
        client.ok("SELECT 7");
        let digests = client.list("DEBUG DIGEST-VALUE renamed");
        assert_eq!(show(&digests[0]), digest, "{key}");
        client.ok(["RENAME", "renamed", key]);
        client.ok("SELECT 0");
    }
    pair.assert_same_keyspace();
}

#[test]
fn what_was_removed_is_gone() {
    for remove in ["DEL logged ids", "UNLINK logged ids", "FLUSHDB", "FLUSHALL ASYNC"] {
        let server = Server::builder().durable().start();
        fill(&server);
        let mut client = server.connect();
        client.value(remove);
        assert_eq!(client.int("EXISTS logged ids"), 0, "{remove}");
        assert!(client.error("IDBLOCK.NEXT ids").starts_with("NOKEY "), "{remove}");
        assert_eq!(client.int("SCOUNTER.INCR logged"), 1, "{remove}");
        let before = server.digests();
        server.load_aof();
        assert_same_digests(&before, &server.digests());
    }
}
