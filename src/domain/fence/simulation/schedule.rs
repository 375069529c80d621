//! What happens, in an order that a seed decides.

use super::node::{Disk, Follower, Item, Link, Node, Role};
use crate::decision::{Decision, Form};
use crate::effect::BlockEffect;
use crate::error::Error;
use crate::fence::{Fence, journal};
use crate::idblock::{Create, IdBlock, Policy, Reserve};
use crate::limits::MAX_DEFAULT;
use crate::options::KeyOptions;
use crate::retry::Envelope;
use crate::simulation::unstamped;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::HashMap;
use std::rc::Rc;

const NODES: usize = 3;
const STEPS: u32 = 600;

/// A rule that is left out.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Flaw {
    None,
    /// A mark is safe as soon as it is raised.
    SafeAtOnce,
    /// Who is gone needs not acknowledge.
    WhoeverIsConnected,
    /// Whoever hears an announcement may issue.
    AnyAnnouncement,
    /// Whoever took over a dataset may issue.
    NoOrphans,
    /// A replica does not journal what it executes.
    NoJournal,
    /// A node acknowledges to a primary that knows less than it has handed out.
    NoClaims,
    /// Whoever was told to forget its former primary goes on at its own mark.
    NoDoubts,
    /// A node acknowledges an effect that it could not execute.
    LostEffects,
}

impl Flaw {
    pub fn apply_to(self, fence: &mut Fence) {
        fence.is_reckless = self == Flaw::SafeAtOnce;
    }
}

struct Schedule {
    chance: StdRng,
    nodes: Vec<Node>,
    names: Vec<String>,
    numbers: u64,
    handed_out: HashMap<i64, usize>,
    /// Once in so many steps something goes wrong that can: there are times of peace, and times of trouble.
    calm: usize,
    /// Anybody is promoted, and promotions are undone.
    is_anarchy: bool,
    /// Replicas follow replicas, in circles too.
    is_chained: bool,
    /// Effects cannot be executed now and then.
    is_lossy: bool,
    log: Vec<String>,
}

/// Runs one schedule, and gives how many ids were handed out, or how one came twice.
pub fn run(seed: u64, flaw: Flaw) -> Result<u64, String> {
    let nodes: Vec<_> = (0..NODES).map(|index| Node::new(index, flaw)).collect();
    let names = nodes.iter().map(|node| node.name.clone()).collect();
    let mut chance = StdRng::seed_from_u64(seed);
    let [is_anarchy, is_chained, is_lossy] = [(); 3].map(|()| chance.random_ratio(1, 2));
    let (handed_out, log) = (HashMap::new(), Vec::new());
    let mut schedule =
        Schedule { chance, nodes, names, numbers: 0, handed_out, calm: 1, is_anarchy, is_chained, is_lossy, log };
    schedule.begin(flaw);
    (0..STEPS).try_for_each(|_| schedule.step())?;
    Ok(schedule.handed_out.len() as u64)
}

