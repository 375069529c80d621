//! Holds: amounts set aside until they are committed, released, or past their deadline.
//!
//! The deadline is stored, and nothing waits for it: at whatever moment a hold is looked at, the
//! clock of the one who decides says whether it still counts. The next effect on the key carries
//! the expiry ("all that were due at this time"), so that primary and replicas drop the same ones.
//!
//! ```text
//!   pending --commit--> committed \
//!           --release-> released   > remembered for a while, so that a repetition gets the same
//!           --deadline> expired   /  reply and a contradiction is named; then forgotten
//! ```
//!
//! Stored form, one section for up to 256 holds, in the order of their ids:
//!
//! ```text
//!   holds = hold*
//!   hold  = id u64, kind (0 pending, 1 committed, 2 released, 3 expired, 4 committed in part), amount i64,
//!           when u64 (pending: the deadline), committed: value i64
//! ```
//!
//! Rejected: a timer for each deadline (a timer cannot write while clients are paused, and a replica
//! must not act on its own clock), and ids in sequence (after a failover one client could be handed
//! the id of another's hold).

use crate::limits::{HOLD_COUNT_MAX, HOLD_ID_BITS};
use crate::memory::BlockSize;
use crate::wire::{Corrupt, Reader, put_i64, put_u64};
use std::collections::{BTreeMap, BTreeSet};

/// Holds in one section of the stored form.
const SECTION_LEN_MAX: usize = 256;

/// Resolutions forgotten by one change: at least, more than it can add; at most; and one of so many in between.
const SWEEP_MIN: usize = 8;
const SWEEP_MAX: usize = 256;
const SWEEP_SHARE: usize = 64;

/// How a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// An amount, the whole or a part of it, went into the value, which became `value`.
    Committed {
        /// What was committed.
        amount: i64,
        /// The value after it.
        value: i64,
        /// Whether that was all of it.
        whole: bool,
    },
    /// All of it went back.
    Released,
    /// It went back by itself.
    Expired,
}

/// An amount set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Its name: 53 random bits.
    pub id: u64,
    /// Negative: taken from the value if committed. Positive: added to it. Never 0.
    pub amount: i64,
    /// Unix time in milliseconds from which on it counts nowhere.
    pub deadline_ms: u64,
}

/// What is known of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It can be committed or released.
    Pending(Hold),
    /// It was resolved not long ago.
    Resolved(Resolution),
    /// It never was, or is forgotten.
    Unknown,
}

/// Sums of amounts by their direction. 100,000 holds of 64 bits fit 128 by far. Aligned as everything else, so that a
/// block with sums in it is one that the server's allocator knows, and can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C, packed(8))]
pub struct Sums {
    /// Of the positive ones.
    pub up: i128,
    /// Of the negative ones, so 0 or below.
    pub down: i128,
}

impl Sums {
    /// These, and one more amount.
    pub fn with(self, amount: i64) -> Sums {
        let (up, down) = (i128::from(amount.max(0)), i128::from(amount.min(0)));
        Sums { up: self.up.saturating_add(up), down: self.down.saturating_add(down) }
    }

    /// These, without one of them.
    pub fn without(self, amount: i64) -> Sums {
        let (up, down) = (i128::from(amount.max(0)), i128::from(amount.min(0)));
        Sums { up: self.up.saturating_sub(up), down: self.down.saturating_sub(down) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending { amount: i64, deadline_ms: u64 },
    Resolved { resolution: Resolution, at_ms: u64 },
}

/// The holds of one counter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holds {
    by_id: BTreeMap<u64, State>,
    /// Pending ones by deadline, with their amounts.
    deadlines: BTreeMap<(u64, u64), i64>,
    /// Resolved ones by when.
    resolved: BTreeSet<(u64, u64)>,
    sums: Sums,
}

impl Holds {
    /// Those that still count at `now_ms`, soonest deadline first.
    pub fn pending(&self, now_ms: u64) -> impl Iterator<Item = Hold> {
        let from = now_ms.checked_add(1).map(|next| (next, 0));
        let due = from.into_iter().flat_map(|from| self.deadlines.range(from..));
        due.map(|(&(deadline_ms, id), &amount)| Hold { id, amount, deadline_ms })
    }

    /// Whether some hold has passed its deadline and no effect has carried that yet.
    pub fn any_due(&self, now_ms: u64) -> bool {
        self.deadlines.first_key_value().is_some_and(|(&(deadline_ms, _), _)| deadline_ms <= now_ms)
    }

    /// How many still count at `now_ms`.
    pub fn len(&self, now_ms: u64) -> usize {
        self.deadlines.len().saturating_sub(self.due(now_ms).count())
    }

