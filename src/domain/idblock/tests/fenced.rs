//! An allocator under a fence: when it waits, how its window grows, and what others are told. (issue 6)

use super::PLAIN;
use crate::audit::Retention;
use crate::decision::{Decision, Form};
use crate::effect::{BlockEffect, Payload, decode, encode};
use crate::environment::{Caller, Environment};
use crate::error::Error;
use crate::fence::{Fence, Standing, Uid, View};
use crate::idblock::{Block, Clock, Create, IdBlock, Policy, Reserve};
use crate::idempotency::Token;
use crate::options::KeyOptions;
use crate::retry::Envelope;
use crate::simulation::{loaded, sections, unstamped};
use crate::wire::Corrupt;

const EPOCH_MS: u64 = 1_704_067_200_000;
const WINDOW_MAX: u64 = 1_000;
const WAIT_MS: u64 = 100;

/// A primary with one allocator, what its replica was sent, and how many ids others wait for, and were woken for.
struct Server {
    fence: Fence,
    block: IdBlock,
    replica: Option<IdBlock>,
    now_ms: u64,
    parked: u64,
    owed: u64,
    is_replica: bool,
    sent: u32,
}

impl Environment for Server {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn is_replica(&self) -> bool {
        self.is_replica
    }

    fn caller(&self) -> Caller<'_> {
        Caller { user: b"alice", client: b"" }
    }

    fn random(&self) -> [u8; 16] {
        [7; 16]
    }

    fn random_u64(&self) -> u64 {
        7
    }

    fn log_default(&self) -> Option<Retention> {
        None
    }

    fn standing(&self) -> Standing {
        Standing { owes: self.owed > 0, wait_ms: WAIT_MS, ..self.fence.standing(WINDOW_MAX) }
    }

    fn known_mark(&self, uid: &Uid) -> Option<u64> {
        self.fence.marks().get(uid)
    }

    fn is_doubted(&self, uid: &Uid) -> bool {
        self.fence.doubted().contains(uid)
    }

    fn parked(&self, _: &Uid) -> u64 {
        self.parked
    }

    fn owed(&self, _: &Uid) -> u64 {
        self.owed
    }

    fn whom(&self) -> String {
        self.fence.whom()
    }
}

fn own(effect: &BlockEffect<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(effect, &mut bytes);
    bytes
}

impl Server {
    fn new(request: &Create<'_>) -> Self {
        let now_ms = EPOCH_MS + 1_000_000;
        let core = b"\x01UUUUUUUUUUUUUUUU\x02\x01\x80\x01\x20\x00".to_vec();
        let block: IdBlock = loaded(&[core]).expect("anything for the moment");
        let fence = Fence::default();
        let mut server = Server { fence, block, replica: None, now_ms, parked: 0, owed: 0, is_replica: false, sent: 0 };
        let Ok(Decision::Changed { effect, .. }) = IdBlock::decide_create(None, request, &server) else { panic!() };
        let (bytes, block) = (own(&effect), IdBlock::create(&effect).expect("what was decided on"));
        server.block = block;
        server.send(&bytes);
        server.raised(0);
        server
    }

    /// Everything that was raised becomes safe.
    fn grant(&mut self) {
        self.fence.journalled(u64::MAX);
        for _ in 0..3 {
            self.fence.observe(View { offset: 0, followers: &[], replicas_min: 0, may_announce: true });
        }
        assert!(!self.fence.is_pending());
    }

    fn raised(&mut self, position: u64) {
        let (uid, mark) = (*self.block.uid(), self.block.fenced_mark().expect("a fence"));
        self.fence.raise(uid, mark, position, 1);
    }

    fn send(&mut self, bytes: &[u8]) {
        self.sent += 1;
        let Ok(Payload::Effect(effect)) = decode::<BlockEffect<'_>>(bytes) else { panic!("{bytes:?}") };
        let applied: Result<(), Corrupt> = match &mut self.replica {
            Some(replica) => replica.apply(&effect),
            None => IdBlock::create(&effect).map(|replica| self.replica = Some(replica)),
        };
        applied.expect("what the primary applied");
    }

    fn commit(&mut self, effect: BlockEffect<'_>, form: Form) {
        let (bytes, issued) = (own(&effect), effect.issued);
        self.block.apply(&effect).expect("what was decided on");
        match issued {
            Some(issued) if issued.raise.is_some() => self.raised(issued.position),
            Some(issued) if issued.count == 0 => self.fence.stand(*self.block.uid(), issued.position),
            _ => {}
        }
        if form == Form::Effect {
            self.send(&bytes);
        }
        assert_eq!(sections(&self.block), sections(self.replica.as_ref().unwrap()), "what is stored is told");
    }

