//! The bounds of a counter: inclusive, each may be absent.

use crate::error::{Error, Side};
use crate::hold::Sums;
use crate::wire::{Corrupt, Reader, put_i64};

const LOWER: u8 = 1;
const UPPER: u8 = 2;

/// What a value must lie between, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    lower: Option<i64>,
    upper: Option<i64>,
}

impl Bounds {
    /// No bounds at all.
    pub const NONE: Bounds = Bounds { lower: None, upper: None };

    /// Bounds that leave room for at least one value.
    pub fn new(lower: Option<i64>, upper: Option<i64>) -> Result<Self, Error> {
        match (lower, upper) {
            (Some(lower), Some(upper)) if lower > upper => Err(Error::BoundsCrossed { lower, upper }),
            _ => Ok(Bounds { lower, upper }),
        }
    }

    /// The smallest value allowed.
    pub fn lower(&self) -> Option<i64> {
        self.lower
    }

    /// The largest value allowed.
    pub fn upper(&self) -> Option<i64> {
        self.upper
    }

    /// Refuses a value that lies outside, or past 64 bits, once everything held is counted with it.
    pub fn admit(&self, value: i128, held: Sums) -> Result<(), Error> {
        let (low, high) = (value.saturating_add(held.down), value.saturating_add(held.up));
        let held = held != Sums::default();
        if low < i128::from(i64::MIN) {
            return Err(Error::Overflow { got: low, held });
        }
        if high > i128::from(i64::MAX) {
            return Err(Error::Overflow { got: high, held });
        }
        match (self.lower, self.upper) {
            (Some(bound), _) if low < i128::from(bound) => {
                Err(Error::Bound { side: Side::Lower, bound, got: low, held })
            }
            (_, Some(bound)) if high > i128::from(bound) => {
                Err(Error::Bound { side: Side::Upper, bound, got: high, held })
            }
            _ => Ok(()),
        }
    }

    /// Appends flags (1 = lower, 2 = upper) and the bounds that there are.
    pub fn put(&self, out: &mut Vec<u8>) {
        let lower = if self.lower.is_some() { LOWER } else { 0 };
        let upper = if self.upper.is_some() { UPPER } else { 0 };
        out.push(lower | upper);
        for bound in [self.lower, self.upper].into_iter().flatten() {
            put_i64(out, bound);
        }
    }

    /// Reads what `put` wrote.
    pub fn take(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let flags = reader.u8()?;
        if flags & !(LOWER | UPPER) != 0 {
            return Err(Corrupt("unknown flags of bounds"));
        }
        let lower = if flags & LOWER != 0 { Some(reader.i64()?) } else { None };
        let upper = if flags & UPPER != 0 { Some(reader.i64()?) } else { None };
        Bounds::new(lower, upper).map_err(|_| Corrupt("bounds crossed"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_included() {
        let bounds = Bounds::new(Some(-1), Some(1)).unwrap();
        for (value, inside) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            assert_eq!(bounds.admit(value, Sums::default()).is_ok(), inside, "{value}");
        }
        for (value, inside) in [(i64::MIN, true), (i64::MAX, true)] {
            assert_eq!(Bounds::NONE.admit(value.into(), Sums::default()).is_ok(), inside);
        }
        for value in [i128::from(i64::MIN) - 1, i128::from(i64::MAX) + 1] {
            assert!(matches!(bounds.admit(value, Sums::default()), Err(Error::Overflow { .. })), "{value}");
        }
        assert!(Bounds::new(Some(1), Some(0)).is_err());
        assert!(Bounds::new(Some(0), Some(0)).is_ok());
    }

    #[test]
    fn stored_bounds_come_back() {
        for lower in [None, Some(i64::MIN), Some(0)] {
            for upper in [None, Some(0), Some(i64::MAX)] {
                let bounds = Bounds::new(lower, upper).unwrap();
                let mut out = Vec::new();
                bounds.put(&mut out);
                let mut reader = Reader::new(&out);
                assert_eq!(Bounds::take(&mut reader), Ok(bounds));
                assert_eq!(reader.finish(), Ok(()));
            }
        }
        assert!(Bounds::take(&mut Reader::new(&[4])).is_err());
        assert!(Bounds::take(&mut Reader::new(&[3, 2, 0])).is_err(), "crossed");
    }
}
