//! One server: its memory, its disk, and its ends of connections.

use super::schedule::Flaw;
use crate::audit::Retention;
use crate::effect::{BlockEffect, Payload, decode, encode};
use crate::environment::{Caller, Environment};
use crate::fence::journal::{self, Damage};
use crate::fence::{Announcement, Fence, Journal, Refusal, Standing, Told, Uid, View};
use crate::idblock::{IdBlock, Issued};
use crate::simulation::{loaded, sections};
use std::rc::Rc;

/// Small, so that torn journals matter.
pub const WINDOW_MAX: u64 = 200;

/// What a primary sends.
#[derive(Clone, Debug)]
pub enum Item {
    Effect(Vec<u8>),
    Announcement(Vec<u8>),
}

/// A stream, as everything that was ever in it; each item has a number that no other one has.
pub type Stream = Vec<(u64, Rc<Item>)>;

/// What a snapshot holds.
#[derive(Clone)]
pub struct Snapshot {
    pub value: Option<Vec<Vec<u8>>>,
    pub stream: Stream,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Role {
    Primary,
    Replica { of: usize },
}

/// The end of a connection to a follower, as its primary sees it.
pub struct Follower {
    pub link: u64,
    pub node: usize,
    pub acknowledged: u64,
}

/// The end of a connection to the primary, as its replica sees it.
pub struct Link {
    pub number: u64,
    /// A whole dataset that is still on its way.
    pub snapshot: Option<Snapshot>,
    /// An acknowledgement on its way back.
    pub sent: Option<u64>,
}

pub struct Node {
    pub name: String,
    pub role: Role,
    pub fence: Fence,
    pub value: Option<IdBlock>,
    pub stream: Stream,
    pub followers: Vec<Follower>,
    pub link: Option<Link>,
    pub disk: Disk,
    pub now_ms: u64,
    pub flaw: Flaw,
    /// Whom it follows, by name.
    pub primary: String,
    /// The promotion that made it what it last was as a primary.
    pub epoch: u64,
    /// When an operator promised that it hands out nothing as it is: it must be named afresh first.
    pub banned: Option<u64>,
    /// Why its primary gets no acknowledgement.
    pub refusal: Option<Refusal>,
}

/// What outlives the process.
#[derive(Default)]
pub struct Disk {
    pub snapshot: Option<Snapshot>,
    pub journal: Vec<u8>,
    /// Records written, and records known to be on the disk.
    pub written: u64,
    pub synced: u64,
    /// The length of the file that is surely there, and of that which took the place of another one.
    pub synced_len: usize,
    pub saved_len: usize,
}

impl Environment for Node {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn is_replica(&self) -> bool {
        self.role != Role::Primary
    }

    fn caller(&self) -> Caller<'_> {
        Caller::default()
    }

    fn random(&self) -> [u8; 16] {
        *b"one and the same"
    }

    fn random_u64(&self) -> u64 {
        0
    }

    fn log_default(&self) -> Option<Retention> {
        None
    }

    fn standing(&self) -> Standing {
        self.fence.standing(WINDOW_MAX)
    }

    fn known_mark(&self, uid: &Uid) -> Option<u64> {
        self.fence.marks().get(uid)
    }

    fn is_doubted(&self, uid: &Uid) -> bool {
        self.fence.doubted().contains(uid)
    }

    fn parked(&self, _: &Uid) -> u64 {
        0
    }

    fn whom(&self) -> String {
        self.fence.whom()
    }
}

