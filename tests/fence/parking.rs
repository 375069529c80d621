//! Reservations that wait: whatever ends the wait, the client is answered, and what it gets is decided then.

use super::{Checker, Fence, Run, address, create, reserve, wait_for_electable};
use crate::harness::*;
use std::thread;
use std::time::{Duration, Instant};

/// More than any window here, so that it needs a mark, which needs the replica.
const BIG: &str = "IDBLOCK.RESERVE ids 1000000";
/// Nothing waits for so long: whoever is answered was answered for another reason.
const LONG_MS: u32 = 30_000;

/// A pair that has handed out ids, and whose replica is frozen.
struct Stalled {
    pair: Pair,
    control: Client,
}

impl Stalled {
    fn start(wait_ms: u32) -> Self {
        let pair = Pair::start_with(Server::builder().config("tallybook.fence-wait", wait_ms), Server::builder());
        let control = pair.primary.connect();
        let mut stalled = Self { pair, control };
        stalled.stall();
        stalled
    }

    /// Has the allocator work once, then freezes the replica.
    fn stall(&mut self) {
        create(&mut self.control, "ids", "FENCE 100");
        wait_for_electable(&self.pair.primary, &[&self.pair.replica]);
        reserve(&mut self.control, "IDBLOCK.RESERVE ids 10");
        self.pair.synced();
        self.pair.replica.pause();
    }

    /// Sends a command that must wait, as the number of them says.
    fn park(&mut self, command: impl Command, number: i64) -> Client {
        let mut client = self.pair.primary.connect();
        client.send(command).expect("a connection");
        self.wait_until_parked(number);
        client
    }

    #[track_caller]
    fn wait_until_parked(&mut self, number: i64) {
        let control = &mut self.control;
        let what = format!("{number} clients wait");
        wait_until(&what, PATIENCE, || Fence::of(control).waiting == number);
    }

    /// Whom everybody waits for.
    fn replica(&self) -> String {
        address(&self.pair.replica)
    }
}

/// The replica's acknowledgement goes to a client that is answered within the patience of a test.
#[track_caller]
fn answer(mut client: Client) -> Reply {
    client.set_timeout(PATIENCE);
    let started = Instant::now();
    let reply = client.receive();
    assert!(started.elapsed() < PATIENCE, "no answer within {PATIENCE:?}");
    reply
}

#[track_caller]
fn refusal(client: Client) -> String {
    answer(client).map(|reply| show(&reply)).expect_err("a refusal")
}

#[test]
fn a_reservation_waits_no_longer_than_it_may() {
    for wait_ms in [0, 300] {
        let stalled = Stalled::start(wait_ms);
        let started = Instant::now();
        let mut client = stalled.pair.primary.connect();
        let error = client.error(BIG);
        let took = started.elapsed();
        assert!(error.starts_with("UNFENCED "), "{error}");
        assert!(error.contains(&stalled.replica()) || wait_ms == 0, "it is not known at once: {error}");
        assert!(took >= Duration::from_millis(wait_ms.into()), "{took:?}");
        assert!(took < PATIENCE, "{took:?}");
        stalled.pair.replica.resume();
        reserve(&mut client, BIG);
    }
}

#[test]
fn whatever_needs_a_mark_waits_for_it_and_gets_it() {
    let mut stalled = Stalled::start(LONG_MS);
    let mut control = stalled.pair.primary.connect();
    create(&mut control, "new", "");
    create(&mut control, "codes", "CODES 9 FENCE 100");
    create(&mut control, "clock", "CLOCK 10");
    let commands = [BIG, "IDBLOCK.NEXT new", "IDBLOCK.CODES codes 5", "IDBLOCK.NEXT clock", "IDBLOCK.ADVANCE new 5000"];
    let clients: Vec<Client> = (1..).zip(commands).map(|(number, command)| stalled.park(command, number)).collect();
    assert_eq!(super::field(&mut control, "ids", "fence-waiting-for"), format!("\"{}\"", stalled.replica()));
    stalled.pair.replica.resume();
    for (client, command) in clients.into_iter().zip(commands) {
        answer(client).unwrap_or_else(|error| panic!("`{command}`: {error}"));
    }
    assert!(reserve(&mut control, "IDBLOCK.NEXT new").first > 5000);
    stalled.wait_until_parked(0);
}

#[test]
fn a_client_that_leaves_is_forgotten() {
    let mut stalled = Stalled::start(LONG_MS);
    drop(stalled.park(BIG, 1));
    stalled.wait_until_parked(0);
    let client = stalled.park(BIG, 1);
    stalled.control.value("CLIENT KILL TYPE normal SKIPME yes");
    assert!(refusal(client).starts_with("DISCONNECTED "));
    stalled.wait_until_parked(0);
    stalled.pair.replica.resume();
    reserve(&mut stalled.control, BIG);
}

