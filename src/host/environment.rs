//! Time, chance and caller: the only file that asks for them.

use super::alloc::block_size;
use super::context::{Context, bytes};
use super::fence;
use redis_module::raw::{
    REDISMODULE_CTX_FLAGS_LOADING, REDISMODULE_CTX_FLAGS_LUA, REDISMODULE_CTX_FLAGS_REPLICATED,
    REDISMODULE_CTX_FLAGS_SLAVE, RedisModuleString,
};
use std::cell::OnceCell;
use std::ffi::c_int;
use std::ptr::null_mut;
use tallybook_domain::audit::Retention;
use tallybook_domain::environment::{Caller, Environment, Moment};
use tallybook_domain::error::Error;
use tallybook_domain::fence::{Standing, Uid, Wait};
use tallybook_domain::limits::NAME_LEN_MAX;
use tallybook_domain::memory::BlockSize;

/// The environment of one command. Each answer is looked up at its first use and then kept.
pub struct Live<'c> {
    context: &'c Context,
    log_default: fn() -> Option<Retention>,
    flags: OnceCell<u32>,
    now_ms: OnceCell<u64>,
    caller: OnceCell<(Text, Text)>,
}

impl<'c> Live<'c> {
    /// The environment of the command of `context`; `log_default` reads the setting.
    pub fn new(context: &'c Context, log_default: fn() -> Option<Retention>) -> Self {
        Live { context, log_default, flags: OnceCell::new(), now_ms: OnceCell::new(), caller: OnceCell::new() }
    }

    /// For a request on a key that was changed last at `moment`. Whoever obeys executes such a request only because it
    /// happened at that moment, by the same caller: it has no clock and no caller but these.
    pub fn after(self, moment: Option<Moment<'_>>) -> Self {
        if let Some(Moment { at_ms, caller }) = moment
            && self.flags() & OBEYING != 0
        {
            let [user, client] = [caller.user, caller.client].map(Text::copied);
            return Live { now_ms: OnceCell::from(at_ms), caller: OnceCell::from((user, client)), ..self };
        }
        self
    }

    fn flags(&self) -> u32 {
        *self.flags.get_or_init(|| self.context.flags())
    }
}

impl Environment for Live<'_> {
    fn now_ms(&self) -> u64 {
        *self.now_ms.get_or_init(now_ms)
    }

    fn is_replica(&self) -> bool {
        self.flags() & REDISMODULE_CTX_FLAGS_SLAVE != 0
    }

    fn caller(&self) -> Caller<'_> {
        let (user, client) = self.caller.get_or_init(|| caller(self.context, self.flags()));
        Caller { user: user.bytes(), client: client.bytes() }
    }

    fn random(&self) -> [u8; 16] {
        rand::random()
    }

    fn random_u64(&self) -> u64 {
        rand::random()
    }

    fn block_size(&self) -> BlockSize {
        block_size
    }

    fn log_default(&self) -> Option<Retention> {
        (self.log_default)()
    }

    fn standing(&self) -> Standing {
        fence::standing()
    }

    fn known_mark(&self, uid: &Uid) -> Option<u64> {
        fence::known_mark(uid)
    }

    fn is_doubted(&self, uid: &Uid) -> bool {
        fence::is_doubted(uid)
    }

    fn doubt(&self) -> Error {
        let unread = || Error::Unfenced(Box::new(Wait { whom: fence::whom(), ..Wait::default() }));
        if fence::is_informed() { Error::UnfencedOrigin } else { unread() }
    }

    fn parked(&self, uid: &Uid) -> u64 {
        fence::parked(uid)
    }

    fn owed(&self, uid: &Uid) -> u64 {
        // Who has waited takes what was kept for it, in the order in which they came.
        if api!(RedisModule_IsBlockedReplyRequest(self.context.raw)) != 0 { 0 } else { fence::owed(uid) }
    }

    fn whom(&self) -> String {
        fence::whom()
    }
}

