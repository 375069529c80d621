//! Active defragmentation, where the server's allocator has it: blocks of our values move as the server wants.

use super::alloc::ALIGNED_TO;
use super::guard::guard;
use super::value_type::ValueType;
use redis_module::raw::{RedisModuleDefragCtx, RedisModuleString};
use std::ffi::{c_int, c_ulong, c_void};
use std::mem::{ManuallyDrop, take};
use tallybook_domain::memory::Mover;

/// So many blocks are moved before the server is asked whether that is enough for now.
const BLOCKS_AT_ONCE: u64 = 64;

/// What the server does with one key. One with many blocks is moved in several calls, each of which goes on at the block
/// where the last one stopped; that a key changes in between makes it miss some, or try some twice.
struct Defrag {
    context: *mut RedisModuleDefragCtx,
    first: c_ulong,
    seen: c_ulong,
    stopped: bool,
}

impl Defrag {
    fn begin(context: *mut RedisModuleDefragCtx) -> Self {
        let mut first = 0;
        if api!(RedisModule_DefragCursorGet(context, &mut first)) != 0 {
            first = 0;
        }
        Defrag { context, first, seen: 0, stopped: false }
    }

    /// Whether the next block is to be tried now.
    fn wants_next(&mut self) -> bool {
        let is_due = self.seen > self.first && self.seen.is_multiple_of(BLOCKS_AT_ONCE);
        self.stopped = self.stopped || is_due && api!(RedisModule_DefragShouldStop(self.context)) != 0;
        self.seen += c_ulong::from(!self.stopped);
        !self.stopped && self.seen > self.first
    }

    /// Whether there is more to do, from where it stopped.
    fn is_to_go_on(&self) -> bool {
        self.stopped && api!(RedisModule_DefragCursorSet(self.context, self.seen)) == 0
    }

    /// Where a block is from now on.
    ///
    /// # Safety
    /// It must be one of the server's allocator, and nobody may use its former address any more.
    unsafe fn moved<T>(&self, block: *mut T) -> *mut T {
        let moved = api!(RedisModule_DefragAlloc(self.context, block.cast::<c_void>()));
        if moved.is_null() { block } else { moved.cast() }
    }
}

impl Mover for Defrag {
    fn bytes(&mut self, bytes: &mut Vec<u8>) {
        if bytes.capacity() == 0 || !self.wants_next() {
            return;
        }
        let mut bytes_now = ManuallyDrop::new(take(bytes));
        let (start, len, capacity) = (bytes_now.as_mut_ptr(), bytes_now.len(), bytes_now.capacity());
        // SAFETY: the buffer is ours alone, the server's allocator made it, and what moved is the whole block.
        *bytes = unsafe { Vec::from_raw_parts(self.moved(start), len, capacity) };
    }

    fn boxed<T>(&mut self, value: &mut Box<T>) {
        const { assert!(align_of::<T>() <= ALIGNED_TO && size_of::<T>() > 0, "what the server knows a block by") };
        if !self.wants_next() {
            return;
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
    const { assert!(align_of::<T>() <= ALIGNED_TO, "what the server knows a block by") };
    let move_all = || {
        let mut defrag = Defrag::begin(context);
        // SAFETY: the server passes the place where it keeps one of our values, and keeps what stands there after this.
        unsafe {
            *value = defrag.moved(*value);
            if let Some(value) = (*value).cast::<T>().as_mut() {
                value.relocate(&mut defrag);
            }
        }
        c_int::from(defrag.is_to_go_on())
    };
    guard(|| 0, move_all)
}
