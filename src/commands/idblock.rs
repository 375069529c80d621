//! `IDBLOCK.*`: one function a command, in the order of docs/COMMANDS.md.

use super::args::{Options, exactly, integer, is, once, required, within};
use super::info::fields_reply;
use super::log::{LogEntry, range};
use crate::config::log_default;
use crate::host::{Args, Context, Key, Live, Reply, conclude, execute, narrow, open, read};
use tallybook_domain::audit::{BlockChange, Entry};
use tallybook_domain::decision::Decision;
use tallybook_domain::error::Error;
use tallybook_domain::idblock::{Block, Clock, Create, IdBlock, Policy, Reserve};
use tallybook_domain::limits::{
    CLOCK_BITS_MAX, CODES_COUNT_MAX, EPOCH_MS_DEFAULT, INCREMENT_DEFAULT, MAX_DEFAULT, RESERVE_COUNT_MAX,
    START_DEFAULT, TIME_MS_MAX, WINDOW_MAX_MAX,
};
use tallybook_domain::options::KeyOptions;
use tallybook_domain::permutation::{Alphabet, Codes};
use tallybook_domain::retry::Envelope;

/// IDBLOCK.CREATE key [NX] [START n] [INCREMENT n] [MAX n] [CLOCK bits [EPOCH ms]]
/// [CODES length [ALPHABET text] [SECRET text]] [FENCE AUTO|n|OFF] [IDMP-DURATION s] [IDMP-MAXSIZE n] [LOG ..]
pub fn create(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let outcome = create_unredacted(context, args);
    redact_secret(context, args);
    outcome
}

fn create_unredacted(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let request = parse_create(args)?;
    let slot = open::<IdBlock>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decided = IdBlock::decide_create(slot.value(), &request, &environment);
    let created = conclude(context, slot, decided)?;
    Ok(if created { Reply::OK } else { Reply::Nil })
}

/// Keeps what follows the word SECRET out of SLOWLOG and MONITOR, also where the command is refused. It
/// comes last: on Valkey the arguments themselves are gone then.
fn redact_secret(context: &Context, args: &Args<'_>) {
    let is_secret = |&index: &usize| args.get(index - 1).is_some_and(|word| is(word, b"SECRET"));
    let secrets: Vec<usize> = (3..args.len()).filter(is_secret).collect();
    secrets.into_iter().for_each(|index| context.redact(index));
}

/// The options of CREATE as they come, before it is known which of them go together.
#[derive(Default)]
struct Given<'a> {
    nx: Option<()>,
    start: Option<i64>,
    increment: Option<i64>,
    max: Option<i64>,
    clock_bits: Option<i64>,
    epoch_ms: Option<i64>,
    codes_length: Option<i64>,
    alphabet: Option<&'a [u8]>,
    secret: Option<&'a [u8]>,
    fence: Option<Policy>,
}

fn parse_create<'a>(args: &Args<'a>) -> Result<Create<'a>, Error> {
    required(args, 1)?;
    let (mut given, mut key_options) = (Given::default(), KeyOptions::default());
    let mut options = Options::new(args, 2);
    while let Some(word) = options.word() {
        match word.to_ascii_uppercase().as_slice() {
            b"NX" => once(&mut given.nx, ())?,
            b"START" => once(&mut given.start, options.integer("START")?)?,
            b"INCREMENT" => once(&mut given.increment, options.positive("INCREMENT")?)?,
            b"MAX" => once(&mut given.max, options.integer("MAX")?)?,
            b"CLOCK" => once(&mut given.clock_bits, options.integer("CLOCK")?)?,
            b"EPOCH" => once(&mut given.epoch_ms, options.integer("EPOCH")?)?,
            b"CODES" => once(&mut given.codes_length, within("CODES", options.integer("CODES")?, 0, i64::MAX)?)?,
            b"ALPHABET" => once(&mut given.alphabet, options.value()?)?,
            b"SECRET" => once(&mut given.secret, options.value()?)?,
            b"FENCE" => once(&mut given.fence, policy(options.value()?)?)?,
            _ if options.key_option(word, &mut key_options)? => {}
            _ => return Err(Error::Syntax),
        }
    }
    Ok(Create {
        nx: given.nx.is_some(),
        start: given.start.unwrap_or(START_DEFAULT),
        increment: given.increment.unwrap_or(INCREMENT_DEFAULT).unsigned_abs(),
        max: given.max.unwrap_or(MAX_DEFAULT),
        clock: clock(&given)?,
        codes: codes(&given)?,
        fence: given.fence.unwrap_or(Policy::Auto),
        options: key_options,
    })
}

