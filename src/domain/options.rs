//! Options that keys of both types are created and altered with.

use crate::audit::Retention;
use crate::idempotency::Limits;

/// Log and tokens. What is not said is left as it is, or as the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyOptions {
    /// The log: not said, off, or on with this retention.
    pub log: Option<Option<Retention>>,
    /// How long tokens are kept, in milliseconds.
    pub token_duration_ms: Option<u64>,
    /// How many tokens are kept.
    pub token_count_max: Option<u64>,
}

impl KeyOptions {
    /// The limits of tokens that follow, where they differ from those that stand.
    pub fn token_limits(&self, stand: Limits) -> Option<Limits> {
        let duration_ms = self.token_duration_ms.unwrap_or(stand.duration_ms());
        let count_max = self.token_count_max.unwrap_or(stand.count_max());
        Limits::new(duration_ms, count_max).filter(|limits| *limits != stand)
    }
}
