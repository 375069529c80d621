//! `INFO tallybook`.

use super::guard::guard;
use super::{bus, count, fence};
use redis_module::raw::{RedisModuleCtx, RedisModuleInfoCtx};
use std::ffi::{CStr, c_int};

/// Makes the sections known to the server.
pub fn register(context: *mut RedisModuleCtx) -> Result<(), String> {
    let status = api!(RedisModule_RegisterInfoFunc(context, Some(tell)));
    if status == 0 { Ok(()) } else { Err("the server did not take its section of INFO".to_owned()) }
}

unsafe extern "C" fn tell(info: *mut RedisModuleInfoCtx, for_crash_report: c_int) {
    // A crash report is written from a signal: nothing may be waited for.
    if for_crash_report != 0 {
        return;
    }
    guard(
        || (),
        || {
            let commands = [
                (c"commands_done", count::DONE.get()),
                (c"commands_refused", count::REFUSED.get()),
                (c"panics", count::PANICS.get()),
            ];
            let keys = [
                (c"counters", count::COUNTERS.get()),
                (c"allocators", count::ALLOCATORS.get()),
                (c"holds", count::HOLDS.get()),
                (c"tokens", count::TOKENS.get()),
                (c"log_bytes", count::LOG_BYTES.get()),
            ];
            let fence = [
                (c"fence_stalls", count::STALLED.get()),
                (c"fence_timeouts", count::TIMED_OUT.get()),
                (c"fence_waiting", fence::waiting()),
                (c"fence_ids_lost", count::IDS_LOST.get()),
            ];
            let bus::Counts { gathers, unfinished, remembered, dropped } = bus::counts();
            let totals = [
                (c"gathers", gathers),
                (c"totals_unfinished", unfinished),
                (c"totals_from_memory", remembered),
                (c"messages_dropped", dropped),
            ];
            section(info, c"commands", &commands);
            section(info, c"keys", &keys);
            section(info, c"fence", &fence);
            section(info, c"totals", &totals);
        },
    );
}

fn section(info: *mut RedisModuleInfoCtx, name: &CStr, fields: &[(&CStr, u64)]) {
    // Nobody may have asked for this one.
    if api!(RedisModule_InfoAddSection(info, name.as_ptr())) == 0 {
        for (name, value) in fields {
            api!(RedisModule_InfoAddFieldULongLong(info, name.as_ptr(), *value));
        }
    }
}
