//! Codes are a permutation, look like any, and never change.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::*;

fn codes(symbols: &[u8], length: u64, secret: &[u8]) -> Codes {
    Codes::new(length, Alphabet::new(symbols).unwrap(), secret).unwrap()
}

/// The first `count` symbols there are.
fn printable(count: u8) -> Vec<u8> {
    (SYMBOL_FIRST..SYMBOL_FIRST + count).collect()
}

/// The number that a code is, by another way than `read`.
fn value(symbols: &[u8], code: &[u8]) -> usize {
    let place = |symbol: &u8| symbols.iter().position(|other| other == symbol).unwrap();
    code.iter().fold(0, |value, symbol| value * symbols.len() + place(symbol))
}

/// Every alphabet size and length with a space of at most this many codes.
fn every_space_up_to(space_max: u64) -> impl Iterator<Item = (Vec<u8>, u64)> {
    (2..=94).flat_map(move |count| (1..=space_max.ilog(u64::from(count))).map(move |n| (printable(count), n.into())))
}

#[test]
fn every_space_up_to_2_16_is_permuted_one_to_one() {
    let mut spaces = 0;
    for (symbols, length) in every_space_up_to(1 << 16) {
        let codes = codes(&symbols, length, b"one to one");
        let mut seen = vec![false; usize::try_from(codes.space()).unwrap()];
        for ordinal in 0..codes.space() {
            let code = codes.encode(ordinal).unwrap();
            assert_eq!(code.len(), usize::from(codes.length()));
            let value = value(&symbols, &code);
            assert!(!seen[value], "{codes:?}: {code:?} twice, the second time for {ordinal}");
            seen[value] = true;
            assert_eq!(codes.decode(&code), Some(ordinal), "{codes:?}: {code:?}");
        }
        assert!(seen.into_iter().all(|seen| seen), "{codes:?}: a code that no ordinal has");
        assert_eq!(codes.encode(codes.space()), None);
        spaces += 1;
    }
    assert_eq!(spaces, 93 + 93 + 39 + 15 + 8 + 5 + 3 + 3 + 2 + 2 + 1 + 1 + 1 + 1 + 1 + 1, "one for each length");
}

#[test]
fn large_spaces_come_back_at_their_ends_and_in_between() {
    let mut random = StdRng::seed_from_u64(1);
    for count in 2..=94u8 {
        let length_max = u64::from(SPACE_MAX.ilog(u64::from(count)));
        for length in length_max - 2..=length_max {
            let codes = codes(&printable(count), length, b"large");
            assert_eq!(Some(codes.space()), u64::from(count).checked_pow(length.try_into().unwrap()));
            let max = codes.space() - 1;
            for ordinal in [0, 1, max - 1, max].into_iter().chain((0..200).map(|_| random.random_range(0..=max))) {
                let code = codes.encode(ordinal).unwrap();
                assert_eq!(codes.decode(&code), Some(ordinal), "{codes:?}: {code:?}");
            }
            for beyond in [max + 1, max + 2, u64::MAX] {
                assert_eq!(codes.encode(beyond), None, "{codes:?}");
            }
        }
    }
}

#[test]
fn the_halves_hold_the_space_and_little_more() {
    let powers = (2..=94u64).flat_map(|count| (1..=SPACE_MAX.ilog(count)).map(move |length| count.pow(length)));
    for space in powers.chain(2..5_000).chain(SPACE_MAX - 1_000..=SPACE_MAX) {
        let (a, b) = halves(space);
        assert!(a < NonZeroU32::MAX && b <= a && a.get() % 2 == 0, "{space}: {a} x {b}");
        let held = u64::from(a.get()) * u64::from(b.get());
        assert!(held >= space && held - space < u64::from(a.get()), "{space}: {a} x {b}");
    }
}

#[test]
fn many_codes_at_once_are_those_of_each() {
    let spaces = [codes(b"ab", 8, b"many"), codes(b"0123456789", 4, b"many"), codes(BASE62, 10, b"many")];
    for (codes, count) in spaces.iter().flat_map(|codes| [0, 1, 63, 64, 65, 200, 300].map(|count| (codes, count))) {
        for first in [0, 100, codes.space() - count.min(codes.space()), codes.space() - 1, codes.space(), u64::MAX] {
            let each: Vec<u8> = (0..count).filter_map(|n| codes.encode(first.checked_add(n)?)).flatten().collect();
            assert_eq!(codes.encode_all(first, count), each, "{codes:?}: {count} from {first}");
        }
    }
}

