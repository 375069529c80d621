//! The server's allocator, so that its memory accounting, eviction and MEMORY commands see ours.

use redis_module::raw;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;

/// What the server's allocator aligns to on every platform it runs on.
const ALIGNED_TO: usize = 16;

/// The server's allocator; the system's where there is no server, as in a test that links the crate.
struct ServerAlloc;

#[global_allocator]
static ALLOCATOR: ServerAlloc = ServerAlloc;

// SAFETY: every block comes from one allocator and goes back to it: the table of functions is filled
// once, at the start of OnLoad, before the module has allocated anything. Nothing here is aligned
// beyond what both allocators give; a larger alignment fails as if memory had run out.
unsafe impl GlobalAlloc for ServerAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for the whole.
        unsafe {
            match raw::RedisModule_Alloc {
                Some(alloc) if layout.align() <= ALIGNED_TO => alloc(layout.size()).cast(),
                Some(_) => std::ptr::null_mut(),
                None => System.alloc(layout),
            }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for the whole.
        unsafe {
            match raw::RedisModule_Calloc {
                Some(calloc) if layout.align() <= ALIGNED_TO => calloc(1, layout.size()).cast(),
                Some(_) => std::ptr::null_mut(),
                None => System.alloc_zeroed(layout),
            }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as for the whole.
        unsafe {
            match raw::RedisModule_Realloc {
                Some(realloc) => realloc(block.cast::<c_void>(), size).cast(),
                None => System.realloc(block, layout, size),
            }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as for the whole.
        unsafe {
            match raw::RedisModule_Free {
                Some(free) => free(block.cast::<c_void>()),
                None => System.dealloc(block, layout),
            }
        }
    }
}
