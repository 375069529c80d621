//! Holds, their deadlines, and how they end.

use super::*;

/// LESSONS 14, 15 (limitador#515, litellm#27001): what is held counts in its own direction until its
/// deadline, whoever writes.
#[test]
fn what_is_held_is_kept_free() {
    let mut subject = subject(Some(10), Some(0), Some(20));
    let stock = id(subject.at(NOW_MS, hold(-7, 100)));
    let quota = id(subject.at(NOW_MS, hold(6, 100)));
    for (verb, refusal) in [
        (Verb::Decr(4), bound(Side::Lower, 0, -1, true)),
        (Verb::Incr(-4), bound(Side::Lower, 0, -1, true)),
        (Verb::Incr(5), bound(Side::Upper, 20, 21, true)),
        (Verb::Set { value: 6, exists: None }, bound(Side::Lower, 0, -1, true)),
        (Verb::Set { value: 15, exists: Some(true) }, bound(Side::Upper, 20, 21, true)),
        (hold(-4, 100), bound(Side::Lower, 0, -1, true)),
        (hold(5, 100), bound(Side::Upper, 20, 21, true)),
        (Verb::Alter(Alter { lower: Some(Some(4)), ..Alter::default() }), bound(Side::Lower, 4, 3, true)),
        (Verb::Alter(Alter { upper: Some(Some(15)), ..Alter::default() }), bound(Side::Upper, 15, 16, true)),
    ] {
        assert_eq!(subject.at(NOW_MS + 99, verb), Err(refusal), "{verb:?}");
        assert_eq!(value(&subject), Some(10));
    }
    assert_eq!(subject.at(NOW_MS + 99, Verb::Commit { id: stock, amount: Some(-3) }), Ok(Reply::Value(7)));
    assert_eq!(subject.at(NOW_MS + 99, commit(quota)), Ok(Reply::Value(13)));
    assert_eq!(subject.at(NOW_MS + 99, Verb::Decr(13)), Ok(Reply::Value(0)), "the rest went back");
}

#[test]
fn a_hold_counts_nowhere_from_the_millisecond_of_its_deadline() {
    for (now_ms, counts) in [(NOW_MS + 99, true), (NOW_MS + 100, false), (NOW_MS + 101, false)] {
        let held = || {
            let mut subject = subject(Some(10), Some(0), None);
            let id = id(subject.at(NOW_MS, hold(-7, 100)));
            (subject, id)
        };
        let (mut counter, id) = held();
        let expired = Err(Error::HoldResolved("expired"));
        assert_eq!(counter.at(now_ms, commit(id)), if counts { Ok(Reply::Value(3)) } else { expired.clone() });
        let (mut counter, id) = held();
        let released = if counts { Ok(Reply::Done(true)) } else { expired.clone() };
        assert_eq!(counter.at(now_ms, Verb::Release { id }), released);
        for verb in [Verb::Decr(10), hold(-10, 1), Verb::Set { value: 0, exists: None }] {
            assert_eq!(held().0.at(now_ms, verb).is_err(), counts, "{verb:?} at {now_ms}");
        }
        let (mut counter, id) = held();
        counter.at(now_ms, Verb::Incr(1)).unwrap();
        let pending = counter.pair.replica.as_ref().unwrap().holds().unwrap().pending(0).count();
        assert_eq!(pending, usize::from(counts), "the next write carries the expiry to the replica");
        let again = counter.at(NOW_MS, commit(id));
        assert_eq!(again, if counts { Ok(Reply::Value(4)) } else { expired }, "also when the clock steps back");
    }
}

