//! The key types: what the server calls to save, load, rewrite, digest, copy, measure and free.

use super::alloc::block_size;
use super::context::{Context, bytes};
use super::count;
use super::defrag::defrag;
use super::fence;
use super::guard::guard;
use redis_module::raw::{
    REDISMODULE_CTX_FLAGS_IS_CHILD, RedisModuleCtx, RedisModuleDigest, RedisModuleIO, RedisModuleKeyOptCtx,
    RedisModuleString, RedisModuleType, RedisModuleTypeMethods,
};
use rustix::process::{Signal, getpid, kill_process};
use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use tallybook_domain::effect::{self, Effect};
use tallybook_domain::error::Kind;
use tallybook_domain::fence::Uid;
use tallybook_domain::info::Extent;
use tallybook_domain::limits::RESTORE_BATCH_BYTES;
use tallybook_domain::memory::{BlockSize, Mover};
use tallybook_domain::stored::{self, Stored};
use tallybook_domain::wire::Corrupt;

/// A type of key. Its stored form is its sections; everything here is made of those.
pub trait ValueType: Stored + Clone + 'static {
    /// Its nine-letter name.
    const NAME: &'static CStr;
    /// The newest stored form that this version reads, and the one that it writes.
    const ENCODING: c_int;
    /// What to call it in a refusal.
    const KIND: Kind;
    /// The command that applies its effects.
    const EFFECT_COMMAND: &'static CStr;
    /// Its effects.
    type Effect<'a>: Effect<'a>;

    /// Where the server's handle of the type is kept.
    fn handle() -> &'static Handle;
    /// The value that an effect makes where none stood.
    fn create(effect: &Self::Effect<'_>) -> Result<Self, Corrupt>;
    /// Applies an effect. On an error nothing was changed.
    fn apply(&mut self, effect: &Self::Effect<'_>) -> Result<(), Corrupt>;
    /// The events that an effect raises.
    fn events(effect: &Self::Effect<'_>) -> [Option<&'static CStr>; 2];
    /// What an operator should be told of an effect.
    fn warning(_effect: &Self::Effect<'_>) -> Option<&'static str> {
        None
    }
    /// Its identity and its mark, where it has a fence.
    fn mark(&self) -> Option<(Uid, u64)> {
        None
    }
    /// The mark to which an effect that was decided on here has raised it, if it has, and the position that is
    /// to be known.
    fn stood_by(&self, _effect: &Self::Effect<'_>) -> Option<(Uid, Option<u64>, u64)> {
        None
    }
    /// Whether its mark is to be raised while nobody asks.
    fn is_kept_ahead(&self) -> bool {
        false
    }
    /// The last id below an ordinal.
    fn id_below(&self, _ordinal: u64) -> Option<i64> {
        None
    }
    /// It is older than what this server knows: its mark rises to here.
    fn catch_up(&mut self, _mark: u64) {}
    /// What COPY makes of it under another name.
    fn copy(&self, database: u32, name: &[u8]) -> Self;
    /// What it has of what is summed up over the server.
    fn extent(&self) -> Extent;
    /// Bytes on the heap.
    fn memory(&self, block: BlockSize) -> usize;
    /// Pieces to free.
    fn allocations(&self) -> usize;
    /// Lets what it owns move, as far as that can.
    fn relocate(&mut self, mover: &mut impl Mover);
}

/// The server's handle of a type, known from load on.
pub struct Handle(AtomicPtr<RedisModuleType>);

impl Handle {
    /// Not known yet.
    pub const fn new() -> Self {
        Handle(AtomicPtr::new(null_mut()))
    }

    pub(super) fn get(&self) -> *mut RedisModuleType {
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Handle {
    fn default() -> Self {
        Handle::new()
    }
}

/// Makes a type known to the server.
pub(super) fn register<T: ValueType>(context: *mut RedisModuleCtx) -> Result<(), String> {
    let mut methods = RedisModuleTypeMethods {
        version: 4,
        rdb_load: Some(rdb_load::<T>),
        rdb_save: Some(rdb_save::<T>),
        aof_rewrite: Some(aof_rewrite::<T>),
        digest: Some(digest::<T>),
        free: Some(free::<T>),
        mem_usage2: Some(mem_usage::<T>),
        free_effort2: Some(free_effort::<T>),
        copy2: Some(copy::<T>),
        mem_usage: None,
        aux_load: None,
        aux_save: None,
        aux_save_triggers: 0,
        free_effort: None,
        unlink: None,
        copy: None,
        defrag: Some(defrag::<T>),
        unlink2: None,
        aux_save2: None,
    };
    let handle = api!(RedisModule_CreateDataType(context, T::NAME.as_ptr(), T::ENCODING, &mut methods));
    T::handle().0.store(handle, Ordering::Relaxed);
    if handle.is_null() { Err(format!("type {:?} could not be created", T::NAME)) } else { Ok(()) }
}

/// A value, as the server keeps it.
pub(super) fn boxed<T: ValueType>(value: T) -> *mut T {
    count::came(&value);
    Box::into_raw(Box::new(value))
}

/// A value that the server does not keep any more.
///
/// # Safety
/// `value` must come from `boxed`, and go here once.
pub(super) unsafe fn unboxed<T: ValueType>(value: *mut T) -> Box<T> {
    // SAFETY: the caller's.
    let value = unsafe { Box::from_raw(value) };
    count::goes(&*value);
    value
}

/// # Safety
/// `value` must be one that `ValueType` handed to the server and has not freed.
unsafe fn value<'a, T>(value: *const c_void) -> &'a T {
    // SAFETY: the caller's.
    unsafe { &*value.cast::<T>() }
}

unsafe extern "C" fn rdb_load<T: ValueType>(io: *mut RedisModuleIO, encoding: c_int) -> *mut c_void {
    guard(null_mut, || match load::<T>(io, encoding) {
        Ok(mut value) => {
            fence::arrived(&mut value, api!(RedisModule_GetKeyNameFromIO(io)));
            boxed(value).cast()
        }
        Err(corrupt) => {
            if let Ok(line) = CString::new(format!("tallybook refused a stored value: {corrupt}")) {
                api!(RedisModule_LogIOError(io, c"warning".as_ptr(), c"%s".as_ptr(), line.as_ptr()));
            }
            null_mut()
        }
    })
}

fn load<T: ValueType>(io: *mut RedisModuleIO, encoding: c_int) -> Result<T, Corrupt> {
    if encoding > T::ENCODING {
        return Err(Corrupt("it was written by a newer version"));
    }
    let mut last = false;
    stored::load(std::iter::from_fn(|| (!last).then(|| next_section(io, &mut last))))
}

/// RDB: set in the tag of the last section, so that a section is one string and nothing before it: a plain counter
/// would spend as much time on a number there as on itself.
const LAST: u8 = 0x80;

fn next_section(io: *mut RedisModuleIO, last: &mut bool) -> Result<Buffer, Corrupt> {
    let mut len = 0;
    let start = api!(RedisModule_LoadStringBuffer(io, &mut len));
    let mut buffer = Buffer { start: start.cast(), len };
    if api!(RedisModule_IsIOError(io)) != 0 {
        return Err(Corrupt("cut short"));
    }
    let tag = buffer.as_mut().first_mut().ok_or(Corrupt("an empty section"))?;
    *last = *tag & LAST != 0;
    *tag &= !LAST;
    Ok(buffer)
}

fn save_section(io: *mut RedisModuleIO, section: &[u8]) {
    api!(RedisModule_SaveStringBuffer(io, section.as_ptr().cast(), section.len()));
}

/// A buffer of the server's, freed when dropped. It may be null.
struct Buffer {
    start: *mut u8,
    len: usize,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the server made it of `len` bytes, and it is ours alone.
        if self.start.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(self.start, self.len) } }
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        if self.start.is_null() { &mut [] } else { unsafe { std::slice::from_raw_parts_mut(self.start, self.len) } }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.start.is_null() {
            api!(RedisModule_Free(self.start.cast()));
        }
    }
}

/// The value, at the mark that this server knows of: another one that gets it, as by DUMP, knows no other.
fn known<T: ValueType>(value: &T) -> Cow<'_, T> {
    let behind = value.mark().and_then(|(uid, mark)| fence::known_mark(&uid).filter(|known| *known > mark));
    behind.map_or(Cow::Borrowed(value), |known| {
        let mut value = value.clone();
        value.catch_up(known);
        Cow::Owned(value)
    })
}

