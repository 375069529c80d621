//! The last three steps of every write: apply, replicate, announce.

use super::context::{Args, Context, Key, OwnedString, Reply};
use super::environment::{Live, is_obeying};
use super::fence;
use super::keyspace::{Slot, open};
use super::server_log;
use super::value_type::ValueType;
use redis_module::raw::REDISMODULE_NOTIFY_MODULE;
use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::thread::panicking;
use tallybook_domain::decision::{Decision, Form};
use tallybook_domain::effect::{self, Effect, Payload, Sections};
use tallybook_domain::environment::{Caller, Environment};
use tallybook_domain::error::{Error, Kind};
use tallybook_domain::stored;
use tallybook_domain::wire::Corrupt;

/// Carries out what was decided, if it was no refusal, and returns the reply. It comes as it was made, and stays where
/// it is: effects are large enough for each move of one to show in what an increment costs.
pub fn conclude<'a, T: ValueType, R>(
    context: &Context,
    slot: Slot<'_, T>,
    decided: Result<Decision<T::Effect<'a>, R>, Error>,
) -> Result<R, Error> {
    match decided {
        Err(error) => Err(error),
        Ok(Decision::Unchanged(reply)) => Ok(reply),
        Ok(Decision::Changed { ref effect, reply, form }) => carry_out(context, slot, effect, form).map(|()| reply),
        Ok(Decision::Wait { effect, wait }) => {
            effect.map_or(Ok(()), |effect| carry_out(context, slot, &effect, Form::Effect))?;
            Err(Error::Unfenced(wait))
        }
    }
}

/// What is between the first step and the last: after a panic there an allocator and the fence are at odds.
struct Unfinished<T: ValueType>(PhantomData<T>);

impl<T: ValueType> Drop for Unfinished<T> {
    fn drop(&mut self) {
        if T::KIND == Kind::IdBlock && panicking() {
            fence::has_missed();
        }
    }
}

/// Applies, replicates, announces.
fn carry_out<'a, T: ValueType>(
    context: &Context,
    mut slot: Slot<'_, T>,
    effect: &T::Effect<'a>,
    form: Form,
) -> Result<(), Error> {
    // From here on the command must succeed.
    let _unfinished = Unfinished::<T>(PhantomData);
    apply(&mut slot, effect).map_err(broken)?;
    #[cfg(feature = "planted")]
    super::planted::strike("commit::applied");
    if let Some(value) = slot.value()
        && let Some((uid, mark, position)) = value.stood_by(effect)
    {
        fence::stood(&uid, mark, position);
        if value.is_kept_ahead() {
            fence::keep_ahead(context.database(), slot.name.bytes());
        }
    }
    match form {
        Form::Request => replicate_request(context),
        Form::Effect => encoded(effect, |payload| replicate::<T>(context, slot.name, payload)),
        Form::Nowhere => {}
    }
    announce(context, slot, effect);
    Ok(())
}

/// One decision of several that stand or fall together: the index of its key, and what changes.
pub struct Step<E> {
    /// Which of the slots.
    pub slot: usize,
    /// What changes.
    pub effect: E,
}

/// Carries out several decisions, in their order, as one command.
pub fn conclude_all<'a, T: ValueType>(
    context: &Context,
    mut slots: Vec<Slot<'_, T>>,
    steps: Vec<Step<T::Effect<'a>>>,
    form: Form,
) -> Result<(), Error> {
    // From here on the command must succeed.
    let mut pairs = Vec::with_capacity(2 * steps.len());
    for Step { slot, effect } in &steps {
        let slot = slots.get_mut(*slot).ok_or(Error::Internal)?;
        apply(slot, effect).map_err(broken)?;
        if form == Form::Effect {
            pairs.extend([slot.name.copied(), encoded(effect, OwnedString::new)]);
        }
    }
    match form {
        _ if steps.is_empty() => {}
        Form::Request => replicate_request(context),
        Form::Effect => replicate_pairs::<T>(context, &pairs),
        Form::Nowhere => {}
    }
    let names: Vec<_> = slots.into_iter().map(|slot| slot.name).collect();
    for Step { slot, effect } in &steps {
        announce_name::<T>(context, *names.get(*slot).ok_or(Error::Internal)?, effect);
    }
    Ok(())
}

