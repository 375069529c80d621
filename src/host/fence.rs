//! The fence of this server: what the state machine of `src/domain/fence` is fed with, and what it asks for.
//!
//! Everything here happens on the main thread, but for the one flag that the journal's thread sets. What
//! the fence sends to followers, it sends before the server's loop sleeps: no command runs then, so
//! what was raised before has its place in the stream, and a pause of writes can be respected.

use super::context::{Context, Key, OwnedString, shown};
use super::environment::now_ms;
use super::journal::{Journal, Opened, wake};
use super::news::{self, News};
use super::park::{Client, Parked};
use super::replication::{self, Names, Role, announce, ask, is_paused, names, role};
use super::value_type::ValueType;
use redis_module::raw::{
    REDISMODULE_CTX_FLAGS_ASYNC_LOADING, REDISMODULE_CTX_FLAGS_LOADING, REDISMODULE_CTX_FLAGS_SLAVE, RedisModuleCtx,
    RedisModuleString,
};
use std::collections::HashSet;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use tallybook_domain::fence::{Announcement, Fence, Forgotten, Standing, Todo, Told, Uid, View};

/// What the operator has set.
#[derive(Clone, Copy)]
pub struct Settings {
    /// How long a reservation may wait.
    pub wait_ms: i64,
    /// How many replicas must have acknowledged at least.
    pub replicas_min: usize,
    /// The largest window.
    pub window_max: u64,
    /// Whether a replica brings a mark to the disk before it acknowledges it.
    pub replica_sync: bool,
}

/// How long a request for acknowledgements may be on its way before it is made again.
const ASK_AGAIN_MS: u64 = 100;

/// Ticks in a second, in which a journal that failed is tried again.
const SECOND_TICKS: u32 = 10;

/// How many announcements to followers may come at once, and then one a tick: replicas that come and go, or old dumps
/// that are restored, are no reason for more.
const ANNOUNCEMENTS_MAX: u32 = 20;

/// How often the marks of time-sortable allocators are looked after, and how many at once: the server has others to
/// serve.
const KEEP_MS: u64 = 500;
const KEPT_AT_ONCE: usize = 64;

