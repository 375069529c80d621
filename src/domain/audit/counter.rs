//! The changes of a counter.
//!
//! ```text
//!   running state        the value, zigzag
//!
//!   code  name           bytes           delta shown          value after
//!      0  incr           delta, zigzag   delta                running + delta
//!      1  set            value, zigzag   value - running      value
//!      2  create         delta, zigzag   delta                running + delta
//!      3  alter          none            0, for none          running
//!      4  hold           amount, zigzag  amount               running
//!      5  commit         delta, zigzag   delta                running + delta
//!      6  release        amount, zigzag  amount               running
//!      7  hold-expired   amount, zigzag  amount               running
//! ```
//!
//! A `set` is written as its value: the distance between two values may need 65 bits.

use super::entry::Change;
use crate::wire::{Corrupt, Reader, put_i64};

/// What was done to a counter. Its code is part of the stored format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CounterOp {
    /// The value moved by a delta.
    Incr,
    /// The value was put somewhere.
    Set,
    /// The counter was made, with its initial value.
    Create,
    /// Its options changed, its value did not.
    Alter,
    /// An amount was set aside.
    Hold,
    /// A held amount, or a part of it, was applied.
    Commit,
    /// A held amount was given back.
    Release,
    /// A held amount fell back at its deadline.
    HoldExpired,
}

impl CounterOp {
    /// Every operation, by its code.
    pub const ALL: [CounterOp; 8] = [
        CounterOp::Incr,
        CounterOp::Set,
        CounterOp::Create,
        CounterOp::Alter,
        CounterOp::Hold,
        CounterOp::Commit,
        CounterOp::Release,
        CounterOp::HoldExpired,
    ];

    /// As a log entry shows it.
    pub fn name(self) -> &'static str {
        match self {
            CounterOp::Incr => "incr",
            CounterOp::Set => "set",
            CounterOp::Create => "create",
            CounterOp::Alter => "alter",
            CounterOp::Hold => "hold",
            CounterOp::Commit => "commit",
            CounterOp::Release => "release",
            CounterOp::HoldExpired => "hold-expired",
        }
    }

    fn code(self) -> u8 {
        match self {
            CounterOp::Incr => 0,
            CounterOp::Set => 1,
            CounterOp::Create => 2,
            CounterOp::Alter => 3,
            CounterOp::Hold => 4,
            CounterOp::Commit => 5,
            CounterOp::Release => 6,
            CounterOp::HoldExpired => 7,
        }
    }
}

/// One change of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterChange {
    /// What was done.
    pub op: CounterOp,
    /// By how much: what the value moved, or for a hold, its release and its expiry the amount,
    /// which moves no value. 0 for `alter`. Past 64 bits only for `set`.
    pub delta: i128,
    /// The value after the change.
    pub value: i64,
}

impl Change for CounterChange {
    type Running = i64;

    fn op(&self) -> u8 {
        self.op.code()
    }

    /// Always the value before the change. That one differs from the value so far if changes in
    /// between were not logged.
    #[inline]
    fn enter(&self, _: Option<i64>) -> Result<i64, Corrupt> {
        const WIDE: Corrupt = Corrupt("log entry with a delta past 64 bits");
        let before = || {
            let before = i128::from(self.value).checked_sub(self.delta).and_then(|before| i64::try_from(before).ok());
            before.ok_or(Corrupt("log entry with a value before it past 64 bits"))
        };
        match self.op {
            CounterOp::Set => before(),
            CounterOp::Incr | CounterOp::Create | CounterOp::Commit => {
                i64::try_from(self.delta).map_err(|_| WIDE)?;
                before()
            }
            CounterOp::Hold | CounterOp::Release | CounterOp::HoldExpired => {
                i64::try_from(self.delta).map_err(|_| WIDE)?;
                Ok(self.value)
            }
            CounterOp::Alter if self.delta != 0 => Err(Corrupt("log entry with a delta that nothing moved by")),
            CounterOp::Alter => Ok(self.value),
        }
    }

