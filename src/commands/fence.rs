//! `IDBLOCK.FENCE`, and what a primary announces to its replicas.

use super::args::{exactly, is, required};
use crate::host::fence::{forget, give_in, lost, show, told};
use crate::host::{Args, Context, Reply, is_obeying, is_replica};
use tallybook_domain::error::Error;
use tallybook_domain::fence::{Announcement, Forgotten};

/// IDBLOCK.FENCE [FORGET node]
pub fn fence(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    if args.len() == 1 {
        return Ok(shown(context));
    }
    if !is(required(args, 1)?, b"FORGET") {
        return Err(Error::Syntax);
    }
    exactly(args, 2)?;
    let node = String::from_utf8_lossy(required(args, 2)?);
    match if is_replica(context) { give_in(context, &node) } else { forget(&node) } {
        Forgotten::Gone => Ok(Reply::OK),
        Forgotten::Unknown => Err(Error::ForgetUnknown),
        Forgotten::Online => Err(Error::ForgetOnline),
    }
}

fn shown(context: &Context) -> Reply {
    let text = |text: &str| Reply::Bulk(text.into());
    let fence = show(context);
    let nodes = fence.nodes.iter().map(|(node, offset)| {
        Reply::Map(vec![
            ("node", text(node)),
            ("state", text(state(fence.is_primary, *offset))),
            ("offset", offset.map_or(Reply::Nil, Reply::wide)),
        ])
    });
    Reply::Map(vec![
        ("role", text(if fence.is_primary { "primary" } else { "replica" })),
        ("offset", Reply::wide(fence.offset)),
        ("journal", text(&fence.journal)),
        ("electable", Reply::Array(nodes.collect())),
        ("orphan-of", fence.orphan_of.as_deref().map_or(Reply::Nil, text)),
        ("waiting", Reply::wide(fence.waiting)),
        ("waiting-for", Reply::Array(fence.waiting_for.iter().map(|node| text(node)).collect())),
    ])
}

/// Only their primary hears from the nodes.
fn state(is_primary: bool, offset: Option<u64>) -> &'static str {
    match offset {
        _ if !is_primary => "unknown",
        Some(_) => "online",
        None => "gone",
    }
}

/// IDBLOCK.ELECTABLE set
pub fn electable(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    exactly(args, 1)?;
    // Whoever could make this server believe in a smaller set could make it repeat ids.
    if !is_obeying(context) {
        return Err(Error::NotFromClient);
    }
    // One that cannot be read may be one to which no acknowledgement is due.
    let set = Announcement::decode(required(args, 1)?).inspect_err(|_| lost());
    told(context, &set.map_err(|corrupt| Error::Effect(corrupt.0))?);
    Ok(Reply::OK)
}
