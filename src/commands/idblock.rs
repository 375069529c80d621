//! `IDBLOCK.*`

use super::args::{Options, integer, once, required, within};
use super::log::{LogEntry, range};
use crate::config::log_default;
use crate::host::{Args, Context, Live, Reply, conclude, execute, open, read};
use tallybook_domain::audit::{BlockChange, Entry, Retention};
use tallybook_domain::error::Error;
use tallybook_domain::idblock::{Create, IdBlock, Reserve};
use tallybook_domain::limits::{
    BLOCK_LOG_LEN_DEFAULT, INCREMENT_DEFAULT, MAX_DEFAULT, RESERVE_COUNT_MAX, START_DEFAULT,
};

/// IDBLOCK.CREATE key [NX] [START n] [INCREMENT n] [MAX n] [FENCE OFF] [LOG ..]
pub fn create(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let request = parse_create(args)?;
    let slot = open::<IdBlock>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decision = IdBlock::decide_create(slot.value(), &request, &environment)?;
    let created = conclude(context, slot, decision)?;
    Ok(if created { Reply::OK } else { Reply::Nil })
}

fn parse_create(args: &Args<'_>) -> Result<Create, Error> {
    required(args, 1)?;
    let (mut nx, mut start, mut increment, mut max, mut fence, mut log) = (None, None, None, None, None, None);
    let mut options = Options::new(args, 2);
    while let Some(word) = options.word() {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => once(&mut nx, ())?,
            b"START" => once(&mut start, options.integer("START")?)?,
            b"INCREMENT" => once(&mut increment, options.positive("INCREMENT")?)?,
            b"MAX" => once(&mut max, options.integer("MAX")?)?,
            b"FENCE" if options.value()?.eq_ignore_ascii_case(b"OFF") => once(&mut fence, ())?,
            b"FENCE" => return Err(Error::FenceUnknown),
            b"LOG" => options.log(&mut log)?,
            _ => return Err(Error::Syntax),
        }
    }
    let kept = Retention { len_max: Some(BLOCK_LOG_LEN_DEFAULT), ..Retention::default() };
    Ok(Create {
        nx: nx.is_some(),
        start: start.unwrap_or(START_DEFAULT),
        increment: increment.unwrap_or(INCREMENT_DEFAULT).unsigned_abs(),
        max: max.unwrap_or(MAX_DEFAULT),
        log: log.unwrap_or(Some(kept)),
    })
}

/// IDBLOCK.RESERVE key count [ATLEAST n] [NOTE text]
pub fn reserve(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let request = parse_reserve(args)?;
    let slot = open::<IdBlock>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decision = slot.require()?.decide_reserve(&request, &environment)?;
    let block = conclude(context, slot, decision)?;
    let [increment, count] = [block.increment, block.count].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    Ok(Reply::Array([block.first, block.last, increment, count].map(Reply::Int).into()))
}

fn parse_reserve<'a>(args: &Args<'a>) -> Result<Reserve<'a>, Error> {
    let count = within("count", integer("count", required(args, 2)?)?, 1, RESERVE_COUNT_MAX)?;
    let (mut at_least, mut note) = (None, None);
    let mut options = Options::new(args, 3);
    while let Some(word) = options.word() {
        match word.to_ascii_uppercase().as_slice() {
            b"ATLEAST" => once(&mut at_least, within("ATLEAST", options.integer("ATLEAST")?, 1, count)?)?,
            b"NOTE" => once(&mut note, options.note()?)?,
            _ => return Err(Error::Syntax),
        }
    }
    let [count, at_least] = [count, at_least.unwrap_or(count)].map(i64::unsigned_abs);
    Ok(Reserve { count, at_least, note: note.unwrap_or_default() })
}

/// IDBLOCK.NEXT key
pub fn next(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    if args.len() != 2 {
        return Err(Error::Arity);
    }
    let slot = open::<IdBlock>(context, args.key(1)?)?;
    let decision = slot.require()?.decide_next()?;
    conclude(context, slot, decision).map(Reply::Int)
}

/// IDBLOCK.LOG key start end [COUNT n] [REV]
pub fn log(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let range = range(args)?;
    let slot = read::<IdBlock>(context, args.key(1)?)?;
    let log = slot.value().and_then(|block| block.log().map(|log| (block, log)));
    Ok(log.map_or(Reply::Array(Vec::new()), |(block, log)| range.entries(log, |found| entry(block, found))))
}

fn entry(block: &IdBlock, entry: &Entry<'_, BlockChange>) -> LogEntry {
    let mut fields = LogEntry::new(entry.id, entry.change.name());
    if let Some((first, last)) = block.ids(&entry.change) {
        fields.number("first", first);
        fields.number("last", last);
    }
    fields.names(entry);
    fields
}

/// IDBLOCK.EFFECT key effect [key effect ..]
pub fn effect(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    execute::<IdBlock>(context, args, &Live::new(context, log_default))
}
