//! Active defragmentation, on servers whose allocator has it: values move in memory while they are used.

use crate::harness::*;

/// One key in so many stays.
const KEPT: usize = 10;

/// Whether the allocator of the server under test defragments.
pub fn is_possible() -> bool {
    let told = Server::start().connect().call("CONFIG SET activedefrag yes");
    told.inspect_err(|error| println!("{error}")).is_ok()
}

/// Leaves few values in many pages, and has the server defragment them.
pub fn defragment(client: &mut Client, keys: usize) {
    for start in (0..keys).step_by(1_000) {
        let make = |number| match number % 3 {
            0 => format!("SCOUNTER.INCR {number}"),
            1 => format!("SCOUNTER.CREATE {number} UBOUND 1000000 LOG MAXLEN 10"),
            _ => format!("IDBLOCK.CREATE {number} CODES 8 SECRET {number} FENCE OFF"),
        };
        client.pipeline((start..start + 1_000).map(make));
    }
    for start in (0..keys).step_by(1_000) {
        let names = (start..start + 1_000).filter(|number| number % KEPT > 0).map(|number| number.to_string());
        client.int(["DEL".to_owned()].into_iter().chain(names).collect::<Vec<_>>());
    }
    for (name, value) in [("ignore-bytes", "1"), ("threshold-lower", "1"), ("cycle-min", "50"), ("cycle-max", "90")] {
        client.ok(format!("CONFIG SET active-defrag-{name} {value}"));
    }
    client.ok("CONFIG SET activedefrag yes");
}

#[test]
fn values_that_move_stay_what_they_are() {
    if !is_possible() {
        return;
    }
    let server = Server::start();
    let mut client = server.connect();
    let keys = scale(60_000, 600_000);
    client.ok("SCOUNTER.CREATE busy LOG MAXLEN 100000 IDMP-MAXSIZE 100000");
    client.pipeline((0..20_000).map(|token| format!("SCOUNTER.INCR busy 1 IDMP worker {token}")));
    let mut rival = server.connect();
    defragment(&mut client, keys);
    let before = server.digest();
    let mut value = 20_000;
    wait_until("the server has moved much", PATIENCE * 2, || {
        let token = value % 20_000;
        assert_eq!(rival.int(args!["SCOUNTER.INCR", "busy", 1, "IDMP", "worker", token]), token + 1, "a retry");
        value += 1;
        client.fields("INFO stats")["active_defrag_hits"].parse::<usize>().expect("a number") > keys / KEPT
    });
    client.ok("CONFIG SET activedefrag no");
    assert_eq!(server.digest(), before);
    assert_eq!(client.int("SCOUNTER.INCR busy"), 20_001);
    for number in (0..keys).step_by(KEPT) {
        match number % 3 {
            0 => assert_eq!(client.int(format!("SCOUNTER.INCR {number}")), 2),
            1 => assert_eq!(client.int(format!("SCOUNTER.INCR {number}")), 1),
            _ => assert_eq!(client.list(format!("IDBLOCK.CODES {number} 2")).len(), 2),
        }
    }
    assert_eq!(client.numbers()["panics"], 0);
}
