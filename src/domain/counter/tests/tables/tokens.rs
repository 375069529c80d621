//! Tokens.

use super::*;

/// LESSONS 2, 3 (Stripe, TigerBeetle): a token stands for one call, and only for one that counted.
#[test]
fn a_token_stands_for_one_call_that_counted() {
    let mut subject = subject(Some(0), None, Some(10));
    let mut ask = |token, verb| subject.tokened(NOW_MS, Some(token), verb);
    assert_eq!(ask(1, Verb::Incr(5)), Ok(Reply::Value(5)));
    assert_eq!(ask(1, Verb::Incr(5)), Ok(Reply::Value(5)), "a retry");
    for other in [Verb::Incr(4), Verb::Decr(-5), Verb::Decr(5), Verb::IncrEx(IncrEx { by: 5, ..BY_ONE }), hold(5, 1)] {
        assert_eq!(ask(1, other), Err(Error::TokenMismatch), "{other:?}");
    }
    assert_eq!(ask(2, Verb::Incr(6)), Err(bound(Side::Upper, 10, 11, false)));
    assert_eq!(ask(2, Verb::Incr(7)), Err(bound(Side::Upper, 10, 12, false)), "a refusal is not remembered");
    assert_eq!(ask(3, Verb::IncrEx(IncrEx { by: 6, ..BY_ONE })), Ok(Reply::Applied(Some(5), 0)));
    assert_eq!(ask(3, Verb::IncrEx(IncrEx { by: 5, ..BY_ONE })), Ok(Reply::Applied(Some(10), 5)), "nor a no-op");
    subject.at(NOW_MS, Verb::Set { value: 0, exists: None }).unwrap();
    assert_eq!(subject.tokened(NOW_MS, Some(2), Verb::Incr(6)), Ok(Reply::Value(6)), "decided anew, and it counts");
    assert_eq!(subject.tokened(NOW_MS, Some(2), Verb::Incr(6)), Ok(Reply::Value(6)), "once");
    assert_eq!(value(&subject), Some(6));
}

/// Each argument of INCREX tells one call from another.
#[test]
fn a_token_knows_every_argument() {
    let (at, bounds) = (|ms| Some(ExpiryOption::Set(When::At(ms))), |lower, upper| Bounds::new(lower, upper).unwrap());
    let calls = [
        BY_ONE,
        IncrEx { by: 2, ..BY_ONE },
        IncrEx { bounds: bounds(Some(0), None), ..BY_ONE },
        IncrEx { bounds: bounds(Some(1), None), ..BY_ONE },
        IncrEx { bounds: bounds(None, Some(9)), ..BY_ONE },
        IncrEx { bounds: bounds(Some(0), Some(9)), ..BY_ONE },
        IncrEx { saturate: true, ..BY_ONE },
        IncrEx { exists: Some(true), ..BY_ONE },
        IncrEx { exists: Some(false), ..BY_ONE },
        IncrEx { expiry: Some(ExpiryOption::Persist), ..BY_ONE },
        IncrEx { expiry: at(NOW_MS + 60_000), ..BY_ONE },
        IncrEx { expiry: at(NOW_MS + 60_001), ..BY_ONE },
        IncrEx { expiry: Some(ExpiryOption::Set(When::In(60_000))), ..BY_ONE },
        IncrEx { expiry: at(NOW_MS + 60_000), enx: true, ..BY_ONE },
    ];
    for (i, first) in calls.iter().enumerate() {
        for (j, then) in calls.iter().enumerate() {
            let mut subject = subject(if first.exists == Some(true) { Some(0) } else { None }, None, None);
            let reply = subject.tokened(NOW_MS, Some(1), Verb::IncrEx(*first));
            let again = subject.tokened(NOW_MS, Some(1), Verb::IncrEx(*then));
            assert_eq!(again, if i == j { reply } else { Err(Error::TokenMismatch) }, "{first:?} {then:?}");
        }
    }
}
