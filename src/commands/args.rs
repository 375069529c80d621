//! Arguments become requests. No key is touched here.

use crate::host::Args;
use std::str::from_utf8;
use tallybook_domain::audit::Retention;
use tallybook_domain::counter::When;
use tallybook_domain::error::Error;
use tallybook_domain::idempotency::Token;
use tallybook_domain::limits::{NAME_LEN_MAX, TIME_MS_MAX, TOKEN_COUNT_MAX, TOKEN_DURATION_MAX_S};
use tallybook_domain::options::KeyOptions;
use tallybook_domain::retry::Envelope;

/// The optional part of a command, read word by word.
pub struct Options<'a> {
    args: Args<'a>,
    next: usize,
    has_note: bool,
}

impl<'a> Options<'a> {
    /// The options from argument `first` on.
    pub fn new(args: &Args<'a>, first: usize) -> Self {
        Options { args: *args, next: first, has_note: false }
    }

    /// The next word, if there is one.
    pub fn word(&mut self) -> Option<&'a [u8]> {
        let word = self.args.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// The value of the option just read.
    pub fn value(&mut self) -> Result<&'a [u8], Error> {
        self.word().ok_or(Error::Syntax)
    }

    /// The value of the option just read, an integer.
    pub fn integer(&mut self, what: &'static str) -> Result<i64, Error> {
        integer(what, self.value()?)
    }

    /// The same, not below 1.
    pub fn positive(&mut self, what: &'static str) -> Result<i64, Error> {
        let value = self.integer(what)?;
        within(what, value, 1, i64::MAX)
    }

    /// The text of a NOTE.
    fn note(&mut self) -> Result<&'a [u8], Error> {
        let note = self.value()?;
        if note.len() > NAME_LEN_MAX {
            return Err(Error::TooLong { what: "note", max: NAME_LEN_MAX, got: note.len() });
        }
        Ok(note)
    }

    /// An option that every change may have; whether `word` was one.
    pub fn envelope(&mut self, word: &[u8], envelope: &mut Envelope<'a>) -> Result<bool, Error> {
        if is(word, b"NOTE") && !self.has_note {
            (envelope.note, self.has_note) = (self.note()?, true);
        } else if is(word, b"IDMP") && envelope.token.is_none() {
            let (producer, token) = (self.value()?, self.value()?);
            for (what, bytes) in [("producer", producer), ("token", token)] {
                if bytes.is_empty() || bytes.len() > NAME_LEN_MAX {
                    return Err(Error::BadLength { what, got: bytes.len() });
                }
            }
            envelope.token = Token::new(producer, token);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// A moment: EX s, PX ms, EXAT s, PXAT ms; nothing where `word` is something else.
    pub fn when(&mut self, word: &[u8]) -> Result<Option<When>, Error> {
        let (what, unit_ms, relative) = match word.to_ascii_uppercase().as_slice() {
            b"EX" => ("EX", 1000, true),
            b"PX" => ("PX", 1, true),
            b"EXAT" => ("EXAT", 1000, false),
            b"PXAT" => ("PXAT", 1, false),
            _ => return Ok(None),
        };
        let value = within(what, self.integer(what)?, 1, TIME_MS_MAX / unit_ms)?.unsigned_abs();
        let ms = value * unit_ms.unsigned_abs();
        Ok(Some(if relative { When::In(ms) } else { When::At(ms) }))
    }

    /// An option that keys of both types are made or altered with; whether `word` was one.
    pub fn key_option(&mut self, word: &[u8], options: &mut KeyOptions) -> Result<bool, Error> {
        match word.to_ascii_uppercase().as_slice() {
            b"LOG" => self.log(&mut options.log)?,
            b"IDMP-DURATION" => {
                let seconds = within("IDMP-DURATION", self.integer("IDMP-DURATION")?, 1, TOKEN_DURATION_MAX_S)?;
                once(&mut options.token_duration_ms, seconds.unsigned_abs() * 1000)?;
            }
            b"IDMP-MAXSIZE" => {
                let count = within("IDMP-MAXSIZE", self.integer("IDMP-MAXSIZE")?, 1, TOKEN_COUNT_MAX)?;
                once(&mut options.token_count_max, count.unsigned_abs())?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What follows the word LOG: a bound, or OFF.
    fn log(&mut self, log: &mut Option<Option<Retention>>) -> Result<(), Error> {
        let word = self.value()?;
        if word.eq_ignore_ascii_case(b"OFF") {
            return once(log, None);
        }
        match log.get_or_insert(Some(Retention::default())) {
            None => Err(Error::Syntax),
            Some(retention) => {
                let (what, bound) = retention.bound_mut(word).ok_or(Error::Syntax)?;
                once(bound, within(what, self.integer(what)?, 1, i64::MAX)?.unsigned_abs())
            }
        }
    }
}

/// Whether a word is this one, in any case.
pub fn is(word: &[u8], name: &[u8]) -> bool {
    word.eq_ignore_ascii_case(name)
}

/// Exactly `count` arguments behind the name of the command.
pub fn exactly(args: &Args<'_>, count: usize) -> Result<(), Error> {
    if args.len() == count + 1 { Ok(()) } else { Err(Error::Arity) }
}

/// An option that may stand only once.
pub fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::Syntax),
    }
}

/// An argument that must be there.
pub fn required<'a>(args: &Args<'a>, index: usize) -> Result<&'a [u8], Error> {
    args.get(index).ok_or(Error::Arity)
}

/// A value inside of its limits.
pub fn within(what: &'static str, got: i64, min: i64, max: i64) -> Result<i64, Error> {
    if (min..=max).contains(&got) { Ok(got) } else { Err(Error::OutOfRange { what, min, max, got }) }
}

/// A signed 64-bit integer in the only spelling that the server itself takes: no sign but `-`, no
/// blank, no leading zero.
pub fn integer(what: &'static str, bytes: &[u8]) -> Result<i64, Error> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let canonical = match digits {
        [b'0'] => digits.len() == bytes.len(),
        [first, ..] => (b'1'..=b'9').contains(first),
        [] => false,
    };
    let parsed = from_utf8(bytes).ok().filter(|_| canonical).and_then(|text| text.parse().ok());
    parsed.ok_or(Error::NotAnInteger(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_has_one_spelling() {
        for (text, value) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("", None),
            ("-", None),
            ("+1", None),
            ("-0", None),
            ("00", None),
            ("01", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
            ("1e3", None),
            ("0x10", None),
        ] {
            assert_eq!(integer("value", text.as_bytes()).ok(), value, "{text:?}");
        }
    }
}
