//! The settings `tallybook.*`: what they are called, what they may be, what they are now. Only this
//! file reads them; decisions get them through their environment.

use crate::host::fence::Settings;
use crate::host::{Flag, Number, Text};
use std::sync::Mutex;
use tallybook_domain::audit::Retention;
use tallybook_domain::limits::{
    FENCE_REPLICAS_MAX, FENCE_WAIT_MS_DEFAULT, FENCE_WAIT_MS_MAX, TOTAL_TIMEOUT_MS_DEFAULT, TOTAL_TIMEOUT_MS_MAX,
    WINDOW_MAX_DEFAULT, WINDOW_MAX_MAX, WINDOW_MAX_MIN,
};

/// The log of counters that nobody gave one: `MAXLEN n`, `MAXAGE ms`, `MAXBYTES n`, several of them,
/// or nothing.
pub static LOG_DEFAULT: Text = Text::new("log-default", "", set_log_default);

/// How long a reservation waits for its ids to be safe, in milliseconds.
pub static FENCE_WAIT: Number = Number::new("fence-wait", 0, FENCE_WAIT_MS_MAX, FENCE_WAIT_MS_DEFAULT);

/// How many replicas must have acknowledged a mark at least, whoever they are.
pub static FENCE_REPLICAS: Number = Number::new("fence-replicas", 0, FENCE_REPLICAS_MAX, 0);

/// The largest window of an allocator, in ids.
pub static FENCE_WINDOW_MAX: Number =
    Number::new("fence-window-max", WINDOW_MAX_MIN, WINDOW_MAX_MAX, WINDOW_MAX_DEFAULT);

/// The file of the journal in the data directory; `{port}` stands for the port, and nothing for no journal.
pub static FENCE_JOURNAL: Text = Text::fixed("fence-journal", "tallybook-{port}.fence", set_fence_journal);

/// Whether a replica brings a mark to the disk before it acknowledges it.
pub static FENCE_REPLICA_SYNC: Flag = Flag::new("fence-replica-sync", true);

/// How long a total waits for the other nodes of a cluster, in milliseconds.
pub static TOTAL_TIMEOUT: Number = Number::new("total-timeout", 1, TOTAL_TIMEOUT_MS_MAX, TOTAL_TIMEOUT_MS_DEFAULT);

/// What `tallybook.total-timeout` says now.
pub fn total_timeout_ms() -> i64 {
    TOTAL_TIMEOUT.get()
}

/// A fault that a test plants.
#[cfg(feature = "planted")]
pub static PLANT: Text = Text::new("plant", "", crate::host::planted::plant);

static FENCE_JOURNAL_NOW: Mutex<String> = Mutex::new(String::new());

/// What `tallybook.fence-*` say now.
pub fn fence() -> Settings {
    Settings {
        wait_ms: FENCE_WAIT.get(),
        replicas_min: usize::try_from(FENCE_REPLICAS.get()).unwrap_or(0),
        window_max: FENCE_WINDOW_MAX.get().unsigned_abs(),
        replica_sync: FENCE_REPLICA_SYNC.get(),
    }
}

/// What `tallybook.fence-journal` says.
pub fn fence_journal() -> String {
    FENCE_JOURNAL_NOW.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
}

fn set_fence_journal(text: &str) -> Result<(), String> {
    if text.contains('/') || text.contains('\0') {
        return Err("must be the name of a file in the data directory, or empty".to_owned());
    }
    *FENCE_JOURNAL_NOW.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = text.to_owned();
    Ok(())
}

static LOG_DEFAULT_NOW: Mutex<Option<Retention>> = Mutex::new(None);

/// What `tallybook.log-default` says now.
pub fn log_default() -> Option<Retention> {
    *LOG_DEFAULT_NOW.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn set_log_default(text: &str) -> Result<(), String> {
    let retention = parse_log_default(text)
        .ok_or("must be empty or OFF, or MAXLEN n, MAXAGE ms, MAXBYTES n, or several of these, each from 1")?;
    *LOG_DEFAULT_NOW.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = retention;
    Ok(())
}

fn parse_log_default(text: &str) -> Option<Option<Retention>> {
    if text.eq_ignore_ascii_case("OFF") {
        return Some(None);
    }
    let mut words = text.split_ascii_whitespace();
    let mut retention: Option<Retention> = None;
    while let Some(name) = words.next() {
        let (_, bound) = retention.get_or_insert_default().bound_mut(name.as_bytes())?;
        let word = words.next()?;
        let value: i64 = word.parse().ok().filter(|value: &i64| *value >= 1 && value.to_string() == word)?;
        if bound.replace(value.unsigned_abs()).is_some() {
            return None;
        }
    }
    Some(retention)
}
