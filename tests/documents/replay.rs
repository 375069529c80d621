//! Every transcript of the documents, on a server of its own.

use super::Document;
use super::transcript::{Bindings, shown, steps, words};
use crate::harness::*;

/// Whose replies have times, random ids, or ids that carry the time.
const VARYING: [&str; 7] = [
    "SCOUNTER.HOLD",
    "SCOUNTER.HOLDS",
    "SCOUNTER.LOG",
    "IDBLOCK.WHO",
    "IDBLOCK.WHEN",
    "IDBLOCK.NEXT",
    "IDBLOCK.RESERVE",
];

fn replay(path: &str, transcript: &str) {
    // A reader's disk is idle; here others write to it, too.
    let server = Server::builder().config("tallybook.fence-wait", PATIENCE.as_millis()).start();
    let mut client = server.connect();
    let mut bindings = Bindings::default();
    for step in steps(transcript) {
        let words = words(&bindings.resolved(&step.command));
        let came = shown(&client.call(&words));
        if VARYING.contains(&words[0].as_str()) {
            step.shown.iter().zip(&came).for_each(|(documented, came)| bindings.bind(documented, came));
        }
        if words[0] == "PTTL" {
            assert!((1..=number(&step.shown)).contains(&number(&came)), "{path}: {step:?} came as {came:?}");
            continue;
        }
        let documented: Vec<String> = step.shown.iter().map(|line| bindings.resolved(line)).collect();
        assert_eq!(came, documented, "{path}: `{}`", step.command);
    }
}

fn number(lines: &[String]) -> i64 {
    let number = lines.first().and_then(|line| line.strip_prefix("(integer) ")).and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("a number must come, got {lines:?}"))
}

fn replay_all(path: &str, least: usize) {
    let transcripts = Document::read(path).fences("redis");
    assert!(transcripts.len() >= least, "{path} has only {} transcripts", transcripts.len());
    transcripts.iter().for_each(|transcript| replay(path, transcript));
}

#[test]
fn the_readme_shows_what_happens() {
    replay_all("README.md", 3);
}

#[test]
fn the_recipes_work() {
    replay_all("docs/RECIPES.md", 8);
}

#[test]
#[should_panic(expected = "(integer) 2")]
fn a_transcript_that_is_wrong_is_found() {
    replay("here", "> SCOUNTER.INCR views\n(integer) 2");
}
