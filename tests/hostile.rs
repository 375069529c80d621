//! Payloads that nobody should send. Whatever they say, the server goes on, and what it refuses leaves no trace.

use crate::harness::*;
use crate::payload::Payload;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Dumps of every shape that a counter can have, and an allocator.
fn dumps(client: &mut Client) -> [Vec<Vec<u8>>; 2] {
    for command in [
        "SCOUNTER.INCR plain 123456789",
        "SCOUNTER.CREATE bounded INITIAL 5 LBOUND -1000 UBOUND 1000",
        "SCOUNTER.CREATE logged LBOUND -1000 LOG MAXLEN 1000 LOG MAXAGE 60000 LOG MAXBYTES 100000",
        "SCOUNTER.CREATE long LOG MAXLEN 5000",
        "SCOUNTER.CREATE held LBOUND -100000 IDMP-MAXSIZE 500",
        "SCOUNTER.CREATE sharded SHARDS 64",
        "IDBLOCK.CREATE ids START -500 INCREMENT 7 MAX 1000000 FENCE OFF",
        "IDBLOCK.CREATE quiet FENCE OFF LOG OFF",
        "IDBLOCK.CREATE timed START 5 INCREMENT 8 CLOCK 10 FENCE OFF LOG MAXBYTES 1000",
        "IDBLOCK.CREATE coded CODES 8 FENCE 1000",
    ] {
        client.value(command);
    }
    client.ok("CLIENT SETNAME web-1");
    client.ok(format!("CONFIG SET tallybook.fence-wait {}", PATIENCE.as_millis()));
    client.pipeline((0..20).map(|number| format!("SCOUNTER.INCR logged {number} NOTE note-{number}")));
    client.pipeline((0..600).map(|number| format!("SCOUNTER.INCR long {number}")));
    client.pipeline((1..20).map(|number| format!("IDBLOCK.RESERVE ids {number} NOTE note-{number}")));
    client.pipeline((0..200).map(|number| format!("SCOUNTER.INCR held {number} IDMP worker-{} {number}", number % 3)));
    client.pipeline((1..50).map(|number| format!("SCOUNTER.HOLD held -{number} EX {number}000")));
    client.value("SCOUNTER.HOLD held -7 EX 1000");
    client.int("IDBLOCK.NEXT quiet");
    for command in ["IDBLOCK.RESERVE timed 5", "IDBLOCK.CODES coded 5", "IDBLOCK.RESERVE coded 5 IDMP worker 1"] {
        client.list(command);
    }
    let mut dump = |key: &&str| client.bytes(["DUMP", key]);
    let counters = ["plain", "bounded", "logged", "long", "held", "sharded"].iter().map(&mut dump).collect();
    [counters, ["ids", "quiet", "timed", "coded"].iter().map(dump).collect()]
}

/// The version of the format and the checksum stand at the end of a dump.
const FOOTER: usize = 10;

/// The dump with some of its bytes changed, left out or doubled. The first byte, which says that a module wrote the
/// value, stays, as the other types are not ours to test; the footer stays, as otherwise nothing behind it is read.
fn damaged(dump: &[u8], chance: &mut StdRng) -> Vec<u8> {
    let (value, footer) = dump.split_at(dump.len() - FOOTER);
    let mut value = value.to_vec();
    for _ in 0..chance.random_range(1..4) {
        let place = chance.random_range(1..value.len());
        match chance.random_range(0..7) {
            0 => value.truncate(place + 1),
            // As the server writes lengths of 32 and 64 bits: more than there is of anything.
            6 => _ = value.splice(place..=place, [0x80 | chance.random_range(0..2), 0x7f, 0xff, chance.random(), 0]),
            1 => drop(value.remove(place)),
            2 => value.insert(place, chance.random()),
            3 => value[place] = [0, 1, 0x7f, 0x80, 0xff][chance.random_range(0..5)],
            _ => value[place] ^= 1 << chance.random_range(0..8),
        }
        if value.len() < 2 {
            break;
        }
    }
    value.extend_from_slice(footer);
    value
}

