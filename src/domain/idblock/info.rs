//! What IDBLOCK.INFO tells.

use super::IdBlock;
use crate::environment::Environment;
use crate::info::{Field, Fields};
use crate::limits::RESERVE_COUNT_MAX;

impl IdBlock {
    /// All that there is to know of an allocator, but for its secret.
    pub fn info(&self, environment: &impl Environment) -> Fields {
        let (now_ms, range) = (environment.now_ms(), self.range());
        let next = if environment.is_replica() { self.kept.mark } else { self.next_ordinal(now_ms) };
        let per_minute = self.volatile.rate.per_minute(now_ms);
        let (clock, codes) = (self.kept.clock, self.codes());
        let mut fields = vec![
            Field::maybe("next", range.id(next)),
            Field::int("remaining", range.capacity().saturating_sub(next)),
            Field::int("low", u8::from(self.is_low(next))),
            Field::int("start", range.start()),
            Field::int("increment", range.increment()),
            Field::int("max", range.max()),
            Field::maybe("clock-bits", clock.map(|clock| clock.bits())),
            Field::maybe("clock-epoch", clock.map(|clock| clock.epoch_ms())),
            Field::maybe("codes-length", codes.map(|codes| codes.length())),
            Field::maybe("codes-space", codes.map(|codes| codes.space())),
            Field::text("fence", b"off"),
            Field::int("rate", per_minute / 60),
            Field::int("suggested-block", per_minute.saturating_mul(10).min(RESERVE_COUNT_MAX.unsigned_abs())),
        ];
        self.kept.ledger.info(now_ms, &mut fields);
        fields.push(Field::int("memory", self.memory()));
        fields
    }
}
