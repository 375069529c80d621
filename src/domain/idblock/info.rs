//! What IDBLOCK.INFO tells.

use super::{IdBlock, Policy};
use crate::environment::Environment;
use crate::error::Error;
use crate::info::{Field, Fields, Value};
use crate::limits::RESERVE_COUNT_MAX;

impl IdBlock {
    /// All that there is to know of an allocator, but for its secret.
    pub fn info(&self, environment: &impl Environment) -> Fields {
        let (now_ms, range) = (environment.now_ms(), self.range());
        let next = if environment.is_replica() { self.kept.mark } else { self.next_ordinal(environment) };
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
        ];
        self.fence_info(environment, &mut fields);
        fields.extend([
            Field::int("rate", per_minute / 60),
            Field::int("suggested-block", per_minute.saturating_mul(10).min(RESERVE_COUNT_MAX.unsigned_abs())),
        ]);
        self.kept.ledger.info(now_ms, &mut fields);
        fields.push(Field::int("memory", self.memory(environment.block_size())));
        fields
    }

    /// Marks as ids: the first that lies at or beyond them. Nobody issues on a replica, so nothing is
    /// safe there and nobody waits.
    fn fence_info(&self, environment: &impl Environment, fields: &mut Fields) {
        let id = |ordinal| self.range().id(ordinal);
        fields.push(match self.kept.fence {
            Policy::Off => Field::text("fence", b"off"),
            Policy::Auto => Field::text("fence", b"auto"),
            Policy::Fixed(size) => Field::int("fence", size),
        });
        let is_fenced = self.kept.fence != Policy::Off;
        let stand = (is_fenced && !environment.is_replica()).then(|| self.stand(environment));
        let is_doubted = stand.as_ref().is_some_and(|stand| stand.is_doubted);
        let waits = stand.as_ref().filter(|stand| stand.safe < stand.top).map(|_| environment.whom());
        let waits = match is_doubted.then(|| environment.doubt()) {
            None => waits,
            Some(Error::Unfenced(wait)) => Some(wait.whom),
            Some(_) => Some("IDBLOCK.ADVANCE past every id in use".to_owned()),
        };
        let safe = stand.as_ref().filter(|_| !is_doubted).and_then(|stand| id(stand.safe));
        fields.extend([
            Field::maybe("fence-mark", is_fenced.then(|| id(self.kept.mark)).flatten()),
            Field::maybe("fence-safe", safe),
            Field::maybe("fence-window", is_fenced.then(|| self.window_size())),
            Field::maybe("fence-lost", stand.as_ref().map(|stand| stand.lost)),
            waits.map_or(Field { name: "fence-waiting-for", value: Value::Nil }, |whom| {
                Field::text("fence-waiting-for", whom.as_bytes())
            }),
        ]);
    }
}
