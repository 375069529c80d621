//! What the INFO commands tell: names and values, in an order to which later versions only add.

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Not set.
    Nil,
    /// A number.
    Int(i128),
    /// A word.
    Text(Vec<u8>),
}

/// A field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Lower case, with hyphens.
    pub name: &'static str,
    /// What it is.
    pub value: Value,
}

/// Several fields.
pub type Fields = Vec<Field>;

/// What a value has of what is summed up over a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extent {
    /// Holds, also those that have expired or ended and are remembered.
    pub holds: u64,
    /// Tokens, also those that have expired since the last change.
    pub tokens: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Ids that takeovers cost.
    pub ids_lost: u64,
}

impl Field {
    /// A number.
    pub fn int(name: &'static str, value: impl TryInto<i128>) -> Self {
        Field { name, value: value.try_into().map_or(Value::Nil, Value::Int) }
    }

    /// A number, or nothing.
    pub fn maybe(name: &'static str, value: Option<impl TryInto<i128>>) -> Self {
        value.map_or(Field { name, value: Value::Nil }, |value| Field::int(name, value))
    }

    /// A word.
    pub fn text(name: &'static str, value: &[u8]) -> Self {
        Field { name, value: Value::Text(value.to_vec()) }
    }
}
