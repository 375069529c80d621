//! A call of each command, made from its own description: keys, arity and permissions must be what it says.

use super::catalog::{info, names, number, words};
use crate::harness::*;
use redis::Value;

/// Every key is called like an option.
const KEY: &str = "IDMP";

/// The elements of an array by the names before them.
fn field<'a>(of: &'a [Value], name: &str) -> Option<&'a Value> {
    of.chunks(2).find(|pair| show(&pair[0]).replace('"', "") == name).map(|pair| &pair[1])
}

fn items(value: Option<&Value>) -> &[Value] {
    if let Some(Value::Array(items) | Value::Set(items)) = value { items } else { &[] }
}

fn word(value: &Value) -> String {
    show(value).trim_matches('"').to_owned()
}

/// What an argument may be: with all that is optional, or with nothing of it. Each key is noted.
fn call_of(argument: &Value, with_options: bool, call: &mut Vec<String>, keys: &mut Vec<usize>) {
    let argument = items(Some(argument));
    let is_optional = words(field(argument, "flags").unwrap_or(&Value::Array(Vec::new()))).contains("optional");
    if is_optional && !with_options {
        return;
    }
    call.extend(field(argument, "token").map(word));
    let children = items(field(argument, "arguments"));
    match word(field(argument, "type").expect("a type")).as_str() {
        "key" => {
            keys.push(call.len());
            call.push(KEY.to_owned());
        }
        "integer" | "unix-time" => call.push("1".to_owned()),
        "oneof" => call_of(&children[0], with_options, call, keys),
        "block" => children.iter().for_each(|child| call_of(child, with_options, call, keys)),
        "pure-token" => {}
        other => call.push(if other == "string" { "LOG".to_owned() } else { panic!("{other} is not generated") }),
    }
}

/// The shortest and the longest call of a command, and where their keys are.
fn calls(client: &mut Client, name: &str) -> [(Vec<String>, Vec<usize>); 2] {
    let docs = client.list(["COMMAND", "DOCS", name]);
    let arguments = items(field(items(Some(&docs[1])), "arguments")).to_vec();
    [false, true].map(|with_options| {
        let (mut call, mut keys) = (vec![name.to_owned()], Vec::new());
        arguments.iter().for_each(|argument| call_of(argument, with_options, &mut call, &mut keys));
        (call, keys)
    })
}

fn prefixed(prefix: &[&str], call: &[String]) -> Vec<String> {
    prefix.iter().map(|word| (*word).to_owned()).chain(call.iter().cloned()).collect()
}

#[test]
fn the_keys_of_a_call_are_those_that_it_was_made_with() {
    let server = Server::start();
    let mut client = server.connect();
    for name in names(&mut client) {
        for (call, keys) in calls(&mut client, &name) {
            let found = client.call(prefixed(&["COMMAND", "GETKEYS"], &call));
            if keys.is_empty() {
                assert!(found.is_err(), "{call:?}: {found:?}");
            } else {
                let found: Vec<String> = items(found.as_ref().ok()).iter().map(word).collect();
                assert_eq!(found, keys.iter().map(|key| call[*key].as_str()).collect::<Vec<_>>(), "{call:?}");
            }
        }
    }
}

/// Also where an option lacks its value, and where keys and texts are called like options.
#[test]
fn a_call_that_is_cut_short_is_refused_or_carried_out() {
    let server = Server::builder().port().start();
    let mut client = server.connect();
    for name in names(&mut client) {
        let arity = number(&info(&mut client, &name)[1]);
        let [(shortest, _), (longest, _)] = calls(&mut client, &name);
        assert!(i64::try_from(shortest.len()).is_ok_and(|len| len >= arity.abs()), "{shortest:?} has not {arity}");
        for len in 1..=longest.len() {
            let reply = client.call(&longest[..len]);
            let error = reply.as_ref().err().map_or("", String::as_str);
            assert!(!error.starts_with("DISCONNECTED ") && !error.contains("internal error"), "{longest:?}: {error}");
            let is_short = i64::try_from(len).is_ok_and(|len| len < arity.abs());
            assert!(!is_short || error.contains("wrong number of arguments"), "{longest:?} {len}: {error}");
            client.ok("FLUSHALL");
        }
    }
}

/// `%R~` and `%W~` let through what the key specification says, and a command that writes is said to.
#[test]
fn permissions_are_those_of_the_key_specification() {
    let server = Server::start();
    let mut client = server.connect();
    for (user, rule) in [("both", "~*"), ("reader", "%R~*"), ("writer", "%W~*"), ("nobody", "~other")] {
        client.ok(["ACL", "SETUSER", user, "on", "nopass", "+@all", rule]);
    }
    for name in names(&mut client) {
        let info = info(&mut client, &name);
        let (flags, specs) = (words(&info[2]), items(Some(&info[8])).to_vec());
        let (call, keys) = calls(&mut client, &name)[0].clone();
        if keys.is_empty() {
            continue;
        }
        let spec = words(field(items(Some(&specs[0])), "flags").expect("flags"));
        let reads = spec.contains("access");
        let writes = ["insert", "update", "delete"].iter().any(|flag| spec.contains(*flag));
        assert_eq!(flags.contains("write"), writes, "{name}: {flags:?}, {spec:?}");
        for (user, may) in [("both", true), ("reader", !writes), ("writer", !reads), ("nobody", false)] {
            let told = client.show(prefixed(&["ACL", "DRYRUN", user], &call));
            assert_eq!(told == "OK", may, "{user}: {call:?}: {told}");
        }
    }
}
