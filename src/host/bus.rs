//! Totals over a cluster: messages to the other nodes and from them, and the clients that wait for what they say.
//!
//! What is asked, and what answers mean, is decided in `src/domain/shards`. Here it is fed, on the main thread
//! only: messages come in between, and everything that follows from them is done before the server's
//! loop sleeps, so that those that asked in one turn of the loop share a round.
//!
//! Keys are read then, too. While a command runs, Redis from 7.4 on and Valkey look for every key in the slot of that
//! command, and find nothing in others: also where a message comes in during a slow script.

use super::api::sees_every_slot;
use super::call::call;
use super::context::{Context, OwnedString, Reply, bytes_of};
use super::environment::{now_ms, random_u64};
use super::guard::guard;
use super::keyspace::peek;
use super::latency::took;
use super::park::{CANNOT_WAIT, Client, handle_of};
use redis_module::raw::*;
use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{c_char, c_int, c_uchar, c_void};
use std::ops::Deref;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tallybook_domain::counter::Counter;
use tallybook_domain::error::Error;
use tallybook_domain::shards::{
    Answer, Ask, Claim, Gather, Inquiry, Message, NodeId, Part, Shards, Table, Tally, Verdict, Waiter, Which, is_fresh,
    slot,
};

/// The only type of message; what kind it is says the message itself.
const MESSAGE: u8 = 1;

/// How many questions can wait for the end of a turn.
const ASKED_MAX: usize = 10_000;

/// How many totals are remembered, of each database.
const REMEMBERED_MAX: usize = 1024;

/// What somebody wants to know of a counter with shards.
pub struct Request<'a> {
    /// The counter.
    pub name: &'a [u8],
    /// How many shards it has.
    pub shards: Shards,
    /// How old the answer may be. Then it is an integer, and no part of it is refused to anybody.
    pub age_max_ms: Option<u64>,
    /// How long to wait for it.
    pub timeout_ms: i64,
    /// What is answered.
    pub reply: fn(&Tally, &[u8], bool) -> Result<Reply, Error>,
    /// Whether a part of it is an answer.
    pub partial: bool,
}

/// A counter, by database and name, and how many shards it had when somebody asked.
type Counted = (i32, Vec<u8>, Shards);

struct Waiting {
    client: Client,
    age_max_ms: Option<u64>,
    reply: fn(&Tally, &[u8], bool) -> Result<Reply, Error>,
    partial: bool,
    since_ms: u64,
}

impl Waiting {
    /// What it is answered, whole or not.
    fn outcome(&self, tally: &Tally, name: &[u8]) -> Result<Reply, Error> {
        took(c"tallybook-gather", self.since_ms);
        (self.reply)(tally, name, self.partial)
    }

    /// What it is answered that has waited for too long. What looks whole is none: not all nodes have said so, or
    /// they said it before somebody asked.
    fn late(&self, tally: &Tally, name: &[u8]) -> Result<Reply, Error> {
        let outcome = self.outcome(tally, name);
        let partial = Error::Partial { got: tally.got(), of: tally.shards().count() };
        if self.partial { outcome } else { outcome.and(Err(partial)) }
    }

    /// Answers it.
    fn finish(self, tally: &Tally, name: &[u8]) {
        let outcome = self.outcome(tally, name);
        self.client.give_back(Box::into_raw(Box::new(outcome)).cast());
    }
}

impl Waiter for Waiting {
    fn age_max_ms(&self) -> Option<u64> {
        self.age_max_ms.filter(|ms| *ms > 0)
    }
}

/// A total that somebody got, and nobody was refused.
struct Remembered {
    total: i64,
    shards: Shards,
    began_ms: u64,
}