    /// How many there are, those included that do not count any more.
    pub fn stored(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is nothing to remember at all.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// What is held at `now_ms`.
    pub fn sums(&self, now_ms: u64) -> Sums {
        self.due(now_ms).fold(self.sums, |sums, hold| sums.without(hold.amount))
    }

    /// What is known of an id at `now_ms`, where resolutions are remembered for `memory_ms`.
    pub fn find(&self, id: u64, now_ms: u64, memory_ms: u64) -> Found {
        let remembered = |at_ms: u64| now_ms < at_ms.saturating_add(memory_ms);
        match self.by_id.get(&id) {
            Some(&State::Pending { amount, deadline_ms }) if deadline_ms > now_ms => {
                Found::Pending(Hold { id, amount, deadline_ms })
            }
            Some(&State::Pending { deadline_ms, .. }) if remembered(deadline_ms) => {
                Found::Resolved(Resolution::Expired)
            }
            Some(&State::Resolved { resolution, at_ms }) if remembered(at_ms) => Found::Resolved(resolution),
            _ => Found::Unknown,
        }
    }

    /// Whether there is room for one more hold beside those that still count at `now_ms`.
    pub fn has_room(&self, now_ms: u64) -> bool {
        self.deadlines.len() < HOLD_COUNT_MAX || self.len(now_ms) < HOLD_COUNT_MAX
    }

    /// Whether such a hold can be made at `now_ms`.
    pub fn admits(&self, hold: Hold, now_ms: u64) -> bool {
        hold.amount != 0 && self.has_room(now_ms) && self.can_name(hold.id)
    }

    /// Whether an id is one of 53 bits that nothing known goes by.
    pub fn can_name(&self, id: u64) -> bool {
        id != 0 && id >> HOLD_ID_BITS == 0 && !self.by_id.contains_key(&id)
    }

    /// Sets an amount aside.
    pub fn add(&mut self, hold: Hold) -> Result<(), Corrupt> {
        let Hold { id, amount, deadline_ms } = hold;
        if !self.admits(hold, 0) {
            return Err(Corrupt("no such hold can be"));
        }
        self.by_id.insert(id, State::Pending { amount, deadline_ms });
        self.deadlines.insert((deadline_ms, id), amount);
        self.sums = self.sums.with(amount);
        Ok(())
    }

    /// Ends a pending hold.
    pub fn resolve(&mut self, id: u64, resolution: Resolution, at_ms: u64) -> Result<(), Corrupt> {
        let Some(&State::Pending { amount, deadline_ms }) = self.by_id.get(&id) else {
            return Err(Corrupt("no such hold is pending"));
        };
        self.deadlines.remove(&(deadline_ms, id));
        self.sums = self.sums.without(amount);
        self.remember(id, resolution, at_ms);
        Ok(())
    }

    /// The pending hold of an id, whatever the time.
    pub fn get(&self, id: u64) -> Option<Hold> {
        match self.by_id.get(&id) {
            Some(&State::Pending { amount, deadline_ms }) => Some(Hold { id, amount, deadline_ms }),
            _ => None,
        }
    }

    /// Ends all that are due at `through_ms`; returns them, soonest deadline first.
    pub fn expire(&mut self, through_ms: u64) -> Vec<Hold> {
        let due: Vec<Hold> = self.due(through_ms).collect();
        self.deadlines = self.deadlines.split_off(&(through_ms.saturating_add(1), 0));
        for &Hold { id, amount, deadline_ms } in &due {
            self.sums = self.sums.without(amount);
            self.remember(id, Resolution::Expired, deadline_ms);
        }
        due
    }

    fn due(&self, now_ms: u64) -> impl Iterator<Item = Hold> {
        let due = self.deadlines.range(..=(now_ms, u64::MAX));
        due.map(|(&(deadline_ms, id), &amount)| Hold { id, amount, deadline_ms })
    }

    /// For a while; beyond the limit, the oldest makes room.
    fn remember(&mut self, id: u64, resolution: Resolution, at_ms: u64) {
        self.by_id.insert(id, State::Resolved { resolution, at_ms });
        self.resolved.insert((at_ms, id));
        if self.resolved.len() > HOLD_COUNT_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.resolved.pop_first() {
            self.by_id.remove(&id);
        }
    }

    /// Frees some of what is older than `memory_ms`, and so unknown already.
    pub fn sweep(&mut self, now_ms: u64, memory_ms: u64) {
        self.forget(now_ms, memory_ms, (self.resolved.len() / SWEEP_SHARE).clamp(SWEEP_MIN, SWEEP_MAX));
    }

    /// Frees all of it: a longer memory does not bring it back.
    pub fn forget_all(&mut self, now_ms: u64, memory_ms: u64) {
        self.forget(now_ms, memory_ms, usize::MAX);
    }

    fn forget(&mut self, now_ms: u64, memory_ms: u64, most: usize) {
        let is_old = |&(at_ms, _): &(u64, u64)| now_ms >= at_ms.saturating_add(memory_ms);
        let count = self.resolved.iter().take(most).take_while(|resolved| is_old(resolved)).count();
        (0..count).for_each(|_| self.forget_oldest());
    }

    /// Bytes on the heap, as far as trees let one say. Ids come in any order. Times come one after the other, which
    /// leaves six entries in a node, and where many are the same seven.
    pub fn memory(&self, block: BlockSize) -> usize {
        let ids = tree::<(u64, State)>(self.by_id.len(), 77, block);
        let deadlines = tree::<((u64, u64), i64)>(self.deadlines.len(), 68, block);
        let resolved = tree::<(u64, u64)>(self.resolved.len(), 68, block);
        ids.saturating_add(deadlines).saturating_add(resolved)
    }

    /// Pieces to free: a node holds about eight.
    pub fn allocations(&self) -> usize {
        self.by_id.len() / 4
    }

    /// The sections of the stored form.
    pub fn sections(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let mut states = self.by_id.iter();
        std::iter::from_fn(move || {
            let mut out = Vec::new();
            states.by_ref().take(SECTION_LEN_MAX).for_each(|(&id, state)| put_state(id, state, &mut out));
            (!out.is_empty()).then_some(out)
        })
    }

    /// Adds the holds of one section. After an error these holds are not to be used.
    pub fn push_section(&mut self, section: &[u8]) -> Result<(), Corrupt> {
        if section.is_empty() || !self.by_id.len().is_multiple_of(SECTION_LEN_MAX) {
            return Err(Corrupt("section of holds after one that is not full"));
        }
        let mut reader = Reader::new(section);
        for _ in 0..SECTION_LEN_MAX {
            self.push(&mut reader)?;
            if reader.is_empty() {
                break;
            }
        }
        reader.finish()
    }

    fn push(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let (id, kind, amount) = (reader.u64()?, reader.u8()?, reader.i64()?);
        let at_ms = reader.u64()?;
        if self.by_id.last_key_value().is_some_and(|(&last, _)| last >= id) {
            return Err(Corrupt("holds out of order"));
        }
        let resolution = match kind {
            0 => return self.add(Hold { id, amount, deadline_ms: at_ms }),
            1 | 4 => Resolution::Committed { amount, value: reader.i64()?, whole: kind == 1 },
            2 if amount == 0 => Resolution::Released,
            3 if amount == 0 => Resolution::Expired,
            _ => return Err(Corrupt("unknown state of a hold")),
        };
        if !self.can_name(id) || self.resolved.len() >= HOLD_COUNT_MAX {
            return Err(Corrupt("no such hold can have been"));
        }
        self.remember(id, resolution, at_ms);
        Ok(())
    }
}

fn put_state(id: u64, state: &State, out: &mut Vec<u8>) {
    let (kind, amount, at_ms, value) = match *state {
        State::Pending { amount, deadline_ms } => (0, amount, deadline_ms, None),
        State::Resolved { resolution: Resolution::Committed { amount, value, whole }, at_ms } => {
            (if whole { 1 } else { 4 }, amount, at_ms, Some(value))
        }
        State::Resolved { resolution: Resolution::Released, at_ms } => (2, 0, at_ms, None),
        State::Resolved { resolution: Resolution::Expired, at_ms } => (3, 0, at_ms, None),
    };
    put_u64(out, id);
    out.push(kind);
    put_i64(out, amount);
    put_u64(out, at_ms);
    if let Some(value) = value {
        put_i64(out, value);
    }
}

/// What a tree takes of which a node, with room for eleven entries, holds so many tenths of one on average. One in
/// eight also has links to others.
fn tree<T>(len: usize, tenths: usize, block: BlockSize) -> usize {
    const ROOM: usize = 11;
    const HEAD: usize = 16;
    let leaf = size_of::<T>().saturating_mul(ROOM).saturating_add(HEAD);
    let inner = size_of::<usize>().saturating_mul(ROOM.saturating_add(1)).saturating_add(leaf);
    let nodes = len.saturating_mul(10).div_ceil(tenths);
    let inners = nodes / 8;
    block(leaf).saturating_mul(nodes.saturating_sub(inners)).saturating_add(block(inner).saturating_mul(inners))
}