    /// What a request comes to; nothing where it has to wait.
    fn conclude<R>(
        &mut self,
        decide: impl FnOnce(&IdBlock, &Server) -> Result<Decision<BlockEffect<'static>, R>, Error>,
    ) -> Result<Option<R>, Error> {
        let block = self.block.clone();
        match decide(&block, self)? {
            Decision::Unchanged(reply) => Ok(Some(reply)),
            Decision::Changed { effect, reply, form } => {
                self.commit(effect, form);
                Ok(Some(reply))
            }
            Decision::Wait { effect, .. } => {
                effect.into_iter().for_each(|effect| self.commit(effect, Form::Effect));
                Ok(None)
            }
        }
    }

    fn reserve(&mut self, count: u64) -> Result<Option<Block>, Error> {
        let request = Reserve { count, at_least: count, codes: false };
        self.conclude(|block, server| Ok(detached(block.decide_reserve(&request, &Envelope::default(), server)?)))
    }

    fn next(&mut self) -> Result<Option<i64>, Error> {
        self.conclude(|block, server| Ok(detached(block.decide_next(&Envelope::default(), server)?)))
    }

    fn advance(&mut self, id: i64) -> Option<()> {
        self.conclude(|block, server| Ok(detached(block.decide_advance(id, server)?))).unwrap()
    }

    fn mark(&self) -> u64 {
        self.block.fenced_mark().unwrap()
    }
}

