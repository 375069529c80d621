//! Many clients at once: no id twice, none unaccounted for.

use super::Run;
use crate::audit::entry::Entry;
use crate::harness::*;
use std::thread;

const CLIENTS: usize = 8;
const BLOCK: usize = 1000;

#[test]
fn every_id_of_a_crowd_is_distinct_and_accounted_for() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids FENCE OFF LOG MAXLEN 10000");
    let blocks_each = scale(200_000, 5_000_000) / BLOCK / CLIENTS;
    let runs: Vec<(String, Run)> = thread::scope(|scope| {
        let reserve = |number| reserve(&server, format!("worker-{number}"), blocks_each);
        let workers: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || reserve(number))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    });

    let mut seen = vec![false; CLIENTS * blocks_each * BLOCK];
    for id in runs.iter().flat_map(|(_, run)| run.ids()) {
        let place = usize::try_from(id - 1).expect("an id from 1");
        assert!(!std::mem::replace(&mut seen[place], true), "{id} twice");
    }
    assert!(seen.iter().all(|seen| *seen), "ids left out");

    for (worker, run) in &runs {
        let samples = [run.first, run.first + run.count / 2, run.last];
        for reply in client.pipeline(samples.map(|id| format!("IDBLOCK.WHO ids {id}"))) {
            let holder = Entry::read(&reply.expect("a reservation"));
            assert_eq!((holder.number("first"), holder.number("last")), (run.first, run.last));
            assert_eq!((holder.get("op"), holder.get("client")), ("reserve", worker.as_str()));
        }
    }
    client.nil("IDBLOCK.WHO ids 0");
    client.nil(format!("IDBLOCK.WHO ids {}", seen.len() + 1));
}

fn reserve(server: &Server, name: String, blocks: usize) -> Vec<(String, Run)> {
    let mut client = server.connect();
    client.ok(["CLIENT", "SETNAME", &name]);
    let command = format!("IDBLOCK.RESERVE ids {BLOCK}");
    (0..blocks).map(|_| (name.clone(), Run::reserve(&mut client, command.as_str()))).collect()
}
