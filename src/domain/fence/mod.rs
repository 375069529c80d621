//! The fence: no id twice, whatever fails. This is the protocol of one node, as a pure state machine.
//!
//! Ids are handed out below a *mark* that is *safe*: every node that could take over has executed and
//! journalled it, and so has this one. Whoever begins to issue begins at its mark, so whatever an
//! earlier issuer handed out, or still hands out while nobody hears of it, lies below.
//!
//! ```text
//!   mod.rs         tickets, terms, who has acknowledged what
//!   electable.rs   who must acknowledge
//!   followers.rs   who follows now, and has heard what
//!   announcement.rs  what followers are told of it
//!   marks.rs       the highest mark that this node knows of each allocator
//!   journal.rs     both of them as bytes in a file
//! ```
//!
//! A raise of a mark gets a *ticket*. It is granted when
//!
//! 1. this node's journal has it on disk,
//! 2. each electable node has acknowledged a replication offset at or behind it, and
//! 3. nothing of the electable set itself is unknown.
//!
//! A replica writes a mark into its own journal while it executes it, so an acknowledged offset says
//! both. The offset that stands for a raise is looked up after the command that made it is over.
//!
//! **Who is electable.** When a follower comes, the set is announced in the stream. The follower counts
//! from its first acknowledgement of that on, and never ceases to by itself: a partition must not shrink
//! the set. It *may issue* once promoted only after it executed an announcement that names it. That one
//! follows the counting, so all that was granted without this follower stands before it in the stream,
//! and is executed with it; all that was granted later waited for this follower. So of two nodes that
//! may issue, the one that counted the other, or was told of it, needs its acknowledgement. A node that
//! took over a whole dataset, and one that its primary does not name any more, is an *orphan* until it is
//! named: it waits for its former primary to acknowledge it, or to be forgotten by an operator. Nobody
//! knows any more then how far the others came, so the marks that it has are *doubted*, here and by
//! whoever follows, until an operator says which ids are in use.
//!
//! **An effect that is lost**, because a follower cannot execute it, is not acknowledged: the follower drops the
//! connection first. Whoever comes back must hear an announcement before its acknowledgements count, and there are all
//! marks that the primary knows.
//!
//! **A promotion that is undone** leaves a follower that has handed out ids which its primary knows
//! nothing of. It keeps *claims*: the marks that became safe here. Hearing an announcement of a primary
//! that would repeat ids below a claim, it gives no more acknowledgements, and the primary waits. Neither
//! does it where it has *heirs*, nodes that it has told that they may issue, and the primary does not
//! count one of them.
//!
//! **Terms.** A term begins whenever this node may have become another issuer than it was: promotion,
//! demotion, a loaded dataset, a new journal. An allocator compares the term in which it was last used
//! and begins at its mark where they differ. No index over keys is needed for that.
//!
//! Rejected: WAIT (its offset is the client's, not ours, and it aborts Redis 7.0 inside a module),
//! leases (clocks), counting whoever is connected now (a partition leaves nobody to ask), and counting
//! a follower before it ever acknowledged (a tool that only reads the stream would stop everything).

mod announcement;
mod electable;
mod followers;
pub mod journal;
mod marks;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use announcement::Announcement;
pub use electable::{Electable, Forgotten};
pub use journal::Journal;
pub use marks::Marks;

use followers::Followers;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// The former primary of a node that has lost its journal.
const NOBODY: &str = "unknown";

/// Positions that may be kept of allocators whose marks are forgotten, beside as many as there are marks.
const POSITIONS_SURPLUS_MAX: usize = 1024;

/// The identity of an allocator.
pub type Uid = [u8; 16];

/// A raise of a mark, in the order in which they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Ticket(u64);

impl Ticket {
    /// The one after this.
    pub fn next(self) -> Self {
        Ticket(self.0.saturating_add(1))
    }
}

/// A time in which this node, if it issued at all, was one and the same issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Term(u64);

/// What the fence tells an allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The present term.
    pub term: Term,
    /// Raises up to this one are safe.
    pub granted: Ticket,
    /// The raise that comes next.
    pub next: Ticket,
    /// The largest window that an allocator may have (`tallybook.fence-window-max`).
    pub window_max: u64,
    /// How long a request may wait, in milliseconds (`tallybook.fence-wait`).
    pub wait_ms: u64,
    /// Whether there are allocators whose marks are worth nothing here.
    pub has_doubts: bool,
    /// Whether somebody who waited has yet to take the ids that are safe now.
    pub owes: bool,
}

