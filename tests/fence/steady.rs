//! A healthy pair under load: nobody waits, and nobody is refused.

use super::{Checker, Run, create, wait_for_electable};
use crate::harness::*;
use std::time::{Duration, Instant};

/// Requests that are on their way together.
const PIPELINE: usize = 100;
/// Ids of one request.
const BLOCK: i64 = 100;
/// How often a stretch of time is looked at for one without a wait.
const STRETCHES: usize = 5;

/// Reserves block after block for so long, and gives how many ids came and how many requests were refused.
fn load(client: &mut Client, checker: &Checker, time: Duration) -> (i64, usize) {
    let (end, mut ids, mut refused) = (Instant::now() + time, 0, 0);
    while Instant::now() < end {
        for reply in client.pipeline((0..PIPELINE).map(|_| format!("IDBLOCK.RESERVE ids {BLOCK}"))) {
            match reply {
                Ok(block) => {
                    checker.note(&Run::read(&block), 0);
                    ids += BLOCK;
                }
                Err(refusal) => {
                    assert!(refusal.starts_with("UNFENCED "), "{refusal}");
                    refused += 1;
                }
            }
        }
    }
    (ids, refused)
}

/// Both with an AOF, as in production. The window grows with the load, so that raises are ahead of need, and covers more
/// than a second. A machine that stands still for longer may make somebody wait: then another stretch is looked at. A
/// window that is too small would be so in each.
#[test]
fn a_healthy_pair_makes_nobody_wait_once_it_is_warm() {
    let aof = || Server::builder().config("appendonly", "yes").config("appendfsync", "everysec");
    let pair = Pair::start_with(aof(), aof());
    let (checker, mut client) = (Checker::new("ids"), pair.primary.connect());
    create(&mut client, "ids", "");
    wait_for_electable(&pair.primary, &[&pair.replica]);
    load(&mut client, &checker, Duration::from_secs(2));
    let seconds = scale(3, 60);
    let mut stretch = || {
        let before = client.numbers()["fence_stalls"];
        let (ids, refused) = load(&mut client, &checker, Duration::from_secs(seconds));
        let waited = client.numbers()["fence_stalls"] - before;
        let rate = ids / i64::try_from(seconds).expect("seconds");
        println!("{rate} ids a second, {waited} had to wait, {refused} were refused");
        waited == 0 && refused == 0
    };
    assert!((0..STRETCHES).any(|_| stretch()), "somebody had to wait each time");
    checker.assert_unique();
}