/// What a client does next. Each may be refused.
const TRAFFIC: [&str; 12] = [
    "SCOUNTER.GET hostile",
    "SCOUNTER.INCR hostile 5 NOTE why",
    "SCOUNTER.LOG hostile - +",
    "SCOUNTER.LOG hostile + - COUNT 3 REV",
    "IDBLOCK.NEXT hostile",
    "IDBLOCK.RESERVE hostile 1000 ATLEAST 1 NOTE why",
    "IDBLOCK.LOG hostile - +",
    "MEMORY USAGE hostile",
    "DEBUG DIGEST-VALUE hostile",
    "COPY hostile copy REPLACE",
    "DUMP hostile",
    "RESTORE hostile 0 nonsense REPLACE",
];

/// What lies in memory, without the clients' buffers: payloads of a thousandth of that come and go.
fn memory(client: &mut Client) -> u64 {
    client.fields("INFO memory")["used_memory_dataset"].parse().expect("a number")
}

/// How much more may lie there in the end: what the server keeps of itself.
const MEMORY_MAX: u64 = 2 << 20;

#[test]
fn a_damaged_counter_is_refused_or_a_value_like_any_other() {
    restore_damaged(|[counters, _]| counters);
}

#[test]
fn a_damaged_allocator_is_refused_or_a_value_like_any_other() {
    restore_damaged(|[_, allocators]| allocators);
}

