//! What the model tests of both types share: a world whose clock, chance and callers are the test's,
//! a primary and a replica that sees nothing but bytes, and the rules of tokens in plain words.
//!
//! A run is repeated with `TALLYBOOK_SEED`; `TALLYBOOK_TORTURE=1` makes it longer.

#![allow(clippy::arithmetic_side_effects, clippy::as_conversions)]

mod damage;
mod models;

pub use damage::{Field, check_damage, check_fields};
pub use models::{LogModel, TokenModel};

use crate::audit::Retention;
use crate::counter::Counter;
use crate::effect::{BlockEffect, CounterEffect, Effect, Payload, decode, encode};
use crate::environment::{Caller, Environment, Moment};
use crate::fence::{Fence, Standing, Uid};
use crate::idblock::IdBlock;
use crate::limits::WINDOW_MAX_DEFAULT;
use crate::stored::{Stored, load};
use crate::wire::Corrupt;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};

/// `small` in everyday runs, `large` in `make torture`.
pub fn scale<T>(small: T, large: T) -> T {
    if std::env::var_os("TALLYBOOK_TORTURE").is_some_and(|value| value == "1") { large } else { small }
}

/// The seed of this run, printed so that a failure can be repeated.
pub fn seed() -> u64 {
    let given = std::env::var("TALLYBOOK_SEED").map(|text| text.parse().expect("TALLYBOOK_SEED is a number"));
    let seed = given.unwrap_or_else(|_| RandomState::new().hash_one("seed"));
    println!("TALLYBOOK_SEED={seed}");
    seed
}

/// Time, chance, callers and configuration, all drawn from one seed.
pub struct World {
    rng: RefCell<StdRng>,
    now_ms: u64,
    draws: Cell<u32>,
    user: Vec<u8>,
    client: Vec<u8>,
    /// Whether it is that of a replica.
    pub is_replica: bool,
    /// `tallybook.log-default`.
    pub log_default: Option<Retention>,
}

impl World {
    /// A world that any test of this seed sees alike.
    pub fn new(seed: u64) -> Self {
        World {
            rng: RefCell::new(StdRng::seed_from_u64(seed)),
            now_ms: 1_800_000_000_000,
            draws: Cell::new(0),
            user: Vec::new(),
            client: Vec::new(),
            is_replica: false,
            log_default: None,
        }
    }

    /// A number from 0 to `end`, without `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.rng.borrow_mut().random_range(0..end)
    }

    /// Once in `times`.
    pub fn once_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    /// Any 64 bits.
    pub fn bits(&self) -> u64 {
        self.rng.borrow_mut().next_u64()
    }

    /// Puts the clock somewhere.
    pub fn set_clock(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// Somebody else calls, mostly a little later. The clock also stands, jumps and steps back.
    pub fn go_on(&mut self) {
        self.draws.set(0);
        self.now_ms = match self.below(100) {
            0..40 => self.now_ms,
            40..92 => self.now_ms + self.below(20),
            92..96 => self.now_ms + self.below(4_000),
            96..98 => self.now_ms.saturating_sub(self.below(500)),
            98 => self.now_ms.saturating_sub(self.below(20_000)),
            _ => self.now_ms + self.below(100_000),
        };
        let users: [&[u8]; 3] = [b"", b"alice", b"bob"];
        let clients: [&[u8]; 3] = [b"", b"web-1", b"a name that is rather longer than most"];
        (self.user, self.client) = (self.pick(&users).to_vec(), self.pick(&clients).to_vec());
    }

    /// Time and caller are those of a moment.
    pub fn stand_at(&mut self, moment: Moment<'_>) {
        let Moment { at_ms, caller: Caller { user, client } } = moment;
        (self.now_ms, self.user, self.client) = (at_ms, user.to_vec(), client.to_vec());
    }
}

impl Environment for World {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn is_replica(&self) -> bool {
        self.is_replica
    }

    fn caller(&self) -> Caller<'_> {
        Caller { user: &self.user, client: &self.client }
    }

    fn random(&self) -> [u8; 16] {
        self.rng.borrow_mut().random()
    }

    /// The first draws of a command come from a few numbers, 0 among them, so that ids collide.
    fn random_u64(&self) -> u64 {
        self.draws.set(self.draws.get() + 1);
        if self.draws.get() <= 3 { self.below(200) << 11 } else { self.bits() }
    }

    fn log_default(&self) -> Option<Retention> {
        self.log_default
    }

    fn standing(&self) -> Standing {
        Fence::default().standing(WINDOW_MAX_DEFAULT.unsigned_abs())
    }

    fn known_mark(&self, _: &Uid) -> Option<u64> {
        None
    }

    fn is_doubted(&self, _: &Uid) -> bool {
        false
    }

    fn parked(&self, _: &Uid) -> u64 {
        0
    }

    fn whom(&self) -> String {
        String::new()
    }
}