/// A request that has to wait until ids are safe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wait {
    /// The raise it waits for.
    pub ticket: Ticket,
    /// The allocator.
    pub uid: Uid,
    /// The ids it wants.
    pub count: u64,
    /// Whom everybody waits for, in words, once that is told to anybody.
    pub whom: String,
}

impl Wait {
    /// A wait for `count` ids of an allocator, until a raise is safe.
    pub fn until(ticket: Ticket, uid: &Uid, count: u64) -> Box<Self> {
        Box::new(Wait { ticket, uid: *uid, count, whom: String::new() })
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UNFENCED ids must be safe on every node that could take over, waiting for {}: retry", self.whom)
    }
}

/// A raise that is not safe yet.
#[derive(Debug)]
struct Raise {
    ticket: Ticket,
    uid: Uid,
    mark: u64,
    /// The journal must have come so far.
    journal: u64,
    /// The replication offset behind it, once that is known.
    target: Option<u64>,
}

/// What this node sees of the others.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The offset of this node's own stream.
    pub offset: u64,
    /// Followers that receive it, with the offset that each has acknowledged; 0: nothing yet.
    pub followers: &'a [(String, u64)],
    /// How many must have acknowledged, whoever they are (`tallybook.fence-replicas`).
    pub replicas_min: usize,
    /// Whether an announcement can be sent now.
    pub may_announce: bool,
}

/// What is to be done after looking at the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Todo {
    /// The electable set has changed: journal it, then announce it.
    pub save: bool,
    /// Send the set to all followers.
    pub announce: bool,
    /// Ask all followers to acknowledge.
    pub ask: bool,
    /// These became safe: journal that ids below will be handed out here, then look at who waits.
    pub granted: Vec<(Uid, u64)>,
}

/// What an announcement was to the node that heard it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It named this node, which may issue once it is promoted.
    Named,
    /// It named others, so this node may not, whatever it was told before by whomever.
    Others,
    /// It said nothing new.
    Again,
    /// The primary lacks something. It must not get an acknowledgement of this, or of what follows.
    Refused(Refusal),
}

/// Why a primary gets no acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// It would hand out ids of these again that came from here.
    pub repeated: Vec<Uid>,
    /// It does not count these, whom this node has told that they may issue.
    pub heirs: Vec<String>,
}

/// One node's part of the protocol.
#[derive(Debug)]
pub struct Fence {
    term: Term,
    electable: Electable,
    marks: Marks,
    /// The marks that this node knew when it began to follow: what was raised since came from its primary.
    inherited: Marks,
    /// The marks that the journal held at the start. From an old file a node executes what it heard before once more,
    /// and an announcement that knows less may be one of a former primary.
    remembered: Marks,
    /// How far this node has come, at least, with the allocators that it has issued in this term.
    positions: BTreeMap<Uid, u64>,
    /// Marks below which this node itself has handed out ids. That one primary knows of them does not mean
    /// that the next one does.
    claims: Marks,
    /// Allocators whose marks are worth nothing here, until this node raises them, or follows one that knows better.
    doubted: BTreeSet<Uid>,
    /// Whether the journal lacks something.
    is_unsaved: bool,
    raises: VecDeque<Raise>,
    issued: Ticket,
    granted: Ticket,
    journalled: u64,
    followers: Followers,
    replicas_min: usize,
    /// Whether there is something to announce that everybody must hear before anything is granted.
    announce_due: bool,
    /// Whether the offset behind an announcement is to be looked up.
    has_announced: bool,
    /// For a test: every mark is safe at once.
    #[cfg(test)]
    is_reckless: bool,
}

impl Default for Fence {
    fn default() -> Self {
        Fence::new(Journal::default())
    }
}

impl Fence {
    /// A node that starts with what its journal says.
    pub fn new(journal: Journal) -> Self {
        let Journal { mut electable, marks, claims, doubted, .. } = journal;
        electable.has_nothing_to_lose(marks.is_empty());
        Fence {
            term: Term(1),
            electable,
            remembered: marks.clone(),
            marks,
            inherited: Marks::default(),
            positions: BTreeMap::new(),
            claims,
            doubted,
            is_unsaved: false,
            raises: VecDeque::new(),
            issued: Ticket::default(),
            granted: Ticket::default(),
            journalled: 0,
            followers: Followers::default(),
            replicas_min: 0,
            announce_due: true,
            has_announced: false,
            #[cfg(test)]
            is_reckless: false,
        }
    }

    /// What an allocator has to know.
    pub fn standing(&self, window_max: u64) -> Standing {
        let (term, granted, next) = (self.term, self.granted, self.issued.next());
        let has_doubts = !self.doubted.is_empty();
        Standing { term, granted, next, window_max, wait_ms: 0, has_doubts, owes: false }
    }

