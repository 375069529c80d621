//! Settings: CONFIG GET, SET and REWRITE of `tallybook.*`.

use super::context::bytes;
use super::guard::guard;
use redis_module::raw::{REDISMODULE_CONFIG_DEFAULT, REDISMODULE_CONFIG_IMMUTABLE, RedisModuleCtx, RedisModuleString};
use std::ffi::{CString, c_char, c_int, c_longlong, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, Ordering};

/// A setting of any kind.
pub trait Setting {
    /// Makes it known to the server.
    #[doc(hidden)]
    fn register(&'static self, context: *mut RedisModuleCtx) -> Result<(), String>;
}

/// A setting that is a number.
pub struct Number {
    name: &'static str,
    min: i64,
    max: i64,
    default: i64,
    now: AtomicI64,
}

impl Number {
    /// The setting `tallybook.<name>`, from `min` to `max`.
    pub const fn new(name: &'static str, min: i64, max: i64, default: i64) -> Self {
        Number { name, min, max, default, now: AtomicI64::new(default) }
    }

    /// What it is now.
    pub fn get(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }
}

impl Setting for Number {
    fn register(&'static self, context: *mut RedisModuleCtx) -> Result<(), String> {
        let Number { name, min, max, default, .. } = *self;
        let (c_name, this) = (CString::new(name).unwrap_or_default(), place(self));
        registered(
            name,
            api!(RedisModule_RegisterNumericConfig(
                context,
                c_name.as_ptr(),
                default,
                DEFAULT_FLAGS,
                min,
                max,
                Some(get_number),
                Some(set_number),
                None,
                this
            )),
        )
    }
}

/// A setting that is yes or no.
pub struct Flag {
    name: &'static str,
    default: bool,
    now: AtomicBool,
}

impl Flag {
    /// The setting `tallybook.<name>`.
    pub const fn new(name: &'static str, default: bool) -> Self {
        Flag { name, default, now: AtomicBool::new(default) }
    }

    /// What it is now.
    pub fn get(&self) -> bool {
        self.now.load(Ordering::Relaxed)
    }
}

impl Setting for Flag {
    fn register(&'static self, context: *mut RedisModuleCtx) -> Result<(), String> {
        let (c_name, this, default) = (CString::new(self.name).unwrap_or_default(), place(self), self.default.into());
        registered(
            self.name,
            api!(RedisModule_RegisterBoolConfig(
                context,
                c_name.as_ptr(),
                default,
                DEFAULT_FLAGS,
                Some(get_flag),
                Some(set_flag),
                None,
                this
            )),
        )
    }
}

const DEFAULT_FLAGS: u32 = REDISMODULE_CONFIG_DEFAULT;

/// What the server gives back to the functions of a setting.
fn place<T>(setting: &'static T) -> *mut c_void {
    std::ptr::from_ref(setting).cast_mut().cast()
}

fn registered(name: &str, status: c_int) -> Result<(), String> {
    if status == 0 { Ok(()) } else { Err(format!("setting {name} could not be registered")) }
}

unsafe extern "C" fn get_number(_: *const c_char, this: *mut c_void) -> c_longlong {
    // SAFETY: the server passes what `register` gave it.
    guard(|| 0, || unsafe { &*this.cast::<Number>() }.get())
}

unsafe extern "C" fn set_number(
    _: *const c_char,
    value: c_longlong,
    this: *mut c_void,
    _: *mut *mut RedisModuleString,
) -> c_int {
    // SAFETY: the server passes what `register` gave it.
    guard(|| (), || unsafe { &*this.cast::<Number>() }.now.store(value, Ordering::Relaxed));
    0
}

unsafe extern "C" fn get_flag(_: *const c_char, this: *mut c_void) -> c_int {
    // SAFETY: the server passes what `register` gave it.
    guard(|| 0, || unsafe { &*this.cast::<Flag>() }.get().into())
}

unsafe extern "C" fn set_flag(
    _: *const c_char,
    value: c_int,
    this: *mut c_void,
    _: *mut *mut RedisModuleString,
) -> c_int {
    // SAFETY: the server passes what `register` gave it.
    guard(|| (), || unsafe { &*this.cast::<Flag>() }.now.store(value != 0, Ordering::Relaxed));
    0
}

/// A setting that is text.
pub struct Text {
    name: &'static str,
    default: &'static str,
    flags: u32,
    /// Takes a new value, or says what it must be.
    set: fn(&str) -> Result<(), String>,
    /// What CONFIG GET shows: the server wants a string of ours that stays.
    shown: AtomicPtr<RedisModuleString>,
}

impl Text {
    /// The setting `tallybook.<name>`.
    pub const fn new(name: &'static str, default: &'static str, set: fn(&str) -> Result<(), String>) -> Self {
        Text { name, default, flags: DEFAULT_FLAGS, set, shown: AtomicPtr::new(null_mut()) }
    }

    /// The same, which cannot be changed while the server runs.
    pub const fn fixed(name: &'static str, default: &'static str, set: fn(&str) -> Result<(), String>) -> Self {
        let (flags, shown) = (REDISMODULE_CONFIG_IMMUTABLE, AtomicPtr::new(null_mut()));
        Text { name, default, flags, set, shown }
    }
}

impl Setting for Text {
    fn register(&'static self, context: *mut RedisModuleCtx) -> Result<(), String> {
        let name = CString::new(self.name).unwrap_or_default();
        let default = CString::new(self.default).unwrap_or_default();
        let (name, default, this) = (name.as_ptr(), default.as_ptr(), place(self));
        registered(
            self.name,
            api!(RedisModule_RegisterStringConfig(
                context,
                name,
                default,
                self.flags,
                Some(get),
                Some(set),
                None,
                this
            )),
        )
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
