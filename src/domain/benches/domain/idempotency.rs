//! Tokens of 16 bytes at 10^3, 10^5 and 10^6 in one key.

use divan::{Bencher, black_box};
use tallybook_domain::idempotency::{Fingerprint, Limits, Token, Tokens};

const COUNTS: [u64; 3] = [1_000, 100_000, 1_000_000];

/// The bytes of token `id`: SplitMix64, so that they look random and need no table.
fn name(id: u64) -> [u8; 16] {
    let mut out = [0; 16];
    for (half, salt) in out.chunks_mut(8).zip([0u64, 1 << 63]) {
        let mut z = (id ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        half.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    out
}

fn remember(tokens: &mut Tokens, id: u64) {
    let name = name(id);
    if let Some(token) = Token::new(b"worker-7", &name) {
        tokens.remember(&token, Fingerprint::from_bytes([7; 6]), b"1234", id);
    }
}

fn filled(count: u64, limits: Option<Limits>) -> Tokens {
    let mut tokens = Tokens::new(limits.unwrap_or_else(|| std::process::abort()));
    (0..count).for_each(|id| remember(&mut tokens, id));
    tokens
}

#[divan::bench(args = COUNTS, sample_size = 5_000)]
fn find_hit(bencher: Bencher, count: u64) {
    let tokens = filled(count, Limits::new(u64::MAX, count));
    let mut id = 0u64;
    bencher.bench_local(|| {
        id = id.wrapping_add(7_919).checked_rem(count).unwrap_or(0);
        let name = name(id);
        Token::new(b"worker-7", &name).map(|token| tokens.find(&token, count).is_some())
    });
}

#[divan::bench(args = COUNTS, sample_size = 5_000)]
fn find_miss(bencher: Bencher, count: u64) {
    let tokens = filled(count, Limits::new(u64::MAX, count));
    let mut id = count;
    bencher.bench_local(|| {
        id = id.wrapping_add(1);
        let name = name(id);
        Token::new(b"worker-7", &name).map(|token| tokens.find(&token, count).is_some())
    });
}

/// As many as there may be: each new one drops and frees the oldest.
#[divan::bench(args = COUNTS, sample_size = 5_000)]
fn remember_when_full(bencher: Bencher, count: u64) {
    let mut tokens = filled(count, Limits::new(u64::MAX, count));
    let mut id = count;
    bencher.bench_local(|| {
        id = id.wrapping_add(1);
        remember(&mut tokens, id);
    });
}

/// As many as live at this rate: each new one finds the oldest expired and frees it.
#[divan::bench(args = COUNTS, sample_size = 5_000)]
fn remember_when_expiring(bencher: Bencher, count: u64) {
    let mut tokens = filled(count, Limits::new(count, 5_000_000));
    let mut id = count;
    bencher.bench_local(|| {
        id = id.wrapping_add(1);
        remember(&mut tokens, id);
    });
}

/// From nothing to so many, for all of them.
#[divan::bench(args = COUNTS, sample_count = 10)]
fn fill(bencher: Bencher, count: u64) {
    bencher.counter(divan::counter::ItemsCount::new(count)).bench_local(|| filled(count, Limits::new(u64::MAX, count)));
}

/// Stored and loaded, for all of them.
#[divan::bench(args = COUNTS, sample_count = 10)]
fn save_and_load(bencher: Bencher, count: u64) {
    let tokens = filled(count, Limits::new(u64::MAX, count));
    bencher.counter(divan::counter::ItemsCount::new(count)).bench_local(|| {
        let mut loaded = Tokens::from_head(&tokens.head());
        if let Ok(loaded) = &mut loaded {
            tokens.sections().for_each(|section| {
                let _ = black_box(loaded.push_section(&section));
            });
        }
        loaded
    });
}

#[divan::bench]
fn fingerprint_of_a_command(bencher: Bencher) {
    bencher.bench_local(|| Fingerprint::of(black_box(&[b"SCOUNTER.INCR", b"views:article:1234", b"5"])));
}
