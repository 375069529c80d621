//! The server's allocator, so that its memory accounting, eviction and MEMORY commands see ours.
//!
//! It aligns to 8 bytes and no more: Redis and Valkey build their jemalloc with `--with-lg-quantum=3`,
//! so blocks of 24, 40 or 56 bytes begin at any multiple of 8, and where the C library cannot tell the
//! size of a block, the server puts 8 bytes before it. The tables of `hashbrown` want 16, and read
//! them with instructions that fault otherwise. So a larger alignment gets a larger block, with its
//! true beginning in the word before ours:
//!
//! ```text
//!   base            aligned
//!   | unused | base | layout.size() ...      aligned - base: from 8 to layout.align()
//! ```

use redis_module::raw;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::sync::OnceLock;

/// What the server's allocator aligns to on every platform it runs on.
pub(super) const ALIGNED_TO: usize = 8;

/// The server's allocator; the system's where there is no server, as in a test that links the crate.
struct ServerAlloc;

#[global_allocator]
static ALLOCATOR: ServerAlloc = ServerAlloc;

/// The block for `layout`, made by `allocate` from a size.
///
/// # Safety
/// `allocate` must return null or a block of that size, aligned to `ALIGNED_TO`.
unsafe fn aligned(layout: Layout, allocate: impl FnOnce(usize) -> *mut c_void) -> *mut u8 {
    if layout.align() <= ALIGNED_TO {
        return allocate(layout.size()).cast();
    }
    let Some(size) = layout.size().checked_add(layout.align()) else { return std::ptr::null_mut() };
    let base = allocate(size).cast::<u8>();
    if base.is_null() {
        return base;
    }
    let offset = layout.align() - base.addr() % layout.align();
    // SAFETY: 8 <= offset <= align, as both are multiples of 8; so the word before lies inside, too.
    unsafe {
        let block = base.add(offset);
        block.cast::<*mut u8>().sub(1).write(base);
        block
    }
}

/// What the server knows the block by.
///
/// # Safety
/// `aligned` must have made `block` for the same layout.
unsafe fn base(block: *mut u8, layout: Layout) -> *mut c_void {
    // SAFETY: `aligned` wrote it there.
    if layout.align() <= ALIGNED_TO { block.cast() } else { unsafe { block.cast::<*mut c_void>().sub(1).read() } }
}

// SAFETY: every block comes from one allocator and goes back to it: the table of functions is filled
// once, at the start of OnLoad, before the module has allocated anything.
unsafe impl GlobalAlloc for ServerAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for the whole.
        unsafe {
            match raw::RedisModule_Alloc {
                Some(alloc) => aligned(layout, |size| alloc(size)),
                None => System.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for the whole.
        unsafe {
            match raw::RedisModule_Calloc {
                Some(calloc) => aligned(layout, |size| calloc(1, size)),
                None => System.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as for the whole; the caller vouches for the new layout.
        unsafe {
            match raw::RedisModule_Realloc {
                None => System.realloc(block, layout, size),
                Some(realloc) if layout.align() <= ALIGNED_TO => realloc(block.cast::<c_void>(), size).cast(),
                Some(_) => {
                    let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                    if !moved.is_null() {
                        std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as for the whole.
        unsafe {
            match raw::RedisModule_Free {
                Some(free) => free(base(block, layout)),
                None => System.dealloc(block, layout),
            }
        }
    }
}

/// Blocks of up to so many bytes are looked up, larger ones tried out.
const LOOKED_UP_MAX: usize = 1024;

/// What the server's allocator takes for 1, 2, 3 bytes and so on.
static BLOCK_SIZES: OnceLock<Vec<usize>> = OnceLock::new();

/// What the server's allocator takes for a block of so many bytes: used memory is counted so, and MEMORY USAGE with it.
pub(super) fn block_size(bytes: usize) -> usize {
    if bytes == 0 || bytes > LOOKED_UP_MAX {
        return try_out(bytes);
    }
    let sizes = BLOCK_SIZES.get_or_init(|| (1..=LOOKED_UP_MAX).map(try_out).collect());
    sizes.get(bytes - 1).copied().unwrap_or(bytes)
}

/// The smaller of two blocks: the C library leaves 16 bytes more where what it would cut off is too small for a block.
fn try_out(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let blocks = [(); 2].map(|()| api!(RedisModule_TryAlloc(bytes)));
    let held = || blocks.into_iter().filter(|block| !block.is_null());
    let size = held().map(|block| api!(RedisModule_MallocSize(block))).min();
    held().for_each(|block| api!(RedisModule_Free(block)));
    size.unwrap_or(bytes)
}
