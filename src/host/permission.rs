//! Whether the caller may read keys that it did not name.

use super::context::{Context, OwnedString, bytes};
use super::environment::{Text, user_name};
use redis_module::raw::{
    REDISMODULE_CMD_KEY_ACCESS, REDISMODULE_CTX_FLAGS_LUA, RedisModuleACLLogEntryReason_REDISMODULE_ACL_LOG_KEY,
    RedisModuleUser,
};
use std::sync::Mutex;
use tallybook_domain::shards::Shards;

/// A user of the server's, as the module may ask about it.
struct User(*mut RedisModuleUser);

impl User {
    fn may_read(&self, name: &[u8]) -> bool {
        let flags = REDISMODULE_CMD_KEY_ACCESS.cast_signed();
        api!(RedisModule_ACLCheckKeyPermissions(self.0, OwnedString::new(name).raw(), flags)) == 0
    }

    /// As for a key that a command names, ACL LOG gets an entry.
    fn log_denial(&self, context: &Context, name: &[u8]) {
        let (name, reason) = (OwnedString::new(name), RedisModuleACLLogEntryReason_REDISMODULE_ACL_LOG_KEY);
        optional_api!(RedisModule_ACLAddLogEntry(context.raw, self.0, name.raw(), reason));
    }

    /// Everything that the user may do, as ACL LIST shows it.
    fn rules(&self) -> Option<Text> {
        let rules = optional_api!(RedisModule_GetModuleUserACLString(self.0)).map(Text::owned);
        rules.filter(|rules| !rules.raw().is_null())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        api!(RedisModule_FreeModuleUser(self.0));
    }
}

/// Rules by which every part of a counter may be read. What rules allow follows from their text alone, so that has
/// to be worked out once; no user, and nothing that can change, is remembered.
struct Allowing {
    rules: Text,
    counter: Vec<u8>,
    shards: Shards,
}

// SAFETY: strings of the server are used on the main thread only; the lock has to know that it may move.
unsafe impl Send for Allowing {}

/// The latest, of so many counters and users at most.
static ALLOWING: Mutex<Vec<Allowing>> = Mutex::new(Vec::new());
const ALLOWING_MAX: usize = 64;

/// Whether the caller may read a counter and all its shards. Who has no user, such as a primary, may read everything;
/// of whoever calls a script, the server has not always told.
pub fn may_read(context: &Context, counter: &[u8], shards: Shards) -> bool {
    let Some(name) = user_name(context) else { return context.flags() & REDISMODULE_CTX_FLAGS_LUA == 0 };
    let user = User(api!(RedisModule_GetModuleUserFromUserName(name.raw())));
    if user.0.is_null() {
        return false;
    }
    let rules = user.rules();
    let mut allowing = ALLOWING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let is_known = |rules: &Text| {
        let fits = |one: &Allowing| one.shards == shards && one.counter == counter && is_same(&one.rules, rules);
        allowing.iter().any(fits)
    };
    if rules.as_ref().is_some_and(is_known) {
        return true;
    }
    let denied = shards.parts().map(|part| shards.name(counter, part)).find(|name| !user.may_read(name));
    if let Some(name) = denied {
        user.log_denial(context, &name);
        return false;
    }
    if let Some(rules) = rules {
        allowing.truncate(ALLOWING_MAX.saturating_sub(1));
        allowing.insert(0, Allowing { rules, counter: counter.to_vec(), shards });
    }
    true
}

/// Whether the text is the same. A server that keeps it shows the same string until the rules change.
fn is_same(one: &Text, other: &Text) -> bool {
    // SAFETY: both live, and strings that the server shares do not change.
    one.raw() == other.raw() || unsafe { bytes(one.raw()) == bytes(other.raw()) }
}
