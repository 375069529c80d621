//! Active defragmentation, where the server's allocator has it: blocks of our values move as the server wants.

use super::alloc::ALIGNED_TO;
use super::guard::guard;
use super::value_type::ValueType;
use redis_module::raw::{RedisModuleDefragCtx, RedisModuleString};
use std::ffi::{c_int, c_void};
use std::mem::{ManuallyDrop, take};
use tallybook_domain::memory::Mover;

/// What the server does with one key.
struct Defrag(*mut RedisModuleDefragCtx);

impl Defrag {
    /// Where a block is from now on.
    ///
    /// # Safety
    /// It must be one of the server's allocator, and nobody may use its former address any more.
    unsafe fn moved<T>(&self, block: *mut T) -> *mut T {
        let moved = api!(RedisModule_DefragAlloc(self.0, block.cast::<c_void>()));
        if moved.is_null() { block } else { moved.cast() }
    }
}

impl Mover for Defrag {
    fn bytes(&mut self, bytes: &mut Vec<u8>) {
        if bytes.capacity() == 0 {
            return;
        }
        let mut bytes_now = ManuallyDrop::new(take(bytes));
        let (start, len, capacity) = (bytes_now.as_mut_ptr(), bytes_now.len(), bytes_now.capacity());
        // SAFETY: the buffer is ours alone, the server's allocator made it, and what moved is the whole block.
        *bytes = unsafe { Vec::from_raw_parts(self.moved(start), len, capacity) };
    }

    fn boxed<T>(&mut self, value: &mut Box<T>) {
        if align_of::<T>() > ALIGNED_TO || size_of::<T>() == 0 {
            return; // not what the server knows a block by
        }
        let place: *mut Box<T> = value;
        // SAFETY: the box is read once and put back once, around its block, which is moved bit by bit as any value may be.
        unsafe { place.write(Box::from_raw(self.moved(Box::into_raw(place.read())))) };
    }
}

/// Moves a value and what it owns.
pub(super) unsafe extern "C" fn defrag<T: ValueType>(
    context: *mut RedisModuleDefragCtx,
    _: *mut RedisModuleString,
    value: *mut *mut c_void,
) -> c_int {
    let move_all = || {
        let mut defrag = Defrag(context);
        // SAFETY: the server passes the place where it keeps one of our values, and keeps what stands there after this.
        unsafe {
            *value = defrag.moved(*value);
            if let Some(value) = (*value).cast::<T>().as_mut() {
                value.relocate(&mut defrag);
            }
        }
    };
    guard(|| (), move_all);
    0
}
