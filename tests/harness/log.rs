//! A server's log: what must never be in it, and its last lines.

use std::fs;
use std::path::Path;

/// What a server writes when it, or the module in it, has lost its footing.
const ALARMS: [&str; 6] =
    ["panicked", "ASSERTION FAILED", "BUG REPORT", "== CRITICAL ==", "Guru Meditation", "ERROR: AddressSanitizer"];

const TAIL_LINES: usize = 60;

/// The whole log, with whatever is no UTF-8 replaced.
pub fn read(path: &Path) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The first line that contains an alarm.
pub fn alarm(log: &str) -> Option<&str> {
    log.lines().find(|line| ALARMS.iter().any(|alarm| line.contains(alarm)))
}

/// The last lines.
pub fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
