//! What the server knows of each command, whichever there are.

use crate::harness::*;
use redis::Value;
use std::collections::BTreeSet;

pub fn names(client: &mut Client) -> Vec<String> {
    let names = client.list("COMMAND LIST FILTERBY MODULE tallybook");
    names.iter().map(|name| show(name).replace('"', "")).collect()
}

/// Words of an array, whatever kind of string they are.
pub fn words(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Array(items) | Value::Set(items) => items.iter().map(|item| show(item).replace('"', "")).collect(),
        other => panic!("an array must come, got {}", show(other)),
    }
}

/// Name, arity, flags, first key and the rest, as COMMAND INFO gives them.
pub fn info(client: &mut Client, name: &str) -> Vec<Value> {
    match client.list(["COMMAND", "INFO", name]).remove(0) {
        Value::Array(info) => info,
        other => panic!("COMMAND INFO {name}: {}", show(&other)),
    }
}

pub fn number(value: &Value) -> i64 {
    if let Value::Int(number) = value { *number } else { panic!("a number must come, got {}", show(value)) }
}

#[test]
fn the_module_has_its_commands() {
    let server = Server::start();
    let names: BTreeSet<String> = names(&mut server.connect()).into_iter().collect();
    for command in ["create", "log", "effect"] {
        assert!(names.contains(&format!("scounter.{command}")), "{names:?}");
        assert!(names.contains(&format!("idblock.{command}")), "{names:?}");
    }
    for command in ["scounter.incr", "scounter.decr", "scounter.get", "idblock.reserve", "idblock.next"] {
        assert!(names.contains(command), "{names:?}");
    }
}

#[test]
fn every_command_is_described() {
    let server = Server::start();
    let mut client = server.connect_resp3();
    for name in names(&mut server.connect()) {
        let reply = client.value(["COMMAND", "DOCS", &name]);
        let Value::Map(commands) = &reply else { panic!("{name}: a map must come") };
        let Value::Map(docs) = &commands[0].1 else { panic!("{name}: a map must come") };
        let field = |field: &str| docs.iter().find(|(key, _)| show(key).contains(field)).map(|(_, value)| value);
        for text in ["summary", "since", "complexity"] {
            let text = field(text).map(show).unwrap_or_else(|| panic!("{name} has no {text}"));
            assert!(text.len() > 4, "{name}: {text}");
        }
        let arguments = field("arguments").map(show).unwrap_or_default();
        if number(&info(&mut client, &name)[3]) > 0 {
            assert!(arguments.contains(r#""type": "key""#) || arguments.contains("type: key"), "{name}: {arguments}");
        }
    }
}

#[test]
fn every_command_reads_or_writes() {
    let server = Server::start();
    let mut client = server.connect();
    for name in names(&mut client) {
        let flags = words(&info(&mut client, &name)[2]);
        let is_about_keys = !["idblock.fence", "idblock.electable"].contains(&name.as_str());
        assert_eq!(flags.contains("write") != flags.contains("readonly"), is_about_keys, "{name}: {flags:?}");
        if name.ends_with(".effect") {
            assert!(flags.contains("admin") && flags.contains("noscript"), "{name}: {flags:?}");
            assert!(!flags.contains("denyoom"), "{name}: {flags:?}"); // a replica applies what it gets
        }
    }
    for (name, expected) in [
        ("scounter.incr", "denyoom fast module write"),
        ("scounter.decr", "denyoom fast module write"),
        ("scounter.create", "denyoom fast module write"),
        ("scounter.get", "fast module readonly"),
        ("scounter.log", "module readonly"),
        ("idblock.create", "denyoom fast module write"),
        ("idblock.reserve", "denyoom fast module write"),
        ("idblock.next", "denyoom fast module write"),
        ("idblock.log", "module readonly"),
    ] {
        let flags = words(&info(&mut client, name)[2]);
        assert_eq!(flags.into_iter().collect::<Vec<_>>().join(" "), expected, "{name}");
    }
}

/// A cluster client routes by these.
#[test]
fn every_command_names_its_keys() {
    let server = Server::start();
    let mut client = server.connect();
    for name in names(&mut client) {
        let info = info(&mut client, &name);
        let (arity, first_key) = (number(&info[1]), number(&info[3]));
        if first_key == 0 {
            continue; // a command without keys
        }
        let mut command = vec!["COMMAND", "GETKEYS", &name, "this-key"];
        command.resize(2 + usize::try_from(arity.abs().max(2)).unwrap(), "x");
        assert_eq!(client.show(&command), r#"["this-key"]"#, "{name}");
    }
    for name in ["scounter.effect", "idblock.effect"] {
        let reply = client.show(["COMMAND", "GETKEYS", name, "a", "effect", "b", "effect"]);
        assert_eq!(reply, r#"["a", "b"]"#, "{name}");
    }
}

#[test]
fn commands_have_their_categories_where_modules_may_have_some() {
    let server = Server::start();
    let mut client = server.connect();
    let known = words(&client.value("ACL CAT"));
    if !known.contains("tallybook") {
        assert_eq!(server_name(), "redis-7.0", "only this server is known to have no categories for modules");
        return;
    }
    // Whoever may use the module may not write its replication stream.
    let dangerous = words(&client.value("ACL CAT dangerous"));
    let (effects, ours): (Vec<_>, Vec<_>) =
        names(&mut client).into_iter().partition(|name| name.ends_with(".effect") || name == "idblock.electable");
    assert!(effects.len() == 3 && effects.iter().all(|name| dangerous.contains(name)), "{effects:?}");
    assert_eq!(words(&client.value("ACL CAT tallybook")), ours.into_iter().collect());
}
