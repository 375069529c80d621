//! The policy by which the server makes room.

use super::call::call;
use super::server_log;
use redis_module::raw::RedisModuleCtx;
use std::sync::Mutex;

/// The policy that was looked at last.
static SEEN: Mutex<String> = Mutex::new(String::new());

/// Warns, once for each change, where the server may evict keys that nobody gave a time to live: an allocator would be
/// made anew after that, and begin at its first id.
pub fn look_at(context: *mut RedisModuleCtx) {
    let answer = call(context, c"CONFIG", &["GET", "maxmemory-policy"]);
    let policy = answer.item(1).text();
    let before =
        std::mem::replace(&mut *SEEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner()), policy.to_owned());
    if policy.starts_with("allkeys-") && policy != before {
        server_log::warning(&format!(
            "tallybook: maxmemory-policy {policy} may evict allocators and counters, and ids or counts with them; use \
             noeviction or a volatile policy"
        ));
    }
}
