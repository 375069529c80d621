//! INCREX, as the native command documents it.

use super::*;

/// The value before, BYINT, LBOUND, UBOUND, SATURATE; the reply.
#[test]
fn increx_follows_the_native_rules() {
    for (before, by, lower, upper, saturate, reply) in [
        (None, 1, None, None, false, Some((1, 1))),
        (Some(100), -10, None, None, false, Some((90, -10))),
        // Out of bounds is no error: nothing happens.
        (Some(10), 5, None, Some(20), false, Some((15, 5))),
        (Some(10), 5, None, Some(15), false, Some((15, 5))),
        (Some(10), 5, None, Some(12), false, Some((10, 0))),
        (Some(10), 5, None, Some(10), false, Some((10, 0))),
        (Some(10), -5, Some(5), None, false, Some((5, -5))),
        (Some(10), -5, Some(8), None, false, Some((10, 0))),
        (Some(10), 5, Some(10), Some(10), false, Some((10, 0))),
        (None, 1, None, Some(0), false, Some((0, 0))),
        (None, 1, Some(5), None, false, Some((0, 0))),
        // What counts is where the value goes, not where it is.
        (Some(10), 5, None, Some(5), false, Some((10, 0))),
        (Some(10), -5, None, Some(5), false, Some((5, -5))),
        (Some(10), 5, Some(20), None, false, Some((10, 0))),
        (Some(10), 10, Some(20), None, false, Some((20, 10))),
        // SATURATE goes to the bound that is broken, also from outside and against the increment.
        (Some(99), 5, None, Some(100), true, Some((100, 1))),
        (Some(10), 5, None, Some(10), true, Some((10, 0))),
        (Some(10), 5, None, Some(5), true, Some((5, -5))),
        (Some(10), -5, Some(8), None, true, Some((8, -2))),
        (Some(10), -5, Some(20), None, true, Some((20, 10))),
        (Some(10), 5, Some(10), Some(10), true, Some((10, 0))),
        (Some(10), 5, None, None, true, Some((15, 5))),
        (None, 1, Some(5), None, true, Some((5, 5))),
        // 64 bits are bounds too.
        (Some(MAX), 1, None, None, false, Some((MAX, 0))),
        (Some(MIN), -1, None, None, false, Some((MIN, 0))),
        (Some(10), MAX, None, Some(100), false, Some((10, 0))),
        (Some(MAX - 7), 10, None, None, true, Some((MAX, 7))),
        (Some(MIN + 7), -10, None, None, true, Some((MIN, -7))),
        (Some(10), MAX, None, Some(100), true, Some((100, 90))),
        (Some(-10), -MAX, Some(-100), None, true, Some((-100, -90))),
        (Some(MAX), MIN, None, None, false, Some((-1, MIN))),
        // A step that does not fit 64 bits.
        (Some(MAX), -5, None, Some(MIN), true, None),
        (Some(MIN), 1, Some(MAX), None, true, None),
        (Some(MIN), 1, Some(-1), None, true, Some((-1, MAX))),
        (Some(0), -1, None, Some(MIN), true, Some((MIN, MIN))),
        (Some(1), -1, None, Some(MIN), true, None),
    ] {
        let mut subject = subject(before, None, None);
        let request = IncrEx { by, bounds: Bounds::new(lower, upper).unwrap(), saturate, ..BY_ONE };
        let got = subject.at(NOW_MS, Verb::IncrEx(request));
        match reply {
            Some((after, applied)) => {
                assert_eq!(got, Ok(Reply::Applied(Some(after), applied)), "{before:?} {request:?}")
            }
            None => assert!(matches!(got, Err(Error::StepTooWide(_))), "{before:?} {request:?}: {got:?}"),
        }
        let after = match reply {
            Some((after, applied)) if applied != 0 => Some(after),
            _ => before,
        };
        assert_eq!(value(&subject), after, "{before:?} {request:?}");
    }
}

