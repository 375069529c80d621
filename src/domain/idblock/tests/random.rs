//! Random operations on two nodes: no id is ever handed out twice, whatever the clock does, whoever is
//! saved, loaded or promoted, and each answer is what plain arithmetic says. (issue 4; uid-generator#100)

use super::{PLAIN, commit, created};
use crate::audit::{BlockChange, Retention};
use crate::environment::Environment;
use crate::error::Error;
use crate::idblock::{Block, Clock, Create, IdBlock, Reserve};
use crate::idempotency::{Limits, Token};
use crate::permutation::Alphabet;
use crate::retry::Envelope;
use crate::simulation::{LogModel, Pair, TokenModel, World, scale, seed};

const OPERATIONS_A_KEY: u64 = 500;
const PRODUCER: &[u8] = b"producer";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Reserve(u64, u64),
    Next,
    Advance(i64),
}

/// The rules again, in numbers that are wide enough.
struct Model {
    start: i128,
    increment: i128,
    max: i64,
    capacity: u128,
    clock: Option<Clock>,
    next: u128,
    tokens: TokenModel<Op, Block>,
    log: Option<LogModel<BlockChange>>,
    /// The greatest id that was handed out.
    highest: Option<i64>,
}

impl Model {
    fn new(request: &Create<'_>, space: Option<u64>, world: &World) -> Self {
        let (start, increment) = (i128::from(request.start), i128::from(request.increment));
        let ids = (i128::from(request.max) - start) / increment + 1;
        let capacity = ids.min(space.map_or(i128::MAX, i128::from));
        let max = if capacity < ids { start + increment * (capacity - 1) } else { request.max.into() };
        let log = request.options.log.unwrap().map(|retention| {
            let mut log = LogModel::new(retention);
            log.write(world.now_ms(), BlockChange::Create, [world.caller().user, world.caller().client, b""]);
            log
        });
        let mut tokens = TokenModel::new(Limits::DEFAULT);
        if let Some(limits) = request.options.token_limits(Limits::DEFAULT) {
            tokens.set_limits(limits, world.now_ms());
        }
        Model {
            start,
            increment,
            max: max.try_into().unwrap(),
            capacity: capacity.try_into().unwrap(),
            clock: request.clock,
            next: 0,
            tokens,
            log,
            highest: None,
        }
    }

    fn id(&self, ordinal: u128) -> i64 {
        i64::try_from(self.start + self.increment * i128::try_from(ordinal).unwrap()).unwrap()
    }

    /// The ordinal that the clock asks for.
    fn floor(&self, now_ms: u64) -> u128 {
        let shifted = |clock: Clock| u128::from(now_ms.saturating_sub(clock.epoch_ms())) << clock.bits();
        self.clock.map_or(0, shifted)
    }

    fn execute(&mut self, op: Op, token: Option<u64>, note: &[u8], world: &World) -> Result<Option<Block>, Error> {
        let now_ms = world.now_ms();
        match token.and_then(|token| self.tokens.find(token, now_ms)) {
            Some((first, _)) if first != op => return Err(Error::TokenMismatch),
            Some((_, block)) => return Ok(Some(block)),
            None => {}
        }
        let names = [world.caller().user, world.caller().client, note];
        let block = match op {
            Op::Reserve(count, at_least) => self.take(count, at_least, Some(names), now_ms)?,
            Op::Next => self.take(1, 1, None, now_ms)?,
            Op::Advance(id) => {
                self.advance(id, names, now_ms);
                return Ok(None);
            }
        };
        if let Some(token) = token {
            self.tokens.remember(token, op, block, now_ms);
        }
        Ok(Some(block))
    }

    fn take(&mut self, count: u64, at_least: u64, names: Option<[&[u8]; 3]>, now_ms: u64) -> Result<Block, Error> {
        let first = self.next.max(self.floor(now_ms));
        let left = u64::try_from(self.capacity.saturating_sub(first)).unwrap();
        if left < at_least {
            return Err(Error::Exhausted { want: at_least, max: self.max, left });
        }
        let count = count.min(left);
        self.next = first + u128::from(count);
        let block = Block {
            first: self.id(first),
            last: self.id(self.next - 1),
            increment: self.increment.try_into().unwrap(),
            count,
        };
        assert!(self.highest < Some(block.first), "{block:?} after {:?}", self.highest);
        self.highest = Some(block.last);
        if let (Some(names), Some(log)) = (names, &mut self.log) {
            log.write(now_ms, BlockChange::Reserve { first: first.try_into().unwrap(), count }, names);
        }
        Ok(block)
    }