#[derive(Default)]
struct State {
    inquiries: HashMap<Counted, Inquiry<Waiting>>,
    remembered: BTreeMap<i32, BTreeMap<Vec<u8>, Remembered>>,
    /// Clients that have been answered already, or are gone.
    ended: Vec<Client>,
    /// Questions of other nodes that wait for the end of this turn.
    asked: Vec<(NodeId, Ask)>,
    /// Clients of a replica, which asks nobody.
    local: Vec<(Counted, Waiting)>,
    counts: Counts,
    /// When the server's timer rings.
    alarm_ms: Option<u64>,
}

impl State {
    /// Whether a timer is to be set, since none rings in time.
    fn sets_alarm(&mut self, due_ms: u64) -> bool {
        let is_late = self.alarm_ms.is_none_or(|alarm_ms| alarm_ms > due_ms);
        if is_late {
            self.alarm_ms = Some(due_ms);
        }
        is_late
    }
}

/// What INFO tells.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// Rounds of asking.
    pub gathers: u64,
    /// Clients that got a part or nothing, since nobody told the rest in time.
    pub unfinished: u64,
    /// Answers from memory.
    pub remembered: u64,
    /// Messages that were no question of a node and no answer to a question.
    pub dropped: u64,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Whether there is anything to look after before the loop sleeps.
static DUE: AtomicBool = AtomicBool::new(false);

fn with<R>(body: impl FnOnce(&mut State) -> R) -> R {
    body(STATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert_default())
}

fn look() {
    DUE.store(true, Ordering::Release);
}

/// What INFO tells.
pub fn counts() -> Counts {
    with(|state| state.counts)
}

/// Listens to the other nodes. On a server that is not in a cluster nobody speaks.
pub fn listen(context: *mut RedisModuleCtx) {
    api!(RedisModule_RegisterClusterMessageReceiver(context, MESSAGE, Some(received)));
}

/// Answers a request, or lets its client wait for the answer.
pub fn gather(context: &Context, request: Request<'_>) -> Result<Reply, Error> {
    let Request { name, shards, age_max_ms, timeout_ms, reply, partial } = request;
    if !context.is_in_cluster() {
        let claims = claims(context, &Speaker::Alone, name, shards, &Which::All);
        return reply(&Tally::local(shards, None, &claims), name, partial);
    }
    let database = context.database();
    if let Some(total) = age_max_ms.and_then(|max_ms| remembered(database, name, shards, max_ms)) {
        return Ok(Reply::Int(total));
    }
    let flags = context.flags();
    if flags & CANNOT_WAIT == 0 {
        let client = Client::park(context, Some(answered), Some(late), Some(left), Some(forget), timeout_ms);
        if let Some(client) = client {
            let counted = (database, name.to_vec(), shards);
            let since_ms = now_ms();
            let waiting = Waiting { client, age_max_ms, reply, partial, since_ms };
            with(|state| match flags & REDISMODULE_CTX_FLAGS_SLAVE {
                0 => state.inquiries.entry(counted).or_default().join(waiting, since_ms),
                _ => state.local.push((counted, waiting)),
            });
            look();
            return Ok(Reply::Later);
        }
    }
    let sees = |part: &Part| sees_every_slot() || slot(&shards.name(name, *part)) == slot(name);
    let sight = Sight::of(context.raw);
    reply(&local(context, &sight, name, shards, shards.parts().filter(sees).collect()), name, partial)
}

/// What this server has of these parts by itself.
fn local(context: &Context, sight: &Sight, name: &[u8], shards: Shards, parts: Vec<Part>) -> Tally {
    let table = &sight.table;
    let parts = parts.into_iter().filter(|part| table.owns(slot(&shards.name(name, *part)))).collect();
    // Whoever asks a replica takes what it has.
    let speaks = if table.is_primary() { sight.speaker() } else { Speaker::Owner(table) };
    let claims = claims(context, &speaks, name, shards, &Which::These(parts));
    Tally::local(shards, Some(table.me()), &claims)
}

