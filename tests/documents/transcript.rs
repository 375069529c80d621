//! What `redis-cli` shows.
//!
//! ```text
//! > SCOUNTER.INCR views 5          a command; words in double quotes are one; "$(cat FILE)" is a file
//! (integer) 5                      its reply
//! ```
//!
//! Times, ids of entries and of holds and ids that carry the time differ from run to run. In a document they are
//! numbers of 13 digits or more: where a reply may have one, it stands for whatever came there first, also in the
//! commands and replies that follow.

use super::source;
use crate::harness::Reply;
use redis::Value;
use std::collections::HashMap;

/// A command and what it shows.
#[derive(Debug, PartialEq)]
pub struct Step {
    pub command: String,
    pub shown: Vec<String>,
}

/// The steps of a transcript.
pub fn steps(transcript: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in transcript.lines() {
        match line.strip_prefix("> ") {
            Some(command) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
            None => steps.last_mut().expect("a command before its reply").shown.push(line.to_owned()),
        }
    }
    steps
}

/// The words of a command line.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().expect("a word").push(letter),
        }
    }
    assert!(!quoted, "an open quote in `{line}`");
    words.into_iter().map(substituted).collect()
}

fn substituted(word: String) -> String {
    match word.strip_prefix("$(cat ").and_then(|word| word.strip_suffix(')')) {
        Some(file) => source(file),
        None => word,
    }
}

/// A reply as `redis-cli` shows it, by lines.
pub fn shown(reply: &Reply) -> Vec<String> {
    let text = match reply {
        Err(error) => format!("(error) {error}"),
        Ok(value) => formatted(value, ""),
    };
    text.trim_end().lines().map(str::to_owned).collect()
}

fn formatted(value: &Value, prefix: &str) -> String {
    match value {
        Value::Nil => "(nil)\n".to_owned(),
        Value::Int(number) => format!("(integer) {number}\n"),
        Value::Okay => "OK\n".to_owned(),
        Value::SimpleString(text) => format!("{text}\n"),
        Value::BulkString(bytes) => format!("\"{}\"\n", bytes.escape_ascii()),
        Value::Array(items) if items.is_empty() => "(empty array)\n".to_owned(),
        Value::Array(items) => {
            let width = items.len().to_string().len();
            let deeper = format!("{prefix}{}", " ".repeat(width + 2));
            let item = |(index, item): (usize, &Value)| {
                let before = if index == 0 { "" } else { prefix };
                format!("{before}{:>width$}) {}", index + 1, formatted(item, &deeper))
            };
            items.iter().enumerate().map(item).collect()
        }
        other => panic!("no such reply can come: {other:?}"),
    }
}

/// What the numbers of a document stand for.
#[derive(Default)]
pub struct Bindings(HashMap<String, String>);

impl Bindings {
    /// A line of the document, its numbers replaced by what they stand for.
    pub fn resolved(&self, line: &str) -> String {
        let resolve = |part: &str| self.0.get(part).cloned().unwrap_or_else(|| part.to_owned());
        parts(line).into_iter().map(resolve).collect()
    }

    /// Lets the numbers of a documented line that stand for nothing yet stand for those that came.
    pub fn bind(&mut self, documented: &str, came: &str) {
        let (documented, came) = (parts(documented), parts(came));
        if documented.len() == came.len() {
            for (name, value) in documented.into_iter().zip(came).filter(|(name, _)| varies(name)) {
                self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
    }
}

fn varies(part: &str) -> bool {
    part.len() >= 13 && part.starts_with(|first: char| first.is_ascii_digit())
}

/// Numbers (`5`, `1795327940702-0`) and what lies between them, in turn.
fn parts(line: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut end = digits(rest);
        if end >= 13 && rest[end..].starts_with('-') {
            end += 1 + digits(&rest[end + 1..]);
        }
        if end == 0 {
            end = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        }
        parts.push(&rest[..end]);
        rest = &rest[end..];
    }
    parts
}

#[test]
fn replies_look_as_redis_cli_shows_them() {
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    let inner = Value::Array((0..10).map(Value::Int).collect());
    let reply = Ok(Value::Array(vec![Value::Array(vec![text("a\"b"), inner]), Value::Nil, Value::Array(Vec::new())]));
    let expected = r#"1) 1) "a\"b"
   2)  1) (integer) 0
       2) (integer) 1
       3) (integer) 2
       4) (integer) 3
       5) (integer) 4
       6) (integer) 5
       7) (integer) 6
       8) (integer) 7
       9) (integer) 8
      10) (integer) 9
2) (nil)
3) (empty array)"#;
    assert_eq!(shown(&reply).join("\n"), expected);
    assert_eq!(shown(&Err("ERR no".to_owned())), ["(error) ERR no"]);
}

#[test]
fn numbers_that_vary_stand_for_what_came_first() {
    let mut bindings = Bindings::default();
    bindings.bind("1) \"1795327940702-0\" 5", "1) \"2795327940702-11\" 6");
    assert_eq!(bindings.resolved("1795327940702-0 1795327940702-1 5"), "2795327940702-11 1795327940702-1 5");
    bindings.bind("1795327940702-0", "3795327940702-0");
    assert_eq!(bindings.resolved("1795327940702-0"), "2795327940702-11");
    assert_eq!(words(r#"SET a "b c" 1"#), ["SET", "a", "b c", "1"]);
}
