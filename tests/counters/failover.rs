//! Increments that are retried until they are confirmed, through a network that loses replies, while primaries die.
//!
//! scylladb#4265: threads with injected timeouts got 100,064 instead of 100,000.

use crate::harness::*;
use redis::Value;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

const CLIENTS: usize = 8;
/// Increments between two confirmations.
const BATCH: usize = 10;
const LOSS: Loss = Loss { requests: 0.01, replies: 0.02 };
/// Short: whoever waits for a replica that is gone makes the attempt again.
const WAIT_MS: u32 = 100;

struct Writer {
    socket: PathBuf,
    name: usize,
    client: Option<Client>,
    attempts: usize,
}

impl Writer {
    /// One attempt at a batch; true when all of it is confirmed: answered, and executed by a replica. A replay writes
    /// nothing, and WAIT on a connection that has written nothing proves nothing, so something is written first.
    fn attempt(&mut self, batch: Range<usize>) -> Result<bool, String> {
        let Self { socket, name, client, attempts } = self;
        let client = match client {
            Some(client) => client,
            none => none.insert(Client::connect(socket).map_err(|error| format!("DISCONNECTED {error}"))?),
        };
        for number in batch.clone() {
            *attempts += 1;
            client.call(args!["SCOUNTER.INCR", "key", 1, "IDMP", format!("writer-{name}"), number])?;
        }
        client.call(args!["SET", format!("confirm:{name}"), batch.start])?;
        let replicas = client.call(args!["WAIT", 1, WAIT_MS])?;
        Ok(matches!(replicas, Value::Int(1..)))
    }

    /// Retries until the batch is confirmed.
    fn confirm(&mut self, batch: Range<usize>) {
        wait_until("a batch is confirmed", PATIENCE * 3, || match self.attempt(batch.clone()) {
            Ok(confirmed) => confirmed,
            Err(lost) if lost.starts_with("DISCONNECTED ") => {
                self.client = None;
                false
            }
            Err(error) => panic!("{error}"),
        });
    }
}

/// Confirms `count` increments and returns how often it tried.
fn write(socket: PathBuf, name: usize, count: usize, confirmed: &AtomicUsize) -> usize {
    let mut writer = Writer { socket, name, client: None, attempts: 0 };
    for start in (0..count).step_by(BATCH) {
        let batch = start..count.min(start + BATCH);
        let size = batch.len();
        writer.confirm(batch);
        confirmed.fetch_add(size, Relaxed);
    }
    writer.attempts
}

/// The primary dies, its replica takes over and gets a replica of its own.
fn replace_primary(pair: Pair, proxy: &Proxy) -> Pair {
    let primary = super::fail_over(pair);
    proxy.lead_to(&primary);
    let replica = Server::builder().replica_of(&primary).start();
    let pair = Pair { primary, replica };
    pair.synced();
    pair
}

/// What the proxy is there for: the client cannot tell the two apart, the server can.
#[test]
fn a_lost_reply_is_that_of_a_command_that_was_executed() {
    for (loss, value) in [(Loss { requests: 1.0, replies: 0.0 }, "nil"), (Loss { requests: 0.0, replies: 1.0 }, "1")] {
        let server = Server::start();
        let proxy = Proxy::before(&server, loss, seed());
        let mut client = Client::connect(&proxy.socket()).expect("a proxy");
        let lost = client.call("SCOUNTER.INCR key IDMP app 1").expect_err("no reply");
        assert!(lost.starts_with("DISCONNECTED "), "{lost}");
        assert_eq!((server.connect().show("SCOUNTER.GET key").as_str(), proxy.cuts()), (value, 1));
        assert_eq!(server.connect().int("SCOUNTER.INCR key IDMP app 1"), 1);
    }
}

#[test]
fn retried_increments_count_once_through_lost_replies_and_failovers() {
    let (total, kills) = (scale(8_000, 100_000), scale(2, 5));
    let mut pair = Pair::start();
    pair.primary.connect().ok("SCOUNTER.CREATE key");
    let proxy = Proxy::before(&pair.primary, LOSS, seed());
    let confirmed = AtomicUsize::new(0);
    let (pair, attempts) = thread::scope(|scope| {
        let writer = |name| {
            let (socket, confirmed) = (proxy.socket(), &confirmed);
            scope.spawn(move || write(socket, name, total / CLIENTS, confirmed))
        };
        let writers: Vec<_> = (0..CLIENTS).map(writer).collect();
        for kill in 1..=kills {
            let goal = kill * total / (kills + 1);
            wait_until("it is time to kill", PATIENCE * 30, || confirmed.load(Relaxed) >= goal);
            pair = replace_primary(pair, &proxy);
        }
        (pair, writers.into_iter().map(|writer| writer.join().expect("a writer")).sum::<usize>())
    });
    println!("{total} increments in {attempts} attempts, {} connections cut, {kills} primaries killed", proxy.cuts());
    assert!(attempts > total && proxy.cuts() > total / 100, "there must have been retries");
    let mut client = pair.primary.connect();
    assert_eq!(client.int("SCOUNTER.GET key"), i64::try_from(total).unwrap());
    assert_eq!(super::field(&mut client, "key", "tokens-dropped-early"), "0");
    pair.assert_same_keyspace();
}