#[test]
fn a_resolution_is_repeated_and_a_contradiction_is_named() {
    let part = |id, amount| Verb::Commit { id, amount: Some(amount) };
    let resolved = |how| Err(Error::HoldResolved(how));
    // How it ends, what is then asked for, and the answer.
    type Asked = fn(u64) -> Verb;
    let rows: [(Asked, Asked, Result<Reply, Error>); 14] = [
        (commit, commit, Ok(Reply::Value(5))),
        (commit, |id| Verb::Commit { id, amount: Some(-5) }, Ok(Reply::Value(5))),
        (commit, |id| Verb::Commit { id, amount: Some(-4) }, resolved("committed")),
        (commit, |id| Verb::Commit { id, amount: Some(5) }, resolved("committed")),
        (commit, |id| Verb::Release { id }, resolved("committed")),
        (|id| Verb::Commit { id, amount: Some(-5) }, commit, Ok(Reply::Value(5))),
        (|id| Verb::Commit { id, amount: Some(-2) }, |id| Verb::Commit { id, amount: Some(-2) }, Ok(Reply::Value(8))),
        (|id| Verb::Commit { id, amount: Some(-2) }, commit, resolved("committed")),
        (|id| Verb::Commit { id, amount: Some(-2) }, |id| Verb::Commit { id, amount: Some(-5) }, resolved("committed")),
        (|id| Verb::Commit { id, amount: Some(-2) }, |id| Verb::Release { id }, resolved("committed")),
        (|id| Verb::Release { id }, |id| Verb::Release { id }, Ok(Reply::Done(true))),
        (|id| Verb::Release { id }, commit, resolved("released")),
        (|id| Verb::Release { id }, |id| Verb::Commit { id, amount: Some(-1) }, resolved("released")),
        (|_| Verb::Incr(0), |id| Verb::Release { id: id + 1 }, Err(Error::NoHold)),
    ];
    for (row, (first, then, answer)) in rows.into_iter().enumerate() {
        let mut subject = subject(Some(10), Some(0), None);
        let id = id(subject.at(NOW_MS, hold(-5, 100)));
        subject.at(NOW_MS, first(id)).unwrap();
        let before = value(&subject);
        // Others write in between, and the deadline passes: neither changes the answer.
        subject.at(NOW_MS + 1_000, Verb::Incr(100)).unwrap();
        assert_eq!(subject.at(NOW_MS + 1_000, then(id)), answer, "row {row}");
        assert_eq!(value(&subject), before.map(|before| before + 100), "row {row}");
    }
    // What cannot be committed.
    let mut subject = subject(Some(10), Some(0), None);
    let id = id(subject.at(NOW_MS, hold(-5, 100)));
    for amount in [0, 1, 5, -6, MIN, MAX] {
        assert_eq!(subject.at(NOW_MS, part(id, amount)), Err(Error::CommitTooMuch { held: -5, got: amount }));
    }
    assert_eq!(subject.at(NOW_MS, commit(id)), Ok(Reply::Value(5)), "it is still there");
}

#[test]
fn a_resolution_is_remembered_as_long_as_a_token() {
    for duration_ms in [1, 1_000, TOKEN_LIMITS_DEFAULT.duration_ms()] {
        let resolve = |how: &str| {
            let mut subject = subject(Some(10), Some(0), None);
            let options = KeyOptions { token_duration_ms: Some(duration_ms), ..KeyOptions::default() };
            subject.at(NOW_MS, Verb::Alter(Alter { options, ..Alter::default() })).unwrap();
            let id = id(subject.at(NOW_MS - 100, hold(-5, 100)));
            match how {
                "committed" => _ = subject.at(NOW_MS - 1, commit(id)).unwrap(),
                "released" => _ = subject.at(NOW_MS - 1, Verb::Release { id }).unwrap(),
                _ => {}
            }
            (subject, id)
        };
        for (how, ended_ms) in [("committed", NOW_MS - 1), ("released", NOW_MS - 1), ("expired", NOW_MS)] {
            for (now_ms, error) in [
                (ended_ms, Error::HoldResolved(how)),
                (ended_ms + duration_ms - 1, Error::HoldResolved(how)),
                (ended_ms + duration_ms, Error::NoHold),
            ] {
                // Neither a write in between nor its absence changes what is known.
                for writes in [false, true] {
                    let (mut subject, id) = resolve(how);
                    if writes {
                        subject.at(now_ms, Verb::Incr(1)).unwrap();
                    }
                    let asked = if how == "committed" { Verb::Release { id } } else { commit(id) };
                    assert_eq!(subject.at(now_ms, asked), Err(error.clone()), "{how} {duration_ms} {writes}");
                }
            }
        }
    }
}

/// What is forgotten stays forgotten, however much of it is still there to be freed.
#[test]
fn a_longer_memory_brings_nothing_back() {
    let remember = |duration_ms| {
        let options = KeyOptions { token_duration_ms: Some(duration_ms), ..KeyOptions::default() };
        Verb::Alter(Alter { options, ..Alter::default() })
    };
    let mut subject = subject(Some(0), None, Some(MAX));
    subject.at(NOW_MS, remember(1_000)).unwrap();
    let ids: Vec<u64> = (0..50).map(|_| id(subject.at(NOW_MS, hold(1, 100)))).collect();
    for &id in &ids[..25] {
        subject.at(NOW_MS, Verb::Release { id }).unwrap(); // the others expire
    }
    subject.at(NOW_MS + 1_100, remember(300_000)).unwrap();
    for id in ids {
        assert_eq!(subject.at(NOW_MS + 1_100, Verb::Release { id }), Err(Error::NoHold));
    }
}

