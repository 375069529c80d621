//! What must not grow: an increment of a counter with ever more in it.

use crate::fill;
use crate::load::{Load, Run};
use crate::report::{Table, thousands, verdict};
use crate::scope::Scope;
use crate::stage::{Setting, Stage};
use crate::stats::Spread;

const NOTE: &str = "\
The rate at each size beside that at the least, round by round; at least 0.85. `by CPU`: of the time that the server's\n\
main thread takes for one. The log and the tokens are full, so each increment also drops the oldest. A million tokens\n\
are shown, not promised.";

const GOAL: f64 = 0.85;

struct Curve {
    name: &'static str,
    label: &'static str,
    fill: fn(&Stage, &str, usize),
    /// The last size is left out of a quick run.
    sizes: &'static [usize],
    /// Up to which size it is promised.
    promised: usize,
    /// What follows the key and the delta.
    options: &'static str,
}

const CURVES: [Curve; 3] = [
    Curve {
        name: "log-curve",
        label: "INCR, log entries",
        fill: fill::log,
        sizes: &[1_000, 100_000, 1_000_000, 10_000_000],
        promised: 10_000_000,
        options: "",
    },
    Curve {
        name: "hold-curve",
        label: "INCR, holds",
        fill: fill::holds,
        sizes: &[100, 1_000, 10_000, 100_000],
        promised: 100_000,
        options: "",
    },
    Curve {
        name: "token-curve",
        label: "INCR IDMP, tokens",
        fill: fill::tokens,
        sizes: &[1_000, 10_000, 100_000, 1_000_000],
        promised: 100_000,
        options: "IDMP worker-1 tokn__rand_int__",
    },
];

pub fn names() -> Vec<&'static str> {
    CURVES.iter().map(|curve| curve.name).collect()
}

pub fn measure(scope: &Scope) -> Table {
    let columns = ["name", "measured", "size", "rate", "ratio", "by CPU", "met"];
    let mut table = Table::new("Costs that do not grow", NOTE, columns);
    for curve in CURVES.iter().filter(|curve| scope.wants(curve.name)) {
        let sizes = &curve.sizes[..curve.sizes.len() - scope.pick(1, 0)];
        let rounds = climb(curve, sizes, scope);
        for (point, size) in sizes.iter().enumerate() {
            table.push(row(curve, *size, &rounds, point));
        }
    }
    table
}

/// Each round is a run at every size, in turn.
fn climb(curve: &Curve, sizes: &[usize], scope: &Scope) -> Vec<Vec<Run>> {
    let stage = Setting::Bare.stage();
    let load = |size: &usize| {
        let key = format!("tally:{size:010}");
        (curve.fill)(&stage, &key, *size);
        let command = format!("SCOUNTER.INCR {key} 1 {}", curve.options);
        Load { command: command.split_whitespace().map(str::to_owned).collect(), pipeline: 64 }
    };
    let loads: Vec<Load> = sizes.iter().map(load).collect();
    let requests = loads[0].requests_in(scope.seconds(), &stage.server);
    (0..scope.rounds()).map(|_| loads.iter().map(|load| load.run(requests, &stage.server)).collect()).collect()
}

fn row(curve: &Curve, size: usize, rounds: &[Vec<Run>], point: usize) -> [String; 7] {
    let of = |value: fn(&Run, &Run) -> f64| Spread::of(rounds.iter().map(|runs| value(&runs[point], &runs[0])));
    let ratio = of(|here, least| here.rate / least.rate);
    [
        curve.name.to_owned(),
        curve.label.to_owned(),
        size.to_string(),
        thousands(of(|here, _| here.rate).median),
        ratio.to_string(),
        of(|here, least| least.cpu_ns / here.cpu_ns).to_string(),
        if size > curve.promised { String::new() } else { verdict(ratio.median >= GOAL) },
    ]
}
