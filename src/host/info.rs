//! `INFO tallybook`.

use super::bus;
use super::guard::guard;
use redis_module::raw::{RedisModuleCtx, RedisModuleInfoCtx};
use std::ffi::c_int;

/// Makes the section known to the server.
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
            let bus::Counts { gathers, remembered, dropped } = bus::counts();
            api!(RedisModule_InfoAddSection(info, c"totals".as_ptr()));
            for (name, value) in
                [(c"gathers", gathers), (c"totals_from_memory", remembered), (c"messages_dropped", dropped)]
            {
                api!(RedisModule_InfoAddFieldULongLong(info, name.as_ptr(), value));
            }
        },
    );
}