#[test]
fn digits_are_those_that_division_gives() {
    let mut random = StdRng::seed_from_u64(2);
    for radix in 2..=94u64 {
        for length in 1..=SPACE_MAX.ilog(radix) {
            let (space, digits) = (radix.pow(length), Digits::new(radix.pow(length), radix.try_into().unwrap()));
            let ends = (0..length).flat_map(|place| {
                let unit = radix.pow(place);
                let multiple = random.random_range(0..space) / unit * unit;
                [unit, unit - 1, space - unit, multiple, multiple.saturating_sub(1), multiple + unit - 1]
            });
            for value in ends.chain([0, space - 1]).filter(|&value| value < space) {
                let divided: Vec<u64> = (0..length).rev().map(|place| value / radix.pow(place) % radix).collect();
                let given: Vec<u64> = digits.of(value).zip(0..length).map(|(digit, _)| digit).collect();
                assert_eq!(given, divided, "{value} by {radix}");
            }
        }
    }
}

#[test]
fn rounds_are_those_of_ffx_a2() {
    let table = [(2, 36), (1023, 36), (1024, 30), (16_383, 30), (16_384, 24), (1 << 20, 18), (1 << 32, 12)];
    for (space, expected) in table {
        assert_eq!(rounds(space), expected, "{space}");
    }
    assert_eq!(rounds((1 << 32) - 1), 18);
    assert_eq!(rounds(SPACE_MAX), 12);
}

#[test]
fn what_is_no_code_is_no_ordinal() {
    let codes = codes(b"0123456789", 4, b"no code");
    for text in [&b""[..], b"000", b"00000", b"00a0", b"000 ", b"000\0", b"00\xff0", b"000/", b"000:"] {
        assert_eq!(codes.decode(text), None, "{}", text.escape_ascii());
    }
    assert!(codes.decode(b"0000").is_some());
}

