//! Replies as text, so that an expectation fits on one line.

use redis::{ServerError, Value};

/// What a server says that cannot serve right now, and has not executed the command.
pub const NOT_NOW: [&str; 10] = [
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "UNBLOCKED",
    "NOREPLICAS",
    "REDIRECT",
];

/// A reply in one line: `5`, `"text"`, `OK`, `nil`, `[1, "a"]`, `{"value": 5}`, `(error) ERR ...`.
pub fn show(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::BulkString(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::Okay => "OK".to_owned(),
        Value::SimpleString(text) => text.clone(),
        Value::VerbatimString { text, .. } => format!("{text:?}"),
        Value::Array(items) => format!("[{}]", list(items)),
        Value::Set(items) => format!("~[{}]", list(items)),
        Value::Map(pairs) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{}: {}", show(key), show(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Double(number) => format!("{number:?}"),
        Value::Boolean(truth) => truth.to_string(),
        Value::ServerError(error) => format!("(error) {}", verbatim(error)),
        other => format!("{other:?}"),
    }
}

fn list(items: &[Value]) -> String {
    items.iter().map(show).collect::<Vec<_>>().join(", ")
}

/// The text of a string reply of any kind; None when the reply is no string.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        Value::Okay => Some("OK".to_owned()),
        _ => None,
    }
}

/// An error exactly as the server sent it: the client library splits it at the first space, this joins it again.
pub fn verbatim(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}
