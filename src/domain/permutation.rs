//! Short public codes that cannot be enumerated: a keyed permutation of `0 .. symbols ^ length`,
//! applied to an ordinal, the result written in the alphabet. Unique by construction, so there is
//! neither a pool of codes nor a collision check.
//!
//! ```text
//!   ordinal ──> left = ordinal / b, right = ordinal % b          a x b >= space, a and b near its root
//!               round 0:  left  = left  + F(0, right)  mod a
//!               round 1:  right = right + F(1, left)   mod b
//!               ...                                              12 to 36 rounds, by the size of the space
//!           ──> left * b + right ──> once more while >= space    (the cycle walk)
//!           ──> `length` digits in the alphabet, the highest first
//! ```
//!
//! **Construction.** A balanced Feistel network whose halves are numbers below `a` and below `b`
//! instead of bit strings: the generalized Feistel cipher of Black and Rogaway, "Ciphers with
//! arbitrary finite domains" (CT-RSA 2002), with their cycle walk for what `a * b` has too much;
//! Hoang and Rogaway, "On generalized Feistel networks" (CRYPTO 2010), prove the alternating form.
//! That such a network over pseudorandom functions is a pseudorandom permutation is Luby and Rackoff
//! (1988); adding modulo the size of a half and putting the number of the round into the input of one
//! keyed function is how FF1 does it (NIST SP 800-38G).
//!
//! `F` is SipHash-2-4, a pseudorandom function made for short inputs (Aumasson and Bernstein 2012):
//! five bytes, the half and the number of the round, which cost a single compression. Its 64 bits are
//! brought below `a` or `b` by the high word of a product; what that is off from uniform is below 2^-32.
//!
//! **The key** is BLAKE2b-128 of everything that is stored (a name, version, length, alphabet and
//! secret, each with its length), so a secret may have any length, and neither another alphabet nor
//! another length under the same secret gives a related permutation. SipHash alone would not do for
//! that: it takes 16 bytes and promises nothing about their origin. No deliberately slow derivation
//! either: it would run on the server's only thread at every load of a key. A secret that can be
//! guessed can therefore be tried out against one known pair; a drawn one of 32 bytes cannot.
//!
//! **Rounds.** Four give the theorem, but small halves need many more: Bellare, Hoang and Tessaro,
//! "Message-recovery attacks on Feistel-based format preserving encryption" (CCS 2016), and Hoang,
//! Tessaro and Trieu, "The curse of small domains" (CRYPTO 2018). The counts here are those of the
//! proposal that FF1 came from (Bellare, Rogaway and Spies, FFX, parameters A2, 2010), never below the
//! 10 of FF1: 12 from 2^32 on, up to 36 where there are fewer than 2^10 codes. Spaces that small are
//! enumerated by trying all codes; there the rounds only see to it that nothing shows a pattern.
//!
//! **Parity.** `a` is even. With both halves odd every round is a product of cycles of odd length,
//! and with bits and XOR one of an even number of swaps: either reaches only half of all permutations.
//!
//! **Rejected.** Two equal halves of bits: up to four passes of the walk instead of hardly ever a
//! second one. FF1 itself: AES and arithmetic on long numbers, for spaces that fit a register. A block
//! cipher of 32 or 64 bits: walks too far in a small space. Swap-or-not and its like: hundreds of
//! rounds. A multiplication modulo the space, a shuffled alphabet, a mix of one's own: two known pairs,
//! or a look, give them away.
//!
//! **What it hides** is order and volume, from whoever does not know the secret. It is no access
//! control: whoever has a code has it, and a space hardly larger than what was handed out is hit by
//! guessing.
//!
//! Stored, with the integers and byte strings of `wire`:
//!
//! ```text
//!   u8     version, 1
//!   u64    length
//!   bytes  alphabet
//!   bytes  secret
//!          01 02 03 61 62 63 01 78 = length 2, alphabet "abc", secret "x"
//! ```
//!
//! The version names all of the above. Another construction is another version beside this one:
//! to change this one would hand out codes that have been handed out before.