fn policy(word: &[u8]) -> Result<Policy, Error> {
    if is(word, b"AUTO") {
        return Ok(Policy::Auto);
    }
    if is(word, b"OFF") {
        return Ok(Policy::Off);
    }
    let size = integer("FENCE", word).ok().filter(|size| (1..=WINDOW_MAX_MAX).contains(size));
    size.map(|size| Policy::Fixed(size.unsigned_abs())).ok_or(Error::FenceUnknown)
}

fn clock(given: &Given<'_>) -> Result<Option<Clock>, Error> {
    let Some(bits) = given.clock_bits else {
        return if given.epoch_ms.is_some() { Err(Error::Syntax) } else { Ok(None) };
    };
    if given.codes_length.is_some() {
        return Err(Error::Excludes("CLOCK", "CODES"));
    }
    if given.max.is_some() {
        return Err(Error::Excludes("CLOCK", "MAX"));
    }
    let bits = within("CLOCK", bits, 0, CLOCK_BITS_MAX.into())?;
    let epoch_ms = within("EPOCH", given.epoch_ms.unwrap_or(EPOCH_MS_DEFAULT), 0, TIME_MS_MAX)?;
    Ok(u8::try_from(bits).ok().and_then(|bits| Clock::new(bits, epoch_ms.unsigned_abs())))
}

type CodesGiven<'a> = Option<(u64, Alphabet, Option<&'a [u8]>)>;

fn codes<'a>(given: &Given<'a>) -> Result<CodesGiven<'a>, Error> {
    let Some(length) = given.codes_length else {
        let alone = given.alphabet.is_some() || given.secret.is_some();
        return if alone { Err(Error::Syntax) } else { Ok(None) };
    };
    let alphabet = given.alphabet.map_or(Ok(Alphabet::default()), Alphabet::new)?;
    Ok(Some((length.unsigned_abs(), alphabet, given.secret)))
}

/// IDBLOCK.RESERVE key count [ATLEAST n] [IDMP producer token] [NOTE text]
pub fn reserve(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let (_, block) = reserved(context, args, false)?;
    let [increment, count] = [block.increment, block.count].map(narrow);
    Ok(Reply::Ints([block.first, block.last, increment, count].into()))
}

/// IDBLOCK.CODES key count [ATLEAST n] [IDMP producer token] [NOTE text]
pub fn codes_of(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let (codes, _) = reserved(context, args, true)?;
    Ok(codes)
}

/// A reservation, and its codes if they are wanted.
fn reserved(context: &Context, args: &Args<'_>, codes: bool) -> Result<(Reply, Block), Error> {
    let (request, envelope) = parse_reserve(args, codes)?;
    let slot = open::<IdBlock>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let allocator = slot.require()?;
    let decided = allocator.decide_reserve(&request, &envelope, &environment);
    let block = decided.as_ref().ok().and_then(Decision::reply).filter(|_| codes);
    let shown = block.map_or(Reply::Nil, |block| codes_in(allocator, block));
    conclude(context, slot, decided).map(|block| (shown, block))
}

fn codes_in(allocator: &IdBlock, block: &Block) -> Reply {
    let first = allocator.range().ordinal(block.first).unwrap_or(0);
    allocator.codes().map_or(Reply::Nil, |codes| Reply::Codes(codes.encode_all(first, block.count), codes.length()))
}

fn code(codes: &Codes, ordinal: u64) -> Reply {
    codes.encode(ordinal).map_or(Reply::Nil, Reply::Bulk)
}

fn parse_reserve<'a>(args: &Args<'a>, codes: bool) -> Result<(Reserve, Envelope<'a>), Error> {
    let count_max = if codes { CODES_COUNT_MAX } else { RESERVE_COUNT_MAX };
    let count = within("count", integer("count", required(args, 2)?)?, 1, count_max)?;
    let (mut at_least, mut envelope, mut options) = (None, Envelope::default(), Options::new(args, 3));
    while let Some(word) = options.word() {
        if is(word, b"ATLEAST") {
            once(&mut at_least, within("ATLEAST", options.integer("ATLEAST")?, 1, count)?)?;
        } else if !options.envelope(word, &mut envelope)? {
            return Err(Error::Syntax);
        }
    }
    let [count, at_least] = [count, at_least.unwrap_or(count)].map(i64::unsigned_abs);
    Ok((Reserve { count, at_least, codes }, envelope))
}

