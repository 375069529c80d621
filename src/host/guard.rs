//! No panic reaches the server: each function that C calls runs inside `guard`.

use super::count::PANICS;
use super::server_log;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};

/// Runs `body`; where it panics, logs and returns what `fallback` makes. A planted panic finds `body` by the name of
/// the function whose closure it is.
pub fn guard<R, F: FnOnce() -> R>(fallback: impl FnOnce() -> R, body: F) -> R {
    let body = || {
        #[cfg(feature = "planted")]
        super::planted::strike(std::any::type_name::<F>());
        body()
    };
    // What a panic may leave half done is what decisions and decoders build for themselves: values change in `apply`,
    // after everything that could fail, and move in `defrag`, where nothing can. What stands in a `STATE` may be half
    // done: whoever may have missed something of the fence says so (`has_missed`), or may have lost it (`lost`).
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| fallback())
}

/// Lets a panic name its place in the server's log, instead of on standard error.
pub fn install_hook() {
    set_hook(Box::new(|panic| {
        PANICS.changes(0, 1);
        server_log::warning(&format!("tallybook {panic}"));
    }));
}