#[test]
fn increx_has_the_tighter_of_two_bounds() {
    // Stored bounds, those of the call, SATURATE, BYINT 100 from 0: where it stops.
    for (stored, call, saturate, after) in [
        ((None, Some(50)), (None, Some(70)), true, 50),
        ((None, Some(70)), (None, Some(50)), true, 50),
        ((None, Some(100)), (None, None), false, 100),
        ((None, Some(99)), (None, Some(100)), false, 0),
        ((None, Some(100)), (None, Some(99)), false, 0),
        // Bounds that leave no room between them refuse.
        ((None, Some(50)), (Some(60), None), true, 0),
        ((None, Some(50)), (Some(60), Some(70)), true, 0),
    ] {
        let mut subject = subject(Some(0), stored.0, stored.1);
        let request = IncrEx { by: 100, bounds: Bounds::new(call.0, call.1).unwrap(), saturate, ..BY_ONE };
        assert_eq!(subject.at(NOW_MS, Verb::IncrEx(request)), Ok(Reply::Applied(Some(after), after)), "{request:?}");
    }
    let mut subject = subject(Some(0), Some(-100), Some(100));
    subject.at(NOW_MS, hold(30, 1_000)).unwrap();
    subject.at(NOW_MS, hold(-40, 1_000)).unwrap();
    let saturating = |by| Verb::IncrEx(IncrEx { by, saturate: true, ..BY_ONE });
    assert_eq!(subject.at(NOW_MS, saturating(MAX)), Ok(Reply::Applied(Some(70), 70)), "holds count");
    assert_eq!(subject.at(NOW_MS, saturating(MIN)), Ok(Reply::Applied(Some(-60), -130)));
    assert_eq!(subject.at(NOW_MS + 1_000, saturating(MIN)), Ok(Reply::Applied(Some(-100), -40)), "no longer");
}

/// The expiry before, the option, ENX, whether the increment is refused; the expiry after.
#[test]
fn increx_moves_the_expiry_as_the_native_one_does() {
    let (soon, late) = (NOW_MS + 10_000, NOW_MS + 500_000);
    let at = |ms| Some(ExpiryOption::Set(When::At(ms)));
    for (before, expiry, enx, refused, after) in [
        (None, None, false, false, None),
        (Some(late), None, false, false, Some(late)),
        (None, at(soon), false, false, Some(soon)),
        (Some(late), at(soon), false, false, Some(soon)),
        (Some(late), Some(ExpiryOption::Set(When::In(7))), false, false, Some(NOW_MS + 7)),
        (None, at(soon), true, false, Some(soon)),
        (Some(late), at(soon), true, false, Some(late)),
        (Some(late), Some(ExpiryOption::Persist), false, false, None),
        (None, Some(ExpiryOption::Persist), false, false, None),
        // A refused increment leaves it alone.
        (None, at(soon), false, true, None),
        (Some(late), at(soon), false, true, Some(late)),
        (None, at(soon), true, true, None),
        (Some(late), Some(ExpiryOption::Persist), false, true, Some(late)),
    ] {
        let mut subject = subject(Some(10), None, None);
        subject.expires_ms = before;
        let bounds = Bounds::new(None, refused.then_some(5)).unwrap();
        let request = IncrEx { expiry, enx, bounds, ..BY_ONE };
        let applied = i64::from(!refused);
        assert_eq!(subject.at(NOW_MS, Verb::IncrEx(request)), Ok(Reply::Applied(Some(10 + applied), applied)));
        assert_eq!(subject.expires_ms, after, "{before:?} {request:?}");
    }
    // With SATURATE the expiry is set also where nothing is left to add.
    let mut subject = subject(Some(10), None, Some(10));
    let request = IncrEx { expiry: at(soon), saturate: true, ..BY_ONE };
    assert_eq!(subject.at(NOW_MS, Verb::IncrEx(request)), Ok(Reply::Applied(Some(10), 0)));
    assert_eq!(subject.expires_ms, Some(soon));
}

#[test]
fn increx_asks_first_whether_the_key_exists() {
    for (before, exists, reply, after) in [
        (None, Some(true), (None, 0), None),
        (None, Some(false), (Some(1), 1), Some(1)),
        (Some(5), Some(true), (Some(6), 1), Some(6)),
        (Some(5), Some(false), (Some(5), 0), Some(5)),
    ] {
        let mut subject = subject(before, None, None);
        let expiry = Some(ExpiryOption::Set(When::In(1_000)));
        let got = subject.at(NOW_MS, Verb::IncrEx(IncrEx { exists, expiry, ..BY_ONE }));
        assert_eq!(got, Ok(Reply::Applied(reply.0, reply.1)), "{before:?} {exists:?}");
        assert_eq!(value(&subject), after);
        assert_eq!(subject.expires_ms.is_some(), reply.1 != 0);
    }
}
