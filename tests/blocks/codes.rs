//! Public codes that cannot be enumerated.

use crate::harness::*;
use std::collections::BTreeSet;

const NO_CODES: &str = "ERR allocator must have been created with CODES";

/// The words of a reply.
#[track_caller]
fn words(client: &mut Client, command: impl Command) -> Vec<String> {
    client.list(command).iter().map(|word| show(word).trim_matches('"').to_owned()).collect()
}

#[test]
fn codes_come_back_as_their_ids() {
    let server = Server::start();
    let mut client = server.connect();
    for (options, first, increment) in [
        ("CODES 7", 1, 1),
        ("CODES 1 ALPHABET 01", 1, 1),
        ("CODES 5 ALPHABET 0123456789abcdef", 1, 1),
        ("CODES 9 SECRET spring START -1000 INCREMENT 7", -1000, 7),
        ("CODES 62 ALPHABET 01", 1, 1),
    ] {
        client.ok(format!("IDBLOCK.CREATE ids FENCE OFF {options}"));
        let length = client.int("IDBLOCK.INFO ids codes-length") as usize;
        let codes = words(&mut client, "IDBLOCK.CODES ids 1000 ATLEAST 1");
        assert!(codes.iter().all(|code| code.len() == length), "{options}: {codes:?}");
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len(), "{options}");

        let ids: Vec<String> =
            (0..).map(|ordinal| first + increment * ordinal).take(codes.len()).map(|id| id.to_string()).collect();
        let command = |name: &str, rest: &[String]| [&[name.to_owned(), "ids".to_owned()], rest].concat();
        assert_eq!(words(&mut client, command("IDBLOCK.ENCODE", &ids)), codes, "{options}");
        assert_eq!(words(&mut client, command("IDBLOCK.DECODE", &codes)), ids, "{options}");
        client.int("DEL ids");
    }
}

#[test]
fn what_is_no_code_is_nil() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids CODES 4 ALPHABET abc START 10 INCREMENT 10 MAX 200 FENCE OFF");
    let code = words(&mut client, "IDBLOCK.CODES ids 1").remove(0);
    let short = &code[..3];
    for unknown in ["", short, &format!("{code}a"), "aaad", "AAAA", "aaa ", "aa\0a", "\u{e4}aa"] {
        let reply = client.show(["IDBLOCK.DECODE", "ids", unknown, &code]);
        assert_eq!(reply, "[nil, 10]", "{unknown:?}");
    }
    // 81 codes, but only 20 ids: the codes of the others are none.
    let mut all = vec!["IDBLOCK.DECODE".to_owned(), "ids".to_owned()];
    let symbols = ["a", "b", "c"];
    for place in 0..81 {
        all.push((0..4).map(|at| symbols[place / 3usize.pow(at) % 3]).collect());
    }
    let known: Vec<String> = words(&mut client, all).into_iter().filter(|id| id != "nil").collect();
    let mut ids: Vec<i64> = known.iter().map(|id| id.parse().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (10..=200).step_by(10).collect::<Vec<_>>());
    assert_eq!(client.show("IDBLOCK.ENCODE ids 9 10 11 200 210 0 -10"), {
        let last = words(&mut client, "IDBLOCK.ENCODE ids 200").remove(0);
        format!("[nil, \"{code}\", nil, \"{last}\", nil, nil, nil]")
    });
}

/// Where codes outlive the server, the secret is given and kept.
#[test]
fn the_secret_makes_the_codes() {
    let (one, other) = (Server::start(), Server::start());
    let codes = |server: &Server, options: &str| {
        let mut client = server.connect();
        client.ok(format!("IDBLOCK.CREATE ids CODES 7 FENCE OFF {options}"));
        let codes = words(&mut client, "IDBLOCK.CODES ids 10");
        client.int("DEL ids");
        codes
    };
    assert_eq!(codes(&one, "SECRET spring"), codes(&other, "SECRET spring"));
    assert_ne!(codes(&one, "SECRET spring"), codes(&one, "SECRET Spring"));
    assert_ne!(codes(&one, ""), codes(&one, ""), "drawn anew each time");
    assert_ne!(codes(&one, "SECRET spring"), codes(&one, "SECRET spring ALPHABET abcdefgh"));
}

