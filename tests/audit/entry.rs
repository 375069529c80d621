//! An entry of a log as a test reads it.

use crate::harness::*;
use redis::Value;

/// Names and values, in the order of the reply. What is no UTF-8 is escaped.
pub type Fields = Vec<(String, String)>;

/// An id and what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: String,
    pub fields: Fields,
}

impl Entry {
    /// The entries of a reply to LOG.
    #[track_caller]
    pub fn all(client: &mut Client, command: impl Command) -> Vec<Self> {
        client.list(command).iter().map(Self::read).collect()
    }

    /// One entry, as LOG lists it and as WHO answers it.
    #[track_caller]
    pub fn read(reply: &Value) -> Self {
        match reply {
            Value::Array(parts) => match parts.as_slice() {
                [id, Value::Array(words)] => {
                    let pairs = words.chunks_exact(2);
                    assert!(pairs.remainder().is_empty(), "a value for each name in {}", show(reply));
                    Self { id: word(id), fields: pairs.map(|pair| (word(&pair[0]), word(&pair[1]))).collect() }
                }
                _ => panic!("an id and fields must come, got {}", show(reply)),
            },
            _ => panic!("an entry must come, got {}", show(reply)),
        }
    }

    /// The value of a field; empty where it is left out.
    pub fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|field| field.0 == name).map_or("", |field| &field.1)
    }

    /// A field that is a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> i64 {
        self.get(name).parse().unwrap_or_else(|_| panic!("{name} must be a number in {self:?}"))
    }

    /// Its id as numbers: millisecond, then place within that.
    #[track_caller]
    pub fn time(&self) -> (u64, u64) {
        let numbers = self.id.split_once('-').and_then(|(ms, seq)| Some((ms.parse().ok()?, seq.parse().ok()?)));
        numbers.unwrap_or_else(|| panic!("an id must be ms-seq, got {}", self.id))
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => bytes.escape_ascii().to_string(),
        other => panic!("a word must come, got {}", show(other)),
    }
}