    /// The marks that the journal holds, or is about to.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Marks below which this node has handed out ids.
    pub fn claims(&self) -> &Marks {
        &self.claims
    }

    /// Allocators of which an operator has to say first which ids are in use.
    pub fn doubted(&self) -> &BTreeSet<Uid> {
        &self.doubted
    }

    /// Who must acknowledge.
    pub fn electable(&self) -> &Electable {
        &self.electable
    }

    /// What an electable node has acknowledged, if it follows now.
    pub fn acknowledged(&self, node: &str) -> Option<u64> {
        self.followers.acknowledged(node)
    }

    /// Whether a raise waits to become safe.
    pub fn is_pending(&self) -> bool {
        !self.raises.is_empty()
    }

    /// Whether a raise has become safe, or belongs to a term that is over.
    pub fn is_settled(&self, ticket: Ticket) -> bool {
        ticket <= self.granted || ticket > self.issued
    }

    /// This node issues from `position` on, which those have to hear of that refuse because it might not.
    pub fn stand(&mut self, uid: Uid, position: u64) {
        self.positions.insert(uid, position);
        // Allocators come and go. Of one whose mark is forgotten nobody asks where it goes on.
        if self.positions.len() > self.marks.len().saturating_mul(2).saturating_add(POSITIONS_SURPLUS_MAX) {
            self.positions.retain(|uid, _| self.marks.get(uid).is_some());
        }
    }

    /// The same, and it raised a mark, which will be the record `journal` of its journal.
    pub fn raise(&mut self, uid: Uid, mark: u64, position: u64, journal: u64) {
        self.is_unsaved |= self.electable.begin();
        if self.doubted.remove(&uid) {
            self.is_unsaved = true;
            self.announce_again();
        }
        self.execute(uid, mark);
        self.stand(uid, position);
        self.issued = self.issued.next();
        self.raises.push_back(Raise { ticket: self.issued, uid, mark, journal, target: None });
    }

    /// This node executed a mark that another one raised. Returns whether the journal has to be written anew, since the
    /// electable set has changed by that.
    pub fn execute(&mut self, uid: Uid, mark: u64) -> bool {
        self.marks.raise(uid, mark);
        self.electable.has_something_to_lose()
    }

    /// This node found an allocator in a file of its own, and lets it catch up with the mark that it knows. What its
    /// journal does not know came from elsewhere.
    pub fn found_in_file(&mut self, uid: Uid) {
        if self.marks.get(&uid).is_none() {
            self.doubted.insert(uid);
        }
    }

    /// The journal has come so far.
    pub fn journalled(&mut self, record: u64) {
        self.journalled = self.journalled.max(record);
    }

    /// Looks at the others. To be called when no command is running: what was raised before has its
    /// place in the stream then.
    pub fn observe(&mut self, view: View<'_>) -> Todo {
        self.replicas_min = view.replicas_min;
        let mut todo = Todo { save: std::mem::take(&mut self.is_unsaved), ..Todo::default() };
        if std::mem::take(&mut self.has_announced) {
            self.followers.told_before(view.offset);
            todo.ask = !view.followers.is_empty();
        }
        self.followers.meet(view.followers, false);
        let mut has_changed = false;
        for node in self.followers.agreed() {
            has_changed |= self.electable.count(node);
            // The former primary itself has nothing against this node: it counts all those that it told.
            if self.electable.orphan_of() == Some(node) {
                self.electable.adopt();
                has_changed = true;
            }
        }
        for raise in self.raises.iter_mut().filter(|raise| raise.target.is_none()) {
            raise.target = Some(view.offset);
            todo.ask = !view.followers.is_empty();
        }
        if has_changed {
            todo.save = true;
            self.announce_again();
        }
        // Whoever came is told as soon as that is possible; nobody but itself has to wait for that.
        todo.announce = (self.announce_due || self.followers.has_untold()) && view.may_announce;
        if todo.announce {
            self.followers.tell();
            todo.save |= self.electable.bequeath(); // more heirs than there are, as those of an orphan, do no harm
            (self.announce_due, self.has_announced) = (false, true);
        }
        todo.granted = self.grant();
        todo
    }

    /// These follow now, see `Followers::meet`.
    pub fn meet(&mut self, followers: &[(String, u64)], has_come: bool) {
        self.followers.meet(followers, has_come);
    }