fn broken(corrupt: Corrupt) -> Error {
    server_log::warning(&format!("tallybook decided on an effect that does not apply: {corrupt}"));
    Error::Internal
}

/// `SCOUNTER.EFFECT` and `IDBLOCK.EFFECT`: what another node, the AOF or a slot migration sends.
///
/// It checks invariants and no policy: what the primary decided is not decided again. An ordinary
/// client that sends one is named in the log itself, whatever the effect says.
pub fn execute<T: ValueType>(context: &Context, args: &Args<'_>, environment: &Live<'_>) -> Result<Reply, Error> {
    let author = if is_obeying(context) { None } else { Some(environment.caller()) };
    let executed = execute_as::<T>(context, args, author);
    // Whoever lacks an effect of its primary may lack a mark.
    if executed.is_err() && author.is_none() && T::KIND == Kind::IdBlock {
        fence::lost();
    }
    executed.map(|()| Reply::OK)
}

fn execute_as<T: ValueType>(context: &Context, args: &Args<'_>, author: Option<Caller<'_>>) -> Result<(), Error> {
    if args.len() < 3 || args.len().is_multiple_of(2) {
        return Err(Error::Arity);
    }
    let pairs =
        (1..args.len()).step_by(2).map(|index| Ok((args.key(index)?, args.get(index + 1).ok_or(Error::Arity)?)));
    let pairs = pairs.collect::<Result<Vec<_>, Error>>()?;
    // What a primary sends was applied there as a whole. Anything else is tried on copies first.
    if author.is_some() && pairs.len() > 1 {
        rehearse::<T>(context, &pairs)?;
    }
    for (key, payload) in pairs {
        let slot = open::<T>(context, key)?;
        execute_one(context, slot, payload, author).map_err(|why| refused(key, why))?;
    }
    Ok(())
}

fn refused(key: Key<'_>, corrupt: Corrupt) -> Error {
    server_log::warning(&format!("tallybook refused an effect on key '{}': {corrupt}", key.shown()));
    Error::Effect(corrupt.0)
}

fn execute_one<T: ValueType>(
    context: &Context,
    mut slot: Slot<'_, T>,
    payload: &[u8],
    author: Option<Caller<'_>>,
) -> Result<(), Corrupt> {
    match effect::decode::<T::Effect<'_>>(payload)? {
        Payload::Effect(mut effect) => {
            if let (Some(author), Some(stamp)) = (author, effect.stamp_mut()) {
                (stamp.user, stamp.client) = (author.user, author.client);
            }
            apply(&mut slot, &effect)?;
            executed(&slot);
            encoded(&effect, |payload| replicate::<T>(context, slot.name, payload));
            announce(context, slot, &effect);
        }
        Payload::Restored { first, sections } => {
            // What a primary or our own file sends in several parts is not worth a copy for each: if
            // one of them is wrong, the whole stream is.
            if author.is_none() && !first && slot.value().is_some() {
                slot.change(|value| push(value, sections)).transpose()?;
            } else {
                let mut value = restored(slot.value(), first, sections)?;
                fence::arrived(&mut value, slot.name.raw);
                slot.put(value).map_err(|_| Corrupt("the server did not create the key"))?;
            }
            executed(&slot);
            replicate::<T>(context, slot.name, payload);
            signal(context, slot.name, [None, None]);
        }
    }
    Ok(())
}

/// Whoever executes a mark journals it before it is acknowledged.
fn executed<T: ValueType>(slot: &Slot<'_, T>) {
    if let Some((uid, mark)) = slot.value().and_then(T::mark) {
        fence::executed(&uid, mark);
    }
}

