//! What LATENCY is told, where the operator wants to hear it.

use super::call::call;
use super::environment::now_ms;
use redis_module::raw::RedisModuleCtx;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// `latency-monitor-threshold`, in milliseconds; 0 is off. The server compares a sample with it, but takes 0 for "all".
static THRESHOLD_MS: AtomicU64 = AtomicU64::new(0);

/// Reads the setting.
pub fn look_at(context: *mut RedisModuleCtx) {
    let answer = call(context, c"CONFIG", &["GET", "latency-monitor-threshold"]);
    THRESHOLD_MS.store(answer.item(1).number(), Ordering::Relaxed);
}

/// Something that began at this time is over.
pub fn took(event: &CStr, since_ms: u64) {
    if THRESHOLD_MS.load(Ordering::Relaxed) > 0 {
        let ms = i64::try_from(now_ms().saturating_sub(since_ms)).unwrap_or(i64::MAX);
        api!(RedisModule_LatencyAddSample(event.as_ptr(), ms));
    }
}