/// A value cannot be saved, and there is no way to say so. A child ends, so that no file comes of it; where the
/// server itself saves, the value is cut short, and whoever loads it refuses it.
fn cannot_save() {
    if (Context { raw: null_mut() }).flags() & REDISMODULE_CTX_FLAGS_IS_CHILD != 0 {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

unsafe extern "C" fn rdb_save<T: ValueType>(io: *mut RedisModuleIO, value: *mut c_void) {
    guard(cannot_save, || {
        // SAFETY: the server passes one of our values.
        let value = known(unsafe { self::value::<T>(value) });
        let mut before: Option<Vec<u8>> = None;
        value.sections(&mut |section| {
            if let Some(before) = before.replace(section) {
                save_section(io, &before);
            }
        });
        let mut last = before.unwrap_or_default();
        if let Some(tag) = last.first_mut() {
            *tag |= LAST;
        }
        save_section(io, &last);
    });
}

unsafe extern "C" fn aof_rewrite<T: ValueType>(
    io: *mut RedisModuleIO,
    key: *mut RedisModuleString,
    value: *mut c_void,
) {
    guard(cannot_save, || {
        // SAFETY: the server passes one of our values.
        let value = known(unsafe { self::value::<T>(value) });
        let mut restore = Restore::new();
        let emit = |payload: &[u8]| {
            let (command, format) = (T::EFFECT_COMMAND.as_ptr(), c"sb".as_ptr());
            api!(RedisModule_EmitAOF(io, command, format, key, payload.as_ptr(), payload.len()));
        };
        value.sections(&mut |section| restore.push(section, &emit));
        restore.finish(&emit);
    });
}

/// Gathers sections into restoring commands.
struct Restore {
    first: bool,
    sections: Vec<Vec<u8>>,
    bytes: usize,
}

impl Restore {
    fn new() -> Self {
        Restore { first: true, sections: Vec::new(), bytes: 0 }
    }

    fn push(&mut self, section: Vec<u8>, emit: &impl Fn(&[u8])) {
        self.bytes += section.len();
        self.sections.push(section);
        if self.bytes >= RESTORE_BATCH_BYTES {
            self.finish(emit);
        }
    }

    fn finish(&mut self, emit: &impl Fn(&[u8])) {
        if self.sections.is_empty() {
            return;
        }
        let mut payload = Vec::with_capacity(self.bytes + 16 * self.sections.len());
        effect::encode_restored(self.first, &self.sections, &mut payload);
        emit(&payload);
        *self = Restore { first: false, ..Restore::new() };
    }
}

unsafe extern "C" fn digest<T: ValueType>(digest: *mut RedisModuleDigest, value: *mut c_void) {
    guard(
        || (),
        || {
            // SAFETY: the server passes one of our values.
            unsafe { self::value::<T>(value) }.sections(&mut |section| {
                api!(RedisModule_DigestAddStringBuffer(digest, section.as_ptr().cast(), section.len()));
            });
            api!(RedisModule_DigestEndSequence(digest));
        },
    );
}

/// The server may call this from a background thread; it frees memory, counts, and asks for nothing else.
unsafe extern "C" fn free<T: ValueType>(value: *mut c_void) {
    // SAFETY: the server gives back what it was given, once.
    guard(|| (), || drop(unsafe { unboxed(value.cast::<T>()) }));
}

unsafe extern "C" fn mem_usage<T: ValueType>(
    _: *mut RedisModuleKeyOptCtx,
    value: *const c_void,
    _sample: usize,
) -> usize {
    // SAFETY: the server passes one of our values.
    guard(|| 0, || unsafe { self::value::<T>(value) }.memory(block_size))
}

unsafe extern "C" fn free_effort<T: ValueType>(_: *mut RedisModuleKeyOptCtx, value: *const c_void) -> usize {
    // SAFETY: the server passes one of our values.
    guard(|| 1, || unsafe { self::value::<T>(value) }.allocations())
}

unsafe extern "C" fn copy<T: ValueType>(options: *mut RedisModuleKeyOptCtx, value: *const c_void) -> *mut c_void {
    guard(null_mut, || {
        let database = u32::try_from(api!(RedisModule_GetToDbIdFromOptCtx(options))).unwrap_or(0);
        let name = api!(RedisModule_GetToKeyNameFromOptCtx(options));
        // SAFETY: the server passes one of our values, and the name lives as long as the call.
        let mut copy = unsafe { self::value::<T>(value).copy(database, bytes(name)) };
        fence::arrived(&mut copy, name);
        boxed(copy).cast()
    })
}
