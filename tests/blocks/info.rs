//! `IDBLOCK.INFO`

use crate::harness::*;

/// The fields in their order; later versions only add.
const FIELDS: [&str; 25] = [
    "next",
    "remaining",
    "low",
    "start",
    "increment",
    "max",
    "clock-bits",
    "clock-epoch",
    "codes-length",
    "codes-space",
    "fence",
    "rate",
    "suggested-block",
    "idmp-duration",
    "idmp-maxsize",
    "tokens-tracked",
    "tokens-dropped-early",
    "log-length",
    "log-bytes",
    "log-maxlen",
    "log-maxage",
    "log-maxbytes",
    "created",
    "changed",
    "memory",
];

#[test]
fn fields_come_together_or_one_by_one() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids START 100 INCREMENT 10 MAX 1000 FENCE OFF LOG MAXLEN 5 IDMP-MAXSIZE 7");
    client.value("IDBLOCK.RESERVE ids 11 IDMP worker token");
    let flat = client.list("IDBLOCK.INFO ids");
    let names: Vec<String> = flat.iter().step_by(2).map(show).collect();
    let known: Vec<&str> =
        names.iter().map(|name| name.trim_matches('"')).filter(|name| FIELDS.contains(name)).collect();
    assert_eq!(known, FIELDS);
    let map = server.connect_resp3().show("IDBLOCK.INFO ids");
    for (name, value) in names.iter().zip(flat.iter().skip(1).step_by(2)) {
        assert!(map.contains(&format!("{name}: {}", show(value))), "{name} in {map}");
        assert_eq!(client.show(format!("IDBLOCK.INFO ids {}", name.trim_matches('"'))), show(value), "{name}");
    }
    for (name, value) in [
        ("next", "210"),
        ("remaining", "80"),
        ("low", "0"),
        ("start", "100"),
        ("increment", "10"),
        ("max", "1000"),
        ("clock-bits", "nil"),
        ("codes-length", "nil"),
        ("idmp-maxsize", "7"),
        ("tokens-tracked", "1"),
        ("log-length", "2"),
        ("log-maxlen", "5"),
        ("log-maxage", "nil"),
        ("LOG-MAXLEN", "5"),
    ] {
        assert_eq!(client.show(format!("IDBLOCK.INFO ids {name}")), value, "{name}");
    }
    assert_eq!(client.error("IDBLOCK.INFO ids nonsense"), "ERR field must be one of those that INFO lists");
}

/// As Leaf's users size their blocks: ten minutes of use.
#[test]
fn the_suggested_block_is_ten_minutes_of_use() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    assert_eq!(client.show("IDBLOCK.INFO ids suggested-block"), "0");
    client.pipeline((0..60).map(|_| "IDBLOCK.RESERVE ids 999"));
    client.pipeline((0..60).map(|_| "IDBLOCK.NEXT ids"));
    let (rate, block) = (client.int("IDBLOCK.INFO ids rate"), client.int("IDBLOCK.INFO ids suggested-block"));
    println!("60,000 ids at once: {rate} ids a second over a minute, suggested block {block}");
    // All of them were in the last minute; one that ended meanwhile counts a little less by now.
    assert!((500..=1000).contains(&rate), "{rate}");
    assert!((300_000..=600_000).contains(&block), "{block}");
}

#[test]
fn a_replica_tells_the_same() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("IDBLOCK.CREATE ids CODES 7 MAX 1000 FENCE OFF");
    client.value("IDBLOCK.CODES ids 950");
    pair.synced();
    let mut replica = pair.replica.connect();
    for command in [
        "IDBLOCK.INFO ids next",
        "IDBLOCK.INFO ids remaining",
        "IDBLOCK.INFO ids low",
        "IDBLOCK.INFO ids codes-length",
        "IDBLOCK.WHO ids 500",
        "IDBLOCK.ENCODE ids 1 2 3",
        "IDBLOCK.LOG ids - +",
    ] {
        assert_eq!(replica.show(command), client.show(command), "{command}");
    }
}
