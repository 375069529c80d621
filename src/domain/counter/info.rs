//! What SCOUNTER.INFO tells.

use super::Counter;
use crate::audit::CounterChange;
use crate::environment::Environment;
use crate::info::{Field, Fields};

impl Counter {
    /// All that there is to know of a counter.
    pub fn info(&self, environment: &impl Environment) -> Fields {
        let (now_ms, held) = (environment.now_ms(), self.held_now(environment));
        let value = i128::from(self.value());
        let [lower, upper] = [self.bounds().lower(), self.bounds().upper()].map(|bound| bound.map(i128::from));
        let (lowest, highest) = (value.saturating_add(held.down), value.saturating_add(held.up));
        let mut fields = vec![
            Field::int("value", value),
            Field::maybe("lbound", lower),
            Field::maybe("ubound", upper),
            Field::int("held-down", 0i128.saturating_sub(held.down)),
            Field::int("held-up", held.up),
            Field::maybe("available-down", lower.map(|lower| lowest.saturating_sub(lower))),
            Field::maybe("available-up", upper.map(|upper| upper.saturating_sub(highest))),
            Field::int("holds", self.holds().map_or(0, |holds| holds.len(environment.deadline_ms()))),
            Field::maybe("shards", self.shards().map(|shards| shards.count())),
        ];
        match &self.extras {
            Some(extras) => extras.ledger.info(now_ms, &mut fields),
            None => super::Ledger::<CounterChange>::default().info(now_ms, &mut fields),
        }
        fields.push(Field::int("memory", self.memory(environment.block_size())));
        fields
    }
}