    fn grant(&mut self) -> Vec<(Uid, u64)> {
        let mut granted = Vec::new();
        while self.raises.front().is_some_and(|raise| self.is_safe(raise)) {
            let Some(raise) = self.raises.pop_front() else { break };
            self.granted = raise.ticket;
            self.claims.raise(raise.uid, raise.mark);
            granted.push((raise.uid, raise.mark));
        }
        granted
    }

    fn is_safe(&self, raise: &Raise) -> bool {
        #[cfg(test)]
        if self.is_reckless {
            return true;
        }
        let Some(target) = raise.target else { return false };
        !self.announce_due
            && raise.journal <= self.journalled
            && self.count_acknowledged(target) >= self.replicas_min
            && self.electable.orphan_of().is_none()
            && self.electable.members().all(|node| self.followers.has_acknowledged(node, target))
    }

    fn count_acknowledged(&self, target: u64) -> usize {
        self.followers.agreed().filter(|node| self.followers.has_acknowledged(node, target)).count()
    }

    /// What followers were told is not true any more, or could not be sent.
    pub fn announce_again(&mut self) {
        (self.announce_due, self.has_announced) = (true, false);
        self.followers.tell_again();
    }

    /// This node became a primary.
    pub fn became_primary(&mut self) {
        self.begin_term();
        self.electable.follow_nobody();
    }

    /// This node became a follower of `primary`.
    pub fn became_replica(&mut self, primary: &str) {
        self.begin_term();
        self.inherited = self.marks.clone();
        self.electable.follow(primary);
    }

    /// This node took over the whole dataset of `primary`, with these marks in it. Of allocators that are
    /// not in it, this node knows nothing any more: were one to come back from an old file, its mark would
    /// be worth nothing.
    pub fn took_over(&mut self, primary: &str, marks: impl IntoIterator<Item = (Uid, u64)>) {
        self.begin_term();
        self.remembered = Marks::default();
        let (known, doubted) = (std::mem::take(&mut self.marks), std::mem::take(&mut self.doubted));
        for (uid, mark) in marks {
            known.get(&uid).into_iter().for_each(|known| self.marks.raise(uid, known));
            self.execute(uid, mark);
            self.doubted.extend(doubted.get(&uid)); // until a primary tells that it knows better
        }
        if self.marks.is_empty() {
            self.electable.begin_anew(primary);
        } else {
            self.electable.orphan(primary);
        }
    }

    /// The journal could not be read when this node started, and now it was. Nothing has become safe since.
    pub fn found(&mut self, journal: &Fence) {
        self.begin_term();
        self.remembered = journal.marks.clone();
        self.electable.merge(&journal.electable);
        journal.marks.iter().for_each(|(uid, mark)| self.marks.raise(uid, mark));
        journal.claims.iter().for_each(|(uid, mark)| self.claims.raise(uid, mark));
        let is_proven = |uid: &Uid| journal.marks.get(uid).is_some() && !journal.doubted.contains(uid);
        self.doubted.retain(|uid| !is_proven(uid));
        self.doubted.extend(&journal.doubted);
    }

    /// This node found fenced allocators in its files, and no journal: nobody knows who else has them.
    pub fn lost_journal(&mut self) {
        self.electable.orphan(NOBODY);
    }

    /// This node loaded a dataset from its own files.
    pub fn loaded(&mut self) {
        self.begin_term();
    }

    /// What a primary tells its followers: who is electable, and the marks. Its dataset may lack one that it knows of, and a
    /// follower may have lost the effect.
    pub fn announcement(&self) -> Announcement {
        let marks = self.marks.iter().collect();
        let nodes = self.electable.members().map(str::to_owned).collect();
        let is_whole = self.electable.orphan_of().is_none();
        Announcement { is_whole, nodes, marks, positions: self.positions.clone(), doubted: self.doubted.clone() }
    }

    /// The primary, which may have several names, announced its set, to this node, known by one of the names in `me`, or
    /// to others.
    pub fn told(&mut self, announcement: &Announcement, primary: &[&str], me: &[String]) -> Told {
        let heirs = self.electable.heirs_beside(&announcement.nodes, primary, me);
        let repeated = self.repeated(announcement);
        // To an orphan an acknowledgement says that it knows everybody: only who did can give it.
        let may_vouch = announcement.is_whole || self.electable.can_vouch(primary) && self.doubted.is_empty();
        if !may_vouch || !heirs.is_empty() || !repeated.is_empty() {
            return Told::Refused(Refusal { repeated, heirs });
        }
        let before = self.electable.clone();
        // Who is not named learns the marks as well: they are what it doubts if it has to forget its primary.
        let mut knows_all = true;
        for (uid, mark) in &announcement.marks {
            knows_all &= self.marks.get(uid) >= Some(*mark);
            self.execute(*uid, *mark);
        }
        knows_all &= self.doubted == announcement.doubted;
        self.doubted.clone_from(&announcement.doubted);
        let is_old = announcement.marks.iter().any(|(uid, mark)| Some(*mark) < self.remembered.get(uid));
        let is_named = announcement.is_whole && !is_old && self.electable.told(&announcement.nodes, me);
        if announcement.is_whole && !is_named {
            self.electable.passed_over(primary.first().copied().unwrap_or(NOBODY));
        }
        match (before == self.electable && knows_all, is_named) {
            (true, _) => Told::Again,
            (false, true) => Told::Named,
            (false, false) => Told::Others,
        }
    }

