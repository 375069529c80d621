//! The fence: no id twice, whatever fails. This is the protocol of one node, as a pure state machine.
//!
//! Ids are handed out below a *mark* that is *safe*: every node that could take over has executed and
//! journalled it, and so has this one. Whoever begins to issue begins at its mark, so whatever an
//! earlier issuer handed out, or still hands out while nobody hears of it, lies below.
//!
//! ```text
//!   mod.rs         tickets, terms, who has acknowledged what
//!   electable.rs   who must acknowledge
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
//! **Who is electable.** A follower counts from its first acknowledgement on, and never stops to by
//! itself: a partition must not shrink the set. It *may issue* once promoted only after it executed
//! the announcement of a set that names it. The announcement follows the counting, so all that was
//! granted without this follower stands before it in the stream, and is executed with it; all that
//! was granted later waited for this follower. So of two nodes that may issue, the one that counted
//! the other, or was told of it, needs its acknowledgement; that is the invariant of the simulation.
//! A node that took over a whole dataset and has not been told a set yet is an *orphan*: it waits
//! for its former primary to be forgotten by an operator.
//!
//! **Terms.** A term begins whenever this node may have become another issuer than it was: promotion,
//! demotion, a loaded dataset, a new journal. An allocator compares the term in which it was last used
//! and begins at its mark where they differ. No index over keys is needed for that.
//!
//! Rejected: WAIT (its offset is the client's, not ours, and it aborts Redis 7.0 inside a module),
//! leases (clocks), counting whoever is connected now (a partition leaves nobody to ask), and counting
//! a follower before it ever acknowledged (a tool that only reads the stream would stop everything).

mod electable;
pub mod journal;
mod marks;

pub use electable::{Electable, Forgotten};
pub use marks::Marks;

use std::collections::{BTreeMap, VecDeque};

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

/// A raise that is not safe yet.
#[derive(Debug)]
struct Raise {
    ticket: Ticket,
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
}

/// What is to be done after looking at the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Todo {
    /// The electable set has changed: journal it, then announce it.
    pub save: bool,
    /// Send the set to all followers.
    pub announce: bool,
    /// Ask all followers to acknowledge.
    pub ask: bool,
    /// Something became safe: look at who waits.
    pub wake: bool,
}

/// One node's part of the protocol.
#[derive(Debug)]
pub struct Fence {
    term: Term,
    electable: Electable,
    marks: Marks,
    raises: VecDeque<Raise>,
    issued: Ticket,
    granted: Ticket,
    journalled: u64,
    acknowledged: BTreeMap<String, u64>,
    replicas_min: usize,
    announce_due: bool,
}

impl Default for Fence {
    fn default() -> Self {
        Fence::new(Electable::default(), Marks::default())
    }
}

impl Fence {
    /// A node that starts with what its journal says.
    pub fn new(electable: Electable, marks: Marks) -> Self {
        Fence {
            term: Term(1),
            electable,
            marks,
            raises: VecDeque::new(),
            issued: Ticket::default(),
            granted: Ticket::default(),
            journalled: 0,
            acknowledged: BTreeMap::new(),
            replicas_min: 0,
            announce_due: false,
        }
    }

    /// What an allocator has to know.
    pub fn standing(&self, window_max: u64) -> Standing {
        Standing { term: self.term, granted: self.granted, next: self.issued.next(), window_max }
    }

    /// The marks that the journal holds, or is about to.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Who must acknowledge.
    pub fn electable(&self) -> &Electable {
        &self.electable
    }

    /// What an electable node has acknowledged, if it follows now.
    pub fn acknowledged(&self, node: &str) -> Option<u64> {
        self.acknowledged.get(node).copied()
    }

    /// Whether a raise waits to become safe.
    pub fn is_pending(&self) -> bool {
        !self.raises.is_empty()
    }

    /// Whether a raise has become safe, or belongs to a term that is over.
    pub fn is_settled(&self, ticket: Ticket) -> bool {
        ticket <= self.granted || ticket > self.issued
    }

    /// This node, which issues, raised a mark; its journal will have it at position `journal`.
    pub fn raise(&mut self, uid: Uid, mark: u64, journal: u64) {
        self.electable.begin();
        self.marks.raise(uid, mark);
        self.issued = self.issued.next();
        self.raises.push_back(Raise { ticket: self.issued, journal, target: None });
    }

    /// This node executed a mark that another one raised.
    pub fn execute(&mut self, uid: Uid, mark: u64) {
        self.marks.raise(uid, mark);
    }