    fn advance(&mut self, id: i64, [user, client, _]: [&[u8]; 3], now_ms: u64) {
        let steps = (i128::from(id) - self.start).div_euclid(self.increment) + 1;
        let beyond = u128::try_from(steps).unwrap_or(0).min(self.capacity);
        if beyond > self.next {
            let first = u64::try_from(self.next).unwrap();
            let change = BlockChange::Advance { first, count: u64::try_from(beyond).unwrap() - first };
            self.next = beyond;
            if let Some(log) = &mut self.log {
                log.write(now_ms, change, [user, client, b""]);
            }
        }
    }

    /// Whose reservation an id belongs to, as far as the log goes back.
    fn who(&self, id: i64, log_len: u64) -> Option<&[Vec<u8>; 3]> {
        let log = self.log.as_ref()?;
        let kept = &log.entries[log.entries.len() - usize::try_from(log_len).unwrap()..];
        let holds = |change: BlockChange| match change {
            BlockChange::Reserve { first, count } => {
                let (first, last) = (self.id(first.into()), self.id(u128::from(first + count - 1)));
                (first..=last).contains(&id) && (i128::from(id) - i128::from(first)) % self.increment == 0
            }
            _ => false,
        };
        kept.iter().find(|noted| holds(noted.change)).map(|noted| &noted.names)
    }
}

struct Run {
    world: World,
    pair: Pair<IdBlock>,
    model: Model,
    /// The last operation with a token.
    last: Option<(Op, Option<u64>, &'static [u8])>,
}

#[test]
fn no_id_is_handed_out_twice_over_a_million_random_operations() {
    let (seed, mut handed_out, mut exhausted) = (seed(), 0u64, 0u64);
    for round in 0..scale(1_000_000, 50_000_000) / OPERATIONS_A_KEY {
        let mut run = Run::new(seed.wrapping_add(round));
        for _ in 0..OPERATIONS_A_KEY {
            match run.step() {
                Ok(Some(_)) => handed_out += 1,
                Err(Error::Exhausted { .. }) => exhausted += 1,
                _ => {}
            }
        }
        run.check();
    }
    println!("{handed_out} blocks, {exhausted} times exhausted");
    assert!(handed_out > 100_000 && exhausted > 10_000, "{handed_out} {exhausted}");
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut world = World::new(seed);
        world.go_on();
        let request = random_create(&world);
        let pair = created(&request, &world).unwrap();
        let space = pair.primary.as_ref().unwrap().codes().map(|codes| codes.space());
        let model = Model::new(&request, space, &world);
        Run { world, pair, model, last: None }
    }

    fn step(&mut self) -> Result<Option<Block>, Error> {
        self.world.go_on();
        self.pair.live_on(&self.world);
        let retried = self.last.filter(|_| self.world.once_in(8));
        let (op, token, note) = retried.unwrap_or_else(|| self.random_op());
        self.last = token.map(|token| (op, Some(token), note)).or(self.last);
        let (expected, got) = (self.model.execute(op, token, note, &self.world), self.perform(op, token, note));
        assert_eq!(got, expected, "{op:?} {token:?} at {}", self.world.now_ms());
        if self.world.once_in(64) {
            self.check();
        }
        got
    }

    fn perform(&mut self, op: Op, token: Option<u64>, note: &'static [u8]) -> Result<Option<Block>, Error> {
        let token = token.map(u64::to_le_bytes);
        let token = token.as_ref().map(|token| Token::new(PRODUCER, token).unwrap());
        let (envelope, block) = (Envelope { token, note }, self.pair.primary.clone().unwrap());
        match op {
            Op::Reserve(count, at_least) => {
                let request = Reserve { count, at_least, codes: block.codes().is_some() };
                let (reply, _) = commit(&mut self.pair, block.decide_reserve(&request, &envelope, &self.world)?);
                Ok(Some(reply))
            }
            Op::Next => {
                let (id, _) = commit(&mut self.pair, block.decide_next(&envelope, &self.world)?);
                Ok(Some(Block { first: id, last: id, increment: block.range().increment(), count: 1 }))
            }
            Op::Advance(id) => {
                commit(&mut self.pair, block.decide_advance(id, &self.world)?);
                Ok(None)
            }
        }
    }

    fn random_op(&self) -> (Op, Option<u64>, &'static [u8]) {
        let world = &self.world;
        let token = world.once_in(4).then(|| world.below(30));
        match world.below(20) {
            0 => (Op::Advance(self.random_id()), None, b""),
            1..8 => (Op::Next, token, b""),
            _ => {
                let count = 1 + world.pick(&[world.below(3), world.below(50), world.below(5_000)]);
                let at_least = if world.once_in(2) { count } else { 1 + world.below(count) };
                (Op::Reserve(count, at_least), token, world.pick(&[b"", b"for shard 7"]))
            }
        }
    }