    /// The allocators of which a primary would hand out ids again that came from here; an orphan, that may have come
    /// from anybody whose marks this node knows: it counts nobody but whoever vouches for it. An allocator of which the
    /// primary knows no mark is gone.
    fn repeated(&self, announcement: &Announcement) -> Vec<Uid> {
        let repeats = |(uid, known): &(Uid, u64)| {
            let goes_on_at = announcement.positions.get(uid).or(announcement.marks.get(uid));
            goes_on_at.is_some_and(|next| next < known)
        };
        let known = if announcement.is_whole { &self.claims } else { &self.inherited };
        known.iter().filter(repeats).map(|(uid, _)| uid).collect()
    }

    /// An operator answers for all that this node knows and its primary does not. Returns whether there is
    /// anything.
    pub fn give_in(&mut self) -> bool {
        let has_claims = !std::mem::take(&mut self.claims).is_empty();
        self.electable.disinherit() || has_claims
    }

    /// An operator says that a node will never issue again. If it is that of whose dataset this one is an
    /// orphan, nobody can say any more how far those came that counted each other.
    pub fn forget(&mut self, node: &str) -> Forgotten {
        let forgotten = match (self.electable.orphan_of() == Some(node), self.followers.acknowledged(node).is_some()) {
            (true, _) => {
                if node != NOBODY {
                    self.doubted.extend(self.marks.iter().map(|(uid, _)| uid));
                    self.begin_term();
                }
                self.electable.adopt()
            }
            (false, true) => Forgotten::Online,
            (false, false) => self.electable.forget(node),
        };
        if forgotten == Forgotten::Gone {
            self.announce_again();
        }
        forgotten
    }

    /// What is granted in the new term was raised in it.
    fn begin_term(&mut self) {
        self.term = Term(self.term.0.saturating_add(1));
        self.raises.clear();
        self.positions.clear();
        self.announce_again();
        self.granted = self.issued;
        self.followers = Followers::default();
    }

    /// Addresses from which more than one connection comes.
    pub fn doubles(&self) -> impl Iterator<Item = &str> {
        self.followers.doubles()
    }

    /// Those that the oldest raise waits for; without one, those that a next one would.
    pub fn waits_for(&self) -> Vec<String> {
        let oldest = self.raises.front();
        let target = oldest.map_or(0, |raise| raise.target.unwrap_or(u64::MAX));
        let mut names: Vec<String> = Vec::new();
        if let Some(primary) = self.electable.orphan_of() {
            names.push(format!(
                "{primary}, the former primary, which did not say that this server may take over, or who else (IDBLOCK.FENCE \
                 FORGET {primary}, then IDBLOCK.ADVANCE past every id in use)"
            ));
        }
        let behind = self.electable.members().filter(|node| !self.followers.has_acknowledged(node, target));
        names.extend(behind.map(|node| match self.acknowledged(node) {
            _ if self.followers.has_left(node) => format!(
                "{node}, which left instead of acknowledging: its log may say why (IDBLOCK.FENCE FORGET {node} if it is \
                 gone for good)"
            ),
            Some(_) => node.to_owned(),
            None => format!("{node}, which is gone (IDBLOCK.FENCE FORGET {node} if for good)"),
        }));
        let acknowledged = self.count_acknowledged(target);
        if names.is_empty() && acknowledged < self.replicas_min {
            names.push(format!(
                "{} more of the {} replicas that tallybook.fence-replicas demands",
                self.replicas_min.saturating_sub(acknowledged),
                self.replicas_min
            ));
        }
        if oldest.is_some_and(|raise| raise.journal > self.journalled) {
            names.push("its own journal".to_owned());
        }
        names
    }

    /// The same, for an error.
    pub fn whom(&self) -> String {
        let names = self.waits_for();
        if names.is_empty() { "acknowledgements".to_owned() } else { names.join(", ") }
    }
}
