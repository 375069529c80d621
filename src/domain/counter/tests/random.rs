//! Random commands, decided on by the counter and by the model; what was decided reaches a replica as
//! bytes, and both are saved, loaded and promoted in between. (issue 3; scylladb#4265, limitador#515)

use super::model::{Call, Key, Model, Outcome, Reply, Verb};
use super::subject::Subject;
use crate::audit::{CounterChange, Log, Retention};
use crate::bounds::Bounds;
use crate::counter::{Alter, Counter, Create, ExpiryOption, HoldRequest, IncrEx, When};
use crate::environment::Environment;
use crate::error::Error;
use crate::info::Value;
use crate::options::KeyOptions;
use crate::shards::Shards;
use crate::simulation::{World, scale, seed};
use std::collections::BTreeMap;

const COMMANDS_A_KEY: u64 = 500;
/// A counter, and what it should be.
struct Run {
    subject: Subject,
    key: Key,
    /// The last call with a token.
    last: Option<Call>,
}

#[test]
fn a_million_random_commands_come_to_what_the_model_says() {
    let seed = seed();
    let mut seen = BTreeMap::new();
    for round in 0..scale(1_000_000, 50_000_000) / COMMANDS_A_KEY {
        let mut run = Run::new(seed.wrapping_add(round));
        for _ in 0..COMMANDS_A_KEY {
            *seen.entry(run.step()).or_insert(0u64) += 1;
        }
        run.check();
    }
    for (verb, ends) in ENDS {
        for end in ends {
            let times = seen.get(&(verb, end)).copied().unwrap_or(0);
            assert!(times >= 20, "{verb} came to {end} {times} times: {seen:?}");
        }
    }
}

/// What each command must have come to in a run that is worth its name.
const ENDS: [(&str, &[&str]); 9] = [
    ("incr", &["changed", "unchanged", "bound", "overflow", "mismatch"]),
    ("decr", &["changed", "unchanged", "bound", "overflow", "mismatch"]),
    ("increx", &["changed", "unchanged", "overflow", "mismatch"]),
    ("set", &["changed", "unchanged", "bound", "overflow"]),
    ("create", &["changed", "unchanged", "bound", "busy"]),
    ("alter", &["changed", "unchanged", "bound", "no key", "crossed"]),
    ("hold", &["changed", "unchanged", "bound", "overflow", "mismatch", "no key", "unbounded", "past"]),
    ("commit", &["changed", "unchanged", "no key", "no hold", "committed", "released", "expired", "too much"]),
    ("release", &["changed", "unchanged", "no key", "no hold", "committed", "expired"]),
];

fn name(verb: &Verb) -> &'static str {
    match verb {
        Verb::Incr(_) => "incr",
        Verb::Decr(_) => "decr",
        Verb::IncrEx(_) => "increx",
        Verb::Set { .. } => "set",
        Verb::Create(_) => "create",
        Verb::Alter(_) => "alter",
        Verb::Hold(_) => "hold",
        Verb::Commit { .. } => "commit",
        Verb::Release { .. } => "release",
    }
}

fn end(outcome: &Outcome) -> &'static str {
    match outcome {
        Ok((_, true)) => "changed",
        Ok((_, false)) => "unchanged",
        Err(Error::Bound { .. }) => "bound",
        Err(Error::Overflow { .. } | Error::StepTooWide(_)) => "overflow",
        Err(Error::TokenMismatch) => "mismatch",
        Err(Error::BusyKey(_)) => "busy",
        Err(Error::NoKey(_)) => "no key",
        Err(Error::BoundsCrossed { .. }) => "crossed",
        Err(Error::HoldUnbounded(_)) => "unbounded",
        Err(Error::DeadlinePast) => "past",
        Err(Error::NoHold) => "no hold",
        Err(Error::HoldResolved(how)) => how,
        Err(Error::ShardsBounded) => "sharded",
        Err(Error::OutOfRange { .. }) => "fewer shards",
        Err(Error::CommitTooMuch { .. }) => "too much",
        Err(error) => panic!("{error}"),
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        world.log_default = world.once_in(4).then(|| retention(&world));
        Run { subject: Subject::new(world), key: Key::default(), last: None }
    }

    /// One command. Gives its name, and what it came to.
    fn step(&mut self) -> (&'static str, &'static str) {
        self.subject.world.go_on();
        let now_ms = self.subject.world.now_ms();
        if self.key.expire(now_ms) {
            self.subject.vanish();
        }
        self.subject.pair.live_on(&self.subject.world);
        let retried = self.last.clone().filter(|_| self.subject.world.once_in(8));
        let call = retried.unwrap_or_else(|| random_call(&self.subject.world, &self.key));
        self.last = Some(call.clone()).filter(|call| call.token.is_some()).or(self.last.take());
        let got = self.subject.perform(&call);
        let new_id = if let Ok((Reply::Id(id), _)) = got { id } else { 1 };
        assert_eq!(got, self.key.execute(&call, new_id, &self.subject.world), "{call:?} at {now_ms}");
        let value = self.key.counter.as_ref().map(|model| model.value);
        assert_eq!(self.subject.pair.primary.as_ref().map(|counter| counter.value().into()), value);
        assert_eq!(self.subject.expires_ms, self.key.expires_ms, "{call:?}");
        if self.subject.world.once_in(64) {
            self.check();
        }
        (name(&call.verb), end(&got))
    }

    /// Everything that can be seen of the counter is what the model says.
    fn check(&self) {
        self.subject.pair.check();
        let now_ms = self.subject.world.now_ms();
        let (Some(counter), Some(model)) = (&self.subject.pair.primary, &self.key.counter) else {
            assert!(self.subject.pair.primary.is_none() && self.key.counter.is_none());
            return;
        };
        assert_eq!((counter.bounds().lower(), counter.bounds().upper()), (model.lower, model.upper));
        let pending = counter.holds().into_iter().flat_map(|holds| holds.pending(now_ms));
        let pending: Vec<_> = pending.map(|hold| (hold.id, hold.amount, hold.deadline_ms)).collect();
        assert_eq!(pending, model.list(now_ms));
        assert_eq!(counter.log().is_some(), model.log.is_some());
        if let (Some(log), Some(model)) = (counter.log(), &model.log) {
            model.check(log);
        }
        check_info(counter, model, &self.subject.world);
    }
}

