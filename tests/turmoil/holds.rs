//! Holds that are committed in whole or in part, released, or left to expire, each resolution repeated until it is
//! answered.

use super::Stage;
use super::caller::{Caller, Sum};
use crate::harness::*;
use rand::RngExt;
use rand::rngs::StdRng;
use redis::Value;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

pub const HOLDERS: usize = 2;

const KEY: &str = "stock";
const INITIAL: i64 = 1_000;
const UBOUND: i64 = 2_000;
const AMOUNT_MAX: i64 = 20;
const DEADLINE_MAX_MS: u64 = 800;
/// How often a holder turns to any node.
const HOP: f64 = 0.03;
/// How often a resolution that was answered is repeated.
const REPETITION: f64 = 0.3;
/// What a hold that was not resolved is called.
const ENDS: [&str; 2] = ["NOHOLD", "HOLDRESOLVED"];
/// How often a holder takes its time, and may come too late.
const LATE: f64 = 0.1;
const BREATH: Duration = Duration::from_millis(4);

/// A bounded counter, and what its holders have done.
#[derive(Default)]
pub struct Stock {
    added: Sum,
    taken: Sum,
    held: AtomicU64,
    resolved: AtomicU64,
    expired: AtomicU64,
}

impl Stock {
    pub const KEY: &'static str = KEY;

    /// Creates the counter on its owner.
    #[track_caller]
    pub fn create(client: &mut Client) -> Self {
        client.ok(format!("SCOUNTER.CREATE {KEY} INITIAL {INITIAL} LBOUND 0 UBOUND {UBOUND} LOG MAXLEN 100"));
        Self::default()
    }

    /// One client at work.
    pub fn hold(&self, stage: &Stage, number: usize) {
        let (mut chance, mut caller) = (stage.chance(number), Caller::new(&stage.addresses));
        while !stage.is_over() {
            if chance.random_bool(HOP) {
                caller.turn_to(chance.random_range(0..stage.addresses.len()), KEY);
            }
            if let Some((id, amount)) = self.begin(&mut caller, &mut chance) {
                self.resolve(stage, &mut caller, &mut chance, id, amount);
            }
            holds_within(BREATH, || stage.is_over());
        }
    }

    fn begin(&self, caller: &mut Caller, chance: &mut StdRng) -> Option<(i64, i64)> {
        let amount = chance.random_range(1..=AMOUNT_MAX) * if chance.random_bool(0.5) { 1 } else { -1 };
        let deadline = match chance.random_range(0..10) {
            0 => "EX 1".to_owned(),
            _ => format!("PX {}", chance.random_range(5..DEADLINE_MAX_MS)),
        };
        match caller.call(format!("SCOUNTER.HOLD {KEY} {amount} {deadline} NOTE turmoil"), &["BOUND"]).ok()? {
            Value::Int(id) => {
                self.held.fetch_add(1, Relaxed);
                Some((id, amount))
            }
            other => panic!("a hold's id must come, got {}", show(&other)),
        }
    }

    fn resolve(&self, stage: &Stage, caller: &mut Caller, chance: &mut StdRng, id: i64, amount: i64) {
        let part = amount.signum() * chance.random_range(1..=amount.abs());
        let (command, change) = match chance.random_range(0..10) {
            0..4 => (format!("SCOUNTER.COMMIT {KEY} {id}"), amount),
            4..6 => (format!("SCOUNTER.COMMIT {KEY} {id} {part}"), part),
            6..8 => (format!("SCOUNTER.RELEASE {KEY} {id}"), 0),
            _ => return, // it expires
        };
        if chance.random_bool(LATE) {
            let ms = chance.random_range(1..DEADLINE_MAX_MS);
            holds_within(Duration::from_millis(ms), || stage.is_over());
        }
        let sum = if change > 0 { &self.added } else { &self.taken };
        let mut first = None;
        while !stage.is_over() {
            let reply = match first {
                None => sum.attempt(change.abs(), || caller.call(&*command, &ENDS)),
                Some(_) => caller.call(&*command, &ENDS),
            };
            match reply {
                Ok(value) => {
                    self.resolved.fetch_add(1, Relaxed);
                    assert!(stage.is_lossy() || first.as_ref().is_none_or(|first| *first == value), "`{command}`");
                    if first.is_some() || !chance.random_bool(REPETITION) {
                        return;
                    }
                    first = Some(value);
                }
                Err(error) if ENDS.iter().any(|end| error.starts_with(end)) => {
                    let is_true = error.ends_with("got one that is expired") && first.is_none();
                    assert!(stage.is_lossy() || is_true, "`{command}`: {error} after {first:?}");
                    self.expired.fetch_add(1, Relaxed);
                    return;
                }
                Err(_) => _ = holds_within(BREATH, || stage.is_over()),
            }
        }
    }

    /// Once nobody holds any more, all holds expire by themselves, and all of the value is available.
    #[track_caller]
    pub fn assert_settles(&self, owner: &Server, stage: &Stage) {
        let mut client = owner.connect();
        let mut number = |name: &str| client.int(["SCOUNTER.INFO", KEY, name]);
        wait_until("nothing is held", PATIENCE, || {
            ["holds", "held-up", "held-down"].iter().all(|name| number(name) == 0)
        });
        let available = ["available-down", "available-up"].map(&mut number);
        let value = self.assert_true(owner, stage);
        assert_eq!(available, [value, UBOUND - value], "what is available within 0 and {UBOUND}");
        let [held, resolved, expired] = [&self.held, &self.resolved, &self.expired].map(|count| count.load(Relaxed));
        println!("holds: {held}, resolved {resolved} times, too late {expired} times, value {value}");
        assert!(held > 0 && resolved > 0, "there must have been holds");
    }

    /// The value is what was committed: all that was acknowledged, unless it may be lost, and nothing that nobody tried.
    /// Returns it.
    #[track_caller]
    pub fn assert_true(&self, owner: &Server, stage: &Stage) -> i64 {
        let (added, taken) = (&self.added, &self.taken);
        let acknowledged = |sum: &Sum| if stage.is_lossy() { 0 } else { sum.acknowledged() };
        let (added_least, taken_least) = (acknowledged(added), acknowledged(taken));
        let value = owner.connect().int(["SCOUNTER.GET", KEY]);
        let [least, most] = [added_least - taken.attempted(), added.attempted() - taken_least].map(|sum| INITIAL + sum);
        assert!((least..=most).contains(&value), "{least} <= {value} <= {most}");
        value
    }
}
