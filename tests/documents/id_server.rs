//! The id server of examples/, at most 60 lines, through an outage of the server.

#[allow(dead_code)]
#[path = "../../examples/id_server.rs"]
mod example;

use super::source;
use crate::harness::*;

const BLOCK: u32 = 100;
const OUTAGES: i64 = 3;

#[test]
fn the_id_server_is_short() {
    assert!(source("examples/id_server.rs").lines().count() <= 60);
}

#[test]
fn ids_are_drawn_through_outages_and_none_comes_twice() {
    let mut server = Server::builder().durable().start();
    server.connect().ok("IDBLOCK.CREATE orders FENCE OFF"); // so that none is missing
    let client = redis::Client::open(format!("redis+unix://{}", server.socket().display())).expect("a client");
    let mut ids = example::ids(client, "orders".to_owned(), BLOCK);
    let mut drawn: Vec<i64> = Vec::new();
    for outage in 1..=OUTAGES {
        drawn.extend(ids.by_ref().take(5)); // the first of a block
        let fetched = drawn.last().expect("an id") / i64::from(BLOCK) * i64::from(BLOCK) + 3 * i64::from(BLOCK);
        wait_until("two more blocks are at hand", PATIENCE, || {
            server.connect().int("IDBLOCK.INFO orders next") > fetched
        });
        server.connect().text("PING"); // by this reply, the one to the fetching thread is out too
        server.kill();
        drawn.extend(ids.by_ref().take(250)); // without a server
        server.restart();
        drawn.extend(ids.by_ref().take(345)); // to the end of a block
        assert_eq!(drawn.len() as i64, outage * 600);
    }
    assert_eq!(drawn, (1..=OUTAGES * 600).collect::<Vec<i64>>(), "none twice, none missing");
}
