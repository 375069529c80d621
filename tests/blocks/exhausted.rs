//! A range that comes to its end. uid-generator#100 went negative there, unseen before.

use super::Run;
use crate::harness::*;

const LOG_LINE: &str = "nine tenths of its ids are used";

#[test]
fn the_end_is_told_before_it_comes_and_named_when_it_comes() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids MAX 1000 FENCE OFF");
    let mut ids = Vec::new();
    for block in 0..15 {
        assert_eq!(client.int("IDBLOCK.INFO ids low"), i64::from(block * 64 >= 900));
        ids.extend(Run::reserve(&mut client, "IDBLOCK.RESERVE ids 64").ids());
    }
    assert_eq!(
        client.error("IDBLOCK.RESERVE ids 64"),
        "EXHAUSTED ids left up to 1000 must be at least 64, got 40",
        "a block that does not fit"
    );
    assert_eq!(client.error("IDBLOCK.RESERVE ids 64 ATLEAST 41").split(' ').next(), Some("EXHAUSTED"));
    let rest = Run::reserve(&mut client, "IDBLOCK.RESERVE ids 64 ATLEAST 40");
    assert_eq!(rest, Run { first: 961, last: 1000, increment: 1, count: 40 });
    ids.extend(rest.ids());
    assert_eq!(ids, (1..=1000).collect::<Vec<_>>());

    for command in ["IDBLOCK.NEXT ids", "IDBLOCK.RESERVE ids 64 ATLEAST 1"] {
        assert_eq!(client.error(command), "EXHAUSTED ids left up to 1000 must be at least 1, got 0");
    }
    assert_eq!(client.show("IDBLOCK.INFO ids next"), "nil");
    assert_eq!(client.int("IDBLOCK.INFO ids remaining"), 0);
}

/// By any command, with or without a log.
#[test]
fn the_warning_comes_once() {
    for options in ["", "LOG OFF"] {
        for (crossing, behind) in [
            ("IDBLOCK.RESERVE ids 2", "IDBLOCK.RESERVE ids 1"),
            ("IDBLOCK.NEXT ids", "IDBLOCK.NEXT ids"),
            ("IDBLOCK.ADVANCE ids 95", "IDBLOCK.ADVANCE ids 97"),
            ("IDBLOCK.RESERVE ids 100 ATLEAST 1", "IDBLOCK.INFO ids"),
        ] {
            let server = Server::start();
            let mut client = server.connect();
            client.ok(format!("IDBLOCK.CREATE ids MAX 100 FENCE OFF {options}"));
            let mut events = Events::listen(&server);
            let mut low = || events.drain().into_iter().filter(|(name, _)| name == "idblock.low").count();
            client.value("IDBLOCK.RESERVE ids 89");
            assert_eq!((low(), server.log().matches(LOG_LINE).count()), (0, 0), "before {crossing}");

            client.value(crossing);
            assert_eq!((low(), server.log().matches(LOG_LINE).count()), (1, 1), "{crossing}");
            assert!(server.log().contains("key 'ids'"), "the log names the key");
            assert_eq!(client.int("IDBLOCK.INFO ids low"), 1, "{crossing}");

            client.value(behind);
            server.reload();
            let _refused = client.call("IDBLOCK.RESERVE ids 11");
            client.value("IDBLOCK.INFO ids");
            assert_eq!((low(), server.log().matches(LOG_LINE).count()), (0, 1), "behind {crossing}");
            assert_eq!(client.int("IDBLOCK.INFO ids low"), 1, "after a reload");
        }
    }
}

/// Ten ids are low after nine; a range of a single id is low once that is gone.
#[test]
fn the_warning_comes_at_nine_tenths() {
    let server = Server::start();
    let mut client = server.connect();
    for (max, low_after) in [(1, 1), (2, 2), (10, 9), (11, 10), (19, 18), (20, 18), (100, 90), (101, 91)] {
        client.ok(format!("IDBLOCK.CREATE ids MAX {max} FENCE OFF"));
        for used in 1..=max {
            client.int("IDBLOCK.NEXT ids");
            assert_eq!(client.int("IDBLOCK.INFO ids low"), i64::from(used >= low_after), "{used} of {max}");
        }
        client.int("DEL ids");
    }
}

/// Each restart skips what is left of two windows.
#[test]
fn a_short_range_outlives_restarts() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids MAX 100");
    assert_eq!(client.int("IDBLOCK.INFO ids fence-window"), 1);
    for _ in 0..20 {
        client.int("IDBLOCK.NEXT ids");
        server.reload();
    }
    assert!(client.int("IDBLOCK.NEXT ids") <= 61);
}

#[test]
fn the_warning_comes_where_a_restart_skips_past_nine_tenths() {
    for crossing in ["IDBLOCK.RESERVE ids 20", "IDBLOCK.NEXT ids", "IDBLOCK.ADVANCE ids 950"] {
        let server = Server::start();
        let mut client = server.connect();
        client.ok("IDBLOCK.CREATE ids MAX 1000 FENCE 300");
        client.value("IDBLOCK.RESERVE ids 250");
        client.value("IDBLOCK.RESERVE ids 300");
        server.reload();
        let mut events = Events::listen(&server);
        client.value(crossing);
        client.value("IDBLOCK.NEXT ids");
        let low = events.drain().into_iter().filter(|(name, _)| name == "idblock.low").count();
        assert_eq!((low, server.log().matches(LOG_LINE).count()), (1, 1), "{crossing}");
    }
}

#[test]
fn a_space_of_codes_ends_where_it_is_used_up() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE codes CODES 3 ALPHABET abc START 100 FENCE OFF");
    assert_eq!(client.int("IDBLOCK.INFO codes codes-space"), 27);
    client.value("IDBLOCK.CODES codes 25");
    assert_eq!(
        client.error("IDBLOCK.CODES codes 3"),
        "EXHAUSTED ids left up to 126 must be at least 3, got 2",
        "the last id of the space is named"
    );
    assert_eq!(client.list("IDBLOCK.CODES codes 3 ATLEAST 1").len(), 2);
    assert_eq!(client.error("IDBLOCK.NEXT codes"), "EXHAUSTED ids left up to 126 must be at least 1, got 0");
}

/// Ids that would pass 64 bits are refused, not wrapped: a layout that has ended already is no allocator.
#[test]
fn a_layout_of_the_clock_ends_where_64_bits_do() {
    let server = Server::start();
    let mut client = server.connect();
    let end = "EXHAUSTED ids left up to 9223372036854775807 must be at least 1, got 0";
    assert_eq!(client.error("IDBLOCK.CREATE ids CLOCK 22 INCREMENT 1000 FENCE OFF"), end);
    let ahead = "ERR EPOCH must not lie in the future";
    assert_eq!(client.error("IDBLOCK.CREATE ids CLOCK 10 EPOCH 99999999999999"), ahead);
    assert_eq!(client.int("EXISTS ids"), 0);
    client.ok("IDBLOCK.CREATE ids CLOCK 22 FENCE OFF");
    client.ok("IDBLOCK.ADVANCE ids 9223372036854775806");
    assert_eq!(client.list("IDBLOCK.RESERVE ids 1").len(), 4);
    assert_eq!(client.error("IDBLOCK.NEXT ids"), end);
    assert_eq!(client.int("IDBLOCK.INFO ids low"), 1);
}
