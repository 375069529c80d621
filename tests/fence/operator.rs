//! An operator, who does what the servers say must be done, and knows which ids are in use.

use super::{Crowd, address, fields, is_primary};
use crate::harness::*;
use std::time::Duration;

/// How long the servers have to find their peace by themselves, unless a test says otherwise.
const SELF_HELP: Duration = Duration::from_secs(4);

/// In charge of servers one of which is to be the primary, since a time from which on their logs count.
pub struct Operator<'a> {
    servers: Vec<&'a Server>,
    crowd: &'a Crowd,
    read: Vec<usize>,
    self_help: Duration,
}

impl<'a> Operator<'a> {
    pub fn new(servers: impl IntoIterator<Item = &'a Server>, crowd: &'a Crowd) -> Self {
        let servers: Vec<&Server> = servers.into_iter().collect();
        let read = servers.iter().map(|server| server.log().len()).collect();
        Self { servers, crowd, read, self_help: SELF_HELP }
    }

    /// The servers have so long to find their peace by themselves.
    pub fn after(self, self_help: Duration) -> Self {
        Self { self_help, ..self }
    }

    /// Whether it becomes true within this time, with or without help for the primary that there is by then. Returns
    /// how often help was needed.
    pub fn sees_to(
        &self,
        deadline: Duration,
        primary: impl Fn() -> Option<&'a Server>,
        mut is_well: impl FnMut() -> bool,
    ) -> Option<usize> {
        let mut helped = 0;
        let is_well = holds_within(deadline, || {
            holds_within(self.self_help, &mut is_well) || {
                if let Some(primary) = primary() {
                    helped += 1;
                    self.help(primary);
                }
                false
            }
        });
        is_well.then_some(helped)
    }

    /// Where all others follow, whoever is waited for in vain can be forgotten.
    fn help(&self, primary: &Server) {
        let others = || self.servers.iter().zip(&self.read).filter(|(other, _)| other.port() != primary.port());
        if others().any(|(other, _)| is_primary(&mut other.connect())) {
            return;
        }
        let mut client = primary.connect();
        if let Some(former) = text(&client.value("IDBLOCK.FENCE"), "orphan-of") {
            client.ok(["IDBLOCK.FENCE", "FORGET", &former]);
        }
        for checker in self.crowd.checkers() {
            if is_doubted(&mut client, checker.name()) {
                let _ = client.call(args!["IDBLOCK.ADVANCE", checker.name(), checker.beyond()]); // it may have to wait
            }
        }
        let refusals: Vec<(&Server, Vec<String>)> =
            others().filter_map(|(other, read)| Some((*other, refusal(other, *read, primary)?))).collect();
        for advice in refusals.iter().flat_map(|(_, lines)| lines).filter(|line| line.starts_with("IDBLOCK.ADVANCE ")) {
            let _ = client.call(&**advice);
        }
        // Those that follow may each wait for the other one to be counted. None lacks an id then.
        let waits_for_others = |lines: &[String]| lines.len() == 1 && lines[0].starts_with("it does not count ");
        if refusals.len() == others().count() && refusals.iter().all(|(_, lines)| waits_for_others(lines)) {
            for (other, _) in refusals {
                let _ = other.connect().call(["IDBLOCK.FENCE", "FORGET", &address(primary)]);
            }
        }
    }
}

/// What a server said last of why this primary gets no acknowledgement, if it said anything.
fn refusal(server: &Server, read: usize, primary: &Server) -> Option<Vec<String>> {
    let log = server.log();
    let lines: Vec<&str> = log[read..].lines().filter_map(|line| Some(line.split_once("tallybook: ")?.1)).collect();
    let begins = format!("the primary {} gets no acknowledgement from here", address(primary));
    let at = lines.iter().rposition(|line| line.starts_with(&begins))?;
    let reasons = lines[at + 1..].iter().take_while(|line| !line.starts_with("the primary "));
    Some(reasons.map(|line| (*line).to_owned()).collect())
}

fn is_doubted(client: &mut Client, key: &str) -> bool {
    let waiting_for = client.call(["IDBLOCK.INFO", key, "fence-waiting-for"]);
    waiting_for.is_ok_and(|waiting_for| show(&waiting_for).contains("IDBLOCK.ADVANCE"))
}

fn text(value: &redis::Value, field: &str) -> Option<String> {
    redis::from_redis_value_ref(&fields(value)[field]).expect("a text")
}