impl Node {
    pub fn new(index: usize, flaw: Flaw) -> Self {
        Node {
            name: format!("n{index}"),
            role: Role::Primary,
            fence: Fence::default(),
            value: None,
            stream: Vec::new(),
            followers: Vec::new(),
            link: None,
            disk: Disk::default(),
            now_ms: 1_800_000_000_000,
            flaw,
            epoch: 0,
            banned: None,
            refusal: None,
            primary: String::new(),
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        Snapshot { value: self.value.as_ref().map(sections), stream: self.stream.clone() }
    }

    /// Takes over what a snapshot says.
    pub fn load(&mut self, snapshot: Snapshot) {
        self.value = snapshot.value.map(|sections| loaded(&sections).expect("what was saved can be loaded"));
        self.stream = snapshot.stream;
    }

    /// What was decided here is applied and sent.
    pub fn commit(&mut self, effect: &BlockEffect<'_>, number: u64, is_sent: bool) {
        match &mut self.value {
            Some(value) => value.apply(effect).expect("what was decided on can be applied"),
            None => self.value = Some(IdBlock::create(effect).expect("what was decided on can be applied")),
        }
        if let Some(Issued { raise, count, position, .. }) = effect.issued {
            let (uid, mark) = self.mark();
            if raise.is_some() {
                self.write(uid, mark);
                self.fence.raise(uid, mark, position, self.disk.written);
            } else if count == 0 {
                self.fence.stand(uid, position);
            }
        }
        if is_sent {
            let mut bytes = Vec::new();
            encode(effect, &mut bytes);
            self.stream.push((number, Rc::new(Item::Effect(bytes))));
        }
    }

    fn mark(&self) -> (Uid, u64) {
        let value = self.value.as_ref().expect("a value");
        (*value.uid(), value.fenced_mark().expect("a fence"))
    }

    /// Goes past an effect without executing it, and drops the connection before that is acknowledged. Returns whether
    /// it is one of those that can be gone past: the first one makes the allocator.
    pub fn lose(&mut self, number: u64, item: &Rc<Item>) -> bool {
        let is_lost = matches!(**item, Item::Effect(_)) && self.value.is_some();
        if is_lost {
            self.stream.push((number, item.clone()));
            if self.flaw != Flaw::LostEffects {
                self.link = None;
            }
        }
        is_lost
    }

    /// Executes what the primary sent, which an operator has banned or not.
    pub fn execute(&mut self, number: u64, item: &Rc<Item>, banned: Option<u64>) {
        match &**item {
            Item::Effect(bytes) => {
                let Ok(Payload::Effect(effect)) = decode::<BlockEffect<'_>>(bytes) else { panic!("{bytes:?}") };
                match &mut self.value {
                    Some(value) => value.apply(&effect).expect("what the primary applied"),
                    None => self.value = Some(IdBlock::create(&effect).expect("what the primary applied")),
                }
                let (uid, mark) = self.mark();
                if self.fence.marks().get(&uid) < Some(mark) && self.flaw != Flaw::NoJournal {
                    self.write(uid, mark);
                    self.sync();
                }
                if self.fence.execute(uid, mark) {
                    self.save_journal();
                }
            }
            Item::Announcement(bytes) => {
                let set = Announcement::decode(bytes).expect("what the primary sent");
                let anybody = set.nodes.first().cloned().into_iter().collect::<Vec<_>>();
                let me = if self.flaw == Flaw::AnyAnnouncement { anybody } else { vec![self.name.clone()] };
                let primary = self.primary.clone();
                let told = self.fence.told(&set, &[&primary], &me);
                self.refusal = None;
                match told {
                    Told::Named => {
                        self.banned = banned.or(self.banned.filter(|since| *since > number));
                        self.save_journal();
                    }
                    Told::Others => self.save_journal(),
                    Told::Again => {}
                    Told::Refused(_) if self.flaw == Flaw::NoClaims => {}
                    Told::Refused(refusal) => (self.link, self.refusal) = (None, Some(refusal)),
                }
            }
        }
        self.stream.push((number, item.clone()));
    }

    /// A record goes into the journal, and is on the disk at some later time.
    fn write(&mut self, uid: Uid, mark: u64) {
        if self.disk.journal.is_empty() {
            self.save_journal();
        }
        self.disk.journal.extend(journal::raise(self.fence.marks(), &uid, mark));
        self.disk.written += 1;
    }

    pub fn sync(&mut self) {
        self.disk.synced = self.disk.written;
        self.disk.synced_len = self.disk.journal.len();
    }

    pub fn save_journal(&mut self) {
        self.disk.journal = journal::encode(&self.fence);
        self.disk.saved_len = self.disk.journal.len();
        self.sync();
    }

    fn followers(&self, names: &[String]) -> Vec<(String, u64)> {
        self.followers.iter().map(|follower| (names[follower.node].clone(), follower.acknowledged)).collect()
    }

    /// A follower has come, or it was noticed that one is gone.
    pub fn meet(&mut self, names: &[String], has_come: bool) {
        let followers = self.followers(names);
        self.fence.meet(&followers, has_come);
    }

    /// Looks at its followers. Gives what it has to announce, if it may.
    pub fn observe(&mut self, names: &[String], may_announce: bool) -> Option<Vec<u8>> {
        if self.fence.marks().is_empty() {
            return None; // nothing to say yet, as the server sees it too
        }
        self.fence.journalled(self.disk.synced);
        let followers = self.followers(names);
        if self.flaw == Flaw::WhoeverIsConnected {
            let gone: Vec<_> = self.fence.electable().members().map(str::to_owned).collect();
            let gone = gone.into_iter().filter(|node| !followers.iter().any(|(follower, _)| follower == node));
            for node in gone.collect::<Vec<_>>() {
                let _ = self.fence.forget(&node);
            }
        }
        let offset = self.stream.len() as u64;
        let todo = self.fence.observe(View { offset, followers: &followers, replicas_min: 0, may_announce });
        if todo.save {
            self.save_journal();
        }
        if !todo.granted.is_empty() {
            todo.granted.iter().for_each(|(uid, mark)| self.disk.journal.extend(journal::claim(uid, *mark)));
            self.sync(); // what a power cut may do to them is not promised, see docs/FENCE.md
        }
        todo.announce.then(|| self.fence.announcement().encode())
    }

    /// The process is gone; what is on its disk is loaded anew. Of the journal, `lost` bytes at the end
    /// may be missing.
    pub fn restart(&mut self, snapshot: Option<Snapshot>, lost: usize) {
        let len = self.disk.journal.len().saturating_sub(lost);
        self.disk.journal.truncate(len);
        let journal = match self.disk.journal.as_slice() {
            [] => Journal::default(),
            bytes => journal::decode(bytes).expect("a header is never torn"),
        };
        let damage = journal.damage;
        assert_ne!(damage, Damage::Inside);
        self.fence = Fence::new(journal);
        self.flaw.apply_to(&mut self.fence);
        if self.role != Role::Primary {
            self.fence.became_replica(&self.primary);
        }
        self.followers.clear();
        self.link = None;
        self.load(snapshot.unwrap_or(Snapshot { value: None, stream: Vec::new() }));
        if let Some(value) = &mut self.value {
            self.fence.found_in_file(*value.uid());
            value.catch_up(self.fence.marks().get(value.uid()).unwrap_or(0));
        }
        if damage == Damage::End {
            self.save_journal();
        }
        self.disk.saved_len = self.disk.saved_len.min(self.disk.journal.len());
        self.sync();
        self.fence.loaded();
    }
}