fn restore_damaged(of_type: impl Fn([Vec<Vec<u8>>; 2]) -> Vec<Vec<u8>>) {
    // A fence that waits for no disk.
    let server = Server::builder().config("tallybook.fence-journal", "").start();
    let mut client = server.connect();
    let dumps = of_type(dumps(&mut client));
    client.ok("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
    let mut chance = StdRng::seed_from_u64(seed());
    let (before, memory_before) = (server.digest(), memory(&mut client));
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..scale(2_000, 100_000) {
        let dump = damaged(&dumps[chance.random_range(0..dumps.len())], &mut chance);
        let case = || format!("RESTORE of {}", dump.escape_ascii());
        match client.call(args!["RESTORE", "hostile", 0, &dump]) {
            Ok(_) => taken += 1,
            Err(error) if error.starts_with("ERR Bad data format") => {
                refused += 1;
                continue; // that nothing came into being is seen at the end
            }
            Err(error) => panic!("{}: {error}", case()),
        }
        let replies = client.pipeline(TRAFFIC);
        let lost = replies.iter().find(|reply| matches!(reply, Err(error) if error.starts_with("DISCONNECTED")));
        assert_eq!(lost, None, "{}", case());
        let internal = replies.iter().find(|reply| matches!(reply, Err(error) if error.contains("internal error")));
        assert_eq!(internal, None, "{}", case());
        let Ok(redis::Value::BulkString(dump)) = &replies[10] else { panic!("{}: no dump", case()) };
        client.int("DEL hostile copy");
        client.ok(args!["RESTORE", "hostile", 0, dump]); // what it was turned into is sound
        client.int("DEL hostile");
    }
    let grown = memory(&mut client).saturating_sub(memory_before);
    println!("{taken} were taken, {refused} refused, {grown} bytes more in the end");
    assert!(grown < MEMORY_MAX, "{grown} bytes more");
    assert!(taken > 0 && refused > taken, "{taken} were taken, {refused} refused");
    assert_eq!(server.digest(), before);
}

#[test]
fn a_dump_that_is_cut_short_is_refused() {
    let server = Server::start();
    let mut client = server.connect();
    let dumps = dumps(&mut client);
    client.ok("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
    let before = server.digest();
    for dump in dumps.concat() {
        let (value, footer) = dump.split_at(dump.len() - FOOTER);
        let step = value.len() / scale(100, 1000) + 1;
        // Without its last two bytes a value takes the first two behind it, `0a 00`, for its own, and may be one.
        let footer = [&footer[..2], &[0xff; FOOTER - 2]].concat();
        for len in (1..value.len()).step_by(step).filter(|len| len + 2 != value.len()) {
            let error = client.error(args!["RESTORE", "hostile", 0, [&value[..len], &footer].concat()]);
            assert_eq!(error, "ERR Bad data format", "the first {len} bytes of {}", dump.escape_ascii());
        }
    }
    assert_eq!(server.digest(), before);
}

/// Where the sections begin in a dump: behind the type, the id of the module and the encoding.
const HEADER: usize = 10;

/// The sections of a dump of short ones: each is a string behind the server's mark for one, and behind them an end.
fn sections(dump: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut sections) = (&dump[HEADER..dump.len() - FOOTER], Vec::new());
    while let [5, len, more @ ..] = rest {
        let (section, behind) = more.split_at(usize::from(*len));
        sections.push(section.to_vec());
        rest = behind;
    }
    assert_eq!(rest, [0]);
    sections
}

/// The dump with other sections.
fn with_sections(dump: &[u8], sections: &[&[u8]]) -> Vec<u8> {
    let mut value = dump[..HEADER].to_vec();
    for section in sections {
        value.extend([5, u8::try_from(section.len()).expect("a short section")]);
        value.extend_from_slice(section);
    }
    value.push(0);
    [&value, &dump[dump.len() - FOOTER..]].concat()
}

/// The highest bit of a tag says that its section is the last one: it must be there, and nowhere else.
#[test]
fn a_value_ends_with_the_section_that_says_so() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE seats INITIAL 5 LBOUND 0 UBOUND 9");
    client.ok("DEBUG SET-SKIP-CHECKSUM-VALIDATION 1");
    let dump = client.bytes("DUMP seats");
    let own = sections(&dump);
    let turned: Vec<Vec<u8>> = own.iter().map(|section| [&[section[0] ^ 0x80], &section[1..]].concat()).collect();
    // The same three with the bit and without it: the core, the bounds, the time of CREATE.
    let [core, bounds, last_made] = [0, 1, 2].map(|index| own[index].as_slice());
    let [last_core, last_bounds, made] = [0, 1, 2].map(|index| turned[index].as_slice());
    let refused: [&[&[u8]]; 13] = [
        &[],
        &[b""],
        &[b"\x80"],
        &[core],
        &[core, bounds, made],
        &[last_core, bounds, last_made],
        &[core, last_bounds, last_made],
        &[last_core, last_bounds, last_made],
        &[core, bounds, last_made, last_made],
        &[core, b"", last_made],
        &[b"", core, last_made],
        &[last_made],
        &[bounds, last_core],
    ];
    for sections in refused {
        let error = client.error(args!["RESTORE", "hostile", 0, with_sections(&dump, sections)]);
        assert_eq!(error, "ERR Bad data format", "{sections:x?}");
    }
    client.ok(args!["RESTORE", "same", 0, with_sections(&dump, &[core, bounds, last_made])]);
    assert_eq!(client.bytes("DUMP same"), dump);
    client.ok(args!["RESTORE", "plain", 0, with_sections(&dump, &[last_core])]);
    assert_eq!(client.int("SCOUNTER.INCR plain 100"), 105, "without its bounds it is a plain counter");
    assert_eq!(client.int("EXISTS hostile"), 0);
}

#[test]
fn a_damaged_effect_is_refused_or_a_change_like_any_other() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    dumps(&mut client);
    let effects = effects(&pair.primary);
    let mut chance = StdRng::seed_from_u64(seed());
    for _ in 0..scale(2_000, 100_000) {
        let (command, key, payload) = &effects[chance.random_range(0..effects.len())];
        let mut payload = payload.clone();
        for _ in 0..chance.random_range(1..4) {
            let place = chance.random_range(0..payload.len());
            payload[place] = chance.random();
        }
        let key: &[u8] = if chance.random_ratio(1, 10) { b"new" } else { key };
        match client.call(args![command.as_slice(), key, payload]) {
            Err(error) if error.starts_with("DISCONNECTED") => panic!("{error}"),
            Ok(_) if key == b"new" => drop(client.int("DEL new")),
            _ => {}
        }
    }
    client.error("SCOUNTER.EFFECT named nonsense");
    assert!(pair.primary.log().contains("tallybook refused an effect on key 'named': "), "{}", pair.primary.log());
    pair.assert_same_keyspace();
}