fn remembered(database: i32, name: &[u8], shards: Shards, age_max_ms: u64) -> Option<i64> {
    let now_ms = now_ms();
    with(|state| {
        let Remembered { total, shards: of, began_ms } = state.remembered.get(&database)?.get(name)?;
        let fits = age_max_ms > 0 && is_fresh(*began_ms, age_max_ms, now_ms) && *of == shards;
        let total = fits.then_some(*total)?;
        state.counts.remembered = state.counts.remembered.saturating_add(1);
        Some(total)
    })
}

/// What this server sees of its cluster in one turn of its loop.
struct Sight {
    table: Table,
    /// Whether it would acknowledge a write to its slots now.
    stands: bool,
}

impl Sight {
    fn of(context: *mut RedisModuleCtx) -> Self {
        let table = Table::read(call(context, c"CLUSTER", &["NODES"]).text()).unwrap_or_default();
        let is_ok = || call(context, c"CLUSTER", &["INFO"]).text().starts_with("cluster_state:ok");
        let stands = table.is_primary() && api!(RedisModule_AvoidReplicaTraffic()) == 0 && is_ok();
        Sight { table, stands }
    }

    /// It speaks for its slots only while it would acknowledge a write to them. One that would not, since its replica
    /// is about to take over or has, or since it sees no majority, may have lost them without knowing.
    fn speaker(&self) -> Speaker<'_> {
        if self.stands { Speaker::Owner(&self.table) } else { Speaker::Witness(&self.table) }
    }
}

/// What this server says of the parts of a counter, where it may speak for its slots.
fn claims(
    context: &Context,
    speaks: &Speaker<'_>,
    counter: &[u8],
    shards: Shards,
    which: &Which,
) -> Vec<(Part, Claim)> {
    let claim = |part: Part| {
        let name = shards.name(counter, part);
        let (table, may_claim) = match speaks {
            Speaker::Alone => return (part, claim(context, &name, None)),
            Speaker::Owner(table) => (table, true),
            Speaker::Witness(table) => (table, false),
        };
        let slot = slot(&name);
        let is_ours = table.owns(slot) || matches!(which, Which::These(_)) && table.is_arriving(slot);
        let claim = match table.owner(slot) {
            _ if is_ours && may_claim => claim(context, &name, table.leaving(slot)),
            Some(owner) if !is_ours => Claim::Elsewhere(owner),
            _ => Claim::Nowhere,
        };
        (part, claim)
    };
    match which {
        Which::All => shards.parts().map(claim).collect(),
        Which::These(parts) => parts.iter().copied().map(claim).collect(),
    }
}