    /// The journal has come so far.
    pub fn journalled(&mut self, position: u64) {
        self.journalled = self.journalled.max(position);
    }

    /// Looks at the others. To be called when no command is running: what was raised before has its
    /// place in the stream then.
    pub fn observe(&mut self, view: View<'_>) -> Todo {
        self.replicas_min = view.replicas_min;
        self.acknowledged.clear();
        let mut todo = Todo::default();
        for (node, offset) in view.followers {
            todo.save |= *offset > 0 && self.electable.count(node);
            // Two connections of one address: the one behind counts.
            let seen = self.acknowledged.entry(node.clone()).or_insert(*offset);
            *seen = (*seen).min(*offset);
        }
        for raise in self.raises.iter_mut().filter(|raise| raise.target.is_none()) {
            raise.target = Some(view.offset);
            todo.ask = !view.followers.is_empty();
        }
        todo.announce = std::mem::take(&mut self.announce_due) | todo.save;
        todo.wake = self.grant();
        todo
    }

    fn grant(&mut self) -> bool {
        let before = self.granted;
        while let Some(raise) = self.raises.front().filter(|raise| self.is_safe(raise)) {
            self.granted = raise.ticket;
            self.raises.pop_front();
        }
        self.granted > before
    }

    fn is_safe(&self, raise: &Raise) -> bool {
        let Some(target) = raise.target else { return false };
        let acknowledged = self.acknowledged.values().filter(|&&offset| offset >= target).count();
        raise.journal <= self.journalled
            && acknowledged >= self.replicas_min
            && self.electable.orphan_of().is_none()
            && self.electable.members().all(|node| self.has_acknowledged(node, target))
    }

    fn has_acknowledged(&self, node: &str, target: u64) -> bool {
        self.acknowledged.get(node).is_some_and(|&offset| offset >= target)
    }

    /// A follower has come, perhaps with a dataset of ours that tells it nothing of the set.
    pub fn follower_came(&mut self) {
        self.announce_due = true;
    }

    /// This node became a primary.
    pub fn became_primary(&mut self) {
        self.begin_term();
        self.announce_due = true;
    }

    /// This node became a follower of `primary`.
    pub fn became_replica(&mut self, primary: &str) {
        self.begin_term();
        self.electable.follow(primary);
    }

    /// This node took over the whole dataset of `primary`, with these marks in it.
    pub fn took_over(&mut self, primary: &str, marks: impl IntoIterator<Item = (Uid, u64)>) {
        self.begin_term();
        marks.into_iter().for_each(|(uid, mark)| self.marks.raise(uid, mark));
        self.electable.orphan(primary);
    }

    /// This node loaded a dataset from its own files.
    pub fn loaded(&mut self) {
        self.begin_term();
    }

    /// The primary announced its set. Returns whether this node, known by one of the names in `me`, is
    /// in it; otherwise nothing changes.
    pub fn told(&mut self, set: &[String], me: &[String]) -> bool {
        self.electable.told(set, me)
    }

    /// An operator says that a node will never issue again.
    pub fn forget(&mut self, node: &str) -> Forgotten {
        if self.acknowledged.contains_key(node) && self.electable.orphan_of() != Some(node) {
            return Forgotten::Online;
        }
        let forgotten = self.electable.forget(node);
        self.announce_due |= forgotten == Forgotten::Gone;
        forgotten
    }

    /// What is granted in the new term was raised in it.
    fn begin_term(&mut self) {
        self.term = Term(self.term.0.saturating_add(1));
        self.raises.clear();
        self.granted = self.issued;
        self.acknowledged.clear();
    }

    /// Those that the oldest raise waits for; without one, those that a next one would.
    pub fn waits_for(&self) -> Vec<String> {
        let oldest = self.raises.front();
        let target = oldest.and_then(|raise| raise.target).unwrap_or(0);
        let mut names: Vec<String> = Vec::new();
        if let Some(primary) = self.electable.orphan_of() {
            names.push(format!("{primary}, the former primary, which never told the electable set"));
        }
        let behind = self.electable.members().filter(|node| !self.has_acknowledged(node, target));
        names.extend(behind.map(str::to_owned));
        let acknowledged = self.acknowledged.values().filter(|&&offset| offset >= target.max(1)).count();
        if names.is_empty() && acknowledged < self.replicas_min {
            names.push(format!("{} of {} replicas", self.replicas_min.saturating_sub(acknowledged), self.replicas_min));
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
