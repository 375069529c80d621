//! Lines in the server's log.

use std::ffi::CString;
use std::ptr::null_mut;

/// Something that an operator should act on.
pub fn warning(line: &str) {
    let line: Vec<u8> = line.bytes().map(|byte| if byte == 0 { b'?' } else { byte }).collect();
    if let Ok(line) = CString::new(line) {
        // A null context is allowed: the line then carries the server's own name.
        api!(RedisModule_Log(null_mut(), c"warning".as_ptr(), c"%s".as_ptr(), line.as_ptr()));
    }
}
