//! Every bound, default and format constant, in one table: the parsers, the settings, the loaders
//! and the error texts all read it here.

/// User, client, note, producer and token: bytes each. One length byte's worth, and longer names
/// than any server hands out in practice.
pub const NAME_LEN_MAX: usize = 255;

/// Ids in one reservation. Large enough for any block, small enough that a client's 32-bit loop
/// counter holds it.
pub const RESERVE_COUNT_MAX: i64 = (1 << 31) - 1;

/// First id of a sequence unless `START` says otherwise.
pub const START_DEFAULT: i64 = 1;

/// Distance between two ids unless `INCREMENT` says otherwise.
pub const INCREMENT_DEFAULT: i64 = 1;

/// Last id of a sequence unless `MAX` says otherwise.
pub const MAX_DEFAULT: i64 = i64::MAX;

/// Entries that the log of an id block keeps unless `LOG` says otherwise.
pub const BLOCK_LOG_LEN_DEFAULT: u64 = 1000;

/// Bytes of stored sections in one restoring command of an AOF rewrite: far below the 512 MiB that
/// a server takes in one argument, and a fraction of a millisecond to write.
pub const RESTORE_BATCH_BYTES: usize = 1 << 20;

/// Random bits of a hold's id: as many as an integer may have that every client can hold exactly.
pub const HOLD_ID_BITS: u32 = 53;

/// Pending holds of one counter, and as many remembered ones: a few megabytes.
pub const HOLD_COUNT_MAX: usize = 100_000;
