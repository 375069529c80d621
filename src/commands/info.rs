//! What `SCOUNTER.INFO` and `IDBLOCK.INFO` share: all fields, or one.

use super::args::is;
use crate::host::Reply;
use tallybook_domain::error::Error;
use tallybook_domain::info::{Field, Value};

/// The reply of INFO: every field, or the one that was asked for.
pub fn fields_reply(fields: &[Field], name: Option<&[u8]>) -> Result<Reply, Error> {
    match name {
        None => Ok(Reply::Map(fields.iter().map(|field| (field.name, reply(&field.value))).collect())),
        Some(name) => {
            let field = fields.iter().find(|field| is(name, field.name.as_bytes()));
            field.map(|field| reply(&field.value)).ok_or(Error::UnknownField)
        }
    }
}

fn reply(value: &Value) -> Reply {
    match value {
        Value::Nil => Reply::Nil,
        Value::Int(number) => Reply::wide(*number),
        Value::Text(text) => Reply::Bulk(text.clone()),
    }
}
