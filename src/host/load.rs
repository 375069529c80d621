//! Loading: what the server must have, and the way into `lib.rs`.

use super::config::Setting;
use super::context::{Args, Context, Reply};
use super::guard::{guard, install_hook};
use super::register::{self, Command};
use super::server_log;
use super::value_type::{self, ValueType};
use super::{api, bus, event, eviction, fence, info, latency, replication};
use redis_module::raw::{
    Export_RedisModule_Init, REDISMODULE_APIVER_1, REDISMODULE_OPTIONS_HANDLE_IO_ERRORS,
    REDISMODULE_OPTIONS_HANDLE_REPL_ASYNC_LOAD, RedisModuleCtx,
};
use std::ffi::{CStr, c_int, c_void};
use tallybook_domain::error::Error;

/// WATCH, client-side caching: we say ourselves when a key was modified, so that a refused or empty
/// change does not count as one.
const NO_IMPLICIT_SIGNAL_MODIFIED: u32 = 1 << 1;

/// Valkey 9: without it no slot can be migrated atomically while the module is loaded. The same bit
/// means nothing to Redis.
const HANDLE_ATOMIC_SLOT_MIGRATION: u32 = 1 << 5;

/// Makes types, commands and settings known to the server.
pub struct Loader {
    context: *mut RedisModuleCtx,
}

impl Loader {
    /// A type of key.
    pub fn data_type<T: ValueType>(&self) -> Result<(), String> {
        value_type::register::<T>(self.context)
    }

    /// A command.
    pub fn command<F>(&self, command: &Command, handler: F) -> Result<(), String>
    where
        F: Fn(&Context, &Args<'_>) -> Result<Reply, Error> + Copy + 'static,
    {
        register::register(self.context, command, handler)
    }

    /// A setting.
    pub fn setting(&self, setting: &'static impl Setting) -> Result<(), String> {
        setting.register(self.context)
    }

    /// An ACL category of our own, on servers that let modules have one. Returns whether it stands.
    pub fn category(&self, name: &CStr) -> bool {
        optional_api!(RedisModule_AddACLCategory(self.context, name.as_ptr())) == Some(0)
    }
}

/// What `RedisModule_OnLoad` does: checks the server, then hands over to `register`.
pub fn on_load(
    name: &CStr,
    version: c_int,
    context: *mut c_void,
    argument_count: c_int,
    register: fn(&Loader) -> Result<(), String>,
    needs: fence::Needs,
) -> c_int {
    let context = context.cast::<RedisModuleCtx>();
    // SAFETY: called by the server, first of all, with its own context.
    if unsafe { Export_RedisModule_Init(context, name.as_ptr(), version, REDISMODULE_APIVER_1 as c_int) } != 0 {
        return 1;
    }
    install_hook();
    let loaded = guard(
        || Err("panicked".to_owned()),
        || {
            if let Some(function) = api::missing() {
                return Err(format!("it needs Redis 7.0 or Valkey 8.0, or newer; this server has no {function}"));
            }
            if argument_count > 0 {
                return Err("it takes no arguments: use the tallybook.* settings".to_owned());
            }
            let mut options = REDISMODULE_OPTIONS_HANDLE_IO_ERRORS
                | REDISMODULE_OPTIONS_HANDLE_REPL_ASYNC_LOAD
                | NO_IMPLICIT_SIGNAL_MODIFIED;
            if is_valkey() {
                options |= HANDLE_ATOMIC_SLOT_MIGRATION;
            }
            api!(RedisModule_SetModuleOptions(context, options.cast_signed()));
            register(&Loader { context })?;
            if api!(RedisModule_LoadConfigs(context)) != 0 {
                return Err("a tallybook.* setting was refused".to_owned());
            }
            if let Some(command) = replication::missing_command(context) {
                return Err(format!("it needs the command {command} under its own name: see rename-command"));
            }
            bus::listen(context);
            info::register(context)?;
            eviction::look_at(context);
            latency::look_at(context);
            fence::start(context, needs);
            event::subscribe(context)
        },
    );
    match loaded {
        Ok(()) => 0,
        Err(why) => {
            server_log::warning(&format!("tallybook cannot be loaded: {why}"));
            1
        }
    }
}

/// Whether this is Valkey. Its version number does not tell: it names the Redis it is compatible with.
fn is_valkey() -> bool {
    let mut function: *mut c_void = std::ptr::null_mut();
    let place = std::ptr::from_mut(&mut function).cast::<c_void>();
    optional_api!(RedisModule_GetApi(c"ValkeyModule_Alloc".as_ptr(), place)) == Some(0)
}

/// Defines the function that the server calls to load the module.
macro_rules! entry_point {
    ($name:expr, $version:expr, $register:path, $needs:expr) => {
        /// Called by the server, once.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        extern "C" fn RedisModule_OnLoad(
            context: *mut std::ffi::c_void,
            _argv: *mut *mut std::ffi::c_void,
            argc: std::ffi::c_int,
        ) -> std::ffi::c_int {
            $crate::host::on_load($name, $version, context, argc, $register, $needs)
        }
    };
}
pub(crate) use entry_point;
