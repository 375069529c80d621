//! docs/COMMANDS.md against a server: commands, syntax, flags, fields, operations, events, settings, limits.

use super::syntax::{arity, field, items, line, text};
use super::{Document, source, sources};
use crate::harness::*;
use redis::Value;
use std::collections::BTreeSet;
use tallybook_domain::audit::{BlockChange, CounterOp};
use tallybook_domain::limits;

fn reference() -> Document {
    Document::read("docs/COMMANDS.md")
}

fn commands(server: &Server) -> BTreeSet<String> {
    let names = server.connect().list("COMMAND LIST FILTERBY MODULE tallybook");
    names.iter().map(|name| text(name).to_uppercase()).collect()
}

/// What stands under the heading of a command, in its fence.
fn syntax_of(reference: &Document, command: &str) -> String {
    let fences = reference.section(command).fences("syntax");
    assert_eq!(fences.len(), 1, "{command}: syntax lines");
    fences[0].clone()
}

/// The only element of a map or an array.
fn only(reply: Value) -> Value {
    match reply {
        Value::Array(mut items) if items.len() == 1 => items.remove(0),
        Value::Map(mut fields) if fields.len() == 1 => fields.remove(0).1,
        other => panic!("one element must come, got {}", show(&other)),
    }
}

#[test]
fn every_command_has_a_heading_and_every_heading_a_command() {
    let reference = reference();
    let headings = reference.headings().into_iter().filter(|(_, heading)| heading.contains('.'));
    let documented: Vec<&str> =
        headings.map(|(_, heading)| heading).filter(|heading| !heading.starts_with("tally")).collect();
    let distinct: BTreeSet<String> = documented.iter().map(|heading| (*heading).to_owned()).collect();
    assert_eq!(distinct.len(), documented.len(), "a heading stands twice");
    assert_eq!(distinct, commands(&Server::start()));
}

#[test]
fn the_server_tells_the_same_syntax() {
    let (server, reference) = (Server::start(), reference());
    let mut client = server.connect_resp3();
    for command in commands(&server) {
        let syntax = syntax_of(&reference, &command);
        let docs = only(client.value(["COMMAND", "DOCS", &command]));
        assert_eq!(format!("{command} {}", line(items(field(&docs, "arguments")))), syntax);
        let info = only(client.value(["COMMAND", "INFO", &command]));
        assert_eq!(items(Some(&info))[1], Value::Int(arity(&syntax)), "arity of {syntax}");
    }
}

#[test]
fn the_server_tells_the_same_flags_permissions_and_complexity() {
    let server = Server::start();
    let mut client = server.connect_resp3();
    let rows = reference().section("Flags and permissions").table();
    assert_eq!(rows.iter().map(|row| row[0].clone()).collect::<BTreeSet<_>>(), commands(&server));
    for [command, flags, keys, complexity] in
        rows.into_iter().map(|row| <[String; 4]>::try_from(row).expect("four cells"))
    {
        let info = only(client.value(["COMMAND", "INFO", &command]));
        let info = items(Some(&info));
        // Valkey calls its slow log a command log.
        let flag = |flag| text(flag).replace("commandlog", "slowlog");
        let mut told: BTreeSet<String> = items(Some(&info[2])).iter().map(flag).collect();
        told.remove("module");
        assert_eq!(told, flags.split(' ').map(str::to_owned).collect(), "{command}");
        assert_eq!(permissions(&info[8]), keys.replace('`', ""), "{command}");
        let docs = only(client.value(["COMMAND", "DOCS", &command]));
        assert_eq!(field(&docs, "complexity").map(text), Some(complexity), "{command}");
    }
}

/// What ACL rules ask for, by the key specs of COMMAND INFO.
fn permissions(specs: &Value) -> String {
    let Some(spec) = items(Some(specs)).first() else { return String::new() };
    let flags: Vec<String> = items(field(spec, "flags")).iter().map(text).collect();
    let has = |flag: &str| flags.iter().any(|found| found == flag);
    let writes = ["insert", "update", "delete"].into_iter().any(has);
    let asked = [("%R", has("access")), ("%W", writes)];
    asked.into_iter().filter(|(_, asked)| *asked).map(|(permission, _)| permission).collect::<Vec<_>>().join(" ")
}