    #[inline]
    fn encode(&self, running: &mut i64, out: &mut Vec<u8>) {
        match self.op {
            CounterOp::Alter => {}
            CounterOp::Set => put_i64(out, self.value),
            _ => put_i64(out, i64::try_from(self.delta).unwrap_or(0)), // `enter` has seen that it fits
        }
        *running = self.value;
    }

    #[inline]
    fn decode(op: u8, running: &mut i64, input: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let op = *CounterOp::ALL.get(usize::from(op)).ok_or(Corrupt("unknown change of a counter"))?;
        let before = *running;
        let delta = match op {
            CounterOp::Alter => 0,
            CounterOp::Set => {
                *running = input.i64()?;
                i128::from(*running).saturating_sub(i128::from(before)) // 65 bits at most
            }
            CounterOp::Incr | CounterOp::Create | CounterOp::Commit => {
                let delta = input.i64()?;
                *running = before.checked_add(delta).ok_or(Corrupt("logged value past 64 bits"))?;
                i128::from(delta)
            }
            CounterOp::Hold | CounterOp::Release | CounterOp::HoldExpired => i128::from(input.i64()?),
        };
        Ok(CounterChange { op, delta, value: *running })
    }

    fn put_running(running: i64, out: &mut Vec<u8>) {
        put_i64(out, running);
    }

    fn take_running(input: &mut Reader<'_>) -> Result<i64, Corrupt> {
        input.i64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: i128 = -(1 << 63);
    const MAX: i128 = (1 << 63) - 1;

    #[test]
    fn every_operation_comes_back_at_the_boundaries() {
        use CounterOp::*;
        for (op, delta, value, before) in [
            (Incr, 0, 0, 0),
            (Incr, MAX, i64::MAX, 0),
            (Incr, MIN, i64::MIN, 0),
            (Incr, MAX, -1, i64::MIN),
            (Create, -7, -7, 0),
            (Commit, MIN, -1, i64::MAX),
            (Set, MAX - MIN, i64::MAX, i64::MIN),
            (Set, MIN - MAX, i64::MIN, i64::MAX),
            (Alter, 0, 5, 5),
            (Hold, MIN, i64::MAX, i64::MAX),
            (Release, MAX, i64::MIN, i64::MIN),
            (HoldExpired, 3, 0, 0),
        ] {
            let change = CounterChange { op, delta, value };
            assert_eq!(change.enter(None), Ok(before), "{change:?}");
            let (mut running, mut out) = (before, Vec::new());
            change.encode(&mut running, &mut out);
            assert_eq!(running, value);
            assert!(out.len() <= crate::audit::entry::CHANGE_LEN_MAX);
            let (mut running, mut input) = (before, Reader::new(&out));
            assert_eq!(CounterChange::decode(change.op(), &mut running, &mut input), Ok(change));
            assert_eq!(running, value);
            assert!(input.is_empty());
        }
    }

    #[test]
    fn a_change_that_contradicts_itself_is_refused() {
        use CounterOp::*;
        for (op, delta, value) in [
            (Incr, 1, i64::MIN),
            (Incr, MAX + 1, i64::MAX),
            (Set, MAX - MIN + 1, i64::MAX),
            (Alter, 1, 0),
            (Hold, MIN - 1, 0),
        ] {
            assert!(CounterChange { op, delta, value }.enter(None).is_err(), "{op:?} {delta} {value}");
        }
    }

    #[test]
    fn bytes_that_overflow_or_name_no_operation_are_corrupt() {
        let mut one = Vec::new();
        put_i64(&mut one, 1);
        assert!(CounterChange::decode(0, &mut { i64::MAX }, &mut Reader::new(&one)).is_err());
        for op in 8..=15 {
            assert!(CounterChange::decode(op, &mut 0, &mut Reader::new(&one)).is_err());
        }
    }

    #[test]
    fn codes_are_places_in_the_table() {
        for (code, op) in CounterOp::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(op.code()), code);
        }
    }
}
