//! Calls into the server.
//!
//! The server hands the module a table of functions; one that it does not have is null. Those that
//! the module cannot do without are checked once, at load (`missing`), the others at each use.

use redis_module::raw;

/// Calls a function of the module API that `missing` has checked.
macro_rules! api {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        // SAFETY: the table is written once, before anything else of the module runs.
        match unsafe { redis_module::raw::$function } {
            // SAFETY: the caller vouches for the arguments; the server for the function.
            Some(function) => unsafe { function($($argument),*) },
            None => $crate::host::api::absent(stringify!($function)),
        }
    }};
}

/// Calls a function that older servers lack; `None` there.
macro_rules! optional_api {
    ($function:ident($($argument:expr),* $(,)?)) => {
        // SAFETY: as above.
        unsafe { redis_module::raw::$function.map(|function| function($($argument),*)) }
    };
}

/// A function that was checked at load cannot be missing later.
#[cold]
pub fn absent(name: &str) -> ! {
    panic!("{name} is missing from the module API")
}

/// Whether a command can read keys in other slots than its own: not where the server keeps each slot by itself, as it
/// does since it tells modules the slot of a key.
pub fn sees_every_slot() -> bool {
    // SAFETY: as above.
    unsafe { raw::RedisModule_ClusterKeySlot }.is_none()
}

/// Defines `missing`, from the functions that the module cannot do without.
macro_rules! needed {
    ($($function:ident),* $(,)?) => {
        /// The first function that the module needs and this server does not have.
        pub fn missing() -> Option<&'static str> {
            // SAFETY: the table was written just before, by the same thread.
            let missing = [$((stringify!($function), unsafe { raw::$function }.is_none())),*];
            missing.into_iter().find_map(|(name, missing)| missing.then_some(name))
        }
    };
}

needed![
    RedisModule_ACLCheckKeyPermissions,
    RedisModule_Alloc,
    RedisModule_AvoidReplicaTraffic,
    RedisModule_BlockClient,
    RedisModule_Call,
    RedisModule_CallReplyArrayElement,
    RedisModule_CallReplyInteger,
    RedisModule_CallReplyLength,
    RedisModule_CallReplyStringPtr,
    RedisModule_CallReplyType,
    RedisModule_Calloc,
    RedisModule_CloseKey,
    RedisModule_CreateCommand,
    RedisModule_CreateDataType,
    RedisModule_CreateString,
    RedisModule_CreateTimer,
    RedisModule_DefragAlloc,
    RedisModule_DefragCursorGet,
    RedisModule_DefragCursorSet,
    RedisModule_DefragShouldStop,
    RedisModule_DigestAddStringBuffer,
    RedisModule_DigestEndSequence,
    RedisModule_EmitAOF,
    RedisModule_EventLoopAddOneShot,
    RedisModule_Free,
    RedisModule_FreeCallReply,
    RedisModule_FreeModuleUser,
    RedisModule_FreeString,
    RedisModule_GetAbsExpire,
    RedisModule_GetBlockedClientHandle,
    RedisModule_GetBlockedClientPrivateData,
    RedisModule_GetClientId,
    RedisModule_GetClientNameById,
    RedisModule_GetClientUserNameById,
    RedisModule_GetCommand,
    RedisModule_GetContextFlags,
    RedisModule_GetCurrentUserName,
    RedisModule_GetKeyNameFromIO,
    RedisModule_GetModuleUserFromUserName,
    RedisModule_GetSelectedDb,
    RedisModule_GetServerVersion,
    RedisModule_GetToDbIdFromOptCtx,
    RedisModule_GetToKeyNameFromOptCtx,
    RedisModule_InfoAddFieldULongLong,
    RedisModule_InfoAddSection,
    RedisModule_IsBlockedReplyRequest,
    RedisModule_IsIOError,
    RedisModule_KeyType,
    RedisModule_LatencyAddSample,
    RedisModule_LoadConfigs,
    RedisModule_LoadStringBuffer,
    RedisModule_Log,
    RedisModule_LogIOError,
    RedisModule_Milliseconds,
    RedisModule_MallocSize,
    RedisModule_ModuleTypeGetType,
    RedisModule_ModuleTypeGetValue,
    RedisModule_ModuleTypeSetValue,
    RedisModule_NotifyKeyspaceEvent,
    RedisModule_OpenKey,
    RedisModule_Realloc,
    RedisModule_RedactClientCommandArgument,
    RedisModule_RegisterBoolConfig,
    RedisModule_RegisterClusterMessageReceiver,
    RedisModule_RegisterInfoFunc,
    RedisModule_RegisterNumericConfig,
    RedisModule_RegisterStringConfig,
    RedisModule_Replicate,
    RedisModule_ReplicateVerbatim,
    RedisModule_ReplySetArrayLength,
    RedisModule_ReplyWithArray,
    RedisModule_ReplyWithError,
    RedisModule_ReplyWithLongLong,
    RedisModule_ReplyWithMap,
    RedisModule_ReplyWithNull,
    RedisModule_ReplyWithSimpleString,
    RedisModule_ReplyWithStringBuffer,
    RedisModule_SaveStringBuffer,
    RedisModule_SelectDb,
    RedisModule_SendClusterMessage,
    RedisModule_SetAbsExpire,
    RedisModule_SetCommandInfo,
    RedisModule_SetDisconnectCallback,
    RedisModule_SetModuleOptions,
    RedisModule_SignalModifiedKey,
    RedisModule_StringPtrLen,
    RedisModule_SubscribeToServerEvent,
    RedisModule_TryAlloc,
    RedisModule_UnblockClient,
    RedisModule_WrongArity,
];
