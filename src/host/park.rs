//! Clients that wait. On waking, the request is decided afresh, from its arguments on.

use super::context::Context;
use super::environment::now_ms;
use super::fence;
use super::guard::guard;
use super::latency::took;
use redis_module::raw::{
    REDISMODULE_CTX_FLAGS_DENY_BLOCKING, REDISMODULE_CTX_FLAGS_LOADING, REDISMODULE_CTX_FLAGS_LUA,
    REDISMODULE_CTX_FLAGS_MULTI, REDISMODULE_CTX_FLAGS_REPLICATED, RedisModuleBlockedClient, RedisModuleCmdFunc,
    RedisModuleCtx, RedisModuleDisconnectFunc,
};
use std::ffi::{CStr, c_void};
use tallybook_domain::fence::{Ticket, Uid, Wait};

/// Where nobody can be made to wait.
pub(super) const CANNOT_WAIT: u32 = REDISMODULE_CTX_FLAGS_MULTI
    | REDISMODULE_CTX_FLAGS_LUA
    | REDISMODULE_CTX_FLAGS_DENY_BLOCKING
    | REDISMODULE_CTX_FLAGS_REPLICATED
    | REDISMODULE_CTX_FLAGS_LOADING;

/// What LATENCY calls it.
const STALL: &CStr = c"tallybook-fence";

/// How long after its deadline the handle of a client is given back: the server has answered it then.
const GRACE_MS: u64 = 1_000;

/// The handle of a client that waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Client(*mut RedisModuleBlockedClient);

// SAFETY: it is used on the main thread only; the lock it lies behind has to know that it may move.
unsafe impl Send for Client {}

impl Client {
    /// Lets the client of a command wait, if that is possible.
    pub fn park(
        context: &Context,
        answer: RedisModuleCmdFunc,
        late: RedisModuleCmdFunc,
        left: RedisModuleDisconnectFunc,
        forget: Option<unsafe extern "C" fn(*mut RedisModuleCtx, *mut c_void)>,
        wait_ms: i64,
    ) -> Option<Self> {
        let client = api!(RedisModule_BlockClient(context.raw, answer, late, forget, wait_ms));
        if client.is_null() {
            return None; // Valkey knows clients that it does not let wait
        }
        api!(RedisModule_SetDisconnectCallback(client, left));
        Some(Client(client))
    }

    /// The handle that the server calls it by.
    pub fn of(client: *mut RedisModuleBlockedClient) -> Self {
        Client(client)
    }

    /// Gives the handle back. Whoever still waits is answered with what `answer` points to.
    pub fn give_back(self, answer: *mut c_void) {
        api!(RedisModule_UnblockClient(self.0, answer));
    }
}

/// The handle of the client that waited, and of which this is the context.
pub fn handle_of(context: &Context) -> Client {
    Client(api!(RedisModule_GetBlockedClientHandle(context.raw)))
}

/// A client that waits.
pub struct Parked {
    client: Client,
    wait: Wait,
    since_ms: u64,
    until_ms: u64,
    is_woken: bool,
}

impl Parked {
    /// How many ids of this allocator it wants.
    pub fn ids_of(&self, uid: &Uid) -> u64 {
        if self.wait.uid == *uid { self.wait.count } else { 0 }
    }

    /// What it waits for.
    pub fn ticket(&self) -> Ticket {
        self.wait.ticket
    }

    /// Whether its handle was given back already.
    pub fn is_woken(&self) -> bool {
        self.is_woken
    }

    /// Its handle is to be given back. If the client has been answered, or is gone, that is all; else its request is
    /// decided when the server comes to it.
    pub fn wake(&mut self) -> Client {
        self.is_woken = true;
        self.client
    }

    /// Whether this is its handle.
    pub fn is(&self, client: Client) -> bool {
        self.client == client
    }

    /// It does not wait any more.
    pub fn end(&mut self) {
        if self.until_ms > 0 {
            took(STALL, self.since_ms);
            self.until_ms = 0;
        }
    }

    /// Whether the server has answered it for its being late.
    pub fn is_late(&self, now_ms: u64) -> bool {
        now_ms >= self.until_ms
    }

    /// Whether its handle can be given back.
    pub fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.until_ms.saturating_add(GRACE_MS)
    }
}

/// Lets the client of a command wait, if that is possible: `again` answers it then, `late` if it takes
/// too long.
pub fn park(context: &Context, wait: &Wait, again: RedisModuleCmdFunc, late: RedisModuleCmdFunc) -> bool {
    let wait_ms = fence::settings().wait_ms;
    if wait_ms <= 0 || context.flags() & CANNOT_WAIT != 0 {
        return false;
    }
    let Some(client) = Client::park(context, again, late, Some(left), None, wait_ms) else { return false };
    let since_ms = now_ms();
    let until_ms = since_ms.saturating_add(wait_ms.unsigned_abs());
    fence::park(Parked { client, wait: wait.clone(), since_ms, until_ms, is_woken: false });
    true
}

/// The client is gone, or was told by somebody else that it waits no longer.
unsafe extern "C" fn left(_: *mut RedisModuleCtx, client: *mut RedisModuleBlockedClient) {
    guard(|| (), || fence::unwait(Client::of(client)));
}

/// The client of `context` waits no longer: it is answered now.
pub fn has_waited(context: &Context) {
    fence::unwait(handle_of(context));
}