use std::fmt;
use std::num::NonZeroU64;

use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};
use siphasher::sip::SipHasher24;

use crate::wire::{Corrupt, Reader, put_bytes, put_u64};

/// Symbols an alphabet must have at least: with one there is nothing to permute.
pub const SYMBOLS_MIN: usize = 2;
/// Symbols an alphabet may have: the printable ASCII bytes without the space, `!` to `~`.
pub const SYMBOLS_MAX: usize = 94;
/// Codes a space may have: as many as a signed 64-bit integer can count.
pub const SPACE_MAX: u64 = i64::MAX.cast_unsigned();
/// Bytes of a secret: at least one, at most what a token may have.
pub const SECRET_LEN_MAX: usize = 255;

/// The construction that the opening comment describes.
const VERSION: u8 = 1;
/// Keeps the key apart from whatever else may be derived from the same secret.
const KEY_NAME: &[u8] = b"tallybook CODES";
/// Symbols of the longest code: the largest space in the smallest alphabet, 2^62.
const LENGTH_MAX: usize = 62;
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Ordinals that go through the network side by side.
const LANES: usize = 4;
/// The first byte that may be a symbol.
const SYMBOL_FIRST: u8 = b'!';
/// The rank of a byte that is no symbol.
const NO_RANK: u8 = u8::MAX;

/// Why an alphabet, a length and a secret make no codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodesError {
    /// An alphabet of fewer than 2 or more than 94 bytes.
    AlphabetLen {
        /// Bytes given.
        len: usize,
    },
    /// A byte of the alphabet that is a space, a control character or no ASCII.
    AlphabetSymbol {
        /// Where it stands, from 0.
        index: usize,
    },
    /// A symbol that the alphabet has already.
    AlphabetRepeat {
        /// Where it stands for the second time, from 0.
        index: usize,
    },
    /// No symbol, or so many that the space does not fit 63 bits.
    Length {
        /// Symbols asked for.
        length: u64,
        /// Symbols a code in this alphabet may have.
        length_max: u64,
    },
    /// An empty secret, or one of more than 255 bytes.
    SecretLen {
        /// Bytes given.
        len: usize,
    },
}

impl CodesError {
    /// The same without numbers, for bytes that were stored.
    fn reason(self) -> &'static str {
        match self {
            CodesError::AlphabetLen { .. } => "alphabet with too few or too many symbols",
            CodesError::AlphabetSymbol { .. } => "alphabet with a byte that is not printable ASCII",
            CodesError::AlphabetRepeat { .. } => "alphabet with a symbol twice",
            CodesError::Length { .. } => "code length out of range",
            CodesError::SecretLen { .. } => "secret of a wrong length",
        }
    }
}

impl fmt::Display for CodesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodesError::AlphabetLen { len } => {
                write!(f, "alphabet must have {SYMBOLS_MIN} to {SYMBOLS_MAX} symbols, got {len}")
            }
            CodesError::AlphabetSymbol { index } => {
                write!(f, "alphabet must be printable ASCII without space, got another byte at index {index}")
            }
            CodesError::AlphabetRepeat { index } => {
                write!(f, "alphabet must have distinct symbols, got one again at index {index}")
            }
            CodesError::Length { length, length_max } => {
                write!(f, "code length must be 1 to {length_max} in this alphabet, got {length}")
            }
            CodesError::SecretLen { len } => {
                write!(f, "secret must have 1 to {SECRET_LEN_MAX} bytes, got {len}")
            }
        }
    }
}

impl std::error::Error for CodesError {}

/// 2 to 94 distinct bytes from `!` to `~`. The default is base62: digits, upper case, lower case.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Alphabet {
    /// The symbols in their order, then zeroes.
    symbols: [u8; SYMBOLS_MAX],
    len: u8,
    /// For each byte from `!` to `~` its place among the symbols, or `NO_RANK`.
    ranks: [u8; SYMBOLS_MAX],
}