/// IDBLOCK.NEXT key [IDMP producer token]
pub fn next(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    required(args, 1)?;
    let (mut envelope, mut options) = (Envelope::default(), Options::new(args, 2));
    while let Some(word) = options.word() {
        if !is(word, b"IDMP") || !options.envelope(word, &mut envelope)? {
            return Err(Error::Syntax);
        }
    }
    let slot = open::<IdBlock>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decided = slot.require()?.decide_next(&envelope, &environment);
    conclude(context, slot, decided).map(Reply::Int)
}

/// IDBLOCK.ADVANCE key id
pub fn advance(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    exactly(args, 2)?;
    let id = integer("id", required(args, 2)?)?;
    let slot = open::<IdBlock>(context, args.key(1)?)?;
    let environment = Live::new(context, log_default);
    let decided = slot.require()?.decide_advance(id, &environment);
    conclude(context, slot, decided).map(|()| Reply::OK)
}

/// IDBLOCK.ENCODE key id [id ..]
pub fn encode(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    required(args, 2)?;
    let ids = (2..args.len()).map(|index| integer("id", required(args, index)?)).collect::<Result<Vec<_>, _>>()?;
    let slot = read::<IdBlock>(context, args.key(1)?)?;
    let allocator = slot.require()?;
    let codes = allocator.codes().ok_or(Error::NoCodes)?;
    let encoded = |id: i64| allocator.range().ordinal(id).map_or(Reply::Nil, |ordinal| code(codes, ordinal));
    Ok(Reply::Array(ids.into_iter().map(encoded).collect()))
}

/// IDBLOCK.DECODE key code [code ..]
pub fn decode(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    required(args, 2)?;
    let slot = read::<IdBlock>(context, args.key(1)?)?;
    let allocator = slot.require()?;
    let codes = allocator.codes().ok_or(Error::NoCodes)?;
    let decoded = |code: &[u8]| {
        let id = codes.decode(code).and_then(|ordinal| allocator.range().id(ordinal));
        id.map_or(Reply::Nil, Reply::Int)
    };
    Ok(Reply::Array((2..args.len()).filter_map(|index| args.get(index)).map(decoded).collect()))
}

/// IDBLOCK.WHEN key id
pub fn when(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    exactly(args, 2)?;
    let id = integer("id", required(args, 2)?)?;
    let slot = read::<IdBlock>(context, args.key(1)?)?;
    let when = slot.require()?.when(id).ok_or(Error::NoClock)?;
    Ok(when.map_or(Reply::Nil, Reply::wide))
}

/// IDBLOCK.WHO key id
pub fn who(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    exactly(args, 2)?;
    let id = integer("id", required(args, 2)?)?;
    let slot = read::<IdBlock>(context, args.key(1)?)?;
    let allocator = slot.require()?;
    Ok(allocator.who(id).map_or(Reply::Nil, |found| entry(Some(allocator), &found).reply()))
}

/// IDBLOCK.INFO key [field]
pub fn info(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    required(args, 1)?;
    if args.len() > 3 {
        return Err(Error::Arity);
    }
    let slot = read::<IdBlock>(context, args.key(1)?)?;
    let fields = slot.require()?.info(&Live::new(context, log_default));
    fields_reply(&fields, args.get(2))
}

/// IDBLOCK.LOG key start end [COUNT n] [REV]
pub fn log(context: &Context, args: &Args<'_>) -> Result<Reply, Error> {
    let range = range(args)?;
    let slot = read::<IdBlock>(context, args.key(1)?)?;
    let allocator = slot.value();
    let show = |found: &Entry<'_, BlockChange>| entry(allocator, found);
    Ok(range.send(context, allocator.and_then(IdBlock::log), show))
}

fn entry(block: Option<&IdBlock>, entry: &Entry<'_, BlockChange>) -> LogEntry {
    let mut fields = LogEntry::new(entry.id, entry.change.name());
    if let Some((first, last)) = block.and_then(|block| block.ids(&entry.change)) {
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

/// Keeps the mark of a time-sortable allocator ahead of the clock; whether that is still wanted.
pub fn keep(context: &Context, key: Key<'_>) -> bool {
    let Ok(slot) = open::<IdBlock>(context, key) else { return false };
    let environment = Live::new(context, log_default);
    let Some(decision) = slot.value().map(|allocator| allocator.decide_keep(&environment)) else { return false };
    conclude(context, slot, Ok(decision)).unwrap_or(false)
}
