//! Increments of shards, and what they come to: no total ever exceeds what was attempted, and one that was answered in
//! full is no less than what was acknowledged when it was sent, as long as no server has lost any of it.

use super::Stage;
use super::caller::{Caller, Sum};
use crate::harness::*;
use rand::RngExt;
use redis::Value;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub const WRITERS: usize = 2;
pub const WATCHERS: usize = 2;

const KEY: &str = "views";
const SHARDS: usize = 16;
const AGE_MAX_MS: u64 = 300;
const TIMEOUT_MAX_MS: u64 = 1_500;
/// The server counts whole milliseconds.
const TICK: Duration = Duration::from_millis(2);
const BREATH: Duration = Duration::from_millis(3);

/// What a watcher noted when: so much had been acknowledged.
type Notes = VecDeque<(Instant, i64)>;

/// A counter with shards, and what has become of it.
#[derive(Default)]
pub struct Views {
    sum: Sum,
    /// Totals that were whole, refused, and what was known at the time.
    whole: AtomicU64,
    refused: AtomicU64,
    parts: AtomicU64,
}

impl Views {
    pub const KEY: &'static str = KEY;

    /// Creates the counter on its owner.
    #[track_caller]
    pub fn create(client: &mut Client) -> Self {
        client.ok(format!("SCOUNTER.CREATE {KEY} SHARDS {SHARDS}"));
        Self::default()
    }

    /// Adds to shard after shard.
    pub fn write(&self, stage: &Stage, number: usize) {
        let mut caller = Caller::new(&stage.addresses);
        for shard in (0..SHARDS).cycle().skip(number * SHARDS / WRITERS) {
            if stage.is_over() {
                return;
            }
            let _ = self.sum.attempt(1, || caller.call(format!("SCOUNTER.INCR {KEY}{{{shard}}}"), &[]));
            holds_within(BREATH, || stage.is_over());
        }
    }

    /// Asks for totals of all kinds.
    pub fn watch(&self, stage: &Stage, number: usize) {
        let (mut caller, mut chance) = (Caller::new(&stage.addresses), stage.chance(number));
        let mut notes = Notes::from([(Instant::now(), 0)]);
        while !stage.is_over() {
            let age_ms = chance.random_bool(0.4).then(|| chance.random_range(0..AGE_MAX_MS));
            let timeout_ms = chance.random_bool(0.6).then(|| chance.random_range(1..TIMEOUT_MAX_MS));
            let is_partial = chance.random_bool(0.3);
            let mut command = format!("SCOUNTER.TOTAL {KEY}");
            age_ms.iter().for_each(|ms| command += &format!(" MAXAGE {ms}"));
            timeout_ms.iter().for_each(|ms| command += &format!(" TIMEOUT {ms}"));
            command += if is_partial { " PARTIAL" } else { "" };
            let least = self.note(&mut notes, age_ms);
            match caller.call(&*command, &["PARTIAL"]) {
                Ok(value) => {
                    self.judge(stage, &command, &value, if is_partial { 0 } else { least });
                    let counted = if is_partial { &self.parts } else { &self.whole };
                    counted.fetch_add(1, Relaxed);
                }
                Err(_) => _ = self.refused.fetch_add(1, Relaxed),
            }
            holds_within(BREATH, || stage.is_over());
        }
    }

    /// Notes what has been acknowledged by now, and returns what had been so long ago.
    fn note(&self, notes: &mut Notes, age_ms: Option<u64>) -> i64 {
        let now = Instant::now();
        notes.push_back((now, self.sum.acknowledged()));
        let is_old = |at: &Instant, ms: u64| now.duration_since(*at) >= Duration::from_millis(ms) + TICK;
        while notes.get(1).is_some_and(|(at, _)| is_old(at, AGE_MAX_MS)) {
            notes.pop_front();
        }
        match age_ms {
            None => self.sum.acknowledged(),
            Some(ms) => notes.iter().rev().find(|(at, _)| is_old(at, ms)).map_or(0, |(_, sum)| *sum),
        }
    }

    #[track_caller]
    fn judge(&self, stage: &Stage, command: &str, value: &Value, least: i64) {
        let most = self.sum.attempted();
        let Value::Int(total) = value else { panic!("a total must come, got {}", show(value)) };
        let least = if stage.is_lossy() { 0 } else { least };
        assert!((least..=most).contains(total), "`{command}`: {least} <= {total} <= {most}");
    }

    /// There is a total, and it is true. Who watches has seen some.
    #[track_caller]
    pub fn assert_true(&self, owner: &Server, stage: &Stage) {
        let mut client = owner.connect();
        let (least, mut total) = (self.sum.acknowledged(), Err(String::new()));
        wait_until("there is a total", PATIENCE * 2, || {
            total = client.call(format!("SCOUNTER.TOTAL {KEY} TIMEOUT 5000"));
            total.is_ok()
        });
        let total = total.expect("a total");
        self.judge(stage, "TOTAL", &total, least);
        let seen = || [&self.whole, &self.refused, &self.parts].map(|count| count.load(Relaxed));
        wait_until("those who watch have seen totals", PATIENCE, || seen()[0] > 0 && seen()[2] > 0);
        let [whole, refused, parts] = seen();
        println!(
            "total {}, {least} acknowledged, {} attempted; {whole} totals, {refused} refused, {parts} of what \
             was known",
            show(&total),
            self.sum.attempted()
        );
    }
}
