//! The table of the README that says how long a layout of time-sortable ids lasts.

use super::Document;
use crate::harness::*;

const EXACT_MAX: i64 = 1 << 53;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// The date of a Unix time; see Howard Hinnant, "chrono-compatible low-level date algorithms".
fn date(ms: i64) -> String {
    let days = ms.div_euclid(DAY_MS) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + i64::from(month <= 2);
    if year > 9999 { "after 9999".to_owned() } else { format!("{year:04}-{month:02}-{day:02}") }
}

#[test]
fn days_have_dates() {
    assert_eq!(date(0), "1970-01-01");
    assert_eq!(date(1_704_067_200_000), "2024-01-01");
    assert_eq!(date(1_709_164_800_000), "2024-02-29");
    assert_eq!(date(253_402_300_799_999), "9999-12-31");
    assert_eq!(date(253_402_300_800_000), "after 9999");
}

#[test]
fn the_readme_says_how_long_a_layout_lasts() {
    let server = Server::start();
    let mut client = server.connect();
    for row in Document::read("README.md").section("Integers beyond 2^53").table() {
        let [layout, ids, exact_until, end] = row.try_into().expect("four cells");
        let bits: u32 = layout.strip_prefix("CLOCK ").and_then(|bits| bits.parse().ok()).expect("a number of bits");
        assert_eq!(ids, (1u64 << bits).to_string(), "{layout}");
        client.ok(format!("IDBLOCK.CREATE key {layout}"));
        for (id, until) in [(EXACT_MAX, exact_until), (i64::MAX, end)] {
            assert_eq!(date(client.int(args!["IDBLOCK.WHEN", "key", id])), until, "{layout}, id {id}");
        }
        client.int("DEL key");
    }
}
