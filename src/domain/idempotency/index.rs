//! A hash table of u32 values whose keys lie elsewhere: 5 bytes a slot, and whoever asks says how
//! the key of a value is read.
//!
//! One table that doubles would cost 5.7 bytes a value just before it grows and 11.4 just after, and
//! would stand still while it rehashes everything. So from 449 values on there are 16 tables, from
//! 28,673 on 64, and they are of *unequal* size on purpose: table i gets hashes in proportion to
//! 64 + i. As they fill, they double one after the other instead of all at once, so that at any
//! number of values about as many have just grown as are about to: 7.6 to 8.6 bytes a value, and
//! a call rehashes no more than one value in 12, of 64 tables one in 48 (all of them only on the
//! way from 1 to 16 to 64).
//!
//! Rejected: linear hashing (no rehash at all, but more code and no less memory), a table of our own
//! that grows by a quarter (rehashes everything five times as often), a growth rule inside hashbrown
//! (it has none, and doubles for tombstones as well; `make_room` cleans them out instead).

use crate::memory::BlockSize;
use foldhash::quality::RandomState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

/// What a value stands for: a producer number and bytes.
pub(super) type Key<'a> = (u32, &'a [u8]);

/// From so many values on, so many tables; 7/8 of a power of two, where one table would double.
const SPLITS: [(usize, usize); 2] = [(448, 16), (28_672, 64)];

/// With fewer values there is one table again.
const SPREAD_MIN: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Index {
    tables: Vec<HashTable<u32>>,
    len: usize,
    seed: RandomState,
}

impl Index {
    pub(super) fn new() -> Self {
        Index { tables: Vec::new(), len: 0, seed: RandomState::default() }
    }

    /// The value of `key`.
    #[inline]
    pub(super) fn find<'a>(&self, key: Key<'_>, key_of: impl Fn(u32) -> Option<Key<'a>>) -> Option<u32> {
        let hash = self.hash(key);
        self.tables.get(self.share(hash))?.find(hash, |&value| key_of(value) == Some(key)).copied()
    }

    /// Gives `key` this value, in place of the one it may have.
    pub(super) fn put<'a>(&mut self, key: Key<'_>, value: u32, key_of: impl Fn(u32) -> Option<Key<'a>>) {
        let hash = self.hash(key);
        let mut share = self.share(hash);
        if let Some(table) = self.tables.get_mut(share)
            && let Some(old) = table.find_mut(hash, |&value| key_of(value) == Some(key))
        {
            *old = value;
            return;
        }
        if self.tables.is_empty() {
            self.tables.reserve_exact(1);
            self.tables.push(HashTable::new());
        }
        for (len, tables) in SPLITS {
            if self.len >= len && self.tables.len() < tables {
                self.spread(tables, &key_of);
                share = self.share(hash);
            }
        }
        self.len = self.len.saturating_add(1);
        let seed = &self.seed;
        if let Some(table) = self.tables.get_mut(share) {
            make_room(table, seed, &key_of);
            table.insert_unique(hash, value, |&value| hash_of(seed, key_of(value)));
        }
    }

    /// Forgets `key` if it still has this value.
    pub(super) fn remove<'a>(&mut self, key: Key<'_>, value: u32, key_of: impl Fn(u32) -> Option<Key<'a>>) {
        let hash = self.hash(key);
        let share = self.share(hash);
        let tables = self.tables.len();
        let Some(table) = self.tables.get_mut(share) else { return };
        let Ok(entry) = table.find_entry(hash, |&stored| stored == value) else { return };
        entry.remove();
        self.len = self.len.saturating_sub(1);
        if self.len < SPREAD_MIN && tables > 1 {
            self.spread(1, &key_of);
        } else if table.len() < table.num_buckets() / 8 {
            rebuild(table, table.len().saturating_mul(2), &self.seed, &key_of);
        }
    }

    pub(super) fn clear(&mut self) {
        self.tables = Vec::new();
        self.len = 0;
    }

    /// Heap bytes.
    pub(super) fn memory(&self, block: BlockSize) -> usize {
        let row = block(self.tables.capacity().saturating_mul(size_of::<HashTable<u32>>()));
        self.tables.iter().map(|table| block(table.allocation_size())).sum::<usize>().saturating_add(row)
    }

    pub(super) fn allocations(&self) -> usize {
        let tables = self.tables.iter().filter(|table| table.allocation_size() > 0).count();
        tables.saturating_add(usize::from(self.tables.capacity() > 0))
    }

    fn hash(&self, key: Key<'_>) -> u64 {
        hash_of(&self.seed, Some(key))
    }

    /// The table for `hash`, by bits that hashbrown uses neither for the slot nor for the tag. Of 64 tables, two times in
    /// three it is any of them, else the higher of any two: table i gets so much in proportion to 64 + i.
    fn share(&self, hash: u64) -> usize {
        let [_, _, _, one, other, chance, _, _] = hash.to_le_bytes();
        let (one, other) = (one % 64, other % 64);
        let share = usize::from(if chance < 171 { one } else { one.max(other) });
        match self.tables.len() {
            64.. => share,
            16.. => share / 4,
            _ => 0,
        }
    }

    /// Moves all values into so many new tables.
    fn spread<'a>(&mut self, tables: usize, key_of: &impl Fn(u32) -> Option<Key<'a>>) {
        let whole = std::mem::take(&mut self.tables);
        self.tables.resize_with(tables, HashTable::new);
        let seed = self.seed.clone();
        for value in whole.into_iter().flatten() {
            let hash = hash_of(&seed, key_of(value));
            let share = self.share(hash);
            if let Some(table) = self.tables.get_mut(share) {
                table.insert_unique(hash, value, |&value| hash_of(&seed, key_of(value)));
            }
        }
    }
}

fn hash_of(seed: &RandomState, key: Option<Key<'_>>) -> u64 {
    let mut hasher = seed.build_hasher();
    if let Some((number, bytes)) = key {
        hasher.write_u32(number);
        hasher.write(bytes);
    }
    hasher.finish()
}

/// Doubles a table that is full, but cleans out one that is only full of tombstones.
fn make_room<'a>(table: &mut HashTable<u32>, seed: &RandomState, key_of: &impl Fn(u32) -> Option<Key<'a>>) {
    if table.len() < table.capacity() {
        return;
    }
    let buckets = table.num_buckets();
    let full = buckets.saturating_sub(buckets / 8);
    let crowded = table.len() >= full.saturating_sub(full / 16);
    rebuild(table, if crowded { full.saturating_add(1) } else { full }, seed, key_of);
}

fn rebuild<'a>(
    table: &mut HashTable<u32>,
    capacity: usize,
    seed: &RandomState,
    key_of: &impl Fn(u32) -> Option<Key<'a>>,
) {
    let old = std::mem::replace(table, HashTable::with_capacity(capacity));
    for value in old {
        table.insert_unique(hash_of(seed, key_of(value)), value, |&value| hash_of(seed, key_of(value)));
    }
}