/// The same decision, free of the server that it was made in: there is no log here, and nobody to name.
fn detached<R>(decision: Decision<BlockEffect<'_>, R>) -> Decision<BlockEffect<'static>, R> {
    match decision {
        Decision::Unchanged(reply) => Decision::Unchanged(reply),
        Decision::Changed { effect, reply, form } => Decision::Changed { effect: unstamped(effect), reply, form },
        Decision::Wait { effect, wait } => Decision::Wait { effect: effect.map(unstamped), wait },
    }
}

const FENCED: Create<'static> = Create { fence: Policy::Auto, ..PLAIN };

fn first_and_last(block: Option<Block>) -> Option<(i64, i64)> {
    block.map(|block| (block.first, block.last))
}

#[test]
fn ids_below_a_safe_mark_are_told_to_nobody() {
    let mut server = Server::new(&FENCED);
    assert_eq!((server.mark(), server.next()), (64, Ok(None)), "the first window is not safe yet");
    server.grant();
    assert_eq!(server.next(), Ok(Some(1)));
    let sent = server.sent;
    assert_eq!((server.mark(), sent), (128, 2), "less than a window is left: the next one is raised");
    assert_eq!(first_and_last(server.reserve(60).unwrap()), Some((2, 61)));
    assert_eq!(server.sent, sent);
    server.grant();
    assert_eq!(first_and_last(server.reserve(3).unwrap()), Some((62, 64)));
}

#[test]
fn what_is_wanted_beyond_waits_and_those_who_wait_already_come_first() {
    let mut server = Server::new(&FENCED);
    server.grant();
    server.parked = 500;
    assert_eq!(server.reserve(100), Ok(None));
    let mark = server.mark();
    assert_eq!(mark, 600 + 128, "the window grows, since somebody waits");
    assert_eq!(server.reserve(100), Ok(None), "the raise that is under way is enough");
    assert_eq!(server.mark(), mark);
    server.parked = 0;
    server.grant();
    assert_eq!(first_and_last(server.reserve(600).unwrap()), Some((1, 600)));
}

#[test]
fn what_others_take_meanwhile_is_there_for_whoever_waits() {
    let mut server = Server::new(&Create { fence: Policy::Fixed(50), ..FENCED });
    server.grant();
    assert_eq!(server.next(), Ok(Some(1)));
    server.grant();
    assert_eq!(server.reserve(1_000), Ok(None));
    assert_eq!(first_and_last(server.reserve(99).unwrap()), Some((2, 100)), "all that is safe so far");
    server.grant();
    assert_eq!(first_and_last(server.reserve(1_000).unwrap()), Some((101, 1_100)));
}

/// A raise that is under way may be enough for what is wanted, but not also for what others take until it is safe.
#[test]
fn a_raise_under_way_is_waited_for_where_others_leave_enough_of_it() {
    let mut server = Server::new(&Create { fence: Policy::Fixed(50), ..FENCED });
    server.grant();
    assert_eq!(server.next(), Ok(Some(1)));
    assert_eq!(server.mark(), 100);
    assert_eq!(server.reserve(60), Ok(None), "1 to 61, of which others may take 49");
    assert!(server.mark() >= 110, "{}", server.mark());
    let mark = server.mark();
    assert_eq!(server.reserve(50), Ok(None));
    assert_eq!(server.mark(), mark, "100 is enough for that");
    assert_eq!(first_and_last(server.reserve(49).unwrap()), Some((2, 50)));
    server.grant();
    assert_eq!(first_and_last(server.reserve(60).unwrap()), Some((51, 110)));
}

#[test]
fn what_is_kept_for_whoever_waited_is_taken_by_nobody_else() {
    let mut server = Server::new(&Create { fence: Policy::Fixed(50), ..FENCED });
    server.grant();
    (server.parked, server.owed) = (30, 30);
    assert_eq!(first_and_last(server.reserve(20).unwrap()), Some((1, 20)));
    let mark = server.mark();
    assert_eq!(server.next(), Ok(None), "30 are safe, and wanted");
    assert_eq!(server.mark(), mark, "the raise that is under way has some for both");
    (server.parked, server.owed) = (0, 0);
    assert_eq!(first_and_last(server.reserve(30).unwrap()), Some((21, 50)));
}

#[test]
fn a_window_covers_what_is_used_and_shrinks_again() {
    let mut server = Server::new(&FENCED);
    let mut used = |per_second: u64, seconds: u64| {
        for _ in 0..seconds * 100 {
            server.now_ms += 10;
            server.grant();
            while server.reserve(per_second / 100) == Ok(None) {
                server.grant();
            }
        }
        server.block.window_size()
    };
    let sizes = [used(100, 10), used(400, 20), used(100_000, 5), used(100, 100)];
    assert!((64..=256).contains(&sizes[0]), "{sizes:?}");
    assert!((400..=1_000).contains(&sizes[1]), "{sizes:?}");
    assert_eq!(sizes[2], WINDOW_MAX, "never more than the largest");
    assert!((64..=256).contains(&sizes[3]), "{sizes:?}");
}

#[test]
fn a_fixed_window_is_that() {
    let mut server = Server::new(&Create { fence: Policy::Fixed(10), ..FENCED });
    server.grant();
    for _ in 0..50 {
        assert!(server.mark() - 1 <= server.next().unwrap().map_or(0, |id| id as u64) + 20);
        server.grant();
    }
    for _ in 0..50 {
        assert_eq!(server.reserve(1_000), Ok(None));
        server.grant();
        let last = server.reserve(1_000).unwrap().expect("it has waited").last as u64;
        assert!(server.mark() <= last + 20, "{} ids more than were wanted", server.mark() - last);
    }
}

#[test]
fn another_term_begins_at_the_mark() {
    let mut server = Server::new(&FENCED);
    server.grant();
    server.next().unwrap();
    server.fence.became_replica("p:1");
    server.fence.became_primary();
    assert_eq!(server.next(), Ok(None));
    server.grant();
    assert_eq!(server.next(), Ok(Some(129)));
    let lost = server.block.info(&server).into_iter().find(|field| field.name == "fence-lost").unwrap();
    assert_eq!(lost.value, crate::info::Value::Int(127), "all but the one that came before the last raise");
}

#[test]
fn the_journal_knows_better_than_an_old_dataset() {
    let mut server = Server::new(&FENCED);
    let old: IdBlock = loaded(&sections(&server.block)).unwrap();
    server.grant();
    server.reserve(64).unwrap();
    let mark = server.mark();
    for known in [Some(mark), None] {
        let mut block = old.clone();
        if known.is_none() {
            server.fence = Fence::default();
        }
        server.fence.found_in_file(*block.uid());
        block.catch_up(known.unwrap_or(0));
        server.fence.loaded();
        (server.block, server.replica) = (block.clone(), Some(block));
        match known {
            Some(_) => {
                assert_eq!(server.next(), Ok(None));
                server.grant();
                assert_eq!(server.next(), Ok(Some(i64::try_from(mark).unwrap() + 1)));
            }
            None => {
                assert_eq!(server.next(), Err(Error::UnfencedOrigin));
                assert_eq!(server.advance(5), None);
                server.grant();
                assert_eq!((server.advance(5), server.next()), (Some(()), Ok(Some(65))));
            }
        }
    }
}

#[test]
fn advance_answers_once_it_is_safe() {
    let mut server = Server::new(&FENCED);
    server.grant();
    assert_eq!((server.advance(40), server.next()), (Some(()), Ok(Some(41))), "the mark is safe already");
    assert_eq!((server.advance(1_000), server.advance(1_000)), (None, None));
    assert_eq!(server.next(), Ok(None));
    server.grant();
    assert_eq!((server.advance(1_000), server.advance(7), server.next()), (Some(()), Some(()), Ok(Some(1_001))));
}

/// A follower that has handed out ids itself waits until it hears that its primary is beyond them, as it may always
/// have been: nobody has asked it for any in this term.
#[test]
fn advance_tells_where_it_stands() {
    let mut server = Server::new(&FENCED);
    server.grant();
    server.fence.became_primary();
    let position = |server: &Server| server.fence.announcement().positions.get(server.block.uid()).copied();
    let sent = server.sent;
    assert_eq!((position(&server), server.advance(5), server.sent), (None, Some(()), sent));
    assert_eq!(position(&server), Some(server.mark()));
    assert_eq!(server.next(), Ok(None));
    server.grant();
    assert_eq!((server.next(), server.advance(100)), (Ok(Some(65)), Some(())));
    assert_eq!(position(&server), Some(100));
}

#[test]
fn the_end_of_a_sequence_is_reached_exactly() {
    let mut server = Server::new(&Create { max: 100, ..FENCED });
    let mut ids = Vec::new();
    while let Ok(id) = server.next() {
        ids.extend(id);
        server.grant();
    }
    assert_eq!(ids, (1..=100).collect::<Vec<i64>>());
    assert_eq!(server.next(), Err(Error::Exhausted { want: 1, max: 100, left: 0 }));
}

#[test]
fn a_mark_of_a_time_sortable_allocator_stands_ahead_of_the_clock() {
    let clock = Clock::new(4, EPOCH_MS);
    let mut server = Server::new(&Create { clock, ..FENCED });
    let ordinal = |server: &Server, ms: u64| (server.now_ms + ms - EPOCH_MS) << 4;
    assert_eq!(server.mark(), ordinal(&server, 2_000));
    server.grant();
    assert!(server.next().unwrap().is_some());
    // While it is used it is kept there, whether somebody asks or not.
    for _ in 0..100 {
        server.now_ms += 500;
        let block = server.block.clone();
        if let Decision::Changed { effect, .. } = detached(block.decide_keep(&server)) {
            server.commit(effect, Form::Effect);
            server.grant();
        }
        assert!(server.mark() >= ordinal(&server, 1_000));
    }
    assert!(server.next().unwrap().is_some(), "nobody waits after a while");
    server.now_ms += 700_000;
    assert_eq!(server.block.decide_keep(&server), Decision::Unchanged(false), "unused for long");
    assert_eq!(server.next(), Ok(None));
}

#[test]
fn the_clock_may_go_on_while_somebody_waits() {
    for (fence, waits_ms) in [(Policy::Auto, WAIT_MS), (Policy::Fixed(50), 50)] {
        let mut server = Server::new(&Create { clock: Clock::new(4, EPOCH_MS), fence, ..FENCED });
        let window = server.block.window_size();
        assert_eq!(server.reserve(window), Ok(None), "they are raised, but for the clock");
        server.grant();
        server.now_ms += waits_ms;
        assert!(server.reserve(window).unwrap().is_some(), "{fence:?}");
    }
}

#[test]
fn the_clock_itself_costs_no_ids_at_a_takeover() {
    let mut server = Server::new(&Create { clock: Clock::new(4, EPOCH_MS), ..FENCED });
    server.grant();
    server.next().unwrap();
    server.fence.loaded();
    server.block = loaded(&sections(&server.block)).expect("what was stored");
    server.now_ms += 500;
    assert_eq!(server.next(), Ok(None));
    let lost = server.block.stand(&server).lost;
    assert!((1_500 << 4..2_500 << 4).contains(&lost), "{lost}");
}

#[test]
fn a_replica_hands_out_nothing() {
    let mut server = Server::new(&FENCED);
    server.grant();
    server.is_replica = true;
    assert_eq!(server.next(), Err(Error::UnfencedReplica));
}

/// A twin that was served meanwhile has the reply for both.
#[test]
fn a_retry_gets_the_reply_whatever_is_safe() {
    let mut server = Server::new(&FENCED);
    server.grant();
    let envelope = Envelope { token: Token::new(b"p", b"t"), note: b"" };
    let block = server.block.clone();
    let Ok(Decision::Changed { effect, reply, form }) = block.decide_next(&envelope, &server) else { panic!() };
    assert_eq!((reply, form), (1, Form::Effect), "a token is told");
    let bytes = own(&effect);
    let Ok(Payload::Effect(carried)) = decode::<BlockEffect<'_>>(&bytes) else { panic!() };
    server.block.apply(&carried).unwrap();
    server.send(&bytes);
    server.fence.loaded();
    let again = server.block.decide_next(&envelope, &server).map(|decision| decision.reply().copied());
    assert_eq!(again, Ok(Some(1)));
    let options = KeyOptions { log: Some(None), ..KeyOptions::default() };
    assert!(IdBlock::decide_create(Some(&server.block), &Create { nx: true, options, ..FENCED }, &server).is_ok());
}
