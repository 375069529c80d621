//! What an operator is told of the fence, in the server's log.

use super::server_log;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use tallybook_domain::fence::{Announcement, Fence, Refusal, Uid};

/// How long something may be amiss before it is told.
const LASTING_MS: u64 = 10_000;

/// Ticks between two lines that say the same.
const QUIET_TICKS: u32 = 100;

/// How many allocators an undone promotion may name.
const CLAIMS_SHOWN: usize = 20;

/// What was told, and what there is to tell.
#[derive(Default)]
pub struct News {
    /// What passes by itself, or does not: since when it is there, and whether that was told.
    troubles: BTreeMap<Trouble, (u64, bool)>,
    /// Which primary got no acknowledgement last, and why; ticks until the same may be told again.
    refused: Option<(String, Refusal)>,
    quiet_ticks: u32,
    /// What has to be said to a primary that lacks ids which were handed out here: key and id.
    claimed: HashMap<Uid, String>,
    /// The primary, where its last announcement did not name this server, and the names that it looked for.
    uncounted: Option<(String, String)>,
}

/// What may pass by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// An electable node does not follow.
    Gone(String),
    /// This server is an orphan of that one.
    Orphan(String),
    /// Two connections come from this address.
    Double(String),
    /// The primary counts others, and not this server, by none of its names.
    Uncounted(String, String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Gone(node) => write!(
                f,
                "replica {node} is gone; fenced allocators stop when their windows are used up. If it never comes back: \
                 IDBLOCK.FENCE FORGET {node}"
            ),
            Trouble::Orphan(node) => write!(
                f,
                "the former primary {node} did not say that this server may take over, or who else; fenced allocators wait \
                 for it to follow. If it never will: IDBLOCK.FENCE FORGET {node}, then IDBLOCK.ADVANCE every \
                 allocator past the ids in use"
            ),
            Trouble::Double(node) => write!(
                f,
                "two connections come from {node}. If these are two replicas, ids can come twice: give each an address of \
                 its own (replica-announce-ip, replica-announce-port)"
            ),
            Trouble::Uncounted(primary, me) => write!(
                f,
                "the primary {primary} does not count this server ({me}) among those that could take over: after a \
                 promotion fenced allocators would wait for it. It knows replicas by their address; REPLICAOF anew, or \
                 replica-announce-ip and replica-announce-port, make both say the same"
            ),
        }
    }
}

impl News {
    /// A tenth of a second has passed.
    pub fn tick(&mut self) {
        self.quiet_ticks = self.quiet_ticks.saturating_sub(1);
    }

    /// A dataset arrives: what was claimed in the last one is gone.
    pub fn clear_claimed(&mut self) {
        self.claimed.clear();
    }

    /// In the dataset, this is the allocator whose ids up to `id` were handed out here.
    pub fn claimed(&mut self, uid: Uid, key: &str, id: i64) {
        self.claimed.insert(uid, format!("{key} {id}"));
    }

    /// The primary has announced who could take over, and whether it is this server.
    pub fn announced(&mut self, primary: &str, set: &Announcement, me: &[String]) {
        let is_counted = !set.is_whole || me.iter().any(|name| set.nodes.contains(name));
        self.uncounted = (!is_counted).then(|| (primary.to_owned(), me.join(", ")));
    }

    /// The connection to the primary has come or gone.
    pub fn link_changed(&mut self) {
        self.uncounted = None;
    }

    /// Tells of what has been amiss for long.
    pub fn look_at(&mut self, fence: &Fence, is_primary: bool, now_ms: u64) {
        let troubles = if is_primary { troubles_of(fence) } else { self.uncounted_now() };
        self.troubles.retain(|trouble, _| troubles.contains(trouble));
        for trouble in troubles {
            let text = trouble.to_string();
            let (since_ms, is_told) = self.troubles.entry(trouble).or_insert((now_ms, false));
            if !*is_told && now_ms.saturating_sub(*since_ms) >= LASTING_MS {
                *is_told = true;
                tell(&text);
            }
        }
    }

    fn uncounted_now(&self) -> BTreeSet<Trouble> {
        self.uncounted.iter().cloned().map(|(primary, me)| Trouble::Uncounted(primary, me)).collect()
    }

    /// The primary gets no acknowledgement: said at once, and again where that lasts.
    pub fn refused(&mut self, primary: String, refusal: Refusal) {
        let refused = Some((primary, refusal));
        if self.quiet_ticks == 0 || self.refused != refused {
            (self.quiet_ticks, self.refused) = (QUIET_TICKS, refused);
            self.tell_of_refusal();
        }
    }

    fn tell_of_refusal(&self) {
        let Some((primary, Refusal { repeated, heirs })) = &self.refused else { return };
        tell(&format!("the primary {primary} gets no acknowledgement from here, so its fenced allocators wait"));
        if repeated.is_empty() && heirs.is_empty() {
            tell(
                "it does not know who else could take over, and neither does this server: its own log says what to do",
            );
        }
        if !heirs.is_empty() {
            tell(&format!(
                "it does not count {}, which this server, while it was a primary itself, told to take over from it. Let \
                 that one follow it too, and do what its log says; or, if no id of that one is in use, here \
                 IDBLOCK.FENCE FORGET {primary}",
                heirs.join(", ")
            ));
        }
        if !repeated.is_empty() {
            tell(&format!(
                "it lacks ids that this server handed out while it was a primary itself. Do there what follows; or, if \
                 none of them is in use, here IDBLOCK.FENCE FORGET {primary}"
            ));
        }
        for claimed in repeated.iter().filter_map(|uid| self.claimed.get(uid)).take(CLAIMS_SHOWN) {
            tell(&format!("IDBLOCK.ADVANCE {claimed}"));
        }
        if repeated.len() > CLAIMS_SHOWN {
            tell(&format!("and {} allocators more", repeated.len() - CLAIMS_SHOWN));
        }
    }
}

/// What is amiss for a primary that issues.
fn troubles_of(fence: &Fence) -> BTreeSet<Trouble> {
    if fence.marks().is_empty() {
        return BTreeSet::new();
    }
    let electable = fence.electable();
    let gone = electable.members().filter(|node| fence.acknowledged(node).is_none());
    gone.map(|node| Trouble::Gone(node.to_owned()))
        .chain(electable.orphan_of().map(|node| Trouble::Orphan(node.to_owned())))
        .chain(fence.doubles().map(|node| Trouble::Double(node.to_owned())))
        .collect()
}

/// So many allocators answer UNFENCED for a doubt.
pub fn doubted(count: usize) {
    tell(&format!(
        "nobody knows which ids of {count} fenced allocators are in use: they answer UNFENCED until IDBLOCK.ADVANCE \
         has said it"
    ));
}

/// An internal error kept the fence from what it has to know.
pub fn missed() {
    tell(
        "after this internal error no fenced allocator hands out ids here, and no mark is acknowledged: restart the server",
    );
}

/// An operator spoke for a node that never issues again.
pub fn forgotten(node: &str) {
    tell(&format!("IDBLOCK.FENCE FORGET {node}: it is not waited for any more"));
}

/// An operator of a replica spoke for its primary.
pub fn given_in(node: &str) {
    tell(&format!("IDBLOCK.FENCE FORGET {node}: it may hand out anything"));
}

fn tell(what: &str) {
    server_log::warning(&format!("tallybook: {what}"));
}