/// Computed by a second implementation of the opening comment, in another language.
#[test]
fn golden_codes_never_change() {
    type Row<'a> = (&'a [u8], u64, &'a [u8], &'a [(u64, &'a str)]);
    let base62 = BASE62;
    let long = [0xa5; 255];
    let zeroes = [0; 32];
    let table: [Row<'_>; 9] = [
        (
            base62,
            7,
            b"tallybook",
            &[(0, "WbUVwZ7"), (1, "Iq36cut"), (2, "vkfcdih"), (1_000_000, "Xtc2I4I"), (3_521_614_606_207, "NHkunJz")],
        ),
        (
            base62,
            10,
            &zeroes,
            &[
                (0, "dp4FzyHl8N"),
                (1, "zMErmurN2m"),
                (1_000_000_000_000_000, "PBmoBHtsq9"),
                (839_299_365_868_340_223, "ckf0mJk92r"),
            ],
        ),
        (base62, 4, &long, &[(0, "18bW"), (1, "cHfr"), (14_776_335, "nX0M")]),
        (b"01", 1, b"x", &[(0, "1"), (1, "0")]),
        (
            b"01",
            62,
            b"x",
            &[
                (0, "11111100101010001011111011011100001001100001011010001101001110"),
                (4_611_686_018_427_387_903, "11111011011100001110011101001101101111010101110111011010100011"),
            ],
        ),
        (
            b"abc",
            2,
            b"x",
            &[(0, "bb"), (1, "aa"), (2, "ac"), (3, "bc"), (4, "cc"), (5, "ba"), (6, "cb"), (7, "ca"), (8, "ab")],
        ),
        (b"0123456789", 3, b"x", &[(0, "362"), (1, "163"), (999, "741")]),
        (b"0123456789", 5, b"x", &[(0, "84604"), (1, "10523"), (99_999, "94768")]),
        (&printable(94), 9, b"\0\xff", &[(0, r#"aXK~J5\"\"c"#), (572_994_802_228_616_703, "Iv)LUcS7}")]),
    ];
    for (symbols, length, secret, expected) in table {
        let codes = codes(symbols, length, secret);
        for &(ordinal, code) in expected {
            let made = codes.encode(ordinal).unwrap();
            assert_eq!(made.escape_ascii().to_string(), code, "{codes:?}, ordinal {ordinal}");
        }
    }
}

#[test]
fn the_stored_form_never_changes_and_comes_back() {
    let small = codes(b"abc", 2, b"x");
    let mut out = Vec::new();
    small.put(&mut out);
    assert_eq!(out, [1, 2, 3, b'a', b'b', b'c', 1, b'x']);

    for codes in [small, codes(&printable(94), 9, &[0; 255]), codes(BASE62, 7, &[9; 32]), codes(b"01", 62, b"s")] {
        let mut out = Vec::new();
        codes.put(&mut out);
        let mut reader = Reader::new(&out);
        assert_eq!(Codes::take(&mut reader), Ok(codes.clone()));
        assert_eq!(reader.finish(), Ok(()));
        for len in 0..out.len() {
            assert!(Codes::take(&mut Reader::new(&out[..len])).is_err(), "{codes:?} cut to {len}");
        }
    }
}

#[test]
fn what_the_constructor_refuses_is_corrupt() {
    let table: [(&str, &[u8]); 11] = [
        ("unknown version of codes", &[0, 2, 2, b'a', b'b', 1, b'x']),
        ("unknown version of codes", &[2, 2, 2, b'a', b'b', 1, b'x']),
        ("code length out of range", &[1, 0, 2, b'a', b'b', 1, b'x']),
        ("code length out of range", &[1, 63, 2, b'a', b'b', 1, b'x']),
        ("code length out of range", &[1, 0x82, 0x02, 2, b'a', b'b', 1, b'x']),
        ("varint not in its shortest form", &[1, 0x82, 0x00, 2, b'a', b'b', 1, b'x']),
        ("alphabet with too few or too many symbols", &[1, 2, 1, b'a', 1, b'x']),
        ("alphabet with a symbol twice", &[1, 2, 2, b'a', b'a', 1, b'x']),
        ("alphabet with a byte that is not printable ASCII", &[1, 2, 2, b'a', b' ', 1, b'x']),
        ("secret of a wrong length", &[1, 2, 2, b'a', b'b', 0]),
        ("byte string longer than its limit", &[1, 2, 95]),
    ];
    for (reason, bytes) in table {
        assert_eq!(Codes::take(&mut Reader::new(bytes)), Err(Corrupt(reason)), "{bytes:?}");
    }
}

#[test]
fn random_bytes_are_corrupt_or_canonical() {
    let mut random = StdRng::seed_from_u64(2);
    let mut stored = Vec::new();
    codes(BASE62, 7, b"canonical").put(&mut stored);
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut bytes = stored.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        let mut reader = Reader::new(&bytes);
        if let Ok(codes) = Codes::take(&mut reader) {
            let mut again = Vec::new();
            codes.put(&mut again);
            assert_eq!(again, bytes[..bytes.len() - reader.rest().len()]);
            taken += 1;
        }
    }
    assert!(taken > 100, "only {taken} were ever taken");
}

#[test]
fn limits_of_the_alphabet() {
    for accepted in [&b"01"[..], b"!~", BASE62, &printable(94)] {
        assert_eq!(Alphabet::new(accepted).unwrap().symbols(), accepted);
    }
    let mut repeated = printable(94);
    repeated[93] = b'!';
    let table: [(&[u8], CodesError, &str); 9] = [
        (b"", CodesError::AlphabetLen { len: 0 }, "alphabet must have 2 to 94 symbols, got 0"),
        (b"0", CodesError::AlphabetLen { len: 1 }, "alphabet must have 2 to 94 symbols, got 1"),
        (&[b'0'; 95], CodesError::AlphabetLen { len: 95 }, "alphabet must have 2 to 94 symbols, got 95"),
        (
            b"0 1",
            CodesError::AlphabetSymbol { index: 1 },
            "alphabet must be printable ASCII without space, got another byte at index 1",
        ),
        (
            b"01\x7f",
            CodesError::AlphabetSymbol { index: 2 },
            "alphabet must be printable ASCII without space, got another byte at index 2",
        ),
        (
            b"\0a",
            CodesError::AlphabetSymbol { index: 0 },
            "alphabet must be printable ASCII without space, got another byte at index 0",
        ),
        (
            "a\u{e9}".as_bytes(),
            CodesError::AlphabetSymbol { index: 1 },
            "alphabet must be printable ASCII without space, got another byte at index 1",
        ),
        (
            b"010",
            CodesError::AlphabetRepeat { index: 2 },
            "alphabet must have distinct symbols, got one again at index 2",
        ),
        (
            &repeated,
            CodesError::AlphabetRepeat { index: 93 },
            "alphabet must have distinct symbols, got one again at index 93",
        ),
    ];
    for (symbols, error, text) in table {
        assert_eq!(Alphabet::new(symbols), Err(error));
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(Alphabet::new(BASE62), Ok(Alphabet::default()));
}

#[test]
fn limits_of_length_and_secret() {
    for (count, length_max) in [(2, 62), (3, 39), (4, 31), (10, 18), (62, 10), (94, 9)] {
        let alphabet = Alphabet::new(&printable(count)).unwrap();
        for length in [1, length_max] {
            assert!(Codes::new(length, alphabet, b"x").is_ok(), "{count} symbols, length {length}");
        }
        for length in [0, length_max + 1, 63, 64, 256, u64::MAX] {
            let error = CodesError::Length { length, length_max };
            assert_eq!(Codes::new(length, alphabet, b"x"), Err(error));
            let text = format!("code length must be 1 to {length_max} in this alphabet, got {length}");
            assert_eq!(error.to_string(), text);
        }
    }
    for len in [1, 255] {
        assert!(Codes::new(7, Alphabet::default(), &vec![0; len]).is_ok(), "secret of {len} bytes");
    }
    for len in [0, 256] {
        let error = CodesError::SecretLen { len };
        assert_eq!(Codes::new(7, Alphabet::default(), &vec![0; len]), Err(error));
        assert_eq!(error.to_string(), format!("secret must have 1 to 255 bytes, got {len}"));
    }
}

#[test]
fn secret_and_key_are_never_shown() {
    let codes = codes(b"abc", 2, b"hunter2");
    assert_eq!(format!("{codes:?}"), "Codes { length: 2, alphabet: Alphabet(abc), .. }");
}

/// Whatever goes into the key gives another permutation, also where only a boundary moves.
#[test]
fn secret_length_and_alphabet_each_change_the_codes() {
    let swapped = b"1023456789";
    let all = [
        codes(b"0123456789", 9, b"secret"),
        codes(b"0123456789", 9, b"secreu"),
        codes(b"0123456789", 9, b"secret\0"),
        codes(b"0123456789", 9, b"secre"),
        codes(b"0123456789", 8, b"secret"),
        codes(swapped, 9, b"secret"),
    ];
    let values: Vec<Vec<usize>> = all
        .iter()
        .map(|codes| (0..1000).map(|n| value(codes.alphabet().symbols(), &codes.encode(n).unwrap())).collect())
        .collect();
    for (i, one) in values.iter().enumerate() {
        for other in &values[..i] {
            let same = one.iter().zip(other).filter(|(one, other)| one == other).count();
            assert!(same <= 1, "{same} of 1000 values agree");
        }
    }
}

/// Over many secrets a small space takes every order there is equally often: no parity is left
/// out, and the rounds are enough where the halves are 2, 3 or 4.
#[test]
fn every_order_of_a_small_space_is_equally_likely() {
    for (count, length) in [(2, 1), (3, 1), (2, 2), (5, 1), (6, 1)] {
        let symbols = printable(count);
        let space = usize::from(count).pow(length);
        let orders: usize = (1..=space).product();
        let mut seen = vec![0u64; orders];
        for secret in 0..orders * 50 {
            let codes = codes(&symbols, length.into(), &secret.to_be_bytes());
            let order: Vec<usize> = (0..codes.space()).map(|n| value(&symbols, &codes.encode(n).unwrap())).collect();
            // The place of this order among all: its Lehmer code.
            let place = (0..space).fold(0, |place, i| {
                place * (space - i) + order[i + 1..].iter().filter(|later| **later < order[i]).count()
            });
            seen[place] += 1;
        }
        let p = p_uniform(&seen);
        assert!(p > 0.001, "{space} codes: p = {p}");
    }
}

#[test]
fn both_parities_occur_in_every_shape_of_space() {
    const SECRETS: u32 = 1000;
    for (count, length) in [(3, 2), (4, 2), (5, 2), (2, 6), (9, 1), (49, 1), (3, 3)] {
        let symbols = printable(count);
        let mut odd = 0;
        for secret in 0..SECRETS {
            let codes = codes(&symbols, length, &secret.to_be_bytes());
            let order: Vec<usize> = (0..codes.space()).map(|n| value(&symbols, &codes.encode(n).unwrap())).collect();
            let inversions: usize =
                (0..order.len()).map(|i| order[i..].iter().filter(|later| **later < order[i]).count()).sum();
            odd += u32::from(inversions % 2 == 1);
        }
        // Four standard deviations of a fair coin.
        assert!(odd.abs_diff(SECRETS / 2) < 64, "{count} ^ {length}: {odd} of {SECRETS} are odd");
    }
}

/// The chance of a statistic at least this large.
fn p(statistic: f64, freedom: usize) -> f64 {
    ChiSquared::new(freedom as f64).unwrap().sf(statistic)
}

fn p_uniform(seen: &[u64]) -> f64 {
    let expected = seen.iter().sum::<u64>() as f64 / seen.len() as f64;
    p(seen.iter().map(|&n| (n as f64 - expected).powi(2) / expected).sum(), seen.len() - 1)
}

/// `seen` is a square table, one row for each symbol before.
fn p_independent(seen: &[u64], radix: usize) -> f64 {
    let total = seen.iter().sum::<u64>() as f64;
    let rows: Vec<f64> = seen.chunks(radix).map(|row| row.iter().sum::<u64>() as f64).collect();
    let columns: Vec<f64> =
        (0..radix).map(|column| seen.iter().skip(column).step_by(radix).sum::<u64>() as f64).collect();
    let mut statistic = 0.0;
    for (row, in_row) in rows.iter().zip(seen.chunks(radix)) {
        for (column, &n) in columns.iter().zip(in_row) {
            let expected = row * column / total;
            statistic += (n as f64 - expected).powi(2) / expected;
        }
    }
    p(statistic, (radix - 1).pow(2))
}

/// The places of the symbols of 100,000 consecutive codes.
fn ranks(codes: &Codes, first: u64) -> Vec<Vec<usize>> {
    let rank = |&symbol: &u8| codes.alphabet().symbols().iter().position(|&other| other == symbol).unwrap();
    (first..first + 100_000).map(|ordinal| codes.encode(ordinal).unwrap().iter().map(rank).collect()).collect()
}

/// How often each pair occurs: the symbol at `before` and the one at `at`, `lag` codes later.
fn pairs(ranks: &[Vec<usize>], radix: usize, before: usize, at: usize, lag: usize) -> Vec<u64> {
    let mut seen = vec![0; radix * radix];
    for (earlier, later) in ranks.iter().zip(ranks.iter().skip(lag)) {
        seen[earlier[before] * radix + later[at]] += 1;
    }
    seen
}

/// Each position on its own, and each position after itself: p > 0.001. The other pairs of
/// positions, of one code and of two neighbours: the same for all of an alphabet together.
#[test]
fn neighbouring_codes_show_no_pattern() {
    let table: [(&[u8], u64, u64); 8] = [
        (BASE62, 7, 0),
        (BASE62, 7, 1_000_000_000_000),
        (BASE62, 10, 0),
        (b"0123456789", 7, 0),
        (b"0123456789abcdef", 8, 0),
        (b"23456789abcdefghjkmnpqrstuvwxyz", 6, 100_000),
        (b"01", 32, 0),
        (&printable(94), 5, 7_000_000_000),
    ];
    for (symbols, length, first) in table {
        let codes = codes(symbols, length, b"no pattern");
        let ranks = ranks(&codes, first);
        let (radix, positions) = (symbols.len(), usize::from(codes.length()));
        let mut least = 1.0f64;
        for at in 0..positions {
            let mut seen = vec![0; radix];
            ranks.iter().for_each(|code| seen[code[at]] += 1);
            let uniform = p_uniform(&seen);
            assert!(uniform > 0.001, "{codes:?}, position {at}: p = {uniform}");
            // A counter is uniform too, and far more so than chance.
            assert!(uniform < 1.0 - 1e-9, "{codes:?}, position {at}: too regular");
            let after_itself = p_independent(&pairs(&ranks, radix, at, at, 1), radix);
            assert!(after_itself > 0.001, "{codes:?}, position {at} after itself: p = {after_itself}");
            for before in (0..positions).filter(|&before| before != at) {
                least = least.min(p_independent(&pairs(&ranks, radix, before, at, 1), radix));
                least = least.min(p_independent(&pairs(&ranks, radix, before, at, 0), radix));
            }
        }
        let tests = (2 * positions * (positions - 1)) as f64;
        assert!(least * tests > 0.001, "{codes:?}: least p = {least} of {tests}");
    }
}