    /// Mostly one of those that come next or have gone.
    fn random_id(&self) -> i64 {
        let (world, model) = (&self.world, &self.model);
        let next = model.start + model.increment * i128::try_from(model.next).unwrap();
        let near = next + i128::from(world.below(4_000)) - 2_000;
        let any = if world.once_in(200) { world.bits().cast_signed() } else { model.start.try_into().unwrap() };
        i64::try_from(near).ok().filter(|_| !world.once_in(10)).unwrap_or(any)
    }

    fn check(&self) {
        self.pair.check();
        let (Some(block), model) = (&self.pair.primary, &self.model) else { panic!("it is gone") };
        let replica = self.pair.replica.as_ref().unwrap();
        assert_eq!(u128::from(block.kept.mark), model.next);
        assert_eq!(block.log().is_some(), model.log.is_some());
        if let (Some(log), Some(model)) = (block.log(), &model.log) {
            model.check(log);
        }
        for _ in 0..8 {
            let id = self.random_id();
            let names =
                |block: &IdBlock| block.who(id).map(|entry| [entry.user, entry.client, entry.note].map(<[u8]>::to_vec));
            let expected = model.who(id, block.log().map_or(0, |log| log.len()));
            assert_eq!((names(block).as_ref(), names(replica).as_ref()), (expected, expected), "{id}");
        }
        self.check_copies(block, replica);
    }

    /// A copy is another allocator, the same one everywhere, and begins where this one has come to.
    fn check_copies(&self, block: &IdBlock, replica: &IdBlock) {
        let [here, there] = [block, replica].map(|block| block.copy(0, b"copy"));
        assert_eq!(here.kept, there.kept);
        assert_ne!(here.kept.uid, block.kept.uid);
        assert_ne!(here.kept.uid, block.copy(1, b"copy").kept.uid);
        assert_ne!(here.kept.uid, block.copy(0, b"other").kept.uid);
        let next = |block: &IdBlock| {
            commit(
                &mut Pair { primary: Some(block.clone()), replica: Some(block.clone()) },
                block.decide_next(&Envelope::default(), &self.world).ok()?,
            )
            .0
            .into()
        };
        let next: [Option<i64>; 2] = [next(&here), next(block)];
        assert_eq!(next[0], next[1]);
    }
}

fn random_create(world: &World) -> Create<'static> {
    let increment = world.pick(&[1, 2, 7, 1_000]);
    let mut request = match world.below(4) {
        0 => {
            let start = world.pick(&[0, 1, -5]);
            Create { clock: Some(random_clock(world, start, increment)), increment, start, ..PLAIN }
        }
        1 => {
            let alphabet =
                Alphabet::new(world.pick(&[&b"ab"[..], b"0123456789", b"abcdefghijklmnopqrstuvwxyz"])).unwrap();
            Create { codes: Some((1 + world.below(8), alphabet, Some(b"secret"))), increment, ..PLAIN }
        }
        2 => {
            let start = world.pick(&[i64::MIN, -100, 0, i64::MAX - 100_000]);
            Create { start, increment, max: start + world.below(100_000).cast_signed(), ..PLAIN }
        }
        _ => Create { start: world.bits().cast_signed() >> 1, increment, ..PLAIN },
    };
    let retention = Retention { len_max: world.pick(&[None, Some(0), Some(100)]), ..Retention::default() };
    request.options.log = Some((!world.once_in(4)).then_some(retention));
    request.options.token_duration_ms = Some(world.pick(&[1, 50, 1_000, 300_000]));
    request.options.token_count_max = Some(world.pick(&[1, 5, 100_000]));
    request
}

/// Also layouts that begin now, and that are about to end.
fn random_clock(world: &World, start: i64, increment: u64) -> Clock {
    let (bits, now_ms) = (u8::try_from(world.below(23)).unwrap(), world.now_ms());
    let ids = (i128::from(i64::MAX) - i128::from(start)) / i128::from(increment) + 1;
    let last_ms = u64::try_from(ids >> bits).unwrap() - 1;
    let age_ms = world.pick(&[0, now_ms - 1_704_067_200_000, last_ms - world.below(50_000)]);
    Clock::new(bits, now_ms - age_ms.min(last_ms).min(now_ms)).unwrap()
}

/// An allocator that some operations have made.
pub fn any_block(seed: u64, operations: u64) -> IdBlock {
    let mut run = Run::new(seed);
    for _ in 0..operations {
        let _ = run.step();
    }
    run.pair.primary.unwrap()
}
