//! Keys: a name becomes a value of one of our types, or WRONGTYPE, here and nowhere else.

use super::context::{Context, Key};
use super::count;
use super::value_type::{ValueType, boxed, unboxed};
use redis_module::raw::RedisModuleKey;
use redis_module::raw::{REDISMODULE_KEYTYPE_EMPTY, REDISMODULE_READ, REDISMODULE_WRITE};
use std::ffi::c_int;
use std::marker::PhantomData;
use std::ptr::NonNull;
use tallybook_domain::effect::Expiry;
use tallybook_domain::error::Error;

/// `REDISMODULE_OPEN_KEY_NONOTIFY` and `REDISMODULE_OPEN_KEY_NOSTATS`, which Redis 7.0 does not know and passes over.
const NO_NOTIFY: u32 = 1 << 17;
const NO_STATS: u32 = 1 << 18;

/// `REDISMODULE_NO_EXPIRE`
const NO_EXPIRE: i64 = -1;

/// An open key: a value, or room for one.
pub struct Slot<'c, T: ValueType> {
    pub(super) name: Key<'c>,
    key: *mut RedisModuleKey,
    value: Option<NonNull<T>>,
    context: PhantomData<&'c Context>,
}

/// Opens a key to change it. A missing key is not created until an effect is applied.
pub fn open<'c, T: ValueType>(context: &'c Context, name: Key<'c>) -> Result<Slot<'c, T>, Error> {
    open_as(context, name, REDISMODULE_READ | REDISMODULE_WRITE)
}

/// Opens a key to read it.
pub fn read<'c, T: ValueType>(context: &'c Context, name: Key<'c>) -> Result<Slot<'c, T>, Error> {
    open_as(context, name, REDISMODULE_READ)
}

/// The same for a part of a counter: one that is absent counts as 0, so its absence is no miss.
pub fn peek<'c, T: ValueType>(context: &'c Context, name: Key<'c>) -> Result<Slot<'c, T>, Error> {
    open_as(context, name, REDISMODULE_READ | NO_NOTIFY | NO_STATS)
}

fn open_as<'c, T: ValueType>(context: &'c Context, name: Key<'c>, mode: u32) -> Result<Slot<'c, T>, Error> {
    let key = api!(RedisModule_OpenKey(context.raw, name.raw, mode.cast_signed()));
    let mut slot = Slot { name, key, value: None, context: PhantomData };
    // No type at all for a key that is missing, or of another type than a module's.
    if api!(RedisModule_ModuleTypeGetType(key)) == T::handle().get() {
        slot.value = NonNull::new(api!(RedisModule_ModuleTypeGetValue(key)).cast());
        return Ok(slot);
    }
    if key.is_null() || is(key, REDISMODULE_KEYTYPE_EMPTY) { Ok(slot) } else { Err(Error::WrongType) }
}

fn is(key: *mut RedisModuleKey, key_type: isize) -> bool {
    let found: c_int = api!(RedisModule_KeyType(key));
    isize::try_from(found) == Ok(key_type)
}

impl<T: ValueType> Slot<'_, T> {
    /// The value, if the key exists.
    pub fn value(&self) -> Option<&T> {
        // SAFETY: the key is open, so the server keeps the value; it is handed out mutably only by
        // `change`, which borrows the slot.
        self.value.map(|value| unsafe { value.as_ref() })
    }

    /// The value, or `NOKEY`.
    pub fn require(&self) -> Result<&T, Error> {
        self.value().ok_or(Error::NoKey(T::KIND))
    }

    /// Changes the value, if the key exists.
    pub(super) fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        // SAFETY: as above, and the slot is borrowed mutably.
        let value = unsafe { self.value?.as_mut() };
        let before = value.extent();
        let outcome = change(value);
        count::changed(before, value.extent());
        Some(outcome)
    }

    /// When the key expires, in Unix milliseconds.
    pub fn expires_ms(&self) -> Option<u64> {
        let expiry = if self.value.is_none() { NO_EXPIRE } else { api!(RedisModule_GetAbsExpire(self.key)) };
        u64::try_from(expiry).ok()
    }

    pub(super) fn set_expiry(&mut self, expiry: Expiry) {
        let expiry = match expiry {
            Expiry::Never => NO_EXPIRE,
            Expiry::At(ms) => i64::try_from(ms).unwrap_or(i64::MAX),
        };
        api!(RedisModule_SetAbsExpire(self.key, expiry));
    }

    /// Replaces the value, or creates the key. Fails where the server does not let us.
    pub(super) fn put(&mut self, value: T) -> Result<(), Error> {
        if self.value.is_some() {
            self.change(|stands| *stands = value);
            return Ok(());
        }
        let value = boxed(value);
        let status = api!(RedisModule_ModuleTypeSetValue(self.key, T::handle().get(), value.cast()));
        if status != 0 {
            // SAFETY: the server did not take it.
            drop(unsafe { unboxed(value) });
            return Err(Error::Internal);
        }
        self.value = NonNull::new(value);
        Ok(())
    }
}

impl<T: ValueType> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        if !self.key.is_null() {
            api!(RedisModule_CloseKey(self.key));
        }
    }
}
