//! Commands: what the server is told of them, and the way from its call to their handler.

use super::context::{Args, Context, Reply};
use super::count::{STALLED, TIMED_OUT};
use super::environment::is_obeying;
use super::fence;
use super::guard::guard;
use super::park::{has_waited, park};
use super::replication::is_paused;
use redis_module::raw::*;
use std::ffi::{CString, c_char, c_int};
use std::ptr::{NonNull, null, null_mut};
use tallybook_domain::error::Error;
use tallybook_domain::fence::Wait;

/// What the server knows of one command: COMMAND INFO, COMMAND DOCS, ACL, cluster routing.
pub struct Command {
    /// In lower case.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// As COMMAND DOCS shows it.
    pub complexity: &'static str,
    /// The version of the module that had it first.
    pub since: &'static str,
    /// Flags of RM_CreateCommand, and since no flag says so, whether it is for administrators.
    pub flags: &'static str,
    /// ACL categories, where the server lets modules have some.
    pub categories: String,
    /// Which arguments are keys, and what happens to them.
    pub keys: Keys,
    /// As COMMAND INFO shows it.
    pub arity: i32,
    /// The arguments.
    pub arguments: Vec<Argument>,
}

/// The keys of a command, by the index of their arguments.
#[derive(Clone, Copy)]
pub struct Keys {
    /// The first key.
    pub first: i32,
    /// The last key; -1 is the last argument.
    pub last: i32,
    /// From one key to the next.
    pub step: i32,
    /// What happens to them.
    pub access: Access,
}

/// What happens to a key, as ACL rules see it.
#[derive(Clone, Copy, PartialEq)]
pub enum Access {
    /// It is read: `%R`.
    Read,
    /// It is read and changed: `%R` and `%W`.
    Update,
    /// It is created: `%W`.
    Insert,
    /// It is changed, and nothing of it is told: `%W`.
    Apply,
}

/// One argument, for COMMAND DOCS.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// Its name, in lower case.
    pub name: String,
    /// What it is.
    pub value: Value,
    /// The word before it.
    pub token: Option<String>,
    /// Whether it may be absent.
    pub optional: bool,
    /// Whether it may come several times.
    pub multiple: bool,
}

/// What an argument is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// The name of a key.
    Key,
    /// Bytes.
    Text,
    /// A signed 64-bit integer.
    Integer,
    /// A Unix time.
    UnixTime,
    /// A word that stands for itself.
    Token,
    /// One of several.
    OneOf(Vec<Argument>),
    /// Several together.
    Block(Vec<Argument>),
}

