//! A client that finds its way to the owner of a key, and sums of what was tried and what was acknowledged.

use crate::harness::*;
use redis::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

/// Whoever is silent for so long is taken for dead. Longer than pauses, shorter than some waits.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Nobody knows whether the command was executed.
pub const LOST: &str = "DISCONNECTED";

/// Where a server is.
pub struct Address {
    socket: PathBuf,
    port: u16,
}

impl Address {
    pub fn of(server: &Server) -> Self {
        Self { socket: server.socket(), port: server.port() }
    }
}

/// A connection to each node, and the owners of keys as far as they are known.
pub struct Caller<'a> {
    nodes: &'a [Address],
    clients: Vec<Option<Client>>,
    owners: BTreeMap<Vec<u8>, usize>,
}

impl<'a> Caller<'a> {
    pub fn new(nodes: &'a [Address]) -> Self {
        Self { nodes, clients: nodes.iter().map(|_| None).collect(), owners: BTreeMap::new() }
    }

    /// Asks whoever is taken for the owner of the key, which is the first argument. An error is one of the usual ones,
    /// or has one of `codes`; any other one fails the test.
    #[track_caller]
    pub fn call(&mut self, command: impl Command, codes: &[&str]) -> Reply {
        let arguments = command.into_arguments();
        let node = self.owners.get(&arguments[1]).copied().unwrap_or(0);
        self.ask(node, &arguments).inspect_err(|error| {
            let code = error.split(' ').next().expect("a code");
            let is_usual = code == LOST || NOT_NOW.contains(&code);
            let line = arguments.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
            assert!(is_usual || codes.contains(&code), "`{line}`: {error}");
            if is_usual {
                self.go_elsewhere(node, &arguments[1], error);
            }
        })
    }

    /// Turns to this node for a key, whoever owns it.
    pub fn turn_to(&mut self, node: usize, key: &str) {
        self.owners.insert(key.into(), node);
    }

    fn ask(&mut self, node: usize, arguments: &[Vec<u8>]) -> Reply {
        let client = match &mut self.clients[node] {
            Some(client) => client,
            none => {
                // A command that was never sent was not executed, so this is not called lost.
                let mut client =
                    Client::connect(&self.nodes[node].socket).map_err(|error| format!("MASTERDOWN {error}"))?;
                client.set_timeout(TIMEOUT);
                none.insert(client)
            }
        };
        client.call(arguments)
    }

    fn go_elsewhere(&mut self, node: usize, key: &[u8], error: &str) {
        if error.starts_with(LOST) {
            self.clients[node] = None;
        }
        let port = error.strip_prefix("MOVED ").and_then(|rest| rest.rsplit(':').next()?.parse().ok());
        let named = port.and_then(|port: u16| self.nodes.iter().position(|node| node.port == port));
        self.owners.insert(key.to_vec(), named.unwrap_or((node + 1) % self.nodes.len()));
    }
}

/// What was tried, and what was acknowledged.
#[derive(Default)]
pub struct Sum {
    attempted: AtomicI64,
    acknowledged: AtomicI64,
}

impl Sum {
    /// Notes an attempt, makes it, and notes what became of it.
    #[track_caller]
    pub fn attempt(&self, amount: i64, attempt: impl FnOnce() -> Reply) -> Result<Value, String> {
        self.attempted.fetch_add(amount, SeqCst);
        let reply = attempt();
        match &reply {
            Ok(_) => _ = self.acknowledged.fetch_add(amount, SeqCst),
            Err(error) if error.starts_with(LOST) => {}
            Err(_) => _ = self.attempted.fetch_sub(amount, SeqCst),
        }
        reply
    }

    pub fn attempted(&self) -> i64 {
        self.attempted.load(SeqCst)
    }

    pub fn acknowledged(&self) -> i64 {
        self.acknowledged.load(SeqCst)
    }
}
