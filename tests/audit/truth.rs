//! A random workload of many users: the log holds exactly what was applied, in order, and says the same wherever the
//! value went.

use super::entry::{Entry, Fields};
use super::model::{Model, Reply, Request, Who};
use crate::harness::*;
use crate::payload::Payload;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

const USERS: usize = 20;
const LIMIT: i64 = 1000;
const NOTES: [&str; 6] = ["", "", "", "order-7", "NOTE", "IDMP"];

/// How a command reaches the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Alone,
    Transaction,
    Script,
}

/// A client of each user, some without a name.
struct Crowd {
    clients: Vec<(Client, Who)>,
    chance: StdRng,
    tokens: u32,
}

impl Crowd {
    fn of(server: &Server) -> Self {
        let clients = (0..USERS).map(|number| {
            let (user, client) = (format!("user-{number}"), format!("client-{}", number % 6));
            let mut connection = server.connect();
            connection.ok(["ACL", "SETUSER", &user, "on", "nopass", "allkeys", "+@all"]);
            connection.ok(["AUTH", &user, "any"]);
            let client = if number % 6 == 0 { String::new() } else { client };
            connection.ok(["CLIENT", "SETNAME", &client]);
            (connection, Who { user, client, note: String::new() })
        });
        Self { clients: clients.collect(), chance: StdRng::seed_from_u64(seed()), tokens: 0 }
    }

    /// One step of the workload, on the server and in the model. Returns what became of it.
    fn step(&mut self, model: &mut Model) -> &'static str {
        let (request, note, token) = self.draw(model);
        let way = [Way::Alone, Way::Alone, Way::Alone, Way::Transaction, Way::Script][self.chance.random_range(0..5)];
        let number = self.chance.random_range(0..USERS);
        let (client, who) = &mut self.clients[number];
        let mut who = Who { note: note.to_owned(), ..who.clone() };
        if way == Way::Script {
            who.client.clear();
        }
        let brief = matches!(request, Request::Hold(_)) && token.is_none() && self.chance.random_ratio(1, 4);
        let mut command = words(request, brief);
        if let Some(token) = token {
            command.extend(["IDMP".to_owned(), "crowd".to_owned(), token.to_string()]);
        }
        if !note.is_empty() {
            command.extend(["NOTE".to_owned(), note.to_owned()]);
        }

        let entries = model.log.len();
        let expected = model.execute(request, token, &who);
        let got = send(client, way, &command);
        match (&expected, request) {
            (Reply::Is(reply), _) => assert_eq!(got, *reply, "{command:?}"),
            (Reply::Refusal(code), _) => assert!(got.starts_with(&format!("(error) {code} ")), "{command:?}: {got}"),
            (Reply::HoldId, Request::Hold(amount)) => {
                let id = got.parse().unwrap_or_else(|_| panic!("{command:?}: {got}"));
                model.held(id, amount, token);
                if brief {
                    wait_until("the hold has expired", PATIENCE, || !client.show("SCOUNTER.HOLDS key").contains(&got));
                    model.lapse(id);
                }
            }
            (Reply::HoldId, _) => unreachable!("only HOLD makes a hold"),
        }
        match expected {
            Reply::Refusal(code) => code,
            _ if model.log.len() > entries => "applied",
            _ => "nothing to do",
        }
    }

    /// An entry from a second ahead: to those that follow, the clock has stepped back.
    fn step_the_clock(&mut self, model: &mut Model) {
        let (client, who) = &mut self.clients[0];
        if model.has_lapsed() || model.execute(Request::Incr(1), None, who) == Reply::Refusal("BOUND") {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        let ahead = u64::try_from(now.as_millis()).expect("milliseconds") + 1000;
        let effect = Payload::at(ahead).added(1).stamp([b""; 3]);
        client.ok(args!["SCOUNTER.EFFECT", "key", effect.into_bytes()]);
    }

    /// A request, a note, and a token: none, a new one, or one that was used for this or for another request.
    fn draw(&mut self, model: &Model) -> (Request, &'static str, Option<u32>) {
        let chance = &mut self.chance;
        let delta = if chance.random_ratio(1, 10) { 0 } else { chance.random_range(-100..=100) };
        let (pending, ended) = model.holds();
        let held = pending.get(chance.random_range(0..20)).copied();
        let ended = ended.iter().rev().nth(chance.random_range(0..20)).copied();
        let request = match chance.random_range(0..20) {
            0..7 => Request::Incr(delta),
            7..9 => Request::Decr(delta),
            9..12 => Request::Saturate(5 * delta),
            12 => Request::Set(if chance.random() { model.value } else { 9 * delta }),
            13 => Request::Bounds(-LIMIT - 10 * chance.random_range(0..3), LIMIT + 5 * delta.abs()),
            14 if pending.len() < 12 && delta != 0 => Request::Hold(delta),
            14 | 15 => held.map_or(Request::Release(1), |(id, _)| Request::Release(id)),
            16 => held.map_or(Request::Commit(1, None), |(id, _)| Request::Commit(id, None)),
            17 => held.map_or(Request::Incr(1), |(id, amount)| Request::Commit(id, Some(amount - amount / 2))),
            18 => ended.map_or(Request::Incr(1), Request::Release),
            _ => ended.map_or(Request::Incr(1), |id| Request::Commit(id, None)),
        };
        let noteless = matches!(request, Request::Bounds(..) | Request::Release(_));
        let note = if noteless { "" } else { NOTES[chance.random_range(0..NOTES.len())] };
        let takes_token =
            matches!(request, Request::Incr(_) | Request::Decr(_) | Request::Saturate(_) | Request::Hold(_));
        if !takes_token || chance.random_ratio(2, 3) {
            return (request, note, None);
        }
        if self.tokens > 0 && chance.random_ratio(1, 2) {
            let used = chance.random_range(0..self.tokens);
            let same = chance.random_ratio(4, 5);
            return (model.known(used).filter(|_| same).unwrap_or(request), note, Some(used));
        }
        self.tokens += 1;
        (request, note, Some(self.tokens - 1))
    }
}