#[test]
fn a_client_may_be_unblocked() {
    let mut stalled = Stalled::start(LONG_MS);
    for (way, expected) in
        [("", "UNFENCED "), ("TIMEOUT", "UNFENCED "), ("ERROR", "UNBLOCKED client unblocked via CLIENT UNBLOCK")]
    {
        let mut client = stalled.pair.primary.connect();
        let id = client.int("CLIENT ID");
        client.send(BIG).expect("a connection");
        stalled.wait_until_parked(1);
        assert_eq!(stalled.control.int(format!("CLIENT UNBLOCK {id} {way}")), 1, "{way}");
        let error = client.receive().map(|reply| show(&reply)).expect_err("a refusal");
        assert!(error.starts_with(expected), "{way}: {error}");
        assert_eq!(client.text("PING"), "PONG");
        stalled.wait_until_parked(0);
    }
    stalled.pair.replica.resume();
    reserve(&mut stalled.control, BIG);
}

#[test]
fn whoever_waits_on_a_primary_is_told_when_it_is_one_no_more() {
    let mut stalled = Stalled::start(LONG_MS);
    let other = Server::builder().port().start();
    let client = stalled.park(BIG, 1);
    stalled.control.ok(format!("REPLICAOF 127.0.0.1 {}", other.port()));
    let error = refusal(client);
    assert!(["UNFENCED ", "UNBLOCKED ", "READONLY "].iter().any(|code| error.starts_with(code)), "{error}");
    let mut client = stalled.pair.primary.connect();
    wait_until("nobody waits", PATIENCE, || Fence::of(&mut client).waiting == 0);
    assert_eq!(Fence::of(&mut client).role, "replica");
    stalled.pair.replica.resume();
}

/// What becomes of a key while somebody waits at it.
#[test]
fn a_key_that_is_gone_when_the_client_wakes_is_no_key() {
    let mut stalled = Stalled::start(LONG_MS);
    for command in
        ["DEL ids", "UNLINK ids", "RENAME ids elsewhere", "FLUSHALL", "FLUSHDB ASYNC", "MOVE ids 1", "SWAPDB 0 1"]
    {
        let client = stalled.park(BIG, 1);
        stalled.control.value(command);
        stalled.pair.replica.resume();
        let error = refusal(client);
        assert!(error.starts_with("NOKEY "), "{command}: {error}");
        stalled.control.ok("FLUSHALL");
        stalled.stall();
    }
    let client = stalled.park(BIG, 1);
    stalled.control.int("DEL ids");
    stalled.control.ok("SET ids text");
    stalled.pair.replica.resume();
    assert!(refusal(client).starts_with("WRONGTYPE "));
}

#[test]
fn a_key_that_was_made_anew_when_the_client_wakes_is_the_one_it_gets() {
    let mut stalled = Stalled::start(LONG_MS);
    let client = stalled.park(BIG, 1);
    stalled.control.int("DEL ids");
    create(&mut stalled.control, "ids", "START 5000000 FENCE 100");
    stalled.pair.replica.resume();
    match answer(client) {
        Ok(reply) => assert_eq!(Run::read(&reply).first, 5_000_000),
        Err(error) => assert!(error.starts_with("UNFENCED "), "{error}"),
    }
}

#[test]
fn retries_that_wait_side_by_side_get_one_reply() {
    let mut stalled = Stalled::start(LONG_MS);
    let request = format!("{BIG} IDMP worker 1");
    let twins = [stalled.park(request.as_str(), 1), stalled.park(request.as_str(), 2)];
    let other = stalled.park("IDBLOCK.RESERVE ids 999999 IDMP worker 1", 3);
    stalled.pair.replica.resume();
    let [one, two] = twins.map(|twin| show(&answer(twin).expect("a run")));
    assert_eq!(one, two);
    assert!(refusal(other).starts_with("IDMPMISMATCH "));
    assert_eq!(stalled.control.show(request.as_str()), one, "and so does a later one");
}

/// Whoever gave up wants nothing any more: retries do not add up to a mark beyond all bounds.
#[test]
fn a_retry_claims_no_more_than_the_first_attempt() {
    let mut stalled = Stalled::start(10);
    for _ in 0..30 {
        let error = stalled.control.error("IDBLOCK.RESERVE ids 1000");
        assert!(error.starts_with("UNFENCED "), "{error}");
    }
    let mark = stalled.control.int("IDBLOCK.INFO ids fence-mark");
    assert!(mark <= 10 + 2 * 1_000 + 3 * 100, "{mark} after 30 attempts at 1000 ids");
    stalled.pair.replica.resume();
    assert_eq!(reserve(&mut stalled.control, "IDBLOCK.RESERVE ids 1000").first, 11);
}

#[test]
fn many_that_wait_are_all_served() {
    let mut stalled = Stalled::start(LONG_MS);
    let count = scale(100, 1_000);
    let checker = Checker::new("ids");
    let mut clients: Vec<Client> = (0..count).map(|_| stalled.pair.primary.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("IDBLOCK.RESERVE ids {}", 200 + number)).expect("a connection");
    }
    stalled.wait_until_parked(i64::from(count));
    stalled.pair.replica.resume();
    for client in clients {
        checker.note(&Run::read(&answer(client).expect("a run")), 0);
    }
    checker.assert_unique();
    stalled.wait_until_parked(0);
}