fn check_info(counter: &Counter, model: &Model, world: &World) {
    let now_ms = world.now_ms();
    let (down, up) = model.held(now_ms);
    let (lower, upper) = (model.lower.map(i128::from), model.upper.map(i128::from));
    let log = model.log.as_ref();
    let fields = counter.info(world);
    for (name, expected) in [
        ("value", Some(model.value)),
        ("lbound", lower),
        ("ubound", upper),
        ("held-down", Some(down)),
        ("held-up", Some(up)),
        ("available-down", lower.map(|lower| model.value - down - lower)),
        ("available-up", upper.map(|upper| upper - model.value - up)),
        ("holds", Some(model.list(now_ms).len() as i128)),
        ("shards", model.shards.map(|shards| shards.count().into())),
        ("idmp-maxsize", Some(model.tokens.limits.count_max().into())),
        ("tokens-tracked", Some(model.tokens.tracked(now_ms) as i128)),
        ("tokens-dropped-early", Some(model.tokens.dropped_early.into())),
        ("log-length", counter.log().map(Log::<CounterChange>::len).map(i128::from)),
        ("log-maxlen", log.and_then(|log| log.retention().len_max).map(i128::from)),
        ("created", model.created_ms.map(i128::from)),
        ("changed", log.map(|log| log.last_id().ms.into())),
    ] {
        let field = fields.iter().find(|field| field.name == name).expect(name);
        assert_eq!(field.value, expected.map_or(Value::Nil, Value::Int), "{name}");
    }
}

fn retention(world: &World) -> Retention {
    let none = Retention::default();
    match world.below(4) {
        0 => none,
        1 => Retention { len_max: Some(world.below(400)), ..none },
        2 => Retention { age_max_ms: Some(world.below(50_000)), ..none },
        _ => Retention { bytes_max: Some(world.below(4_000)), len_max: Some(1000), ..none },
    }
}

fn random_call(world: &World, key: &Key) -> Call {
    let counter = key.counter.as_ref();
    let verb = random_verb(world, counter);
    let takes_token = matches!(verb, Verb::Incr(_) | Verb::Decr(_) | Verb::IncrEx(_) | Verb::Hold(_));
    let token = (takes_token && world.once_in(3)).then(|| world.below(40));
    let takes_note = !matches!(verb, Verb::Create(_) | Verb::Alter(_) | Verb::Release { .. });
    Call { verb, token, note: if takes_note { world.pick(&[b"", b"", b"", b"why"]) } else { b"" } }
}

fn random_verb(world: &World, counter: Option<&Model>) -> Verb {
    let near = counter.map_or(0, |counter| i64::try_from(counter.value).unwrap());
    match world.below(100) {
        0..20 => Verb::Incr(amount(world)),
        20..30 => Verb::Decr(amount(world).max(-i64::MAX)),
        30..48 => Verb::IncrEx(random_increx(world, near)),
        48..55 => Verb::Set { value: place(world, near), exists: world.pick(&[None, None, Some(true), Some(false)]) },
        55..58 => Verb::Create(Create {
            nx: world.once_in(2),
            initial: place(world, 0),
            bounds: bounds(world, 0),
            shards: shards(world),
            options: options(world),
        }),
        58..65 => {
            let bound = || world.once_in(2).then(|| (!world.once_in(4)).then(|| place(world, near)));
            Verb::Alter(Alter { lower: bound(), upper: bound(), shards: shards(world), options: options(world) })
        }
        65..80 => {
            let amount = amount(world);
            Verb::Hold(HoldRequest { amount: if amount == 0 { 1 } else { amount }, until: when(world) })
        }
        80..92 => Verb::Commit { id: hold_id(world, counter), amount: world.once_in(2).then(|| amount(world)) },
        _ => Verb::Release { id: hold_id(world, counter) },
    }
}