#[test]
fn info_has_the_documented_fields_in_this_order() {
    let (server, reference) = (Server::start(), reference());
    let (mut two, mut three) = (server.connect(), server.connect_resp3());
    for (create, info) in
        [("SCOUNTER.CREATE counter", "SCOUNTER.INFO"), ("IDBLOCK.CREATE ids FENCE OFF", "IDBLOCK.INFO")]
    {
        two.ok(create);
        let key = create.split(' ').nth(1).expect("a key");
        let documented: Vec<String> = reference.section(info).table().into_iter().map(|row| row[0].clone()).collect();
        let flat: Vec<String> = two.list([info, key]).chunks(2).map(|pair| text(&pair[0])).collect();
        assert_eq!(flat, documented, "{info} on RESP2");
        let Value::Map(fields) = three.value([info, key]) else { panic!("{info}: a map must come on RESP3") };
        assert_eq!(fields.iter().map(|(name, _)| text(name)).collect::<Vec<_>>(), documented, "{info} on RESP3");
        for (name, value) in fields {
            let name = text(&name).to_uppercase();
            assert_eq!(three.value([info, key, &name]), value, "{info} {name}");
        }
    }
}

#[test]
fn the_log_has_the_documented_operations_and_fields() {
    let log = reference().section("Audit log");
    let run = (BlockChange::Reserve { first: 0, count: 1 }, BlockChange::Advance { first: 0, count: 1 });
    let blocks = [BlockChange::Create, run.0, run.1];
    let counters = CounterOp::ALL.iter().map(|op| op.name());
    let known: BTreeSet<&str> = counters.chain(blocks.iter().map(BlockChange::name)).collect();
    let documented = log.column("op");
    assert_eq!(documented.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);

    let server = Server::start();
    let mut client = server.connect();
    client.ok("CLIENT SETNAME web-1");
    client.ok("SCOUNTER.CREATE counter LOG MAXLEN 5");
    client.int("SCOUNTER.INCR counter NOTE why");
    client.ok("IDBLOCK.CREATE ids");
    client.list("IDBLOCK.RESERVE ids 5 NOTE why");
    let mut told = Vec::new();
    for log in ["SCOUNTER.LOG counter + - COUNT 1 REV", "IDBLOCK.LOG ids + - COUNT 1 REV"] {
        let entries = client.list(log);
        let fields = &items(Some(&entries[0]))[1];
        told.push(items(Some(fields)).chunks(2).map(|pair| text(&pair[0])).collect::<Vec<_>>());
    }
    let fields = log.column("field");
    let without = |names: [&str; 2]| -> Vec<String> {
        fields.iter().filter(|field| !names.contains(&field.as_str())).cloned().collect()
    };
    assert_eq!(told, [without(["first", "last"]), without(["delta", "value"])]);
}

#[test]
fn the_events_are_the_documented_ones() {
    let literals = |text: String| -> Vec<String> {
        let strings = text.split("c\"").skip(1).filter_map(|rest| rest.split('"').next().map(str::to_owned));
        strings.filter(|string| string.contains('.') && !string.ends_with(".effect")).collect()
    };
    let raised = sources("src/types", "rs").iter().flat_map(|file| literals(source(file))).collect::<BTreeSet<_>>();
    let documented: BTreeSet<String> = reference().section("Events").column("event").into_iter().collect();
    assert_eq!(documented, raised);
}

#[test]
fn the_settings_are_the_documented_ones() {
    let server = Server::start();
    let settings = server.connect().list("CONFIG GET tallybook.*");
    let settings: BTreeSet<String> = settings.chunks(2).map(|pair| text(&pair[0])).collect();
    let section = reference().section("Settings");
    let documented = section.headings().into_iter().map(|(_, heading)| heading.to_owned());
    assert_eq!(documented.collect::<BTreeSet<_>>(), settings);
    let error = server.connect().error("CONFIG SET tallybook.log-default nonsense");
    let reason = error.split(" - ").nth(1).expect("a reason");
    assert!(section.text().contains(reason), "{reason}");
}

#[test]
fn the_limits_are_the_documented_ones() {
    let rows = reference().section("Limits").table();
    let numbers = |cell: &str| -> Vec<i128> {
        let words = cell.split(' ').map(|word| word.replace(',', ""));
        words.filter_map(|word| word.parse().ok()).collect()
    };
    let documented: Vec<i128> = rows.iter().flat_map(|row| numbers(&row[1])).collect();
    let (tokens, holds) = (limits::TOKEN_LIMITS_DEFAULT, limits::HOLD_COUNT_MAX as i128);
    let expected: Vec<i128> = vec![
        limits::NAME_LEN_MAX as i128,
        tokens.count_max().into(),
        1,
        limits::TOKEN_COUNT_MAX.into(),
        (tokens.duration_ms() / 1000).into(),
        1,
        limits::TOKEN_DURATION_MAX_S.into(),
        holds,
        holds,
        1,
        limits::SHARD_COUNT_MAX.into(),
        limits::SHARDED_NAME_LEN_MAX as i128,
        limits::RESERVE_COUNT_MAX.into(),
        limits::CODES_COUNT_MAX.into(),
        0,
        limits::CLOCK_BITS_MAX.into(),
        1,
        limits::WINDOW_MAX_MAX.into(),
        limits::TIME_MS_MAX.into(),
    ];
    assert_eq!(documented, expected);
}
