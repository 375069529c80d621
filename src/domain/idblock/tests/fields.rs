//! The stored form of an allocator: every field is kept, and what is damaged is refused or read as it
//! is. (issue 2; CVE-2026-25588, CVE-2026-25589)

use super::random::any_block;
use crate::idblock::{IdBlock, Kept, Policy};
use crate::simulation::{Field, check_damage, check_fields, loaded, scale, seed};

const TOKENS: &[u8] = b"\x05\xac\x02\x00\x01w\x03abc\x01\x02\x03\x04\x05\x06\x01\x05";
const ENTRIES: &[u8] = b"\x08\xd0\x0f\x01\x06\x1c\x02\x03\x01\x05alice\x01\x03web\x01\x03why\x21\x03\x04\x05";

/// An allocator from -5 in steps of 3 with everything that one can have, but either a clock or codes.
const TIMED: [&[u8]; 7] = [
    b"\x01UUUUUUUUUUUUUUUU\x09\x03\xa0\x8d\x06\x32\x00",
    b"\x09\x02\xac\x02",
    b"\x02\xe8\x07",
    b"\x04\xe8\x07\x0a\x01\xae\x02",
    TOKENS,
    b"\x07\x07\xac\x02\x88\x27\xa8\x46\xd3\x0f\x05",
    ENTRIES,
];

const FIELDS: [Field; 36] = [
    ("identity", 0, 1, b'V'),
    ("end of the identity", 0, 16, b'V'),
    ("start", 0, 17, 0x07),
    ("increment", 0, 18, 0x04),
    ("max", 0, 19, 0xa2),
    ("mark", 0, 22, 0x33),
    ("bits of the clock", 1, 1, 0x03),
    ("epoch of the clock", 1, 2, 0xad),
    ("when it was created", 2, 1, 0xe9),
    ("how long tokens are kept", 3, 1, 0xe9),
    ("how many tokens are kept", 3, 3, 0x0b),
    ("tokens dropped early", 3, 4, 0x02),
    ("latest time of a token", 3, 5, 0xaf),
    ("time of a token", 4, 1, 0xab),
    ("producer", 4, 5, b'v'),
    ("token", 4, 7, b'x'),
    ("fingerprint", 4, 10, 0xff),
    ("end of a fingerprint", 4, 15, 0xff),
    ("reply", 4, 17, 0x06),
    ("entries kept", 5, 2, 0xad),
    ("age kept", 5, 4, 0x89),
    ("bytes kept", 5, 6, 0xa9),
    ("time of the last entry", 5, 8, 0xd4),
    ("number of the last entry", 5, 10, 0x06),
    ("time of an entry", 6, 1, 0xcf),
    ("number of an entry", 6, 3, 0x02),
    ("ordinal before", 6, 4, 0x08),
    ("what was done", 6, 5, 0x2c),
    ("ordinals skipped", 6, 6, 0x04),
    ("ordinals reserved", 6, 7, 0x04),
    ("user", 6, 10, b'A'),
    ("client", 6, 17, b'W'),
    ("note", 6, 22, b'W'),
    ("time between entries", 6, 26, 0x02),
    ("ordinals skipped then", 6, 27, 0x05),
    ("ordinals passed over", 6, 28, 0x06),
];

/// One of a million codes.
const CODED: [&[u8]; 2] = [b"\x01UUUUUUUUUUUUUUUU\x02\x01\x20\x05\x00", b"\x0a\x01\x02\x04abcd\x03key"];

/// One with a fence: windows of 7, and 9 ids handed out below a mark of 32.
const FENCED: [&[u8]; 1] = [b"\x01UUUUUUUUUUUUUUUU\x02\x01\x80\x01\x20\x02\x07\x09"];

const WINDOW: [Field; 3] = [("mark", 0, 21, 0x21), ("window", 0, 23, 0x08), ("drawn", 0, 24, 0x0a)];

const CODES: [Field; 2] = [("alphabet", 1, 4, b'x'), ("secret", 1, 9, b'K')];

#[test]
fn every_stored_field_is_kept() {
    let block: IdBlock = loaded(&TIMED.map(<[u8]>::to_vec)).unwrap();
    let Kept { uid, range, mark, drawn, fence, clock, codes, ledger } = &block.kept;
    assert_eq!((*fence, drawn), (Policy::Off, mark));
    assert_eq!((uid, range.start(), range.increment(), *mark), (&[b'U'; 16], -5, 3, 50));
    assert!(clock.is_some() && codes.is_none());
    assert!(
        ledger.log().is_some_and(|log| log.len() == 2) && ledger.tokens().is_some_and(|tokens| tokens.tracked(0) == 1)
    );
    check_fields::<IdBlock>(&TIMED, &FIELDS);
    check_fields::<IdBlock>(&CODED, &CODES);
    check_fields::<IdBlock>(&FENCED, &WINDOW);
}

#[test]
fn an_unknown_fence_is_refused() {
    for fence in 1..=255 {
        let mut core = CODED[0].to_vec();
        *core.last_mut().unwrap() = fence;
        assert!(loaded::<IdBlock>(&[core]).is_err(), "{fence}");
    }
}

#[test]
fn a_damaged_allocator_is_refused_or_read_as_it_is() {
    let seed = seed();
    for whole in [&TIMED[..], &CODED] {
        let whole: Vec<Vec<u8>> = whole.iter().map(|section| section.to_vec()).collect();
        check_damage(&loaded::<IdBlock>(&whole).unwrap(), seed);
    }
    for round in 0..scale(12, 2_000) {
        check_damage(&any_block(seed.wrapping_add(round), 200), seed);
    }
}
