//! Effects that a replica could not execute, and must not acknowledge.

use super::{Checker, create, drain, field, reserve, reserve_times, wait_for_electable};
use crate::harness::*;
use crate::payload::Payload;

/// A reservation that raises the mark.
const RAISING: &str = "IDBLOCK.RESERVE ids 950 IDMP worker 1";

/// A primary and a replica, by which the mark of its allocator is safe.
#[track_caller]
fn start(replica: Builder, checker: &Checker) -> Pair {
    let pair = Pair::start_with(Server::builder(), replica.config("replica-read-only", "no"));
    let mut client = pair.primary.connect();
    create(&mut client, "ids", "FENCE 1000 LOG OFF");
    wait_for_electable(&pair.primary, &[&pair.replica]);
    reserve_times(1, &mut client, "IDBLOCK.RESERVE ids 100", checker, 0);
    wait_until_safe(&mut client);
    pair
}

#[track_caller]
fn wait_until_safe(client: &mut Client) {
    let is_safe = || field(client, "ids", "fence-mark") == field(client, "ids", "fence-safe");
    wait_until("the mark is safe", PATIENCE * 2, is_safe);
}

/// The mark rises, which the replica cannot execute. It becomes safe all the same, once the replica has come back and was
/// told of it; and promoted, it begins there, while the old primary uses up what was safe.
#[track_caller]
fn assert_told(Pair { primary, replica }: &Pair, checker: &Checker) {
    let (mut client, mut other) = (primary.connect(), replica.connect());
    let before = field(&mut client, "ids", "fence-mark");
    reserve_times(1, &mut client, RAISING, checker, 0);
    assert_ne!(field(&mut client, "ids", "fence-mark"), before);
    wait_until_safe(&mut client);
    assert_eq!(field(&mut other, "ids", "fence-mark"), before, "the effect is lost");
    other.ok("REPLICAOF NO ONE");
    drain(&mut client, "IDBLOCK.RESERVE ids 50", checker, 0);
    reserve_times(20, &mut other, "IDBLOCK.RESERVE ids 50", checker, 1);
    checker.assert_unique();
}

/// A replica that somebody wrote to knows a token that its primary does not.
#[test]
fn an_effect_that_is_refused_is_not_acknowledged() {
    let checker = Checker::new("ids");
    let pair = start(Server::builder().expect_in_log("the token is known already"), &checker);
    let token = Payload::at(1_900_000_000_000).token([b"worker", b"1"], *b"abcdef", &[2]);
    pair.replica.connect().ok(args!["IDBLOCK.EFFECT", "ids", token.into_bytes()]);
    assert_told(&pair, &checker);
}

#[test]
fn an_effect_that_panics_is_not_acknowledged() {
    let checker = Checker::new("ids");
    let pair = start(Server::builder().planted(), &checker);
    pair.replica.connect().ok("CONFIG SET tallybook.plant register::run<");
    assert_told(&pair, &checker);
}

/// Whoever issues and does not know any more what it has raised issues nothing.
#[test]
fn a_panic_between_the_dataset_and_the_fence_shuts_it() {
    let server = Server::builder().port().planted().start();
    let mut client = server.connect();
    create(&mut client, "ids", "FENCE 1000");
    create(&mut client, "others", "FENCE 1000");
    reserve(&mut client, "IDBLOCK.RESERVE ids 1");
    client.ok("CONFIG SET tallybook.plant commit::applied");
    assert_eq!(client.error("IDBLOCK.RESERVE ids 5000"), "ERR internal error, see the server log");
    for key in ["ids", "others"] {
        let error = client.error(args!["IDBLOCK.RESERVE", key, 1]);
        assert!(error.contains("a restart of this server, after the internal error in its log"), "{key}: {error}");
    }
}
