//! Every bound, default and format constant, in one table: the parsers, the settings, the loaders
//! and the error texts all read it here.

use crate::audit::Retention;
use crate::idempotency::Limits;

/// User, client, note, producer and token: bytes each. One length byte's worth, and longer names
/// than any server hands out in practice.
pub const NAME_LEN_MAX: usize = 255;

/// Ids in one reservation. Large enough for any block, small enough that a client's 32-bit loop
/// counter holds it.
pub const RESERVE_COUNT_MAX: i64 = (1 << 31) - 1;

/// Codes in one reply: some tens of megabytes. A reservation of ids is two numbers, codes are spelt out.
pub const CODES_COUNT_MAX: i64 = 1_000_000;

/// First id of a sequence unless `START` says otherwise.
pub const START_DEFAULT: i64 = 1;

/// Distance between two ids unless `INCREMENT` says otherwise.
pub const INCREMENT_DEFAULT: i64 = 1;

/// Last id of a sequence unless `MAX` says otherwise.
pub const MAX_DEFAULT: i64 = i64::MAX;

/// What the log of an id block keeps unless `LOG` says otherwise.
pub const BLOCK_LOG_DEFAULT: Retention = Retention { len_max: Some(1000), age_max_ms: None, bytes_max: None };

/// Bits of the counter in time-sortable ids: what the milliseconds of two lifetimes leave of 63.
pub const CLOCK_BITS_MAX: u8 = 22;

/// The time that counts as 0 in time-sortable ids unless `EPOCH` says otherwise: 2024-01-01, UTC.
pub const EPOCH_MS_DEFAULT: i64 = 1_704_067_200_000;

/// The share of a range after which it is called low.
pub const LOW_NUMERATOR: u128 = 9;
/// Of so many parts.
pub const LOW_DENOMINATOR: u128 = 10;

/// Bytes of stored sections in one restoring command of an AOF rewrite: far below the 512 MiB that
/// a server takes in one argument, and milliseconds to read, with every entry decoded and checked.
pub const RESTORE_BATCH_BYTES: usize = 1 << 20;

/// Shards of one counter: more than a cluster has primaries, and few enough that a message tells of all of them.
pub const SHARD_COUNT_MAX: u16 = 1024;

/// The longest name of a counter with shards: it goes into messages between the nodes.
pub const SHARDED_NAME_LEN_MAX: usize = 1024;

/// How long a total waits for the other nodes unless `tallybook.total-timeout` or TIMEOUT says otherwise.
pub const TOTAL_TIMEOUT_MS_DEFAULT: i64 = 1_000;

/// The longest that they may say: who waits longer has given up.
pub const TOTAL_TIMEOUT_MS_MAX: i64 = 60_000;

/// Random bits of a hold's id: as many as an integer may have that every client can hold exactly.
pub const HOLD_ID_BITS: u32 = 53;

/// Pending holds of one counter, and as many remembered ones: a few megabytes.
pub const HOLD_COUNT_MAX: usize = 100_000;

/// How long a token is remembered unless `IDMP-DURATION` says otherwise: a client that retries for
/// longer has given up on the reply.
pub const TOKEN_LIMITS_DEFAULT: Limits = Limits::DEFAULT;

/// The longest `IDMP-DURATION`, in seconds: ten years.
pub const TOKEN_DURATION_MAX_S: i64 = 10 * 365 * 24 * 3600;

/// The largest `IDMP-MAXSIZE`.
pub const TOKEN_COUNT_MAX: i64 = 5_000_000;

/// Times and durations that a caller may name, in milliseconds: half of what 63 bits hold, so that a
/// sum of two still fits.
pub const TIME_MS_MAX: i64 = i64::MAX / 2;

/// The window of an allocator that nobody uses yet: it covers clients that ask for one id at a time.
pub const WINDOW_MIN: u64 = 64;
/// One of so many parts of the range is the largest window of `FENCE AUTO`: a takeover skips two of them.
pub const WINDOW_SHARE: u64 = 64;

/// The largest window unless `tallybook.fence-window-max` says otherwise: what a takeover may skip twice.
pub const WINDOW_MAX_DEFAULT: i64 = 1 << 24;

/// The smallest that it may say.
pub const WINDOW_MAX_MIN: i64 = 1024;

/// The largest that it may say, and the largest `FENCE n`.
pub const WINDOW_MAX_MAX: i64 = 1 << 40;

/// How far ahead of the clock the mark of a time-sortable allocator stands.
pub const CLOCK_WINDOW_MS: u64 = 2_000;

/// How long after its last use the mark of a time-sortable allocator is kept ahead of the clock.
pub const CLOCK_KEPT_MS: u64 = 600_000;

/// How long a reservation waits for its ids to be safe unless `tallybook.fence-wait` says otherwise: many
/// round trips to a healthy replica.
pub const FENCE_WAIT_MS_DEFAULT: i64 = 100;

/// The longest `tallybook.fence-wait`: who waits longer has given up.
pub const FENCE_WAIT_MS_MAX: i64 = 60_000;

/// The most replicas that `tallybook.fence-replicas` may demand.
pub const FENCE_REPLICAS_MAX: i64 = 100;

/// How many allocators the journal remembers, deleted ones included: tens of megabytes.
pub const JOURNAL_MARKS_MAX: usize = 1 << 20;