/// Tries several effects on copies: if one of them does not apply, none will.
fn rehearse<T: ValueType>(context: &Context, pairs: &[(Key<'_>, &[u8])]) -> Result<(), Error> {
    let mut copies: HashMap<&[u8], Option<T>> = HashMap::new();
    for &(key, payload) in pairs {
        let slot = open::<T>(context, key)?;
        let copy = copies.entry(key.bytes()).or_insert_with(|| slot.value().cloned());
        let next = match effect::decode::<T::Effect<'_>>(payload).map_err(|why| refused(key, why))? {
            Payload::Restored { first, sections } => restored(copy.as_ref(), first, sections),
            Payload::Effect(effect) => match copy.take() {
                None => T::create(&effect),
                Some(mut value) => value.apply(&effect).map(|()| value),
            },
        };
        *copy = Some(next.map_err(|why| refused(key, why))?);
    }
    Ok(())
}

fn apply<T: ValueType>(slot: &mut Slot<'_, T>, effect: &T::Effect<'_>) -> Result<(), Corrupt> {
    if slot.change(|value| value.apply(effect)).transpose()?.is_none() {
        let mut value = T::create(effect)?;
        fence::arrived(&mut value, slot.name.raw);
        slot.put(value).map_err(|_| Corrupt("the server did not create the key"))?;
    }
    if let Some(expiry) = effect.expiry() {
        slot.set_expiry(expiry);
    }
    Ok(())
}

/// A restoring command builds a value from stored sections, over several commands where it is large.
/// It never replaces one: whoever wants that deletes the key first.
fn restored<T: ValueType>(value: Option<&T>, first: bool, sections: Sections<'_>) -> Result<T, Corrupt> {
    match (first, value) {
        (true, None) => stored::load(sections),
        (false, Some(value)) => {
            let mut grown = value.clone();
            push(&mut grown, sections)?;
            Ok(grown)
        }
        (true, Some(_)) => Err(Corrupt("the key exists already")),
        (false, None) => Err(Corrupt("a later part of a value that does not exist")),
    }
}

fn push<T: ValueType>(value: &mut T, mut sections: Sections<'_>) -> Result<(), Corrupt> {
    sections.try_for_each(|section| value.push_section(section?))
}

thread_local! {
    /// Room for the bytes of an effect, kept from one to the next.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Hands over the bytes of an effect.
fn encoded<'a, R>(effect: &impl Effect<'a>, hand_over: impl FnOnce(&[u8]) -> R) -> R {
    let mut payload = ROOM.take();
    payload.clear();
    effect::encode(effect, &mut payload);
    let result = hand_over(&payload);
    ROOM.set(payload);
    result
}

/// Replicas get the command as the client sent it.
fn replicate_request(context: &Context) {
    api!(RedisModule_ReplicateVerbatim(context.raw));
}

fn replicate<T: ValueType>(context: &Context, key: Key<'_>, payload: &[u8]) {
    let (command, format) = (T::EFFECT_COMMAND.as_ptr(), c"sb".as_ptr());
    check(api!(RedisModule_Replicate(context.raw, command, format, key.raw, payload.as_ptr(), payload.len())));
}

/// Keys and payloads in turn.
fn replicate_pairs<T: ValueType>(context: &Context, pairs: &[OwnedString]) {
    let pairs: Vec<_> = pairs.iter().map(OwnedString::raw).collect();
    let (command, format) = (T::EFFECT_COMMAND.as_ptr(), c"v".as_ptr());
    check(api!(RedisModule_Replicate(context.raw, command, format, pairs.as_ptr(), pairs.len())));
}

fn check(status: i32) {
    if status != 0 {
        server_log::warning("tallybook could not replicate a change");
    }
}

/// Closes the key first: whoever is told may do with it what they like.
fn announce<T: ValueType>(context: &Context, slot: Slot<'_, T>, effect: &T::Effect<'_>) {
    let name = slot.name;
    drop(slot);
    announce_name::<T>(context, name, effect);
}

fn announce_name<T: ValueType>(context: &Context, key: Key<'_>, effect: &T::Effect<'_>) {
    let events = T::events(effect);
    // What nobody can see is no change: a mark that rises ahead of need.
    if events.iter().any(Option::is_some) {
        signal(context, key, events);
    }
    if let Some(warning) = T::warning(effect) {
        server_log::warning(&format!("tallybook key '{}': {warning}", key.shown()));
    }
}

/// WATCH, client-side caches and subscribers learn of the change.
fn signal(context: &Context, key: Key<'_>, events: [Option<&CStr>; 2]) {
    api!(RedisModule_SignalModifiedKey(context.raw, key.raw));
    for event in events.into_iter().flatten() {
        api!(RedisModule_NotifyKeyspaceEvent(context.raw, REDISMODULE_NOTIFY_MODULE, event.as_ptr(), key.raw));
    }
}