impl Alphabet {
    /// The alphabet of these symbols in this order: the first is the digit zero.
    pub fn new(symbols: &[u8]) -> Result<Self, CodesError> {
        if !(SYMBOLS_MIN..=SYMBOLS_MAX).contains(&symbols.len()) {
            return Err(CodesError::AlphabetLen { len: symbols.len() });
        }
        let mut alphabet = Alphabet { symbols: [0; SYMBOLS_MAX], len: 0, ranks: [NO_RANK; SYMBOLS_MAX] };
        for (index, &symbol) in symbols.iter().enumerate() {
            match alphabet.push(symbol) {
                None => return Err(CodesError::AlphabetSymbol { index }),
                Some(false) => return Err(CodesError::AlphabetRepeat { index }),
                Some(true) => {}
            }
        }
        Ok(alphabet)
    }

    /// The symbols in their order.
    pub fn symbols(&self) -> &[u8] {
        self.symbols.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether `symbol` was new; `None` if it can be none.
    fn push(&mut self, symbol: u8) -> Option<bool> {
        let rank = self.ranks.get_mut(usize::from(symbol.checked_sub(SYMBOL_FIRST)?))?;
        if *rank != NO_RANK {
            return Some(false);
        }
        *self.symbols.get_mut(usize::from(self.len))? = symbol;
        *rank = self.len;
        self.len = self.len.saturating_add(1);
        Some(true)
    }

    /// How many symbols there are.
    #[inline]
    fn radix(&self) -> NonZeroU64 {
        NonZeroU64::MIN.saturating_add(u64::from(self.len).saturating_sub(1))
    }

    #[inline]
    fn symbol(&self, rank: u64) -> u8 {
        usize::try_from(rank).ok().and_then(|rank| self.symbols.get(rank)).copied().unwrap_or_default()
    }

    #[inline]
    fn rank(&self, symbol: u8) -> Option<u64> {
        let rank = self.ranks.get(usize::from(symbol.checked_sub(SYMBOL_FIRST)?)).copied()?;
        (rank != NO_RANK).then_some(u64::from(rank))
    }
}

impl Default for Alphabet {
    fn default() -> Self {
        let mut base62 = Alphabet { symbols: [0; SYMBOLS_MAX], len: 0, ranks: [NO_RANK; SYMBOLS_MAX] };
        for &symbol in BASE62 {
            base62.push(symbol);
        }
        base62
    }
}

impl fmt::Debug for Alphabet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alphabet({})", self.symbols().escape_ascii())
    }
}

/// One code: printable ASCII, on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code {
    symbols: [u8; LENGTH_MAX],
    len: u8,
}

impl Code {
    /// The symbols, the highest first.
    pub fn as_bytes(&self) -> &[u8] {
        self.symbols.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({})", self.as_bytes().escape_ascii())
    }
}

/// The codes of one allocator: ordinals to codes and back, one to one.
#[derive(Clone, PartialEq, Eq)]
pub struct Codes {
    alphabet: Alphabet,
    length: u8,
    /// Kept because it is stored and replicated; codes are made with `key`.
    secret: Box<[u8]>,
    space: u64,
    /// The two words of a SipHash key.
    key: (u64, u64),
    rounds: u8,
    /// Values of the left half; even.
    a: NonZeroU64,
    /// Values of the right half; `a * b` is `space` or less than `a` more.
    b: NonZeroU64,
}

