//! `SCOUNTER.*`

use super::args::{Options, integer, once, required, within};
use super::log::{LogEntry, range};
use crate::config::log_default;
use crate::host::{Args, Context, Live, Reply, conclude, execute, open, read};
use tallybook_domain::audit::{CounterChange, Entry};
use tallybook_domain::bounds::Bounds;
use tallybook_domain::counter::{Add, Counter, Create};
use tallybook_domain::error::Error;

/// SCOUNTER.INCR key [delta] [NOTE text]
pub fn incr(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    add(context, args, parse_add(args)?)
}

/// SCOUNTER.DECR key [delta] [NOTE text]
pub fn decr(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let request = parse_add(args)?;
    let delta = within("delta", request.delta, -i64::MAX, i64::MAX)?;
    add(context, args, Add { delta: -delta, ..request })
}

fn parse_add<'a>(args: &Args<'a>) -> Result<Add<'a>, Error> {
    required(args, 1)?;
    let mut request = Add { delta: 1, note: b"" };
    let (mut options, mut note) = (Options::new(args, 2), None);
    if let Some(delta) = args.get(2).filter(|word| !word.eq_ignore_ascii_case(b"NOTE")) {
        request.delta = integer("delta", delta)?;
        options.word();
    }
    while let Some(word) = options.word() {
        match word.to_ascii_uppercase().as_slice() {
            b"NOTE" => once(&mut note, options.note()?)?,
            _ => return Err(Error::Syntax),
        }
    }
    request.note = note.unwrap_or_default();
    Ok(request)
}

fn add(context: &Context, args: &Args<'_>, request: Add<'_>) -> Result<Reply, Error> {
    let slot = open::<Counter>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decision = Counter::decide_add(slot.value(), &request, &environment)?;
    conclude(context, slot, decision).map(Reply::Int)
}

/// SCOUNTER.GET key
pub fn get(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    if args.len() != 2 {
        return Err(Error::Arity);
    }
    let slot = read::<Counter>(context, args.key(1)?)?;
    Ok(slot.value().map_or(Reply::Nil, |counter| Reply::Int(counter.value())))
}

/// SCOUNTER.CREATE key [NX] [INITIAL n] [LBOUND n] [UBOUND n] [LOG ..]
pub fn create(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let request = parse_create(args)?;
    let slot = open::<Counter>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decision = Counter::decide_create(slot.value(), &request, &environment)?;
    let created = conclude(context, slot, decision)?;
    Ok(if created { Reply::OK } else { Reply::Nil })
}

fn parse_create(args: &Args<'_>) -> Result<Create, Error> {
    required(args, 1)?;
    let (mut nx, mut initial, mut lower, mut upper, mut log) = (None, None, None, None, None);
    let mut options = Options::new(args, 2);
    while let Some(word) = options.word() {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => once(&mut nx, ())?,
            b"INITIAL" => once(&mut initial, options.integer("initial value")?)?,
            b"LBOUND" => once(&mut lower, options.integer("lower bound")?)?,
            b"UBOUND" => once(&mut upper, options.integer("upper bound")?)?,
            b"LOG" => options.log(&mut log)?,
            _ => return Err(Error::Syntax),
        }
    }
    let bounds = Bounds::new(lower, upper)?;
    Ok(Create { nx: nx.is_some(), initial: initial.unwrap_or(0), bounds, log })
}

/// SCOUNTER.LOG key start end [COUNT n] [REV]
pub fn log(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let range = range(args)?;
    let slot = read::<Counter>(context, args.key(1)?)?;
    let log = slot.value().and_then(Counter::log);
    Ok(log.map_or(Reply::Array(Vec::new()), |log| range.entries(log, entry)))
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
