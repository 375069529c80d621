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
//! `F` is AES-128 (FIPS 197; FF1 is built on AES, too) of one block: its first byte is the number of the
//! round, the next four are the half, least significant first, the others are zeroes. Of the block that
//! comes out, the last eight bytes, least significant first again, are a number that is brought below `a`
//! or `b` by the high word of a product; what that is off from uniform is below 2^-32. That AES is itself a
//! permutation does not show: half of the block is left out, and no more than 2^38 are ever put in.
//!
//! **The key** is BLAKE2b-128 of everything that is stored (a name, version, length, alphabet and
//! secret, each with its length), so a secret may have any length, and neither another alphabet nor
//! another length under the same secret gives a related permutation. No deliberately slow derivation:
//! it would run on the server's only thread at every load of a key. A secret that can be guessed can
//! therefore be tried out against one known pair; a drawn one of 32 bytes cannot.
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
//! second one. FF1 itself: arithmetic on long numbers, for spaces that fit a register. SipHash-2-4 for
//! `F`: one code costs half as much, a hundred three times as much, where a processor has instructions for AES.
//! A block cipher of 32 or 64 bits: walks too far in a small space. Swap-or-not and its like: hundreds of
//! rounds. A multiplication modulo the space, a shuffled alphabet, a mix of one's own: two known pairs, or
//! a look, give them away.
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
use std::num::{NonZeroU32, NonZeroU64};

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};
use blake2::digest::consts::U16;
use blake2::{Blake2b, Digest};

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
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Ordinals that go through the network side by side, since each round waits for the one before it: far more blocks
/// than `aes` encrypts at once, so that what goes in was written long before.
const LANES: usize = 64;
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

/// The codes of one allocator: ordinals to codes and back, one to one.
#[derive(Clone, PartialEq, Eq)]
pub struct Codes {
    alphabet: Alphabet,
    length: u8,
    /// Kept because it is stored and replicated; codes are made with `key`.
    secret: Box<[u8]>,
    space: u64,
    key: [u8; 16],
    rounds: u8,
    /// Values of the left half; even.
    a: NonZeroU32,
    /// Values of the right half; `a * b` is `space` or less than `a` more.
    b: NonZeroU32,
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
            Codes { alphabet, length, secret: secret.into(), space, key: [0; 16], rounds: rounds(space), a, b };
        let mut stored = Vec::new();
        codes.put(&mut stored);
        let digest = Blake2b::<U16>::new().chain_update(KEY_NAME).chain_update(&stored).finalize();
        codes.key = digest.into();
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
    pub fn encode(&self, ordinal: u64) -> Option<Vec<u8>> {
        Some(self.encode_all(ordinal, 1)).filter(|code| !code.is_empty())
    }

    /// The codes of as many ordinals from `first` on, as far as there are any: each as long as all, one after the other.
    pub fn encode_all(&self, first: u64, count: u64) -> Vec<u8> {
        let mut values: Vec<u64> = (first..first.saturating_add(count).min(self.space)).collect();
        let cipher = self.cipher();
        self.permute(&cipher, &mut values);
        let mut symbols = vec![0; values.len().saturating_mul(self.length.into())];
        let digits = Digits::new(self.space, self.alphabet.radix());
        for (code, value) in symbols.chunks_exact_mut(self.length.into()).zip(values) {
            let digits = digits.of(self.walk(&cipher, value));
            code.iter_mut().zip(digits).for_each(|(symbol, digit)| *symbol = self.alphabet.symbol(digit));
        }
        symbols
    }