fn random_increx(world: &World, near: i64) -> IncrEx {
    let expiry = match world.below(12) {
        0 => Some(ExpiryOption::Persist),
        1..4 => Some(ExpiryOption::Set(when(world))),
        _ => None,
    };
    let enx = matches!(expiry, Some(ExpiryOption::Set(_))) && world.once_in(2);
    let exists = world.pick(&[None, None, None, Some(true), Some(false)]);
    IncrEx { by: amount(world), bounds: bounds(world, near), saturate: world.once_in(2), expiry, enx, exists }
}

/// Mostly small, sometimes at an end.
fn amount(world: &World) -> i64 {
    match world.below(40) {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => world.bits().cast_signed(),
        3 => 0,
        4..8 => world.pick(&[1, -1]),
        _ => world.below(41).cast_signed() - 20,
    }
}

/// Mostly near to where the value is.
fn place(world: &World, near: i64) -> i64 {
    match world.below(30) {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => world.bits().cast_signed(),
        3..6 => near,
        _ => near.saturating_add(world.below(101).cast_signed() - 50),
    }
}

fn maybe(world: &World, near: i64) -> Option<i64> {
    (!world.once_in(3)).then(|| place(world, near))
}

fn bounds(world: &World, near: i64) -> Bounds {
    let (one, other) = (maybe(world, near), maybe(world, near));
    Bounds::new(one, other).or_else(|_| Bounds::new(other, one)).unwrap()
}

fn shards(world: &World) -> Option<Shards> {
    Shards::new(if world.once_in(8) { 1 + world.below(1_024) } else { 0 })
}

fn options(world: &World) -> KeyOptions {
    KeyOptions {
        log: world.once_in(3).then(|| (!world.once_in(4)).then(|| retention(world))),
        token_duration_ms: world.once_in(3).then(|| world.pick(&[1, 10, 100, 1_000, 300_000])),
        token_count_max: world.once_in(4).then(|| world.pick(&[1, 2, 5, 20, 100_000])),
    }
}

fn when(world: &World) -> When {
    let ms = world.pick(&[1, 5, 50, 500, 10_000, 1_000_000]);
    match world.below(4) {
        0 => When::At(world.now_ms().saturating_add_signed(world.below(200).cast_signed() - 50)),
        _ => When::In(ms),
    }
}

/// Mostly of a hold that is pending, sometimes of one that was, or of none.
fn hold_id(world: &World, counter: Option<&Model>) -> u64 {
    let pending = counter.map_or(Vec::new(), |counter| counter.list(world.now_ms()));
    let known = counter.map_or(Vec::new(), Model::ids);
    match world.below(10) {
        0..6 if !pending.is_empty() => world.pick(&pending).0,
        6..9 if !known.is_empty() => world.pick(&known),
        _ => world.below(200),
    }
}

/// A counter that some commands have made.
pub fn any_counter(seed: u64, commands: u64) -> Counter {
    let mut run = Run::new(seed);
    for _ in 0..commands {
        run.step();
    }
    while run.subject.pair.primary.is_none() {
        run.step();
    }
    run.subject.pair.primary.unwrap()
}

/// A counter whose holds, tokens and entries take several sections each.
pub fn large_counter() -> Counter {
    let mut subject = Subject::new(World::new(0));
    let bounds = Bounds::new(Some(-1_000_000), Some(1_000_000)).unwrap();
    let options = KeyOptions { log: Some(Some(Retention::default())), ..KeyOptions::default() };
    subject.at(1_000, Verb::Create(Create { nx: false, initial: 0, bounds, shards: None, options })).unwrap();
    for i in 0..600 {
        let hold = HoldRequest { amount: if i % 2 == 0 { 3 } else { -3 }, until: When::In(100 + i % 7) };
        let reply = subject.tokened(1_000 + i, Some(i), Verb::Hold(hold));
        match (reply, i % 9) {
            (Ok(Reply::Id(id)), 0) => _ = subject.at(1_000 + i, Verb::Commit { id, amount: None }).unwrap(),
            (Ok(Reply::Id(id)), 1) => _ = subject.at(1_000 + i, Verb::Release { id }).unwrap(),
            _ => {}
        }
    }
    subject.pair.primary.unwrap()
}
