//! `SCOUNTER.TOTAL` and `SCOUNTER.SHARDS`: a counter and its shards, wherever they live.

use super::args::{Options, exactly, is, once, required, within};
use crate::config::total_timeout_ms;
use crate::host::{Args, Context, Reply, Request, gather, may_read, read};
use tallybook_domain::counter::Counter;
use tallybook_domain::error::Error;
use tallybook_domain::limits::{TIME_MS_MAX, TOTAL_TIMEOUT_MS_MAX};
use tallybook_domain::shards::{Claim, Part, Shards, Tally, slot};

/// SCOUNTER.TOTAL key [MAXAGE ms] [TIMEOUT ms] [PARTIAL]
pub fn total(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let name = required(args, 1)?;
    let (mut age_max_ms, mut timeout_ms, mut partial, mut options) = (None, None, None, Options::new(args, 2));
    while let Some(word) = options.word() {
        if is(word, b"MAXAGE") {
            let ms = within("MAXAGE", options.integer("MAXAGE")?, 0, TIME_MS_MAX)?;
            once(&mut age_max_ms, ms.unsigned_abs())?;
        } else if is(word, b"TIMEOUT") {
            once(&mut timeout_ms, within("TIMEOUT", options.integer("TIMEOUT")?, 1, TOTAL_TIMEOUT_MS_MAX)?)?;
        } else if is(word, b"PARTIAL") {
            once(&mut partial, ())?;
        } else {
            return Err(Error::Syntax);
        }
    }
    let (value, shards) = open(context, args)?;
    let Some(shards) = shards else { return Ok(Reply::Int(value)) };
    permit(context, name, shards)?;
    let reply = |tally: &Tally, _: &[u8], partial| tally.total(partial).map(Reply::Int);
    let timeout_ms = timeout_ms.unwrap_or_else(total_timeout_ms);
    gather(context, Request { name, shards, age_max_ms, timeout_ms, reply, partial: partial.is_some() })
}

/// SCOUNTER.SHARDS key
pub fn shards(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    exactly(args, 1)?;
    let (_, shards) = open(context, args)?;
    let Some(shards) = shards else { return Ok(Reply::Array(Vec::new())) };
    let name = required(args, 1)?;
    permit(context, name, shards)?;
    let timeout_ms = total_timeout_ms();
    gather(context, Request { name, shards, age_max_ms: None, timeout_ms, reply: rows, partial: true })
}

/// The value of the counter, and its shards.
fn open(context: &Context, args: &Args<'_>) -> Result<(i64, Option<Shards>), Error> {
    let slot = read::<Counter>(context, args.key(1)?)?;
    slot.require().map(|counter| (counter.value(), counter.shards()))
}

/// The server has checked the named key only.
fn permit(context: &Context, name: &[u8], shards: Shards) -> Result<(), Error> {
    if may_read(context, name, shards) { Ok(()) } else { Err(Error::NotPermitted) }
}

/// Key, value, slot and node of each shard.
fn rows(tally: &Tally, counter: &[u8], _: bool) -> Result<Reply, Error> {
    let shards = tally.shards();
    let row = |part: Part| {
        let name = shards.name(counter, part);
        let (node, claim) = tally.part(part).map_or((None, None), |(node, claim)| (node, Some(claim)));
        let value = if let Some(Claim::Value(value)) = claim { Reply::Int(value) } else { Reply::Nil };
        let node = node.map_or(Reply::Nil, |node| Reply::Bulk(node.0.to_vec()));
        let slot = Reply::Int(slot(&name).into());
        Reply::Array(vec![Reply::Bulk(name), value, slot, node])
    };
    Ok(Reply::Array(shards.parts().filter(|part| *part != shards.itself()).map(row).collect()))
}
