//! Throughput: our command, its rival, and the floor in turn.

use crate::contests::{Contest, Side, contests};
use crate::load::{Load, Run};
use crate::report::{Table, thousands, verdict};
use crate::scope::Scope;
use crate::stage::{Setting, Stage};
use crate::stats::Spread;

const NOTE: &str = "\
50 clients on a unix socket, pipelines of 64 unless it says otherwise. `ratio`: of the rates. `by CPU`: of the time\n\
that the server's main thread takes for one, which other load on the machine, the client and the replica do not\n\
touch. `busy`: how much of the time it worked, ours and its rival's; well below 100 % something else was the limit: the\n\
client, the transport, other load. `floor`: by CPU, the same as `ratio` for a module that only does what the server\n\
asks of it for such a command (benches/floor), checks nothing and stores an integer; `of floor`: how close we are.";

/// What a pair came to, round by round.
struct Rounds {
    ours: Vec<Run>,
    rivals: Vec<Run>,
    floors: Vec<Run>,
}

pub fn names() -> Vec<&'static str> {
    contests().iter().map(|contest| contest.name).collect()
}

pub fn measure(scope: &Scope) -> Table {
    let columns = [
        "name", "measured", "against", "setting", "rate", "rival's", "ratio", "by CPU", "busy", "goal", "met", "floor",
        "of floor",
    ];
    let mut table = Table::new("Throughput", NOTE, columns);
    for contest in contests().iter().filter(|contest| scope.wants(contest.name)) {
        for (setting, goal) in Setting::ALL.into_iter().zip(contest.goals) {
            let rounds = compete(contest, setting, scope);
            table.push(row(contest, setting, &rounds, goal));
        }
    }
    table
}

fn compete(contest: &Contest, setting: Setting, scope: &Scope) -> Rounds {
    let stage = setting.stage();
    let [ours, rival] = [&contest.ours, &contest.rival].map(|side| load(side, contest.pipeline, &stage));
    let floor = Load { command: contest.floor.split(' ').map(str::to_owned).collect(), pipeline: contest.pipeline };
    stage.reset(&contest.setup);
    let loads = [ours, rival, floor].map(|load| (load.requests_in(scope.seconds(), &stage.server), load));
    let mut rounds = Rounds { ours: Vec::new(), rivals: Vec::new(), floors: Vec::new() };
    for _ in 0..scope.rounds() {
        for (runs, (requests, load)) in
            [&mut rounds.ours, &mut rounds.rivals, &mut rounds.floors].into_iter().zip(&loads)
        {
            stage.reset(&contest.setup);
            runs.push(load.run(*requests, &stage.server));
        }
    }
    rounds
}

fn load(side: &Side, pipeline: u64, stage: &Stage) -> Load {
    let words = side.command.split(' ').map(str::to_owned);
    let command = match side.script {
        None => words.collect(),
        Some((body, keys)) => {
            let hash = stage.client().text(["SCRIPT", "LOAD", body]);
            ["EVALSHA".to_owned(), hash, keys.to_string()].into_iter().chain(words).collect()
        }
    };
    Load { command, pipeline }
}

fn row(contest: &Contest, setting: Setting, rounds: &Rounds, goal: f64) -> [String; 13] {
    let Contest { ours, rival, .. } = contest;
    let pairs = || rounds.ours.iter().zip(&rounds.rivals);
    let worth = ours.units / rival.units;
    let ratio = Spread::of(pairs().map(|(ours, rivals)| ours.rate / rivals.rate * worth));
    let by_cpu = Spread::of(pairs().map(|(ours, rivals)| rivals.cpu_ns / ours.cpu_ns * worth));
    let floors = || rounds.floors.iter().zip(&rounds.rivals);
    let floor = Spread::of(floors().map(|(floor, rivals)| rivals.cpu_ns / floor.cpu_ns * worth));
    let rate = |runs: &[Run], units| thousands(units * Spread::of(runs.iter().map(|run| run.rate)).median);
    let busy = |runs: &[Run]| (100.0 * Spread::of(runs.iter().map(Run::busy)).median).round();
    [
        contest.name.to_owned(),
        ours.label.to_owned(),
        rival.label.to_owned(),
        setting.label().to_owned(),
        rate(&rounds.ours, ours.units),
        rate(&rounds.rivals, rival.units),
        ratio.to_string(),
        by_cpu.to_string(),
        format!("{} / {} %", busy(&rounds.ours), busy(&rounds.rivals)),
        format!("{goal:.2}"),
        verdict(ratio.median >= goal),
        format!("{:.2}", floor.median),
        format!("{:.0} %", 100.0 * by_cpu.median / floor.median),
    ]
}
