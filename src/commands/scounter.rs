//! `SCOUNTER.*`: one function a command, in the order of docs/COMMANDS.md.

use super::args::{Options, exactly, integer, is, once, required, within};
use super::info::fields_reply;
use super::log::{LogEntry, range};
use crate::config::log_default;
use crate::host::{Args, Context, Live, Reply, Step, conclude, conclude_all, execute, narrow, open, read};
use foldhash::quality::RandomState;
use smallvec::SmallVec;
use std::collections::HashMap;
use tallybook_domain::audit::{CounterChange, Entry};
use tallybook_domain::bounds::Bounds;
use tallybook_domain::counter::{
    Add, Adding, Alter, Commit, Counter, Create, ExpiryOption, HoldRequest, IncrEx, Release, Set,
};
use tallybook_domain::decision::{Decision, Form};
use tallybook_domain::environment::Environment;
use tallybook_domain::error::Error;
use tallybook_domain::options::KeyOptions;
use tallybook_domain::retry::Envelope;
use tallybook_domain::shards::Shards;

/// SCOUNTER.INCR key [delta] [IDMP producer token] [NOTE text]
pub fn incr(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let (delta, envelope) = parse_add(args)?;
    add(context, args, &Add { delta, decr: false }, &envelope)
}

/// SCOUNTER.DECR key [delta] [IDMP producer token] [NOTE text]
pub fn decr(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let (delta, envelope) = parse_add(args)?;
    let delta = within("delta", delta, -i64::MAX, i64::MAX)?;
    add(context, args, &Add { delta: -delta, decr: true }, &envelope)
}

/// The third argument is the delta unless it is the word IDMP or NOTE.
fn parse_add<'a>(args: &Args<'a>) -> Result<(i64, Envelope<'a>), Error> {
    if args.len() < 2 {
        return Err(Error::Arity);
    }
    let (mut delta, mut envelope, mut options) = (1, Envelope::default(), Options::new(args, 2));
    if let Some(word) = args.get(2).filter(|word| !is(word, b"IDMP") && !is(word, b"NOTE")) {
        delta = integer("delta", word)?;
        options.word();
    }
    while let Some(word) = options.word() {
        if !options.envelope(word, &mut envelope)? {
            return Err(Error::Syntax);
        }
    }
    Ok((delta, envelope))
}

fn add(context: &Context, args: &Args<'_>, request: &Add, envelope: &Envelope<'_>) -> Result<Reply, Error> {
    let slot = open::<Counter>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default).after(slot.value().and_then(Counter::moment));
    let decided = Counter::decide_add(slot.value(), request, envelope, &environment);
    conclude(context, slot, decided).map(Reply::Int)
}

/// SCOUNTER.INCREX key [BYINT n] [LBOUND n] [UBOUND n] [SATURATE] [EX s|PX ms|EXAT s|PXAT ms|PERSIST]
/// [ENX] [NX|XX] [IDMP producer token] [NOTE text]
pub fn increx(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let (request, envelope) = parse_increx(args)?;
    let slot = open::<Counter>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decided = Counter::decide_increx(slot.value(), slot.expires_ms(), &request, &envelope, &environment);
    let (value, applied) = conclude(context, slot, decided)?;
    Ok(match value {
        Some(value) => Reply::Ints([value, applied].as_slice().into()),
        None => Reply::Array(vec![Reply::Nil, Reply::Int(applied)]),
    })
}

