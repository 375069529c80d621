//! Tokens and log in plain words.

use crate::audit::{Change, EntryId, Log, Retention};
use crate::idempotency::Limits;

/// The rules of tokens: oldest first, each for its time, at most so many.
#[derive(Clone, Debug)]
pub struct TokenModel<C, R> {
    /// For how long, how many.
    pub limits: Limits,
    /// How many had to go before their time.
    pub dropped_early: u64,
    latest_ms: u64,
    known: Vec<(u64, u64, C, R)>,
}

impl<C: Clone + PartialEq, R: Clone> TokenModel<C, R> {
    /// None yet.
    pub fn new(limits: Limits) -> Self {
        TokenModel { limits, dropped_early: 0, latest_ms: 0, known: Vec::new() }
    }

    fn lives(&self, at_ms: u64, now_ms: u64) -> bool {
        u128::from(now_ms.max(self.latest_ms)) < u128::from(at_ms) + u128::from(self.limits.duration_ms())
    }

    /// What a token was used for, and what the answer was.
    pub fn find(&self, token: u64, now_ms: u64) -> Option<(C, R)> {
        let live = self.known.iter().filter(|(at_ms, ..)| self.lives(*at_ms, now_ms));
        live.filter(|(_, known, ..)| *known == token).map(|(_, _, call, reply)| (call.clone(), reply.clone())).next()
    }

    /// How many are known.
    pub fn tracked(&self, now_ms: u64) -> usize {
        self.known.iter().filter(|(at_ms, ..)| self.lives(*at_ms, now_ms)).count()
    }

    /// A token was used.
    pub fn remember(&mut self, token: u64, call: C, reply: R, now_ms: u64) {
        self.expire(now_ms);
        self.known.push((self.latest_ms, token, call, reply));
        self.make_room();
    }

    /// Other limits, from now on.
    pub fn set_limits(&mut self, limits: Limits, now_ms: u64) {
        self.expire(now_ms);
        self.limits = limits;
        self.expire(now_ms);
        self.make_room();
    }

    fn expire(&mut self, now_ms: u64) {
        self.latest_ms = self.latest_ms.max(now_ms);
        self.known = self.known.iter().filter(|(at_ms, ..)| self.lives(*at_ms, now_ms)).cloned().collect();
    }

    fn make_room(&mut self) {
        while self.known.len() as u64 > self.limits.count_max() {
            self.known.remove(0);
            self.dropped_early += 1;
        }
    }
}

/// An entry of a log, as a model keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Noted<C> {
    /// When.
    pub id: EntryId,
    /// What.
    pub change: C,
    /// User, client, note.
    pub names: [Vec<u8>; 3],
}

/// The log that is to be: everything in the order in which it happened.
#[derive(Clone, Debug)]
pub struct LogModel<C> {
    /// How much of it is kept.
    retention: Retention,
    /// How many of the last entries no retention so far has let go of.
    least: u64,
    /// All that was ever written.
    pub entries: Vec<Noted<C>>,
}

impl<C: Change> LogModel<C> {
    /// Nothing is written.
    pub fn new(retention: Retention) -> Self {
        let mut log = LogModel { retention, least: u64::MAX, entries: Vec::new() };
        log.set_retention(retention);
        log
    }

    /// How much of it is kept.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// What is gone stays gone.
    pub fn set_retention(&mut self, retention: Retention) {
        let by_len_only = retention.age_max_ms.is_none() && retention.bytes_max.is_none();
        self.least = if by_len_only { self.least.min(retention.len_max.unwrap_or(u64::MAX)) } else { 0 };
        self.retention = retention;
    }

    /// The id of the last entry.
    pub fn last_id(&self) -> EntryId {
        self.entries.last().map_or(EntryId::MIN, |entry| entry.id)
    }

    /// Something happened.
    pub fn write(&mut self, now_ms: u64, change: C, names: [&[u8]; 3]) {
        let EntryId { ms, seq } = self.last_id();
        let id = if now_ms > ms { EntryId { ms: now_ms, seq: 0 } } else { EntryId { ms, seq: seq + 1 } };
        self.entries.push(Noted { id, change, names: names.map(<[u8]>::to_vec) });
    }

    /// What is kept is the end of what happened, and as much of it as was asked for.
    pub fn check(&self, log: &Log<C>) {
        assert_eq!((log.retention(), log.last_id()), (self.retention, self.last_id()));
        let kept = log.range(EntryId::MIN, EntryId::MAX);
        let kept: Vec<_> = kept.map(|kept| (kept.id, kept.change, [kept.user, kept.client, kept.note])).collect();
        assert_eq!(kept.len() as u64, log.len());
        let dropped = self.entries.len().checked_sub(kept.len()).expect("no entry that nothing stands for");
        for (kept, noted) in kept.iter().zip(&self.entries[dropped..]) {
            let names = noted.names.each_ref().map(Vec::as_slice);
            assert_eq!(*kept, (noted.id, noted.change, names));
        }
        let most = self.retention.len_max.unwrap_or(u64::MAX).saturating_add(256);
        let least = self.least.min(self.entries.len() as u64);
        assert!((least..=most).contains(&log.len()), "{least} to {most}, got {}", log.len());
    }
}
