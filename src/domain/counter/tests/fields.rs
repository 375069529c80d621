//! The stored form of a counter: every field is kept, and what is damaged is refused or read as it is.
//! (issue 2; CVE-2026-25588, CVE-2026-25589)

use super::random::any_counter;
use crate::counter::{Counter, Extras};
use crate::simulation::{Field, check_damage, check_fields, loaded, scale, sections, seed};

const TOKENS: &[u8] =
    b"\x05\xac\x02\x00\x01w\x03abc\x01\x02\x03\x04\x05\x06\x01\x05\x02\x00\x03def\x0a\x0b\x0c\x0d\x0e\x0f\x01\x06";
const ENTRIES: &[u8] = b"\x08\xd0\x0f\x01\x06\x0c\x02\x01\x05alice\x01\x03web\x01\x03why\x01\x03\x02";

/// A counter of 5 with everything that a counter can have.
const WHOLE: [&[u8]; 8] = [
    b"\x01\x0a",
    b"\x03\x03\x01\xc8\x01",
    b"\x06\x02\x00\x03\xe8\x07\x03\x01\x06\xf4\x03\x0e\x04\x02\x00\xf4\x03\x05\x03\x00\xf4\x03\x06\x04\x06\xf4\x03\x0e",
    b"\x02\xe8\x07",
    b"\x04\xe8\x07\x0a\x01\xae\x02",
    TOKENS,
    b"\x07\x07\xac\x02\x88\x27\xa8\x46\xd3\x0f\x05",
    ENTRIES,
];

/// Every field, and another value for it.
const FIELDS: [Field; 42] = [
    ("value", 0, 1, 0x08),
    ("lower bound", 1, 2, 0x03),
    ("upper bound", 1, 3, 0xca),
    ("id of a hold", 2, 1, 0x01),
    ("amount of a hold", 2, 3, 0x01),
    ("deadline of a hold", 2, 4, 0xe9),
    ("id of a resolved hold", 2, 22, 0x07),
    ("how it ended: whole or in part", 2, 7, 0x04),
    ("how it ended: released or expired", 2, 13, 0x03),
    ("how it ended: expired or released", 2, 18, 0x02),
    ("what was committed", 2, 8, 0x04),
    ("when it was committed", 2, 9, 0xf5),
    ("the value then", 2, 11, 0x10),
    ("when it was released", 2, 15, 0xf5),
    ("when it expired", 2, 20, 0xf5),
    ("when it was created", 3, 1, 0xe9),
    ("how long tokens are kept", 4, 1, 0xe9),
    ("how many tokens are kept", 4, 3, 0x0b),
    ("tokens dropped early", 4, 4, 0x02),
    ("latest time of a token", 4, 5, 0xaf),
    ("time of a token", 5, 1, 0xab),
    ("distance to the next token", 5, 18, 0x01),
    ("producer", 5, 5, b'v'),
    ("token", 5, 7, b'x'),
    ("fingerprint", 5, 10, 0xff),
    ("end of a fingerprint", 5, 15, 0xff),
    ("reply", 5, 17, 0x06),
    ("entries kept", 6, 2, 0xad),
    ("age kept", 6, 4, 0x89),
    ("bytes kept", 6, 6, 0xa9),
    ("time of the last entry", 6, 8, 0xd4),
    ("number of the last entry", 6, 10, 0x06),
    ("time of an entry", 7, 1, 0xcf),
    ("number of an entry", 7, 3, 0x02),
    ("value before", 7, 4, 0x08),
    ("what was done", 7, 5, 0x2c),
    ("delta", 7, 6, 0x04),
    ("user", 7, 9, b'A'),
    ("client", 7, 16, b'W'),
    ("note", 7, 21, b'W'),
    ("time between entries", 7, 25, 0x02),
    ("delta of the next entry", 7, 26, 0x04),
];

#[test]
fn every_stored_field_is_kept() {
    let counter: Counter = loaded(&WHOLE.map(<[u8]>::to_vec)).unwrap();
    let Counter { value, extras } = &counter;
    let Extras { bounds, shards: _, holds, ledger } = &**extras.as_ref().unwrap();
    assert!(*value == 5 && bounds.upper() == Some(100) && holds.len(0) == 1);
    assert!(
        ledger.log().is_some_and(|log| log.len() == 2) && ledger.tokens().is_some_and(|tokens| tokens.tracked(0) == 2)
    );
    check_fields::<Counter>(&WHOLE, &FIELDS);
}

#[test]
fn a_plain_counter_is_its_core_alone() {
    for (value, core) in [(0, &[1, 0][..]), (-1, &[1, 1]), (300, &[1, 0xd8, 4])] {
        let counter: Counter = loaded(&[core.to_vec()]).unwrap();
        assert_eq!((counter.value(), sections(&counter)), (value, vec![core.to_vec()]));
    }
}

#[test]
fn a_damaged_counter_is_refused_or_read_as_it_is() {
    check_damage(&loaded::<Counter>(&WHOLE.map(<[u8]>::to_vec)).unwrap(), seed());
    let seed = seed();
    for round in 0..scale(12, 2_000) {
        check_damage(&any_counter(seed.wrapping_add(round), 200), seed);
    }
}

/// Holds, tokens and entries in several sections each.
#[test]
fn a_large_counter_that_is_damaged_is_refused_or_read_as_it_is() {
    let seed = seed();
    check_damage(&super::random::large_counter(), seed);
}
