//! The floor: a module whose commands do what the server asks of any module for such a command, and nothing else. They
//! check nothing and keep no log. What is between one of them and a native command, no module can do without.
//!
//! ```text
//!   FLOOR.GET key             opens the key, replies
//!   FLOOR.NEXT key            opens the key, counts, replies
//!   FLOOR.INCR key delta      the same, and replicates as it came, tells of the change
//!   FLOOR.LOG key delta       the same, and reads the clock, asks who calls
//!   FLOOR.RESERVE key delta   the same, but replicates another command with that, and an array of four replies
//!   FLOOR.MINCR key delta ..  INCR for each key, and an array of replies
//!   FLOOR.STRINGS count       an array of so many bulk strings of 8 bytes
//! ```

#![allow(missing_docs, clippy::expect_used, reason = "what is missing here ends the measurement")]

use redis_module::raw::*;
use std::ffi::{CStr, c_int, c_long, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

macro_rules! api {
    ($function:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: the table was written at load; commands run on the main thread, with arguments that the server gave.
        unsafe { $function.expect("a function of the server")($($argument),*) }
    };
}

static TYPE: AtomicPtr<RedisModuleType> = AtomicPtr::new(null_mut());

type Strings = *mut *mut RedisModuleString;

/// One of the arguments.
fn argument(argv: Strings, index: c_int) -> *mut RedisModuleString {
    // SAFETY: the server checks no arity for us, but the measurement sends as many as are read.
    unsafe { *argv.offset(index.try_into().expect("an index")) }
}

/// One of the arguments, as a number.
fn number(argv: Strings, index: c_int) -> i64 {
    let mut number = 0;
    api!(RedisModule_StringToLongLong(argument(argv, index), &mut number));
    number
}

/// Opens a key, adds to its value, and returns that.
fn added(context: *mut RedisModuleCtx, name: *mut RedisModuleString, delta: i64) -> i64 {
    let mode = REDISMODULE_READ | if delta == 0 { 0 } else { REDISMODULE_WRITE };
    let key = api!(RedisModule_OpenKey(context, name, mode.cast_signed()));
    let own = TYPE.load(Ordering::Relaxed);
    let mut value: *mut i64 = null_mut();
    if !key.is_null() && api!(RedisModule_ModuleTypeGetType(key)) == own {
        value = api!(RedisModule_ModuleTypeGetValue(key)).cast();
    } else if delta != 0 {
        value = Box::into_raw(Box::new(0));
        api!(RedisModule_ModuleTypeSetValue(key, own, value.cast()));
    }
    // SAFETY: a value of our type, as long as the key is open.
    let sum = unsafe { value.as_mut() }.map_or(0, |value| {
        *value += delta;
        *value
    });
    api!(RedisModule_CloseKey(key));
    sum
}

fn tell(context: *mut RedisModuleCtx, name: *mut RedisModuleString) {
    api!(RedisModule_SignalModifiedKey(context, name));
    api!(RedisModule_NotifyKeyspaceEvent(context, REDISMODULE_NOTIFY_MODULE, c"floor".as_ptr(), name));
}

unsafe extern "C" fn get(context: *mut RedisModuleCtx, argv: Strings, _: c_int) -> c_int {
    api!(RedisModule_ReplyWithLongLong(context, added(context, argument(argv, 1), 0)))
}

unsafe extern "C" fn next(context: *mut RedisModuleCtx, argv: Strings, _: c_int) -> c_int {
    api!(RedisModule_ReplyWithLongLong(context, added(context, argument(argv, 1), 1)))
}

unsafe extern "C" fn incr(context: *mut RedisModuleCtx, argv: Strings, _: c_int) -> c_int {
    let name = argument(argv, 1);
    let value = added(context, name, number(argv, 2));
    api!(RedisModule_ReplicateVerbatim(context));
    tell(context, name);
    api!(RedisModule_ReplyWithLongLong(context, value))
}

unsafe extern "C" fn log(context: *mut RedisModuleCtx, argv: Strings, _: c_int) -> c_int {
    let value = logged(context, argv, |_, _| {
        api!(RedisModule_ReplicateVerbatim(context));
    });
    api!(RedisModule_ReplyWithLongLong(context, value))
}

unsafe extern "C" fn reserve(context: *mut RedisModuleCtx, argv: Strings, _: c_int) -> c_int {
    let value = logged(context, argv, |name, entry| {
        let (command, format) = (c"floor.effect".as_ptr(), c"sb".as_ptr());
        api!(RedisModule_Replicate(context, command, format, name, entry.as_ptr(), entry.len()));
    });
    api!(RedisModule_ReplyWithArray(context, 4));
    for number in [value, value, 1, 1] {
        api!(RedisModule_ReplyWithLongLong(context, number));
    }
    0
}

fn logged(context: *mut RedisModuleCtx, argv: Strings, replicate: impl Fn(*mut RedisModuleString, &[u8; 24])) -> i64 {
    let name = argument(argv, 1);
    let id = api!(RedisModule_GetClientId(context));
    let user = api!(RedisModule_GetClientUserNameById(context, id));
    let client = api!(RedisModule_GetClientNameById(context, id));
    let mut entry = [0u8; 24];
    entry[..8].copy_from_slice(&api!(RedisModule_Milliseconds()).to_le_bytes());
    let value = added(context, name, number(argv, 2));
    replicate(name, &entry);
    tell(context, name);
    for text in [user, client] {
        if !text.is_null() {
            api!(RedisModule_FreeString(null_mut(), text));
        }
    }
    value
}

/// What replicas of this module execute: nothing that matters here.
unsafe extern "C" fn effect(context: *mut RedisModuleCtx, argv: Strings, _: c_int) -> c_int {
    api!(RedisModule_ReplyWithLongLong(context, added(context, argument(argv, 1), 1)))
}

unsafe extern "C" fn mincr(context: *mut RedisModuleCtx, argv: Strings, argc: c_int) -> c_int {
    api!(RedisModule_ReplyWithArray(context, c_long::from(argc / 2)));
    for index in (1..argc).step_by(2) {
        let name = argument(argv, index);
        let value = added(context, name, number(argv, index + 1));
        tell(context, name);
        api!(RedisModule_ReplyWithLongLong(context, value));
    }
    api!(RedisModule_ReplicateVerbatim(context))
}

unsafe extern "C" fn strings(context: *mut RedisModuleCtx, argv: Strings, _: c_int) -> c_int {
    let count = number(argv, 1);
    api!(RedisModule_ReplyWithArray(context, c_long::try_from(count).expect("a count")));
    for _ in 0..count {
        api!(RedisModule_ReplyWithStringBuffer(context, c"8 bytes.".as_ptr(), 8));
    }
    0
}

unsafe extern "C" fn rdb_load(io: *mut RedisModuleIO, _: c_int) -> *mut c_void {
    Box::into_raw(Box::new(api!(RedisModule_LoadSigned(io)))).cast()
}

unsafe extern "C" fn rdb_save(io: *mut RedisModuleIO, value: *mut c_void) {
    // SAFETY: a value of our type.
    let value = unsafe { *value.cast::<i64>() };
    api!(RedisModule_SaveSigned(io, value));
}

unsafe extern "C" fn free(value: *mut c_void) {
    // SAFETY: a value of our type, which nobody uses any more.
    drop(unsafe { Box::from_raw(value.cast::<i64>()) });
}

type Command = unsafe extern "C" fn(*mut RedisModuleCtx, Strings, c_int) -> c_int;

const COMMANDS: [(&CStr, &CStr, [c_int; 3], Command); 8] = [
    (c"floor.get", c"readonly fast", [1, 1, 1], get),
    (c"floor.next", c"write fast deny-oom", [1, 1, 1], next),
    (c"floor.incr", c"write fast deny-oom", [1, 1, 1], incr),
    (c"floor.log", c"write fast deny-oom", [1, 1, 1], log),
    (c"floor.reserve", c"write fast deny-oom", [1, 1, 1], reserve),
    (c"floor.effect", c"write", [1, 1, 1], effect),
    (c"floor.mincr", c"write deny-oom", [1, -1, 2], mincr),
    (c"floor.strings", c"readonly", [0, 0, 0], strings),
];

/// # Safety
/// The server calls it, at load.
#[allow(non_snake_case, reason = "the server looks for this name")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn RedisModule_OnLoad(context: *mut RedisModuleCtx, _: Strings, _: c_int) -> c_int {
    // SAFETY: called first of all, with the server's own context.
    if unsafe { Export_RedisModule_Init(context, c"floor".as_ptr(), 1, REDISMODULE_APIVER_1.cast_signed()) } != 0 {
        return 1;
    }
    api!(RedisModule_SetModuleOptions(context, 1 << 1)); // it tells of changes itself
    // SAFETY: a table of pointers, of which null means that there is none.
    let mut methods: RedisModuleTypeMethods = unsafe { std::mem::zeroed() };
    methods.version = 4;
    methods.rdb_load = Some(rdb_load);
    methods.rdb_save = Some(rdb_save);
    methods.free = Some(free);
    TYPE.store(api!(RedisModule_CreateDataType(context, c"floor-key".as_ptr(), 0, &mut methods)), Ordering::Relaxed);
    COMMANDS
        .iter()
        .map(|(name, flags, [first, last, step], command)| {
            let (name, flags) = (name.as_ptr(), flags.as_ptr());
            api!(RedisModule_CreateCommand(context, name, Some(*command), flags, *first, *last, *step))
        })
        .max()
        .unwrap_or(0)
}
