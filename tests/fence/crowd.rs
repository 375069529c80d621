//! Clients that go on reserving while servers fail around them, and a checker for every id that they get.
//!
//! Followers look for the primary, as a client library does: at a refusal they try the next node. Loyal ones stay with
//! their node whatever it says, so that an old primary is asked for ids as long as it lives. Some requests carry a
//! token and are repeated until they are answered; whoever retries takes one answer for one request.

use super::{Checker, End, Run, create};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// The largest reservation.
const BLOCK_MAX: i64 = 100;
/// The share of requests that carry a token.
const TOKENS: f64 = 0.25;
/// A follower takes a server that is silent for so long for dead.
const FOLLOWER_TIMEOUT: Duration = Duration::from_secs(1);
/// A loyal client takes it for paused.
const LOYAL_TIMEOUT: Duration = Duration::from_secs(60);
/// Between a refusal and the next attempt.
const BREATH: Duration = Duration::from_millis(5);

/// What an allocator, or whatever is left of its server, says beside that.
const REFUSALS: [&str; 4] = ["UNFENCED", "DISCONNECTED", "MISCONF", "NOKEY"];

/// Every kind of fence: the allocators of a test that has no reason for others.
pub const KINDS: [(&str, i64, &str); 4] = [
    ("auto", 1, ""),
    ("window", 1, "FENCE 1000"),
    ("strided", 10, "START 7 INCREMENT 10 FENCE 300"),
    ("clock", 1, "CLOCK 10"),
];

/// The allocators, the nodes and the clients.
pub struct Crowd {
    checkers: Vec<Checker>,
    nodes: Vec<Node>,
    followers: usize,
    loyal: usize,
    pause: Duration,
    seed: u64,
    is_over: AtomicBool,
    refusals: Mutex<BTreeMap<String, u64>>,
}

struct Node {
    socket: PathBuf,
    port: u16,
    granted: AtomicU64,
}

impl Crowd {
    /// Clients for these nodes, and for the allocators of these checkers.
    pub fn new<'a>(nodes: impl IntoIterator<Item = &'a Server>, checkers: Vec<Checker>) -> Self {
        let node = |server: &Server| Node { socket: server.socket(), port: server.port(), granted: AtomicU64::new(0) };
        Self {
            checkers,
            nodes: nodes.into_iter().map(node).collect(),
            followers: 2,
            loyal: 1,
            pause: Duration::from_millis(1),
            seed: seed(),
            is_over: AtomicBool::new(false),
            refusals: Mutex::default(),
        }
    }

    /// Allocators of every kind, created on the first node.
    #[track_caller]
    pub fn of_all_kinds(nodes: &[Server]) -> Self {
        let mut client = nodes[0].connect();
        KINDS.iter().for_each(|(key, _, options)| create(&mut client, key, options));
        Self::new(nodes, KINDS.map(|(key, increment, _)| Checker::new(key).of_increment(increment)).into())
    }

    /// So many clients in all that follow the primary, and so many for each node that stay with it.
    pub fn with_clients(mut self, followers: usize, loyal: usize) -> Self {
        (self.followers, self.loyal) = (followers, loyal);
        self
    }

    /// The time between an answer and the next request.
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Runs the clients for as long as `faults` runs, then fails if an id was handed out twice.
    #[track_caller]
    pub fn endures<T>(&self, faults: impl FnOnce(&Self) -> T) -> T {
        let result = thread::scope(|scope| {
            let end = End(&self.is_over);
            let loyal = (0..self.nodes.len() * self.loyal).map(|number| (number % self.nodes.len(), true));
            let followers = (0..self.followers).map(|_| (0, false));
            for (name, (node, is_loyal)) in loyal.chain(followers).enumerate() {
                scope.spawn(move || Worker::new(self, name, node, is_loyal).work());
            }
            let result = faults(self);
            drop(end);
            result
        });
        self.assert_unique();
        result
    }

    /// Fails if an id was handed out twice; tells how much there was.
    #[track_caller]
    pub fn assert_unique(&self) {
        let ids: Vec<String> =
            self.checkers.iter().map(|checker| format!("{}: {}", checker.name(), checker.ids())).collect();
        println!("ids {}; refusals {:?}", ids.join(", "), self.refusals.lock().expect("refusals"));
        for checker in &self.checkers {
            checker.assert_unique();
        }
    }

    /// What was handed out by each allocator.
    pub fn checkers(&self) -> &[Checker] {
        &self.checkers
    }

    /// Whether an id was handed out twice so far.
    pub fn has_repeated(&self) -> bool {
        self.checkers.iter().any(|checker| checker.repeated() > 0)
    }

    /// What was handed out by the allocator of this key.
    pub fn checker(&self, key: &str) -> &Checker {
        self.checkers.iter().find(|checker| checker.name() == key).expect("a key of the crowd")
    }

    /// How many ids all clients have got so far.
    pub fn granted(&self) -> u64 {
        self.checkers.iter().map(Checker::ids).sum()
    }

    /// How many requests this node has answered with ids so far.
    pub fn granted_by(&self, node: usize) -> u64 {
        self.nodes[node].granted.load(Relaxed)
    }

    /// Waits until the clients have got so many more ids.
    #[track_caller]
    pub fn wait_for(&self, ids: u64) {
        let goal = self.granted() + ids;
        wait_until("the clients have got more ids", PATIENCE * 3, || self.granted() >= goal);
    }

    /// Waits until this node has answered so many more requests with ids.
    #[track_caller]
    pub fn wait_for_node(&self, node: usize, requests: u64) {
        let goal = self.granted_by(node) + requests;
        let what = format!("node {node} has handed out more ids");
        wait_until(&what, PATIENCE * 3, || self.granted_by(node) >= goal);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Relaxed)
    }

    /// Counts a refusal by its code, which must be one that failing servers give.
    fn note_refusal(&self, error: &str) {
        let code = error.split(' ').next().expect("a code");
        assert!(NOT_NOW.contains(&code) || REFUSALS.contains(&code), "{error}");
        *self.refusals.lock().expect("refusals").entry(code.to_owned()).or_default() += 1;
    }
}