fn parse_increx<'a>(args: &Args<'a>) -> Result<(IncrEx, Envelope<'a>), Error> {
    required(args, 1)?;
    let (mut by, mut lower, mut upper, mut saturate, mut enx) = (None, None, None, None, None);
    let (mut exists, mut expiry, mut envelope) = (None, None, Envelope::default());
    let mut options = Options::new(args, 2);
    while let Some(word) = options.word() {
        match word.to_ascii_uppercase().as_slice() {
            b"BYINT" => once(&mut by, options.integer("increment")?)?,
            b"BYFLOAT" => return Err(Error::NoFloats),
            b"LBOUND" => once(&mut lower, options.integer("lower bound")?)?,
            b"UBOUND" => once(&mut upper, options.integer("upper bound")?)?,
            b"SATURATE" => once(&mut saturate, ())?,
            b"ENX" => once(&mut enx, ())?,
            b"NX" => once(&mut exists, false)?,
            b"XX" => once(&mut exists, true)?,
            b"PERSIST" => once(&mut expiry, ExpiryOption::Persist)?,
            _ if options.envelope(word, &mut envelope)? => {}
            _ => once(&mut expiry, options.when(word)?.map(ExpiryOption::Set).ok_or(Error::Syntax)?)?,
        }
    }
    match (enx, expiry) {
        (Some(()), None) => return Err(Error::EnxWithoutExpiry),
        (Some(()), Some(ExpiryOption::Persist)) => return Err(Error::Syntax),
        _ => {}
    }
    let (saturate, enx) = (saturate.is_some(), enx.is_some());
    let bounds = Bounds::new(lower, upper)?;
    Ok((IncrEx { by: by.unwrap_or(1), bounds, saturate, expiry, enx, exists }, envelope))
}

/// SCOUNTER.GET key
pub fn get(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    exactly(args, 1)?;
    let slot = read::<Counter>(context, args.key(1)?)?;
    Ok(shown(slot.value()))
}

fn shown(counter: Option<&Counter>) -> Reply {
    counter.map_or(Reply::Nil, |counter| Reply::Int(counter.value()))
}

/// SCOUNTER.MGET key [key ..]
pub fn mget(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    required(args, 1)?;
    let value = |index| match read::<Counter>(context, args.key(index)?) {
        Ok(slot) => Ok(shown(slot.value())),
        Err(_) => Ok(Reply::Nil),
    };
    (1..args.len()).map(value).collect::<Result<_, _>>().map(Reply::Array)
}

/// SCOUNTER.MINCR key delta [key delta ..]
pub fn mincr(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let pairs = parse_pairs(args)?;
    let environment = Live::new(context, log_default);
    let mut slot_of = HashMap::with_capacity_and_hasher(pairs.len(), RandomState::default());
    let (mut slots, mut additions) = (Vec::with_capacity(pairs.len()), Vec::with_capacity(pairs.len()));
    for (index, delta) in pairs {
        let slot = *slot_of.entry(args.get(index)).or_insert(slots.len());
        if slot == slots.len() {
            slots.push(open::<Counter>(context, args.key(index)?)?);
        }
        additions.push((slot, delta));
    }
    let mut adding: Vec<_> = slots.iter().map(|slot| Adding::to(slot.value())).collect();
    let (mut replies, mut form) = (SmallVec::with_capacity(additions.len()), Form::Request);
    let mut steps = Vec::with_capacity(additions.len());
    for (slot, delta) in additions {
        let adding = adding.get_mut(slot).ok_or(Error::Internal)?;
        match adding.decide(delta, &Envelope::default(), &environment)? {
            Decision::Unchanged(value) => replies.push(value),
            Decision::Changed { effect, reply, form: this } => {
                replies.push(reply);
                steps.push(Step { slot, effect });
                form = if this == Form::Effect { this } else { form };
            }
            Decision::Wait { .. } => return Err(Error::Internal), // a counter waits for nobody
        }
    }
    conclude_all(context, slots, steps, form)?;
    Ok(Reply::Ints(replies))
}

/// The index of each key, and what is to be added to it.
fn parse_pairs(args: &Args<'_>) -> Result<Vec<(usize, i64)>, Error> {
    if args.len() < 3 || args.len().is_multiple_of(2) {
        return Err(Error::Arity);
    }
    let pair = |index| Ok((index, integer("delta", required(args, index + 1)?)?));
    (1..args.len()).step_by(2).map(pair).collect()
}

/// SCOUNTER.SET key value [NX|XX] [GET] [NOTE text]
pub fn set(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let (request, get) = parse_set(args)?;
    let slot = open::<Counter>(context, args.key(1)?)?;
    let before = shown(slot.value());
    let environment = Live::new(context, log_default);
    let decided = Counter::decide_set(slot.value(), &request, &environment);
    let done = conclude(context, slot, decided)?;
    Ok(match (get, done) {
        (true, _) => before,
        (false, true) => Reply::OK,
        (false, false) => Reply::Nil,
    })
}

