//! One command as the server hands it over: its arguments, and where its reply goes.

use super::count;
use super::server_log;
use redis_module::raw::{REDISMODULE_CTX_FLAGS_CLUSTER, RedisModuleCtx, RedisModuleString};
use smallvec::SmallVec;
use std::ffi::{CString, c_char, c_int, c_long};
use std::marker::PhantomData;
use std::ptr::null_mut;
use tallybook_domain::error::Error;

/// `REDISMODULE_POSTPONED_LEN`
const POSTPONED_LEN: c_long = -1;

/// The context of one command.
pub struct Context {
    pub(super) raw: *mut RedisModuleCtx,
}

/// The arguments of one command, its name at index 0.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    strings: &'a [*mut RedisModuleString],
}

/// The name of a key.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub(super) raw: *mut RedisModuleString,
    arguments: PhantomData<&'a ()>,
}

/// A string of the server's that is ours.
pub(super) struct OwnedString(*mut RedisModuleString);

impl OwnedString {
    pub(super) fn new(bytes: &[u8]) -> Self {
        OwnedString(api!(RedisModule_CreateString(null_mut(), bytes.as_ptr().cast(), bytes.len())))
    }

    pub(super) fn raw(&self) -> *mut RedisModuleString {
        self.0
    }

    /// As the name of a key.
    pub(super) fn key(&self) -> Key<'_> {
        Key { raw: self.0, arguments: PhantomData }
    }
}

impl Drop for OwnedString {
    fn drop(&mut self) {
        api!(RedisModule_FreeString(null_mut(), self.0));
    }
}

impl<'a> Key<'a> {
    pub(super) fn bytes(&self) -> &'a [u8] {
        // SAFETY: the name lives as long as the arguments.
        unsafe { bytes(self.raw) }
    }

    /// The name, for people.
    pub(super) fn shown(&self) -> String {
        shown(self.raw)
    }

    /// The name, to be kept.
    pub(super) fn copied(&self) -> OwnedString {
        OwnedString::new(self.bytes())
    }
}

/// What a command answers when it was not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// An integer.
    Int(i64),
    /// A simple string, such as `OK`.
    Simple(&'static str),
    /// A bulk string.
    Bulk(Vec<u8>),
    /// Nil.
    Nil,
    /// An array of integers.
    Ints(SmallVec<[i64; 4]>),
    /// An array.
    Array(Vec<Reply>),
    /// An array of bulk strings of so many bytes each, given one after the other.
    Codes(Vec<u8>, u8),
    /// Names and values: a map on RESP3, a flat array on RESP2.
    Map(Vec<(&'static str, Reply)>),
    /// It was sent already, by `Context::send_array`.
    Sent,
    /// It is sent later: the client waits.
    Later,
}

impl Reply {
    /// `OK`
    pub const OK: Reply = Reply::Simple("OK");

    /// An integer that may be wider than a reply can be; it stops at the largest.
    pub fn wide(number: impl Into<i128>) -> Reply {
        Reply::Int(narrow(number))
    }
}

/// The nearest number that a reply can be.
pub fn narrow(number: impl Into<i128>) -> i64 {
    let number = number.into();
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

impl<'a> Args<'a> {
    /// # Safety
    /// `argv` must point to `argc` live strings, for as long as `'a`.
    pub(super) unsafe fn new(argv: *mut *mut RedisModuleString, argc: c_int) -> Self {
        let len = usize::try_from(argc).unwrap_or(0);
        // SAFETY: the caller's.
        let strings = if len == 0 { &[] } else { unsafe { std::slice::from_raw_parts(argv, len) } };
        Args { strings }
    }

    /// How many there are, the command's name included.
    pub fn len(&self) -> usize {
        self.strings.len()
    }

    /// The bytes of one, if it is there.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        // SAFETY: the strings live for 'a, and nothing changes them.
        self.strings.get(index).map(|&string| unsafe { bytes(string) })
    }

    /// One as the name of a key.
    pub fn key(&self, index: usize) -> Result<Key<'a>, Error> {
        let raw = *self.strings.get(index).ok_or(Error::Arity)?;
        Ok(Key { raw, arguments: PhantomData })
    }
}

/// A string of the server, for people; `?` where there is none.
pub(super) fn shown(string: *const RedisModuleString) -> String {
    if string.is_null() {
        return "?".to_owned();
    }
    // SAFETY: it is one of the server's, and nothing of it is kept.
    unsafe { bytes(string) }.escape_ascii().to_string()
}

/// Bytes of the server's.
///
/// # Safety
/// `start` must be null, or point to `len` bytes that live, unchanged, for as long as `'a`.
pub(super) unsafe fn bytes_of<'a>(start: *const c_char, len: usize) -> &'a [u8] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: the caller's.
    unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) }
}

