//! A server with much in it. A script fills it, which is quick and leaves no buffers of clients behind.

use crate::stage::Stage;

/// A script that runs longer is called slow in the server's log.
const BATCH: usize = 50_000;

/// Calls `body`, which uses the number `i`, for `i` from 1 to `count`. `KEYS[1]` is `key`.
pub fn repeat(stage: &Stage, key: &str, body: &str, count: usize) {
    let script = format!("for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do {body} end");
    let mut client = stage.client();
    for first in (1..=count).step_by(BATCH) {
        let last = count.min(first + BATCH - 1);
        client.nil(["EVAL", &script, "1", key, &first.to_string(), &last.to_string()]);
    }
}

/// One native counter under a name of 16 bytes, with a value that is no shared object.
pub const NATIVE_COUNTER: &str = "redis.call('INCRBY', string.format('%s%013d', KEYS[1], i), 1000000 + i)";

/// The same of ours.
pub const COUNTER: &str = "redis.call('SCOUNTER.INCR', string.format('%s%013d', KEYS[1], i), 1000000 + i)";

/// The same of the floor.
pub const FLOOR_COUNTER: &str = "redis.call('FLOOR.INCR', string.format('%s%013d', KEYS[1], i), 1000000 + i)";

/// One entry of the log, if there is one.
pub const ENTRY: &str = "redis.call('SCOUNTER.INCR', KEYS[1], 1)";

/// One token of 16 bytes.
pub const TOKEN: &str =
    "redis.call('SCOUNTER.INCR', KEYS[1], 1, 'IDMP', 'worker-1', string.sub(redis.sha1hex(i), 1, 16))";

/// One hold that does not end before the run does.
pub const HOLD: &str = "redis.call('SCOUNTER.HOLD', KEYS[1], -1, 'EX', 86400)";

/// A counter with so full a log.
pub fn log(stage: &Stage, key: &str, len: usize) {
    stage.client().ok(format!("SCOUNTER.CREATE {key} LOG MAXLEN {len}"));
    repeat(stage, key, ENTRY, len);
}

/// A counter with so many holds.
pub fn holds(stage: &Stage, key: &str, count: usize) {
    stage.client().ok(format!("SCOUNTER.CREATE {key} INITIAL {count} LBOUND 0"));
    repeat(stage, key, HOLD, count);
}

/// A counter with as many tokens as it may have.
pub fn tokens(stage: &Stage, key: &str, count: usize) {
    stage.client().ok(format!("SCOUNTER.CREATE {key} IDMP-MAXSIZE {count} IDMP-DURATION 86400"));
    repeat(stage, key, TOKEN, count);
}