impl Codes {
    /// Codes of `length` symbols. The secret is any 1 to 255 bytes; 32 random ones unless its owner
    /// must be able to give it again.
    pub fn new(length: u64, alphabet: Alphabet, secret: &[u8]) -> Result<Self, CodesError> {
        let length_max = u64::from(SPACE_MAX.checked_ilog(alphabet.radix().get()).unwrap_or(0));
        let refused = CodesError::Length { length, length_max };
        if !(1..=length_max).contains(&length) {
            return Err(refused);
        }
        if !(1..=SECRET_LEN_MAX).contains(&secret.len()) {
            return Err(CodesError::SecretLen { len: secret.len() });
        }
        let length = u8::try_from(length).map_err(|_| refused)?;
        let space = alphabet.radix().checked_pow(u32::from(length)).ok_or(refused)?.get();
        let (a, b) = halves(space);

        let mut codes =
            Codes { alphabet, length, secret: secret.into(), space, key: (0, 0), rounds: rounds(space), a, b };
        let mut stored = Vec::new();
        codes.put(&mut stored);
        let digest = Blake2b::<U16>::new().chain_update(KEY_NAME).chain_update(&stored).finalize();
        codes.key = SipHasher24::new_with_key(&digest.into()).keys();
        Ok(codes)
    }

    /// How many codes there are: ordinals are below it.
    pub fn space(&self) -> u64 {
        self.space
    }

    /// Symbols of every code.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// The symbols that codes are made of.
    pub fn alphabet(&self) -> &Alphabet {
        &self.alphabet
    }

    /// Bytes held outside of the struct.
    pub fn heap_bytes(&self) -> usize {
        self.secret.len()
    }

    /// The code of `ordinal`, if there are that many.
    pub fn encode(&self, ordinal: u64) -> Option<Code> {
        if ordinal >= self.space {
            return None;
        }
        let [value] = self.permute([ordinal]);
        Some(self.write(self.walk(value)))
    }

    /// The codes of as many ordinals from `first` on, as far as there are any.
    pub fn encode_all(&self, first: u64, count: u64) -> Vec<Code> {
        let end = first.saturating_add(count).min(self.space);
        let mut codes = Vec::with_capacity(usize::try_from(end.saturating_sub(first)).unwrap_or(0));
        for start in (first..end).step_by(LANES) {
            let mut lanes = [0; LANES];
            lanes.iter_mut().zip(start..end).for_each(|(lane, ordinal)| *lane = ordinal);
            let values = self.permute(lanes).into_iter().zip(start..end);
            codes.extend(values.map(|(value, _)| self.write(self.walk(value))));
        }
        codes
    }

    /// The ordinal of `code`; `None` for what is no code: another length or another symbol.
    pub fn decode(&self, code: &[u8]) -> Option<u64> {
        let mut ordinal = self.unpermute(self.read(code)?);
        while ordinal >= self.space {
            ordinal = self.unpermute(ordinal);
        }
        Some(ordinal)
    }

