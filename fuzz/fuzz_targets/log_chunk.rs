//! The chunks of a log, of a counter or of an allocator.

#![no_main]

use tallybook_domain::stored::Tag;
use tallybook_fuzz::{a_counter, an_id_block, pieces};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| match bytes.split_first() {
    Some((0, rest)) => pieces(&a_counter(), Tag::Log, Tag::LogChunk, rest),
    Some((_, rest)) => pieces(&an_id_block(), Tag::Log, Tag::LogChunk, rest),
    None => {}
});
