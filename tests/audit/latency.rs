//! A long log does not block the server: the longest that another client waits for a PONG meanwhile.

use crate::harness::*;
use crate::payload::Payload;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const ENTRIES: usize = 1_000_000;
const EFFECTS: usize = 10_000;
/// On a busy machine it may be the machine that one waits for.
const ATTEMPTS: usize = 10;

/// The tables of the memory that AddressSanitizer keeps take 20 ms alone to be copied when a child is made.
fn patience_of_a_client() -> Duration {
    Duration::from_millis(if is_sanitized() { 100 } else { 20 })
}

/// A server with a counter of a million entries under `long`.
fn server_with_a_long_log() -> Server {
    let server = Server::builder().config("proto-max-bulk-len", "512mb").start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE long LOG MAXLEN 10000000");
    for batch in 0..ENTRIES / EFFECTS {
        let mut command = args!["SCOUNTER.EFFECT"];
        for number in 0..EFFECTS {
            let ms = 4_000_000_000_000 + 3 * (batch * EFFECTS + number) as u64;
            command.extend(args!["long", Payload::at(ms).added(1).stamp([b""; 3]).into_bytes()]);
        }
        client.ok(command);
    }
    assert_eq!(client.int("SCOUNTER.INFO long log-length"), ENTRIES as i64 + 1);
    server
}

/// The longest wait for a PONG while `action` runs.
fn longest_wait(server: &Server, action: impl FnOnce()) -> Duration {
    let (done, pongs) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let pinger = scope.spawn(|| {
            let (mut client, mut longest) = (server.connect(), Duration::ZERO);
            while !done.load(Relaxed) {
                let start = Instant::now();
                client.text("PING");
                longest = longest.max(start.elapsed());
                pongs.fetch_add(1, Relaxed);
            }
            longest
        });
        wait_until("the pinger is at work", PATIENCE, || pongs.load(Relaxed) > 10);
        action();
        let last = pongs.load(Relaxed);
        wait_until("one more PONG", PATIENCE, || pongs.load(Relaxed) > last + 1);
        done.store(true, Relaxed);
        pinger.join().expect("a pinger")
    })
}

/// In one of a few attempts, each after `prepare`, nobody waits for long.
#[track_caller]
fn blocks_nobody(server: &Server, what: &str, prepare: impl Fn(), action: impl Fn()) {
    let mut shortest = Duration::MAX;
    for _ in 0..ATTEMPTS {
        prepare();
        shortest = shortest.min(longest_wait(server, &action));
        if shortest < patience_of_a_client() {
            break;
        }
    }
    println!("{what} with {ENTRIES} entries: a PING took {shortest:?} at most");
    assert!(shortest < patience_of_a_client(), "{what}: a PING took {shortest:?}");
}

#[test]
fn a_stall_is_seen() {
    let server = Server::start();
    let stall = longest_wait(&server, || server.connect().ok("DEBUG SLEEP 0.3"));
    assert!(stall > 2 * patience_of_a_client(), "{stall:?}");
}

#[test]
fn a_long_log_blocks_nobody() {
    let server = server_with_a_long_log();
    let dump = server.connect().bytes("DUMP long");
    println!("DUMP: {} bytes", dump.len());
    // Not a copy: that would share its chunks.
    let restore = || server.connect().ok(args!["RESTORE", "other", 0, &dump, "REPLACE"]);
    let call = |command: &str| drop(server.connect().value(command));

    blocks_nobody(&server, "UNLINK", restore, || call("UNLINK other"));
    blocks_nobody(&server, "DEL", restore, || call("DEL other"));
    blocks_nobody(&server, "trimming", restore, || call("SCOUNTER.ALTER other LOG MAXLEN 1000"));
    blocks_nobody(&server, "switching off", restore, || call("SCOUNTER.ALTER other LOG OFF"));
    let trimmed = || {
        restore();
        call("SCOUNTER.ALTER other LOG MAXLEN 1000");
    };
    let sweep = || drop(server.connect().pipeline((0..2000).map(|_| "SCOUNTER.INCR other")));
    blocks_nobody(&server, "sweeping up", trimmed, sweep);
    blocks_nobody(&server, "COPY", || call("UNLINK other"), || call("COPY long other"));
    blocks_nobody(&server, "BGSAVE", || {}, || server.save_in_background());
    blocks_nobody(&server, "seeking", || {}, || call("SCOUNTER.LOG long 4000000900000 + COUNT 100"));
    blocks_nobody(&server, "INFO", || {}, || call("SCOUNTER.INFO long"));
}