/// The words of a request. A brief hold is past its deadline at once.
fn words(request: Request, brief: bool) -> Vec<String> {
    let line = match request {
        Request::Incr(delta) => format!("SCOUNTER.INCR key {delta}"),
        Request::Decr(delta) => format!("SCOUNTER.DECR key {delta}"),
        Request::Saturate(delta) => format!("SCOUNTER.INCREX key BYINT {delta} SATURATE"),
        Request::Set(value) => format!("SCOUNTER.SET key {value}"),
        Request::Bounds(lower, upper) => format!("SCOUNTER.ALTER key LBOUND {lower} UBOUND {upper}"),
        Request::Hold(amount) => format!("SCOUNTER.HOLD key {amount} {}", if brief { "PX 1" } else { "EX 1000000" }),
        Request::Commit(id, None) => format!("SCOUNTER.COMMIT key {id}"),
        Request::Commit(id, Some(amount)) => format!("SCOUNTER.COMMIT key {id} {amount}"),
        Request::Release(id) => format!("SCOUNTER.RELEASE key {id}"),
    };
    line.split(' ').map(str::to_owned).collect()
}

/// The reply in one line, also where it is an error.
fn send(client: &mut Client, way: Way, command: &[String]) -> String {
    let reply = match way {
        Way::Alone => client.call(command),
        Way::Transaction => {
            let transaction = [vec!["MULTI".to_owned()], command.to_vec(), vec!["EXEC".to_owned()]];
            client.pipeline(transaction).pop().expect("three replies").map(|reply| match reply {
                redis::Value::Array(mut replies) if replies.len() == 1 => replies.remove(0),
                other => panic!("one reply must come, got {}", show(&other)),
            })
        }
        Way::Script => {
            let script = "return redis.pcall(unpack(ARGV))";
            client.call([&["EVAL", script, "1", "key"].map(str::to_owned), command].concat())
        }
    };
    reply.map_or_else(|error| format!("(error) {error}"), |value| show(&value))
}

#[test]
fn the_log_holds_exactly_what_was_applied() {
    let durable = Server::builder().config("appendonly", "yes");
    let pair = Pair::start_with(durable, Server::builder());
    let create = format!("SCOUNTER.CREATE key LBOUND -{LIMIT} UBOUND {LIMIT} IDMP-DURATION 100000 LOG MAXLEN 10000000");
    pair.primary.connect().ok(create);
    let mut model = Model::created(0, (-LIMIT, LIMIT), "default");
    let mut crowd = Crowd::of(&pair.primary);

    let mut outcomes = BTreeMap::new();
    for step in 1..=scale(20_000, 200_000) {
        if step % 2000 == 0 {
            crowd.step_the_clock(&mut model);
        }
        *outcomes.entry(crowd.step(&mut model)).or_insert(0) += 1;
    }
    println!("{outcomes:?}, {} entries", model.log.len());
    for outcome in ["applied", "nothing to do", "BOUND", "IDMPMISMATCH", "HOLDRESOLVED", "NOHOLD"] {
        assert!(outcomes.contains_key(outcome), "the workload must come to `{outcome}` too: {outcomes:?}");
    }
    assert!(model.log.iter().any(|entry| entry[0].1 == "hold-expired"), "holds must expire too");

    let log = log_of(&pair.primary);
    assert_says(&log, &model.log);
    assert!(log.is_sorted_by(|before, after| before.time() < after.time()), "ids must increase strictly");
    pair.synced();
    assert_same(&log_of(&pair.replica), &log, "replica");
    pair.primary.reload();
    assert_same(&log_of(&pair.primary), &log, "RDB");
    for preamble in ["yes", "no"] {
        pair.primary.connect().ok(["CONFIG", "SET", "aof-use-rdb-preamble", preamble]);
        pair.primary.rewrite_aof();
        pair.primary.load_aof();
        assert_same(&log_of(&pair.primary), &log, "AOF");
    }
    assert_eq!(pair.primary.connect().int("COPY key copy"), 1);
    pair.primary.connect().ok("RENAME copy key");
    assert_same(&log_of(&pair.primary), &log, "COPY");
}

fn log_of(server: &Server) -> Vec<Entry> {
    Entry::all(&mut server.connect(), "SCOUNTER.LOG key - +")
}

#[track_caller]
fn assert_says(log: &[Entry], expected: &[Fields]) {
    for (place, (entry, expected)) in log.iter().zip(expected).enumerate() {
        assert_eq!(entry.fields, *expected, "entry {place}");
    }
    assert_eq!(log.len(), expected.len(), "entries");
}

#[track_caller]
fn assert_same(log: &[Entry], expected: &[Entry], whose: &str) {
    let difference = log.iter().zip(expected).find(|(entry, expected)| entry != expected);
    assert_eq!(difference, None, "{whose}");
    assert_eq!(log.len(), expected.len(), "{whose}");
}
