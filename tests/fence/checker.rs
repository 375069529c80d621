//! Every id that any client ever got, and whether one of them was handed out twice.
//!
//! A grant is a run of ids and costs 24 bytes, whatever its length. Sorted by their first id, an id is repeated exactly
//! where a grant begins before the furthest end so far: all ids between are taken, because what reached that end began
//! no later. So the count is exact, and takes one sort.

use super::Run;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// How many repeated runs a failure shows.
const SHOWN: usize = 5;

/// The ids of one allocator.
pub struct Checker {
    name: String,
    increment: i64,
    started: Instant,
    grants: Mutex<Vec<Grant>>,
    ids: AtomicU64,
}

/// What a client got: the first and the last of its ids, in steps of the allocator's increment.
#[derive(Clone, Copy)]
struct Grant {
    first: i64,
    last: i64,
    node: u32,
    at_ms: u32,
}

impl Checker {
    /// Nothing handed out so far.
    pub fn new(name: impl Into<String>) -> Self {
        let (grants, ids) = (Mutex::default(), AtomicU64::new(0));
        Self { name: name.into(), increment: 1, started: Instant::now(), grants, ids }
    }

    /// The allocator's ids are this far apart.
    pub fn of_increment(self, increment: i64) -> Self {
        Self { increment, ..self }
    }

    /// The allocator's key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client got these ids from that node.
    pub fn note(&self, run: &Run, node: usize) {
        let step = |id: i64| id.div_euclid(self.increment);
        let (first, last) = (step(run.first), step(run.last));
        assert_eq!(last - first + 1, run.count, "{}: {run:?}", self.name);
        let at_ms = u32::try_from(self.started.elapsed().as_millis()).expect("less than 49 days");
        let node = u32::try_from(node).expect("a node's number");
        self.grants.lock().expect("grants").push(Grant { first, last, node, at_ms });
        self.ids.fetch_add(u64::try_from(run.count).expect("a count from 1"), Relaxed);
    }

    /// As `note`, for a single number.
    pub fn note_one(&self, id: i64, node: usize) {
        self.note(&Run { first: id, last: id, increment: 1, count: 1 }, node);
    }

    /// How many ids were handed out, repeated ones as often as they were.
    pub fn ids(&self) -> u64 {
        self.ids.load(Relaxed)
    }

    /// An id beyond all of them, and not further than the next one.
    pub fn beyond(&self) -> i64 {
        let last = self.grants.lock().expect("grants").iter().map(|grant| grant.last).max();
        last.map_or(0, |last| (last + 1) * self.increment)
    }

    /// How many of them somebody had been given before.
    pub fn repeated(&self) -> u64 {
        self.repetitions().map(|(_, count)| count).sum()
    }

    /// Fails when an id was handed out twice, and says by whom and when.
    #[track_caller]
    pub fn assert_unique(&self) {
        let mut text = String::new();
        for ([earlier, later], count) in self.repetitions().take(SHOWN) {
            let _ = write!(text, "\n{count} ids from {} on: {earlier}, and {later}", later.first);
        }
        let (name, repeated, ids) = (&self.name, self.repeated(), self.ids());
        assert_eq!(repeated, 0, "{name}: {repeated} of {ids} ids twice (node, ms since the start){text}");
    }

    /// Pairs of grants that share ids, the one that begins later last, and how many ids that one repeats.
    fn repetitions(&self) -> impl Iterator<Item = ([Grant; 2], u64)> {
        let mut grants = self.grants.lock().expect("grants").clone();
        grants.sort_by_key(|grant| (grant.first, grant.at_ms));
        let mut furthest: Option<Grant> = None;
        grants.into_iter().filter_map(move |grant| {
            let repeated = furthest.and_then(|furthest| {
                let shared = furthest.last.min(grant.last).checked_sub(grant.first)?.checked_add(1)?;
                Some(([furthest, grant], u64::try_from(shared).ok().filter(|shared| *shared > 0)?))
            });
            if furthest.is_none_or(|furthest| furthest.last < grant.last) {
                furthest = Some(grant);
            }
            repeated
        })
    }
}

impl std::fmt::Display for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..={} (node {}, {} ms)", self.first, self.last, self.node, self.at_ms)
    }
}

/// All sets of up to three runs among few ids, against a count of each id.
#[test]
fn the_checker_counts_every_repeated_id() {
    let runs: Vec<(i64, i64)> = (0..5).flat_map(|first| (first..5).map(move |last| (first, last))).collect();
    let choices = || runs.iter().map(Some).chain([None]);
    for case in choices().flat_map(|a| choices().flat_map(move |b| choices().map(move |c| [a, b, c]))) {
        let (checker, mut given) = (Checker::new("ids"), [0_u64; 5]);
        for (node, &(first, last)) in case.into_iter().flatten().enumerate() {
            checker.note(&Run { first, last, increment: 1, count: last - first + 1 }, node);
            (first..=last).for_each(|id| given[usize::try_from(id).unwrap()] += 1);
        }
        assert_eq!(checker.ids(), given.iter().sum::<u64>(), "{case:?}");
        assert_eq!(checker.repeated(), given.iter().map(|count| count.saturating_sub(1)).sum::<u64>(), "{case:?}");
    }
}

#[test]
#[should_panic(expected = "ids: 2 of 13 ids twice (node, ms since the start)\n2 ids from 4 on: 1..=5 (node 0, ")]
fn the_checker_names_what_was_repeated() {
    let checker = Checker::new("ids").of_increment(10);
    checker.note(&Run { first: 13, last: 53, increment: 10, count: 5 }, 0);
    checker.note(&Run { first: 43, last: 113, increment: 10, count: 8 }, 1);
    checker.assert_unique();
}
