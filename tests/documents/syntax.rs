//! The arguments in COMMAND DOCS, written as a syntax line again; and the arity that a syntax line has.

use crate::harness::show;
use redis::Value;

/// A field of a map.
pub fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(fields) = map else { panic!("a map must come, got {}", show(map)) };
    fields.iter().find(|(key, _)| text(key) == name).map(|(_, value)| value)
}

/// A string of any kind.
pub fn text(value: &Value) -> String {
    show(value).trim_matches('"').to_owned()
}

/// The items of an array or a set.
pub fn items(value: Option<&Value>) -> &[Value] {
    match value {
        None => &[],
        Some(Value::Array(items) | Value::Set(items)) => items,
        Some(other) => panic!("an array must come, got {}", show(other)),
    }
}

/// The syntax of arguments.
pub fn line(arguments: &[Value]) -> String {
    arguments.iter().map(argument).collect::<Vec<_>>().join(" ")
}

fn argument(argument: &Value) -> String {
    let flags: Vec<String> = items(field(argument, "flags")).iter().map(text).collect();
    let has = |flag: &str| flags.iter().any(|found| found == flag);
    let body = body(argument);
    match (has("optional"), has("multiple")) {
        (true, true) => format!("[{body} ..]"),
        (true, false) => format!("[{body}]"),
        (false, true) => format!("{body} [{body} ..]"),
        (false, false) if kind(argument) == "oneof" => format!("<{body}>"),
        (false, false) => body,
    }
}

fn kind(argument: &Value) -> String {
    text(field(argument, "type").expect("a type"))
}

fn body(argument: &Value) -> String {
    let children = items(field(argument, "arguments"));
    let token = field(argument, "token").map(text);
    let body = match kind(argument).as_str() {
        "pure-token" => return token.expect("a token"),
        "oneof" => children.iter().map(body).collect::<Vec<_>>().join("|"),
        "block" => line(children),
        _ => text(field(argument, "name").expect("a name")),
    };
    let Some(token) = token else { return body };
    assert!(!token.contains(' '), "a client would send {token:?} as one word");
    format!("{token} {body}")
}

/// How many words a command has, its name included; negative for at least so many. A choice in `< >` is not counted:
/// where it is missing the command says so itself, in better words.
pub fn arity(syntax: &str) -> i64 {
    let (mut depth, mut fixed) = (0, String::new());
    for letter in syntax.chars() {
        depth += i32::from("[<".contains(letter));
        if depth == 0 {
            fixed.push(letter);
        }
        depth -= i32::from("]>".contains(letter));
    }
    let least = i64::try_from(fixed.split_whitespace().count()).expect("few words");
    if syntax.contains(['[', '<']) { -least } else { least }
}

#[test]
fn a_syntax_line_has_an_arity() {
    for (syntax, expected) in [
        ("X", 1),
        ("X key", 2),
        ("X key [n]", -2),
        ("X key [key ..]", -2),
        ("X key [A n [B n]] [C|D] text", -3),
        ("X key n <EX s|PERSIST> [NOTE text]", -3),
    ] {
        assert_eq!(arity(syntax), expected, "{syntax}");
    }
}