/// One client.
struct Worker<'a> {
    crowd: &'a Crowd,
    name: usize,
    node: usize,
    is_loyal: bool,
    client: Option<Client>,
    chance: StdRng,
    requests: u64,
    request: Option<Request>,
}

/// What is asked for until it is answered.
struct Request {
    allocator: usize,
    arguments: Vec<Vec<u8>>,
    has_token: bool,
}

impl<'a> Worker<'a> {
    fn new(crowd: &'a Crowd, name: usize, node: usize, is_loyal: bool) -> Self {
        let number = u64::try_from(name).expect("a number");
        let chance = StdRng::seed_from_u64(crowd.seed.wrapping_add(number));
        Self { crowd, name, node, is_loyal, client: None, chance, requests: 0, request: None }
    }

    fn work(mut self) {
        while !self.crowd.is_over() {
            let request = self.request.take().unwrap_or_else(|| self.choose());
            let pause = match self.ask(&request) {
                Ok(run) => {
                    self.crowd.checkers[request.allocator].note(&run, self.node);
                    self.crowd.nodes[self.node].granted.fetch_add(1, Relaxed);
                    self.crowd.pause
                }
                Err(error) => {
                    self.crowd.note_refusal(&error);
                    self.go_elsewhere(&error);
                    self.request = Some(request).filter(|request| request.has_token);
                    BREATH
                }
            };
            if !pause.is_zero() {
                holds_within(pause, || self.crowd.is_over());
            }
        }
    }

    fn choose(&mut self) -> Request {
        self.requests += 1;
        let allocator = self.chance.random_range(0..self.crowd.checkers.len());
        let key = self.crowd.checkers[allocator].name();
        let mut arguments = match self.chance.random_range(0..BLOCK_MAX) {
            0..20 => args!["IDBLOCK.NEXT", key],
            count => args!["IDBLOCK.RESERVE", key, count, "NOTE", "crowd"],
        };
        let has_token = self.chance.random_bool(TOKENS);
        if has_token {
            arguments.extend(args!["IDMP", format!("client-{}", self.name), self.requests]);
        }
        Request { allocator, arguments, has_token }
    }

    fn ask(&mut self, request: &Request) -> Result<Run, String> {
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(connect(&self.crowd.nodes[self.node], self.is_loyal)?),
        };
        client.call(&request.arguments).map(|reply| Run::read(&reply))
    }

    /// Drops a lost connection; a follower turns to the node that the error names, or to the next one.
    fn go_elsewhere(&mut self, error: &str) {
        if error.starts_with("DISCONNECTED ") {
            self.client = None;
        }
        if self.is_loyal {
            return;
        }
        let nodes = &self.crowd.nodes;
        let port = error.strip_prefix("MOVED ").and_then(|rest| rest.rsplit(':').next()?.parse().ok());
        let named = port.and_then(|port: u16| nodes.iter().position(|node| node.port == port));
        self.node = named.unwrap_or((self.node + 1) % nodes.len());
        self.client = None;
    }
}

fn connect(node: &Node, is_loyal: bool) -> Result<Client, String> {
    let mut client = Client::connect(&node.socket).map_err(|error| format!("DISCONNECTED {error}"))?;
    client.set_timeout(if is_loyal { LOYAL_TIMEOUT } else { FOLLOWER_TIMEOUT });
    Ok(client)
}
