//! What a code costs each way. A hundred ordinals a sample, as one CODES reply would.

use divan::{Bencher, black_box, counter::ItemsCount};
use tallybook_domain::permutation::{Alphabet, Codes};

const ORDINALS: u64 = 100;

fn codes(length: u64) -> Codes {
    Codes::new(length, Alphabet::default(), &[7; 32]).expect("a fixed table")
}

#[divan::bench(args = [4, 7, 10])]
fn encode(bencher: Bencher, length: u64) {
    let codes = codes(length);
    bencher.counter(ItemsCount::new(ORDINALS)).bench_local(|| {
        for ordinal in 0..ORDINALS {
            black_box(codes.encode(black_box(ordinal)));
        }
    });
}

#[divan::bench(args = [4, 7, 10])]
fn encode_all(bencher: Bencher, length: u64) {
    let codes = codes(length);
    bencher.counter(ItemsCount::new(ORDINALS)).bench_local(|| codes.encode_all(black_box(1000), ORDINALS));
}

#[divan::bench(args = [4, 7, 10])]
fn decode(bencher: Bencher, length: u64) {
    let codes = codes(length);
    let written: Vec<_> = (0..ORDINALS).filter_map(|ordinal| codes.encode(ordinal)).collect();
    bencher.counter(ItemsCount::new(ORDINALS)).bench_local(|| {
        for code in &written {
            black_box(codes.decode(black_box(code)));
        }
    });
}

#[divan::bench]
fn construct() -> Codes {
    codes(black_box(7))
}