fn parse_set<'a>(args: &Args<'a>) -> Result<(Set<'a>, bool), Error> {
    let value = integer("value", required(args, 2)?)?;
    let (mut exists, mut get, mut envelope) = (None, None, Envelope::default());
    let mut options = Options::new(args, 3);
    while let Some(word) = options.word() {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => once(&mut exists, false)?,
            b"XX" => once(&mut exists, true)?,
            b"GET" => once(&mut get, ())?,
            b"NOTE" if options.envelope(word, &mut envelope)? => {}
            _ => return Err(Error::Syntax),
        }
    }
    Ok((Set { value, exists, note: envelope.note }, get.is_some()))
}

/// SCOUNTER.CREATE key [NX] [INITIAL n] [LBOUND n] [UBOUND n] [SHARDS k] [IDMP-DURATION s] [IDMP-MAXSIZE n] [LOG ..]
pub fn create(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let request = parse_create(args)?;
    let slot = open::<Counter>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decided = Counter::decide_create(slot.value(), &request, &environment);
    let created = conclude(context, slot, decided)?;
    Ok(if created { Reply::OK } else { Reply::Nil })
}

fn parse_create(args: &Args<'_>) -> Result<Create, Error> {
    required(args, 1)?;
    let (mut nx, mut initial, mut lower, mut upper, mut shards) = (None, None, None, None, None);
    let (mut key_options, mut options) = (KeyOptions::default(), Options::new(args, 2));
    while let Some(word) = options.word() {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => once(&mut nx, ())?,
            b"INITIAL" => once(&mut initial, options.integer("initial value")?)?,
            b"LBOUND" => once(&mut lower, options.integer("lower bound")?)?,
            b"UBOUND" => once(&mut upper, options.integer("upper bound")?)?,
            b"SHARDS" => once(&mut shards, Shards::of(required(args, 1)?, options.integer("SHARDS")?)?)?,
            _ if options.key_option(word, &mut key_options)? => {}
            _ => return Err(Error::Syntax),
        }
    }
    let bounds = Bounds::new(lower, upper)?;
    Ok(Create { nx: nx.is_some(), initial: initial.unwrap_or(0), bounds, shards, options: key_options })
}

/// SCOUNTER.ALTER key [LBOUND n|NONE] [UBOUND n|NONE] [SHARDS k] [IDMP-DURATION s] [IDMP-MAXSIZE n] [LOG ..]
pub fn alter(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let request = parse_alter(args)?;
    let slot = open::<Counter>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decided = slot.require()?.decide_alter(&request, &environment);
    conclude(context, slot, decided).map(|()| Reply::OK)
}

fn parse_alter(args: &Args<'_>) -> Result<Alter, Error> {
    required(args, 2)?;
    let (mut request, mut options) = (Alter::default(), Options::new(args, 2));
    while let Some(word) = options.word() {
        match word.to_ascii_uppercase().as_slice() {
            b"LBOUND" => once(&mut request.lower, bound("lower bound", options.value()?)?)?,
            b"UBOUND" => once(&mut request.upper, bound("upper bound", options.value()?)?)?,
            b"SHARDS" => once(&mut request.shards, Shards::of(required(args, 1)?, options.integer("SHARDS")?)?)?,
            _ if options.key_option(word, &mut request.options)? => {}
            _ => return Err(Error::Syntax),
        }
    }
    Ok(request)
}

fn bound(what: &'static str, word: &[u8]) -> Result<Option<i64>, Error> {
    if is(word, b"NONE") { Ok(None) } else { integer(what, word).map(Some) }
}

/// SCOUNTER.INFO key [field]
pub fn info(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    required(args, 1)?;
    if args.len() > 3 {
        return Err(Error::Arity);
    }
    let slot = read::<Counter>(context, args.key(1)?)?;
    let fields = slot.require()?.info(&Live::new(context, log_default));
    fields_reply(&fields, args.get(2))
}

