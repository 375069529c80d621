//! Whether the caller may read keys that it did not name.

use super::context::{Context, OwnedString};
use super::environment::user_name;
use redis_module::raw::{REDISMODULE_CMD_KEY_ACCESS, RedisModuleUser};

/// A user of the server's, as the module may ask about it.
struct User(*mut RedisModuleUser);

impl Drop for User {
    fn drop(&mut self) {
        api!(RedisModule_FreeModuleUser(self.0));
    }
}

/// Whether the caller may read all of these keys. Who has no user, such as a primary, may read everything.
pub fn may_read(context: &Context, mut names: impl Iterator<Item = Vec<u8>>) -> bool {
    let Some(name) = user_name(context) else { return true };
    let user = User(api!(RedisModule_GetModuleUserFromUserName(name.raw())));
    let flags = REDISMODULE_CMD_KEY_ACCESS.cast_signed();
    let may =
        |name: Vec<u8>| api!(RedisModule_ACLCheckKeyPermissions(user.0, OwnedString::new(&name).raw(), flags)) == 0;
    !user.0.is_null() && names.all(may)
}