/// The codes of a retry are computed anew: a reply that claims a million of millions would be the end of the server.
#[test]
fn a_reply_that_no_reservation_can_have_had_is_not_given_again() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE links CODES 10 FENCE OFF");
    let mut stream = ReplicationStream::attach(&server);
    let codes = client.list("IDBLOCK.CODES links 2 IDMP p t");
    let effect = stream.next_commands().pop().and_then(|mut command| command.pop()).expect("a payload");
    let token = effect.windows(5).position(|bytes| bytes == b"\x19\x01p\x01t").expect("a token") + 5;
    let fingerprint: [u8; 6] = effect[token..token + 6].try_into().expect("six bytes");
    let many = 1_000_000_000_000;
    for (name, [first, last, count]) in [
        ("same", [1, 2, 2]),
        ("many", [1, many, many]),
        ("more", [1, 3, 3]),
        ("short", [1, 3, 2]),
        ("outside", [0, 1, 2]),
    ] {
        let reply = Payload::block(first, last, 1, count.unsigned_abs());
        let forged = Payload::at(1_700_000_000_000).token([b"p", name.as_bytes()], fingerprint, &reply);
        client.ok(args!["IDBLOCK.EFFECT", "links", forged.into_bytes()]);
        let retry = client.call(args!["IDBLOCK.CODES", "links", 2, "IDMP", "p", name]);
        match name {
            "same" => assert_eq!(retry, Ok(redis::Value::Array(codes.clone()))),
            _ => assert_eq!(retry, Err("ERR internal error, see the server log".to_owned()), "{name}"),
        }
    }
    assert!(server.log().contains("a value that no command has made"), "{}", server.log());
}

/// A list of empty sections would take sixteen times the room of its bytes.
#[test]
fn an_effect_takes_no_more_memory_than_its_bytes() {
    const LEN: usize = 8 << 20;
    let server = Server::start();
    let mut client = server.connect();
    let mut peak = || client.fields("INFO memory")["used_memory_peak"].parse::<usize>().expect("a number");
    let before = peak();
    let mut sender = server.connect();
    assert!(sender.error(args!["SCOUNTER.EFFECT", "views", [&[1, 1][..], &[0; LEN]].concat()]).starts_with("ERR "));
    let taken = peak() - before;
    assert!(taken < 6 * LEN, "{taken} bytes for {LEN}");
}

/// What a few changes replicate: command, key, payload.
fn effects(server: &Server) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let mut stream = ReplicationStream::attach(server);
    let mut client = server.connect();
    for command in [
        "SCOUNTER.CREATE created INITIAL 5 LBOUND 0 UBOUND 10 LOG MAXLEN 10",
        "SCOUNTER.INCR logged 5 NOTE why",
        "SCOUNTER.INCR bounded",
        "SCOUNTER.INCR in-passing",
        "IDBLOCK.CREATE other-ids FENCE OFF",
        "IDBLOCK.RESERVE ids 5 NOTE why",
        "IDBLOCK.NEXT quiet",
    ] {
        client.value(command);
    }
    let effect = |mut command: Vec<Vec<u8>>| (command.remove(0), command.remove(0), command.remove(0));
    // Whom the fence counts is announced in between.
    let is_effect = |command: &Vec<Vec<u8>>| command[0].to_ascii_lowercase().ends_with(b".effect");
    stream.next_commands().into_iter().filter(is_effect).map(effect).collect()
}