/// Unix time. The server's own stamp of this command where it has one (from 7.2 on): it costs no
/// clock read, and stands still inside a transaction or script.
pub(super) fn now_ms() -> u64 {
    let ms = match optional_api!(RedisModule_CachedMicroseconds()) {
        Some(us) => us / 1000,
        None => api!(RedisModule_Milliseconds()),
    };
    u64::try_from(ms).unwrap_or(0)
}

/// Any number.
pub(super) fn random_u64() -> u64 {
    rand::random()
}

/// The ACL user of the caller; nothing for a primary, the AOF, and clients that another module made up.
pub(super) fn user_name(context: &Context) -> Option<Text> {
    let (user, _) = user(context, context.flags());
    (!user.0.is_null()).then_some(user)
}

/// Whether the command comes from a primary or from the AOF. Their effects, or the key, name the caller already,
/// and asking for a user here would crash Redis 7.0 to 7.4.
pub fn is_obeying(context: &Context) -> bool {
    context.flags() & OBEYING != 0
}

/// Whether this server follows another one.
pub fn is_replica(context: &Context) -> bool {
    context.flags() & REDISMODULE_CTX_FLAGS_SLAVE != 0
}

const OBEYING: u32 = REDISMODULE_CTX_FLAGS_REPLICATED | REDISMODULE_CTX_FLAGS_LOADING;

/// Interpreters' own clients are the first that a server makes: one for EVAL, one for FCALL.
const INTERPRETER_ID_MAX: u64 = 2;

/// From here on the direct question is safe everywhere. Interpreters that `FUNCTION FLUSH` has made anew are not found by
/// their id then. Valkey calls itself 7.2.
const REDIS_8: c_int = 0x0008_0000;

/// The ACL user and the name of the client.
///
/// Inside a script the client is the interpreter's own, so there is only a user, and the direct
/// question is safe. Everywhere else the client is looked up by its id: a client that another module
/// made up is not found then, where the direct question would read through a null pointer on 7.0.
fn caller(context: &Context, flags: u32) -> (Text, Text) {
    let (user, client) = user(context, flags);
    (user, client.map_or_else(Text::none, |id| Text(api!(RedisModule_GetClientNameById(context.raw, id)))))
}

/// The ACL user, and the id of the client where it is not an interpreter's own.
fn user(context: &Context, flags: u32) -> (Text, Option<u64>) {
    let raw = context.raw;
    if flags & OBEYING != 0 {
        return (Text::none(), None);
    }
    let id = api!(RedisModule_GetClientId(raw));
    if flags & REDISMODULE_CTX_FLAGS_LUA != 0 && id <= INTERPRETER_ID_MAX {
        return (Text(api!(RedisModule_GetCurrentUserName(raw))), None);
    }
    let user = Text(api!(RedisModule_GetClientUserNameById(raw, id)));
    if user.0.is_null() && flags & REDISMODULE_CTX_FLAGS_LUA != 0 && api!(RedisModule_GetServerVersion()) >= REDIS_8 {
        return (Text(api!(RedisModule_GetCurrentUserName(raw))), None);
    }
    (user, Some(id))
}

/// A string that the server made for us, freed when dropped. It may be null.
pub(super) struct Text(*mut RedisModuleString);

impl Text {
    fn none() -> Self {
        Text(null_mut())
    }

    fn copied(bytes: &[u8]) -> Self {
        Text(api!(RedisModule_CreateString(null_mut(), bytes.as_ptr().cast(), bytes.len())))
    }

    /// One that is ours from now on.
    pub(super) fn owned(raw: *mut RedisModuleString) -> Self {
        Text(raw)
    }

    pub(super) fn raw(&self) -> *mut RedisModuleString {
        self.0
    }

    /// At most as many bytes as a name in the log may have.
    fn bytes(&self) -> &[u8] {
        if self.0.is_null() {
            return &[];
        }
        // SAFETY: the string is ours and lives as long as `self`.
        let bytes = unsafe { bytes(self.0) };
        &bytes[..bytes.len().min(NAME_LEN_MAX)]
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if !self.0.is_null() {
            api!(RedisModule_FreeString(null_mut(), self.0));
        }
    }
}
