//! How much of a log is kept: what it is bound to at least, at most one chunk more.

use super::entry::Entry;
use crate::harness::*;
use crate::payload::Payload;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const CHUNK: i64 = 256;
const CHUNK_BYTES: i64 = 8192;

fn values(client: &mut Client) -> Vec<i64> {
    Entry::all(client, "SCOUNTER.LOG key - +").iter().map(|entry| entry.number("value")).collect()
}

/// The newest entries are kept, without a gap: the values of increments by 1 count up to the last.
#[track_caller]
fn is_the_newest(values: &[i64], last: i64) {
    let first = last + 1 - i64::try_from(values.len()).unwrap();
    assert!(values.iter().copied().eq(first..=last), "{} values must count up to {last}", values.len());
}

/// The field of INFO after each of these changes.
#[track_caller]
fn after_each(client: &mut Client, field: &str, changes: impl IntoIterator<Item = Vec<Vec<u8>>>) -> Vec<i64> {
    let info = args!["SCOUNTER.INFO", "key", field];
    let replies = client.pipeline(changes.into_iter().flat_map(|change| [change, info.clone()]));
    let field = |reply: &Reply| reply.as_ref().ok().and_then(|reply| redis::from_redis_value_ref(reply).ok());
    assert!(replies.iter().all(Result::is_ok), "{replies:?}");
    replies.iter().skip(1).step_by(2).map(|reply| field(reply).expect("an integer")).collect()
}

#[test]
fn a_bound_by_length_is_kept_and_little_more() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    for bound in [1, 2, 100, 255, 256, 257, 1000] {
        client.ok(format!("SCOUNTER.CREATE key LOG MAXLEN {bound}"));
        let steps = scale(1600, 20_000);
        let lengths = after_each(&mut client, "log-length", (0..steps).map(|_| args!["SCOUNTER.INCR", "key"]));
        for (all, length) in (2..).zip(lengths) {
            assert!((bound.min(all)..=bound + CHUNK).contains(&length), "{length} of {all} under MAXLEN {bound}");
        }
        let values = values(&mut client);
        is_the_newest(&values, steps);
        assert_eq!(client.int("SCOUNTER.INFO key log-length"), values.len() as i64);
        pair.assert_same("key");
        client.int("DEL key");
    }
}

#[test]
fn a_bound_by_bytes_is_kept_and_little_more() {
    let server = Server::start();
    let mut client = server.connect();
    for (bound, why) in [(1, ""), (500, ""), (5000, ""), (20_000, ""), (20_000, "some words of why this was done")] {
        client.ok(format!("SCOUNTER.CREATE key LOG MAXBYTES {bound}"));
        let changes = (0..2500).map(|number| args!["SCOUNTER.INCR", "key", "NOTE", format!("{why} {}", number % 10)]);
        let mut before = 0;
        for bytes in after_each(&mut client, "log-bytes", changes) {
            assert!((bound.min(before)..=bound + CHUNK_BYTES).contains(&bytes), "{bytes} under MAXBYTES {bound}");
            before = bytes;
        }
        is_the_newest(&values(&mut client), 2500);
        client.int("DEL key");
    }
}

/// The entries' own time counts, so a test may say what time it is.
#[test]
fn a_bound_by_age_is_kept_and_little_more() {
    const AGE_MS: u64 = 100;
    let mut chance = StdRng::seed_from_u64(seed());
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok(format!("SCOUNTER.CREATE key LOG MAXAGE {AGE_MS}"));
    let mut times = vec![Entry::all(&mut client, "SCOUNTER.LOG key - +")[0].time().0];
    for _ in 0..scale(60, 1000) {
        let longest = [1, 2, 3, 200, 100_000_000][chance.random_range(0..5)]; // bursts, and days apart
        let known = times.len();
        for _ in 0..chance.random_range(1..150) {
            times.push(times[times.len() - 1] + chance.random_range(0..longest));
        }
        let effect = |ms: &u64| Payload::at(*ms).added(1).stamp([b""; 3]).into_bytes();
        let changes = times[known..].iter().map(|ms| args!["SCOUNTER.EFFECT", "key", effect(ms)]);
        for (last, length) in (known..).zip(after_each(&mut client, "log-length", changes)) {
            let old = times[..last].partition_point(|time| time + AGE_MS < times[last]);
            let young = (last + 1 - old) as i64;
            assert!((young..=young + CHUNK).contains(&length), "{length} entries, {young} of them young");
        }
        is_the_newest(&values(&mut client), times.len() as i64 - 1);
    }
    pair.assert_same("key");
}

