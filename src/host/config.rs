//! Settings: CONFIG GET, SET and REWRITE of `tallybook.*`.

use super::context::bytes;
use super::guard::guard;
use redis_module::raw::{RedisModuleCtx, RedisModuleString};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A setting that is text.
pub struct Text {
    name: &'static str,
    default: &'static str,
    /// Takes a new value, or says what it must be.
    set: fn(&str) -> Result<(), String>,
    /// What CONFIG GET shows: the server wants a string of ours that stays.
    shown: AtomicPtr<RedisModuleString>,
}

impl Text {
    /// The setting `tallybook.<name>`.
    pub const fn new(name: &'static str, default: &'static str, set: fn(&str) -> Result<(), String>) -> Self {
        Text { name, default, set, shown: AtomicPtr::new(null_mut()) }
    }

    pub(super) fn register(&'static self, context: *mut RedisModuleCtx) -> Result<(), String> {
        let name = CString::new(self.name).unwrap_or_default();
        let default = CString::new(self.default).unwrap_or_default();
        let this = std::ptr::from_ref(self).cast_mut().cast::<c_void>();
        let (name, default) = (name.as_ptr(), default.as_ptr());
        match api!(RedisModule_RegisterStringConfig(context, name, default, 0, Some(get), Some(set), None, this)) {
            0 => Ok(()),
            _ => Err(format!("setting {} could not be registered", self.name)),
        }
    }
}

/// # Safety
/// `this` must be what `register` gave the server.
unsafe fn text<'a>(this: *mut c_void) -> &'a Text {
    // SAFETY: the caller's; settings are static.
    unsafe { &*this.cast::<Text>() }
}

unsafe extern "C" fn get(_: *const c_char, this: *mut c_void) -> *mut RedisModuleString {
    // SAFETY: the server passes what `register` gave it.
    guard(null_mut, || unsafe { text(this) }.shown.load(Ordering::Relaxed))
}

unsafe extern "C" fn set(
    _: *const c_char,
    value: *mut RedisModuleString,
    this: *mut c_void,
    error: *mut *mut RedisModuleString,
) -> c_int {
    guard(
        || 1,
        || {
            // SAFETY: the server passes what `register` gave it, and a live string.
            let (text, value) = unsafe { (text(this), bytes(value)) };
            let taken = std::str::from_utf8(value).map_err(|_| "must be text".to_owned()).and_then(text.set);
            match taken {
                Ok(()) => {
                    let old = text.shown.swap(string(value), Ordering::Relaxed);
                    if !old.is_null() {
                        api!(RedisModule_FreeString(null_mut(), old));
                    }
                    0
                }
                Err(why) => {
                    // SAFETY: the server passes a place for the message, which it frees.
                    unsafe { *error = string(why.as_bytes()) };
                    1
                }
            }
        },
    )
}

fn string(bytes: &[u8]) -> *mut RedisModuleString {
    api!(RedisModule_CreateString(null_mut(), bytes.as_ptr().cast(), bytes.len()))
}