    /// Appends the stored form. It contains the secret.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_u64(out, u64::from(self.length));
        put_bytes(out, self.alphabet.symbols());
        put_bytes(out, &self.secret);
    }

    /// Reads what `put` wrote.
    pub fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        if reader.u8()? != VERSION {
            return Err(Corrupt("unknown version of codes"));
        }
        let length = reader.u64()?;
        let alphabet = Alphabet::new(reader.bytes(SYMBOLS_MAX)?).map_err(|error| Corrupt(error.reason()))?;
        let secret = reader.bytes(SECRET_LEN_MAX)?;
        Codes::new(length, alphabet, secret).map_err(|error| Corrupt(error.reason()))
    }

    /// Once through the network: a permutation of `0 .. a * b`. Each round waits for the one before it, so several
    /// values next to each other take little longer than one.
    #[inline]
    fn permute<const N: usize>(&self, values: [u64; N]) -> [u64; N] {
        let mut halves = values.map(|value| (value / self.b, value % self.b));
        for round in (0..self.rounds).step_by(2) {
            for (left, right) in &mut halves {
                *left = add(*left, self.f(round, *right, self.a), self.a);
            }
            for (left, right) in &mut halves {
                *right = add(*right, self.f(round | 1, *left, self.b), self.b);
            }
        }
        halves.map(|(left, right)| left.wrapping_mul(self.b.get()).wrapping_add(right))
    }

    /// The cycle walk. It ends: the cycle that left the space comes back to where it came from.
    #[inline]
    fn walk(&self, mut value: u64) -> u64 {
        while value >= self.space {
            [value] = self.permute([value]);
        }
        value
    }

    /// Back through the network.
    #[inline]
    fn unpermute(&self, value: u64) -> u64 {
        let (mut left, mut right) = (value / self.b, value % self.b);
        for round in (0..self.rounds).step_by(2).rev() {
            right = subtract(right, self.f(round | 1, left, self.b), self.b);
            left = subtract(left, self.f(round, right, self.a), self.a);
        }
        left.wrapping_mul(self.b.get()).wrapping_add(right)
    }

    /// The round function: a number below `modulus`. A half is below 2^32 (`halves`).
    #[inline]
    fn f(&self, round: u8, half: u64, modulus: NonZeroU64) -> u64 {
        let [h0, h1, h2, h3, ..] = half.to_le_bytes();
        let hash = SipHasher24::new_with_keys(self.key.0, self.key.1).hash(&[h0, h1, h2, h3, round]);
        let product = u128::from(hash).wrapping_mul(u128::from(modulus.get()));
        u64::try_from(product >> 64).unwrap_or_default()
    }

    #[inline]
    fn write(&self, mut value: u64) -> Code {
        let radix = self.alphabet.radix();
        let mut code = Code { symbols: [0; LENGTH_MAX], len: self.length };
        for symbol in code.symbols.iter_mut().take(usize::from(self.length)).rev() {
            *symbol = self.alphabet.symbol(value % radix);
            value /= radix;
        }
        code
    }

    /// Cannot wrap: `length` digits are below the space, which fits 63 bits.
    #[inline]
    fn read(&self, code: &[u8]) -> Option<u64> {
        if code.len() != usize::from(self.length) {
            return None;
        }
        let radix = self.alphabet.radix().get();
        code.iter()
            .try_fold(0u64, |value, &symbol| Some(value.wrapping_mul(radix).wrapping_add(self.alphabet.rank(symbol)?)))
    }
}

/// Without the secret and the key.
impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codes").field("length", &self.length).field("alphabet", &self.alphabet).finish_non_exhaustive()
    }
}

/// The sizes of the two halves: `a` the root of the space rounded up to an even number, `b` as small
/// as `a * b >= space` allows. For the largest space `a` is 3,037,000,500, below 2^32.
fn halves(space: u64) -> (NonZeroU64, NonZeroU64) {
    let root = space.isqrt();
    let root_up = root.saturating_add(u64::from(root.saturating_mul(root) < space));
    let a = NonZeroU64::MIN.saturating_add(root_up.next_multiple_of(2).saturating_sub(1));
    let b = NonZeroU64::MIN.saturating_add(space.saturating_sub(1) / a);
    (a, b)
}

/// Even, by the bits of the space rounded down: FFX, parameters A2, which starts at 2^8.
fn rounds(space: u64) -> u8 {
    match space.checked_ilog2().unwrap_or(0) {
        32.. => 12,
        20..32 => 18,
        14..20 => 24,
        10..14 => 30,
        0..10 => 36,
    }
}

/// Both operands are below `modulus`, itself below 2^32: the sum cannot wrap.
#[inline]
fn add(left: u64, right: u64, modulus: NonZeroU64) -> u64 {
    let sum = left.wrapping_add(right);
    if sum >= modulus.get() { sum.wrapping_sub(modulus.get()) } else { sum }
}

#[inline]
fn subtract(left: u64, right: u64, modulus: NonZeroU64) -> u64 {
    if left >= right { left.wrapping_sub(right) } else { left.wrapping_add(modulus.get()).wrapping_sub(right) }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "statistics, and a test may panic")]
mod tests {
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
    fn value(symbols: &[u8], code: Code) -> usize {
        let place = |symbol: &u8| symbols.iter().position(|other| other == symbol).unwrap();
        code.as_bytes().iter().fold(0, |value, symbol| value * symbols.len() + place(symbol))
    }

