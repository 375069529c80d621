//! Throughput: our command and its rival in turn.

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
client, the transport, other load.";

/// What a pair came to, round by round.
struct Rounds {
    ours: Vec<Run>,
    rivals: Vec<Run>,
}

pub fn names() -> Vec<&'static str> {
    contests().iter().map(|contest| contest.name).collect()
}

pub fn measure(scope: &Scope) -> Table {
    let columns =
        ["name", "measured", "against", "setting", "rate", "rival's", "ratio", "by CPU", "busy", "goal", "met"];
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
    stage.reset(&contest.setup);
    let [our_requests, rival_requests] = [&ours, &rival].map(|load| load.requests_in(scope.seconds(), &stage.server));
    let run = |load: &Load, requests| {
        stage.reset(&contest.setup);
        load.run(requests, &stage.server)
    };
    let round = |_| (run(&ours, our_requests), run(&rival, rival_requests));
    let (ours, rivals) = (0..scope.rounds()).map(round).unzip();
    Rounds { ours, rivals }
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

fn row(contest: &Contest, setting: Setting, rounds: &Rounds, goal: f64) -> [String; 11] {
    let Contest { ours, rival, .. } = contest;
    let pairs = || rounds.ours.iter().zip(&rounds.rivals);
    let worth = ours.units / rival.units;
    let ratio = Spread::of(pairs().map(|(ours, rivals)| ours.rate / rivals.rate * worth));
    let by_cpu = Spread::of(pairs().map(|(ours, rivals)| rivals.cpu_ns / ours.cpu_ns * worth));
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
    ]
}
