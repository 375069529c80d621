//! The last three steps of every write: apply, replicate, announce.

use super::context::{Args, Context, Key, Reply};
use super::environment::{Live, obeys};
use super::keyspace::{Slot, open};
use super::log;
use super::value_type::ValueType;
use redis_module::raw::REDISMODULE_NOTIFY_MODULE;
use std::ffi::CStr;
use tallybook_domain::decision::{Decision, Form};
use tallybook_domain::effect::{self, Effect, Payload};
use tallybook_domain::environment::Environment;
use tallybook_domain::error::Error;
use tallybook_domain::stored;
use tallybook_domain::wire::Corrupt;

/// Carries out a decision and returns its reply.
pub fn conclude<'a, T: ValueType, R>(
    context: &Context,
    mut slot: Slot<'_, T>,
    decision: Decision<T::Effect<'a>, R>,
) -> Result<R, Error> {
    match decision {
        Decision::Unchanged(reply) => Ok(reply),
        Decision::Changed { effect, reply, form } => {
            // From here on the command must succeed.
            apply(&mut slot, &effect).map_err(|corrupt| {
                log::warning(&format!("tallybook decided on an effect that does not apply: {corrupt}"));
                Error::Internal
            })?;
            announce(context, &slot, &effect, form);
            Ok(reply)
        }
    }
}

/// `SCOUNTER.EFFECT` and `IDBLOCK.EFFECT`: what another node, the AOF or a slot migration sends.
///
/// It checks invariants and no policy: what the primary decided is not decided again. An ordinary
/// client that sends one is named in the log itself, whatever the effect says.
pub fn execute<T: ValueType>(context: &Context, args: &Args<'_>, environment: &Live<'_>) -> Result<Reply, Error> {
    if args.len() < 3 || args.len() % 2 == 0 {
        return Err(Error::Arity);
    }
    for index in (1..args.len()).step_by(2) {
        let payload = args.get(index + 1).ok_or(Error::Arity)?;
        let mut slot = open::<T>(context, args.key(index)?)?;
        let done = match effect::decode::<T::Effect<'_>>(payload) {
            Ok(Payload::Effect(mut effect)) => {
                if !obeys(context)
                    && let Some(stamp) = effect.stamp_mut()
                {
                    let caller = environment.caller();
                    (stamp.user, stamp.client) = (caller.user, caller.client);
                }
                apply(&mut slot, &effect).map(|()| announce(context, &slot, &effect, Form::Effect))
            }
            Ok(Payload::Restored { first, sections }) => restore(&mut slot, first, sections).map(|()| {
                replicate::<T>(context, slot.name, payload);
                signal(context, slot.name, c"restore");
            }),
            Err(corrupt) => Err(corrupt),
        };
        done.map_err(|corrupt| {
            log::warning(&format!("tallybook refused an effect: {corrupt}"));
            Error::Effect(corrupt.0)
        })?;
    }
    Ok(Reply::OK)
}

fn apply<T: ValueType>(slot: &mut Slot<'_, T>, effect: &T::Effect<'_>) -> Result<(), Corrupt> {
    match slot.value_mut() {
        Some(value) => value.apply(effect),
        None => {
            let value = T::create(effect)?;
            slot.insert(value).map_err(|_| Corrupt("the server did not create the key"))
        }
    }
}

/// A restoring command builds a value from stored sections, over several commands where it is large.
/// It never replaces one: whoever wants that deletes the key first.
fn restore<T: ValueType>(slot: &mut Slot<'_, T>, first: bool, sections: Vec<&[u8]>) -> Result<(), Corrupt> {
    match (first, slot.value_mut()) {
        (true, None) => {
            let value = stored::load(sections.into_iter().map(Ok::<_, Corrupt>))?;
            slot.insert(value).map_err(|_| Corrupt("the server did not create the key"))
        }
        (false, Some(value)) => sections.into_iter().try_for_each(|section| value.push_section(section)),
        (true, Some(_)) => Err(Corrupt("the key exists already")),
        (false, None) => Err(Corrupt("a later part of a value that does not exist")),
    }
}

fn announce<T: ValueType>(context: &Context, slot: &Slot<'_, T>, effect: &T::Effect<'_>, form: Form) {
    match form {
        Form::Request => {
            api!(RedisModule_ReplicateVerbatim(context.raw));
        }
        Form::Effect => {
            let mut payload = Vec::with_capacity(128);
            effect::encode(effect, &mut payload);
            replicate::<T>(context, slot.name, &payload);
        }
    }
    signal(context, slot.name, T::event(effect));
}

fn replicate<T: ValueType>(context: &Context, key: Key<'_>, payload: &[u8]) {
    let (command, format) = (T::EFFECT_COMMAND.as_ptr(), c"sb".as_ptr());
    let status = api!(RedisModule_Replicate(context.raw, command, format, key.raw, payload.as_ptr(), payload.len()));
    if status != 0 {
        log::warning("tallybook could not replicate an effect");
    }
}

/// WATCH, client-side caches and subscribers learn of the change.
fn signal(context: &Context, key: Key<'_>, event: &CStr) {
    api!(RedisModule_SignalModifiedKey(context.raw, key.raw));
    api!(RedisModule_NotifyKeyspaceEvent(context.raw, REDISMODULE_NOTIFY_MODULE, event.as_ptr(), key.raw));
}