/// Of several bounds the tightest counts.
#[test]
fn bounds_hold_together() {
    let server = Server::start();
    let mut client = server.connect();
    for (options, least) in [
        ("LOG MAXLEN 500 LOG MAXBYTES 1000000", 500),
        ("LOG MAXBYTES 1000000 LOG MAXAGE 100000000 LOG MAXLEN 700", 700),
        ("LOG MAXLEN 1000000 LOG MAXBYTES 1", 1),
    ] {
        client.ok(format!("SCOUNTER.CREATE key {options}"));
        let lengths = after_each(&mut client, "log-length", (0..2500).map(|_| args!["SCOUNTER.INCR", "key"]));
        for (all, length) in (2..).zip(lengths) {
            assert!((least.min(all)..=least + CHUNK).contains(&length), "{length} of {all} under {options}");
        }
        is_the_newest(&values(&mut client), 2500);
        client.int("DEL key");
    }
}

/// A lower bound trims at once; what is gone does not come back; OFF forgets all.
#[test]
fn a_bound_can_be_changed() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("SCOUNTER.CREATE key LOG MAXLEN 100000");
    client.pipeline((0..5000).map(|_| "SCOUNTER.INCR key"));
    assert_eq!(client.list("SCOUNTER.LOG key - +").len(), 5001);
    let mut kept = 5001;
    for (bound, least, most) in [(4000, 4000, 4256), (1_000_000, 0, 0), (300, 300, 556), (1, 1, 257)] {
        client.ok(format!("SCOUNTER.ALTER key LOG MAXLEN {bound}"));
        let length = client.list("SCOUNTER.LOG key - +").len();
        let (least, most) = if bound > kept { (kept, kept + 1) } else { (least, most) };
        assert!((least..=most).contains(&length), "{length} under MAXLEN {bound}");
        let last = client.show("SCOUNTER.LOG key + - REV COUNT 1");
        assert!(last.contains("\"op\", \"alter\""), "{last}");
        kept = length;
        pair.assert_same("key");
    }
    client.ok("SCOUNTER.ALTER key LOG OFF");
    assert_eq!(client.show("SCOUNTER.LOG key - +"), "[]");
    assert_eq!(client.show("SCOUNTER.INFO key log-length"), "nil");
    client.int("SCOUNTER.INCR key");
    assert_eq!(client.show("SCOUNTER.LOG key - +"), "[]");
    client.ok("SCOUNTER.ALTER key LOG MAXLEN 10");
    client.int("SCOUNTER.INCR key");
    assert_eq!(values(&mut client), [5001, 5002]);
    pair.assert_same("key");
}

/// Reservations are kept 1000 at a time unless told otherwise.
#[test]
fn an_allocator_keeps_its_last_thousand_reservations() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    client.pipeline((0..3000).map(|_| "IDBLOCK.RESERVE ids 10"));
    let log = Entry::all(&mut client, "IDBLOCK.LOG ids - +");
    assert!((1000..=1000 + CHUNK).contains(&(log.len() as i64)), "{}", log.len());
    assert_eq!(log.last().map(|entry| entry.number("last")), Some(30_000));
    assert!(log.is_sorted_by(|before, after| before.number("last") + 1 == after.number("first")));
    client.nil("IDBLOCK.WHO ids 1");
    assert_eq!(Entry::read(&client.value("IDBLOCK.WHO ids 30000")), log[log.len() - 1]);
}