/// Those who were woken are answered after others whose requests came meanwhile (from 7.2 on): these leave them their
/// ids.
#[test]
fn whoever_waits_gets_its_ids_however_many_come_after_it() {
    let server = Server::start();
    let mut control = server.connect();
    for number in 0..scale(10, 100) {
        let key = format!("ids:{number}");
        create(&mut control, &key, "");
        let crowd = || {
            let mut client = server.connect();
            for _ in 0..10 {
                let replies = client.pipeline(vec![format!("IDBLOCK.NEXT {key}"); 64]);
                replies.into_iter().for_each(|reply| assert!(reply.is_ok(), "{reply:?}"));
            }
        };
        thread::scope(|scope| (0..50).for_each(|_| drop(scope.spawn(crowd))));
        assert_eq!(control.int(format!("IDBLOCK.NEXT {key}")), 50 * 10 * 64 + 1);
    }
}

#[test]
fn nothing_waits_where_nothing_may() {
    let mut stalled = Stalled::start(LONG_MS);
    let started = Instant::now();
    let client = &mut stalled.control;
    create(client, "new", "");
    for command in [BIG, "IDBLOCK.NEXT new", "IDBLOCK.RESERVE new 5 ATLEAST 1", "IDBLOCK.ADVANCE new 5000"] {
        let replies = client.pipeline(["MULTI", "SET before 1", command, "SET after 1", "EXEC"]);
        let reply = show(replies.last().expect("replies").as_ref().expect("an array"));
        assert!(reply.starts_with("[OK, (error) UNFENCED ") && reply.ends_with(", OK]"), "{command}: {reply}");
        let words: Vec<String> = command.split(' ').map(|word| format!("'{word}'")).collect();
        for call in ["call", "pcall"] {
            let error = client.error(["EVAL", &format!("return redis.{call}({})", words.join(",")), "0"]);
            assert!(error.starts_with("UNFENCED "), "{command}: {error}");
        }
    }
    assert!(started.elapsed() < Duration::from_millis(LONG_MS.into()) / 2, "{:?}", started.elapsed());
    assert_eq!(Fence::of(client).waiting, 0);
    let replies = client.pipeline(["MULTI", "IDBLOCK.RESERVE ids 2", "EXEC"]);
    let reply = show(replies[2].as_ref().expect("an array"));
    assert!(reply.starts_with("[[11, 12, 1, 2]"), "what is safe is served: {reply}");
    stalled.pair.replica.resume();
}

#[test]
fn nobody_is_served_in_a_pause_and_all_are_after_it() {
    let mut stalled = Stalled::start(LONG_MS);
    let client = stalled.park(BIG, 1);
    stalled.control.ok("CLIENT PAUSE 60000 WRITE");
    stalled.pair.replica.resume();
    stalled.pair.synced(); // the acknowledgement comes in the pause
    let next = stalled.pair.primary.connect();
    stalled.control.ok("CLIENT UNPAUSE");
    let reply = answer(client).map(|reply| Run::read(&reply));
    let reply = reply.inspect_err(|error| assert!(error.starts_with("UNFENCED "), "{error}"));
    println!("{reply:?}");
    drop(next);
    reserve(&mut stalled.control, BIG);
}

/// The primary pauses its writes, hands over, and is a replica.
#[test]
fn whoever_waits_in_a_failover_is_answered() {
    for words in ["", "TIMEOUT 1 FORCE"] {
        let mut stalled = Stalled::start(LONG_MS);
        let client = stalled.park(BIG, 1);
        let port = stalled.pair.replica.port();
        stalled.control.ok(format!("FAILOVER TO 127.0.0.1 {port} {words}"));
        stalled.pair.replica.resume();
        if let Err(error) = answer(client) {
            let codes = ["UNFENCED ", "UNBLOCKED ", "READONLY ", "DISCONNECTED "];
            assert!(codes.iter().any(|code| error.starts_with(code)), "{error}");
        }
        wait_until("the replica has taken over", PATIENCE, || super::is_primary(&mut stalled.pair.replica.connect()));
        reserve(&mut stalled.pair.replica.connect(), "IDBLOCK.RESERVE ids 10");
    }
}

/// A dataset that is loaded anew under the client's feet.
#[test]
fn whoever_waits_while_the_data_is_loaded_again_is_answered() {
    let mut stalled = Stalled::start(LONG_MS);
    let client = stalled.park(BIG, 1);
    stalled.pair.primary.reload();
    stalled.pair.replica.resume();
    if let Err(error) = answer(client) {
        assert!(error.starts_with("UNFENCED "), "{error}");
    }
    reserve(&mut stalled.control, BIG);
}