/// What the fence needs from the layers above.
#[derive(Clone, Copy)]
pub struct Needs {
    /// Reads the settings.
    pub settings: fn() -> Settings,
    /// Reads the journal's file name in the data directory; empty: none.
    pub journal: fn() -> String,
    /// Looks after the mark of a time-sortable allocator, and says whether that is still wanted.
    pub keep: fn(&Context, Key<'_>) -> bool,
}

static NEEDS: OnceLock<Needs> = OnceLock::new();
static STATE: Mutex<Option<State>> = Mutex::new(None);

/// Whether something went by here that nobody took note of.
static HAS_MISSED: AtomicBool = AtomicBool::new(false);

/// Whether there is anything to look after before the loop sleeps.
static DUE: AtomicBool = AtomicBool::new(false);

struct State {
    fence: Fence,
    journal: Journal,
    parked: Vec<Parked>,
    /// Whether some of them were woken and may have yet to be answered.
    owes: bool,
    /// Whether the connection to the primary is to be given up.
    leaves: bool,
    /// How this server and its primary are called on this connection.
    names: Option<Names>,
    /// Whether the electable set is another one than the journal says.
    is_unsaved: bool,
    source: Source,
    loaded: Vec<(Uid, u64)>,
    asked_ms: u64,
    /// What an operator is told.
    news: News,
    /// Time-sortable allocators whose marks are kept ahead of the clock, by database and name.
    kept: HashSet<(i32, Vec<u8>)>,
    /// Those of them that are still to be looked after in this round, and when that began.
    to_keep: Vec<(i32, Vec<u8>)>,
    kept_ms: u64,
    ticks: u32,
    announcements: u32,
}

/// Where a dataset that is being loaded comes from.
#[derive(Clone, PartialEq)]
enum Source {
    /// Nothing is being loaded.
    None,
    /// Files of this server.
    File,
    /// The primary of this name.
    Primary(String),
}

/// What an operator sees of the fence.
pub struct Shown {
    /// Whether this server is a primary.
    pub is_primary: bool,
    /// The electable nodes, with the offset that each has acknowledged, if it follows.
    pub nodes: Vec<(String, Option<u64>)>,
    /// The former primary of a server that was promoted before it knew who else could be.
    pub orphan_of: Option<String>,
    /// The offset of this server's own stream.
    pub offset: u64,
    /// The state of the journal.
    pub journal: String,
    /// How many clients wait.
    pub waiting: u64,
    /// Whom they wait for.
    pub waiting_for: Vec<String>,
}

fn with<R>(body: impl FnOnce(&mut State) -> R) -> R {
    let mut state = STATE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    body(state.get_or_insert_with(|| State::new(Fence::default(), Journal::none())))
}

/// What the operator has set now.
pub fn settings() -> Settings {
    let none = || Settings { wait_ms: 0, replicas_min: 0, window_max: 1, replica_sync: false };
    NEEDS.get().map_or_else(none, |needs| (needs.settings)())
}

/// There is something to look after.
pub fn look() {
    DUE.store(true, Ordering::Release);
}

/// Reads the journal. The server has read its configuration, and no data yet.
pub fn start(context: *mut RedisModuleCtx, needs: Needs) {
    NEEDS.get_or_init(|| needs);
    let name = (needs.journal)().replace("{port}", &replication::port(context).to_string());
    let opened = if name.is_empty() {
        Opened { journal: Journal::none(), fence: Fence::default() }
    } else {
        // The server may be told to change its directory later; the journal stays where it is.
        let directory = std::env::current_dir().unwrap_or_default();
        Journal::open(&directory.join(name))
    };
    with(|state| *state = State::new(opened.fence, opened.journal));
    if let Role::Replica(primary) = role(context) {
        with(|state| state.fence.became_replica(&primary));
    }
}

/// An effect of the primary could not be executed here, so a mark may be lacking. It must not be acknowledged: the
/// connection is given up, and the primary tells its marks to whoever comes back.
pub fn lost() {
    with(|state| state.leaves = true);
    look();
}

/// Something went by that nobody took note of, so nothing that is known here can be relied on: this server
/// hands out no fenced id and acknowledges none, until it is started again.
pub fn has_missed() {
    if !HAS_MISSED.swap(true, Ordering::AcqRel) {
        news::missed();
    }
    look();
}

fn is_blind() -> bool {
    HAS_MISSED.load(Ordering::Acquire)
}

/// What the fence tells an allocator.
pub fn standing() -> Standing {
    let Settings { window_max, wait_ms, .. } = settings();
    let (standing, owes) = with(|state| (state.fence.standing(window_max), state.owes));
    let wait_ms = u64::try_from(wait_ms).unwrap_or(0);
    Standing { wait_ms, has_doubts: standing.has_doubts || is_blind(), owes, ..standing }
}

/// The highest mark of an allocator that this server knows of.
pub fn known_mark(uid: &Uid) -> Option<u64> {
    with(|state| state.fence.marks().get(uid))
}

/// Whether marks of an allocator say nothing here about ids in use.
pub fn is_doubted(uid: &Uid) -> bool {
    is_blind() || with(|state| state.fence.doubted().contains(uid))
}

/// Whether what is known here is all there is to know: nothing was missed, and the journal could be read.
pub fn is_informed() -> bool {
    !is_blind() && with(|state| state.journal.is_read())
}

/// How many ids are waited for already.
pub fn parked(uid: &Uid) -> u64 {
    wanted(uid, |_| true)
}

/// How many ids are kept for those who were woken, and whom the server has not come to yet.
pub fn owed(uid: &Uid) -> u64 {
    wanted(uid, Parked::is_woken)
}

fn wanted(uid: &Uid, by: impl Fn(&Parked) -> bool) -> u64 {
    let now_ms = now_ms();
    let wanting = |parked: &&Parked| !parked.is_late(now_ms) && by(parked);
    with(|state| state.parked.iter().filter(wanting).map(|parked| parked.ids_of(uid)).sum())
}

/// How many clients wait.
pub fn waiting() -> u64 {
    let now_ms = now_ms();
    let waiting = with(|state| state.parked.iter().filter(|parked| !parked.is_late(now_ms)).count());
    u64::try_from(waiting).unwrap_or(u64::MAX)
}

/// Whom everybody waits for.
pub fn whom() -> String {
    if is_blind() {
        return "a restart of this server, after the internal error in its log".to_owned();
    }
    with(|state| match state.journal.failure() {
        Some(failure) => format!("its own journal: {failure}"),
        None => state.fence.whom(),
    })
}

/// A client waits from now on.
pub fn park(parked: Parked) {
    with(|state| state.parked.push(parked));
}

/// A client does not wait any more: it is gone, or has been answered.
pub fn unwait(client: Client) {
    with(|state| state.parked.iter_mut().filter(|parked| parked.is(client)).for_each(Parked::end));
    look();
}

/// This server, which issues from this position on, raised the mark of an allocator, or left it where it was.
pub fn stood(uid: &Uid, mark: Option<u64>, position: u64) {
    with(|state| match mark {
        None => state.fence.stand(*uid, position),
        Some(mark) => {
            let record = state.journal.append(&state.fence, uid, mark);
            state.fence.raise(*uid, mark, position, record);
        }
    });
    look();
}

/// This server executed an effect, after which an allocator has this mark.
pub fn executed(uid: &Uid, mark: u64) {
    let flags = flags();
    with(|state| {
        if state.is_loading() {
            return; // what is loaded is looked at when it has arrived
        }
        if state.fence.marks().get(uid) >= Some(mark) {
            // The journal has it already.
        } else if flags & REDISMODULE_CTX_FLAGS_SLAVE != 0 {
            state.journal.append_as_replica(&state.fence, uid, mark, settings().replica_sync);
            look();
        } else {
            state.journal.append(&state.fence, uid, mark);
        }
        if state.fence.execute(*uid, mark) {
            state.journal.save_now(&state.fence);
        }
    });
}

/// A value came into being other than by a command that decided on it. A mark that a primary sends is
/// kept for when the whole dataset has arrived; one from a file of ours is worth what the journal says.
pub fn arrived<T: ValueType>(value: &mut T, name: *const RedisModuleString) {
    let Some((uid, mark)) = value.mark() else { return };
    if !with(|state| state.is_loading()) {
        // A client brought it, as by RESTORE or COPY, and it may be older than what is known here.
        if let Some(known) = known_mark(&uid).filter(|known| *known > mark) {
            value.catch_up(known);
        }
        return executed(&uid, mark);
    }
    with(|state| {
        let claim = state.fence.claims().get(&uid);
        if let Some(known) = claim.max(state.fence.marks().get(&uid).filter(|known| *known > mark)) {
            // The journal may have lost the last of what it knew, and the dataset have it.
            let id = value.id_below(known.max(mark)).unwrap_or(i64::MAX);
            state.news.claimed(uid, &shown(name), id);
        }
        match state.source {
            Source::None => {}
            Source::Primary(_) => state.loaded.push((uid, mark)),
            Source::File => {
                state.fence.found_in_file(uid);
                value.catch_up(state.fence.marks().get(&uid).unwrap_or(0));
            }
        }
    });
}

/// The mark of this time-sortable allocator is to be kept ahead of the clock.
pub fn keep_ahead(database: i32, name: &[u8]) {
    with(|state| state.kept.insert((database, name.to_vec())));
}

/// The primary announced its electable set. One that does not know of what happened here must not get another
/// acknowledgement: the connection is given up before the loop writes to it, and taken up again by the
/// server at once, until the primary knows.
pub fn told(context: &Context, set: &Announcement) {
    let Role::Replica(primary) = role(context.raw) else { return };
    // The primary knows the name of the handshake, whatever was set since.
    let names = with(|state| state.names.take()).unwrap_or_else(|| names(context));
    let (called, me) = ([primary.as_str(), names.primary.as_str()], &names.me);
    let was_doubted = with(|state| state.fence.doubted().len());
    with(|state| state.news.announced(&primary, set, me));
    with(|state| match state.fence.told(set, &called, me) {
        Told::Named | Told::Others => {
            state.journal.save_now(&state.fence);
            state.warn_of_doubted(was_doubted);
        }
        Told::Again => {}
        Told::Refused(refusal) => {
            state.news.refused(primary.clone(), refusal);
            state.leaves = true;
        }
    });
    with(|state| state.names = Some(names));
    look();
}

/// The connection to the primary has come or gone.
pub fn link_changed() {
    with(|state| {
        state.names = None;
        state.news.link_changed();
    });
}

/// An operator says that a node will never issue again.
pub fn forget(node: &str) -> Forgotten {
    let forgotten = with(|state| {
        let was_doubted = state.fence.doubted().len();
        let forgotten = state.fence.forget(node);
        if forgotten == Forgotten::Gone {
            state.journal.save(&state.fence);
            news::forgotten(node);
            state.warn_of_doubted(was_doubted);
        }
        forgotten
    });
    look();
    forgotten
}

/// An operator of a replica answers for what its primary does not know.
pub fn give_in(context: &Context, node: &str) -> Forgotten {
    match role(context.raw) {
        Role::Replica(primary) if primary == node => with(|state| {
            if !state.fence.give_in() {
                return Forgotten::Unknown;
            }
            state.journal.save_now(&state.fence);
            news::given_in(node);
            Forgotten::Gone
        }),
        _ => Forgotten::Unknown,
    }
}

/// What an operator sees.
pub fn show(context: &Context) -> Shown {
    let (offset, is_primary) = match role(context.raw) {
        Role::Primary { offset, .. } => (offset, true),
        Role::Replica(_) => (0, false),
    };
    let waiting = waiting();
    with(|state| Shown {
        is_primary,
        nodes: state
            .fence
            .electable()
            .members()
            .map(|node| (node.to_owned(), state.fence.acknowledged(node)))
            .collect(),
        orphan_of: state.fence.electable().orphan_of().map(str::to_owned),
        offset,
        journal: state.journal.state(),
        waiting,
        waiting_for: if state.fence.is_pending() { state.fence.waits_for() } else { Vec::new() },
    })
}

/// The server became a primary, or a replica of `primary`.
pub fn role_changed(primary: Option<String>) {
    with(|state| match primary {
        None => state.fence.became_primary(),
        Some(primary) => state.fence.became_replica(&primary),
    });
    look();
}

/// A replica came or went.
pub fn replicas_changed(context: *mut RedisModuleCtx, has_come: bool) {
    if let Role::Primary { followers, .. } = role(context) {
        with(|state| state.fence.meet(&followers, has_come));
    }
    look();
}

/// A dataset begins to arrive.
pub fn loading_began(context: *mut RedisModuleCtx, from_primary: bool) {
    let source = match (from_primary, from_primary.then(|| role(context))) {
        (true, Some(Role::Replica(primary))) => Source::Primary(primary),
        (true, _) => Source::Primary("unnamed".to_owned()),
        (false, _) => Source::File,
    };
    with(|state| {
        state.loaded.clear();
        state.news.clear_claimed();
        state.source = source;
    });
}

/// It has arrived, or failed to. What a primary sent is in the journal before it is acknowledged.
pub fn loading_ended(is_whole: bool) {
    with(|state| {
        let (source, loaded) = (std::mem::replace(&mut state.source, Source::None), std::mem::take(&mut state.loaded));
        match source {
            Source::Primary(primary) if is_whole => {
                state.fence.took_over(&primary, loaded);
                state.journal.save_now(&state.fence);
            }
            _ => {
                state.fence.loaded();
                state.warn_of_doubted(0);
                state.journal.miss(&mut state.fence);
            }
        }
    });
}

/// A tenth of a second has passed.
pub fn tick() {
    with(|state| {
        state.ticks = state.ticks.wrapping_add(1);
        state.news.tick();
        state.news.look_at(&state.fence, flags() & (REDISMODULE_CTX_FLAGS_SLAVE | LOADING) == 0, now_ms());
        // A journal that lacks a mark and can neither be written nor emptied: nothing is acknowledged.
        state.leaves |= state.journal.is_unsound();
        state.announcements = ANNOUNCEMENTS_MAX.min(state.announcements + 1);
        if state.ticks.is_multiple_of(SECOND_TICKS) {
            state.journal.retry(&mut state.fence);
        }
        if !state.fence.marks().is_empty() || !state.parked.is_empty() || state.leaves {
            look();
        }
    });
}

/// The loop is about to sleep.
pub fn before_sleep(context: *mut RedisModuleCtx) {
    if !DUE.swap(false, Ordering::AcqRel) {
        return;
    }
    with(|state| state.journal.settle());
    if with(|state| std::mem::take(&mut state.leaves) || is_blind() || state.journal.is_unsound()) {
        replication::leave(context);
    }
    let (is_paused, now_ms) = (is_paused(), now_ms());
    if flags() & (REDISMODULE_CTX_FLAGS_SLAVE | LOADING) == 0
        && let Role::Primary { offset, followers } = role(context)
    {
        let orders = with(|state| state.observe(offset, &followers, is_paused, now_ms));
        if let Some(set) = &orders.announce {
            announce(context, set);
        }
        if orders.ask {
            ask(context);
        }
        if !is_paused {
            keep_all(context, now_ms);
        }
    }
    if is_paused {
        look(); // later
        return;
    }
    let awake = with(|state| state.awake(now_ms));
    awake.into_iter().for_each(|client| client.give_back(null_mut()));
}

/// What is to be sent.
struct Orders {
    announce: Option<Vec<u8>>,
    ask: bool,
}

impl State {
    fn new(fence: Fence, journal: Journal) -> Self {
        State {
            fence,
            journal,
            parked: Vec::new(),
            owes: false,
            leaves: false,
            names: None,
            is_unsaved: false,
            source: Source::None,
            loaded: Vec::new(),
            asked_ms: 0,
            news: News::default(),
            kept: HashSet::new(),
            to_keep: Vec::new(),
            kept_ms: 0,
            ticks: 0,
            announcements: ANNOUNCEMENTS_MAX,
        }
    }