    /// The ordinal of `code`; `None` for what is no code: another length or another symbol.
    pub fn decode(&self, code: &[u8]) -> Option<u64> {
        let cipher = self.cipher();
        let mut ordinal = self.unpermute(&cipher, self.read(code)?);
        while ordinal >= self.space {
            ordinal = self.unpermute(&cipher, ordinal);
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

    /// For one reply: kept in the value, it would align that to more than a server's allocator does.
    fn cipher(&self) -> Aes128Enc {
        Aes128Enc::new(&self.key.into())
    }

    /// Each value once through the network: a permutation of `0 .. a * b`.
    fn permute(&self, cipher: &Aes128Enc, values: &mut [u64]) {
        let b = NonZeroU64::from(self.b);
        let (mut left, mut right, mut blocks) = ([0; LANES], [0; LANES], [Block::default(); LANES]);
        for values in values.chunks_mut(LANES) {
            for ((left, right), value) in left.iter_mut().zip(&mut right).zip(&mut *values) {
                (*left, *right) = (half(*value / b), half(*value % b));
            }
            let lanes = values.len();
            let blocks = blocks.get_mut(..lanes).unwrap_or_default();
            for round in (0..self.rounds).step_by(2) {
                step(cipher, round, blocks, &right, &mut left, self.a, add);
                step(cipher, round | 1, blocks, &left, &mut right, self.b, add);
            }
            for ((left, right), value) in left.iter().zip(&right).zip(values) {
                *value = u64::from(*left).wrapping_mul(b.get()).wrapping_add(u64::from(*right));
            }
        }
    }

    /// The cycle walk. It ends: the cycle that left the space comes back to where it came from.
    #[inline]
    fn walk(&self, cipher: &Aes128Enc, value: u64) -> u64 {
        let mut value = [value];
        while value[0] >= self.space {
            self.permute(cipher, &mut value);
        }
        value[0]
    }

    /// One value back through the network.
    fn unpermute(&self, cipher: &Aes128Enc, value: u64) -> u64 {
        let b = NonZeroU64::from(self.b);
        let (mut left, mut right, mut blocks) = ([half(value / b)], [half(value % b)], [Block::default()]);
        for round in (0..self.rounds).step_by(2).rev() {
            step(cipher, round | 1, &mut blocks, &left, &mut right, self.b, subtract);
            step(cipher, round, &mut blocks, &right, &mut left, self.a, subtract);
        }
        let ([left], [right]) = (left, right);
        u64::from(left).wrapping_mul(b.get()).wrapping_add(u64::from(right))
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
fn halves(space: u64) -> (NonZeroU32, NonZeroU32) {
    let root = space.isqrt();
    let root_up = root.saturating_add(u64::from(root.saturating_mul(root) < space));
    let a = NonZeroU64::MIN.saturating_add(root_up.next_multiple_of(2).saturating_sub(1));
    let b = NonZeroU64::MIN.saturating_add(space.saturating_sub(1) / a);
    let [a, b] = [a, b].map(|half| NonZeroU32::try_from(half).unwrap_or(NonZeroU32::MAX));
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

/// What is below the size of a half, or below 2^32.
#[inline]
fn half(number: u64) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// One round: moves each number of `to`, which are below `modulus`, by what the round function makes of that of `from`.
/// `blocks` is room for as many as there are. In halves of words, which processors multiply side by side; not inlined,
/// since the compiler then sees that nothing overlaps and does multiply them so: a fifth less time.
#[inline(never)]
fn step(
    cipher: &Aes128Enc,
    round: u8,
    blocks: &mut [Block],
    from: &[u32],
    to: &mut [u32],
    modulus: NonZeroU32,
    moved: impl Fn(u32, u32, u32) -> u32,
) {
    for (block, &half) in blocks.iter_mut().zip(from) {
        *block = ((u128::from(half) << 8) | u128::from(round)).to_le_bytes().into();
    }
    cipher.encrypt_blocks(blocks);
    let modulus = modulus.get();
    for (block, to) in blocks.iter().zip(to) {
        let &[_, _, low, high] = block.0.as_chunks().0 else { continue };
        let [low, high] = [low, high].map(|word| u64::from(u32::from_le_bytes(word)).wrapping_mul(modulus.into()));
        *to = moved(*to, half(high.wrapping_add(low >> 32) >> 32), modulus);
    }
}

/// Both operands are below `modulus`. The sum may not fit 32 bits.
#[inline]
fn add(left: u32, right: u32, modulus: u32) -> u32 {
    subtract(left, modulus.wrapping_sub(right), modulus)
}

/// Neither operand is above `modulus`, and `left` is below it.
#[inline]
fn subtract(left: u32, right: u32, modulus: u32) -> u32 {
    let difference = left.wrapping_sub(right);
    if left >= right { difference } else { difference.wrapping_add(modulus) }
}

/// Writes numbers below `space`, a power of the radix, without a division for each digit: as fractions of it, of which
/// multiplying by the radix brings forth one digit after the other, the highest first.
struct Digits {
    /// 2^128 / space, rounded up.
    unit: u128,
    radix: NonZeroU64,
}

impl Digits {
    fn new(space: u64, radix: NonZeroU64) -> Self {
        let unit = u128::MAX.checked_div(space.into()).unwrap_or_default().saturating_add(1);
        Digits { unit, radix }
    }

    /// As many as are taken. The fraction, in units of 2^-64, is more than `value / space` and by less than two units.
    /// That is less than the last digit stands for, since there are at most 2^63 numbers: it changes no digit.
    #[inline]
    fn of(&self, value: u64) -> impl Iterator<Item = u64> {
        let (radix, product) = (self.radix.get(), self.unit.wrapping_mul(value.into()));
        let mut fraction = word(product >> 64).wrapping_add(1);
        std::iter::repeat_with(move || {
            let product = u128::from(fraction).wrapping_mul(radix.into());
            fraction = word(product & u128::from(u64::MAX));
            word(product >> 64)
        })
    }
}

/// What is below 2^64.
#[inline]
fn word(number: u128) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::as_conversions, reason = "statistics, and a test may panic")]
mod tests;