/// A value that effects make and change.
pub trait Value: Stored + Clone + Debug {
    /// Its effects.
    type Effect<'a>: Effect<'a> + Debug;
    /// The value that an effect makes.
    fn create(effect: &Self::Effect<'_>) -> Result<Self, Corrupt>;
    /// Changes it.
    fn apply(&mut self, effect: &Self::Effect<'_>) -> Result<(), Corrupt>;
}

impl Value for Counter {
    type Effect<'a> = CounterEffect<'a>;

    fn create(effect: &CounterEffect<'_>) -> Result<Self, Corrupt> {
        Counter::create(effect)
    }

    fn apply(&mut self, effect: &CounterEffect<'_>) -> Result<(), Corrupt> {
        Counter::apply(self, effect)
    }
}

impl Value for IdBlock {
    type Effect<'a> = BlockEffect<'a>;

    fn create(effect: &BlockEffect<'_>) -> Result<Self, Corrupt> {
        IdBlock::create(effect)
    }

    fn apply(&mut self, effect: &BlockEffect<'_>) -> Result<(), Corrupt> {
        IdBlock::apply(self, effect)
    }
}

/// The sections of a value.
pub fn sections(value: &impl Stored) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    value.sections(&mut |section| all.push(section));
    all
}

/// The value of these sections.
pub fn loaded<T: Stored>(sections: &[Vec<u8>]) -> Result<T, Corrupt> {
    load(sections.iter().map(Ok::<_, Corrupt>))
}

/// Applies an effect to a key that may be missing.
pub fn execute<T: Value>(key: &mut Option<T>, effect: &T::Effect<'_>) -> Result<(), Corrupt> {
    match key {
        Some(value) => value.apply(effect),
        None => T::create(effect).map(|value| *key = Some(value)),
    }
}

/// An effect that names nobody and carries no token, free of the world it was decided in.
pub fn unstamped(effect: BlockEffect<'_>) -> BlockEffect<'static> {
    assert!(effect.stamp.is_none() && effect.pinned.is_none(), "{effect:?}");
    BlockEffect {
        at_ms: effect.at_ms,
        setup: effect.setup,
        reserved: effect.reserved,
        raised: effect.raised,
        advanced: effect.advanced,
        low: effect.low,
        codes: effect.codes,
        windowed: effect.windowed,
        issued: effect.issued,
        stamp: None,
        pinned: None,
    }
}

/// One key on a primary and on its replica.
pub struct Pair<T> {
    /// Where requests are decided.
    pub primary: Option<T>,
    /// Where effects arrive.
    pub replica: Option<T>,
}

impl<T: Value> Pair<T> {
    /// The key does not exist.
    pub fn missing() -> Self {
        Pair { primary: None, replica: None }
    }

    /// Applies what was decided; the replica gets bytes.
    pub fn commit(&mut self, effect: &T::Effect<'_>) {
        let (mut bytes, mut again) = (Vec::new(), Vec::new());
        encode(effect, &mut bytes);
        execute(&mut self.primary, effect).expect("what was decided on can be applied");
        let Ok(Payload::Effect(carried)) = decode::<T::Effect<'_>>(&bytes) else { panic!("{effect:?}") };
        encode(&carried, &mut again);
        assert_eq!(bytes, again, "an effect has one form");
        execute(&mut self.replica, &carried).expect("what the primary applies its replica applies");
    }

    /// Both hold the same.
    pub fn check(&self) {
        let [primary, replica] = [&self.primary, &self.replica].map(|value| value.as_ref().map(sections));
        assert_eq!(primary, replica);
    }

    /// Now and then one of them is saved and loaded, or they change places.
    pub fn live_on(&mut self, world: &World) {
        if world.once_in(100) {
            let Some(value) = &self.primary else { return };
            let (before, again) = (sections(value), loaded(&sections(value)).expect("what is stored can be loaded"));
            assert_eq!(sections(&again), before);
            self.primary = Some(again);
        }
        if world.once_in(150) {
            std::mem::swap(&mut self.primary, &mut self.replica);
        }
    }
}
