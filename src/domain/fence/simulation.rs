//! Three nodes that lose messages, die, come back with old snapshots and torn journals, and are promoted
//! at any time, several of them at once. Whatever happens, no id is handed out twice. (issue 6)
//!
//! The nodes run the real allocator, the real state machine and the real bytes of journal, effects and
//! announcements. What is simulated is the server around them: streams with partial and full syncs,
//! acknowledgements on their way, connections of which the primary has not heard that they are gone.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::indexing_slicing)]

mod node;
mod schedule;

use crate::simulation::{scale, seed};
use schedule::{Flaw, run};

/// Schedules of 3 nodes, each from a seed of its own. Gives how many ids were handed out, or the first
/// seed with which one was handed out twice.
fn schedules(flaw: Flaw, first: u64, count: u64) -> Result<u64, (u64, String)> {
    (first..first.wrapping_add(count)).try_fold(0, |ids, seed| Ok(ids + run(seed, flaw).map_err(|why| (seed, why))?))
}

#[test]
fn no_schedule_makes_an_id_twice() {
    let (first, count) = (seed() >> 1, scale(5_000, 2_000_000));
    match schedules(Flaw::None, first, count) {
        Ok(ids) => {
            println!("{count} schedules, {ids} ids");
            assert!(ids > 30 * count, "too few ids to prove anything: {ids}");
        }
        Err((seed, why)) => panic!("schedule {seed}: {why}"),
    }
}

/// The simulation sees what goes wrong when one of the rules is left out. Some of it is rare, so the
/// schedules are always the same.
#[test]
fn a_flaw_is_found() {
    let first = 0;
    for flaw in [
        Flaw::SafeAtOnce,
        Flaw::WhoeverIsConnected,
        Flaw::AnyAnnouncement,
        Flaw::NoOrphans,
        Flaw::NoJournal,
        Flaw::NoClaims,
        Flaw::NoDoubts,
        Flaw::LostEffects,
    ] {
        let count = if flaw == Flaw::SafeAtOnce { 1_000 } else { 300_000 };
        match schedules(flaw, first, count) {
            Ok(ids) => panic!("{flaw:?} was not found in {count} schedules with {ids} ids from {first} on"),
            Err((seed, why)) => println!("{flaw:?} was found by schedule {} of {count}: {why}", seed - first + 1),
        }
    }
}
