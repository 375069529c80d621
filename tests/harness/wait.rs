//! The only place of the tests that sleeps.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a healthy server may take for anything, on a slow and busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Polls `condition` until it holds; panics naming `what` when `deadline` has passed.
#[track_caller]
pub fn wait_until(what: &str, deadline: Duration, condition: impl FnMut() -> bool) {
    assert!(holds_within(deadline, condition), "waited {deadline:?} in vain until {what}");
}

/// Polls `condition` until it holds; false when `deadline` has passed.
pub fn holds_within(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    let mut pause = FIRST_PAUSE;
    while !condition() {
        if Instant::now() >= end {
            return false;
        }
        sleep(pause);
        pause = LONGEST_PAUSE.min(pause * 3 / 2);
    }
    true
}
