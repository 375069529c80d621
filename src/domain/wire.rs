//! Bytes of our own formats: integers as LEB128 varints, signed ones in zigzag, byte strings with
//! their length before them. Everything stored, replicated or sent is made of these, and every
//! reader of them is a parser: it takes nothing on trust and allocates nothing before it has seen
//! the bytes.
//!
//! ```text
//!   u64      7 bits a byte, lowest first, bit 7 = another byte follows; the shortest form only
//!            300 = 1010_1100 0000_0010 = AC 02
//!   i64      zigzag, then u64: 0 -1 1 -2 2 ... = 0 1 2 3 4 ...
//!   bytes    u64 length, then that many bytes
//! ```
//!
//! Sources: DWARF 5, section 7.6 (LEB128); the zigzag mapping is that of Protocol Buffers.

use std::fmt;

/// The bytes are not what the format says, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt(pub &'static str);

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Corrupt {}

/// Appends `value`, 1 to 10 bytes.
#[inline]
pub fn put_u64(out: &mut impl Extend<u8>, mut value: u64) {
    while value >= 0x80 {
        out.extend([value.to_le_bytes()[0] | 0x80]);
        value >>= 7;
    }
    out.extend([value.to_le_bytes()[0]]);
}

/// Appends `value` in zigzag, 1 to 10 bytes.
#[inline]
pub fn put_i64(out: &mut impl Extend<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends the length of `bytes` and then `bytes`.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    out.extend_from_slice(bytes);
}

/// Reads what the `put_` functions wrote, from the front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, Corrupt> {
        let (&first, rest) = self.rest.split_first().ok_or(Corrupt("cut short"))?;
        self.rest = rest;
        Ok(first)
    }

    /// A varint in its shortest form.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0u64;
        let mut shift = 0u32;
        loop {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Corrupt("varint past 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let overlong = byte == 0 && shift > 0;
                return if overlong { Err(Corrupt("varint not in its shortest form")) } else { Ok(value) };
            }
            if shift == 63 {
                return Err(Corrupt("varint past 64 bits"));
            }
            shift = shift.saturating_add(7);
        }
    }

    /// A zigzag varint.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, Corrupt> {
        let raw = self.u64()?;
        Ok((raw >> 1).cast_signed() ^ 0i64.wrapping_sub((raw & 1).cast_signed()))
    }

    /// A Unix time in milliseconds, below 2^63: no clock gets there, and what counts on from a time
    /// never runs out.
    pub fn time_ms(&mut self) -> Result<u64, Corrupt> {
        let ms = self.u64()?;
        if i64::try_from(ms).is_ok() { Ok(ms) } else { Err(Corrupt("a time past 63 bits")) }
    }

    /// A byte string of at most `len_max` bytes.
    pub fn bytes(&mut self, len_max: usize) -> Result<&'a [u8], Corrupt> {
        let len = usize::try_from(self.u64()?).map_err(|_| Corrupt("length past memory"))?;
        if len > len_max {
            return Err(Corrupt("byte string longer than its limit"));
        }
        self.take(len)
    }

    /// Exactly `len` bytes, without a length before them.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Corrupt("cut short"))?;
        self.rest = rest;
        Ok(head)
    }

    /// Exactly `N` bytes, as an array.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Corrupt> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Corrupt("cut short"))?;
        self.rest = rest;
        Ok(*head)
    }

    /// The end: what is left over makes the whole corrupt.
    pub fn finish(self) -> Result<(), Corrupt> {
        if self.rest.is_empty() { Ok(()) } else { Err(Corrupt("bytes left over")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_at_every_boundary() {
        for shift in 0..64 {
            for near in [-1i64, 0, 1] {
                let value = (1u64 << shift).wrapping_add_signed(near);
                let mut out = Vec::new();
                put_u64(&mut out, value);
                put_i64(&mut out, value.cast_signed());
                let mut reader = Reader::new(&out);
                assert_eq!(reader.u64(), Ok(value));
                assert_eq!(reader.i64(), Ok(value.cast_signed()));
                assert_eq!(reader.finish(), Ok(()));
            }
        }
    }

    #[test]
    fn a_value_has_one_form_only() {
        assert!(Reader::new(&[0x80, 0x00]).u64().is_err(), "overlong zero");
        assert!(Reader::new(&[0xff; 11]).u64().is_err(), "endless");
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).u64().is_err(), "65 bits");
    }

    #[test]
    fn a_length_bomb_allocates_nothing() {
        let mut out = Vec::new();
        put_u64(&mut out, u64::MAX);
        assert!(Reader::new(&out).bytes(255).is_err());
        assert!(Reader::new(&[5, 1, 2]).bytes(255).is_err());
    }
}
