//! Effects on a counter.

#![no_main]

use tallybook_domain::counter::Counter;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tallybook_fuzz::effects::<Counter>(bytes));
