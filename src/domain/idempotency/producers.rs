//! The names of the producers, each once, under a number that the records carry. A name goes with
//! the last record that carries its number, and the number is given out again.

use super::index::{Index, Key};
use super::to_usize;
use crate::memory::BlockSize;

#[derive(Debug, Clone, Default)]
struct Producer {
    name: Box<[u8]>,
    /// Records that carry this number; 0 where it is free.
    records: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Producers {
    by_number: Vec<Producer>,
    free: Vec<u32>,
    by_name: Index,
    /// A known one that got the last record: as a rule it gets the next one, too.
    latest: u32,
    name_bytes: usize,
}

impl Producers {
    pub(super) fn new() -> Self {
        Producers { by_number: Vec::new(), free: Vec::new(), by_name: Index::new(), latest: 0, name_bytes: 0 }
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.by_number.len().saturating_sub(self.free.len())
    }

    pub(super) fn number(&self, name: &[u8]) -> Option<u32> {
        if key_of(&self.by_number, self.latest) == Some((0, name)) {
            return Some(self.latest);
        }
        self.by_name.find((0, name), |number| key_of(&self.by_number, number))
    }

    /// The name under `number`; empty where there is none.
    pub(super) fn name(&self, number: u32) -> &[u8] {
        key_of(&self.by_number, number).map_or(&[], |(_, name)| name)
    }

    /// The number of `name`, for one more record.
    pub(super) fn acquire(&mut self, name: &[u8]) -> u32 {
        if let Some(number) = self.number(name) {
            self.latest = number;
            if let Some(producer) = self.by_number.get_mut(to_usize(u64::from(number))) {
                producer.records = producer.records.saturating_add(1);
            }
            return number;
        }
        let producer = Producer { name: name.into(), records: 1 };
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                if self.by_number.is_empty() {
                    self.by_number.reserve_exact(1);
                }
                self.by_number.push(Producer::default());
                // Never more producers than records, and of those there are at most COUNT_MAX.
                u32::try_from(self.by_number.len().saturating_sub(1)).unwrap_or(u32::MAX)
            }
        };
        if let Some(slot) = self.by_number.get_mut(to_usize(u64::from(number))) {
            *slot = producer;
        }
        self.name_bytes = self.name_bytes.saturating_add(name.len());
        self.by_name.put((0, name), number, |number| key_of(&self.by_number, number));
        number
    }

    /// One record fewer carries `number`.
    pub(super) fn release(&mut self, number: u32) {
        let Some(producer) = self.by_number.get_mut(to_usize(u64::from(number))) else { return };
        producer.records = producer.records.saturating_sub(1);
        if producer.records > 0 {
            return;
        }
        // The name leaves the slot last: the index may have to read it while it forgets it.
        let name = producer.name.clone();
        self.by_name.remove((0, &name), number, |number| key_of(&self.by_number, number));
        self.name_bytes = self.name_bytes.saturating_sub(name.len());
        if let Some(producer) = self.by_number.get_mut(to_usize(u64::from(number))) {
            producer.name = Box::default();
        }
        self.free.push(number);
    }

    pub(super) fn clear(&mut self) {
        self.by_number = Vec::new();
        self.free = Vec::new();
        self.by_name.clear();
        self.name_bytes = 0;
    }

    /// Heap bytes, as if all names were of the same length.
    pub(super) fn memory(&self, block: BlockSize) -> usize {
        let numbers = block(self.by_number.capacity().saturating_mul(size_of::<Producer>()));
        let free = block(self.free.capacity().saturating_mul(size_of::<u32>()));
        let count = self.by_number.len().saturating_sub(self.free.len());
        let names = block(self.name_bytes.div_ceil(count.max(1))).saturating_mul(count);
        [numbers, free, self.by_name.memory(block), names].iter().sum()
    }

    pub(super) fn allocations(&self) -> usize {
        let names = self.by_number.len().saturating_sub(self.free.len());
        let tables = [self.by_number.capacity(), self.free.capacity()].iter().filter(|&&capacity| capacity > 0).count();
        [names, tables, self.by_name.allocations()].iter().sum()
    }
}

fn key_of(by_number: &[Producer], number: u32) -> Option<Key<'_>> {
    by_number.get(to_usize(u64::from(number))).map(|producer| (0, &*producer.name))
}
