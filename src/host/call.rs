//! Commands of the server itself, called from inside it.

use super::context::{OwnedString, bytes_of};
use redis_module::raw::{
    REDISMODULE_REPLY_ARRAY, REDISMODULE_REPLY_INTEGER, REDISMODULE_REPLY_STRING, REDISMODULE_REPLY_VERBATIM_STRING,
    RedisModuleCallReply, RedisModuleCtx,
};
use std::ffi::CStr;

/// What a command answered, as far as we ask for such.
#[derive(Debug)]
pub enum Answer {
    /// An integer.
    Int(i64),
    /// A string of any kind.
    Text(String),
    /// An array.
    Array(Vec<Answer>),
    /// Anything else.
    Other,
}

impl Answer {
    /// The elements; of what is no array, none.
    pub fn items(&self) -> &[Answer] {
        if let Answer::Array(items) = self { items } else { &[] }
    }

    /// One element.
    pub fn item(&self, index: usize) -> &Answer {
        self.items().get(index).unwrap_or(&Answer::Other)
    }

    /// The text; of what is none, nothing.
    pub fn text(&self) -> &str {
        if let Answer::Text(text) = self { text } else { "" }
    }

    /// The number, whether it came as an integer or as text.
    pub fn number(&self) -> u64 {
        match self {
            Answer::Int(number) => u64::try_from(*number).unwrap_or(0),
            _ => self.text().parse().unwrap_or(0),
        }
    }
}

/// Calls a command that changes nothing.
pub fn call(context: *mut RedisModuleCtx, command: &CStr, arguments: &[&str]) -> Answer {
    let arguments: Vec<_> = arguments.iter().map(|argument| OwnedString::new(argument.as_bytes())).collect();
    let raw: Vec<_> = arguments.iter().map(OwnedString::raw).collect();
    let reply = api!(RedisModule_Call(context, command.as_ptr(), c"v".as_ptr(), raw.as_ptr(), raw.len()));
    if reply.is_null() {
        return Answer::Other;
    }
    let answer = answer(reply);
    api!(RedisModule_FreeCallReply(reply));
    answer
}

fn answer(reply: *mut RedisModuleCallReply) -> Answer {
    match isize::try_from(api!(RedisModule_CallReplyType(reply))).unwrap_or(-1) {
        REDISMODULE_REPLY_INTEGER => Answer::Int(api!(RedisModule_CallReplyInteger(reply))),
        REDISMODULE_REPLY_STRING | REDISMODULE_REPLY_VERBATIM_STRING => {
            let mut len = 0;
            let start = api!(RedisModule_CallReplyStringPtr(reply, &mut len));
            // SAFETY: the reply keeps its bytes until it is freed.
            let text = unsafe { bytes_of(start, len) };
            Answer::Text(String::from_utf8_lossy(text).into_owned())
        }
        REDISMODULE_REPLY_ARRAY => {
            let elements = 0..api!(RedisModule_CallReplyLength(reply));
            Answer::Array(elements.map(|index| answer(api!(RedisModule_CallReplyArrayElement(reply, index)))).collect())
        }
        _ => Answer::Other,
    }
}
