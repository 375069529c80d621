//! The stored form of the tokens: what is saved, copied to other nodes and digested.
//!
//! ```text
//!   head
//!     duration_ms    varint
//!     count_max      varint
//!     dropped_early  varint
//!     latest_ms      varint   the time the store has reached; 0 before the first token
//!
//!   section: 80 records, only the last one may have fewer and none is empty
//!     record
//!       age          varint   at_ms minus that of the record before; for the first, at_ms
//!       producer     varint   k-th name of this section, from 0; the next unused k: its name follows
//!       [name]       bytes    1 to 255
//!       token        bytes    1 to 255
//!       fingerprint  6 bytes
//!       reply        bytes    0 to 255
//!
//!   two tokens of producer "w", at 300 and 302, the first with the reply 05, the second with 06;
//!   kept for 1000 ms, at most 10; none dropped early
//!     head     E8 07   0A   00   AE 02
//!              1000    10   0    302
//!     section  AC 02   00  01 77   03 61 62 63   01 02 03 04 05 06   01 05
//!              300     k=0 "w"     "abc"         fingerprint         reply
//!              02      00          03 64 65 66   0A 0B 0C 0D 0E 0F   01 06
//!              +2      k=0         "def"         fingerprint         reply
//! ```
//!
//! One state has one form: dead records and producer numbers are not in it, sections are cut by
//! count, names are spelled at first use. Whoever reads anything that would be written differently
//! finds it corrupt, so that equal stores have equal bytes and digests on every node. The version is
//! that of the value around it.
//!
//! A section is at most 80 * 788 = 63,040 bytes.

use super::{Fingerprint, Limits, NAME_LEN_MAX, REPLY_LEN_MAX, Token, Tokens, to_u64, to_usize};
use crate::wire::{Corrupt, Reader, put_bytes, put_u64};

/// Records in a full section.
const SECTION_COUNT: u64 = 80;

impl Tokens {
    /// The head of the stored form. The sections follow it.
    pub fn head(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_u64(&mut out, self.limits.duration_ms);
        put_u64(&mut out, self.limits.count_max);
        put_u64(&mut out, self.dropped_early);
        put_u64(&mut out, self.latest_ms);
        out
    }

    /// The sections of the stored form, oldest first, each at most 64 KiB.
    pub fn sections(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let mut records = self.log.iter().peekable();
        std::iter::from_fn(move || {
            records.peek()?;
            let mut out = Vec::new();
            let mut spelled = Vec::new();
            let mut before_ms = 0;
            for record in records.by_ref().take(to_usize(SECTION_COUNT)) {
                put_u64(&mut out, record.at_ms.saturating_sub(before_ms));
                before_ms = record.at_ms;
                let known = spelled.iter().position(|&number| number == record.producer);
                put_u64(&mut out, to_u64(known.unwrap_or(spelled.len())));
                if known.is_none() {
                    spelled.push(record.producer);
                    put_bytes(&mut out, self.producers.name(record.producer));
                }
                put_bytes(&mut out, record.token);
                out.extend_from_slice(&record.fingerprint.to_bytes());
                put_bytes(&mut out, record.reply);
            }
            Some(out)
        })
    }

    /// An empty store from its head, to which `push_section` adds the tokens.
    pub fn from_head(head: &[u8]) -> Result<Tokens, Corrupt> {
        let mut reader = Reader::new(head);
        let limits = Limits::new(reader.u64()?, reader.u64()?).ok_or(Corrupt("token limits out of range"))?;
        let mut tokens = Tokens::new(limits);
        tokens.dropped_early = reader.u64()?;
        tokens.latest_ms = reader.time_ms()?;
        reader.finish()?;
        Ok(tokens)
    }

    /// Adds the next section. After an error the store holds a part of it and is of no use.
    pub fn push_section(&mut self, section: &[u8]) -> Result<(), Corrupt> {
        if !self.log.live().is_multiple_of(SECTION_COUNT) {
            return Err(Corrupt("token section after one that is not full"));
        }
        let mut reader = Reader::new(section);
        let mut spelled: Vec<&[u8]> = Vec::new();
        let mut before_ms = 0u64;
        for _ in 0..SECTION_COUNT {
            let at_ms = before_ms.checked_add(reader.u64()?).ok_or(Corrupt("token time past 64 bits"))?;
            before_ms = at_ms;
            let name = read_name(&mut reader, &mut spelled)?;
            let token = Token::new(name, reader.bytes(NAME_LEN_MAX)?).ok_or(Corrupt("empty token or producer"))?;
            let fingerprint = Fingerprint::read(&mut reader)?;
            let reply = reader.bytes(REPLY_LEN_MAX)?;
            self.restore(&token, fingerprint, reply, at_ms)?;
            if reader.is_empty() {
                break;
            }
        }
        reader.finish()
    }

    fn restore(
        &mut self,
        token: &Token<'_>,
        fingerprint: Fingerprint,
        reply: &[u8],
        at_ms: u64,
    ) -> Result<(), Corrupt> {
        if at_ms < self.log.newest_ms() || at_ms > self.latest_ms {
            return Err(Corrupt("token time out of order"));
        }
        if Some(at_ms) <= self.limits.expired_until(self.latest_ms) {
            return Err(Corrupt("token stored after its time"));
        }
        if self.log.live() >= self.limits.count_max {
            return Err(Corrupt("more tokens than their limit"));
        }
        self.check(token, reply, at_ms)?;
        self.append(token, fingerprint, reply, at_ms);
        Ok(())
    }
}

fn read_name<'a>(reader: &mut Reader<'a>, spelled: &mut Vec<&'a [u8]>) -> Result<&'a [u8], Corrupt> {
    let number = usize::try_from(reader.u64()?).map_err(|_| Corrupt("producer number past memory"))?;
    if let Some(name) = spelled.get(number) {
        return Ok(name);
    }
    if number != spelled.len() {
        return Err(Corrupt("producer number out of order"));
    }
    let name = reader.bytes(NAME_LEN_MAX)?;
    if spelled.contains(&name) {
        return Err(Corrupt("producer spelled twice"));
    }
    spelled.push(name);
    Ok(name)
}
