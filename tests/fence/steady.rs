//! A healthy pair under load: nobody waits, and nobody is refused.

use super::{Checker, Run, create, wait_for_electable};
use crate::harness::*;
use std::time::{Duration, Instant};

/// Requests that are on their way together.
const PIPELINE: usize = 100;
/// Ids of one request.
const BLOCK: i64 = 100;

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

/// Both with an AOF, as in production. The window grows with the load, so that raises are ahead of need.
#[test]
fn a_healthy_pair_refuses_nobody_once_it_is_warm() {
    let aof = || Server::builder().config("appendonly", "yes").config("appendfsync", "everysec");
    let pair = Pair::start_with(aof(), aof());
    let (checker, mut client) = (Checker::new("ids"), pair.primary.connect());
    create(&mut client, "ids", "");
    wait_for_electable(&pair.primary, &[&pair.replica]);
    let (warm_ids, warm_refused) = load(&mut client, &checker, Duration::from_secs(2));
    let seconds = scale(3, 60);
    let (ids, refused) = load(&mut client, &checker, Duration::from_secs(seconds));
    let rate = ids / i64::try_from(seconds).expect("seconds");
    println!(
        "{warm_ids} ids and {warm_refused} refusals while it warmed up; then {rate} ids a second, {refused} refusals"
    );
    assert_eq!(refused, 0, "at {rate} ids a second");
    checker.assert_unique();
}
