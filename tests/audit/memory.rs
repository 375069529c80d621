//! What an entry costs, as MEMORY USAGE counts it.

use crate::harness::*;
use crate::payload::Payload;

/// Entries that are kept; one chunk more may be.
const KEPT: i64 = 100_000;
const CHUNK: i64 = 256;
/// The counter itself, a chunk that is being written, a row of chunks that has just grown.
const SLACK_BYTES: i64 = 64 * 1024;
/// Buffers of a connection with a long pipeline.
const CONNECTION_BYTES: i64 = 1024 * 1024;
const BATCH: usize = 10_000;

/// MEMORY USAGE stays within so many bytes an entry; prints what it is.
#[track_caller]
fn costs_at_most(client: &mut Client, bytes_each: i64, what: &str) {
    let (bytes, length) = (client.int("MEMORY USAGE key"), client.int("SCOUNTER.INFO key log-length"));
    println!("{what}: {:.2} bytes an entry, {length} entries", bytes as f64 / length as f64);
    assert!(bytes <= bytes_each * length + SLACK_BYTES, "{bytes} bytes for {length} entries: {what}");
    if length >= KEPT / 2 {
        assert!(bytes <= bytes_each * length, "{bytes} bytes for {length} entries: {what}");
    }
}

#[test]
fn a_log_under_load_stays_within_its_bound() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok(format!("SCOUNTER.CREATE key LOG MAXLEN {KEPT}"));
    let used = |client: &mut Client| client.fields("INFO memory")["used_memory"].parse::<i64>().expect("bytes");
    let (used_before, mut peak) = (used(&mut client), 0);
    for _ in 0..scale(300_000, 10_000_000) / BATCH {
        client.pipeline((0..BATCH).map(|number| format!("SCOUNTER.INCR key {}", number % 201)));
        peak = peak.max(client.int("MEMORY USAGE key"));
        assert!(client.int("SCOUNTER.INFO key log-length") <= KEPT + CHUNK);
    }
    let bound = (KEPT + CHUNK) * 8 + SLACK_BYTES;
    assert!(peak <= bound, "{peak} bytes at the peak, must be at most {bound}");
    let grown = used(&mut client) - used_before;
    assert!(grown <= bound + CONNECTION_BYTES, "used_memory has grown by {grown} bytes, must be at most {bound}");
    costs_at_most(&mut client, 8, "pipelined increments");
}

/// Each in a millisecond of its own, deltas within +-100.
#[test]
fn an_entry_of_a_steady_stream_costs_8_bytes() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok(format!("SCOUNTER.CREATE key LOG MAXLEN {KEPT}"));
    let start = 4_000_000_000_000; // long after the creation
    for batch in 0..KEPT / BATCH as i64 {
        let effects = (0..BATCH as i64).map(|number| {
            let ms = start + 10 * (batch * BATCH as i64 + number);
            Payload::at(ms as u64).added(number % 201 - 100).stamp([b""; 3]).into_bytes()
        });
        client.pipeline(effects.map(|effect| args!["SCOUNTER.EFFECT", "key", effect]));
    }
    assert!(client.int("SCOUNTER.INFO key log-length") >= KEPT);
    costs_at_most(&mut client, 8, "increments in milliseconds of their own");
}

/// 50 users by 50 names of clients: hardly an entry has those of the one before.
#[test]
fn an_entry_of_many_users_and_clients_costs_16_bytes() {
    const CROWD: usize = 50;
    let server = Server::start();
    let mut client = server.connect();
    client.ok(format!("SCOUNTER.CREATE key LOG MAXLEN {KEPT}"));
    let mut crowd: Vec<Client> = (0..CROWD)
        .map(|number| {
            let (mut client, user) = (server.connect(), format!("user-{number}"));
            client.ok(["ACL", "SETUSER", &user, "on", "nopass", "allkeys", "+@all"]);
            client.ok(["AUTH", &user, "any"]);
            client
        })
        .collect();
    for round in 0..scale(20_000, 100_000) / CROWD {
        for (number, client) in crowd.iter_mut().enumerate() {
            if round % 20 == 0 {
                client.ok(["CLIENT", "SETNAME", &format!("client-{}", (number + round / 20) % CROWD)]);
            }
            client.send(format!("SCOUNTER.INCR key {}", (7 * number + round) % 201)).expect("a connection");
        }
        crowd.iter_mut().for_each(|client| drop(client.receive().expect("a value")));
    }
    let first = client.show("SCOUNTER.LOG key + - REV COUNT 1");
    assert!(first.contains("user-") && first.contains("client-"), "{first}");
    costs_at_most(&mut client, 16, "50 users by 50 clients");
}