impl Schedule {
    fn below(&mut self, end: usize) -> usize {
        self.chance.random_range(0..end)
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A primary with an allocator, and one or two replicas that begin to sync.
    fn begin(&mut self, flaw: Flaw) {
        self.nodes[0].epoch = self.number();
        let fence = if self.once_in(2) { Policy::Auto } else { Policy::Fixed(1 + self.below(40) as u64) };
        let options = KeyOptions { log: Some(None), ..KeyOptions::default() };
        let request =
            Create { nx: false, start: 1, increment: 1, max: MAX_DEFAULT, clock: None, codes: None, fence, options };
        self.nodes.iter_mut().for_each(|node| flaw.apply_to(&mut node.fence));
        let decision = IdBlock::decide_create(None, &request, &self.nodes[0]).expect("a creation");
        let Decision::Changed { effect, .. } = decision else { panic!("nothing stood there") };
        let effect = unstamped(effect);
        let number = self.number();
        self.nodes[0].commit(&effect, number, true);
        // The third node comes at once, or late.
        for node in 1..NODES - self.below(2) {
            self.follow(node, 0);
        }
    }

    fn step(&mut self) -> Result<(), String> {
        if self.once_in(30) {
            self.calm = [1, 2, 4, 16, 64][self.below(5)];
        }
        let node = self.below(NODES);
        let passed = self.below(30) as u64;
        self.nodes.iter_mut().for_each(|node| node.now_ms += passed);
        match self.below(100) {
            0..25 => return self.ask(node),
            25..45 => self.deliver(node),
            45..65 => self.acknowledge(node),
            65..79 => self.observe(node),
            79..82 => self.nodes[node].sync(),
            82 => self.heal(node),
            83 if self.once_in(4) => self.give_in(node),
            83 => self.forget(node),
            _ if !self.once_in(self.calm) => {}
            84 | 85 => self.promote(node),
            86..90 => {
                let other = self.below(NODES);
                self.follow(node, other);
            }
            90..93 => self.cut(node),
            93..95 => self.notice(node),
            95..97 => self.nodes[node].disk.snapshot = Some(self.nodes[node].snapshot()),
            _ => self.restart(node),
        }
        Ok(())
    }

    /// A client asks for ids, of whoever takes itself for a primary.
    fn ask(&mut self, index: usize) -> Result<(), String> {
        let (count, kind) = (1 + self.below(12) as u64, self.below(20));
        let number = self.number();
        let node = &self.nodes[index];
        let (Some(value), Role::Primary, None) = (&node.value, node.role, node.banned) else { return Ok(()) };
        let envelope = Envelope::default();
        if kind == 0 {
            let id = self.handed_out.keys().copied().max().unwrap_or(0) + count as i64;
            if node.fence.doubted.contains(value.uid()) {
                self.ban_all_but(index);
            }
            let node = &self.nodes[index];
            let Some(value) = &node.value else { return Ok(()) };
            return match value.decide_advance(id, node) {
                Ok(decision) => self.conclude(index, number, map(decision, |()| None)),
                Err(error) => allowed(error),
            };
        }
        let request = Reserve { count, at_least: count, codes: false };
        match value.decide_reserve(&request, &envelope, node) {
            Ok(decision) => self.conclude(index, number, map(decision, |block| Some((block.first, block.last)))),
            Err(error) => allowed(error),
        }
    }

    fn conclude(&mut self, index: usize, number: u64, (effect, reply): Outcome) -> Result<(), String> {
        if let Some((effect, form)) = effect {
            self.nodes[index].commit(&effect, number, form == Form::Effect);
        }
        let Some((first, last)) = reply else { return Ok(()) };
        self.note(|names| format!("{} hands out {first} to {last}", names[index]));
        for id in first..=last {
            if let Some(other) = self.handed_out.insert(id, index) {
                let tail = self.log.iter().rev().take(110).rev().cloned().collect::<Vec<_>>().join("\n  ");
                return Err(format!("{id} came from n{other} and from n{index}:\n  {tail}"));
            }
        }
        Ok(())
    }

    fn note(&mut self, what: impl FnOnce(&[String]) -> String) {
        if std::env::var_os("TALLYBOOK_TRACE").is_some() {
            let line = what(&self.names);
            self.log.push(line);
        }
    }

    /// The next things that are on their way to a replica arrive.
    fn deliver(&mut self, index: usize) {
        let count = 1 + self.below(6);
        let Role::Replica { of } = self.nodes[index].role else { return };
        let followers: Vec<_> = self.nodes[of].followers.iter().map(|follower| follower.link).collect();
        let Some(link) = &mut self.nodes[index].link else { return };
        if !followers.contains(&link.number) {
            return;
        }
        if let Some(snapshot) = link.snapshot.take() {
            self.note(|names| format!("{} has the dataset of {}", names[index], names[of]));
            return self.take_over(index, of, snapshot);
        }
        for _ in 0..count {
            let place = self.nodes[index].stream.len();
            let Some((number, item)) = self.nodes[of].stream.get(place).cloned() else { return };
            if self.nodes[index].link.is_none() {
                return;
            }
            self.note(|names| format!("{} executes {number} of {}: {item:?}", names[index], names[of]));
            let banned = self.nodes[of].banned;
            if self.is_lossy && self.once_in(20) && self.nodes[index].lose(number, &item) {
                self.note(|names| format!("{} could not", names[index]));
                continue;
            }
            self.nodes[index].execute(number, &item, banned);
        }
    }

    fn take_over(&mut self, index: usize, of: usize, snapshot: super::node::Snapshot) {
        let primary = self.names[of].clone();
        let banned = self.nodes[of].banned;
        let node = &mut self.nodes[index];
        // It is not what it was when an operator banned it; or what was banned with the other one.
        let begun = node.link.as_ref().map_or(0, |link| link.number);
        node.banned = banned.or(node.banned.filter(|since| *since > begun));
        node.load(snapshot);
        let mark = node.value.as_ref().and_then(|value| value.fenced_mark().map(|mark| (*value.uid(), mark)));
        match node.flaw {
            Flaw::NoOrphans => {
                node.fence.loaded();
                mark.into_iter().for_each(|(uid, mark)| _ = node.fence.execute(uid, mark));
            }
            _ => node.fence.took_over(&primary, mark),
        }
        node.save_journal();
        self.hang_up(index);
    }

    /// A replica sends what it has executed, or that arrives.
    fn acknowledge(&mut self, index: usize) {
        let Role::Replica { of } = self.nodes[index].role else { return };
        let executed = self.nodes[index].stream.len() as u64;
        let Some(link) = &mut self.nodes[index].link else { return };
        if link.snapshot.is_some() {
            return;
        }
        match link.sent.take() {
            None => link.sent = Some(executed),
            Some(sent) => {
                let number = link.number;
                let follower = self.nodes[of].followers.iter_mut().find(|follower| follower.link == number);
                if let Some(follower) = follower {
                    follower.acknowledged = sent;
                    self.note(|names| format!("{} learns that {} has executed {sent}", names[of], names[index]));
                }
            }
        }
    }

    fn observe(&mut self, index: usize) {
        let number = self.number();
        if self.nodes[index].role != Role::Primary {
            return;
        }
        let may_announce = !self.once_in(4);
        if let Some(announcement) = self.nodes[index].observe(&self.names, may_announce) {
            self.note(|names| format!("{} announces in {number}", names[index]));
            self.nodes[index].stream.push((number, Rc::new(Item::Announcement(announcement))));
        }
    }

    /// Somebody decides that this node is the primary now: as a rule one that the primary before it counts,
    /// where that is still heard or not; under anarchy any, whatever it knows and whomever it follows.
    fn promote(&mut self, index: usize) {
        let latest = (0..NODES).max_by_key(|node| self.nodes[*node].epoch).expect("a node");
        let is_electable = self.nodes[latest].fence.electable().members().any(|node| node == self.names[index]);
        if (is_electable || self.is_anarchy) && self.nodes[index].role != Role::Primary {
            self.note(|names| format!("{} is promoted", names[index]));
            self.nodes[index].epoch = self.number();
            self.nodes[index].role = Role::Primary;
            self.nodes[index].link = None;
            self.nodes[index].fence.became_primary();
            self.hang_up(index); // they have to hear that the stream has another name
        }
    }

    /// Somebody sees to it that there is one primary, the latest.
    fn heal(&mut self, index: usize) {
        let primaries = (0..NODES).filter(|node| self.nodes[*node].role == Role::Primary);
        let latest = primaries.max_by_key(|node| self.nodes[*node].epoch);
        let is_well =
            self.nodes[index].link.is_some() && latest.map(|of| Role::Replica { of }) == Some(self.nodes[index].role);
        if let Some(of) = latest.filter(|of| *of != index && !is_well) {
            self.follow(index, of);
        }
    }

    /// An operator tells an orphan not to wait for its former primary.
    fn forget(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let former = node.fence.electable().orphan_of().map(str::to_owned);
        let (Some(former), Role::Primary, None) = (former, node.role, node.banned) else { return };
        self.note(|names| format!("{} forgets {former}", names[index]));
        let node = &mut self.nodes[index];
        let _ = node.fence.forget(&former);
        if node.flaw == Flaw::NoDoubts {
            node.fence.doubted.clear();
        }
        node.save_journal();
        self.ban_all_but(index);
    }

    /// Where all others follow one primary, and refuse it for nothing but those that it does not count, an
    /// operator promises that none of these hands out anything as it is.
    fn give_in(&mut self, index: usize) {
        let refuses = |node: &Node| {
            node.role == Role::Replica { of: index } && node.refusal.as_ref().is_some_and(|why| why.repeated.is_empty())
        };
        let others = || (0..NODES).filter(|other| *other != index);
        if self.nodes[index].role != Role::Primary || !others().all(|other| refuses(&self.nodes[other])) {
            return;
        }
        self.note(|names| format!("all others give in to {}", names[index]));
        for other in others() {
            self.nodes[other].fence.give_in();
            self.nodes[other].save_journal();
        }
        self.ban_all_but(index);
    }

    /// An operator promises that none of the others hands out anything as it is.
    fn ban_all_but(&mut self, index: usize) {
        let number = self.number();
        (0..NODES).filter(|other| *other != index).for_each(|other| self.nodes[other].banned = Some(number));
    }

    /// A node follows another one from now on: from where it stands, where that is a beginning of the
    /// other one's stream, else from its whole dataset. Its own followers stay, as long as that suits them.
    fn follow(&mut self, index: usize, of: usize) {
        let is_chain = self.nodes[of].role != Role::Primary;
        if index == of || is_chain && !self.is_chained {
            return;
        }
        if !self.is_anarchy && !is_chain && self.nodes[of].epoch < self.nodes[index].epoch {
            return;
        }
        let (number, primary) = (self.number(), self.names[of].clone());
        if self.nodes[index].role != (Role::Replica { of }) {
            self.nodes[index].role = Role::Replica { of };
            self.nodes[index].fence.became_replica(&primary);
            self.nodes[index].primary = primary.clone();
            self.nodes[index].refusal = None;
        }
        self.nodes[index].link = None;
        if is_chain && self.nodes[of].link.as_ref().is_none_or(|link| link.snapshot.is_some()) {
            return; // who has no primary answers no replica
        }
        let own = self.nodes[index].stream.iter().map(|(number, _)| number);
        let is_beginning = own.clone().eq(self.nodes[of].stream.iter().map(|(number, _)| number).take(own.count()));
        let has_any = !self.nodes[index].stream.is_empty();
        let snapshot = (!is_beginning || !has_any).then(|| self.nodes[of].snapshot());
        self.note(|names| format!("{} follows {}, whole: {}", names[index], names[of], snapshot.is_some()));
        if snapshot.is_none() && self.once_in(2) {
            self.hang_up(index); // the stream has another name
        }
        self.nodes[index].link = Some(Link { number, snapshot, sent: None });
        if self.once_in(2) {
            // The server does not show a connection of which it knows that it is gone, and forgets it later.
            self.nodes[of].followers.retain(|follower| follower.node != index);
        }
        self.nodes[of].followers.push(Follower { link: number, node: index, acknowledged: 0 });
        self.nodes[of].meet(&self.names, true);
    }

    /// A replica loses its connection; the primary does not notice yet.
    fn cut(&mut self, index: usize) {
        self.nodes[index].link = None;
    }

    /// A primary notices that a connection is gone.
    fn notice(&mut self, index: usize) {
        let links: Vec<_> = self.nodes.iter().filter_map(|node| node.link.as_ref()).map(|link| link.number).collect();
        self.nodes[index].followers.retain(|follower| links.contains(&follower.link));
        self.nodes[index].meet(&self.names, false);
    }

    /// The process dies and comes back, with an append-only file, an old snapshot, or nothing; with the
    /// end of its journal torn off, or not.
    fn restart(&mut self, index: usize) {
        let snapshot = match self.below(4) {
            0 => self.nodes[index].disk.snapshot.clone(),
            _ => Some(self.nodes[index].snapshot()),
        };
        let disk = &self.nodes[index].disk;
        let unsynced = disk.journal.len() - disk.synced_len;
        let lost = match self.below(4) {
            // What was not on the disk is gone, or half of it.
            0 => self.below(unsynced + 1),
            // The disk lied: the last write is torn, though ids of it may have been handed out.
            1 => self.torn(index),
            _ => 0,
        };
        self.note(|names| format!("{} restarts, {lost} bytes of its journal lost", names[index]));
        self.hang_up(index);
        self.nodes[index].restart(snapshot, lost);
        let node = &self.nodes[index];
        let (known, mark) =
            (node.fence.marks().get(b"one and the same"), node.value.as_ref().map(|value| value.fenced_mark()));
        self.note(|_| format!("  known {known:?}, mark {mark:?}"));
    }

    /// So many bytes of the record that was appended last.
    fn torn(&mut self, index: usize) -> usize {
        let Disk { journal, saved_len, .. } = &self.nodes[index].disk;
        if journal.len() == *saved_len { 0 } else { 1 + self.below(journal::RECORD_LEN - 1) }
    }

    /// A node closes the connections of those that follow it.
    fn hang_up(&mut self, index: usize) {
        self.nodes[index].followers.clear();
        for node in &mut self.nodes {
            if node.role == (Role::Replica { of: index }) {
                node.link = None;
            }
        }
    }
}

/// Not the time, or not the place.
fn allowed(error: Error) -> Result<(), String> {
    match error {
        Error::UnfencedOrigin | Error::UnfencedReplica => Ok(()),
        error => Err(format!("{error}")),
    }
}

/// What changes, and what was handed out.
type Outcome = (Option<(BlockEffect<'static>, Form)>, Option<(i64, i64)>);

fn map<R>(decision: Decision<BlockEffect<'_>, R>, ids: impl FnOnce(R) -> Option<(i64, i64)>) -> Outcome {
    match decision {
        Decision::Unchanged(reply) => (None, ids(reply)),
        Decision::Changed { effect, reply, form } => (Some((unstamped(effect), form)), ids(reply)),
        Decision::Wait { effect, .. } => (effect.map(|effect| (unstamped(effect), Form::Effect)), None),
    }
}