#[test]
fn a_hold_needs_a_bound_room_and_a_future() {
    for (lower, upper, amount, until, refusal) in [
        (None, Some(20), -1, When::In(1), Some(Error::HoldUnbounded(Side::Lower))),
        (Some(0), None, 1, When::In(1), Some(Error::HoldUnbounded(Side::Upper))),
        (Some(0), Some(20), -10, When::In(1), None),
        (Some(0), Some(20), -11, When::In(1), Some(bound(Side::Lower, 0, -1, true))),
        (Some(0), Some(20), 10, When::In(1), None),
        (Some(0), Some(20), 11, When::In(1), Some(bound(Side::Upper, 20, 21, true))),
        (Some(0), None, -1, When::At(NOW_MS), Some(Error::DeadlinePast)),
        (Some(0), None, -1, When::At(NOW_MS - 1), Some(Error::DeadlinePast)),
        (Some(0), None, -1, When::At(NOW_MS + 1), None),
        (Some(MIN), Some(MAX), MIN, When::In(1), None),
        (Some(MIN), Some(MAX), MAX, When::In(1), Some(Error::Overflow { got: i128::from(MAX) + 10, held: true })),
    ] {
        let mut subject = subject(Some(10), lower, upper);
        let got = subject.at(NOW_MS, Verb::Hold(HoldRequest { amount, until }));
        assert_eq!(got.err(), refusal, "{amount} {until:?}");
    }
}

#[test]
fn pending_sums_never_overflow() {
    let mut subject = subject(Some(0), Some(MIN), Some(MAX));
    subject.at(NOW_MS, hold(MAX, 1_000)).unwrap();
    subject.at(NOW_MS, hold(MIN, 1_000)).unwrap();
    for amount in [1, MAX, -1, MIN] {
        let edge = i128::from(if amount > 0 { MAX } else { MIN });
        let refusal = Error::Overflow { got: edge + i128::from(amount), held: true };
        assert_eq!(subject.at(NOW_MS, hold(amount, 1_000)), Err(refusal.clone()));
        assert_eq!(subject.at(NOW_MS, Verb::Incr(amount)), Err(refusal));
    }
    for holds in [1_000, 100] {
        let mut subject = self::subject(Some(0), Some(MIN), Some(MAX));
        let part = MAX / holds;
        let ids: Vec<u64> = (0..holds).map(|_| id(subject.at(NOW_MS, hold(part, 1_000)))).collect();
        assert!(subject.at(NOW_MS, hold(part, 1_000)).is_err());
        let last = ids.into_iter().map(|id| subject.at(NOW_MS, commit(id)).unwrap()).last();
        assert_eq!(last, Some(Reply::Value(part * holds)), "what is held can always be committed");
    }
}

#[test]
fn alter_refuses_bounds_that_value_or_holds_break() {
    let alter = |lower: Option<Option<i64>>, upper: Option<Option<i64>>| {
        Verb::Alter(Alter { lower, upper, ..Alter::default() })
    };
    for (held, lower, upper, refusal) in [
        (0, None, Some(Some(10)), None),
        (0, None, Some(Some(9)), Some(bound(Side::Upper, 9, 10, false))),
        (0, Some(Some(10)), None, None),
        (0, Some(Some(11)), None, Some(bound(Side::Lower, 11, 10, false))),
        (0, Some(Some(21)), None, Some(Error::BoundsCrossed { lower: 21, upper: 20 })),
        (0, None, Some(Some(-1)), Some(Error::BoundsCrossed { lower: 0, upper: -1 })),
        (5, None, Some(Some(15)), None),
        (5, None, Some(Some(14)), Some(bound(Side::Upper, 14, 15, true))),
        (-5, Some(Some(5)), None, None),
        (-5, Some(Some(6)), None, Some(bound(Side::Lower, 6, 5, true))),
        (-5, Some(None), Some(None), None),
    ] {
        let mut subject = subject(Some(10), Some(0), Some(20));
        if held != 0 {
            subject.at(NOW_MS, hold(held, 100)).unwrap();
        }
        assert_eq!(subject.at(NOW_MS + 99, alter(lower, upper)).err(), refusal, "{held} {lower:?} {upper:?}");
        let bounds = subject.pair.primary.as_ref().unwrap().bounds();
        let stands = (bounds.lower(), bounds.upper()) == (Some(0), Some(20));
        assert_eq!(stands, refusal.is_some());
        // A hold that is over breaks nothing.
        let crossed = matches!(refusal, Some(Error::BoundsCrossed { .. }));
        assert_eq!(subject.at(NOW_MS + 100, alter(lower, upper)).is_ok(), !crossed && (held != 0 || refusal.is_none()));
    }
}

/// Holds that are over take no place, even before a write has carried their expiry.
#[test]
fn a_hundred_thousand_holds_make_room_at_their_deadline() {
    let mut subject = subject(Some(0), None, Some(MAX));
    for _ in 0..HOLD_COUNT_MAX {
        subject.at(NOW_MS, hold(1, 100)).unwrap();
    }
    assert_eq!(subject.at(NOW_MS + 99, hold(1, 100)), Err(Error::TooManyHolds));
    assert_eq!(subject.at(NOW_MS + 100, hold(MAX, 100)).err(), None, "all of them are over");
    assert_eq!(subject.pair.replica.as_ref().unwrap().holds().unwrap().len(0), 1);
    subject.pair.check();
}