/// As what this server speaks.
enum Speaker<'a> {
    /// It is not in a cluster: everything is its own.
    Alone,
    /// For the slots that it owns.
    Owner(&'a Table),
    /// Of the slots of others only.
    Witness(&'a Table),
}

fn claim(context: &Context, name: &[u8], leaving: Option<NodeId>) -> Claim {
    let name = OwnedString::new(name);
    match peek::<Counter>(context, name.key()) {
        Err(_) => Claim::Alien,
        Ok(slot) => match (slot.value(), leaving) {
            (Some(counter), _) => Claim::Value(counter.value()),
            (None, Some(node)) => Claim::Moving(node),
            (None, None) => Claim::Absent,
        },
    }
}

fn send(context: *mut RedisModuleCtx, node: NodeId, message: &[u8]) {
    let mut name = [0; NodeId::LEN + 1]; // the server wants it to end with a zero
    name.iter_mut().zip(node.0).for_each(|(place, letter)| *place = letter);
    let Ok(len) = u32::try_from(message.len()) else { return };
    // Where there is no link it is not sent, and asked again later.
    api!(RedisModule_SendClusterMessage(context, name.as_ptr().cast(), MESSAGE, message.as_ptr().cast(), len));
}

unsafe extern "C" fn received(_: *mut RedisModuleCtx, sender: *const c_char, _: u8, payload: *const c_uchar, len: u32) {
    guard(
        || (),
        || {
            // SAFETY: the server passes an id of 40 letters, without a zero at its end, and `len` bytes.
            let (sender, message) =
                unsafe { (bytes_of(sender, NodeId::LEN), bytes_of(payload.cast(), len.try_into().unwrap_or(0))) };
            let is_taken = match (NodeId::new(sender), Message::decode(message)) {
                (Some(sender), Ok(Message::Ask(ask))) => asked(sender, ask),
                (Some(sender), Ok(Message::Answer(answer))) => heard(sender, &answer),
                _ => false,
            };
            if !is_taken {
                dropped();
            }
        },
    );
}

fn dropped() {
    with(|state| state.counts.dropped = state.counts.dropped.saturating_add(1));
}

/// Another node asks. Who asks more than can be answered asks again.
fn asked(sender: NodeId, ask: Ask) -> bool {
    look();
    with(|state| {
        let has_room = state.asked.len() < ASKED_MAX;
        if has_room {
            state.asked.push((sender, ask));
        }
        has_room
    })
}

fn answer(raw: *mut RedisModuleCtx, sight: &Sight, sender: NodeId, ask: &Ask) -> bool {
    let Ok(database) = c_int::try_from(ask.database) else { return false };
    if !sight.table.knows(sender) {
        return false;
    }
    let context = Context { raw };
    let has_database = api!(RedisModule_SelectDb(raw, database)) == 0;
    let speaks = if has_database { sight.speaker() } else { Speaker::Witness(&sight.table) };
    let claims = claims(&context, &speaks, &ask.name, ask.shards, &ask.which);
    let answer = Answer { number: ask.number, of_all: ask.which == Which::All, claims };
    send(raw, sender, &answer.encode());
    true
}

/// Another node answers. What is late answers nothing any more, and is no harm.
fn heard(sender: NodeId, answer: &Answer) -> bool {
    look();
    with(|state| {
        let gather = state.inquiries.values_mut().find_map(|inquiry| inquiry.gather(answer.number));
        gather.is_none_or(|gather| gather.heard(sender, answer).is_ok())
    })
}

/// The loop is about to sleep.
pub fn before_sleep(context: *mut RedisModuleCtx) {
    if !DUE.swap(false, Ordering::AcqRel) {
        return;
    }
    let now_ms = now_ms();
    with(|state| std::mem::take(&mut state.ended)).into_iter().for_each(|client| client.give_back(null_mut()));
    let sight = LazyCell::new(|| Sight::of(context));
    for (sender, ask) in with(|state| std::mem::take(&mut state.asked)) {
        if !answer(context, &sight, sender, &ask) {
            dropped();
        }
    }
    for ((database, name, shards), waiting) in with(|state| std::mem::take(&mut state.local)) {
        api!(RedisModule_SelectDb(context, database));
        let tally = local(&Context { raw: context }, &sight, &name, shards, shards.parts().collect());
        waiting.finish(&tally, &name);
    }
    let counters: Vec<Counted> = with(|state| {
        state.inquiries.retain(|_, inquiry| !inquiry.is_idle());
        state.inquiries.keys().cloned().collect()
    });
    for counted in counters {
        api!(RedisModule_SelectDb(context, counted.0));
        advance(&Context { raw: context }, &counted, &sight, now_ms);
    }
    let due_ms = with(|state| state.inquiries.values().filter(|inquiry| !inquiry.is_idle()).map(Inquiry::due_ms).min());
    if let Some(due_ms) = due_ms.filter(|due_ms| with(|state| state.sets_alarm(*due_ms))) {
        let wait_ms = i64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(i64::MAX).max(1);
        api!(RedisModule_CreateTimer(context, wait_ms, Some(rang), null_mut()));
    }
}

/// Whatever happens, no timer is running any more: who believed in one would never ask again.
unsafe extern "C" fn rang(_: *mut RedisModuleCtx, _: *mut c_void) {
    let look_again = || {
        with(|state| state.alarm_ms = None);
        look();
    };
    guard(look_again, look_again);
}

/// Does for one counter what is due.
fn advance(context: &Context, counted: &Counted, sight: &impl Deref<Target = Sight>, now_ms: u64) {
    loop {
        let verdict = inquiry(counted, |inquiry| inquiry.current().map(|(_, gather)| gather.verdict())).flatten();
        match verdict {
            Some(Verdict::Whole) => finish(counted),
            Some(Verdict::Torn) => _ = inquiry(counted, |inquiry| inquiry.put_off(now_ms)),
            Some(Verdict::Open) => {
                let is_late = inquiry(counted, |inquiry| inquiry.is_late(now_ms)) == Some(true);
                if !is_late && inquiry(counted, has_orders) != Some(true) {
                    return;
                }
                let asks = |gather: &Gather| gather.asks(sight.table.all());
                let is_same = inquiry(counted, |inquiry| inquiry.current().map(|(_, gather)| asks(gather)));
                if is_late && is_same != Some(Some(true)) {
                    begin(context, counted, sight, now_ms);
                } else {
                    ask(context, counted, sight, is_late, now_ms);
                }
            }
            None if inquiry(counted, |inquiry| inquiry.wants_round(now_ms)) == Some(true) => {
                begin(context, counted, sight, now_ms);
            }
            None => return,
        }
    }
}

fn inquiry<R>(counted: &Counted, body: impl FnOnce(&mut Inquiry<Waiting>) -> R) -> Option<R> {
    with(|state| state.inquiries.get_mut(counted).map(body))
}

fn has_orders(inquiry: &mut Inquiry<Waiting>) -> bool {
    inquiry.current().is_some_and(|(_, gather)| gather.has_fresh_orders())
}

/// A round begins: this node answers at once, the others are asked.
fn begin(context: &Context, counted: &Counted, sight: &Sight, now_ms: u64) {
    let shards = counted.2;
    let number = random_u64();
    with(|state| state.counts.gathers = state.counts.gathers.saturating_add(1));
    inquiry(counted, |inquiry| inquiry.begin(number, shards, sight.table.all(), now_ms));
    let claims = claims(context, &sight.speaker(), &counted.1, shards, &Which::All);
    tell_self(counted, sight, &Answer { number, of_all: true, claims });
    ask(context, counted, sight, true, now_ms);
}

fn tell_self(counted: &Counted, sight: &Sight, answer: &Answer) {
    let me = sight.table.me();
    inquiry(counted, |inquiry| inquiry.gather(answer.number).map(|gather| gather.heard(me, answer)));
}

/// Asks those that have not answered: all of them at first and after a while, in between only who is asked again
/// for what is on the move.
fn ask(context: &Context, counted: &Counted, sight: &Sight, everybody: bool, now_ms: u64) {
    let open = inquiry(counted, |inquiry| {
        if everybody {
            inquiry.waits_on(now_ms);
        }
        inquiry.current().map(|(number, gather)| (number, gather.shards(), gather.unanswered()))
    });
    let Some(Some((number, shards, nodes))) = open else { return };
    inquiry(counted, |inquiry| inquiry.gather(number).map(|gather| gather.orders_are_out()));
    for (node, parts) in nodes {
        let which = parts.map_or(Which::All, Which::These);
        if node == sight.table.me() {
            let of_all = which == Which::All;
            let claims = claims(context, &sight.speaker(), &counted.1, shards, &which);
            tell_self(counted, sight, &Answer { number, of_all, claims });
        } else {
            let database = u64::try_from(counted.0).unwrap_or(0);
            let question = Ask { number, database, name: counted.1.clone(), shards, which };
            send(context.raw, node, &question.encode());
        }
    }
}

/// The total is whole: all that waited for it are answered, and it is remembered.
fn finish(counted: &Counted) {
    let Some(Some((tally, began_ms, waiters))) = inquiry(counted, Inquiry::take_whole) else { return };
    if let Ok(total) = tally.total(false) {
        remember(counted, Remembered { total, shards: tally.shards(), began_ms });
    }
    waiters.into_iter().for_each(|waiting| waiting.finish(&tally, &counted.1));
}

fn remember((database, name, _): &Counted, total: Remembered) {
    with(|state| {
        let totals = state.remembered.entry(*database).or_default();
        if totals.len() >= REMEMBERED_MAX && !totals.contains_key(name) {
            let oldest = totals.iter().min_by_key(|(_, total)| total.began_ms).map(|(name, _)| name.clone());
            oldest.map(|oldest| totals.remove(&oldest));
        }
        totals.insert(name.clone(), total);
    });
}

/// The client is answered, with what `finish` has put there for it.
unsafe extern "C" fn answered(context: *mut RedisModuleCtx, _: *mut *mut RedisModuleString, _: c_int) -> c_int {
    let context = Context { raw: context };
    let outcome: *mut c_void = api!(RedisModule_GetBlockedClientPrivateData(context.raw));
    guard(
        || context.send(Err(Error::Internal)),
        || {
            // SAFETY: it is null, or what `finish` has put there; `forget` frees it afterwards.
            let outcome = unsafe { outcome.cast::<Result<Reply, Error>>().as_ref() };
            context.send(outcome.cloned().unwrap_or(Err(Error::Internal)));
        },
    );
    0
}

unsafe extern "C" fn forget(_: *mut RedisModuleCtx, outcome: *mut c_void) {
    let free = || {
        if !outcome.is_null() {
            // SAFETY: `finish` has put it there, and the server gives it back once.
            drop(unsafe { Box::from_raw(outcome.cast::<Result<Reply, Error>>()) });
        }
    };
    guard(|| (), free);
}

/// The client has waited for too long: it gets what is known.
unsafe extern "C" fn late(context: *mut RedisModuleCtx, _: *mut *mut RedisModuleString, _: c_int) -> c_int {
    let context = Context { raw: context };
    guard(
        || context.send(Err(Error::Internal)),
        || {
            let client = handle_of(&context);
            let outcome = with(|state| {
                state.inquiries.iter().find_map(|(counted, inquiry)| {
                    let waiting = inquiry.waiters().find(|waiting| waiting.client == client)?;
                    Some(waiting.late(&inquiry.known(counted.2), &counted.1))
                })
            });
            let unknown = || {
                let waiting = |state: &mut State| {
                    let mut local = state.local.iter();
                    let (counted, waiting) = local.find(|(_, waiting)| waiting.client == client)?;
                    Some(waiting.late(&Tally::new(counted.2), &counted.1))
                };
                with(waiting).unwrap_or(Err(Error::Internal))
            };
            let outcome = outcome.unwrap_or_else(unknown);
            with(|state| state.counts.unfinished = state.counts.unfinished.saturating_add(1));
            end(client);
            context.send(outcome);
        },
    );
    0
}

/// The client is gone, or was told by somebody else that it waits no longer.
unsafe extern "C" fn left(_: *mut RedisModuleCtx, client: *mut RedisModuleBlockedClient) {
    guard(|| (), || end(Client::of(client)));
}

/// The wait of a client has ended without an answer. Its handle is given back when the loop is about to sleep.
fn end(client: Client) {
    with(|state| {
        let is_local = state.local.iter().any(|(_, waiting)| waiting.client == client);
        state.local.retain(|(_, waiting)| waiting.client != client);
        let known = state.inquiries.values_mut().filter(|inquiry| inquiry.waiters().any(|one| one.client == client));
        let known = known.map(|inquiry| inquiry.leave(|waiting| waiting.client == client)).count();
        if known > 0 || is_local {
            state.ended.push(client);
        }
    });
    look();
}