    /// Every alphabet size and length with a space of at most this many codes.
    fn every_space_up_to(space_max: u64) -> impl Iterator<Item = (Vec<u8>, u64)> {
        (2..=94)
            .flat_map(move |count| (1..=space_max.ilog(u64::from(count))).map(move |n| (printable(count), n.into())))
    }

    #[test]
    fn every_space_up_to_2_16_is_permuted_one_to_one() {
        let mut spaces = 0;
        for (symbols, length) in every_space_up_to(1 << 16) {
            let codes = codes(&symbols, length, b"one to one");
            let mut seen = vec![false; usize::try_from(codes.space()).unwrap()];
            for ordinal in 0..codes.space() {
                let code = codes.encode(ordinal).unwrap();
                assert_eq!(code.as_bytes().len(), usize::from(codes.length()));
                let value = value(&symbols, code);
                assert!(!seen[value], "{codes:?}: {code:?} twice, the second time for {ordinal}");
                seen[value] = true;
                assert_eq!(codes.decode(code.as_bytes()), Some(ordinal), "{codes:?}: {code:?}");
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
                    assert_eq!(codes.decode(code.as_bytes()), Some(ordinal), "{codes:?}: {code:?}");
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
            assert!(a.get() < 1 << 32 && b <= a && a.get() % 2 == 0, "{space}: {a} x {b}");
            let held = a.get().checked_mul(b.get()).unwrap();
            assert!(held >= space && held - space < a.get(), "{space}: {a} x {b}");
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
                &[
                    (0, "muenoSZ"),
                    (1, "GJFOOjV"),
                    (2, "bO2Cm92"),
                    (1_000_000, "Y6tjooq"),
                    (3_521_614_606_207, "mXotA63"),
                ],
            ),
            (
                base62,
                10,
                &zeroes,
                &[
                    (0, "aP4az6mQPG"),
                    (1, "sel9Z7ygqI"),
                    (1_000_000_000_000_000, "5SEOBlG4Je"),
                    (839_299_365_868_340_223, "c7lRhl0bzX"),
                ],
            ),
            (base62, 4, &long, &[(0, "MhM1"), (1, "3xWe"), (14_776_335, "WvBR")]),
            (b"01", 1, b"x", &[(0, "0"), (1, "1")]),
            (
                b"01",
                62,
                b"x",
                &[
                    (0, "00001101010100001100000111111011000011110111000101100100110100"),
                    (4_611_686_018_427_387_903, "10010111000001101001111110011001010110111011111100000010110100"),
                ],
            ),
            (
                b"abc",
                2,
                b"x",
                &[(0, "ba"), (1, "ab"), (2, "ac"), (3, "cb"), (4, "bb"), (5, "bc"), (6, "aa"), (7, "ca"), (8, "cc")],
            ),
            (b"0123456789", 3, b"x", &[(0, "509"), (1, "148"), (999, "105")]),
            (b"0123456789", 5, b"x", &[(0, "81834"), (1, "69088"), (99_999, "11674")]),
            (&printable(94), 9, b"\0\xff", &[(0, "e<`g=iV&X"), (572_994_802_228_616_703, "-M](aNyP>")]),
        ];
        for (symbols, length, secret, expected) in table {
            let codes = codes(symbols, length, secret);
            for &(ordinal, code) in expected {
                let made = codes.encode(ordinal).unwrap();
                assert_eq!(made.as_bytes().escape_ascii().to_string(), code, "{codes:?}, ordinal {ordinal}");
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
            .map(|codes| (0..1000).map(|n| value(codes.alphabet().symbols(), codes.encode(n).unwrap())).collect())
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
                let order: Vec<usize> = (0..codes.space()).map(|n| value(&symbols, codes.encode(n).unwrap())).collect();
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
                let order: Vec<usize> = (0..codes.space()).map(|n| value(&symbols, codes.encode(n).unwrap())).collect();
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
        (first..first + 100_000)
            .map(|ordinal| codes.encode(ordinal).unwrap().as_bytes().iter().map(rank).collect())
            .collect()
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
}