/// Makes a command known to the server.
pub(super) fn register<F>(context: *mut RedisModuleCtx, command: &Command, handler: F) -> Result<(), String>
where
    F: Fn(&Context, &Args<'_>) -> Result<Reply, Error> + Copy + 'static,
{
    const { assert!(size_of::<F>() == 0, "a handler is a function, not a closure over something") };
    let _ = handler;
    let name = c_string(command.name);
    let flags = c_string(command.flags);
    let Keys { first, last, step, .. } = command.keys;
    let failed = |what: &str| Err(format!("{}: {what}", command.name));
    if api!(RedisModule_CreateCommand(context, name.as_ptr(), Some(run::<F>), flags.as_ptr(), first, last, step)) != 0 {
        return failed("the server did not take the command");
    }
    let handle = api!(RedisModule_GetCommand(context, name.as_ptr()));
    let mut arena = Arena::default();
    let info = arena.info(command);
    if handle.is_null() || api!(RedisModule_SetCommandInfo(handle, &info)) != 0 {
        return failed("the server did not take its description");
    }
    // Redis 7.0 gives modules no categories.
    let categories = c_string(&command.categories);
    match optional_api!(RedisModule_SetCommandACLCategories(handle, categories.as_ptr())) {
        Some(0) | None => Ok(()),
        Some(_) => failed("the server did not take its ACL categories"),
    }
}

/// Runs the handler of a command.
///
/// # Safety
/// `register` must have seen F, and `argv` point to `argc` live strings for the length of the call.
unsafe fn outcome<F>(context: &Context, argv: *mut *mut RedisModuleString, argc: c_int) -> Result<Reply, Error>
where
    F: Fn(&Context, &Args<'_>) -> Result<Reply, Error> + Copy + 'static,
{
    // SAFETY: `register` checked that F has no size, so there is nothing to read, and was given one.
    let handler = unsafe { NonNull::<F>::dangling().read() };
    // SAFETY: the caller's.
    handler(context, &unsafe { Args::new(argv, argc) })
}

/// A command comes to an internal error where it panics.
unsafe extern "C" fn run<F>(context: *mut RedisModuleCtx, argv: *mut *mut RedisModuleString, argc: c_int) -> c_int
where
    F: Fn(&Context, &Args<'_>) -> Result<Reply, Error> + Copy + 'static,
{
    let context = Context { raw: context };
    guard(
        || {
            if is_obeying(&context) {
                fence::lost();
            }
            context.send(Err(Error::Internal));
        },
        // SAFETY: the server keeps the arguments for the length of the call.
        || match unsafe { outcome::<F>(&context, argv, argc) } {
            Err(Error::Unfenced(wait)) if park(&context, &wait, Some(again::<F>), Some(late)) => STALLED.one(),
            outcome => tell(&context, outcome),
        },
    );
    0
}

/// Whom a client has waited for in vain.
const MOVED: &str = "the node that has the key now";

/// The wait of a client is over: its request is decided afresh. It can wait only once, and while the server
/// pauses writes, or is about to hand over, there is nothing to decide.
unsafe extern "C" fn again<F>(context: *mut RedisModuleCtx, argv: *mut *mut RedisModuleString, argc: c_int) -> c_int
where
    F: Fn(&Context, &Args<'_>) -> Result<Reply, Error> + Copy + 'static,
{
    let context = Context { raw: context };
    guard(
        || context.send(Err(Error::Internal)),
        || {
            has_waited(&context);
            let outcome = match is_paused() {
                true => Err(Error::Unfenced(Box::default())),
                // SAFETY: the server keeps the arguments of a client that waits.
                false => match unsafe { outcome::<F>(&context, argv, argc) } {
                    // The slot may have moved meanwhile: whoever comes again is told where to.
                    Err(Error::NoKey(_)) if context.is_in_cluster() => {
                        Err(Error::Unfenced(Box::new(Wait { whom: MOVED.to_owned(), ..Wait::default() })))
                    }
                    outcome => outcome,
                },
            };
            if let Err(Error::Unfenced(_)) = outcome {
                TIMED_OUT.one();
            }
            tell(&context, outcome);
        },
    );
    0
}

/// A client has waited for too long.
unsafe extern "C" fn late(context: *mut RedisModuleCtx, _: *mut *mut RedisModuleString, _: c_int) -> c_int {
    let context = Context { raw: context };
    guard(
        || context.send(Err(Error::Internal)),
        || {
            has_waited(&context);
            TIMED_OUT.one();
            tell(&context, Err(Error::Unfenced(Box::default())));
        },
    );
    0
}

/// Sends an outcome. Whom everybody waits for is looked up when somebody is told.
fn tell(context: &Context, outcome: Result<Reply, Error>) {
    context.send(match outcome {
        Err(Error::Unfenced(wait)) if wait.whom.is_empty() => {
            Err(Error::Unfenced(Box::new(Wait { whom: fence::whom(), ..*wait })))
        }
        outcome => outcome,
    });
}

fn c_string(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

/// Owns what a description points to, until the server has copied it.
#[derive(Default)]
struct Arena {
    strings: Vec<CString>,
    arguments: Vec<Vec<RedisModuleCommandArg>>,
    keys: Vec<RedisModuleCommandKeySpec>,
}

static VERSION: RedisModuleCommandInfoVersion = RedisModuleCommandInfoVersion {
    version: 1,
    sizeof_historyentry: size_of::<RedisModuleCommandHistoryEntry>(),
    sizeof_keyspec: size_of::<RedisModuleCommandKeySpec>(),
    sizeof_arg: size_of::<RedisModuleCommandArg>(),
};

impl Arena {
    fn info(&mut self, command: &Command) -> RedisModuleCommandInfo {
        let has_keys = command.keys.first > 0;
        self.keys = if has_keys { vec![key_spec(command.keys), end()] } else { vec![end()] };
        RedisModuleCommandInfo {
            version: &VERSION,
            summary: self.text(command.summary),
            complexity: self.text(command.complexity),
            since: self.text(command.since),
            history: null_mut(),
            tips: null(),
            arity: command.arity,
            key_specs: self.keys.as_mut_ptr(),
            args: self.arguments(&command.arguments),
        }
    }

    fn text(&mut self, text: &str) -> *const c_char {
        let text = c_string(text);
        let start = text.as_ptr();
        self.strings.push(text);
        start
    }

    fn arguments(&mut self, arguments: &[Argument]) -> *mut RedisModuleCommandArg {
        let mut raw: Vec<_> = arguments.iter().map(|argument| self.argument(argument)).collect();
        raw.push(end());
        self.arguments.push(raw);
        self.arguments.last_mut().map_or(null_mut(), |raw| raw.as_mut_ptr())
    }

    fn argument(&mut self, argument: &Argument) -> RedisModuleCommandArg {
        let optional = if argument.optional { REDISMODULE_CMD_ARG_OPTIONAL } else { 0 };
        let multiple = if argument.multiple { REDISMODULE_CMD_ARG_MULTIPLE } else { 0 };
        let (kind, children): (_, &[Argument]) = match &argument.value {
            Value::Text => (RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING, &[]),
            Value::Integer => (RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER, &[]),
            Value::UnixTime => (RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_UNIX_TIME, &[]),
            Value::Key => (RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY, &[]),
            Value::Token => (RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN, &[]),
            Value::OneOf(children) => (RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF, children),
            Value::Block(children) => (RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK, children),
        };
        RedisModuleCommandArg {
            name: self.text(&argument.name),
            type_: kind,
            key_spec_index: if argument.value == Value::Key { 0 } else { -1 },
            token: argument.token.as_deref().map_or(null(), |token| self.text(token)),
            flags: (optional | multiple).cast_signed(),
            subargs: if children.is_empty() { null_mut() } else { self.arguments(children) },
            ..end()
        }
    }
}

/// The element that ends an array of descriptions: all zero.
fn end<T>() -> T {
    // SAFETY: used for C structs of numbers and pointers, for which zero bytes are valid.
    unsafe { std::mem::zeroed() }
}

fn key_spec(keys: Keys) -> RedisModuleCommandKeySpec {
    let flags = match keys.access {
        Access::Read => REDISMODULE_CMD_KEY_RO | REDISMODULE_CMD_KEY_ACCESS,
        Access::Update => REDISMODULE_CMD_KEY_RW | REDISMODULE_CMD_KEY_ACCESS | REDISMODULE_CMD_KEY_UPDATE,
        Access::Insert => REDISMODULE_CMD_KEY_OW | REDISMODULE_CMD_KEY_INSERT,
        Access::Apply => REDISMODULE_CMD_KEY_RW | REDISMODULE_CMD_KEY_UPDATE,
    };
    // The server counts the last key from the first one, unless it counts from the end.
    let last = if keys.last >= 0 { keys.last - keys.first } else { keys.last };
    let (begin, find) = (RedisModuleCommandKeySpec__bindgen_ty_1__bindgen_ty_1 { pos: keys.first }, keys.step);
    RedisModuleCommandKeySpec {
        flags: flags.into(),
        begin_search_type: RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX,
        bs: RedisModuleCommandKeySpec__bindgen_ty_1 { index: begin },
        find_keys_type: RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE,
        fk: RedisModuleCommandKeySpec__bindgen_ty_2 {
            range: RedisModuleCommandKeySpec__bindgen_ty_2__bindgen_ty_1 { lastkey: last, keystep: find, limit: 0 },
        },
        ..end()
    }
}