#[test]
fn codes_are_the_same_wherever_the_value_went() {
    let mut pair = Pair::start_with(Server::builder().durable(), Server::builder());
    let mut client = pair.primary.connect();
    client.ok("IDBLOCK.CREATE ids CODES 7 FENCE OFF");
    let codes = words(&mut client, "IDBLOCK.CODES ids 100");
    let decode = [vec!["IDBLOCK.DECODE".to_owned(), "ids".to_owned()], codes].concat();
    let ids = client.show(&decode);
    pair.assert_same_keyspace();
    assert_eq!(pair.replica.connect().show(&decode), ids);
    pair.primary.reload();
    assert_eq!(pair.primary.connect().show(&decode), ids);
    pair.primary.connect().ok("CONFIG SET aof-use-rdb-preamble no");
    pair.primary.rewrite_aof();
    pair.primary.kill();
    pair.primary.restart();
    assert_eq!(pair.primary.connect().show(&decode), ids);
}

#[test]
fn codes_need_an_allocator_that_has_them() {
    let server = Server::start();
    let mut client = server.connect();
    for options in ["", "CLOCK 10"] {
        client.ok(format!("IDBLOCK.CREATE ids FENCE OFF {options}"));
        let digest = server.digest();
        for command in ["IDBLOCK.CODES ids 1", "IDBLOCK.ENCODE ids 1", "IDBLOCK.DECODE ids aaaaaaa"] {
            assert_eq!(client.error(command), NO_CODES, "{command}");
        }
        assert_eq!(server.digest(), digest);
        client.int("DEL ids");
    }
}

#[test]
fn codes_must_be_possible() {
    let server = Server::start();
    let mut client = server.connect();
    let long_secret = format!("CODES 7 SECRET {}", "s".repeat(256));
    for (options, error) in [
        ("CODES 0", "ERR code length must be 1 to 10 in this alphabet, got 0"),
        ("CODES x", "ERR CODES must be a signed 64-bit integer"),
        ("CODES 11", "ERR code length must be 1 to 10 in this alphabet, got 11"),
        ("CODES 63 ALPHABET 01", "ERR code length must be 1 to 62 in this alphabet, got 63"),
        ("CODES 7 ALPHABET a", "ERR alphabet must have 2 to 94 symbols, got 1"),
        ("CODES 7 ALPHABET abca", "ERR alphabet must have distinct symbols, got one again at index 3"),
        (&long_secret, "ERR secret must have 1 to 255 bytes, got 256"),
        ("CODES 7 CODES 7", "ERR syntax error"),
        ("CODES", "ERR syntax error"),
        ("CODES 7 ALPHABET", "ERR syntax error"),
        ("CODES 7 SECRET", "ERR syntax error"),
        ("ALPHABET abc", "ERR syntax error"),
        ("SECRET spring", "ERR syntax error"),
    ] {
        assert_eq!(client.error(format!("IDBLOCK.CREATE ids {options}")), error, "{options}");
        assert_eq!(client.int("EXISTS ids"), 0, "{options}");
    }
    client.ok("IDBLOCK.CREATE ids CODES 7 FENCE OFF");
    for (command, error) in [
        ("IDBLOCK.CODES ids 0", "ERR count must be from 1 to 1000000, got 0"),
        ("IDBLOCK.CODES ids 1000001", "ERR count must be from 1 to 1000000, got 1000001"),
        ("IDBLOCK.ENCODE ids x", "ERR id must be a signed 64-bit integer"),
    ] {
        assert_eq!(client.error(command), error, "{command}");
    }
}