    /// Whether what comes is a part of a dataset. Who catches up with what was sent meanwhile has all of it, whatever
    /// the server's flags say.
    fn is_loading(&self) -> bool {
        self.source != Source::None && flags() & LOADING != 0
    }

    fn observe(&mut self, offset: u64, followers: &[(String, u64)], is_paused: bool, now_ms: u64) -> Orders {
        if self.fence.marks().is_empty() {
            return Orders { announce: None, ask: false };
        }
        self.fence.journalled(self.journal.synced());
        let may_announce = (self.announcements > 0 || followers.is_empty()) && !is_paused;
        let replicas_min = settings().replicas_min;
        let view = View { offset, followers, replicas_min, may_announce };
        let Todo { save, announce, ask, granted } = self.fence.observe(view);
        granted.iter().for_each(|(uid, mark)| self.journal.claim(uid, *mark));
        // What this server may forget, nobody shall rely on.
        self.is_unsaved = (self.is_unsaved || save) && !self.journal.save(&self.fence);
        if announce && self.is_unsaved {
            self.fence.announce_again();
        }
        let announce = (announce && !self.is_unsaved).then(|| self.fence.announcement().encode());
        self.announcements = self.announcements.saturating_sub(u32::from(announce.is_some()));
        // Acknowledgements are not asked for within the unit that carries something else: a replica
        // that is inside a transaction acknowledges what came before it.
        let is_late = now_ms.saturating_sub(self.asked_ms) >= ASK_AGAIN_MS;
        let is_wanted = ask || self.fence.is_pending() && is_late;
        let ask = announce.is_none() && !is_paused && !followers.is_empty() && is_wanted;
        if ask {
            self.asked_ms = now_ms;
        }
        if self.fence.is_pending() || announce.is_some() {
            look();
        }
        Orders { announce, ask }
    }