/// The bytes of a string of the server.
///
/// # Safety
/// `string` must live, unchanged, for as long as `'a`.
pub(super) unsafe fn bytes<'a>(string: *const RedisModuleString) -> &'a [u8] {
    let mut len = 0;
    let start = api!(RedisModule_StringPtrLen(string, &mut len));
    // SAFETY: the server vouches for `len` bytes, the caller for their life.
    unsafe { bytes_of(start, len) }
}

impl Context {
    /// Keeps an argument out of SLOWLOG and MONITOR.
    pub fn redact(&self, index: usize) {
        if let Ok(index) = c_int::try_from(index) {
            api!(RedisModule_RedactClientCommandArgument(self.raw, index));
        }
    }

    /// The number of the selected database.
    pub(super) fn database(&self) -> i32 {
        api!(RedisModule_GetSelectedDb(self.raw))
    }

    /// The flags of this context, `REDISMODULE_CTX_FLAGS_*`.
    pub(super) fn flags(&self) -> u32 {
        api!(RedisModule_GetContextFlags(self.raw)).cast_unsigned()
    }

    /// Whether this server is a node of a cluster.
    pub(super) fn is_in_cluster(&self) -> bool {
        self.flags() & REDISMODULE_CTX_FLAGS_CLUSTER != 0
    }

    /// Sends what a handler came to.
    pub(super) fn send(&self, outcome: Result<Reply, Error>) {
        let error = match outcome {
            Ok(Reply::Later) => return,
            Ok(reply) => {
                count::DONE.one();
                return self.reply(reply);
            }
            Err(error) => error,
        };
        count::REFUSED.one();
        if error == Error::Internal {
            server_log::warning(
                "tallybook answered 'internal error': a panic, which is told above, or a value that no command has made",
            );
        }
        if error == Error::Arity {
            api!(RedisModule_WrongArity(self.raw));
        } else {
            let text = CString::new(error.to_string()).unwrap_or_default();
            api!(RedisModule_ReplyWithError(self.raw, text.as_ptr()));
        }
    }

    /// Sends an array of which the length is not known yet, item by item, so that a long one never
    /// stands in memory twice. The handler must not refuse after this.
    pub fn send_array(&self, items: impl Iterator<Item = Reply>) -> Reply {
        api!(RedisModule_ReplyWithArray(self.raw, POSTPONED_LEN));
        let len = items.map(|item| self.reply(item)).count();
        api!(RedisModule_ReplySetArrayLength(self.raw, c_long::try_from(len).unwrap_or(c_long::MAX)));
        Reply::Sent
    }

    /// The head of an array.
    fn reply_array(&self, len: usize) -> c_int {
        api!(RedisModule_ReplyWithArray(self.raw, c_long::try_from(len).unwrap_or(c_long::MAX)))
    }

    fn reply(&self, reply: Reply) {
        match reply {
            Reply::Int(value) => api!(RedisModule_ReplyWithLongLong(self.raw, value)),
            Reply::Simple(text) => {
                let text = CString::new(text).unwrap_or_default();
                api!(RedisModule_ReplyWithSimpleString(self.raw, text.as_ptr()))
            }
            Reply::Bulk(bytes) => {
                api!(RedisModule_ReplyWithStringBuffer(self.raw, bytes.as_ptr().cast(), bytes.len()))
            }
            Reply::Nil => api!(RedisModule_ReplyWithNull(self.raw)),
            Reply::Sent | Reply::Later => 0,
            Reply::Codes(symbols, length) => {
                let codes = symbols.chunks_exact(usize::from(length).max(1));
                let status = self.reply_array(codes.len());
                for code in codes {
                    api!(RedisModule_ReplyWithStringBuffer(self.raw, code.as_ptr().cast(), code.len()));
                }
                status
            }
            Reply::Ints(values) => {
                let status = self.reply_array(values.len());
                for value in values {
                    api!(RedisModule_ReplyWithLongLong(self.raw, value));
                }
                status
            }
            Reply::Array(items) => {
                let status = self.reply_array(items.len());
                items.into_iter().for_each(|item| self.reply(item));
                status
            }
            Reply::Map(fields) => {
                let len = c_long::try_from(fields.len()).unwrap_or(c_long::MAX);
                let status = api!(RedisModule_ReplyWithMap(self.raw, len));
                for (name, value) in fields {
                    api!(RedisModule_ReplyWithStringBuffer(self.raw, name.as_ptr().cast(), name.len()));
                    self.reply(value);
                }
                status
            }
        };
    }
}
