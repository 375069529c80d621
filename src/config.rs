//! The settings `tallybook.*`: what they are called, what they may be, what they are now. Only this
//! file reads them; decisions get them through their environment.

use crate::host::Text;
use std::sync::Mutex;
use tallybook_domain::audit::Retention;

/// The log of counters that nobody gave one: `MAXLEN n`, `MAXAGE ms`, `MAXBYTES n`, several of them,
/// or nothing.
pub static LOG_DEFAULT: Text = Text::new("log-default", "", set_log_default);

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
        let bound = words.next()?.parse().ok()?;
        retention.get_or_insert_default().bind(name.as_bytes(), bound).ok()?;
    }
    Some(retention)
}