    /// Tells of doubted allocators, where there are more than before.
    fn warn_of_doubted(&self, before: usize) {
        let count = self.fence.doubted().len();
        if count > before && self.journal.is_read() {
            news::doubted(count);
        }
    }

    /// Those whose wait is over, in the order in which they came. The server comes to them before the loop sleeps
    /// again, from 7.2 on only after others whose requests have arrived by then.
    fn awake(&mut self, now_ms: u64) -> Vec<Client> {
        self.parked.retain(|parked| !parked.is_woken());
        let fence = &self.fence;
        let is_over = |parked: &&mut Parked| parked.is_over(now_ms) || fence.is_settled(parked.ticket());
        let awake: Vec<_> = self.parked.iter_mut().filter(is_over).map(Parked::wake).collect();
        self.owes = !awake.is_empty();
        if self.owes {
            look(); // that these were answered
        }
        awake
    }

    /// Allocators to look after now, and whether there are more.
    fn keepers(&mut self, now_ms: u64) -> (Vec<(i32, Vec<u8>)>, bool) {
        if self.to_keep.is_empty() && now_ms.saturating_sub(self.kept_ms) >= KEEP_MS {
            self.kept_ms = now_ms;
            self.to_keep = self.kept.iter().cloned().collect();
        }
        let rest = self.to_keep.len().saturating_sub(KEPT_AT_ONCE);
        (self.to_keep.split_off(rest), rest > 0)
    }
}

fn keep_all(context: *mut RedisModuleCtx, now_ms: u64) {
    let Some(Needs { keep, .. }) = NEEDS.get() else { return };
    let (keepers, are_more) = with(|state| state.keepers(now_ms));
    for (database, name) in keepers {
        api!(RedisModule_SelectDb(context, database));
        let context = Context { raw: context };
        if !keep(&context, OwnedString::new(&name).key()) {
            with(|state| state.kept.remove(&(database, name)));
        }
    }
    if are_more {
        look();
        wake();
    }
}

const LOADING: u32 = REDISMODULE_CTX_FLAGS_LOADING | REDISMODULE_CTX_FLAGS_ASYNC_LOADING;

/// The flags of the server as a whole.
fn flags() -> u32 {
    Context { raw: null_mut() }.flags()
}
