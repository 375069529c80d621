//! What `SCOUNTER.LOG` and `IDBLOCK.LOG` share: the grammar of a range, which is that of XRANGE, and
//! the shape of an entry, which is that of a stream entry.

use super::args::{Options, once, required, within};
use crate::host::{Args, Context, Reply};
use std::fmt::Display;
use tallybook_domain::audit::{Change, Entry, EntryId, Log};
use tallybook_domain::error::Error;

/// A range of entries: both ends included, oldest first unless `reverse`.
pub struct Range {
    start: EntryId,
    end: EntryId,
    count: usize,
    reverse: bool,
}

/// `key start end [COUNT n] [REV]`. With REV the higher id comes first.
pub fn range(args: &Args<'_>) -> Result<Range, Error> {
    let (first, second) = (required(args, 2)?, required(args, 3)?);
    let (mut count, mut reverse) = (None, None);
    let mut options = Options::new(args, 4);
    while let Some(word) = options.word() {
        match word.to_ascii_uppercase().as_slice() {
            b"COUNT" => once(&mut count, within("COUNT", options.integer("COUNT")?, 0, i64::MAX)?)?,
            b"REV" => once(&mut reverse, ())?,
            _ => return Err(Error::Syntax),
        }
    }
    let (low, high) = if reverse.is_some() { (second, first) } else { (first, second) };
    let count = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    Ok(Range { start: start(low)?, end: end(high)?, count, reverse: reverse.is_some() })
}

impl Range {
    /// Sends the entries of a log that lie inside; of no log, none.
    pub fn send<C: Change>(
        &self,
        context: &Context,
        log: Option<&Log<C>>,
        show: impl Fn(&Entry<'_, C>) -> LogEntry,
    ) -> Reply {
        let entries = log.into_iter().flat_map(|log| log.range(self.start, self.end));
        let show = |entry| show(&entry).reply();
        match self.reverse {
            false => context.send_array(entries.take(self.count).map(show)),
            true => context.send_array(entries.rev().take(self.count).map(show)),
        }
    }
}

/// `-`, an id, or `(` before an id to leave it out. Without its second half an id is the first of
/// its millisecond.
fn start(text: &[u8]) -> Result<EntryId, Error> {
    match text {
        b"-" => Ok(EntryId::MIN),
        b"+" => Ok(EntryId::MAX),
        [b'(', id @ ..] => entry_id(id, 0)?.successor().ok_or(Error::NotAnEntryId),
        id => entry_id(id, 0),
    }
}

/// `+`, an id, or `(` before an id to leave it out. Without its second half an id is the last of its
/// millisecond.
fn end(text: &[u8]) -> Result<EntryId, Error> {
    match text {
        b"-" => Ok(EntryId::MIN),
        b"+" => Ok(EntryId::MAX),
        [b'(', id @ ..] => entry_id(id, u64::MAX)?.predecessor().ok_or(Error::NotAnEntryId),
        id => entry_id(id, u64::MAX),
    }
}

fn entry_id(text: &[u8], seq: u64) -> Result<EntryId, Error> {
    let number = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'));
        digits.and_then(|digits| digits.parse().ok()).ok_or(Error::NotAnEntryId)
    };
    match text.iter().position(|&byte| byte == b'-') {
        None => Ok(EntryId { ms: number(text)?, seq }),
        Some(dash) => Ok(EntryId { ms: number(&text[..dash])?, seq: number(&text[dash + 1..])? }),
    }
}

/// An entry on its way to a client: its id, then fields and values.
pub struct LogEntry {
    id: EntryId,
    fields: Vec<Reply>,
}

impl LogEntry {
    /// An entry that says what was done.
    pub fn new(id: EntryId, op: &str) -> Self {
        let mut entry = LogEntry { id, fields: Vec::with_capacity(12) };
        entry.field("op", op.into());
        entry
    }

    /// A number.
    pub fn number(&mut self, name: &str, number: impl Display) {
        self.field(name, number.to_string().into_bytes());
    }

    /// User, client and note, as far as there are any.
    pub fn names<C>(&mut self, entry: &Entry<'_, C>) {
        for (name, value) in [("user", entry.user), ("client", entry.client), ("note", entry.note)] {
            if !value.is_empty() {
                self.field(name, value.to_vec());
            }
        }
    }

    fn field(&mut self, name: &str, value: Vec<u8>) {
        self.fields.extend([Reply::Bulk(name.into()), Reply::Bulk(value)]);
    }

    /// As XRANGE shows it.
    pub fn reply(self) -> Reply {
        Reply::Array(vec![Reply::Bulk(self.id.to_string().into_bytes()), Reply::Array(self.fields)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_xrange_reads_them() {
        let id = |ms, seq| Some(EntryId { ms, seq });
        for (text, first, last) in [
            ("-", id(0, 0), id(0, 0)),
            ("+", id(u64::MAX, u64::MAX), id(u64::MAX, u64::MAX)),
            ("5", id(5, 0), id(5, u64::MAX)),
            ("5-3", id(5, 3), id(5, 3)),
            ("(5-3", id(5, 4), id(5, 2)),
            ("(5-0", id(5, 1), id(4, u64::MAX)),
            ("(5", id(5, 1), id(5, u64::MAX - 1)),
            ("(0-0", id(0, 1), None),
            ("(18446744073709551615-18446744073709551615", None, id(u64::MAX, u64::MAX - 1)),
            ("", None, None),
            ("(", None, None),
            ("(-", None, None),
            ("(+", None, None),
            ("5-", None, None),
            ("-5", None, None),
            ("+5", None, None),
            ("5-3-1", None, None),
            ("18446744073709551616", None, None),
        ] {
            assert_eq!(start(text.as_bytes()).ok(), first, "start {text:?}");
            assert_eq!(end(text.as_bytes()).ok(), last, "end {text:?}");
        }
    }
}
