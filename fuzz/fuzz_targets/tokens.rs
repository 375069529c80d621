//! The tokens of a key.

#![no_main]

use tallybook_domain::stored::Tag;
use tallybook_fuzz::{a_counter, pieces};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pieces(&a_counter(), Tag::Tokens, Tag::TokenSegment, bytes));
