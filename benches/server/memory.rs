//! Bytes, by the difference that many make to the server's `used_memory`.

use crate::fill;
use crate::report::{Table, verdict};
use crate::scope::Scope;
use crate::stage::{Setting, Stage};

const NOTE: &str = "\
Differences of `used_memory`, the key and its place in the keyspace included; there are as many counters as the\n\
keyspace has places. The log's entries are increments by one connection, one after the other; all have a user, `named`\n\
ones also the name of a client.";

pub fn names() -> Vec<&'static str> {
    vec!["memory"]
}

pub fn measure(scope: &Scope) -> Table {
    let mut table = Table::new("Memory", NOTE, ["measured", "count", "bytes each", "at most", "met"]);
    let counters = scope.pick(1 << 17, 1 << 20);
    let entries = scope.pick(50_000, 200_000);
    let tokens = scope.pick(20_000, 100_000);
    let native = each(counters, |stage, count| fill::repeat(stage, "nat", fill::NATIVE_COUNTER, count));
    let none = String::new;
    table.push(["native counter".to_owned(), counters.to_string(), format!("{native:.1}"), none(), none()]);
    let mut row = |label: &str, count: usize, goal: f64, fill: fn(&Stage, usize)| {
        let bytes = each(count, fill);
        let goal_text = format!("{goal:.0}");
        table.push([label.to_owned(), count.to_string(), format!("{bytes:.1}"), goal_text, verdict(bytes <= goal)]);
    };
    row("plain counter", counters, 120.0, |stage, count| fill::repeat(stage, "tal", fill::COUNTER, count));
    row("log entry", entries, 8.0, |stage, count| increments(stage, count, ""));
    row("log entry, named", entries, 16.0, |stage, count| increments(stage, count, "worker-1"));
    row("token", tokens, 40.0, |stage, count| fill::tokens(stage, "tally-counter:01", count));
    table
}

/// Bytes for each of so many, to a tenth. The commands run once before, for what the server keeps of a command itself.
fn each(count: usize, fill: impl Fn(&Stage, usize)) -> f64 {
    let stage = Setting::Bare.stage();
    fill(&stage, 1);
    stage.reset(&[]);
    let before = stage.used_memory();
    fill(&stage, count);
    ((stage.used_memory() - before) / count as f64 * 10.0).round() / 10.0
}

fn increments(stage: &Stage, count: usize, client_name: &str) {
    let mut client = stage.client();
    client.ok(["CLIENT", "SETNAME", client_name]);
    client.ok(format!("SCOUNTER.CREATE tally-counter:01 LOG MAXLEN {}", 2 * count));
    for _ in 0..count {
        client.int("SCOUNTER.INCR tally-counter:01 1");
    }
}
