//! BGSAVE and loading of plain counters, beside as many native ones and as many of the floor, in turn.

use crate::fill;
use crate::report::{Table, verdict};
use crate::scope::Scope;
use crate::stage::{Setting, Stage};
use crate::stats::Spread;
use std::thread::sleep;
use std::time::{Duration, Instant};

const NOTE: &str = "Seconds for all; `ratio` is at most 1.5. `floor`: the ratio of a module that stores one integer.";

const GOAL: f64 = 1.5;

/// How often the server looks whether a save has ended, and how often we ask it: seldom enough to cost nothing.
const CHECKS_PER_SECOND: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

/// What is measured, and its time in seconds. What was saved last is what is loaded.
type Measurement = (&'static str, fn(&Stage) -> f64);

const MEASUREMENTS: [Measurement; 2] = [("BGSAVE", save_seconds), ("loading", load_seconds)];

pub fn names() -> Vec<&'static str> {
    vec!["persistence"]
}

pub fn measure(scope: &Scope) -> Table {
    let columns = ["measured", "counters", "seconds", "native", "ratio", "floor", "met"];
    let mut table = Table::new("Persistence", NOTE, columns);
    let count = scope.pick(200_000, 1_000_000);
    let filled = |body| {
        let stage = Setting::Bare.stage();
        fill::repeat(&stage, "key", body, count);
        stage
    };
    let stages = [fill::COUNTER, fill::NATIVE_COUNTER, fill::FLOOR_COUNTER].map(filled);
    for (label, seconds) in MEASUREMENTS {
        let rounds: Vec<[f64; 3]> = (0..scope.rounds()).map(|_| stages.each_ref().map(seconds)).collect();
        let ours = Spread::of(rounds.iter().map(|[ours, ..]| *ours));
        let native = Spread::of(rounds.iter().map(|[_, native, _]| *native));
        let ratio = Spread::of(rounds.iter().map(|[ours, native, _]| ours / native));
        let floor = Spread::of(rounds.iter().map(|[_, native, floor]| floor / native));
        table.push([
            label.to_owned(),
            count.to_string(),
            format!("{:.2}", ours.median),
            format!("{:.2}", native.median),
            ratio.to_string(),
            floor.to_string(),
            verdict(ratio.median <= GOAL),
        ]);
    }
    table
}

fn save_seconds(stage: &Stage) -> f64 {
    let mut client = stage.client();
    client.ok(format!("CONFIG SET hz {CHECKS_PER_SECOND}"));
    let start = Instant::now();
    client.value("BGSAVE");
    while client.fields("INFO persistence")["rdb_bgsave_in_progress"] != "0" {
        sleep(PAUSE);
    }
    start.elapsed().as_secs_f64()
}

/// Loads what was saved last into an empty server.
fn load_seconds(stage: &Stage) -> f64 {
    let mut client = stage.client();
    client.ok("FLUSHALL SYNC");
    let start = Instant::now();
    client.ok("DEBUG RELOAD NOSAVE NOFLUSH");
    start.elapsed().as_secs_f64()
}