/// SCOUNTER.HOLD key amount EX s|PX ms|EXAT s|PXAT ms [IDMP producer token] [NOTE text]
pub fn hold(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let (request, envelope) = parse_hold(args)?;
    let slot = open::<Counter>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decided = slot.require()?.decide_hold(&request, &envelope, &environment);
    let id = conclude(context, slot, decided)?;
    Ok(Reply::wide(id))
}

fn parse_hold<'a>(args: &Args<'a>) -> Result<(HoldRequest, Envelope<'a>), Error> {
    let amount = integer("amount", required(args, 2)?)?;
    let (mut until, mut envelope, mut options) = (None, Envelope::default(), Options::new(args, 3));
    while let Some(word) = options.word() {
        if !options.envelope(word, &mut envelope)? {
            once(&mut until, options.when(word)?.ok_or(Error::Syntax)?)?;
        }
    }
    if amount == 0 {
        return Err(Error::NothingHeld);
    }
    Ok((HoldRequest { amount, until: until.ok_or(Error::Syntax)? }, envelope))
}

/// SCOUNTER.COMMIT key id [amount] [NOTE text]
pub fn commit(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let request = parse_commit(args)?;
    let slot = open::<Counter>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decided = slot.require()?.decide_commit(&request, &environment);
    conclude(context, slot, decided).map(Reply::Int)
}

fn parse_commit<'a>(args: &Args<'a>) -> Result<Commit<'a>, Error> {
    let id = hold_id(required(args, 2)?)?;
    let (mut amount, mut options) = (None, Options::new(args, 3));
    if let Some(word) = args.get(3).filter(|word| !is(word, b"NOTE")) {
        amount = Some(integer("amount", word)?);
        options.word();
    }
    let mut envelope = Envelope::default();
    while let Some(word) = options.word() {
        if !is(word, b"NOTE") || !options.envelope(word, &mut envelope)? {
            return Err(Error::Syntax);
        }
    }
    Ok(Commit { id, amount, note: envelope.note })
}

/// SCOUNTER.RELEASE key id
pub fn release(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    exactly(args, 2)?;
    let request = Release { id: hold_id(required(args, 2)?)? };
    let slot = open::<Counter>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decided = slot.require()?.decide_release(&request, &environment);
    conclude(context, slot, decided).map(|()| Reply::OK)
}

fn hold_id(word: &[u8]) -> Result<u64, Error> {
    Ok(within("hold id", integer("hold id", word)?, 0, i64::MAX)?.unsigned_abs())
}

/// SCOUNTER.HOLDS key [COUNT n]
pub fn holds(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    required(args, 1)?;
    let (mut count, mut options) = (None, Options::new(args, 2));
    while let Some(word) = options.word() {
        if !is(word, b"COUNT") {
            return Err(Error::Syntax);
        }
        once(&mut count, within("COUNT", options.integer("COUNT")?, 0, i64::MAX)?)?;
    }
    let slot = read::<Counter>(context, args.key(1)?)?;
    let count = count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let due_ms = Live::new(context, log_default).deadline_ms();
    let pending = slot.value().and_then(Counter::holds).into_iter().flat_map(|holds| holds.pending(due_ms));
    let shown = pending
        .take(count)
        .map(|hold| Reply::Ints([narrow(hold.id), hold.amount, narrow(hold.deadline_ms)].as_slice().into()));
    Ok(Reply::Array(shown.collect()))
}

/// SCOUNTER.LOG key start end [COUNT n] [REV]
pub fn log(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let range = range(args)?;
    let slot = read::<Counter>(context, args.key(1)?)?;
    Ok(range.send(context, slot.value().and_then(Counter::log), entry))
}

fn entry(entry: &Entry<'_, CounterChange>) -> LogEntry {
    let CounterChange { op, delta, value } = entry.change;
    let mut fields = LogEntry::new(entry.id, op.name());
    fields.number("delta", delta);
    fields.number("value", value);
    fields.names(entry);
    fields
}

/// SCOUNTER.EFFECT key effect [key effect ..]
pub fn effect(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    execute::<Counter>(context, args, &Live::new(context, log_default))
}
