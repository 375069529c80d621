//! What the server tells its modules: role changes, replicas, loading, and the turns of its loop.

use super::guard::guard;
use super::replication::node;
use super::{bus, eviction, fence, latency};
use redis_module::raw::{RedisModuleCtx, RedisModuleEvent, RedisModuleEventCallback, RedisModuleReplicationInfo};
use std::ffi::{CStr, c_void};

/// Events by their numbers; they are the same on every server that loads us.
const ROLE_CHANGED: u64 = 0;
/// Also where the dataset of a primary is loaded beside the present one: it ends once that has been replaced.
const LOADING: u64 = 3;
const REPLICA_CHANGED: u64 = 6;
const LINK_CHANGED: u64 = 7;
const CRON: u64 = 8;
const EVENT_LOOP: u64 = 15;
const CONFIG: u64 = 16;

const NOW_PRIMARY: u64 = 0;
const NOW_ONLINE: u64 = 0;

const LOADING_FROM_PRIMARY: u64 = 2;
const LOADING_ENDED: u64 = 3;
const LOADING_FAILED: u64 = 4;

const BEFORE_SLEEP: u64 = 0;

/// Asks the server for all that the fence has to know.
pub fn subscribe(context: *mut RedisModuleCtx) -> Result<(), String> {
    let events: [(u64, RedisModuleEventCallback); 7] = [
        (ROLE_CHANGED, Some(role_changed)),
        (LOADING, Some(loading)),
        (REPLICA_CHANGED, Some(replica_changed)),
        (LINK_CHANGED, Some(link_changed)),
        (CRON, Some(cron)),
        (EVENT_LOOP, Some(event_loop)),
        (CONFIG, Some(config_changed)),
    ];
    for (id, callback) in events {
        let event = RedisModuleEvent { id, dataver: 1 };
        if api!(RedisModule_SubscribeToServerEvent(context, event, callback)) != 0 {
            return Err(format!("the server has no event {id}"));
        }
    }
    Ok(())
}

unsafe extern "C" fn role_changed(_: *mut RedisModuleCtx, _: RedisModuleEvent, now: u64, data: *mut c_void) {
    guard(fence::has_missed, || {
        // SAFETY: the server passes this with this event.
        let info = unsafe { data.cast::<RedisModuleReplicationInfo>().as_ref() };
        let primary = info.filter(|info| now != NOW_PRIMARY && !info.masterhost.is_null()).map(|info| {
            // SAFETY: a C string that lives as long as the call.
            let host = unsafe { CStr::from_ptr(info.masterhost) };
            node(&host.to_string_lossy(), u64::try_from(info.masterport).unwrap_or(0))
        });
        let unknown = (now != NOW_PRIMARY).then(|| "unnamed".to_owned());
        fence::role_changed(primary.or(unknown));
    });
}

unsafe extern "C" fn loading(context: *mut RedisModuleCtx, _: RedisModuleEvent, step: u64, _: *mut c_void) {
    guard(fence::has_missed, || match step {
        LOADING_ENDED => fence::loading_ended(true),
        LOADING_FAILED => fence::loading_ended(false),
        _ => fence::loading_began(context, step == LOADING_FROM_PRIMARY),
    });
}

unsafe extern "C" fn replica_changed(context: *mut RedisModuleCtx, _: RedisModuleEvent, now: u64, _: *mut c_void) {
    guard(fence::has_missed, || fence::replicas_changed(context, now == NOW_ONLINE));
}

unsafe extern "C" fn link_changed(_: *mut RedisModuleCtx, _: RedisModuleEvent, _: u64, _: *mut c_void) {
    guard(fence::has_missed, || {
        fence::link_changed();
    });
}

unsafe extern "C" fn cron(_: *mut RedisModuleCtx, _: RedisModuleEvent, _: u64, _: *mut c_void) {
    guard(fence::has_missed, || {
        fence::tick();
    });
}

unsafe extern "C" fn config_changed(context: *mut RedisModuleCtx, _: RedisModuleEvent, _: u64, _: *mut c_void) {
    guard(
        || (),
        || {
            eviction::look_at(context);
            latency::look_at(context);
        },
    );
}

unsafe extern "C" fn event_loop(context: *mut RedisModuleCtx, _: RedisModuleEvent, step: u64, _: *mut c_void) {
    if step == BEFORE_SLEEP {
        guard(fence::has_missed, || fence::before_sleep(context));
        guard(|| (), || bus::before_sleep(context));
    }
}
