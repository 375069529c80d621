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

/// More than are looked after at once. Nobody waits for a mark that the clock would have passed otherwise.
#[test]
fn time_sortable_allocators_that_rest_are_kept_ahead_of_the_clock() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    let names = || (0..300).map(|number| format!("ids:{number}"));
    client.pipeline(names().map(|name| format!("IDBLOCK.CREATE {name} CLOCK 10")));
    client.pipeline(names().map(|name| format!("IDBLOCK.NEXT {name}")));
    wait_for_electable(&pair.primary, &[&pair.replica]);
    let rests = |client: &mut Client| {
        let _ = holds_within(Duration::from_secs(4), || false);
        let before = client.numbers()["fence_stalls"];
        assert!(client.pipeline(names().map(|name| format!("IDBLOCK.NEXT {name}"))).iter().all(Result::is_ok));
        client.numbers()["fence_stalls"] == before
    };
    assert!((0..STRETCHES).any(|_| rests(&mut client)), "somebody had to wait each time");
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
