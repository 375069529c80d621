//! How fast ids go: those of the last minute, by two counters of a minute each.
//!
//! The minute that runs counts in full, the one before by the share of it that is still less than a
//! minute ago, as if its ids had gone evenly.

const MINUTE_MS: u64 = 60_000;

/// Ids handed out in the running minute and in the one before.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    minute: u64,
    running: u64,
    before: u64,
}

impl Rate {
    /// Counts ids that were handed out at `now_ms`.
    #[inline]
    pub fn count(&mut self, ids: u64, now_ms: u64) {
        let minute = now_ms / MINUTE_MS;
        if minute > self.minute {
            self.before = if minute == self.minute.saturating_add(1) { self.running } else { 0 };
            self.running = 0;
            self.minute = minute;
        }
        self.running = self.running.saturating_add(ids);
    }

    /// Ids in the minute before `now_ms`.
    pub fn per_minute(&self, now_ms: u64) -> u64 {
        let minute = now_ms / MINUTE_MS;
        let (running, before) = match minute.saturating_sub(self.minute) {
            0 => (self.running, self.before),
            1 => (0, self.running),
            _ => (0, 0),
        };
        let left = u128::from(MINUTE_MS.saturating_sub(now_ms % MINUTE_MS));
        let share = u128::from(before).saturating_mul(left).checked_div(MINUTE_MS.into()).unwrap_or(0);
        running.saturating_add(u64::try_from(share).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_told_as_it_is() {
        let mut rate = Rate::default();
        for second in 0..600u64 {
            rate.count(10, second * 1000);
        }
        let told = rate.per_minute(599_000);
        assert!((590..=610).contains(&told), "{told}");
        assert_eq!(rate.per_minute(599_000 + 3 * MINUTE_MS), 0, "idle");
    }

    #[test]
    fn a_clock_that_steps_back_counts_on() {
        let mut rate = Rate::default();
        rate.count(5, 10 * MINUTE_MS);
        rate.count(5, MINUTE_MS);
        assert_eq!(rate.per_minute(10 * MINUTE_MS + 1), 10);
    }
}
