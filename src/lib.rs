//! tallybook: counters, ids and their audit trail, inside Redis and Valkey.
//!
//! This file is the index: which types, commands and settings there are, and where each lives.

#![deny(unsafe_code)]

mod commands;
mod config;
#[allow(unsafe_code)]
mod host;
mod types;

use commands::{catalog, fence, idblock, scounter, shards};
use host::Loader;
use host::fence::Needs;
use tallybook_domain::counter::Counter;
use tallybook_domain::idblock::IdBlock;

/// 10000 * major + 100 * minor + patch, as MODULE LIST shows it.
const VERSION: std::ffi::c_int = 100;

// Nine letters: only such a name has the cluster bus to itself.
host::entry_point!(c"tallybook", VERSION, register, NEEDS);

/// What the fence needs from up here.
const NEEDS: Needs = Needs { settings: config::fence, journal: config::fence_journal, keep: idblock::keep };

fn register(loader: &Loader) -> Result<(), String> {
    loader.data_type::<Counter>()?;
    loader.data_type::<IdBlock>()?;

    let category = loader.category(c"tallybook");
    let row = |row: &catalog::Row| row.command(category);
    loader.command(&row(&catalog::SCOUNTER_INCR), scounter::incr)?;
    loader.command(&row(&catalog::SCOUNTER_DECR), scounter::decr)?;
    loader.command(&row(&catalog::SCOUNTER_INCREX), scounter::increx)?;
    loader.command(&row(&catalog::SCOUNTER_GET), scounter::get)?;
    loader.command(&row(&catalog::SCOUNTER_MGET), scounter::mget)?;
    loader.command(&row(&catalog::SCOUNTER_MINCR), scounter::mincr)?;
    loader.command(&row(&catalog::SCOUNTER_SET), scounter::set)?;
    loader.command(&row(&catalog::SCOUNTER_CREATE), scounter::create)?;
    loader.command(&row(&catalog::SCOUNTER_ALTER), scounter::alter)?;
    loader.command(&row(&catalog::SCOUNTER_INFO), scounter::info)?;
    loader.command(&row(&catalog::SCOUNTER_HOLD), scounter::hold)?;
    loader.command(&row(&catalog::SCOUNTER_COMMIT), scounter::commit)?;
    loader.command(&row(&catalog::SCOUNTER_RELEASE), scounter::release)?;
    loader.command(&row(&catalog::SCOUNTER_HOLDS), scounter::holds)?;
    loader.command(&row(&catalog::SCOUNTER_LOG), scounter::log)?;
    loader.command(&row(&catalog::SCOUNTER_TOTAL), shards::total)?;
    loader.command(&row(&catalog::SCOUNTER_SHARDS), shards::shards)?;
    loader.command(&row(&catalog::SCOUNTER_EFFECT), scounter::effect)?;
    loader.command(&row(&catalog::IDBLOCK_CREATE), idblock::create)?;
    loader.command(&row(&catalog::IDBLOCK_RESERVE), idblock::reserve)?;
    loader.command(&row(&catalog::IDBLOCK_NEXT), idblock::next)?;
    loader.command(&row(&catalog::IDBLOCK_ADVANCE), idblock::advance)?;
    loader.command(&row(&catalog::IDBLOCK_CODES), idblock::codes_of)?;
    loader.command(&row(&catalog::IDBLOCK_ENCODE), idblock::encode)?;
    loader.command(&row(&catalog::IDBLOCK_DECODE), idblock::decode)?;
    loader.command(&row(&catalog::IDBLOCK_WHEN), idblock::when)?;
    loader.command(&row(&catalog::IDBLOCK_WHO), idblock::who)?;
    loader.command(&row(&catalog::IDBLOCK_INFO), idblock::info)?;
    loader.command(&row(&catalog::IDBLOCK_LOG), idblock::log)?;
    loader.command(&row(&catalog::IDBLOCK_FENCE), fence::fence)?;
    loader.command(&row(&catalog::IDBLOCK_EFFECT), idblock::effect)?;
    loader.command(&row(&catalog::IDBLOCK_ELECTABLE), fence::electable)?;

    loader.setting(&config::LOG_DEFAULT)?;
    loader.setting(&config::FENCE_WAIT)?;
    loader.setting(&config::FENCE_REPLICAS)?;
    loader.setting(&config::FENCE_WINDOW_MAX)?;
    loader.setting(&config::FENCE_JOURNAL)?;
    loader.setting(&config::FENCE_REPLICA_SYNC)?;
    #[cfg(feature = "planted")]
    loader.setting(&config::PLANT)?;
    loader.setting(&config::TOTAL_TIMEOUT)
}
